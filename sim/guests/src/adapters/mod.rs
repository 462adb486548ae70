//! Guests: a tiny Raft as an example, and the cores of other libraries.

pub mod raft_rs;
pub mod tiny;
