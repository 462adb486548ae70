//! Messaging between users, each message delivered exactly once: the parts that `chat` and
//! `courier` share.

pub mod chaos;
pub mod client;
pub mod commands;
pub mod machine;
pub mod message;
