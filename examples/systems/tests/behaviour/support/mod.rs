//! Test support for all systems: nodes as processes, and the network between them.

mod cluster;
pub(crate) mod forger;
pub(crate) mod messaging;
mod network;
mod traffic;

pub(crate) use cluster::{Cluster, Setup};
pub(crate) use network::Caller;
