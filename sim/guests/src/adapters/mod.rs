//! Guests: a tiny Raft as an example, and the cores of other libraries.

#[cfg(feature = "omnipaxos")]
pub mod omnipaxos;
#[cfg(feature = "raft-rs")]
pub mod raft_rs;
pub mod tiny;

#[cfg(test)]
mod broken;
