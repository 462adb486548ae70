//! The checks' model of the cluster: each node's memory and disk, every entry that any node ever
//! held, and the committed log. The parts of S8, S17, S22, S25 and S28 that compare a write or a
//! start with the model alone are here, too.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use quorate::log::Log as QuorateLog;
use quorate::raft::{RoleName, Status};
use quorate::types::{
    EntryId, HardState, Incarnation, Index, Member, Membership, NodeId, Term, Write,
};

use crate::check::electorate::Electorate;
use crate::check::entries::Entries;
use crate::check::finding::{CheckResult, S8, S17, S22, S25, S28};
use crate::check::log::{Image, Log};
use crate::check::nodes::{Nodes, Slot};
use crate::values::time::SimTime;
use crate::workload::request::PayloadOrigin;

/// The model of one node.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// The node's id in the cluster.
    pub(super) id: NodeId,
    /// The voters under the membership that the node last reported.
    electorate: Arc<Electorate>,
    /// The node's status after its last step since its start; `None` while the node is down, and
    /// from its start until its first step.
    pub(super) status: Option<Status>,
    /// The status with which the node last started; `None` while the node is down.
    pub(super) started_as: Option<Status>,
    /// The contents of the disk once every submitted write is durable.
    pub(super) memory: Image,
    /// The contents of the disk that would survive a crash now.
    pub(super) disk: Image,
    /// While the node is uncertain, the contents of its disk when it last was certain. The entries
    /// that it acknowledged then may still count.
    pub(super) counted: Option<Image>,
    /// The logs of this disk before each truncation. If the disk loses its last flushes, one of
    /// these may be its log again.
    truncated: Vec<Log>,
    /// The copies of the disk that rollbacks restore, by their numbers.
    copies: BTreeMap<u16, DiskCopy>,
    /// The incarnation of the node's current disk.
    incarnation: Incarnation,
    /// The disks that the node lost.
    lost: Vec<LostDisk>,
    /// The entries of the log that the node knows to be damaged. For each, whether the node has
    /// started without its content, and has not received it since.
    pub(super) damaged: BTreeMap<Index, bool>,
    /// The last index up to which memory and disk are known to hold the same entries.
    synced: Index,
    /// The submitted writes whose completion the node has not received; while the node is down,
    /// the writes that its disk may have kept.
    pending: VecDeque<Write>,
    /// Whether the disk has failed since the node's last start.
    failed: bool,
    /// The number of times that the node started.
    pub(super) starts: u64,
    /// The commit index that the last durable write with entries carried; a lower bound for the
    /// commit index after a restart.
    pub(super) commit_hint: Index,
    /// The time of the last completion of a write.
    pub(super) persisted_at: SimTime,
}

/// A disk that the node lost, with its contents at that time.
#[derive(Clone, Debug)]
struct LostDisk {
    incarnation: Incarnation,
    disk: Image,
    counted: Option<Image>,
}

/// A copy of a disk, with the writes whose completion the node had not received.
#[derive(Clone, Debug)]
struct DiskCopy {
    disk: Image,
    pending: VecDeque<Write>,
    commit_hint: Index,
}

/// One of the disks that a node had during the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DiskRef {
    /// The disk that the node has now.
    Current,
    /// A lost disk, by its position in the order of the losses.
    Lost(usize),
}

/// The last clause of a finding about a quorum that only replacement disks would complete.
pub(super) const REPLACED_DISK_RULE: &str =
    "; a disk that replaced a lost disk does not count until the membership names it";

/// The model of the cluster.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// The nodes of the world in the order of the ids: members, and spares that may become some.
    pub(super) nodes: Vec<Node>,
    /// Every entry that any node held during the run.
    pub(super) entries: Entries,
    /// The committed log, as held by the quorum that committed it.
    pub(super) committed: Log,
    /// Whether the last-survivor mode is on, in which quorums need not intersect.
    pub(super) last_survivor_enabled: bool,
}

