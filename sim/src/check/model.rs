//! What the checks know of the cluster: each node's memory and disk, every entry that ever was,
//! and the committed log.

use std::collections::VecDeque;
use std::sync::Arc;

use quorate::log::Log as QuorateLog;
use quorate::raft::{RoleName, Status};
use quorate::types::{EntryId, HardState, Incarnation, Index, Membership, NodeId, Term, Write};

use crate::check::electorate::Electorate;
use crate::check::entries::Entries;
use crate::check::finding::{S8, S17, S22, S25, S28, Verdict};
use crate::check::log::{Image, Log};
use crate::check::nodes::{Nodes, Slot};

/// One node.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Its id.
    pub(super) id: NodeId,
    /// Who decides by the membership that it last said it goes by.
    electorate: Arc<Electorate>,
    /// The last of its log, if that was found to be of the same membership.
    agrees: Option<Arc<Electorate>>,
    /// What it last said of itself since it started; none while it is down.
    pub(super) status: Option<Status>,
    /// What its disk comes to once every write it was given is durable.
    pub(super) memory: Image,
    /// What would survive a crash now.
    pub(super) disk: Image,
    /// The life of its disk.
    incarnation: Incarnation,
    /// The disks it had before, as they were when it lost them.
    lost: Vec<(Incarnation, Image)>,
    /// Up to here memory and disk have the same entries.
    synced: Index,
    /// The writes of which it has not heard that they are durable; while it is down, those that
    /// its disk may have kept.
    pending: VecDeque<Write>,
    /// Its disk has failed since it started.
    failed: bool,
    /// How often it started.
    pub(super) starts: u64,
    /// Up to where it had committed what its disk had, when it was last heard of.
    pub(super) hint: Index,
}

/// One of the disks that a node ever had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// The one it has.
    Present,
    /// One that it lost, in the order in which it did.
    Lost(usize),
}

/// The cluster.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// Every node of the world, in the order of their ids: members, and others that wait to become
    /// some.
    pub(super) nodes: Vec<Node>,
    /// Every entry that ever was.
    pub(super) entries: Entries,
    /// The committed log, as the quorum that made it so held it.
    pub(super) committed: Log,
    /// Whether the last survivor goes on, and quorums need not meet.
    pub(super) survives: bool,
}

impl Node {
    fn new(id: NodeId, first: &Arc<Electorate>) -> Node {
        Node {
            id,
            electorate: Arc::clone(first),
            agrees: None,
            status: None,
            memory: Image::new(Arc::clone(first)),
            disk: Image::new(Arc::clone(first)),
            incarnation: Incarnation(id.0.into()),
            lost: Vec::new(),
            synced: Index::ZERO,
            pending: VecDeque::new(),
            failed: false,
            starts: 0,
            hint: Index::ZERO,
        }
    }

    /// Whether the node leads, as it last said.
    pub(super) fn leads(&self, term: Term) -> bool {
        self.status.is_some_and(|status| status.role == RoleName::Leader && status.term == term)
    }

    /// Which of the disks that it ever had the membership counts on: by its place among those it
    /// lost, or the one it has. None if it never had that one.
    pub(super) fn named_by(&self, membership: &Membership) -> Option<Which> {
        let member = membership.member(self.id);
        if member.is_none_or(|member| member.may_be(self.incarnation)) {
            return Some(Which::Present);
        }
        let lost = |(incarnation, _): &(Incarnation, Image)| {
            member.is_some_and(|member| member.incarnation == *incarnation)
        };
        self.lost.iter().position(lost).map(Which::Lost)
    }

    /// That disk.
    pub(super) fn disk_of(&self, which: Which) -> &Image {
        match which {
            Which::Present => &self.disk,
            Which::Lost(place) => &self.lost[place].1,
        }
    }

    /// Whether every write it was given is durable.
    pub(super) fn drained(&self) -> bool {
        self.pending.is_empty()
    }

    /// Takes the disk for what memory is.
    fn forget(&mut self) {
        self.status = None;
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
        if ours != theirs {
            return S17.broken(format!(
                "{id}'s log ends with {ours} in memory but with {theirs} on its disk"
            ));
        }
        self.synced = last;
        Ok(())
    }
}

