//! The disk of the node under test.

use quorate::log::Log;
use quorate::types::{
    Entry, EntryId, HardState, Index, Membership, NodeId, Payload, Restored, SnapshotMeta, Term,
    Write,
};

use super::bytes::Bytes;
use super::messages::known_bootstrap_peer;

/// The durable state of the node.
#[derive(Clone, Debug)]
pub(crate) struct Disk {
    pub(crate) hard_state: HardState,
    pub(crate) committed: Index,
    pub(crate) snapshot: SnapshotMeta,
    /// The entry before the log, at or before the snapshot's last.
    pub(crate) base: EntryId,
    /// The log after the base.
    pub(crate) log: Vec<Entry>,
    /// Whether the state machine keeps durable state of its own.
    machine_is_durable: bool,
}

impl Disk {
    /// Returns a random initial disk: empty, or with a log, perhaps after a snapshot.
    pub(crate) fn first(membership: Membership, bytes: &mut Bytes<'_>) -> Disk {
        let has_membership = !membership.is_empty();
        let base = match bytes.below(3) {
            2 if has_membership => EntryId::new(Term(1), Index(3)),
            _ => EntryId::ZERO,
        };
        let count = u64::from(bytes.below(6));
        let count = if has_membership { count } else { 0 };
        let log = (1..=count).map(|offset| {
            let term = Term(1 + offset / 3);
            Entry { id: EntryId::new(term, Index(base.index.0 + offset)), payload: Payload::Noop }
        });
        let log: Vec<Entry> = log.collect();
        let term = log.last().map_or(base.term, |entry| entry.id.term);
        let snapshot = SnapshotMeta::empty(base, membership);
        let hard_state = HardState::new(term, None);
        let machine_is_durable = log.len() % 2 == 1;
        Disk { hard_state, committed: base.index, snapshot, base, log, machine_is_durable }
    }

    pub(crate) fn base(&self) -> Index {
        self.base.index
    }

    pub(crate) fn id_at(&self, index: Index) -> EntryId {
        if index == self.snapshot.last.index {
            return self.snapshot.last;
        }
        self.at(index).expect("the disk has it").id
    }

    /// Removes every entry through `base`.
    pub(crate) fn compact(&mut self, base: EntryId) {
        self.log.retain(|entry| entry.id.index > base.index);
        self.base = base;
    }

    pub(crate) fn last(&self) -> Index {
        Index(self.base().0 + self.log.len() as u64)
    }

    pub(crate) fn place(&self, index: Index) -> usize {
        usize::try_from(index.0 - self.base().0 - 1).expect("a log fits into memory")
    }

    pub(crate) fn at(&self, index: Index) -> Option<&Entry> {
        if index > self.base() { self.log.get(self.place(index)) } else { None }
    }

    /// Whether the state machine may apply the entry: the entry is durable, or a crash loses both
    /// the entry and the state, because both are only in memory.
    pub(crate) fn may_apply(&self, entry: &Entry, log: &Log) -> bool {
        let (index, may_be_lost) = (entry.id.index, !self.machine_is_durable);
        self.at(index) == Some(entry) || (may_be_lost && log.in_memory(index) == Some(entry))
    }

    pub(crate) fn read(&self, first: Index, last: Index) -> Vec<Entry> {
        (first.0..=last.0).map_while(|index| self.at(Index(index)).cloned()).collect()
    }

    pub(crate) fn store(&mut self, write: &Write) {
        self.hard_state = write.hard_state.unwrap_or(self.hard_state);
        self.committed = write.committed;
        if let Some(meta) = &write.install {
            (self.base, self.snapshot) = (meta.last, (**meta).clone());
            self.log.clear();
        }
        if let Some(first) = write.entries.first() {
            assert!(
                first.id.index > self.snapshot.last.index,
                "a write keeps the entries that the snapshot covers"
            );
            assert!(first.id.index <= self.last().next(), "a write leaves no gap");
            self.log.truncate(self.place(first.id.index));
            self.log.extend_from_slice(&write.entries);
        }
    }

    pub(crate) fn restored(&self, tail: usize) -> Restored {
        let (hard_state, committed) = (self.hard_state, self.committed);
        let base = SnapshotMeta::empty(self.base, self.snapshot.membership.clone());
        let mut restored = Restored::with_log(hard_state, committed, base, self.log.clone());
        restored.incarnation = known_bootstrap_peer(NodeId(1)).incarnation;
        restored.snapshot = self.snapshot.clone();
        restored.memberships.retain(|(index, _)| *index > self.snapshot.last.index);
        restored.applied = self.snapshot.last.index;
        restored.machine.is_durable = self.machine_is_durable;
        restored.tail.drain(..self.log.len().saturating_sub(tail));
        restored
    }
}
