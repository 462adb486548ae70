//! Writes that wait for the disk, merged: one flush for everything pending.

use std::collections::VecDeque;

use crate::storage::block::{Digest, body_of};
use crate::types::{Entry, HardState, Index, SnapshotMeta, Write, WriteId};

/// Writes in the order they came, in batches that the disk takes one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    batches: VecDeque<Batch>,
}

/// Writes that become durable together: first the superblock's part, then the entries.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    pub(crate) hard_state: Option<HardState>,
    pub(crate) install: Option<SnapshotMeta>,
    pub(crate) committed: Index,
    /// Consecutive, each with the digest of its body.
    pub(crate) entries: VecDeque<(Entry, Digest)>,
    /// To be reported, each once the entries through its index are durable.
    pub(crate) writes: VecDeque<(WriteId, Index)>,
    /// Whether the entries go into one flush, however many they are.
    pub(crate) whole: bool,
}

impl Queue {
    /// Takes a write in. Its entries are digested now, while an earlier flush is on its way.
    pub(crate) fn push(&mut self, write: Write) {
        let consecutive = write.entries.iter().zip(write.entries.iter().skip(1));
        assert!(
            consecutive.into_iter().all(|(one, next)| one.id.index.next() == next.id.index),
            "contract: the entries of a write are consecutive"
        );
        if !self.batches.back().is_some_and(|batch| batch.may_take(&write)) {
            self.batches.push_back(Batch::default());
        }
        let batch = self.batches.back_mut().expect("one was pushed if there was none");
        batch.hard_state = write.hard_state.or(batch.hard_state);
        batch.install = write.install.or(batch.install.take());
        batch.committed = batch.committed.max(write.committed);
        batch.entries.reserve(write.entries.len());
        for entry in write.entries {
            let digest = Digest::of(body_of(&entry));
            batch.entries.push_back((entry, digest));
        }
        let last = batch.entries.back().map_or(Index::ZERO, |(entry, _)| entry.id.index);
        batch.writes.push_back((write.id, last));
    }

    /// Takes entries that are to be written once more, in one flush and for nobody.
    pub(crate) fn push_whole(&mut self, entries: Vec<Entry>, committed: Index) {
        let digested = |entry: Entry| {
            let digest = Digest::of(body_of(&entry));
            (entry, digest)
        };
        let entries = entries.into_iter().map(digested).collect();
        self.batches.push_back(Batch { entries, committed, whole: true, ..Batch::default() });
    }

    pub(crate) fn pop(&mut self) -> Option<Batch> {
        self.batches.pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }
}

impl Batch {
    /// Whether `write` may become durable together with this: it neither cuts what is here nor
    /// takes the place of the log.
    fn may_take(&self, write: &Write) -> bool {
        let last = self.entries.back().map(|(entry, _)| entry.id.index);
        let follows = match (last, write.entries.first()) {
            (Some(last), Some(first)) => first.id.index == last.next(),
            _ => true,
        };
        follows && write.install.is_none() && !self.whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{EntryId, Payload, Term};

    fn write(id: u64, term: u64, indices: std::ops::RangeInclusive<u64>) -> Write {
        let entry =
            |index| Entry { id: EntryId::new(Term(term), Index(index)), payload: Payload::Noop };
        let entries = indices.map(entry).collect();
        let (id, committed) = (WriteId(id), Index(id));
        Write { id, hard_state: None, committed, install: None, entries }
    }

    fn hard_state(term: u64) -> HardState {
        HardState { term: Term(term), vote: None }
    }

    #[test]
    fn what_follows_is_merged_and_the_last_hard_state_wins() {
        let mut queue = Queue::default();
        queue.push(Write { hard_state: Some(hard_state(1)), ..write(1, 1, 1..=2) });
        queue.push(Write { hard_state: Some(hard_state(2)), ..write(2, 1, 3..=3) });
        #[expect(clippy::reversed_empty_ranges, reason = "a write without entries")]
        queue.push(write(3, 1, 1..=0));
        let batch = queue.pop().expect("one batch");
        assert_eq!(batch.hard_state, Some(hard_state(2)));
        assert_eq!(batch.committed, Index(3));
        assert_eq!(batch.entries.len(), 3);
        let writes = [(WriteId(1), Index(2)), (WriteId(2), Index(3)), (WriteId(3), Index(3))];
        assert_eq!(batch.writes, writes);
        assert!(queue.is_empty());
    }

    #[test]
    fn a_cut_and_an_installed_snapshot_each_begin_a_batch() {
        let mut queue = Queue::default();
        queue.push(write(1, 1, 1..=3));
        queue.push(write(2, 2, 3..=3));
        queue.push(Write { install: Some(SnapshotMeta::default()), ..write(3, 2, 9..=9) });
        queue.push(write(4, 2, 10..=10));
        let sizes: Vec<usize> =
            std::iter::from_fn(|| queue.pop()).map(|batch| batch.entries.len()).collect();
        assert_eq!(sizes, [3, 1, 2]);
    }
}
