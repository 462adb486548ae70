//! The log's indices and terms, and a bounded tail of its entries in memory.
//!
//! The indices obey base ≤ snapshot ≤ applied ≤ committed ≤ last, and durable ≤ last. An entry may
//! be applied before it is durable here, unless the state machine is durable itself
//! (docs/book/src/before-the-disk.md). A snapshot received from another node replaces the whole log
//! at once. If the log has the snapshot's last entry, the snapshot replaces only the entries that
//! it covers, and only if some of them are damaged. After either replacement, and after a rebuild,
//! applied may be before snapshot until the state machine is restored from the snapshot.
//!
//! Entries that left the tail are *cold*: they are on the disk, and the log only returns the range
//! to fetch.

mod damaged;
mod memberships;
mod restore;
mod tail;
mod term_runs;

use crate::log::damaged::Damaged;
use crate::log::memberships::Memberships;
use crate::log::tail::Tail;
use crate::log::term_runs::TermRuns;
use crate::types::{
    Entries, Entry, EntryId, Index, Membership, Payload, Restored, SnapshotMeta, Term,
};

/// One node's log: its indices, terms and memberships, and its latest entries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Log {
    runs: TermRuns,
    tail: Tail,
    memberships: Memberships,
    damaged: Damaged,
    /// The last entry that the last snapshot covers.
    snapshot: EntryId,
    durable: Index,
    committed: Index,
    /// The last index passed to the state machine, which has applied the log up to `applied`.
    applying: Index,
    applied: Index,
    /// Whether the state machine keeps durable state of its own, which must never be ahead of the
    /// log on this disk.
    machine_is_durable: bool,
}

/// The entries of a range if they are in memory, or else the range to fetch from the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slice {
    /// In memory: as many as the bounds allow, at least one unless the range is empty.
    Hot {
        /// Consecutive entries from the first index of the range on.
        entries: Entries,
        /// Their size in bytes, as [`Entry::bytes`] counts it.
        bytes: usize,
    },
    /// The first entry is not in memory: fetch the entries up to `last`, which respects the
    /// bound on their number.
    Cold {
        /// The last index to fetch; the first one is that of the range.
        last: Index,
    },
    /// The first entry is damaged, and not in memory either.
    Damaged,
}

/// The result of comparing a leader's entries with the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendCheck {
    /// The log has all of the entries.
    AllPresent,
    /// The log has the entries before this index. At this index it has no entry, or a different
    /// one.
    MissingFrom(Index),
    /// The log has another entry at a committed index, which no correct leader causes.
    ConflictsWithCommitted,
}

