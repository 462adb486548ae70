//! The TCP transport: the connections to each peer, by lane, and the addresses of the peers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tracing::{debug, error, warn};

use crate::runtime::config::NetworkConfig;
use crate::runtime::metrics::{DropReason, PeerCounts, SnapshotStep};
use crate::runtime::tasks::Tasks;
use crate::runtime::transport::connection_registry::ConnectionRegistry;
use crate::runtime::transport::custom::Transport;
use crate::runtime::transport::handshake::Handshake;
use crate::runtime::transport::lane::Lane;
use crate::runtime::transport::lane_queue::{LaneSender, lane_queue};
use crate::runtime::transport::outgoing::PeerConnection;
use crate::types::{Address, Membership, NodeId, Packet, SnapshotTransferBody};

/// The maximum number of nodes with an unknown address that are named in the log output, because an
/// unauthenticated peer may claim any id.
const UNKNOWN_MAX: usize = 16;

/// The peers of this node, over TCP.
pub(in crate::runtime) struct Peers {
    handshake: Handshake,
    config: NetworkConfig,
    /// The maximum number of bytes of entries that wait for one lane of one peer.
    queued_bytes_max: usize,
    registry: Arc<ConnectionRegistry>,
    /// The known addresses: the configured ones, replaced by those of the membership.
    addresses: BTreeMap<NodeId, Address>,
    peers: BTreeMap<NodeId, Peer>,
    /// The nodes with an unknown address that were named in the log output, at most
    /// [`UNKNOWN_MAX`]. `None` once a membership is known, because it has the addresses.
    unknown: Option<BTreeSet<NodeId>>,
}

struct Peer {
    address: Address,
    lanes: [LaneSender; Lane::ALL.len()],
    counts: Arc<PeerCounts>,
    _tasks: Tasks,
}

impl Peer {
    /// Returns true if a lane sends no more packets.
    fn has_ended(&self) -> bool {
        self.lanes.iter().any(|lane| lane.packets().is_closed())
    }
}

impl Peers {
    pub(in crate::runtime) fn new(
        handshake: Handshake,
        config: NetworkConfig,
        queued_bytes_max: usize,
        registry: Arc<ConnectionRegistry>,
        addresses: BTreeMap<NodeId, Address>,
    ) -> Peers {
        let (peers, unknown) = (BTreeMap::new(), Some(BTreeSet::new()));
        Peers { handshake, config, queued_bytes_max, registry, addresses, peers, unknown }
    }

    fn open(&self, id: NodeId, address: Address) -> Peer {
        let mut tasks = Tasks::default();
        let counts = self.registry.counts.network.peer(id);
        let lanes = Lane::ALL.map(|lane| {
            let (sender, queue) = lane_queue(lane.packets_max(&self.config), self.queued_bytes_max);
            counts.watch(lane.name(), sender.packets());
            let connection = PeerConnection {
                handshake: self.handshake,
                peer: id,
                address: address.clone(),
                lane,
                config: self.config.clone(),
                registry: Arc::clone(&self.registry),
                counts: Arc::clone(&counts),
            };
            tasks.spawn(connection.run(queue));
            sender
        });
        Peer { address, lanes, counts, _tasks: tasks }
    }
}

impl Transport for Peers {
    /// Takes the addresses of the members from the membership. The address of a removed member is
    /// kept, so that the last packets still reach it.
    fn update_membership(&mut self, membership: &Membership) {
        for member in membership.members() {
            if !member.address.as_str().is_empty() {
                self.addresses.insert(member.id, member.address.clone());
            }
        }
        if !membership.members().is_empty() {
            self.unknown = None;
        }
        self.registry.named_addresses.update_membership(self.handshake.node, membership);
        let addresses = &self.addresses;
        self.peers.retain(|id, peer| addresses.get(id) == Some(&peer.address));
    }

