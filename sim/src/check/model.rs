//! What the checks know of the cluster: each node's memory and disk, every entry that ever was,
//! and the committed log.

use std::collections::VecDeque;

use quorate::raft::{RoleName, Status};
use quorate::types::{Entry, HardState, Index, Membership, NodeId, Term, Write, WriteId};

use crate::check::entries::Entries;
use crate::check::finding::{S8, S17, Verdict};
use crate::check::log::{Image, Log};

/// The place of a node in every list of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(pub(super) usize);

/// A set of nodes, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Nodes(u64);

/// A write under way: enough to tell the whole of it from a part.
#[derive(Clone, Copy, Debug)]
struct Pending {
    id: WriteId,
    entries: usize,
    hard_state: bool,
}

/// One node.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its id.
    pub(super) id: NodeId,
    /// What it last said of itself since it started; none while it is down.
    pub(super) status: Option<Status>,
    /// What its disk comes to once every write it was given is durable.
    pub(super) memory: Image,
    /// What would survive a crash now.
    pub(super) disk: Image,
    /// Up to here memory and disk have the same entries.
    synced: Index,
    pending: VecDeque<Pending>,
    /// How often it started.
    pub(super) starts: u64,
    /// The commit hint it started from.
    pub(super) hint: Index,
}

/// The cluster.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// Every member, in the order of their ids.
    pub(super) nodes: Vec<Node>,
    incoming: Nodes,
    outgoing: Nodes,
    /// Every entry that ever was.
    pub(super) entries: Entries,
    /// The committed log, as the quorum that made it so held it.
    pub(super) committed: Log,
}

impl Nodes {
    pub(super) fn insert(&mut self, slot: Slot) {
        self.0 |= 1 << slot.0;
    }

    pub(super) fn contains(self, slot: Slot) -> bool {
        self.0 >> slot.0 & 1 == 1
    }

    fn has_majority_of(self, voters: Nodes) -> bool {
        2 * (self.0 & voters.0).count_ones() > voters.0.count_ones()
    }
}

impl Node {
    fn new(id: NodeId) -> Node {
        Node {
            id,
            status: None,
            memory: Image::default(),
            disk: Image::default(),
            synced: Index::ZERO,
            pending: VecDeque::new(),
            starts: 0,
            hint: Index::ZERO,
        }
    }

    /// Whether the node leads, as it last said.
    pub(super) fn leads(&self, term: Term) -> bool {
        self.status.is_some_and(|status| status.role == RoleName::Leader && status.term == term)
    }

    /// Whether every write it was given is durable.
    pub(super) fn drained(&self) -> bool {
        self.pending.is_empty()
    }

    /// Forgets what was only in memory.
    fn forget(&mut self) {
        self.status = None;
        self.pending.clear();
        self.memory.hard_state = self.disk.hard_state;
        self.memory.log.truncate(self.synced);
        self.memory.log.extend_like(&self.disk.log, self.disk.log.last());
        self.synced = self.disk.log.last();
    }

    /// Memory and disk must be the same now that no write is under way.
    fn compare(&mut self) -> Verdict {
        let (id, memory, disk) = (self.id, &self.memory, &self.disk);
        if memory.hard_state != disk.hard_state {
            let (ours, theirs) = (shown(memory.hard_state), shown(disk.hard_state));
            return S17.broken(format!("{id} holds {ours} but its disk has {theirs}"));
        }
        let (ours, theirs) = (memory.log.last_id(), disk.log.last_id());
        let last = ours.index;
        if ours != theirs || memory.log.chain_at(last) != disk.log.chain_at(last) {
            return S17.broken(format!(
                "{id}'s log ends with {ours} in memory but with {theirs} on its disk"
            ));
        }
        self.synced = last;
        Ok(())
    }
}

