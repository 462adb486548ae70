//! The facts about the entries of the log that a replay keeps: the first entry of each term, the
//! memberships, and the last entries, which a start loads into memory.

use std::collections::VecDeque;

use crate::storage::block::Record;
use crate::types::{Entry, EntryId, Index, Term};

/// The entries of the flushes that were replayed so far.
pub(crate) struct ReplayedEntries {
    /// The first entry of each term that is later than the term of the base.
    pub(crate) runs: Vec<EntryId>,
    /// The indices of the memberships.
    pub(crate) memberships: Vec<Index>,
    /// The last entries with their sizes in bytes, as many as the tail may hold.
    pub(crate) tail: VecDeque<(Index, usize)>,
    tail_bytes: usize,
    tail_bytes_max: usize,
}

impl ReplayedEntries {
    pub(crate) fn new(tail_bytes_max: usize) -> ReplayedEntries {
        ReplayedEntries {
            runs: Vec::new(),
            memberships: Vec::new(),
            tail: VecDeque::new(),
            tail_bytes: 0,
            tail_bytes_max,
        }
    }

    /// Forgets all entries, because the log begins after them.
    pub(crate) fn clear(&mut self) {
        *self = ReplayedEntries::new(self.tail_bytes_max);
    }

    /// Returns the term of the entry at `index`, which is in the log or its base, whose term is
    /// `base`.
    pub(crate) fn term_at(&self, index: Index, base: Term) -> Term {
        let before = self.runs.partition_point(|run| run.index <= index);
        before.checked_sub(1).map_or(base, |place| self.runs[place].term)
    }

    /// Replaces the entries after `prev` by those of `records`. `base` is the term of the base.
    pub(crate) fn append(&mut self, prev: EntryId, records: &[Record], base: Term) {
        while self.runs.pop_if(|run| run.index > prev.index).is_some() {}
        while self.memberships.pop_if(|index| *index > prev.index).is_some() {}
        while let Some((_, bytes)) = self.tail.pop_back_if(|(index, _)| *index > prev.index) {
            self.tail_bytes -= bytes;
        }
        let mut term = self.term_at(prev.index, base);
        for record in records {
            if record.id.term != term {
                term = record.id.term;
                self.runs.push(record.id);
            }
            if record.is_membership() {
                self.memberships.push(record.id.index);
            }
            let bytes = Entry::OVERHEAD_BYTES + record.body_bytes as usize;
            self.tail.push_back((record.id.index, bytes));
            self.tail_bytes += bytes;
            while self.tail_bytes > self.tail_bytes_max
                && let Some((_, bytes)) = self.tail.pop_front()
            {
                self.tail_bytes -= bytes;
            }
        }
        assert!(self.tail_bytes <= self.tail_bytes_max, "the tail is bounded");
        assert!(!self.tail.is_empty() || self.tail_bytes == 0, "an empty tail has no bytes");
    }
}
