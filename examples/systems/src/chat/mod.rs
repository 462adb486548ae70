//! Chat: messages between users, each delivered exactly once, even to users who were logged out.
//! A primary and two backups store them; `README.md` in this folder is the guide.

pub mod chaos;
#[cfg(feature = "commands")]
pub mod client;
pub mod node;
#[cfg(feature = "commands")]
pub mod server;

use quorate::storage::ClusterId;

use crate::common::system::System;

/// The constants of the chat.
pub const SYSTEM: System = System {
    name: "chat",
    cluster: ClusterId(u128::from_be_bytes(*b"quorate/chatting")),
    nodes: &["127.0.0.1:7501", "127.0.0.1:7502", "127.0.0.1:7503"],
    tls_by_default: false,
};
