//! Orders of customers, numbered without gaps: a replicated map that is read at any node, and an
//! experiment on what its size costs. `README.md` beside this file is its guide.

pub mod bench;
pub mod client;
mod counts;
pub mod machine;
pub mod message;
pub mod server;
pub mod storm;

use quorate::storage::ClusterId;

use crate::common::system::System;

/// The orders, as their clients know them.
pub const SYSTEM: System = System {
    name: "orders",
    cluster: ClusterId(u128::from_be_bytes(*b"quorate / orders")),
    nodes: &["127.0.0.1:7421", "127.0.0.1:7422", "127.0.0.1:7423"],
    secure: false,
};
