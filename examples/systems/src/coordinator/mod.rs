//! Coordinator: keys and values. A write is acknowledged once every live node has it, and every
//! node answers linearizable reads locally. `README.md` in this folder is the guide.

#[cfg(feature = "commands")]
pub mod bench;
pub mod chaos;
#[cfg(feature = "commands")]
pub mod client;
pub mod keys;
pub mod machine;
pub mod message;
pub mod node;
#[cfg(feature = "commands")]
pub mod server;
#[cfg(feature = "commands")]
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
