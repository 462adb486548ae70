//! What came of the log, index by index, as far back as it is worth knowing.

use std::collections::VecDeque;

use crate::types::{Imprint, Index};

/// The imprints after every one of the last entries applied, and after every so many before.
#[derive(Clone, Debug)]
pub(crate) struct Imprints {
    /// After the last entries, consecutive and ending at `last`.
    recent: VecDeque<Imprint>,
    last: Index,
    /// After entries whose index `interval` divides, ascending.
    marks: VecDeque<(Index, Imprint)>,
    interval: u64,
}

/// How many multiples of the interval are remembered.
const MARKS_MAX: usize = 4096;

impl Imprints {
    /// A state machine that stands at `last`. It remembers the last `interval` indices, and every
    /// multiple of `interval`.
    pub(crate) fn new(interval: u64, last: Index, imprint: Imprint) -> Imprints {
        let (recent, marks) = (VecDeque::new(), VecDeque::new());
        let mut known = Imprints { recent, last: last.previous(), marks, interval };
        known.push(last, imprint);
        known
    }

    /// The state machine starts over at `last`.
    pub(crate) fn restart(&mut self, last: Index, imprint: Imprint) {
        *self = Imprints::new(self.interval, last, imprint);
    }

    /// The state machine has applied the entry at `index`.
    pub(crate) fn push(&mut self, index: Index, imprint: Imprint) {
        self.last = index;
        self.recent.push_back(imprint);
        if self.recent.len() as u64 > self.interval {
            self.recent.pop_front();
        }
        if index.0.is_multiple_of(self.interval) {
            self.marks.push_back((index, imprint));
            if self.marks.len() > MARKS_MAX {
                self.marks.pop_front();
            }
        }
    }

    /// The last index applied.
    pub(crate) fn last(&self) -> Index {
        self.last
    }

    /// The last multiple of the interval that was applied, if it is known what came of it.
    pub(crate) fn last_mark(&self) -> Option<Index> {
        self.marks.back().filter(|(_, imprint)| !imprint.is_unknown()).map(|(index, _)| *index)
    }

    /// What came of the log up to `index`, as far as it is known, or still is.
    pub(crate) fn at(&self, index: Index) -> Imprint {
        let back = self.last.0.checked_sub(index.0);
        let recent = back.and_then(|back| (self.recent.len() as u64).checked_sub(back + 1));
        if let Some(place) = recent {
            return self.recent[usize::try_from(place).expect("it is less than a length")];
        }
        let place = self.marks.binary_search_by_key(&index, |(mark, _)| *mark);
        place.map_or(Imprint::default(), |place| self.marks[place].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Hash128;

    const UNKNOWN: Imprint = Imprint { results: None, state: None };

    fn results(index: u64) -> Imprint {
        Imprint { results: Some(Hash128([index as u8; 16])), state: None }
    }

    #[test]
    fn the_last_indices_are_known_and_every_multiple_before() {
        let mut known = Imprints::new(4, Index(0), results(0));
        (1..=18).for_each(|index| known.push(Index(index), results(index)));
        let found: Vec<u64> = (0..=19).filter(|index| known.at(Index(*index)) != UNKNOWN).collect();
        assert_eq!(found, [0, 4, 8, 12, 15, 16, 17, 18]);
        assert!(found.iter().all(|index| known.at(Index(*index)) == results(*index)));
        assert_eq!(known.last_mark(), Some(Index(16)));
    }

    #[test]
    fn what_is_not_known_is_not_made_up() {
        let mut known = Imprints::new(4, Index(6), UNKNOWN);
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
