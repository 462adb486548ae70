//! Committed entries on their way to the state machine: passed from memory, or fetched from the
//! disk first.

use alloc::vec::Vec;

use crate::log::{Log, Slice};
use crate::raft::api::action::Action;
use crate::raft::api::config::Config;
use crate::raft::api::input::Consumer;
use crate::raft::journal::Journal;
use crate::raft::output::Output;
use crate::types::{Entries, Entry, Index, MachineVersion};

/// The entries requested from the disk, whether the node has taken a step since its start, and the
/// highest version of the rules by which the state machine can apply commands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Apply {
    /// Whether the node has taken a step. Before its first one, entries that were committed before
    /// the start may wait to be applied.
    has_stepped: bool,
    /// The pending fetches: consumer, first and last index.
    fetches: Vec<(Consumer, Index, Index)>,
    /// The highest version of the rules by which the state machine can apply commands.
    version_max: MachineVersion,
}

impl Apply {
    /// Returns the state at a start, for a state machine that can apply commands up to this
    /// version.
    pub(crate) fn new(version_max: MachineVersion) -> Apply {
        Apply { version_max, ..Apply::default() }
    }

    /// The highest version of the rules by which the state machine can apply commands.
    pub(crate) fn version_max(&self) -> MachineVersion {
        self.version_max
    }

    /// Records that the node takes a step.
    #[inline]
    pub(crate) fn begin_step(&mut self) {
        self.has_stepped = true;
    }

    /// Whether a step is due at once, because entries committed before the start may be applied.
    pub(crate) fn is_due(&self, log: &Log) -> bool {
        !self.has_stepped && log.committed() > log.applied()
    }

    /// Whether a fetch for this consumer is pending.
    pub(crate) fn is_fetching(&self, consumer: Consumer) -> bool {
        self.fetches.iter().any(|(other, ..)| other.is_same(consumer))
    }

    /// Requests entries from the disk, unless a fetch for this consumer is pending.
    pub(crate) fn fetch(
        &mut self,
        consumer: Consumer,
        first: Index,
        last: Index,
        config: &Config,
        output: &mut Output,
    ) {
        assert!(first <= last, "a fetch requests at least one entry");
        if self.is_fetching(consumer) {
            return;
        }
        self.fetches.push((consumer, first, last));
        let bytes_max = match consumer {
            Consumer::Apply => config.apply_bytes_max,
            Consumer::Peer(_) | Consumer::Repair { .. } => config.message_bytes_max,
        };
        output.push(Action::Fetch { consumer, first, last, bytes_max });
    }

    /// Ends the consumer's pending fetch. Returns true if `entries` are not empty and the log still
    /// has them: it may have been truncated or compacted since the request.
    pub(crate) fn finish_fetch(
        &mut self,
        consumer: Consumer,
        entries: &[Entry],
        log: &Log,
    ) -> bool {
        let place = self.fetches.iter().position(|(other, ..)| *other == consumer);
        let place = place.expect("contract: only a requested fetch is answered");
        let (_, first, last) = self.fetches.swap_remove(place);
        let expected = (first.0..=last.0).map(Index);
        assert!(
            entries.len() as u64 <= last.0 - first.0 + 1
                && entries.iter().map(|entry| entry.id.index).eq(expected.take(entries.len())),
            "contract: a fetch returns consecutive entries from the first index requested"
        );
        let base = log.base().index;
        let kept = |entry: &Entry| entry.id.index > base && log.has(entry.id);
        !entries.is_empty() && entries.iter().all(kept)
    }

    /// Passes the next committed entries to the state machine, or fetches them from the disk. An
    /// installed snapshot is restored first. In quarantine, no entry is passed.
    #[inline]
    pub(crate) fn advance(
        &mut self,
        journal: &mut Journal,
        quarantined: bool,
        config: &Config,
        output: &mut Output,
    ) {
        if !journal.log().has_handed_over() {
            self.pass_or_fetch(journal, quarantined, config, output);
        }
    }

    #[inline]
    fn pass_or_fetch(
        &mut self,
        journal: &mut Journal,
        quarantined: bool,
        config: &Config,
        output: &mut Output,
    ) {
        if let Some(snapshot) = journal.begin_restore() {
            return output.push(Action::Restore(snapshot));
        }
        if quarantined {
            return;
        }
        let (entries_max, bytes_max) = (config.message_entries_max, config.apply_bytes_max);
        let Some((first, last)) = journal.log().next_to_apply() else { return };
        match journal.log().slice(first, last, entries_max, bytes_max) {
            Slice::Hot { entries, .. } => apply(entries, journal, output),
            Slice::Cold { last } => self.fetch(Consumer::Apply, first, last, config, output),
            // The entry is applied once a peer has provided its content.
            Slice::Damaged => {}
        }
    }

    /// The number of pending fetches.
    #[cfg(feature = "std")]
    pub(crate) fn fetches(&self) -> usize {
        self.fetches.len()
    }

    /// Panics if two fetches of one consumer are pending.
    pub(crate) fn assert_invariants(&self) {
        for (place, (consumer, first, last)) in self.fetches.iter().enumerate() {
            assert!(first <= last, "a fetch requests at least one entry");
            let mut later = self.fetches[place + 1..].iter();
            let is_only = later.all(|(other, ..)| !other.is_same(*consumer));
            assert!(is_only, "one fetch for each consumer");
        }
    }
}

/// Passes fetched entries to the state machine if they are the next to apply.
pub(crate) fn apply_fetched(entries: Entries, journal: &mut Journal, output: &mut Output) {
    let log = journal.log();
    let next = entries.first().is_some_and(|first| first.id.index == log.applied().next());
    if next && log.applying() == log.applied() {
        apply(entries, journal, output);
    }
}

/// Passes `entries`, which follow the last applied entry, to the state machine.
#[inline]
fn apply(entries: Entries, journal: &mut Journal, output: &mut Output) {
    let last = entries.last().expect("a batch is not empty").id.index;
    let next = journal.log().applied().next();
    assert!(
        entries.first().is_some_and(|entry| entry.id.index == next),
        "a batch begins after the last applied entry"
    );
    assert!(last <= journal.log().committed(), "only committed entries are applied");
    assert!(last <= journal.log().applicable(), "a durable state machine waits for the disk");
    journal.begin_apply(last);
    output.push(Action::Apply(entries));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{NodeId, Restored};

    #[test]
    fn entries_are_fetched_again_after_a_fetch_that_returned_none() {
        let log = Log::new(&Restored::default()).expect("an empty log is consistent");
        let (config, mut output) = (Config::new(NodeId(1)), Output::default());
        let mut apply = Apply::default();
        for _ in 0..2 {
            for _ in 0..3 {
                apply.fetch(Consumer::Apply, Index(1), Index(9), &config, &mut output);
            }
            assert!(apply.is_fetching(Consumer::Apply));
            assert!(!apply.finish_fetch(Consumer::Apply, &[], &log));
            assert!(!apply.is_fetching(Consumer::Apply));
        }
        let mut actions = Vec::new();
        output.swap(&mut actions);
        assert_eq!(actions.len(), 2, "one fetch of a consumer is pending at a time");
    }

    #[test]
    #[should_panic(expected = "one fetch for each consumer")]
    fn two_repairs_of_one_peer_have_one_consumer() {
        let repair = |first| (Consumer::Repair { peer: NodeId(2), first }, first, first);
        let fetches = Vec::from([repair(Index(1)), repair(Index(2))]);
        Apply { fetches, ..Apply::default() }.assert_invariants();
    }
}