impl Node {
    fn new(id: NodeId, first: &Arc<Electorate>) -> Node {
        Node {
            id,
            electorate: Arc::clone(first),
            status: None,
            started_as: None,
            memory: Image::new(Arc::clone(first)),
            disk: Image::new(Arc::clone(first)),
            counted: None,
            truncated: Vec::new(),
            copies: BTreeMap::new(),
            incarnation: Incarnation(id.0.into()),
            lost: Vec::new(),
            damaged: BTreeMap::new(),
            synced: Index::ZERO,
            pending: VecDeque::new(),
            failed: false,
            starts: 0,
            commit_hint: Index::ZERO,
            persisted_at: SimTime::default(),
        }
    }

    /// The node's status after its last step, or with which it started; `None` while it is down.
    pub(super) fn reported(&self) -> Option<Status> {
        self.status.or(self.started_as)
    }

    /// Whether the node last reported that it leads `term`.
    pub(super) fn leads(&self, term: Term) -> bool {
        self.status.is_some_and(|status| status.role == RoleName::Leader && status.term == term)
    }

    /// The disk of this node that `membership` names by its incarnation: the current disk if it
    /// names none. `None` if the node never had the named disk.
    pub(super) fn disk_named_by(&self, membership: &Membership) -> Option<DiskRef> {
        let member = membership.member(self.id);
        if member.is_none_or(|member| member.accepts_incarnation(self.incarnation)) {
            return Some(DiskRef::Current);
        }
        let lost =
            |lost: &LostDisk| member.is_some_and(|member| member.incarnation == lost.incarnation);
        self.lost.iter().position(lost).map(DiskRef::Lost)
    }

    /// Whether the node's disk has the entry, or had it before it was replaced or rolled back.
    pub(super) fn has_or_had(&self, entry: EntryId) -> bool {
        let counted = self.lost.iter().filter_map(|lost| lost.counted.as_ref());
        let mut images = self.lost.iter().map(|lost| &lost.disk).chain(counted);
        self.disk.log.has(entry)
            || self.counted_of(DiskRef::Current).log.has(entry)
            || images.any(|image| image.log.has(entry))
    }

    /// The contents of the disk `which`.
    pub(super) fn disk_of(&self, which: DiskRef) -> &Image {
        match which {
            DiskRef::Current => &self.disk,
            DiskRef::Lost(place) => &self.lost[place].disk,
        }
    }

    /// The contents of the disk `which` that count in a quorum. For an uncertain node, they are the
    /// contents of its disk when it last was certain, because it may have acknowledged those.
    pub(super) fn counted_of(&self, which: DiskRef) -> &Image {
        let counted = match which {
            DiskRef::Current => &self.counted,
            DiskRef::Lost(place) => &self.lost[place].counted,
        };
        counted.as_ref().unwrap_or_else(|| self.disk_of(which))
    }

    /// Whether the node is uncertain, according to its disk.
    pub(super) fn is_uncertain(&self) -> bool {
        self.disk.hard_state.is_uncertain
    }

    /// Replaces the contents of the disk. If that makes the node uncertain, the previous contents
    /// are those that count.
    fn replace_disk(&mut self, disk: Image) {
        let before = std::mem::replace(&mut self.disk, disk);
        if !self.disk.hard_state.is_uncertain {
            self.counted = None;
        } else if !before.hard_state.is_uncertain {
            self.counted = Some(before);
        }
    }

    /// The voters under the last membership that the node knows. It does not know a damaged
    /// membership entry after `snapshot` if it has started without the content.
    pub(super) fn known_electorate(&self, snapshot: Index) -> &Arc<Electorate> {
        let log = &self.memory.log;
        if self.damaged.is_empty() {
            return log.electorate();
        }
        let is_unknown = |at: Index| at > snapshot && self.damaged.get(&at) == Some(&true);
        let known = log.electorates().iter().rfind(|(at, _)| !is_unknown(*at));
        known.map_or(log.electorate(), |(_, electorate)| electorate)
    }

