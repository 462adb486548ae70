//! Systems that run on quorate: each a state machine, a server, a client and its storms, in a
//! folder of its own. They share `common`, and nothing of one is seen by another.

pub mod common;

pub mod chat;
pub mod coordinator;
pub mod courier;
pub mod directory;
pub mod orders;
