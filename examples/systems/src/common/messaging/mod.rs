//! Messaging between users, each message delivered exactly once: the parts that `chat` and
//! `courier` share.

pub mod chaos;
#[cfg(feature = "commands")]
pub mod client;
#[cfg(feature = "commands")]
pub mod commands;
pub mod machine;
pub mod message;
pub mod user;
