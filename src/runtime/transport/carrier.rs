//! What carries packets between nodes, from the driver's point of view.

use crate::runtime::transport::incoming::Arrivals;
use crate::types::{Membership, NodeId, Packet};

/// Carries packets to the other nodes in the place of sockets: over a program's own RPC, say, or
/// within one process. [`Server::start_over`](crate::runtime::Server::start_over) takes one.
///
/// It may lose packets, say them twice and change their order, as networks do. It must not change
/// what is in them: [`wire::encode`](crate::wire::encode) and [`wire::decode`](crate::wire::decode)
/// make bytes of them and back, with a checksum.
pub trait Transport: Send {
    /// Sends the packet to [`Packet::to`], or loses it. Must not block: what has no room is lost.
    fn send(&mut self, packet: Packet);

    /// Who counts has changed, and with it perhaps where the members are reached.
    fn meet(&mut self, membership: &Membership) {
        let _ = membership;
    }
}

/// Where packets go that a [`Transport`] brought to this node. Clones are of one node.
#[derive(Clone, Debug)]
pub struct Inlet {
    arrivals: Arrivals,
    node: NodeId,
}

impl Inlet {
    pub(in crate::runtime) fn new(arrivals: Arrivals, node: NodeId) -> Inlet {
        Inlet { arrivals, node }
    }

    /// Gives the packet to the node; waits while too many are there that it has not looked at. The
    /// caller answers for the sender being [`Packet::from`]. What is for another node, or comes
    /// when this one has stopped, is lost.
    pub async fn receive(&self, packet: Packet) {
        if packet.to() == self.node {
            // A node that has stopped takes nothing any more.
            let _ = self.arrivals.take(packet).await;
        }
    }
}
