//! The tail of the log in memory: a bounded cache of its latest entries.

#[cfg(feature = "std")]
mod serial;
#[cfg(test)]
mod tests;

use alloc::collections::VecDeque;
use core::hash::{Hash, Hasher};

use crate::types::{Entries, Entry, EntryId, Index};

/// Consecutive entries in memory, up to the last entry of the log.
///
/// They are kept in the lists in which they arrived, so that messages and writes share them.
/// Eviction shortens only the first list, and [`Entries`] limits the memory that a shortened list
/// keeps.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "std", serde(into = "serial::Fields", from = "serial::Fields"))]
pub(crate) struct Tail {
    lists: VecDeque<List>,
    /// The index of the first entry in memory, or of the next one to append.
    first: Index,
    /// The index of the next entry to append.
    next: Index,
    bytes: usize,
}

/// A list of at least one entry.
#[derive(Clone, Debug)]
struct List {
    /// The index of the first entry.
    first: Index,
    entries: Entries,
    /// The size of the entries in bytes.
    bytes: usize,
}

impl List {
    /// Drops the first entry and returns its size in bytes.
    fn drop_first(&mut self) -> usize {
        let bytes = self.entries[0].bytes();
        self.entries.drop_first(1);
        self.first = self.first.next();
        self.bytes -= bytes;
        bytes
    }
}

impl Tail {
    /// Returns an empty tail of a log whose next entry is at `first`.
    pub(crate) fn new(first: Index) -> Tail {
        Tail { lists: VecDeque::new(), first, next: first, bytes: 0 }
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
        let bytes = entry.bytes();
        self.extend(Entries::from(entry), bytes);
    }

    /// Appends entries of `bytes` bytes, the first of which follows the last one in memory.
    #[inline]
    pub(crate) fn extend(&mut self, entries: Entries, bytes: usize) {
        debug_assert!(bytes == total_bytes(&entries), "the bytes are those of the entries");
        let Some(first) = entries.first().map(|entry| entry.id.index) else { return };
        assert!(first == self.next, "the tail has no gap");
        self.next = Index(self.next.0 + entries.len() as u64);
        self.bytes += bytes;
        self.lists.push_back(List { first, entries, bytes });
    }

    /// Drops every entry after `last`.
    pub(crate) fn truncate(&mut self, last: Index) {
        while let Some(list) = self.lists.pop_back_if(|list| list.first > last) {
            self.bytes -= list.bytes;
        }
        if let Some(list) = self.lists.back_mut() {
            let kept = last.0 - list.first.0 + 1;
            let kept = usize::try_from(kept).unwrap_or(usize::MAX).min(list.entries.len());
            let dropped = total_bytes(&list.entries[kept..]);
            list.entries.truncate(kept);
            list.bytes -= dropped;
            self.bytes -= dropped;
        }
        self.first = self.first.min(last.next());
        self.next = self.next.min(last.next());
    }

    /// Drops the oldest entries while all of them together exceed `bytes_max` bytes, but none after
    /// `last`.
    pub(crate) fn evict(&mut self, bytes_max: usize, last: Index) {
        while self.bytes > bytes_max && self.first <= last {
            if !self.drop_list(bytes_max, last) {
                self.drop_first();
            }
        }
    }

    /// Drops every entry up to `base`.
    pub(crate) fn compact(&mut self, base: Index) {
        while self.first <= base && self.first < self.next {
            self.drop_first();
        }
        self.first = self.first.max(base.next());
        self.next = self.next.max(self.first);
    }

    /// Drops the first list if all of its entries are to be evicted. Returns whether it did.
    #[inline]
    fn drop_list(&mut self, bytes_max: usize, last: Index) -> bool {
        let is_evicted = |list: &mut List| {
            let end = list.entries.last().filter(|end| end.id.index <= last);
            end.is_some_and(|end| self.bytes - list.bytes + end.bytes() > bytes_max)
        };
        let Some(list) = self.lists.pop_front_if(is_evicted) else { return false };
        self.bytes -= list.bytes;
        self.first = Index(self.first.0 + list.entries.len() as u64);
        true
    }

