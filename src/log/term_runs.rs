//! The term of every index, stored as runs of equal terms.

use alloc::vec::Vec;

use crate::types::{EntryId, Index, Term};

/// The first entry of each term in a log. The first run begins at the log's base: the entry before
/// the first one that the log has, or index 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct TermRuns {
    /// The base, then the first entry of every later term; terms and indices ascend strictly.
    starts: Vec<EntryId>,
    last: Index,
}

impl TermRuns {
    /// Returns the runs of an empty log after `base`.
    pub(crate) fn new(base: EntryId) -> TermRuns {
        TermRuns { starts: alloc::vec![base], last: base.index }
    }

    #[inline]
    pub(crate) fn base(&self) -> EntryId {
        self.starts[0]
    }

    #[inline]
    pub(crate) fn last(&self) -> EntryId {
        EntryId::new(self.last_start().term, self.last)
    }

    /// The first entry of the log's last term; the base if all entries have the base's term.
    #[inline]
    fn last_start(&self) -> EntryId {
        self.starts[self.starts.len() - 1]
    }

    /// Appends one entry of `term`.
    #[inline]
    pub(crate) fn push(&mut self, term: Term) {
        self.extend(term, self.last.next());
    }

    /// Appends entries of `term` through `last`.
    #[inline]
    pub(crate) fn extend(&mut self, term: Term, last: Index) {
        assert!(last > self.last, "a log grows");
        assert!(term >= self.last().term, "terms in a log never decrease");
        if term > self.last().term {
            self.starts.push(EntryId::new(term, self.last.next()));
        }
        self.last = last;
    }

    /// Drops every index after `last`.
    pub(crate) fn truncate(&mut self, last: Index) {
        assert!(last >= self.base().index, "the base is never truncated");
        self.starts.truncate(self.run_of(last) + 1);
        self.last = self.last.min(last);
    }

    /// Drops every index up to `base`, which becomes the base.
    pub(crate) fn compact(&mut self, base: Index) {
        assert!(base >= self.base().index && base <= self.last, "the base is in the log");
        let run = self.run_of(base);
        self.starts.drain(..run);
        self.starts[0].index = base;
    }

    /// The term of the entry at `index`; `None` if `index` is before the base or after the last
    /// entry.
    #[inline]
    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        if index < self.base().index || index > self.last {
            return None;
        }
        // Most lookups are of the latest entries, which are of the last term.
        let start = self.last_start();
        let in_last = index >= start.index;
        Some(if in_last { start.term } else { self.starts[self.run_of(index)].term })
    }

    /// Returns the last entry at or before `index` whose term is at most `term`, or the base if the
    /// log has none. If another log has `term` at `index`, the two logs match at most up to the
    /// returned entry.
    pub(crate) fn find_conflict_by_term(&self, index: Index, term: Term) -> EntryId {
        let index = index.min(self.last);
        if index <= self.base().index {
            return self.base();
        }
        let run = self.run_of(index);
        if self.starts[run].term <= term {
            return EntryId::new(self.starts[run].term, index);
        }
        let later = self.starts[..=run].partition_point(|start| start.term <= term);
        if later == 0 {
            return self.base();
        }
        let last_of_run = self.starts[later].index.previous();
        EntryId::new(self.starts[later - 1].term, last_of_run)
    }

    /// The position of the run that holds `index`.
    fn run_of(&self, index: Index) -> usize {
        self.starts.partition_point(|start| start.index <= index).max(1) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the runs of a log with one entry of each of `terms`, after a base at index 10 in
    /// term 3.
    fn runs(terms: &[u64]) -> TermRuns {
        let mut runs = TermRuns::new(EntryId::new(Term(3), Index(10)));
        terms.iter().for_each(|term| runs.push(Term(*term)));
        runs
    }

    #[test]
    fn every_index_from_the_base_on_has_a_term() {
        let runs = runs(&[3, 3, 5, 5, 8]);
        let terms: Vec<_> = (9..=16).map(|index| runs.term_at(Index(index))).collect();
        let expected = [None, Some(3), Some(3), Some(3), Some(5), Some(5), Some(8), None];
        assert_eq!(terms, expected.map(|term| term.map(Term)));
    }

    #[test]
    fn truncation_drops_the_later_terms() {
        let mut runs = runs(&[3, 5, 5, 8]);
        runs.truncate(Index(12));
        assert_eq!(runs.last(), EntryId::new(Term(5), Index(12)));
        runs.truncate(Index(10));
        assert_eq!(runs.last(), EntryId::new(Term(3), Index(10)));
        runs.push(Term(4));
        assert_eq!(runs.last(), EntryId::new(Term(4), Index(11)));
    }

    #[test]
    fn compaction_drops_the_terms_before_the_base() {
        let mut compacted = runs(&[3, 5, 5, 8]);
        compacted.compact(Index(12));
        assert_eq!(compacted.base(), EntryId::new(Term(5), Index(12)));
        let terms: Vec<_> = (11..=15).map(|index| compacted.term_at(Index(index))).collect();
        assert_eq!(terms, [None, Some(Term(5)), Some(Term(5)), Some(Term(8)), None]);
        compacted.compact(Index(14));
        assert_eq!(compacted, TermRuns::new(EntryId::new(Term(8), Index(14))));
    }

    #[test]
    fn the_conflict_search_skips_every_later_term() {
        let runs = runs(&[3, 3, 5, 5, 8]);
        let back = |index, term| runs.find_conflict_by_term(Index(index), Term(term)).index.0;
        assert_eq!(back(15, 8), 15);
        assert_eq!(back(15, 7), 14);
        assert_eq!(back(15, 4), 12);
        assert_eq!(back(13, 9), 13);
        assert_eq!(back(99, 9), 15, "an index beyond the end counts as the end");
        assert_eq!(back(15, 2), 10, "no entry before the base");
        assert_eq!(back(4, 1), 10);
    }
}