impl Model {
    /// A world of `nodes` in which `membership` is the first.
    pub(super) fn new(nodes: &[NodeId], membership: &Membership) -> Model {
        assert!(nodes.len() <= Nodes::MAX, "the checks know sets of at most 64 nodes");
        let first = Arc::new(Electorate::new(nodes, membership));
        Model {
            nodes: nodes.iter().map(|id| Node::new(*id, &first)).collect(),
            entries: Entries::new(nodes.to_vec()),
            committed: Log::new(first),
            survives: false,
        }
    }

    /// Where the node is listed. The world shows no node that it does not have.
    pub(super) fn slot(&self, id: NodeId) -> Slot {
        let listed = |place: &usize| self.nodes.get(*place).is_some_and(|node| node.id == id);
        // Most worlds number their nodes from 1 on.
        let usual = usize::try_from(id.0.wrapping_sub(1)).ok().filter(listed);
        let place = usual.or_else(|| (0..self.nodes.len()).find(listed));
        Slot(place.expect("the world shows its own nodes only"))
    }

    pub(super) fn node(&self, slot: Slot) -> &Node {
        &self.nodes[slot.0]
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        (0..self.nodes.len()).map(Slot)
    }

    /// Who decides by the membership that the node goes by. It has that from its log: a leader
    /// counts acknowledgements of what its own disk has not been given yet.
    pub(super) fn electorate(&self, slot: Slot) -> &Electorate {
        &self.node(slot).electorate
    }

    /// The node says that it goes by this membership from now on.
    pub(super) fn goes_by(&mut self, slot: Slot, membership: &Membership) {
        if self.node(slot).electorate.membership.is_same(membership) {
            return;
        }
        self.nodes[slot.0].electorate = Arc::new(self.electorate_of(membership));
        self.nodes[slot.0].agrees = None;
    }

    /// Whether the membership that the node goes by is the last in its log.
    pub(super) fn goes_by_log(&mut self, slot: Slot) -> bool {
        let node = &mut self.nodes[slot.0];
        let latest = node.memory.log.electorate();
        if node.agrees.as_ref().is_some_and(|known| Arc::ptr_eq(known, latest)) {
            return true;
        }
        let agrees = latest.membership == node.electorate.membership;
        node.agrees = agrees.then(|| Arc::clone(latest));
        agrees
    }

    /// Who decides under the membership.
    pub(super) fn electorate_of(&self, membership: &Membership) -> Electorate {
        let ids: Vec<NodeId> = self.nodes.iter().map(|node| node.id).collect();
        Electorate::new(&ids, membership)
    }

    /// A node starts from what its disk has: what was durable, and of the writes that were under
    /// way when it crashed some part, in their order.
    pub(super) fn start(&mut self, slot: Slot, status: &Status, log: &QuorateLog) -> Verdict {
        let committed = &self.committed;
        let node = &mut self.nodes[slot.0];
        node.starts += 1;
        node.failed = false;
        let pending = std::mem::take(&mut node.pending);
        let found = status.hard_state();
        let terms = pending.iter().filter_map(|write| write.hard_state);
        if found != node.disk.hard_state && !terms.into_iter().any(|submitted| submitted == found) {
            let (id, found, left) = (node.id, shown(found), shown(node.disk.hard_state));
            return S17.broken(format!("{id} restarts from {found} but its disk held {left}"));
        }
        let mut kept = node.disk.log.is_like(log).then(|| node.disk.clone());
        let mut disk = node.disk.clone();
        for write in &pending {
            let id = node.id;
            if let Some(meta) = &write.install {
                match meta.last {
                    EntryId::ZERO => disk.log.found(self.entries.first(&meta.membership)),
                    last => disk.log.install(committed, last.index),
                }
                kept = disk.log.is_like(log).then(|| disk.clone()).or(kept);
            }
            for (place, entry) in write.entries.iter().enumerate() {
                if place == 0 {
                    disk.log.truncate(entry.id.index.previous());
                }
                disk.append(id, entry, &mut self.entries, &S17)?;
                kept = disk.log.is_like(log).then(|| disk.clone()).or(kept);
            }
        }
        let Some(kept) = kept else {
            let (id, found, left) = (node.id, log.last(), node.disk.log.last_id());
            return S17.broken(format!(
                "{id} restarts from a log that ends with {found} but its disk held {left}"
            ));
        };
        node.disk = kept;
        node.disk.hard_state = found;
        node.memory = node.disk.clone();
        node.synced = node.disk.log.last();
        self.note_founding(slot)
    }

