//! The log in memory: the ladder base ≤ snapshot ≤ applied ≤ committed ≤ last and durable ≤ last,
//! the term of every index, and a bounded tail of entries.
//!
//! A snapshot received from elsewhere takes the place of the whole log at once; until the state
//! machine has started over from it, applied < snapshot.
//!
//! Entries that left the tail are *cold*: they are on the disk, and the log only tells which to
//! fetch.

mod memberships;
mod runs;
mod tail;

use alloc::vec::Vec;

use crate::log::memberships::Memberships;
use crate::log::runs::Runs;
use crate::log::tail::Tail;
use crate::types::{Entry, EntryId, Index, Membership, Restored, SnapshotMeta, Term};

/// One node's log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Log {
    runs: Runs,
    tail: Tail,
    memberships: Memberships,
    /// What the last snapshot ends with.
    snapshot: EntryId,
    durable: Index,
    committed: Index,
    /// How far the log was handed to the state machine; it has applied up to `applied`.
    applying: Index,
    applied: Index,
}

/// Where the entries of a range are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Slice {
    /// In memory: as many as the bounds allow, at least one unless the range is empty.
    Hot(Vec<Entry>),
    /// The first of them is only on the disk: fetch up to `last`, within the bound on entries.
    Cold {
        /// The last index to fetch; the one asked from is the first.
        last: Index,
    },
}

/// How entries from a leader fit a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The log has all of them.
    Known,
    /// The log agrees up to the index before, and lacks or contradicts the entry at it.
    From(Index),
    /// The log contradicts them at a committed index, which cannot be.
    AgainstCommitted,
}