    /// Whether every submitted write is durable.
    pub(super) fn has_no_pending_writes(&self) -> bool {
        self.pending.is_empty()
    }

    /// Sets the memory to the contents of the disk, as after a crash.
    fn lose_memory(&mut self) {
        (self.status, self.started_as) = (None, None);
        self.damaged.clear();
        self.memory.hard_state = self.disk.hard_state;
        self.memory.log.truncate(self.synced);
        self.memory.log.extend_from(&self.disk.log, self.disk.log.last());
        self.synced = self.disk.log.last();
    }

    /// Checks that memory and disk are equal, for a node without pending writes.
    fn compare_memory_with_disk(&mut self) -> CheckResult {
        let (id, memory, disk) = (self.id, &self.memory, &self.disk);
        if memory.hard_state != disk.hard_state {
            let in_memory = describe_hard_state(memory.hard_state);
            let on_disk = describe_hard_state(disk.hard_state);
            return S17.violated(format!(
                "{id} has no pending write, and its memory holds {in_memory}, but its disk holds \
                 {on_disk}"
            ));
        }
        let (ours, theirs) = (memory.log.last_id(), disk.log.last_id());
        let last = ours.index;
        if ours != theirs {
            return S17.violated(format!(
                "{id} has no pending write, and its log ends with {ours} in memory, but with \
                 {theirs} on its disk"
            ));
        }
        self.synced = last;
        Ok(())
    }
}

impl Model {
    /// Creates the model of a world of `nodes`, whose members start with `membership`.
    pub(super) fn new(
        nodes: &[NodeId],
        membership: &Membership,
        last_survivor_enabled: bool,
    ) -> Model {
        assert!(nodes.len() <= Nodes::MAX, "a set of nodes holds at most 64 of them");
        let first = Arc::new(Electorate::new(nodes, membership));
        let none = Arc::new(Electorate::new(nodes, &Membership::default()));
        // A node that is not a member at first has no membership at first.
        let known = |id| if membership.is_member(id) { &first } else { &none };
        Model {
            nodes: nodes.iter().map(|id| Node::new(*id, known(*id))).collect(),
            entries: Entries::new(nodes.to_vec()),
            committed: Log::new(first),
            last_survivor_enabled,
        }
    }

    /// The position of the node in every list. Panics if the world has no such node.
    pub(super) fn slot(&self, id: NodeId) -> Slot {
        let listed = |place: &usize| self.nodes.get(*place).is_some_and(|node| node.id == id);
        // Most worlds number their nodes from 1.
        let usual = usize::try_from(id.0.wrapping_sub(1)).ok().filter(listed);
        let place = usual.or_else(|| (0..self.nodes.len()).find(listed));
        Slot(place.expect("the world has every node that it reports"))
    }

    pub(super) fn node(&self, slot: Slot) -> &Node {
        &self.nodes[slot.0]
    }

    /// The node with this id. Panics if the world has no such node.
    pub(super) fn of(&self, id: NodeId) -> &Node {
        self.node(self.slot(id))
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        (0..self.nodes.len()).map(Slot)
    }

    /// The voters under the membership in the node's status. That on the disk may be earlier: a
    /// leader counts acknowledgements of entries that its own disk has not received yet.
    pub(super) fn electorate(&self, slot: Slot) -> &Arc<Electorate> {
        &self.node(slot).electorate
    }

    /// The operation whose command was committed at `index`.
    pub(super) fn origin_at(&self, index: Index) -> PayloadOrigin {
        let id = self.committed.id_at(index).unwrap_or_default();
        self.entries.origin(id).unwrap_or(PayloadOrigin::NoOperation)
    }

    /// Records the membership that the node reports from now on.
    pub(super) fn set_membership(&mut self, slot: Slot, membership: &Membership) {
        if self.node(slot).electorate.membership.ptr_eq(membership) {
            return;
        }
        self.nodes[slot.0].electorate = self.entries.electorate_of(membership);
    }

