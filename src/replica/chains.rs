//! The chains of the log's last entries: what a leader's appends are held against.

use std::collections::VecDeque;

use crate::types::{Chain, Entry, EntryId, Index, Write};

/// The last entries of the log, each with its chain where that is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chains {
    /// Consecutive, and ending where the log ends.
    entries: VecDeque<(EntryId, Option<Chain>)>,
}

/// How many entries are remembered.
const ENTRIES_MAX: usize = 4096;

/// What comes of holding an append against the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// Both have the same before and at these entries.
    Same,
    /// The log does not have the entry before, or not its chain.
    Unavailable,
    /// Both have this entry, and not the same before it or in it.
    Broken(EntryId),
}

impl Chains {
    /// The chains of a log that ends with these entries.
    pub(crate) fn of(tail: &[Entry]) -> Chains {
        let mut chains = Chains::default();
        chains.append(tail);
        chains
    }

    /// The log changes as the write says.
    pub(crate) fn write(&mut self, write: &Write) {
        if write.install.is_some() {
            self.entries.clear();
        }
        self.append(&write.entries);
    }

    fn append(&mut self, entries: &[Entry]) {
        for entry in entries {
            while self.entries.pop_back_if(|(id, _)| id.index >= entry.id.index).is_some() {}
            let previous = self.entries.back();
            if previous.is_some_and(|(id, _)| id.index.next() != entry.id.index) {
                self.entries.clear();
            }
            let previous = self.entries.back().and_then(|(_, chain)| *chain);
            self.entries.push_back((entry.id, Chain::after(previous, entry)));
            if self.entries.len() > ENTRIES_MAX {
                self.entries.pop_front();
            }
        }
    }

    /// The chain that ends with `id`, if it is known.
    pub(crate) fn at(&self, id: EntryId) -> Option<Chain> {
        self.known(id)?
    }

    /// Holds an append against the log: `chain` is that of `prev` in its sender's log.
    pub(crate) fn compare(&self, prev: EntryId, chain: Chain, entries: &[Entry]) -> Match {
        let Some(own) = self.at(prev) else { return Match::Unavailable };
        if own != chain {
            return Match::Broken(prev);
        }
        let mut theirs = Some(chain);
        for entry in entries {
            let Some(own) = self.known(entry.id) else { break };
            theirs = Chain::after(theirs, entry);
            if own.is_some() && own != theirs {
                return Match::Broken(entry.id);
            }
        }
        Match::Same
    }

    fn known(&self, id: EntryId) -> Option<Option<Chain>> {
        let Index(first) = self.entries.front()?.0.index;
        let place = usize::try_from(id.index.0.checked_sub(first)?).ok()?;
        let (found, chain) = self.entries.get(place)?;
        (*found == id).then_some(*chain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Command, Payload, SnapshotMeta, Term, WriteId};

    fn id(term: u64, index: u64) -> EntryId {
        EntryId::new(Term(term), Index(index))
    }

    fn entries(term: u64, from: u64, texts: &[&str]) -> Vec<Entry> {
        let payload = |text: &&str| Payload::Command(Command::from(*text));
        let ids = (from..).map(|index| id(term, index));
        ids.zip(texts).map(|(id, text)| Entry { id, payload: payload(text) }).collect()
    }

    fn write(entries: Vec<Entry>) -> Write {
        let (hard_state, committed) = (None, Index::ZERO);
        Write { id: WriteId(1), hard_state, committed, install: None, entries }
    }

    #[test]
    fn equal_logs_match_whatever_was_cut() {
        let mut one = Chains::of(&entries(1, 1, &["a", "b", "x"]));
        one.write(&write(entries(2, 3, &["c"])));
        let mut other = Chains::of(&entries(1, 1, &["a"]));
        other.write(&write(entries(1, 2, &["b"])));
        other.write(&write(entries(2, 3, &["c"])));
        let chain = other.at(id(2, 3)).expect("it is known from the start");
        assert_eq!(one.compare(id(2, 3), chain, &[]), Match::Same);
        assert_eq!(one.compare(id(1, 3), chain, &[]), Match::Unavailable, "it was cut");
        assert_eq!(one.compare(id(2, 4), chain, &[]), Match::Unavailable, "it is to come");
    }

    #[test]
    fn what_differs_before_an_entry_or_in_it_is_found() {
        let own = Chains::of(&entries(1, 1, &["a", "b", "c"]));
        let other = Chains::of(&entries(1, 1, &["a", "B", "c"]));
        let chain = other.at(id(1, 3)).expect("it is known from the start");
        assert_eq!(own.compare(id(1, 3), chain, &[]), Match::Broken(id(1, 3)));
        let chain = other.at(id(1, 1)).expect("it is known from the start");
        let sent = entries(1, 2, &["B", "c"]);
        assert_eq!(own.compare(id(1, 1), chain, &sent), Match::Broken(id(1, 2)));
        assert_eq!(own.compare(id(1, 1), chain, &entries(1, 2, &["b", "c", "d"])), Match::Same);
    }

    #[test]
    fn a_log_with_a_snapshot_in_its_place_knows_no_chain_until_one_begins() {
        let mut chains = Chains::of(&entries(1, 1, &["a"]));
        let install = Some(SnapshotMeta::empty(id(1, 7), Default::default()));
        chains.write(&Write { install, ..write(Vec::new()) });
        assert_eq!(chains.at(id(1, 1)), None);
        chains.write(&write(entries(1, Chain::SPAN - 1, &["y", "z"])));
        assert_eq!(chains.at(id(1, Chain::SPAN - 1)), None);
        assert!(chains.at(id(1, Chain::SPAN)).is_some());
    }
}
