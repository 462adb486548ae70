//! Who is where: users and their addresses, and numbers that are never given twice. One master and
//! three replicas keep it; `README.md` beside this file is its guide.

pub mod client;
pub mod machine;
pub mod message;
pub mod server;
pub mod storm;

use quorate::storage::ClusterId;

use crate::common::system::System;

/// The directory, as its clients know it.
pub const SYSTEM: System = System {
    name: "directory",
    cluster: ClusterId(u128::from_be_bytes(*b"quorate/director")),
    nodes: &["127.0.0.1:7401", "127.0.0.1:7402", "127.0.0.1:7403", "127.0.0.1:7404"],
    secure: false,
};