    /// Starts a node from its disk, which holds everything durable and a prefix of the writes that
    /// were pending at the crash. If the disk is `damaged` and the node starts uncertain, the
    /// end of its log may be lost.
    pub(super) fn start(
        &mut self,
        slot: Slot,
        status: &Status,
        log: &QuorateLog,
        damaged: bool,
    ) -> CheckResult {
        let node = &mut self.nodes[slot.0];
        node.starts += 1;
        node.started_as = Some(*status);
        node.failed = false;
        let pending = std::mem::take(&mut node.pending);
        let found = status.hard_state();
        let may_lose_end = damaged && found.is_uncertain;
        let is_found = |mut held: HardState| {
            held.is_uncertain |= may_lose_end;
            held == found
        };
        let mut written = pending.iter().filter_map(|write| write.hard_state);
        if !is_found(node.disk.hard_state) && !written.any(is_found) {
            let (id, found) = (node.id, describe_hard_state(found));
            let left = describe_hard_state(node.disk.hard_state);
            return S17.violated(format!(
                "{id} restarts with {found}, but its disk held {left} before the restart"
            ));
        }
        let Some(mut kept) = self.kept(slot, &pending, log, may_lose_end)? else {
            let node = self.node(slot);
            let (id, found, left) = (node.id, log.last(), node.disk.log.last_id());
            return S17.violated(format!(
                "{id} restarts with a log that ends with {found}, but the log on its disk ended \
                 with {left} before the restart"
            ));
        };
        kept.hard_state = found;
        let node = &mut self.nodes[slot.0];
        node.replace_disk(kept);
        node.memory = node.disk.clone();
        node.synced = node.disk.log.last();
        let first = log.first_damaged_after(Index::ZERO);
        let damaged = std::iter::successors(first, |last| log.first_damaged_after(*last));
        node.damaged = damaged.map(|index| (index, true)).collect();
        self.check_bootstrap(slot)
    }

    /// The contents of the node's disk if the node starts with this log; `None` if no prefix of the
    /// `pending` writes leads to it. If the disk `may_lose_end`, the last flushes may be missing:
    /// then the log may also end earlier, or be one from before a truncation.
    fn kept(
        &mut self,
        slot: Slot,
        pending: &VecDeque<Write>,
        log: &QuorateLog,
        may_lose_end: bool,
    ) -> CheckResult<Option<Image>> {
        let committed = &self.committed;
        let node = &self.nodes[slot.0];
        let mut kept = node.disk.log.matches(log).then(|| node.disk.clone());
        let mut disk = node.disk.clone();
        for write in pending {
            let id = node.id;
            if let Some(meta) = &write.install {
                match meta.last {
                    EntryId::ZERO => {
                        disk.log.bootstrap(self.entries.electorate_of(&meta.membership))
                    }
                    last => disk.log.install(committed, last.index),
                }
                kept = disk.log.matches(log).then(|| disk.clone()).or(kept);
            }
            for (place, entry) in write.entries.iter().enumerate() {
                if place == 0 {
                    disk.log.truncate(entry.id.index.previous());
                }
                disk.append(id, entry, &mut self.entries, &S17)?;
                kept = disk.log.matches(log).then(|| disk.clone()).or(kept);
            }
        }
        if kept.is_none() && may_lose_end {
            let earlier = [&disk.log, &node.disk.log].into_iter().chain(&node.truncated);
            let starts = earlier.map(|earlier| earlier.through(log.last().index));
            let found = starts.into_iter().find(|start| start.matches(log));
            kept = found.map(|log| Image { log, ..node.disk.clone() });
        }
        Ok(kept)
    }

    /// Keeps a copy of the durable contents of the node's disk, and of the pending writes.
    pub(super) fn copy_disk(&mut self, slot: Slot, copy: u16) {
        let node = &mut self.nodes[slot.0];
        let (disk, pending) = (node.disk.clone(), node.pending.clone());
        let commit_hint = node.commit_hint;
        node.copies.insert(copy, DiskCopy { disk, pending, commit_hint });
    }

