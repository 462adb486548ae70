//! Messages between users, on three nodes or more that come and go, spoken through TLS.
//! `README.md` beside this file is its guide.

pub mod client;
pub mod server;
pub mod storm;

use quorate::storage::ClusterId;

use crate::common::system::System;

/// The courier, as its clients know it.
pub const SYSTEM: System = System {
    name: "courier",
    cluster: ClusterId(u128::from_be_bytes(*b"quorate/couriers")),
    nodes: &["127.0.0.1:7601", "127.0.0.1:7602", "127.0.0.1:7603"],
    secure: true,
};
