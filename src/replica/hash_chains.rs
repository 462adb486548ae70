//! Hash chains of the last log entries, with which a follower compares a leader's appends.

use std::collections::VecDeque;

use crate::storage::StorageError;
use crate::types::{Body, Comparisons, Entry, EntryId, HashChain, Index, Message, Packet, Write};

/// The ids of the last entries of the log, each with its hash chain if that is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct HashChains {
    /// Consecutive, up to the last entry of the log.
    entries: VecDeque<(EntryId, Option<HashChain>)>,
}

/// The maximum number of entries whose chains are kept.
const ENTRIES_MAX: usize = 4096;

/// The result of comparing an append with the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ChainMatch {
    /// The two logs are equal between the entry at which the chain of `prev` starts (see
    /// [`HashChain::SPAN`]) and the last entry of the append that the log also has.
    Same,
    /// The log does not have the `prev` entry, or does not know its chain.
    Unavailable,
    /// Both logs have an entry with this id, but the contents of that entry or of an earlier one
    /// differ.
    Broken(EntryId),
}

impl HashChains {
    /// Returns the chains of a log that ends with these entries.
    pub(crate) fn from_tail(tail: &[Entry]) -> HashChains {
        let mut chains = HashChains::default();
        chains.append(tail);
        chains
    }

    /// Follows the changes that a write makes to the log.
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
            let previous = self.entries.back();
            debug_assert!(
                previous.is_none_or(|(id, _)| {
                    id.term <= entry.id.term && id.index.next() == entry.id.index
                }),
                "the chains are of consecutive entries"
            );
            let chain = HashChain::after(previous.and_then(|(_, chain)| *chain), entry);
            let starts = entry.id.index.0.is_multiple_of(HashChain::SPAN);
            debug_assert!(chain.is_some() || !starts, "a chain that starts at an entry is known");
            self.entries.push_back((entry.id, chain));
            if self.entries.len() > ENTRIES_MAX {
                self.entries.pop_front();
            }
        }
    }

    /// Returns the chain that ends with `id`, if it is known.
    fn at(&self, id: EntryId) -> Option<HashChain> {
        self.known(id)?
    }

    /// Returns the packet of a message. An append carries the chain of its `prev` entry, if that is
    /// known.
    pub(crate) fn packet(&self, message: Message) -> Packet {
        if let Body::AppendEntries { prev, .. } = message.body
            && let Some(chain) = self.at(prev)
        {
            Packet::Chained(message, chain)
        } else {
            Packet::Message(message)
        }
    }

    /// Compares a leader's append with the log, if it came with a `chain`, and counts the
    /// comparison. Other messages are not compared. Fails if the logs differ.
    pub(crate) fn check(
        &self,
        message: &Message,
        chain: Option<HashChain>,
        comparisons: &mut Comparisons,
    ) -> Result<(), StorageError> {
        let Body::AppendEntries { prev, entries, .. } = &message.body else { return Ok(()) };
        match chain.map(|chain| self.compare(*prev, chain, entries)) {
            Some(ChainMatch::Same) => comparisons.chains += 1,
            Some(ChainMatch::Unavailable) | None => comparisons.chains_unavailable += 1,
            Some(ChainMatch::Broken(id)) => {
                return Err(StorageError::diverged_log(id, message.from));
            }
        }
        Ok(())
    }

    /// Compares an append with the log; `chain` is that of `prev` in the sender's log.
    fn compare(&self, prev: EntryId, chain: HashChain, entries: &[Entry]) -> ChainMatch {
        let Some(own) = self.at(prev) else { return ChainMatch::Unavailable };
        if own != chain {
            return ChainMatch::Broken(prev);
        }
        let mut theirs = Some(chain);
        for entry in entries {
            let Some(own) = self.known(entry.id) else { break };
            theirs = HashChain::after(theirs, entry);
            if own.is_some() && own != theirs {
                return ChainMatch::Broken(entry.id);
            }
        }
        ChainMatch::Same
    }

    /// Panics if the chains contradict one another, or the log, which ends with `last`.
    pub(crate) fn assert_invariants(&self, last: EntryId) {
        assert!(self.entries.len() <= ENTRIES_MAX, "the number of chains is bounded");
        let end = self.entries.back();
        assert!(end.is_none_or(|(id, _)| *id == last), "the chains end with the log");
    }

    /// Returns `None` if the entry is not kept, and `Some(None)` if it is kept without its chain.
    fn known(&self, id: EntryId) -> Option<Option<HashChain>> {
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
        Write { id: WriteId(1), hard_state, committed, install: None, entries: entries.into() }
    }

    #[test]
    fn equal_logs_match_after_truncation() {
        let mut one = HashChains::from_tail(&entries(1, 1, &["a", "b", "x"]));
        one.write(&write(entries(2, 3, &["c"])));
        let mut other = HashChains::from_tail(&entries(1, 1, &["a"]));
        other.write(&write(entries(1, 2, &["b"])));
        other.write(&write(entries(2, 3, &["c"])));
        let chain = other.at(id(2, 3)).expect("the chain is known from index 1 on");
        assert_eq!(one.compare(id(2, 3), chain, &[]), ChainMatch::Same);
        assert_eq!(
            one.compare(id(1, 3), chain, &[]),
            ChainMatch::Unavailable,
            "the entry was truncated"
        );
        assert_eq!(
            one.compare(id(2, 4), chain, &[]),
            ChainMatch::Unavailable,
            "the entry is beyond the log"
        );
    }

    #[test]
    fn a_difference_at_or_before_an_entry_is_found() {
        let own = HashChains::from_tail(&entries(1, 1, &["a", "b", "c"]));
        let other = HashChains::from_tail(&entries(1, 1, &["a", "B", "c"]));
        let chain = other.at(id(1, 3)).expect("the chain is known from index 1 on");
        assert_eq!(own.compare(id(1, 3), chain, &[]), ChainMatch::Broken(id(1, 3)));
        let chain = other.at(id(1, 1)).expect("the chain is known from index 1 on");
        let sent = entries(1, 2, &["B", "c"]);
        assert_eq!(own.compare(id(1, 1), chain, &sent), ChainMatch::Broken(id(1, 2)));
        assert_eq!(
            own.compare(id(1, 1), chain, &entries(1, 2, &["b", "c", "d"])),
            ChainMatch::Same
        );
    }

    #[test]
    fn after_an_installed_snapshot_chains_are_unknown_until_the_next_one_starts() {
        let mut chains = HashChains::from_tail(&entries(1, 1, &["a"]));
        let install = Some(Box::new(SnapshotMeta::empty(id(1, 7), Default::default())));
        chains.write(&Write { install, ..write(Vec::new()) });
        assert_eq!(chains.at(id(1, 1)), None);
        chains.write(&write(entries(1, HashChain::SPAN - 1, &["y", "z"])));
        assert_eq!(chains.at(id(1, HashChain::SPAN - 1)), None);
        assert!(chains.at(id(1, HashChain::SPAN)).is_some());
    }
}