    /// Replaces the disk of a node that is down with a copy, marked as uncertain.
    pub(super) fn roll_back(&mut self, slot: Slot, copy: u16) {
        let node = &mut self.nodes[slot.0];
        let copy = node.copies.remove(&copy).expect("the disk is copied before it is rolled back");
        let DiskCopy { mut disk, mut pending, commit_hint } = copy;
        disk.hard_state.is_uncertain = true;
        for hard_state in pending.iter_mut().filter_map(|write| write.hard_state.as_mut()) {
            hard_state.is_uncertain = true;
        }
        node.replace_disk(disk);
        node.memory = node.disk.clone();
        node.synced = node.disk.log.last();
        (node.pending, node.commit_hint) = (pending, commit_hint);
    }

    /// Records the entries that a running node knows to be damaged. A read may report an entry that
    /// was truncated in the meantime; it is ignored.
    pub(super) fn damage(&mut self, slot: Slot, entries: &[EntryId]) {
        let Node { memory, damaged, .. } = &mut self.nodes[slot.0];
        let in_log = entries.iter().filter(|entry| memory.log.id_at(entry.index) == Some(**entry));
        in_log.for_each(|entry| _ = damaged.entry(entry.index).or_insert(false));
    }

    /// Records the entries that a node regards as repaired.
    pub(super) fn repair(&mut self, slot: Slot, entries: &[EntryId]) {
        let damaged = &mut self.nodes[slot.0].damaged;
        entries.iter().for_each(|entry| _ = damaged.remove(&entry.index));
    }

    /// Records the commit index of a node that has just started from a damaged disk. It may be less
    /// than the one stored before: a lost header block is rebuilt with the commit index of the
    /// block before it.
    pub(super) fn lose_commit_hint(&mut self, slot: Slot, committed: Index) {
        let hint = &mut self.nodes[slot.0].commit_hint;
        *hint = committed.min(*hint);
    }

    /// Replaces the disk of a node that is down with an empty one that has this incarnation.
    pub(super) fn wipe(&mut self, slot: Slot, incarnation: Incarnation) {
        let no_members = self.entries.electorate_of(&Membership::default());
        let node = &mut self.nodes[slot.0];
        let before = std::mem::replace(&mut node.incarnation, incarnation);
        let disk = std::mem::replace(&mut node.disk, Image::new(no_members));
        node.lost.push(LostDisk { incarnation: before, disk, counted: node.counted.take() });
        node.truncated.clear();
        node.copies.clear();
        node.memory = node.disk.clone();
        (node.synced, node.commit_hint) = (Index::ZERO, Index::ZERO);
        node.pending.clear();
    }

    /// Checks that all disks have the same first membership: a cluster is bootstrapped once.
    fn check_bootstrap(&mut self, slot: Slot) -> CheckResult {
        let node = &self.nodes[slot.0];
        let first = node.disk.log.electorate_at(Index::ZERO);
        let known = &self.committed.electorate_at(Index::ZERO).membership;
        if first.membership.is_empty() || first.membership == *known {
            return Ok(());
        }
        if known.is_empty() {
            self.committed.bootstrap(Arc::clone(first));
            return Ok(());
        }
        let (id, first) = (node.id, &first.membership);
        let differs = |member: &&Member| {
            let other = known.member(member.id);
            other.is_some_and(|other| other.incarnation != member.incarnation)
        };
        let others = first.members().iter().filter(differs).map(|member| member.id.to_string());
        let others: Vec<String> = others.collect();
        let disks = match others.is_empty() {
            true => String::new(),
            false => format!(" and other disks of {}", others.join(" ")),
        };
        S22.violated(format!(
            "{id} bootstraps a second cluster with membership {first}, but the cluster was \
             bootstrapped with {known}{disks}"
        ))
    }

