//! The tail of the log in memory: a bounded cache of its latest entries.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::types::{Entry, Index};

/// Consecutive entries in memory, up to the last entry of the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Tail {
    entries: VecDeque<Entry>,
    /// The index of the first entry in memory, or of the next one to append.
    first: Index,
    bytes: usize,
}

impl Tail {
    /// Returns an empty tail of a log whose next entry is at `first`.
    pub(crate) fn new(first: Index) -> Tail {
        Tail { entries: VecDeque::new(), first, bytes: 0 }
    }

    #[inline]
    pub(crate) fn first(&self) -> Index {
        self.first
    }

    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    #[inline]
    pub(crate) fn push(&mut self, entry: Entry) {
        assert_eq!(entry.id.index, self.next(), "the tail has no gap");
        self.bytes += entry.bytes();
        self.entries.push_back(entry);
    }

    /// Appends entries of `bytes` bytes, the first of which follows the last one in memory.
    #[inline]
    pub(crate) fn extend(&mut self, entries: &[Entry], bytes: usize) {
        let first = entries.first().map(|entry| entry.id.index);
        assert!(first.is_none_or(|first| first == self.next()), "the tail has no gap");
        debug_assert!(bytes == total_bytes(entries), "the bytes are those of the entries");
        self.bytes += bytes;
        match entries {
            // Most entries of a cluster with little load arrive alone.
            [entry] => self.entries.push_back(entry.clone()),
            several => self.entries.extend(several.iter().cloned()),
        }
    }

    /// Drops every entry after `last`.
    pub(crate) fn truncate(&mut self, last: Index) {
        while self.next() > last.next() && !self.entries.is_empty() {
            let entry = self.entries.pop_back().expect("the tail is not empty");
            self.bytes -= entry.bytes();
        }
        self.first = self.first.min(last.next());
    }

    /// Drops the oldest entries while all of them together exceed `bytes_max` bytes, but none after
    /// `last`. Returns the number of dropped entries.
    pub(crate) fn evict(&mut self, bytes_max: usize, last: Index) -> usize {
        let mut evicted = 0;
        while self.bytes > bytes_max && self.first <= last {
            let Some(entry) = self.entries.pop_front() else { break };
            self.bytes -= entry.bytes();
            self.first = self.first.next();
            evicted += 1;
        }
        evicted
    }

    /// Drops every entry up to `base`.
    pub(crate) fn compact(&mut self, base: Index) {
        while self.first <= base {
            let Some(entry) = self.entries.pop_front() else { break };
            self.bytes -= entry.bytes();
            self.first = self.first.next();
        }
        self.first = self.first.max(base.next());
    }

    /// Returns up to `entries_max` entries from `first` to `last`, of at most `bytes_max` bytes
    /// together, but at least one, and their bytes. The range must be in memory.
    #[inline]
    pub(crate) fn slice(
        &self,
        first: Index,
        last: Index,
        entries_max: usize,
        bytes_max: usize,
    ) -> (Vec<Entry>, usize) {
        assert!(first >= self.first && last < self.next(), "the tail holds the range");
        let start = usize::try_from(first.0 - self.first.0).expect("the tail fits in memory");
        let count = usize::try_from((last.0 + 1).saturating_sub(first.0)).unwrap_or(usize::MAX);
        let count = count.min(entries_max).min(self.entries.len() - start);
        if count == 1 {
            // Most slices of a cluster with little load.
            let entry = &self.entries[start];
            return (alloc::vec![entry.clone()], entry.bytes());
        }
        let (front, back) = self.entries.as_slices();
        let end = (start + count).min(front.len());
        let front = front.get(start..end).unwrap_or(&[]);
        let start = (start + front.len()).saturating_sub(self.entries.len() - back.len());
        let back = &back[start..start + count - front.len()];
        let mut bytes = total_bytes(front) + total_bytes(back);
        let mut taken = count;
        if bytes > bytes_max {
            (taken, bytes) = fitting(front.iter().chain(back), bytes_max);
        }
        let mut slice = Vec::with_capacity(taken);
        slice.extend_from_slice(&front[..taken.min(front.len())]);
        slice.extend_from_slice(&back[..taken - slice.len()]);
        (slice, bytes)
    }

    /// Returns the entries in memory after `index`.
    pub(crate) fn after(&self, index: Index) -> impl Iterator<Item = &Entry> {
        let skipped = (index.0 + 1).saturating_sub(self.first.0);
        self.entries.iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX))
    }

    #[inline]
    fn next(&self) -> Index {
        Index(self.first.0 + self.entries.len() as u64)
    }
}

fn total_bytes(entries: &[Entry]) -> usize {
    entries.iter().map(Entry::bytes).sum()
}

/// Returns the number of the first entries that have at most `bytes_max` bytes together, but at
/// least one, and their bytes.
fn fitting<'a>(entries: impl Iterator<Item = &'a Entry>, bytes_max: usize) -> (usize, usize) {
    let (mut count, mut bytes) = (0, 0);
    for entry in entries {
        let with_entry = bytes + entry.bytes();
        if with_entry > bytes_max && count > 0 {
            break;
        }
        (count, bytes) = (count + 1, with_entry);
    }
    (count, bytes)
}
