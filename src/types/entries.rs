//! A list of log entries that its holders share.

#[cfg(test)]
mod tests;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::ops::{Deref, Range};

use crate::types::entry::Entry;

/// A list of entries, which is read as a slice. No entry in it can be changed. The log, the write,
/// the messages to all peers and the batch for the state machine share one allocation of it: a
/// clone of the list copies no entry, and a large part of it copies none either. A single entry is
/// stored in place, so that it needs no allocation besides that of its command.
///
/// A part keeps the whole list from which it was taken in memory. A list therefore never keeps more
/// than eight times as many entries as it has ([`Entries::RETAINED_MAX`]): a smaller part is a
/// copy, which shares the commands. The bound counts entries, not bytes: a few small entries may
/// keep all the bytes of one input or one message in memory.
#[derive(Clone, Default)]
pub struct Entries(Repr);

/// `Shared` has at least two entries, except in an iterator.
#[derive(Clone, Default)]
enum Repr {
    #[default]
    Empty,
    One(Entry),
    Shared {
        all: Arc<[Entry]>,
        start: usize,
        end: usize,
    },
}

impl Entries {
    /// A list of `n` entries keeps at most `RETAINED_MAX * n` entries in memory.
    pub const RETAINED_MAX: usize = 8;

    /// Returns an empty list.
    #[must_use]
    pub const fn new() -> Entries {
        Entries(Repr::Empty)
    }

    /// The number of entries.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::Empty => 0,
            Repr::One(_) => 1,
            Repr::Shared { start, end, .. } => end - start,
        }
    }

    /// Whether the list has no entry.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Repr::Empty)
    }

    /// Returns the first entry.
    #[must_use]
    #[inline]
    pub fn first(&self) -> Option<&Entry> {
        match &self.0 {
            Repr::Empty => None,
            Repr::One(entry) => Some(entry),
            Repr::Shared { all, start, .. } => all.get(*start),
        }
    }

    /// Returns the last entry.
    #[must_use]
    #[inline]
    pub fn last(&self) -> Option<&Entry> {
        match &self.0 {
            Repr::Empty => None,
            Repr::One(entry) => Some(entry),
            Repr::Shared { all, end, .. } => all.get(*end - 1),
        }
    }

    /// Returns the entries at the positions in `range`.
    ///
    /// # Panics
    /// If the list has no such positions.
    #[must_use]
    #[inline]
    pub fn slice(&self, range: Range<usize>) -> Entries {
        let part = &self[range.clone()];
        if part.len() == self.len() {
            return self.clone();
        }
        let slice = self.part(part, &range);
        assert!(slice.len() == range.len(), "a part has the entries at its positions");
        slice
    }

    /// Returns `part`, the entries at the positions in `range`, which are not all of the list.
    #[inline]
    fn part(&self, part: &[Entry], range: &Range<usize>) -> Entries {
        match (&self.0, part) {
            (_, []) => Entries::new(),
            (_, [entry]) => Entries::from(entry.clone()),
            (Repr::Shared { all, start, .. }, _)
                if part.len() * Self::RETAINED_MAX >= all.len() =>
            {
                let (start, end) = (start + range.start, start + range.end);
                assert!(
                    start + 1 < end && end <= all.len(),
                    "a shared part has entries of its list"
                );
                Entries(Repr::Shared { all: Arc::clone(all), start, end })
            }
            _ => part.iter().cloned().collect(),
        }
    }

    /// Drops every entry from the position `len` on.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        if len < self.len() {
            *self = self.slice(0..len);
            assert!(self.len() == len, "a shortened list has the first entries");
        }
    }

    /// Drops the first `count` entries, or all if the list has fewer.
    #[inline]
    pub fn drop_first(&mut self, count: usize) {
        let left = self.len().saturating_sub(count);
        if let Repr::Shared { all, start, end } = &mut self.0
            && let Some(rest @ 2..) = (*end - *start).checked_sub(count)
            && rest * Self::RETAINED_MAX >= all.len()
        {
            *start += count;
        } else {
            *self = self.slice(count.min(self.len())..self.len());
        }
        assert!(self.len() == left, "only the first entries are dropped");
        debug_assert!(self.retained() <= Self::RETAINED_MAX * left, "a list keeps few others");
    }

    /// Adds `more` at the end. The entries are copied if both lists have some.
    #[inline]
    pub fn append(&mut self, more: Entries) {
        if self.is_empty() {
            *self = more;
            return;
        }
        let len = self.len() + more.len();
        if !more.is_empty() {
            *self = core::mem::take(self).into_iter().chain(more).collect();
        }
        assert!(self.len() == len, "no entry is lost");
        debug_assert!(self.retained() <= Self::RETAINED_MAX * len, "a list keeps few others");
    }

    /// The number of entries that this list keeps in memory.
    fn retained(&self) -> usize {
        match &self.0 {
            Repr::Empty => 0,
            Repr::One(_) => 1,
            Repr::Shared { all, .. } => all.len(),
        }
    }
}