    /// Checks the write that brings the cluster's first membership to the node's disk.
    fn submit_bootstrap(&mut self, slot: Slot, first: &Membership) -> CheckResult {
        let bootstrap = self.entries.electorate_of(first);
        let node = &mut self.nodes[slot.0];
        let (id, log) = (node.id, &mut node.memory.log);
        let known = &log.electorate().membership;
        if !known.is_empty() || log.last() > Index::ZERO {
            return S22.violated(format!(
                "{id} bootstraps a cluster with membership {first}, but it already has a log or \
                 the membership {known}"
            ));
        }
        log.bootstrap(bootstrap);
        Ok(())
    }

    pub(super) fn disk_failed(&mut self, slot: Slot) {
        self.nodes[slot.0].failed = true;
    }

    pub(super) fn crash(&mut self, slot: Slot) {
        self.nodes[slot.0].lose_memory();
    }

    pub(super) fn submit(&mut self, slot: Slot, write: &Write) -> CheckResult {
        let bootstrap = write.install.as_ref().filter(|meta| meta.last == EntryId::ZERO);
        if let Some(meta) = bootstrap {
            self.submit_bootstrap(slot, &meta.membership)?;
        }
        let committed = &self.committed;
        let node = &mut self.nodes[slot.0];
        if let Some(meta) = write.install.as_ref().filter(|_| bootstrap.is_none()) {
            if !committed.has(meta.last) {
                let (id, last) = (node.id, meta.last);
                return S25.violated(format!(
                    "{id} installs a snapshot that ends with {last}, which is not a committed entry"
                ));
            }
            node.memory.log.install(committed, meta.last.index);
            node.synced = Index::ZERO;
        }
        node.memory.write(node.id, write, &mut self.entries, &S8)?;
        if write.install.is_some() {
            node.damaged.clear();
        }
        if let Some(first) = write.entries.first() {
            node.damaged.split_off(&first.id.index);
            node.synced = node.synced.min(first.id.index.previous());
        }
        node.pending.push_back(write.clone());
        Ok(())
    }

    /// Records that the node received the completion of a write.
    pub(super) fn persist(&mut self, slot: Slot, write: &Write) -> CheckResult {
        let committed = &self.committed;
        let node = &mut self.nodes[slot.0];
        if node.failed {
            let (id, write) = (node.id, write.id);
            return S28
                .violated(format!("{id} treats write {write} as durable after its disk failed"));
        }
        if !write.entries.is_empty() {
            node.commit_hint = write.committed;
        }
        if node.pending.pop_front_if(|next| next.id == write.id).is_none() {
            let (id, write) = (node.id, write.id);
            return S17.violated(format!(
                "{id} receives the completion of write {write} before the completion of an \
                 earlier write"
            ));
        }
        if write.entries.first().is_some_and(|first| first.id.index <= node.disk.log.last()) {
            node.truncated.push(node.disk.log.clone());
        }
        let becomes_uncertain =
            write.hard_state.is_some_and(|hard| hard.is_uncertain) && !node.is_uncertain();
        let before = becomes_uncertain.then(|| node.disk.clone());
        match &write.install {
            Some(meta) if meta.last == EntryId::ZERO => {
                node.disk.log.bootstrap(self.entries.electorate_of(&meta.membership));
            }
            Some(meta) => node.disk.log.install(committed, meta.last.index),
            None => {}
        }
        node.disk.write(node.id, write, &mut self.entries, &S17)?;
        if !node.is_uncertain() {
            node.counted = None;
        } else if before.is_some() {
            node.counted = before;
        }
        if node.has_no_pending_writes() {
            node.compare_memory_with_disk()?;
        }
        self.check_bootstrap(slot)
    }
}

/// Describes a hard state, for example `term t3 and a vote for n2`.
pub(super) fn describe_hard_state(hard_state: HardState) -> String {
    let HardState { term, vote, is_uncertain, .. } = hard_state;
    let uncertain = if is_uncertain { ", marked as uncertain" } else { "" };
    match vote {
        Some(vote) => format!("term {term} and a vote for {vote}{uncertain}"),
        None => format!("term {term} and no vote{uncertain}"),
    }
}
