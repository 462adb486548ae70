//! Courier: messages between users over TLS, on a cluster whose membership can change. `README.md`
//! in this folder is the guide.

pub mod chaos;
pub mod client;
pub mod server;

use quorate::storage::ClusterId;

use crate::common::system::System;

/// The name, the cluster id and the default addresses of the system.
pub const SYSTEM: System = System {
    name: "courier",
    cluster: ClusterId(u128::from_be_bytes(*b"quorate/couriers")),
    nodes: &["127.0.0.1:7601", "127.0.0.1:7602", "127.0.0.1:7603"],
    tls_by_default: true,
};
