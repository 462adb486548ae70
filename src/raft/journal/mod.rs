//! The node's log and last snapshot, and the outbox through which the core writes entries,
//! installed snapshots and the hard state to the disk.

pub(crate) mod apply;
pub(crate) mod outbox;
pub(crate) mod snapshots;

use crate::log::Log;
use crate::raft::journal::outbox::Outbox;
use crate::types::{
    Entries, Entry, EntryId, Index, Instant, Membership, SnapshotMeta, Write, WriteId,
};

/// The log, the last snapshot, and the outbox. An appended entry, a truncation and an installed
/// snapshot always reach the outbox. A snapshot that was taken, adopted or rebuilt from is durable
/// before the core learns of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Journal {
    log: Log,
    /// The last snapshot; `log.snapshot()` is its last entry.
    snapshot: SnapshotMeta,
    outbox: Outbox,
}

impl Journal {
    pub(crate) fn new(log: Log, snapshot: SnapshotMeta) -> Journal {
        assert!(log.snapshot() == snapshot.last, "the log's snapshot is the node's");
        Journal { log, snapshot, outbox: Outbox::default() }
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    pub(crate) fn snapshot(&self) -> &SnapshotMeta {
        &self.snapshot
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// The outbox, for changes that do not concern the log: the hard state and waiting messages.
    pub(crate) fn outbox_mut(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// The log to read, and the outbox to change.
    pub(crate) fn log_and_outbox(&mut self) -> (&Log, &mut Outbox) {
        (&self.log, &mut self.outbox)
    }

    /// Appends an entry, received from the leader or created here.
    #[inline]
    pub(crate) fn append(&mut self, entry: Entry) {
        self.log.append(entry.clone());
        self.outbox.write_entry(entry);
    }

    /// Appends entries received from the leader, without a gap.
    #[inline]
    pub(crate) fn append_all(&mut self, entries: Entries) {
        self.log.append_all(entries.clone());
        self.outbox.write_entries(entries);
    }

    /// Truncates the log after `last`.
    pub(crate) fn truncate(&mut self, last: Index) {
        self.log.truncate(last);
        self.outbox.truncate(last);
    }

    /// Commits the log through `index`, unless a later index is committed.
    #[inline]
    pub(crate) fn commit(&mut self, index: Index) {
        self.log.commit(index);
    }

    /// Makes `membership` active before the first log entry.
    pub(crate) fn bootstrap(&mut self, membership: Membership) {
        assert!(self.log.membership().is_empty(), "a cluster is bootstrapped once");
        let meta = SnapshotMeta { membership, ..self.snapshot.clone() };
        self.log.bootstrap(&meta.membership);
        self.snapshot = meta.clone();
        self.outbox.write_install(meta);
    }

    /// Replaces the whole log with the snapshot.
    pub(crate) fn install(&mut self, meta: SnapshotMeta) {
        assert!(meta.last.index > self.log.committed(), "no committed entry is replaced");
        self.log.reset(&meta);
        self.snapshot = meta.clone();
        self.outbox.write_install(meta);
    }

    /// Records a snapshot taken of this node's state machine and compacts the log through `base`,
    /// or through a later damaged entry that the snapshot covers.
    pub(crate) fn take_snapshot(&mut self, meta: SnapshotMeta, base: Index) {
        assert!(base <= meta.last.index, "only entries that a snapshot covers are compacted");
        self.log.take_snapshot(meta.last);
        self.snapshot = meta;
        if base > self.log.base().index {
            self.log.compact(base);
        }
        self.log.drop_covered_damage();
    }

    /// Records another node's snapshot of this log. It replaces the entries that it covers.
    pub(crate) fn adopt_snapshot(&mut self, meta: SnapshotMeta) {
        self.log.adopt_snapshot(&meta);
        self.snapshot = meta;
    }

    /// Marks a durable entry of the log as damaged.
    pub(crate) fn mark_damaged(&mut self, id: EntryId) {
        self.log.mark_damaged(id);
    }

    /// Compacts the log through the last damaged entry that the snapshot covers.
    pub(crate) fn drop_covered_damage(&mut self) {
        self.log.drop_covered_damage();
    }

    /// Marks an entry as intact again, and records its content if that is a membership.
    pub(crate) fn mark_repaired(&mut self, id: EntryId, membership: Option<&Membership>) {
        self.log.mark_repaired(id, membership);
    }

    /// Restarts the log from a snapshot of this same log.
    pub(crate) fn rebuild(&mut self, meta: SnapshotMeta) {
        self.log.rebuild(&meta);
        self.snapshot = meta;
    }

    /// Begins to restore the state machine from the last snapshot, if that is due, and returns the
    /// snapshot.
    pub(crate) fn begin_restore(&mut self) -> Option<SnapshotMeta> {
        if !self.log.may_restore() {
            return None;
        }
        self.log.begin_restore();
        Some(self.snapshot.clone())
    }

    /// Records that the entries up to `last` are passed to the state machine.
    #[inline]
    pub(crate) fn begin_apply(&mut self, last: Index) {
        self.log.begin_apply(last);
    }

    /// Records that the state machine has applied the log up to `index`.
    pub(crate) fn mark_applied(&mut self, index: Index) {
        assert!(index <= self.log.applying(), "contract: only entries handed over are applied");
        assert!(index >= self.log.applied(), "contract: the applied index never goes back");
        self.log.mark_applied(index);
    }

    /// Drops durable entries from memory until at most `bytes_max` bytes are left.
    #[inline]
    pub(crate) fn evict(&mut self, bytes_max: usize) {
        self.log.evict(bytes_max);
    }

    /// Returns the write of the current step. The step must have changed something.
    #[inline]
    pub(crate) fn submit(&mut self, now: Instant) -> Write {
        // An entry that is not durable may still be lost, so the commit index that is stored with
        // the write does not exceed the durable index.
        let committed = self.log.committed().min(self.log.durable());
        self.outbox.submit(committed, now)
    }

    /// Marks every write up to `write` as durable.
    #[inline]
    pub(crate) fn persisted(&mut self, write: WriteId, now: Instant) {
        let before = self.log.durable();
        self.log.persisted(self.outbox.persisted(write, now));
        assert!(self.log.durable() >= before, "a durable entry stays durable");
    }

    /// Panics if the log, the snapshot or the outbox contradict one another.
    pub(crate) fn assert_invariants(&self) {
        self.log.assert_invariants();
        self.outbox.assert_invariants();
        assert!(self.snapshot.last == self.log.snapshot(), "the log's snapshot is the node's");
    }
}
