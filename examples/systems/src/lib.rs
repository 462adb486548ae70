//! Example systems on quorate: each has a state machine, a server, a client and chaos tests in its
//! own folder. They share `common` and are independent of each other.

pub mod common;

pub mod chat;
pub mod coordinator;
pub mod courier;
pub mod directory;
pub mod orders;
