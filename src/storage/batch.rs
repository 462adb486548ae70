//! Queues the writes that wait for the disk, and merges consecutive ones, so that one flush takes
//! as many entries as its bound allows.

use std::collections::VecDeque;

use crate::storage::block::{Digest, Header, Link, body_of};
use crate::types::{Entry, HardState, Index, SnapshotMeta, Write, WriteId};

/// Pending writes in order, merged into batches that are written one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteQueue {
    batches: VecDeque<Batch>,
}

/// Writes that were merged: the superblock's part becomes durable first, then the entries, in one
/// flush or in several.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    pub(crate) hard_state: Option<HardState>,
    pub(crate) install: Option<Box<SnapshotMeta>>,
    pub(crate) committed: Index,
    /// The entries of all merged writes; their indices are consecutive.
    pub(crate) entries: VecDeque<Entry>,
    /// The headers of the first entries; those of later entries are not computed yet.
    pub(crate) headers: VecDeque<Header>,
    /// The link that the first of the headers follows.
    after: Link,
    /// The writes to report, each once the entries through its index are durable.
    pub(crate) writes: VecDeque<(WriteId, Index)>,
    /// Whether all entries go into one flush, even beyond `flush_bytes_max`.
    pub(crate) single_flush: bool,
}

impl WriteQueue {
    /// Adds a write, and merges it into the last batch if possible.
    pub(crate) fn push(&mut self, write: Write) {
        let consecutive = write.entries.iter().zip(write.entries.iter().skip(1));
        assert!(
            consecutive.into_iter().all(|(one, next)| one.id.index.next() == next.id.index),
            "contract: the entries of a write are consecutive"
        );
        if !self.batches.back().is_some_and(|batch| batch.can_merge(&write)) {
            self.batches.push_back(Batch::default());
        }
        let batch = self.batches.back_mut().expect("a batch was pushed if there was none");
        batch.hard_state = write.hard_state.or(batch.hard_state);
        batch.install = write.install.or(batch.install.take());
        batch.committed = batch.committed.max(write.committed);
        batch.entries.extend(write.entries);
        let last = batch.entries.back().map_or(Index::ZERO, |entry| entry.id.index);
        batch.writes.push_back((write.id, last));
        batch.check();
    }

    /// Adds entries to write again in a single flush; no write is reported as durable for them.
    pub(crate) fn push_single_flush(&mut self, entries: Vec<Entry>, committed: Index) {
        let entries = entries.into();
        let batch = Batch { entries, committed, single_flush: true, ..Batch::default() };
        batch.check();
        self.batches.push_back(batch);
    }

    pub(crate) fn pop(&mut self) -> Option<Batch> {
        self.batches.pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Computes the headers of the next batch if it follows `prev`.
    pub(crate) fn chain(&mut self, prev: Link) {
        if let Some(batch) = self.batches.front_mut()
            && let Some(first) = batch.entries.front()
            && first.id.index == prev.id.index.next()
        {
            batch.chain(prev, batch.entries.len());
        }
    }
}

impl Batch {
    /// Computes the headers of the first `count` entries, which follow `prev`. Headers that exist
    /// are kept unless they follow another link.
    pub(crate) fn chain(&mut self, prev: Link, count: usize) {
        assert!(count <= self.entries.len(), "only entries of the batch get headers");
        let first = self.entries.front().map(|entry| entry.id.index);
        assert_eq!(first, Some(prev.id.index.next()), "the batch follows the link");
        if self.after != prev {
            self.headers.clear();
            self.after = prev;
        }
        let known = self.headers.len();
        if known >= count {
            return;
        }
        let mut prev = self.headers.back().map_or(prev, |header| header.link);
        for entry in self.entries.range(known..count) {
            let header = Header::of(entry, Digest::of(&body_of(entry)), prev);
            prev = header.link;
            self.headers.push_back(header);
        }
    }

    /// Drops the first `count` entries, which are durable through `last`.
    pub(crate) fn drop_durable(&mut self, count: usize, last: Link) {
        assert!(count > 0, "a flush makes entries durable");
        assert_eq!(self.headers[count - 1].link, last, "the flush wrote the headers of the batch");
        self.entries.drain(..count);
        self.headers.drain(..count);
        self.after = last;
    }