impl Log {
    /// The log as the disk had it.
    ///
    /// # Errors
    /// A sentence that names the field of `restored` that contradicts the others.
    pub fn new(restored: &Restored) -> Result<Log, &'static str> {
        let runs = Self::restored_runs(restored)?;
        let snapshot = restored.snapshot.last;
        if snapshot.index < runs.base().index {
            return Err("the snapshot is before the base");
        }
        if restored.last < snapshot.index {
            return Err("last is before the snapshot");
        }
        if runs.term_at(snapshot.index) != Some(snapshot.term) {
            return Err("the snapshot's term is not the log's");
        }
        let tail = Self::restored_tail(restored, &runs)?;
        let memberships = Self::restored_memberships(restored)?;
        if restored.applied < snapshot.index || restored.applied > restored.last {
            return Err("applied is outside the log");
        }
        Ok(Log {
            runs,
            tail,
            memberships,
            snapshot,
            durable: restored.last,
            committed: restored.committed.clamp(restored.applied, restored.last),
            applying: restored.applied,
            applied: restored.applied,
        })
    }

    fn restored_runs(restored: &Restored) -> Result<Runs, &'static str> {
        let base = restored.base;
        let mut runs = Runs::new(base);
        if restored.last < base.index {
            return Err("last is before the base");
        }
        if (base.index == Index::ZERO) != (base.term == Term::ZERO) {
            return Err("the base is in no term, or nowhere");
        }
        if restored.last > Index::MAX {
            return Err("last is beyond the highest index");
        }
        let mut starts = restored.runs.iter().peekable();
        if starts.peek().map_or(restored.last, |start| start.index.previous()) > base.index {
            let last = starts.peek().map_or(restored.last, |start| start.index.previous());
            runs.extend(base.term, last);
        }
        while let Some(start) = starts.next() {
            let last = starts.peek().map_or(restored.last, |next| next.index.previous());
            if start.index != runs.last().index.next() || start.term <= runs.last().term {
                return Err("runs do not ascend from the base");
            }
            if last < start.index || last > restored.last {
                return Err("runs do not end at last");
            }
            runs.extend(start.term, last);
        }
        if base == EntryId::ZERO && runs.term_at(Index(1)) == Some(Term::ZERO) {
            return Err("runs leave the first entry without a term");
        }
        Ok(runs)
    }

    fn restored_tail(restored: &Restored, runs: &Runs) -> Result<Tail, &'static str> {
        let first = restored.tail.first().map_or(restored.last.next(), |entry| entry.id.index);
        if first <= runs.base().index {
            return Err("tail begins before the base");
        }
        let mut tail = Tail::new(first);
        let mut next = first;
        for entry in &restored.tail {
            if entry.id.index != next || runs.term_at(next) != Some(entry.id.term) {
                return Err("tail differs from runs");
            }
            tail.push(entry.clone());
            next = next.next();
        }
        if next != restored.last.next() {
            return Err("tail does not end at last");
        }
        Ok(tail)
    }

    fn restored_memberships(restored: &Restored) -> Result<Memberships, &'static str> {
        let SnapshotMeta { last, membership, .. } = &restored.snapshot;
        let mut memberships = Memberships::new(last.index, membership.clone());
        for (index, membership) in &restored.memberships {
            if *index <= memberships.last().0 || *index > restored.last {
                return Err("memberships do not ascend from the snapshot to the log's last");
            }
            memberships.push(*index, membership.clone());
        }
        let first = restored.tail.first().map_or(restored.last.next(), |entry| entry.id.index);
        let first = first.max(last.index.next());
        let listed = restored.memberships.iter().filter(|(index, _)| *index >= first);
        let tail = restored.tail.iter().filter(|entry| entry.id.index >= first);
        if !tail.filter_map(Entry::membership).eq(listed.cloned()) {
            return Err("memberships differ from tail");
        }
        Ok(memberships)
    }

    /// The last entry, or the base.
    #[must_use]
    pub fn last(&self) -> EntryId {
        self.runs.last()
    }

    /// Where the log starts: the entry before the first it still has.
    #[must_use]
    pub fn base(&self) -> EntryId {
        self.runs.base()
    }

    /// What the last snapshot ends with: at the base or after it.
    #[must_use]
    pub fn snapshot(&self) -> EntryId {
        self.snapshot
    }

    /// The last index up to which the disk is known to have this log, or a snapshot of it.
    #[must_use]
    pub fn durable(&self) -> Index {
        self.durable
    }

    /// The last index known to be committed.
    #[must_use]
    pub fn committed(&self) -> Index {
        self.committed
    }

    /// The last index the state machine has applied.
    #[must_use]
    pub fn applied(&self) -> Index {
        self.applied
    }

    /// The last index handed to the state machine.
    #[must_use]
    pub fn applying(&self) -> Index {
        self.applying
    }

    /// Who counts: the last membership in the log, committed or not (Raft §6).
    #[must_use]
    pub fn membership(&self) -> &Membership {
        &self.memberships.last().1
    }

    /// Where the last membership in the log stands; at most the snapshot's end if it is older.
    #[must_use]
    pub fn membership_index(&self) -> Index {
        self.memberships.last().0
    }

    /// Who counted when the log ended at `index`; `None` if that is before the snapshot and
    /// forgotten.
    #[must_use]
    pub fn membership_at(&self, index: Index) -> Option<&Membership> {
        self.memberships.at(index)
    }

    /// Bytes of entries kept in memory.
    #[must_use]
    pub fn tail_bytes(&self) -> usize {
        self.tail.bytes()
    }

    /// The index of the first entry in memory, or of the next to come.
    #[must_use]
    pub fn tail_first(&self) -> Index {
        self.tail.first()
    }

    /// The entries in memory that are not applied.
    pub fn unapplied_in_memory(&self) -> impl Iterator<Item = &Entry> {
        self.tail.after(self.applied)
    }

    /// The term at `index`, if the log has it or starts there.
    #[must_use]
    pub fn term_at(&self, index: Index) -> Option<Term> {
        self.runs.term_at(index)
    }

    /// The first entry of the last term in the log, or the base.
    #[must_use]
    pub fn last_term_start(&self) -> EntryId {
        self.runs.last_start()
    }

    /// Whether the log has the entry `id` (Raft §5.3: the consistency check).
    #[must_use]
    pub fn has(&self, id: EntryId) -> bool {
        self.term_at(id.index) == Some(id.term)
    }

    /// The last entry at or before `index` whose term is at most `term`, the base at the least.
    /// Where another log has `term` at `index`, the two agree there or before.
    #[must_use]
    pub fn back_to(&self, index: Index, term: Term) -> EntryId {
        self.runs.back_to(index, term)
    }

    /// Adds one entry at the end.
    pub fn append(&mut self, entry: Entry) {
        assert_eq!(entry.id.index, self.last().index.next(), "a log has no gap");
        self.runs.push(entry.id.term);
        if let Some((index, membership)) = entry.membership() {
            self.memberships.push(index, membership);
        }
        self.tail.push(entry);
    }

    /// How `entries`, which follow an entry that the log has, fit it. What the log no longer has
    /// is known.
    #[must_use]
    pub fn fit(&self, entries: &[Entry]) -> Fit {
        let base = self.base().index;
        let news = |entry: &&Entry| entry.id.index > base && !self.has(entry.id);
        match entries.iter().find(news) {
            None => Fit::Known,
            Some(entry) if entry.id.index <= self.committed => Fit::AgainstCommitted,
            Some(entry) => Fit::From(entry.id.index),
        }
    }

    /// Forgets every entry after `last`, none of which may be committed.
    pub fn truncate(&mut self, last: Index) {
        assert!(last >= self.committed, "a committed entry is never cut");
        self.runs.truncate(last);
        self.tail.truncate(last);
        self.memberships.truncate(last);
        self.durable = self.durable.min(last);
    }

    /// The state machine has a snapshot that ends with `last`, an applied entry.
    pub fn take_snapshot(&mut self, last: EntryId) {
        assert!(last.index >= self.snapshot.index, "snapshots only advance");
        assert!(last.index <= self.applied, "a snapshot holds what is applied");
        assert!(self.has(last), "a snapshot ends with an entry of the log");
        self.snapshot = last;
        self.memberships.compact(last.index);
    }

    /// Forgets every entry through `base`, which the snapshot covers.
    pub fn compact(&mut self, base: Index) {
        assert!(base >= self.base().index, "a base only advances");
        assert!(base <= self.snapshot.index, "only what a snapshot covers is forgotten");
        self.runs.compact(base);
        self.tail.compact(base);
    }

    /// A snapshot received from elsewhere takes the place of the whole log. What it covers is
    /// committed; on the disk it is not yet.
    pub fn reset(&mut self, snapshot: &SnapshotMeta) {
        let last = snapshot.last;
        assert!(last.index > self.committed, "a log is not set back");
        assert!(last.index <= Index::MAX, "a log ends at the highest index");
        self.runs = Runs::new(last);
        self.tail = Tail::new(last.index.next());
        self.memberships = Memberships::new(last.index, snapshot.membership.clone());
        self.snapshot = last;
        // Of what the disk has, only what was committed is known to be what the snapshot covers.
        self.durable = self.durable.min(self.committed);
        self.committed = last.index;
    }

    /// The state machine is to start over from a snapshot that ends with `last`, an entry of this
    /// log: the log starts there, and what follows is applied once more.
    pub fn rebuild(&mut self, last: EntryId) {
        assert!(last.index > self.snapshot.index, "snapshots only advance");
        assert!(last.index <= self.durable, "a machine starts over from what is durable");
        assert!(self.has(last), "a snapshot ends with an entry of the log");
        assert!(self.applying == self.applied, "nothing is with the machine");
        self.commit(last.index);
        self.snapshot = last;
        self.memberships.compact(last.index);
        self.compact(last.index);
        self.applied = self.applied.min(last.index.previous());
        self.applying = self.applied;
    }

    /// The first membership of a new cluster is in force, from before the first entry on.
    pub fn found(&mut self, membership: &Membership) {
        assert!(self.last() == EntryId::ZERO, "a cluster is founded before its first entry");
        assert!(self.membership().is_nobody(), "a cluster is founded once");
        self.memberships = Memberships::new(Index::ZERO, membership.clone());
    }

    /// The disk has every entry up to `index`.
    pub fn persisted(&mut self, index: Index) {
        assert!(index <= self.last().index, "what is durable is in the log");
        self.durable = self.durable.max(index);
    }

    /// Moves the commit index up to `index`; never down.
    pub fn commit(&mut self, index: Index) {
        assert!(index <= self.last().index, "what is committed is in the log");
        self.committed = self.committed.max(index);
    }

    /// Whether the state machine is to start over from the snapshot now: it is on the disk, and
    /// nothing is with the machine.
    #[must_use]
    pub fn to_restore(&self) -> bool {
        let snapshot = self.snapshot.index;
        self.applying < snapshot && self.applying == self.applied && snapshot <= self.durable
    }

    /// The snapshot is with the state machine.
    pub fn hand_over_snapshot(&mut self) {
        assert!(self.to_restore(), "a machine starts over from a durable snapshot alone");
        self.applying = self.snapshot.index;
    }

    /// The entries to apply next, all committed and durable; `None` if there is none, if a batch
    /// is still with the state machine, or if it has to start over from the snapshot first.
    #[must_use]
    pub fn to_apply(&self, entries_max: usize, bytes_max: usize) -> Option<(Index, Slice)> {
        if self.applied < self.snapshot.index {
            return None;
        }
        let last = self.committed.min(self.durable);
        if self.applying > self.applied || self.applied >= last {
            return None;
        }
        let first = self.applied.next();
        Some((first, self.slice(first, last, entries_max, bytes_max)))
    }

    /// Entries up to `index` are with the state machine.
    pub fn hand_over(&mut self, index: Index) {
        assert!(index > self.applying, "entries are handed over once");
        assert!(self.applied >= self.snapshot.index, "entries follow the snapshot");
        assert!(index <= self.committed.min(self.durable), "only durable decisions are applied");
        self.applying = index;
    }

    /// The state machine has applied up to `index`.
    pub fn apply(&mut self, index: Index) {
        assert!(index >= self.applied && index <= self.applying, "what is applied was handed over");
        self.applied = index;
    }

    /// Up to `entries_max` entries of `first..=last`, of up to `bytes_max` together.
    #[must_use]
    pub fn slice(&self, first: Index, last: Index, entries_max: usize, bytes_max: usize) -> Slice {
        assert!(first > self.base().index, "the log still has the entry");
        let last = last.min(self.last().index);
        if first > last {
            return Slice::Hot(Vec::new());
        }
        if first < self.tail.first() {
            let last_cold = last.min(self.tail.first().previous());
            let last_asked = Index(first.0.saturating_add(entries_max as u64 - 1));
            return Slice::Cold { last: last_cold.min(last_asked) };
        }
        Slice::Hot(self.tail.slice(first, last, entries_max, bytes_max))
    }

    /// Forgets the oldest durable entries in memory while there are more than `bytes_max`.
    pub fn evict(&mut self, bytes_max: usize) {
        self.tail.evict(bytes_max, self.durable);
    }

    /// Panics if a rung of the ladder is out of place.
    pub fn assert_invariants(&self) {
        let last = self.last().index;
        let snapshot = self.snapshot.index;
        assert!(self.base().index <= snapshot, "only what a snapshot covers is forgotten");
        let installed = self.base() == self.snapshot;
        assert!(snapshot <= self.applied || installed, "a snapshot taken here is applied");
        assert!(self.has(self.snapshot), "the snapshot is of this log");
        assert!(self.applied <= self.durable, "what is applied is durable");
        assert!(self.applied <= self.applying, "what is applied was handed over");
        assert!(self.applying <= self.committed, "only what is committed is applied");
        assert!(self.committed <= last, "what is committed is in the log");
        assert!(self.durable <= last, "what is durable is in the log");
        assert!(snapshot <= self.committed, "what a snapshot covers is committed");
        assert!(self.tail.first() > self.base().index, "the tail is after the base");
        let kept = self.durable.max(self.base().index);
        assert!(self.tail.first() <= kept.next(), "what is not durable is in memory");
    }
}
