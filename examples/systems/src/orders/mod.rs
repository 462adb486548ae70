//! Orders of customers, numbered without gaps for each customer, in a replicated map with reads at
//! any node, and a benchmark of cluster sizes. `README.md` in this folder is the guide.

pub mod bench;
pub mod chaos;
pub mod client;
mod counts;
pub mod machine;
pub mod message;
pub mod server;

use quorate::storage::ClusterId;

use crate::common::system::System;

/// The constants of the orders system.
pub const SYSTEM: System = System {
    name: "orders",
    cluster: ClusterId(u128::from_be_bytes(*b"quorate / orders")),
    nodes: &["127.0.0.1:7421", "127.0.0.1:7422", "127.0.0.1:7423"],
    tls_by_default: false,
};