impl Deref for Entries {
    type Target = [Entry];

    #[inline]
    fn deref(&self) -> &[Entry] {
        match &self.0 {
            Repr::Empty => &[],
            Repr::One(entry) => core::slice::from_ref(entry),
            Repr::Shared { all, start, end } => &all[*start..*end],
        }
    }
}

impl From<Entry> for Entries {
    #[inline]
    fn from(entry: Entry) -> Entries {
        Entries(Repr::One(entry))
    }
}

impl From<Vec<Entry>> for Entries {
    #[inline]
    fn from(mut entries: Vec<Entry>) -> Entries {
        if entries.len() > 1 {
            let end = entries.len();
            return Entries(Repr::Shared { all: Arc::from(entries), start: 0, end });
        }
        entries.pop().map_or(Entries::new(), Entries::from)
    }
}

impl<const N: usize> From<[Entry; N]> for Entries {
    fn from(entries: [Entry; N]) -> Entries {
        entries.into_iter().collect()
    }
}

impl FromIterator<Entry> for Entries {
    #[inline]
    fn from_iter<T: IntoIterator<Item = Entry>>(entries: T) -> Entries {
        /// The maximum number of entries for which memory is reserved before it is known that there
        /// are so many.
        const RESERVED_MAX: usize = 1024;
        let entries = entries.into_iter();
        let (least, most) = entries.size_hint();
        let expected = most.map_or(least, |most| least.max(most.min(RESERVED_MAX)));
        // A single entry needs no allocation.
        let (mut single, mut all) = (None, Vec::new());
        for entry in entries {
            match single.take() {
                None if all.is_empty() => single = Some(entry),
                None => all.push(entry),
                Some(first) => {
                    all.reserve(expected.max(2));
                    all.extend([first, entry]);
                }
            }
        }
        single.map_or_else(|| Entries::from(all), Entries::from)
    }
}

/// Returns the entries of a list one by one.
#[derive(Clone, Debug)]
pub struct IntoIter(Entries);

impl Iterator for IntoIter {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        match &mut self.0.0 {
            Repr::Shared { all, start, end } if *start < *end => {
                let entry = all[*start].clone();
                *start += 1;
                Some(entry)
            }
            Repr::Empty | Repr::Shared { .. } => None,
            Repr::One(_) => match core::mem::take(&mut self.0.0) {
                Repr::One(entry) => Some(entry),
                Repr::Empty | Repr::Shared { .. } => None,
            },
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.len(), Some(self.0.len()))
    }
}

impl ExactSizeIterator for IntoIter {}

impl IntoIterator for Entries {
    type Item = Entry;
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        IntoIter(self)
    }
}

impl<'a> IntoIterator for &'a Entries {
    type Item = &'a Entry;
    type IntoIter = core::slice::Iter<'a, Entry>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl PartialEq for Entries {
    fn eq(&self, other: &Entries) -> bool {
        self[..] == other[..]
    }
}

impl Eq for Entries {}

impl Hash for Entries {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self[..].hash(state);
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self[..].fmt(f)
    }
}

#[cfg(feature = "std")]
impl serde::Serialize for Entries {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self[..].serialize(to)
    }
}

#[cfg(feature = "std")]
impl<'de> serde::Deserialize<'de> for Entries {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Entries, D::Error> {
        Vec::deserialize(from).map(Entries::from)
    }
}