impl Log {
    /// Returns the log that was durable when the node stopped.
    ///
    /// # Errors
    /// A sentence that names a field of `restored` that contradicts the others.
    pub fn new(restored: &Restored) -> Result<Log, &'static str> {
        let runs = restore::runs(restored)?;
        let snapshot = restored.snapshot.last;
        if snapshot.index < runs.base().index {
            return Err("the snapshot is before the base");
        }
        if restored.last < snapshot.index {
            return Err("last is before the snapshot");
        }
        if runs.term_at(snapshot.index) != Some(snapshot.term) {
            return Err("the snapshot's term differs from the log's");
        }
        let tail = restore::tail(restored, &runs)?;
        let memberships = restore::memberships(restored)?;
        let damaged = restore::damaged(restored, &runs, &tail)?;
        if restored.applied < snapshot.index || restored.applied > restored.last {
            return Err("applied is before the snapshot or after last");
        }
        let mut log = Log {
            runs,
            tail,
            memberships,
            damaged,
            snapshot,
            durable: restored.last,
            committed: restored.committed.clamp(restored.applied, restored.last),
            applying: restored.applied,
            applied: restored.applied,
            machine_is_durable: restored.machine.is_durable,
        };
        log.drop_covered_damage();
        Ok(log)
    }

    /// The last entry, or the base of an empty log.
    #[must_use]
    pub fn last(&self) -> EntryId {
        self.runs.last()
    }

    /// The base of the log: the entry before the first one that it has.
    #[must_use]
    pub fn base(&self) -> EntryId {
        self.runs.base()
    }

    /// The last entry that the last snapshot covers; at the base or after it.
    #[must_use]
    pub fn snapshot(&self) -> EntryId {
        self.snapshot
    }

    /// The last index up to which the disk is known to have this log, or a snapshot of it.
    #[must_use]
    pub fn durable(&self) -> Index {
        self.durable
    }

    /// The last index up to which the disk is known to have this log with the content of every
    /// entry, or a snapshot of it. Only entries up to there are acknowledged and count for a
    /// commit.
    #[must_use]
    #[inline]
    pub fn intact(&self) -> Index {
        self.durable.min(self.last_before_damage())
    }

    /// The last index before the first damaged entry after the snapshot; the last index of the log
    /// if none is damaged.
    #[must_use]
    #[inline]
    pub fn last_before_damage(&self) -> Index {
        let first = self.damaged.first_after(self.snapshot.index);
        first.map_or(self.last().index, Index::previous)
    }

    /// The number of damaged entries.
    #[must_use]
    pub fn damaged_entries(&self) -> usize {
        self.damaged.len()
    }

    /// The index of the first damaged entry after `index`.
    #[must_use]
    pub fn first_damaged_after(&self, index: Index) -> Option<Index> {
        self.damaged.first_after(index)
    }

    /// Whether the entry at `index` is damaged.
    #[must_use]
    pub fn is_damaged(&self, index: Index) -> bool {
        self.damaged.contains(index)
    }

    /// Whether a damaged entry after the snapshot is a membership that this node does not know, so
    /// that the active membership may differ from [`Log::membership`].
    #[must_use]
    pub fn has_unknown_membership(&self) -> bool {
        self.damaged.has_unknown_membership()
    }

    /// Whether the entry at `index` is a damaged membership that this node does not know.
    #[must_use]
    pub fn is_unknown_membership(&self, index: Index) -> bool {
        self.damaged.is_unknown_membership(index)
    }

    /// The last index known to be committed.
    #[must_use]
    pub fn committed(&self) -> Index {
        self.committed
    }

    /// The last index that the state machine has applied.
    #[must_use]
    pub fn applied(&self) -> Index {
        self.applied
    }

    /// The last index up to which every entry is applied and durable here, so that neither the
    /// state machine nor the disk needs it in memory any more.
    #[must_use]
    pub fn finished(&self) -> Index {
        self.applied.min(self.durable)
    }

    /// The last index passed to the state machine.
    #[must_use]
    pub fn applying(&self) -> Index {
        self.applying
    }

    /// The active membership: the last one in the log, committed or not (Raft §6).
    #[must_use]
    #[inline]
    pub fn membership(&self) -> &Membership {
        &self.memberships.last().1
    }

    /// The index of the active membership's entry. If the snapshot covers that entry, this may be a
    /// later index, up to that of the snapshot's last entry.
    #[must_use]
    pub fn membership_index(&self) -> Index {
        self.memberships.last().0
    }

    /// The membership that was active when the log ended at `index`; `None` if it is older than the
    /// snapshot's membership and was compacted, or if it is the first membership, which is not an
    /// entry, and this node joined the cluster later.
    #[must_use]
    pub fn membership_at(&self, index: Index) -> Option<&Membership> {
        self.memberships.at(index).filter(|membership| !membership.is_empty())
    }

    /// Whether no membership was compacted: the log has every one that is an entry.
    pub(crate) fn has_all_memberships(&self) -> bool {
        self.memberships.at(Index::ZERO).is_some()
    }

    /// The total size of the entries in memory, in bytes.
    #[must_use]
    pub fn tail_bytes(&self) -> usize {
        self.tail.bytes()
    }

    /// The index of the first entry in memory, or of the next one to append.
    #[must_use]
    pub fn tail_first(&self) -> Index {
        self.tail.first()
    }

    /// Returns the entry at `index` if it is in memory.
    #[must_use]
    pub fn in_memory(&self, index: Index) -> Option<&Entry> {
        self.tail.after(index.previous()).next().filter(|entry| entry.id.index == index)
    }

    /// Returns the entries in memory after `index`.
    pub fn in_memory_after(&self, index: Index) -> impl DoubleEndedIterator<Item = &Entry> {
        self.tail.after(index)
    }

    /// The term of the entry at `index`; `None` if `index` is before the base or after the last
    /// entry.
    #[must_use]
    #[inline]
    pub fn term_at(&self, index: Index) -> Option<Term> {
        self.runs.term_at(index)
    }

    /// Whether `id` is an entry of the log or its base (the consistency check of Raft §5.3).
    #[must_use]
    #[inline]
    pub fn has(&self, id: EntryId) -> bool {
        self.term_at(id.index) == Some(id.term)
    }

    /// Whether the log has a committed entry other than `id` at the index of `id`.
    #[must_use]
    pub fn contradicts(&self, id: EntryId) -> bool {
        (self.base().index..=self.committed).contains(&id.index) && !self.has(id)
    }

    /// Returns the last entry at or before `index` whose term is at most `term`, or the base if the
    /// log has none. If another log has `term` at `index`, the two logs match at most up to the
    /// returned entry.
    #[must_use]
    pub fn find_conflict_by_term(&self, index: Index, term: Term) -> EntryId {
        self.runs.find_conflict_by_term(index, term)
    }

    /// Appends one entry, whose index must follow the last one.
    #[inline]
    pub fn append(&mut self, entry: Entry) {
        self.record(&entry);
        self.tail.push(entry);
    }

    /// Appends entries without a gap, the first of which must follow the last one.
    #[inline]
    pub fn append_all(&mut self, entries: Entries) {
        let (mut last, mut bytes) = (self.last(), 0);
        for entry in &entries {
            bytes += entry.bytes();
            assert!(entry.id.index == last.index.next(), "a log has no gap");
            if entry.id.term != last.term {
                self.record_through(last);
            }
            last = entry.id;
            if let Payload::Membership(membership) = &entry.payload {
                self.memberships.push(last.index, membership.clone());
            }
        }
        self.record_through(last);
        self.tail.extend(entries, bytes);
    }

    /// Records that the entries after the last one, up to `last`, have the term of `last`.
    fn record_through(&mut self, last: EntryId) {
        if last.index > self.last().index {
            self.runs.extend(last.term, last.index);
        }
    }

    /// Records the term of the next entry, and its membership if it is one.
    #[inline]
    fn record(&mut self, entry: &Entry) {
        assert_eq!(entry.id.index, self.last().index.next(), "a log has no gap");
        self.runs.push(entry.id.term);
        if let Some((index, membership)) = entry.membership() {
            self.memberships.push(index, membership);
        }
    }

    /// Compares consecutive `entries` with the log. Entries before the base count as equal.
    #[must_use]
    #[inline]
    pub fn check_append(&self, entries: &[Entry]) -> AppendCheck {
        let base = self.base().index;
        let is_missing = |entry: &&Entry| entry.id.index >= base && !self.has(entry.id);
        match entries.iter().find(is_missing) {
            None => AppendCheck::AllPresent,
            Some(entry) if entry.id.index <= self.committed => AppendCheck::ConflictsWithCommitted,
            Some(entry) => AppendCheck::MissingFrom(entry.id.index),
        }
    }

    /// Drops every entry after `last`, none of which may be committed.
    pub fn truncate(&mut self, last: Index) {
        assert!(last >= self.committed, "a committed entry is never truncated");
        self.runs.truncate(last);
        self.tail.truncate(last);
        self.memberships.truncate(last);
        self.damaged.truncate(last);
        self.durable = self.durable.min(last);
    }

    /// Records a snapshot of the state machine that ends with `last`, an applied entry that is
    /// durable, so that a crash leaves no gap between the snapshot and the log.
    pub fn take_snapshot(&mut self, last: EntryId) {
        assert!(last.index >= self.snapshot.index, "snapshots only advance");
        assert!(last.index <= self.applied, "a snapshot covers applied entries only");
        assert!(last.index <= self.durable, "a snapshot covers durable entries only");
        assert!(self.has(last), "a snapshot ends with an entry of the log");
        self.snapshot = last;
        self.memberships.compact(last.index);
    }

    /// Compacts the log through `base`, which the snapshot covers.
    pub fn compact(&mut self, base: Index) {
        assert!(base >= self.base().index, "a base only advances");
        assert!(base <= self.snapshot.index, "only entries that a snapshot covers are compacted");
        self.runs.compact(base);
        self.tail.compact(base);
        self.damaged.compact(base);
    }

    /// Compacts the log through the last damaged entry that the snapshot covers, if there is one:
    /// such an entry is not kept for peers, because they can take the snapshot.
    pub fn drop_covered_damage(&mut self) {
        if let Some(base) = self.damaged.last_through(self.snapshot.index) {
            self.compact(base);
        }
    }

    /// Replaces the whole log with a snapshot received from another node. The entries that it
    /// covers are committed, but not durable here yet.
    pub fn reset(&mut self, snapshot: &SnapshotMeta) {
        let last = snapshot.last;
        assert!(last.index > self.committed, "an installed snapshot is ahead of the commit index");
        assert!(last.index <= Index::MAX, "an index never exceeds the maximum");
        self.runs = TermRuns::new(last);
        self.tail = Tail::new(last.index.next());
        self.damaged = Damaged::default();
        self.memberships = Memberships::new(last.index, snapshot.membership.clone());
        self.snapshot = last;
        // Of the durable entries, only the committed ones are known to be entries that the snapshot
        // covers.
        self.durable = self.durable.min(self.committed);
        self.committed = last.index;
    }

    /// Restarts the log from a snapshot that ends with an entry of this log. The state machine is
    /// restored from the snapshot and then applies the later entries, including those that it had
    /// applied before.
    pub fn rebuild(&mut self, snapshot: &SnapshotMeta) {
        let last = snapshot.last;
        assert!(last.index > self.snapshot.index, "snapshots only advance");
        assert!(last.index <= self.durable, "a state machine restarts from a durable entry");
        assert!(self.has(last), "a snapshot ends with an entry of the log");
        assert!(self.applying == self.applied, "no batch is being applied");
        self.commit(last.index);
        self.snapshot = last;
        self.memberships.replace_through(last.index, snapshot.membership.clone());
        self.compact(last.index);
        self.applied = self.applied.min(last.index.previous());
        self.applying = self.applied;
    }

    /// Records another node's snapshot that ends with an entry of this log. The snapshot replaces
    /// the entries that it covers, damaged ones too; later entries stay. A state machine that has
    /// applied less is restored from the snapshot.
    pub fn adopt_snapshot(&mut self, snapshot: &SnapshotMeta) {
        let last = snapshot.last;
        assert!(last.index > self.snapshot.index, "snapshots only advance");
        assert!(last.index <= self.durable, "an adopted snapshot ends with a durable entry");
        assert!(self.has(last), "an adopted snapshot ends with an entry of the log");
        self.commit(last.index);
        self.snapshot = last;
        self.memberships.replace_through(last.index, snapshot.membership.clone());
        self.compact(last.index);
    }

    /// Makes the first membership of a new cluster active before the first log entry.
    pub fn bootstrap(&mut self, membership: &Membership) {
        assert!(self.last() == EntryId::ZERO, "a cluster is bootstrapped before its first entry");
        assert!(self.membership().is_empty(), "a cluster is bootstrapped once");
        self.memberships = Memberships::new(Index::ZERO, membership.clone());
    }

    /// Marks every entry up to `index` as durable.
    pub fn persisted(&mut self, index: Index) {
        assert!(index <= self.last().index, "durable entries are in the log");
        self.durable = self.durable.max(index);
    }

    /// Marks a durable entry of the log as damaged. An entry that was truncated or compacted
    /// meanwhile is ignored.
    pub fn mark_damaged(&mut self, id: EntryId) {
        if id.index > self.base().index && id.index <= self.durable && self.has(id) {
            self.damaged.insert(id.index);
        }
    }

    /// Marks an entry as intact on the disk again; `membership` is its content, if that is known.
    /// Without its content, an unknown membership stays damaged. An entry that is not damaged, or
    /// no longer in the log, is ignored.
    pub fn mark_repaired(&mut self, id: EntryId, membership: Option<&Membership>) {
        let is_unknown = self.is_unknown_membership(id.index);
        if !self.has(id) || (is_unknown && membership.is_none()) {
            return;
        }
        self.damaged.remove(id.index);
        if let Some(membership) = membership.filter(|_| is_unknown) {
            self.memberships.insert(id.index, membership.clone());
        }
    }

    /// Moves the commit index forward to `index`, never back.
    #[inline]
    pub fn commit(&mut self, index: Index) {
        assert!(index <= self.last().index, "committed entries are in the log");
        self.committed = self.committed.max(index);
    }

    /// Whether the log has nothing to pass to the state machine now: the state machine has
    /// everything, is busy, or is durable and the next entry is not on the disk yet.
    #[inline]
    #[must_use]
    pub fn has_handed_over(&self) -> bool {
        let has_all = self.applied >= self.committed;
        let is_busy = self.applying > self.applied;
        let is_restored = self.applied >= self.snapshot.index;
        has_all || is_busy || (is_restored && self.applied >= self.applicable())
    }

    /// Whether the state machine can be restored from the snapshot now: the snapshot is durable,
    /// and no batch is being applied.
    #[must_use]
    #[inline]
    pub fn may_restore(&self) -> bool {
        let snapshot = self.snapshot.index;
        self.applying < snapshot && self.applying == self.applied && snapshot <= self.durable
    }

    /// Marks the snapshot as passed to the state machine.
    pub fn begin_restore(&mut self) {
        assert!(self.may_restore(), "only a durable snapshot is restored");
        self.applying = self.snapshot.index;
    }

    /// The last index that may be passed to the state machine. A state machine in memory gets every
    /// committed entry, because a crash loses its state as well. One that is durable itself gets
    /// only entries that are durable here, so that it is never ahead of the log after a crash.
    #[must_use]
    #[inline]
    pub fn applicable(&self) -> Index {
        if self.machine_is_durable { self.committed.min(self.durable) } else { self.committed }
    }

    /// Returns the first and the last index of the entries to apply next. `None` if there are none,
    /// if a batch is being applied, or if the snapshot must be restored first.
    #[must_use]
    #[inline]
    pub fn next_to_apply(&self) -> Option<(Index, Index)> {
        let last = self.applicable();
        let waits = self.applied < self.snapshot.index || self.applying > self.applied;
        (!waits && self.applied < last).then(|| (self.applied.next(), last))
    }

    /// Marks the entries up to `index` as passed to the state machine.
    #[inline]
    pub fn begin_apply(&mut self, index: Index) {
        assert!(index > self.applying, "entries are handed over once");
        assert!(self.applied >= self.snapshot.index, "entries follow the snapshot");
        assert!(index <= self.applicable(), "only applicable entries are handed over");
        self.applying = index;
    }

    /// Marks the entries up to `index` as applied.
    pub fn mark_applied(&mut self, index: Index) {
        let is_handed_over = (self.applied..=self.applying).contains(&index);
        assert!(is_handed_over, "only entries handed over are applied");
        self.applied = index;
    }

    /// Returns up to `entries_max` entries of `first..=last`, together up to `bytes_max` bytes but
    /// at least one. If `first` is not in memory, returns the range to fetch instead, which ends
    /// before the first damaged entry. `first` must be after the base.
    #[must_use]
    #[inline]
    pub fn slice(&self, first: Index, last: Index, entries_max: usize, bytes_max: usize) -> Slice {
        assert!(first > self.base().index, "the log still has the entry");
        let last = last.min(self.last().index);
        if first > last {
            return Slice::Hot { entries: Entries::new(), bytes: 0 };
        }
        if first < self.tail.first() {
            let last_cold = last.min(self.tail.first().previous());
            let last_requested = Index(first.0.saturating_add(entries_max as u64 - 1));
            let last_intact = match self.damaged.first_after(first.previous()) {
                Some(damaged) if damaged == first => return Slice::Damaged,
                damaged => damaged.map_or(last_cold, Index::previous),
            };
            return Slice::Cold { last: last_cold.min(last_requested).min(last_intact) };
        }
        let (entries, bytes) = self.tail.slice(first, last, entries_max, bytes_max);
        Slice::Hot { entries, bytes }
    }

    /// Drops the oldest durable entries from memory while those in memory exceed `bytes_max` bytes.
    #[inline]
    pub fn evict(&mut self, bytes_max: usize) {
        if self.tail.bytes() > bytes_max {
            self.tail.evict(bytes_max, self.durable);
        }
    }

    /// Panics if an index is out of order.
    pub fn assert_invariants(&self) {
        let last = self.last().index;
        let snapshot = self.snapshot.index;
        assert!(self.base().index <= snapshot, "only entries that a snapshot covers are compacted");
        let installed = self.base() == self.snapshot;
        assert!(
            snapshot <= self.applied || installed,
            "a snapshot taken on this node covers applied entries"
        );
        assert!(self.has(self.snapshot), "the snapshot is of this log");
        assert!(
            snapshot <= self.durable || self.applied < snapshot,
            "only a snapshot that is being installed is ahead of the durable log"
        );
        let is_within_disk = self.applied <= self.durable;
        assert!(is_within_disk || !self.machine_is_durable, "a durable state machine is not ahead");
        assert!(self.applied <= self.applying, "only entries handed over are applied");
        assert!(self.applying <= self.committed, "only committed entries are applied");
        assert!(self.committed <= last, "committed entries are in the log");
        assert!(self.durable <= last, "durable entries are in the log");
        assert!(snapshot <= self.committed, "a snapshot covers committed entries only");
        self.tail.assert_invariants(self.base().index, self.last());
        self.damaged.assert_invariants(self.base().index, self.durable);
        self.memberships.assert_invariants(snapshot, last);
        let kept = self.durable.max(self.base().index);
        assert!(self.tail.first() <= kept.next(), "entries that are not durable are in memory");
    }
}
