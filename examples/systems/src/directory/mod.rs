//! Directory: the addresses of users, and unique sequence numbers, on one master and three
//! replicas. `README.md` in this folder is the guide.

pub mod chaos;
pub mod client;
pub mod machine;
pub mod message;
pub mod server;

use quorate::storage::ClusterId;

use crate::common::system::System;

/// The constants of the directory.
pub const SYSTEM: System = System {
    name: "directory",
    cluster: ClusterId(u128::from_be_bytes(*b"quorate/director")),
    nodes: &["127.0.0.1:7401", "127.0.0.1:7402", "127.0.0.1:7403", "127.0.0.1:7404"],
    tls_by_default: false,
};
