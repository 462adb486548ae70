//! What tests of every system stand on: nodes as processes, and the network between them.

mod cluster;
pub(crate) mod forger;
mod heard;
mod wires;

pub(crate) use cluster::{Cluster, Setup};
pub(crate) use wires::Caller;
