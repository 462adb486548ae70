//! Messages between users, delivered once each, also to those who were away. A primary and two
//! backups keep them; `README.md` beside this file is its guide.

pub mod client;
pub mod server;
pub mod storm;

use quorate::storage::ClusterId;

use crate::common::system::System;

/// The chat, as its clients know it.
pub const SYSTEM: System = System {
    name: "chat",
    cluster: ClusterId(u128::from_be_bytes(*b"quorate/chatting")),
    nodes: &["127.0.0.1:7501", "127.0.0.1:7502", "127.0.0.1:7503"],
    secure: false,
};
