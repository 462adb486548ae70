//! What tests of every system stand on: nodes as processes, and the network between them.

mod cluster;
mod wires;

pub(crate) use cluster::Cluster;
pub(crate) use wires::Caller;
