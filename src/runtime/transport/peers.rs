//! The peers, by lane: what is said to each, and where it is reached.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc::{self, Sender};
use tracing::debug;

use crate::runtime::config::NetworkConfig;
use crate::runtime::metrics::{Loss, PeerCounts, SnapshotStep};
use crate::runtime::tasks::Tasks;
use crate::runtime::transport::carrier::Transport;
use crate::runtime::transport::gate::Gate;
use crate::runtime::transport::greeting::Greeting;
use crate::runtime::transport::lane::Lane;
use crate::runtime::transport::outgoing::Call;
use crate::types::{Address, Membership, NodeId, Packet, Transfer, TransferBody};

/// Whoever this node talks to.
pub(in crate::runtime) struct Peers {
    greeting: Greeting,
    config: NetworkConfig,
    gate: Arc<Gate>,
    /// Where nodes are that the membership does not name.
    known: BTreeMap<NodeId, Address>,
    peers: BTreeMap<NodeId, Peer>,
}

struct Peer {
    address: Address,
    lanes: [Sender<Packet>; Lane::ALL.len()],
    counts: Arc<PeerCounts>,
    _tasks: Tasks,
}

impl Peers {
    pub(in crate::runtime) fn new(
        greeting: Greeting,
        config: NetworkConfig,
        gate: Arc<Gate>,
        known: BTreeMap<NodeId, Address>,
    ) -> Peers {
        Peers { greeting, config, gate, known, peers: BTreeMap::new() }
    }

    fn open(&self, id: NodeId, address: Address) -> Peer {
        let mut tasks = Tasks::default();
        let counts = self.gate.counts.network.peer(id);
        let lanes = Lane::ALL.map(|lane| {
            let (sender, queue) = mpsc::channel(self.config.packets_max);
            counts.watch(lane.name(), &sender);
            let call = Call {
                greeting: self.greeting,
                peer: id,
                address: address.clone(),
                lane,
                config: self.config.clone(),
                gate: Arc::clone(&self.gate),
                counts: Arc::clone(&counts),
            };
            tasks.spawn(call.run(queue));
            sender
        });
        Peer { address, lanes, counts, _tasks: tasks }
    }
}

impl Transport for Peers {
    /// The members are reached where the membership says. Who is none any more is still told what
    /// is on its way.
    fn meet(&mut self, membership: &Membership) {
        for member in membership.members() {
            if !member.address.as_str().is_empty() {
                self.known.insert(member.id, member.address.clone());
            }
        }
        let known = &self.known;
        self.peers.retain(|id, peer| known.get(id) == Some(&peer.address));
    }

    fn send(&mut self, packet: Packet) {
        let to = packet.to();
        if !self.peers.contains_key(&to) {
            let Some(address) = self.known.get(&to) else {
                self.gate.counts.network.peer(to).losses.add(&Loss::NoAddress, 1);
                return debug!(%to, "nobody knows where it is");
            };
            let peer = self.open(to, address.clone());
            self.peers.insert(to, peer);
        }
        if let Some(peer) = self.peers.get(&to) {
            let lane = &peer.lanes[Lane::of(&packet) as usize];
            if let Packet::Transfer(Transfer { body: TransferBody::Bytes(..), .. }) = packet {
                self.gate.counts.events.snapshots.add(&SnapshotStep::PartSent, 1);
            }
            if lane.try_send(packet).is_err() {
                peer.counts.losses.add(&Loss::QueueFull, 1);
                debug!(%to, "its queue is full: a packet is lost");
            }
        }
    }
}