impl Model {
    pub(super) fn new(membership: &Membership) -> Model {
        let nodes: Vec<Node> = membership.members().into_iter().map(Node::new).collect();
        assert!(nodes.len() <= 64, "the checks know sets of at most 64 nodes");
        let set = |ids: &[NodeId]| {
            let mut set = Nodes::default();
            let places = nodes.iter().enumerate().filter(|(_, node)| ids.contains(&node.id));
            places.for_each(|(place, _)| set.insert(Slot(place)));
            set
        };
        let (incoming, outgoing) = (set(membership.incoming()), set(membership.outgoing()));
        let (entries, committed) = (Entries::default(), Log::default());
        Model { nodes, incoming, outgoing, entries, committed }
    }

    /// Where the node is listed. The world shows no node outside the membership.
    pub(super) fn slot(&self, id: NodeId) -> Slot {
        let place = self.nodes.iter().position(|node| node.id == id);
        Slot(place.expect("the world shows members only"))
    }

    pub(super) fn node(&self, slot: Slot) -> &Node {
        &self.nodes[slot.0]
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        (0..self.nodes.len()).map(Slot)
    }

    /// Whether the node has a vote.
    pub(super) fn is_voter(&self, slot: Slot) -> bool {
        self.incoming.contains(slot) || self.outgoing.contains(slot)
    }

    /// Whether the nodes decide: a majority of the voters, of both halves while joint.
    pub(super) fn is_quorum(&self, nodes: Nodes) -> bool {
        let outgoing = self.outgoing == Nodes::default() || nodes.has_majority_of(self.outgoing);
        outgoing && nodes.has_majority_of(self.incoming)
    }

    /// A node starts. Its first start sets its disk, every other must find the disk as it was.
    pub(super) fn start(
        &mut self,
        slot: Slot,
        hard_state: HardState,
        hint: Index,
        log: &[Entry],
    ) -> Verdict {
        let node = &mut self.nodes[slot.0];
        node.forget();
        node.starts += 1;
        node.hint = hint;
        if node.starts == 1 {
            node.disk.hard_state = hard_state;
            for entry in log {
                node.disk.append(node.id, entry, &mut self.entries, &S8)?;
            }
            node.forget();
            return Ok(());
        }
        let (id, disk) = (node.id, &node.disk);
        let found = log.last().map(|entry| entry.id).unwrap_or_default();
        let left = disk.log.last_id();
        if hard_state != disk.hard_state {
            let (found, left) = (shown(hard_state), shown(disk.hard_state));
            return S17.broken(format!("{id} restarts from {found} but its disk held {left}"));
        }
        if found != left || log.len() as u64 != left.index.0 {
            return S17.broken(format!(
                "{id} restarts from a log that ends with {found} but its disk held {left}"
            ));
        }
        Ok(())
    }

    pub(super) fn crash(&mut self, slot: Slot) {
        self.nodes[slot.0].forget();
    }

    pub(super) fn submit(&mut self, slot: Slot, write: &Write) -> Verdict {
        let node = &mut self.nodes[slot.0];
        node.memory.write(node.id, write, &mut self.entries, &S8)?;
        if let Some(first) = write.entries.first() {
            node.synced = node.synced.min(first.id.index.previous());
        }
        let (entries, hard_state) = (write.entries.len(), write.hard_state.is_some());
        node.pending.push_back(Pending { id: write.id, entries, hard_state });
        Ok(())
    }

    /// A write is durable, or the part of it that a crash is about to leave.
    pub(super) fn persist(&mut self, slot: Slot, write: &Write) -> Verdict {
        let node = &mut self.nodes[slot.0];
        let Some(next) = node.pending.front().copied().filter(|next| next.id == write.id) else {
            let (id, write) = (node.id, write.id);
            return S17.broken(format!("{write} of {id} is durable out of turn"));
        };
        node.disk.write(node.id, write, &mut self.entries, &S17)?;
        if (write.entries.len(), write.hard_state.is_some()) != (next.entries, next.hard_state) {
            return Ok(());
        }
        node.pending.pop_front();
        if node.drained() { node.compare() } else { Ok(()) }
    }
}

/// A hard state in words.
pub(super) fn shown(hard_state: HardState) -> String {
    match hard_state {
        HardState { term, vote: Some(vote) } => format!("{term} with a vote for {vote}"),
        HardState { term, vote: None } => format!("{term} without a vote"),
    }
}
