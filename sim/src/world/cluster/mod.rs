//! The cluster: its nodes with their disks and clocks, and its memberships.

mod abstract_state;
pub(super) mod builds;
pub(super) mod clock;
mod electorates;
mod host;
pub(super) mod node;
pub(super) mod node_disk;
mod notes;
mod power_loss;
pub(super) mod processes;
pub(super) mod queues;
pub(super) mod running;

use std::ops::{Index, IndexMut};
use std::time::Duration;

use quorate::raft::{PeerStatus, RoleName, Status};
use quorate::types::{Index as LogIndex, NodeId, Term};

use crate::observe::Observation;
use crate::values::choice::{Key, Kind};
use crate::world::cluster::clock::Clock;
use crate::world::cluster::node::LoggedMembership;
use crate::world::cluster::node::Node;
use crate::world::place::Place;
use crate::world::run::{Run, Setup};

/// The nodes of a run, indexed by place.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    nodes: Vec<Node>,
    /// The last committed membership, and its index in the log.
    committed_membership: LoggedMembership,
    /// The latest term that a node has led.
    term_led: Term,
}

impl Index<Place> for Cluster {
    type Output = Node;

    fn index(&self, place: Place) -> &Node {
        &self.nodes[place.0 as usize]
    }
}

impl IndexMut<Place> for Cluster {
    fn index_mut(&mut self, place: Place) -> &mut Node {
        &mut self.nodes[place.0 as usize]
    }
}

impl Cluster {
    /// Returns the cluster at the start of a run, in which no node has started yet.
    pub(super) fn new(setup: &Setup) -> Cluster {
        let Setup { settings, choices, .. } = setup;
        let first = |membership| LoggedMembership { index: LogIndex::ZERO, membership };
        let nodes = (0..settings.nodes()).map(|place| {
            let key = Key { node: place + 1, ..Kind::Clock.key() };
            let offset = Duration::from_micros(choices.choose(key, 1_000_000));
            let key = Key { counter: 1, ..key };
            let most = u64::from(settings.clocks.error_ppm_max);
            let off = choices.choose(key, 2 * most + 1) as i32;
            let ppm = if off % 2 == 0 { off / 2 } else { -(off / 2) - 1 };
            let id = Place(place).id();
            let (membership, is_peer) = (settings.formatted_at(id), settings.is_bootstrap_peer(id));
            Node::new(Place(place), Clock::new(offset, ppm), first(membership), is_peer)
        });
        let (nodes, committed_membership) = (nodes.collect(), first(settings.formatted()));
        Cluster { nodes, committed_membership, term_led: Term::ZERO }
    }

    /// Returns the number of nodes, whether they are up or down.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns every node, by place.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter()
    }

    /// Returns the places of all nodes.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> + Clone + use<> {
        (0..self.nodes.len()).map(|place| Place(place as u8))
    }

    /// Returns the place of node `id`, if it is a node of the world.
    pub(super) fn place(&self, id: NodeId) -> Option<Place> {
        Place::of(id, self.nodes.len())
    }

    /// Returns the running leader with the highest term.
    pub(super) fn leader(&self) -> Option<Place> {
        let leaders = self.nodes.iter().filter(|node| node.role() == Some(RoleName::Leader));
        let term = |node: &&Node| node.running().map(|running| running.status.term);
        leaders.max_by_key(term).map(|node| node.place)
    }

    /// Returns the peer status of each leader.
    pub(crate) fn peers(&self) -> Vec<(NodeId, Vec<PeerStatus>)> {
        let running = self.nodes.iter().filter_map(Node::running);
        let leaders = running.filter(|running| running.status.role == RoleName::Leader);
        leaders.map(|running| (running.status.id, running.node.peers())).collect()
    }

    /// Shows leases to the checks after a step of the node at `place`, whose status was `before`. A
    /// lease is shown only if its node is in an earlier term than the latest that a node has led.
    /// If this node is the new leader or committed an entry as the leader, the leases of all nodes
    /// are candidates, otherwise only its own.
    pub(crate) fn show_leases(&mut self, place: Place, before: &Status, run: &mut Run) {
        let Some(status) = self[place].running().map(|running| running.status) else { return };
        let leads = status.role == RoleName::Leader;
        if leads {
            self.term_led = self.term_led.max(status.term);
        }
        if run.setup.settings.config.lease.is_none() || !run.observer.has_checks() {
            return;
        }
        let (now, term_led) = (run.scheduler.now(), self.term_led);
        let is_news = leads && (before.role, before.committed) != (status.role, status.committed);
        for node in self.nodes.iter().filter(|node| is_news || node.place == place) {
            let is_earlier = node.running().is_some_and(|running| running.status.term < term_led);
            let left = if is_earlier { node.lease_left(now) } else { Duration::ZERO };
            if !left.is_zero() {
                run.observe(Observation::LeaseHeld { node: node.place.id(), left });
            }
        }
    }

    /// Makes every disk lie about flushes from now on: a planted bug that the checks must find.
    pub(crate) fn plant_canary(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.disk.device.lie_about_flushes());
    }
}
