//! The interface for a transport other than TCP sockets.

use crate::runtime::transport::incoming::InboundQueues;
use crate::types::{Membership, NodeId, Packet};

/// Carries packets to the other nodes in place of TCP sockets, for example over the program's own
/// RPC or within one process. Start the node with
/// [`Server::start_with_transport`](crate::runtime::Server::start_with_transport).
///
/// A transport may lose, duplicate and reorder packets, as networks do. It must not alter them:
/// [`wire::encode`](crate::wire::encode) and [`wire::decode`](crate::wire::decode) convert packets
/// to bytes and back, with a checksum.
pub trait Transport: Send {
    /// Sends the packet to [`Packet::to`], or drops it. Must not block: drops packets that exceed
    /// its queue.
    fn send(&mut self, packet: Packet);

    /// Adds the addresses of these members. Called at the start, first with the bootstrap peers of
    /// the configuration, if set, and then with the active membership, which may still be empty;
    /// and after each change. Addresses that a later call does not contain must be kept. The
    /// default implementation does nothing.
    fn update_membership(&mut self, membership: &Membership) {
        let _ = membership;
    }
}

/// The inbox of a node for packets that a [`Transport`] received. Clones deliver to the same node.
#[derive(Clone, Debug)]
pub struct PacketInbox {
    queues: InboundQueues,
    node: NodeId,
}

impl PacketInbox {
    pub(in crate::runtime) fn new(queues: InboundQueues, node: NodeId) -> PacketInbox {
        PacketInbox { queues, node }
    }

    /// Delivers the packet to the node; waits while the node's queue is full. The caller must
    /// ensure that the packet was sent by [`Packet::from`]. A packet for another node is dropped,
    /// and so is every packet once the node has stopped.
    pub async fn deliver(&self, packet: Packet) {
        if packet.to() == self.node {
            // A node that has stopped accepts no packets.
            let _ = self.queues.push(packet).await;
        }
    }
}
