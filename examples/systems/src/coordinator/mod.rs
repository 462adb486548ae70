//! Coordinator: keys and values. A write is acknowledged once every live node has it, and every
//! node answers linearizable reads locally. `README.md` in this folder is the guide.

pub mod bench;
pub mod chaos;
pub mod client;
pub mod machine;
pub mod message;
pub mod server;
mod status;

use quorate::storage::ClusterId;

use crate::common::system::System;

/// The constants of the coordinator.
pub const SYSTEM: System = System {
    name: "coordinator",
    cluster: ClusterId(u128::from_be_bytes(*b"quorate/coordina")),
    nodes: &["127.0.0.1:7441", "127.0.0.1:7442", "127.0.0.1:7443"],
    tls_by_default: false,
};
