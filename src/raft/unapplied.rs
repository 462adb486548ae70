//! What a leader has in its log and has not applied: the count of bytes that bounds what it takes.

use alloc::collections::VecDeque;

use crate::log::Log;
use crate::types::Index;

/// The entries a leader has not applied, those that it inherited among them.
///
/// What was on the disk alone when the node began to lead has a size nobody here knows: until it
/// is applied, it leaves room for nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Unapplied {
    /// The last entry of unknown size that is not applied.
    cold: Option<Index>,
    /// Every later entry that is not applied, with its bytes; indices ascend.
    sizes: VecDeque<(Index, usize)>,
    bytes: usize,
}

impl Unapplied {
    /// What is not applied of the log of a node that begins to lead.
    pub(crate) fn of(log: &Log) -> Unapplied {
        let cold = log.tail_first().previous();
        let mut unapplied = Unapplied {
            cold: Some(cold).filter(|cold| *cold > log.applied()),
            sizes: VecDeque::new(),
            bytes: 0,
        };
        for entry in log.unapplied_in_memory() {
            unapplied.push(entry.id.index, entry.bytes());
        }
        unapplied
    }

    /// The leader appended an entry of so many bytes.
    pub(crate) fn push(&mut self, index: Index, bytes: usize) {
        assert!(self.sizes.back().is_none_or(|(last, _)| *last < index), "a log only grows");
        self.bytes += bytes;
        self.sizes.push_back((index, bytes));
    }

    /// Everything up to `index` is applied.
    pub(crate) fn applied(&mut self, index: Index) {
        self.cold = self.cold.filter(|cold| *cold > index);
        while let Some((_, bytes)) = self.sizes.pop_front_if(|(next, _)| *next <= index) {
            self.bytes -= bytes;
        }
    }

    /// Whether there is room for `bytes` more within `bytes_max`.
    pub(crate) fn has_room(&self, bytes: usize, bytes_max: usize) -> bool {
        self.cold.is_none() && self.bytes.saturating_add(bytes) <= bytes_max
    }

    /// The bytes of those entries whose size is known.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn assert_invariants(&self, log: &Log) {
        let (applied, last) = (log.applied(), log.last().index);
        let counted = self.sizes.iter().map(|(_, bytes)| bytes).sum::<usize>();
        assert_eq!(self.bytes, counted, "what is counted is what is listed");
        assert!(self.cold.is_none_or(|cold| cold > applied), "what is applied has left");
        let first = self.cold.unwrap_or(applied).next();
        let listed = self.sizes.iter().map(|(index, _)| *index);
        assert!(listed.eq((first.0..=last.0).map(Index)), "every entry not applied is listed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Command, Entry, EntryId, Payload, Restored, Term};

    const BYTES: usize = Entry::OVERHEAD_BYTES + 8;

    /// A log of nine entries of `BYTES` each, of which it has in memory those from `hot` on, and
    /// has applied the first three.
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
        Log::new(&restored).expect("the log agrees with itself")
    }

    #[test]
    fn what_is_inherited_in_memory_is_counted_until_it_is_applied() {
        for hot in [1, 4] {
            let mut unapplied = Unapplied::of(&log(hot));
            assert_eq!(unapplied.bytes(), 6 * BYTES);
            assert!(unapplied.has_room(BYTES, 7 * BYTES));
            assert!(!unapplied.has_room(BYTES + 1, 7 * BYTES));
            unapplied.applied(Index(8));
            assert_eq!(unapplied.bytes(), BYTES);
        }
    }

    #[test]
    fn what_is_inherited_on_the_disk_leaves_no_room_until_it_is_applied() {
        let mut unapplied = Unapplied::of(&log(6));
        assert_eq!(unapplied.bytes(), 4 * BYTES, "only what is in memory has a known size");
        assert!(!unapplied.has_room(0, usize::MAX));
        unapplied.applied(Index(4));
        assert!(!unapplied.has_room(0, usize::MAX));
        unapplied.applied(Index(5));
        assert!(unapplied.has_room(BYTES, 5 * BYTES));
    }

    #[test]
    fn what_a_leader_appends_is_counted_until_it_is_applied() {
        let mut unapplied = Unapplied::of(&log(4));
        unapplied.applied(Index(9));
        unapplied.push(Index(10), 100);
        unapplied.push(Index(11), 30);
        assert!(unapplied.has_room(70, 200));
        assert!(!unapplied.has_room(71, 200));
        unapplied.applied(Index(10));
        assert_eq!(unapplied.bytes(), 30);
    }
}
