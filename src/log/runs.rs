//! The term of every index, as runs of equal terms: small however long the log is.

use alloc::vec::Vec;

use crate::types::{EntryId, Index, Term};

/// Where each term of a log begins. The first run stands for the log's base: the entry its
/// snapshot ends with, or nothing at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Runs {
    /// The base, then the first entry of every later term; terms and indices ascend strictly.
    starts: Vec<EntryId>,
    last: Index,
}

impl Runs {
    /// The runs of an empty log on top of `base`.
    pub(crate) fn new(base: EntryId) -> Runs {
        Runs { starts: alloc::vec![base], last: base.index }
    }

    pub(crate) fn base(&self) -> EntryId {
        self.starts[0]
    }

    pub(crate) fn last(&self) -> EntryId {
        let run = self.starts[self.starts.len() - 1];
        EntryId::new(run.term, self.last)
    }

    /// The first entry of the last term in the log.
    pub(crate) fn last_start(&self) -> EntryId {
        self.starts[self.starts.len() - 1]
    }

    /// Adds one entry of `term` at the end.
    pub(crate) fn push(&mut self, term: Term) {
        self.extend(term, self.last.next());
    }

    /// Lets the log go on in `term` through `last`.
    pub(crate) fn extend(&mut self, term: Term, last: Index) {
        assert!(last > self.last, "a log grows");
        assert!(term >= self.last().term, "terms in a log never fall");
        if term > self.last().term {
            self.starts.push(EntryId::new(term, self.last.next()));
        }
        self.last = last;
    }

    /// Forgets every index after `last`.
    pub(crate) fn truncate(&mut self, last: Index) {
        assert!(last >= self.base().index, "the base is never cut");
        self.starts.truncate(self.run_of(last) + 1);
        self.last = self.last.min(last);
    }

    /// The term at `index`, if the log or its base has it.
    pub(crate) fn term_at(&self, index: Index) -> Option<Term> {
        if index < self.base().index || index > self.last {
            return None;
        }
        Some(self.starts[self.run_of(index)].term)
    }

    /// The last entry at or before `index` whose term is at most `term`, the base at the least:
    /// two logs can agree there or before, if the other has `term` at `index`.
    pub(crate) fn back_to(&self, index: Index, term: Term) -> EntryId {
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

    /// The number of the run that holds `index`.
    fn run_of(&self, index: Index) -> usize {
        self.starts.partition_point(|start| start.index <= index).max(1) - 1
    }
}