    fn send(&mut self, packet: Packet) {
        let to = packet.to();
        // A lane ends only if its task panics.
        if self.peers.get(&to).is_some_and(Peer::has_ended) {
            if self.registry.log_limit.admit("lane") {
                error!(%to, "the connection to the peer ended unexpectedly, and is opened again");
            }
            self.peers.remove(&to);
        }
        if !self.peers.contains_key(&to) {
            // A node that was added while this one was down has named its address.
            let named = || self.registry.named_addresses.other_than(&Address::default(), to);
            let Some(address) = self.addresses.get(&to).cloned().or_else(named) else {
                self.registry.counts.network.peer(to).dropped.add(&DropReason::NoAddress, 1);
                let is_new =
                    |named: &mut BTreeSet<_>| named.len() < UNKNOWN_MAX && named.insert(to);
                if self.unknown.as_mut().is_some_and(is_new) {
                    warn!(
                        %to,
                        "this node joins a cluster, and does not know the address of a node that \
                         sends messages, so it cannot reply; start this node again while \
                         one of the members through which it joins answers"
                    );
                }
                return;
            };
            let peer = self.open(to, address);
            self.peers.insert(to, peer);
        }
        if let Some(peer) = self.peers.get(&to) {
            let lane = &peer.lanes[Lane::of(&packet) as usize];
            let is_part = matches!(
                &packet,
                Packet::SnapshotTransfer(transfer)
                    if matches!(transfer.body, SnapshotTransferBody::Bytes(..))
            );
            if !lane.try_send(packet) {
                peer.counts.dropped.add(&DropReason::QueueFull, 1);
                debug!(%to, "dropped a packet: the queue of the peer is full");
            } else if is_part {
                self.registry.counts.events.snapshots.add(&SnapshotStep::PartSent, 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;
    use crate::runtime::metrics::Counts;
    use crate::runtime::transport::link::Links;
    use crate::storage::ClusterId;
    use crate::types::{Body, EntryId, Incarnation, Member, Message, Term};

    const FROM: NodeId = NodeId(1);
    const TO: NodeId = NodeId(2);

    async fn listener() -> (TcpListener, Address) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound").to_string();
        (listener, Address::new(&address).expect("it is short"))
    }

    /// Returns the peers of node 1, which knows this address of node 2.
    fn peers(address: Address) -> Peers {
        let (cluster, incarnation) = (ClusterId(7), Incarnation(1));
        let handshake = Handshake { cluster, origin: None, node: FROM, incarnation, start_id: 1 };
        let config = NetworkConfig::default();
        let counts = Arc::new(Counts::new(FROM, cluster));
        let registry = Arc::new(ConnectionRegistry::new(Links::for_test(), &config, counts));
        Peers::new(handshake, config, 1 << 20, registry, [(TO, address)].into())
    }

    fn packet() -> Packet {
        let body = Body::RequestVote { last: EntryId::ZERO, transfer: false };
        let (from, to, incarnation) = (FROM, TO, Incarnation(1));
        Packet::Message(Message { from, incarnation, to, term: Term(1), body })
    }

    #[tokio::test]
    async fn a_connection_whose_task_has_ended_is_opened_again() {
        let (listener, address) = listener().await;
        let mut peers = peers(address);
        for _ in 0..2 {
            peers.send(packet());
            listener.accept().await.expect("the peer is called");
            let Peer { _tasks: tasks, .. } = peers.peers.get_mut(&TO).expect("a packet was sent");
            std::mem::take(tasks).end().await;
        }
    }

    #[tokio::test]
    async fn a_peer_that_has_moved_is_called_at_the_address_in_its_hello() {
        let ((old, old_address), (new, address)) = (listener().await, listener().await);
        drop(old);
        let mut peers = peers(old_address);
        peers.registry.named_addresses.record(TO, address);
        peers.send(packet());
        let called = timeout(Duration::from_secs(60), new.accept()).await;
        called.expect("the peer is called there").expect("it accepts");
    }

    #[tokio::test]
    async fn packets_go_to_the_address_that_the_membership_names() {
        let ((old, old_address), (new, address)) = (listener().await, listener().await);
        let mut peers = peers(old_address);
        peers.send(packet());
        old.accept().await.expect("the peer is called");
        let mut membership = Membership::new([FROM, TO]);
        let member = membership.member(TO).expect("it is a member").clone();
        membership = membership.with_member(Member { address, ..member });
        peers.update_membership(&membership);
        peers.send(packet());
        let called = timeout(Duration::from_secs(60), new.accept()).await;
        called.expect("the peer is called there").expect("it accepts");
    }
}
