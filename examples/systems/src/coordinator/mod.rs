//! Keys and values under one coordinator: a write is answered once every live node has it, and
//! every node answers reads by itself, never old. `README.md` beside this file is its guide.

pub mod bench;
pub mod client;
pub mod machine;
pub mod message;
pub mod server;
mod status;
pub mod storm;

use quorate::storage::ClusterId;

use crate::common::system::System;

/// The coordinator, as its clients know it.
pub const SYSTEM: System = System {
    name: "coordinator",
    cluster: ClusterId(u128::from_be_bytes(*b"quorate/coordina")),
    nodes: &["127.0.0.1:7441", "127.0.0.1:7442", "127.0.0.1:7443"],
    secure: false,
};
