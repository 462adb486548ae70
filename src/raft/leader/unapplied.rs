//! The number of bytes of a leader's entries that its state machine has not applied, or that its
//! disk lacks. The leader accepts proposals only while this number is small enough.

use alloc::collections::VecDeque;

use crate::log::Log;
use crate::types::Index;

/// The entries that a leader has not applied, or that its own disk lacks, including those inherited
/// from earlier terms. Entries that the disk lacks are kept in memory, however slow the disk is.
///
/// The size of an inherited entry is unknown if the entry is not in memory. Until the entries of
/// unknown size are applied, there is no room for a proposal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Unapplied {
    /// The last unapplied entry of unknown size. This entry and all unapplied entries before it are
    /// only on the disk.
    cold: Option<Index>,
    /// The bytes of every later unapplied entry, by ascending index, up to the one at `last`.
    sizes: VecDeque<usize>,
    last: Index,
    bytes: usize,
}

impl Unapplied {
    /// Returns the unapplied entries in the log of a node that begins to lead.
    pub(crate) fn of(log: &Log) -> Unapplied {
        let cold = log.tail_first().previous();
        let mut unapplied = Unapplied {
            cold: Some(cold).filter(|cold| *cold > log.finished()),
            sizes: VecDeque::new(),
            last: cold.max(log.finished()),
            bytes: 0,
        };
        for entry in log.in_memory_after(log.finished()) {
            unapplied.push(entry.id.index, entry.bytes());
        }
        unapplied
    }

    /// Adds an appended entry of `bytes` bytes.
    #[inline]
    pub(crate) fn push(&mut self, index: Index, bytes: usize) {
        assert!(index == self.last.next(), "a log has no gap");
        self.last = index;
        self.bytes += bytes;
        self.sizes.push_back(bytes);
    }

    /// Removes every entry up to `index`, which is applied and durable here.
    #[inline]
    pub(crate) fn finished(&mut self, index: Index) {
        if self.cold.is_some_and(|cold| cold <= index) {
            self.cold = None;
        }
        let left = self.last.0.saturating_sub(index.0);
        while self.sizes.len() as u64 > left
            && let Some(bytes) = self.sizes.pop_front()
        {
            self.bytes -= bytes;
        }
        assert!(!self.sizes.is_empty() || self.bytes == 0, "no entry is left to count");
    }

    /// Whether `bytes` more fit within `bytes_max`; false while entries of unknown size are
    /// unapplied.
    #[inline]
    pub(crate) fn has_room(&self, bytes: usize, bytes_max: usize) -> bool {
        self.cold.is_none() && self.bytes.saturating_add(bytes) <= bytes_max
    }

    /// The total bytes of the unapplied entries whose size is known.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn assert_invariants(&self, log: &Log) {
        let (finished, last) = (log.finished(), log.last().index);
        let counted = self.sizes.iter().sum::<usize>();
        assert_eq!(self.bytes, counted, "the byte count matches the listed entries");
        assert!(self.cold.is_none_or(|cold| cold > finished), "finished entries are removed");
        assert!(self.last == last, "the entries of the log are listed");
        let listed = last.0 - self.cold.unwrap_or(finished).0;
        assert!(self.sizes.len() as u64 == listed, "every unapplied entry is listed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Command, Entry, EntryId, Payload, Restored, Term};

    const BYTES: usize = Entry::OVERHEAD_BYTES + 8;

    /// Returns a log of nine entries of `BYTES` each, with those from `hot` on in memory and the
    /// first three applied.
    fn log(hot: u64) -> Log {
        let id = |index| EntryId::new(Term(1), Index(index));
        let payload = || Payload::Command(Command::from(&[0; 8][..]));
        let tail = (hot..=9).map(|index| Entry { id: id(index), payload: payload() }).collect();
        let restored = Restored {
            last: Index(9),
            committed: Index(9),
            applied: Index(3),
            runs: alloc::vec![id(1)],
            tail,
            ..Restored::default()
        };
        Log::new(&restored).expect("the restored state is consistent")
    }

    #[test]
    fn inherited_entries_in_memory_count_until_they_are_applied() {
        for hot in [1, 4] {
            let mut unapplied = Unapplied::of(&log(hot));
            assert_eq!(unapplied.bytes(), 6 * BYTES);
            assert!(unapplied.has_room(BYTES, 7 * BYTES));
            assert!(!unapplied.has_room(BYTES + 1, 7 * BYTES));
            unapplied.finished(Index(8));
            assert_eq!(unapplied.bytes(), BYTES);
        }
    }

    #[test]
    fn inherited_entries_on_disk_leave_no_room_until_they_are_applied() {
        let mut unapplied = Unapplied::of(&log(6));
        assert_eq!(unapplied.bytes(), 4 * BYTES, "only entries in memory have a known size");
        assert!(!unapplied.has_room(0, usize::MAX));
        unapplied.finished(Index(4));
        assert!(!unapplied.has_room(0, usize::MAX));
        unapplied.finished(Index(5));
        assert!(unapplied.has_room(BYTES, 5 * BYTES));
    }

    #[test]
    fn appended_entries_count_until_they_are_applied() {
        let mut unapplied = Unapplied::of(&log(4));
        unapplied.finished(Index(9));
        unapplied.push(Index(10), 100);
        unapplied.push(Index(11), 30);
        assert!(unapplied.has_room(70, 200));
        assert!(!unapplied.has_room(71, 200));
        unapplied.finished(Index(10));
        assert_eq!(unapplied.bytes(), 30);
    }
}
