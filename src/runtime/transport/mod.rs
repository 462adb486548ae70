//! Packets between nodes: a connection for each peer and lane in each direction, made when there is
//! something to say.
//!
//! Whoever calls speaks packets, and whoever was called only shows that it is there. What a network
//! may do, this may do too: what does not fit into a queue is lost, and the algorithm says it
//! again.

mod carrier;
pub(super) mod gate;
pub(super) mod greeting;
mod incoming;
mod lane;
pub(super) mod link;
mod outgoing;
mod peers;
mod strangers;
#[cfg(test)]
mod tests;

pub use carrier::{Inlet, Transport};
pub(super) use greeting::Greeting;
pub(super) use incoming::{Arrivals, Door, Listener};
pub(super) use peers::Peers;