    /// A node that is down loses its disk.
    pub(super) fn wipe(&mut self, slot: Slot, incarnation: Incarnation) {
        let nobody = self.entries.first(&Membership::default());
        let node = &mut self.nodes[slot.0];
        let before = std::mem::replace(&mut node.incarnation, incarnation);
        let disk = std::mem::replace(&mut node.disk, Image::new(nobody));
        node.lost.push((before, disk));
        node.memory = node.disk.clone();
        (node.synced, node.hint) = (Index::ZERO, Index::ZERO);
        node.pending.clear();
    }

    /// The cluster is founded once: what is the first membership of one disk is that of all.
    fn note_founding(&mut self, slot: Slot) -> Verdict {
        let node = &self.nodes[slot.0];
        let first = node.disk.log.electorate_at(Index::ZERO);
        let known = &self.committed.electorate_at(Index::ZERO).membership;
        if first.membership.is_nobody() || first.membership == *known {
            return Ok(());
        }
        if known.is_nobody() {
            self.committed.found(Arc::clone(first));
            return Ok(());
        }
        let (id, first) = (node.id, &first.membership);
        S22.broken(format!("{id} founds a second cluster, {first}, beside {known}"))
    }

    /// The first membership of the cluster is on its way to the node's disk.
    fn submit_founding(&mut self, slot: Slot, first: &Membership) -> Verdict {
        let founding = self.entries.first(first);
        let node = &mut self.nodes[slot.0];
        let (id, log) = (node.id, &mut node.memory.log);
        let known = &log.electorate().membership;
        if !known.is_nobody() || log.last() > Index::ZERO {
            return S22.broken(format!("{id} founds {first} though it goes by {known}"));
        }
        log.found(founding);
        Ok(())
    }

    pub(super) fn disk_failed(&mut self, slot: Slot) {
        self.nodes[slot.0].failed = true;
    }

    pub(super) fn crash(&mut self, slot: Slot) {
        self.nodes[slot.0].forget();
    }

    pub(super) fn submit(&mut self, slot: Slot, write: &Write) -> Verdict {
        let founding = write.install.as_ref().filter(|meta| meta.last == EntryId::ZERO);
        if let Some(meta) = founding {
            self.submit_founding(slot, &meta.membership)?;
        }
        let committed = &self.committed;
        let node = &mut self.nodes[slot.0];
        if let Some(meta) = write.install.as_ref().filter(|_| founding.is_none()) {
            if !committed.has(meta.last) {
                let (id, last) = (node.id, meta.last);
                return S25.broken(format!(
                    "{id} installs a snapshot that ends with {last}, which is not committed"
                ));
            }
            node.memory.log.install(committed, meta.last.index);
            node.synced = Index::ZERO;
        }
        node.memory.write(node.id, write, &mut self.entries, &S8)?;
        if let Some(first) = write.entries.first() {
            node.synced = node.synced.min(first.id.index.previous());
        }
        node.pending.push_back(write.clone());
        Ok(())
    }

    /// A node heard that a write is durable.
    pub(super) fn persist(&mut self, slot: Slot, write: &Write) -> Verdict {
        let committed = &self.committed;
        let node = &mut self.nodes[slot.0];
        if node.failed {
            let (id, write) = (node.id, write.id);
            return S28.broken(format!("{id} takes {write} for durable after its disk failed"));
        }
        if !write.entries.is_empty() {
            node.hint = write.committed;
        }
        if node.pending.pop_front_if(|next| next.id == write.id).is_none() {
            let (id, write) = (node.id, write.id);
            return S17.broken(format!("{write} of {id} is durable out of turn"));
        }
        match &write.install {
            Some(meta) if meta.last == EntryId::ZERO => {
                node.disk.log.found(self.entries.first(&meta.membership));
            }
            Some(meta) => node.disk.log.install(committed, meta.last.index),
            None => {}
        }
        node.disk.write(node.id, write, &mut self.entries, &S17)?;
        if node.drained() {
            node.compare()?;
        }
        self.note_founding(slot)
    }
}

/// A hard state in words.
pub(super) fn shown(hard_state: HardState) -> String {
    match hard_state {
        HardState { term, vote: Some(vote), .. } => format!("{term} with a vote for {vote}"),
        HardState { term, vote: None, .. } => format!("{term} without a vote"),
    }
}