    /// Panics if the parts of the batch contradict one another.
    pub(crate) fn check(&self) {
        let last = self.entries.back().map(|entry| entry.id.index);
        if let (Some(first), Some(last)) = (self.entries.front(), last) {
            let count = last.0 - first.id.index.0 + 1;
            assert_eq!(count, self.entries.len() as u64, "the entries of a batch have no gap");
        }
        assert!(self.headers.len() <= self.entries.len(), "no header is without its entry");
        if let Some(header) = self.headers.back() {
            let entry = &self.entries[self.headers.len() - 1];
            assert_eq!(header.link.id, entry.id, "headers and entries have the same order");
        }
        if let (Some((_, first)), Some((_, end))) = (self.writes.front(), self.writes.back()) {
            assert_eq!(*end, last.unwrap_or_default(), "the last write ends with the batch");
            assert!(first <= end, "writes are reported in their order");
        }
        if self.single_flush {
            assert!(self.writes.is_empty(), "no write waits for a flush that is written again");
            assert!(
                self.hard_state.is_none() && self.install.is_none(),
                "a flush that is written again has entries only"
            );
        }
    }

    /// Returns true if `write` may become durable together with this batch: it neither truncates
    /// the batch nor installs a snapshot, and the batch is not a flush that is written again.
    fn can_merge(&self, write: &Write) -> bool {
        let last = self.entries.back().map(|entry| entry.id.index);
        let follows = match (last, write.entries.first()) {
            (Some(last), Some(first)) => first.id.index == last.next(),
            _ => true,
        };
        follows && write.install.is_none() && !self.single_flush
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
        HardState::new(Term(term), None)
    }

    #[test]
    fn consecutive_writes_are_merged_and_the_last_hard_state_wins() {
        let mut queue = WriteQueue::default();
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
    fn headers_computed_in_parts_equal_those_computed_at_once() {
        let before = Link { id: EntryId::new(Term(1), Index(4)), ..Link::default() };
        let mut at_once = WriteQueue::default();
        at_once.push(write(1, 1, 5..=9));
        at_once.chain(before);
        let expected = at_once.pop().expect("one batch").headers;
        assert_eq!(expected.len(), 5);

        let mut ahead = WriteQueue::default();
        ahead.push(write(1, 1, 5..=6));
        ahead.chain(before);
        ahead.push(write(2, 1, 7..=9));
        let mut batch = ahead.pop().expect("both writes are in one batch");
        assert_eq!(batch.headers, expected.range(..2).cloned().collect::<VecDeque<_>>());
        batch.chain(before, 4);
        assert_eq!(batch.headers, expected.range(..4).cloned().collect::<VecDeque<_>>());
        batch.drop_durable(2, expected[1].link);
        batch.chain(expected[1].link, 3);
        assert_eq!(batch.headers, expected.range(2..).cloned().collect::<VecDeque<_>>());
    }

    #[test]
    fn headers_are_recomputed_after_another_link() {
        let link = |term| Link { id: EntryId::new(Term(term), Index(4)), chain: Digest([7; 16]) };
        let mut queue = WriteQueue::default();
        queue.push(write(1, 3, 5..=6));
        queue.chain(Link { id: EntryId::new(Term(1), Index(5)), ..link(1) });
        let mut batch = queue.pop().expect("one batch");
        assert!(
            batch.headers.is_empty(),
            "no header is computed for a batch that does not follow the link"
        );
        batch.chain(link(1), 2);
        batch.chain(Link { chain: Digest([8; 16]), ..link(1) }, 1);
        let first = &batch.entries[0];
        let digest = Digest::of(&body_of(first));
        let expected = Header::of(first, digest, Link { chain: Digest([8; 16]), ..link(1) });
        assert_eq!(batch.headers, [expected]);
    }

    #[test]
    fn a_truncation_and_an_installed_snapshot_each_begin_a_batch() {
        let mut queue = WriteQueue::default();
        queue.push(write(1, 1, 1..=3));
        queue.push(write(2, 2, 3..=3));
        queue.push(Write { install: Some(Box::default()), ..write(3, 2, 9..=9) });
        queue.push(write(4, 2, 10..=10));
        let sizes: Vec<usize> =
            std::iter::from_fn(|| queue.pop()).map(|batch| batch.entries.len()).collect();
        assert_eq!(sizes, [3, 1, 2]);
    }
}