    /// Drops the first entry, if there is one.
    fn drop_first(&mut self) {
        let is_alone = |list: &mut List| list.entries.len() == 1;
        if let Some(list) = self.lists.pop_front_if(is_alone) {
            self.bytes -= list.bytes;
        } else if let Some(list) = self.lists.front_mut() {
            self.bytes -= list.drop_first();
        }
        self.first = self.first.next().min(self.next);
    }

    /// Returns up to `entries_max` entries from `first` to `last`, together at most `bytes_max`
    /// bytes but at least one, and their size in bytes. The range must be in memory.
    #[inline]
    pub(crate) fn slice(
        &self,
        first: Index,
        last: Index,
        entries_max: usize,
        bytes_max: usize,
    ) -> (Entries, usize) {
        assert!(first >= self.first && last < self.next, "the tail holds the range");
        let count = usize::try_from((last.0 + 1).saturating_sub(first.0)).unwrap_or(usize::MAX);
        let count = count.min(entries_max);
        let (place, list) = self.find(first);
        let start = (first.0 - list.first.0) as usize;
        if start == 0 && count == list.entries.len() && list.bytes <= bytes_max {
            // The usual case: the entries of one proposal or message.
            return (list.entries.clone(), list.bytes);
        }
        if start + count <= list.entries.len() {
            let (taken, bytes) = fitting(list.entries[start..start + count].iter(), bytes_max);
            return (list.entries.slice(start..start + taken), bytes);
        }
        let range = || self.from(place, start).take(count);
        let (taken, bytes) = fitting(range(), bytes_max);
        (range().take(taken).cloned().collect(), bytes)
    }

    /// Returns the entries in memory after `index`.
    pub(crate) fn after(&self, index: Index) -> impl DoubleEndedIterator<Item = &Entry> {
        let first = index.next().max(self.first);
        let (place, start) = if first < self.next {
            let (place, list) = self.find(first);
            (place, (first.0 - list.first.0) as usize)
        } else {
            (self.lists.len(), 0)
        };
        self.from(place, start)
    }

    /// Returns the entries from the position `start` of the list at `place` to the end of the tail.
    fn from(&self, place: usize, start: usize) -> impl DoubleEndedIterator<Item = &Entry> {
        let mut lists = self.lists.range(place..);
        let first = lists.next().map_or(&[][..], |list| &list.entries[start..]);
        first.iter().chain(lists.flat_map(|list| list.entries.iter()))
    }

    /// Returns the list that has the entry at `index`, which is in memory, and its place.
    #[inline]
    fn find(&self, index: Index) -> (usize, &List) {
        // Most lookups are of the latest entries.
        if let Some(list) = self.lists.back()
            && list.first <= index
        {
            return (self.lists.len() - 1, list);
        }
        let place = self.lists.partition_point(|list| list.first <= index) - 1;
        (place, &self.lists[place])
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.from(0, 0)
    }

    /// Panics unless the tail is after the log's `base`, and ends with its `last` entry.
    pub(crate) fn assert_invariants(&self, base: Index, last: EntryId) {
        assert!(self.first > base, "the tail is after the base");
        assert!(self.next == last.index.next(), "the tail ends with the log");
        let end = self.lists.back().and_then(|list| list.entries.last());
        assert!(end.is_none_or(|end| end.id == last), "the last entry is that of the log");
        assert!(
            end.is_some() == (self.first < self.next),
            "the entries from the first on are here"
        );
    }
}

impl PartialEq for Tail {
    fn eq(&self, other: &Tail) -> bool {
        let range = |tail: &Tail| (tail.first, tail.next);
        range(self) == range(other) && self.entries().eq(other.entries())
    }
}

impl Eq for Tail {}

impl Hash for Tail {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.first, self.next).hash(state);
        self.entries().for_each(|entry| entry.hash(state));
    }
}

fn total_bytes(entries: &[Entry]) -> usize {
    entries.iter().map(Entry::bytes).sum()
}

/// Returns how many of the first entries have together at most `bytes_max` bytes, but at least one,
/// and the size of those entries in bytes.
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
