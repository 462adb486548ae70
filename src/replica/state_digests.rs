//! State digests by index, for comparison with other nodes.

use std::collections::VecDeque;

use crate::types::{Index, StateDigest};

/// The digests after each of the last applied entries, and after earlier multiples of an interval.
#[derive(Clone, Debug)]
pub(crate) struct StateDigests {
    /// The digests after the last entries, consecutive and ending at `last`.
    recent: VecDeque<StateDigest>,
    last: Index,
    /// The digests after entries whose index `interval` divides, ascending.
    marks: VecDeque<(Index, StateDigest)>,
    interval: u64,
}

/// The maximum number of multiples of the interval whose digests are kept.
const MARKS_MAX: usize = 4096;

impl StateDigests {
    /// Returns the digests of a state machine that has applied `last`. They are kept for the last
    /// `interval` indices, and for [`MARKS_MAX`] multiples of `interval`.
    pub(crate) fn new(interval: u64, last: Index, state_digest: StateDigest) -> StateDigests {
        assert!(interval > 0, "digests are compared after some entries");
        let (recent, marks) = (VecDeque::new(), VecDeque::new());
        let mut known = StateDigests { recent, last: last.previous(), marks, interval };
        known.push(last, state_digest);
        known
    }

    /// Replaces all digests with that of a state machine that was restored at `last`.
    pub(crate) fn restart(&mut self, last: Index, state_digest: StateDigest) {
        *self = StateDigests::new(self.interval, last, state_digest);
    }

    /// Adds the digest after the entry at `index`, the next one applied.
    pub(crate) fn push(&mut self, index: Index, state_digest: StateDigest) {
        let is_next = self.recent.is_empty() || index == self.last.next();
        assert!(is_next, "digests are of consecutive entries");
        self.last = index;
        self.recent.push_back(state_digest);
        if self.recent.len() as u64 > self.interval {
            self.recent.pop_front();
        }
        if index.0.is_multiple_of(self.interval) {
            self.marks.push_back((index, state_digest));
            if self.marks.len() > MARKS_MAX {
                self.marks.pop_front();
            }
        }
    }

    /// Panics if the digests are out of order, or are not those to keep.
    pub(crate) fn assert_invariants(&self) {
        assert!(!self.recent.is_empty(), "the digest of the last index is kept");
        assert!(self.recent.len() as u64 <= self.interval, "the last digests are bounded");
        assert!(self.marks.len() <= MARKS_MAX, "the digests at multiples are bounded");
        let mark = self.marks.back();
        assert!(mark.is_none_or(|(mark, _)| *mark <= self.last), "marks are applied");
        let marks = self.marks.iter();
        debug_assert!(marks.is_sorted_by(|one, next| one.0 < next.0), "marks are in order");
    }

    /// Returns the last applied index.
    pub(crate) fn last(&self) -> Index {
        self.last
    }

    /// Returns the last applied multiple of the interval, if its digest is known.
    pub(crate) fn last_mark(&self) -> Option<Index> {
        self.marks
            .back()
            .filter(|(_, state_digest)| !state_digest.is_unknown())
            .map(|(index, _)| *index)
    }

    /// Returns the digest after `index`; unknown if it is not kept.
    pub(crate) fn at(&self, index: Index) -> StateDigest {
        let back = self.last.0.checked_sub(index.0);
        let recent = back.and_then(|back| (self.recent.len() as u64).checked_sub(back + 1));
        if let Some(place) = recent {
            return self.recent[usize::try_from(place).expect("the place is within the length")];
        }
        let place = self.marks.binary_search_by_key(&index, |(mark, _)| *mark);
        place.map_or(StateDigest::default(), |place| self.marks[place].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Hash128;

    const UNKNOWN: StateDigest = StateDigest { results: None, state: None };

    fn results(index: u64) -> StateDigest {
        StateDigest { results: Some(Hash128([index as u8; 16])), state: None }
    }

    #[test]
    fn the_last_indices_and_earlier_multiples_are_kept() {
        let mut known = StateDigests::new(4, Index(0), results(0));
        (1..=18).for_each(|index| known.push(Index(index), results(index)));
        let found: Vec<u64> = (0..=19).filter(|index| known.at(Index(*index)) != UNKNOWN).collect();
        assert_eq!(found, [0, 4, 8, 12, 15, 16, 17, 18]);
        assert!(found.iter().all(|index| known.at(Index(*index)) == results(*index)));
        assert_eq!(known.last_mark(), Some(Index(16)));
    }

    #[test]
    fn unknown_digests_stay_unknown() {
        let mut known = StateDigests::new(4, Index(6), UNKNOWN);
        assert_eq!(known.at(Index(6)), UNKNOWN);
        known.push(Index(7), results(7));
        known.push(Index(8), UNKNOWN);
        assert_eq!((known.at(Index(7)), known.at(Index(8))), (results(7), UNKNOWN));
        assert_eq!(known.last_mark(), None);
        known.restart(Index(20), results(20));
        assert_eq!((known.at(Index(7)), known.at(Index(20))), (UNKNOWN, results(20)));
        assert_eq!(known.last(), Index(20));
    }
}
