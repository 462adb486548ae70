//! Pending requests: each proposal and each read has exactly one outcome.

use std::collections::{BTreeMap, BTreeSet};

use crate::machine::Outcome;
use crate::replica::output::Output;
use crate::types::{EntryId, Freshness, Index, Tag};

/// The maximum number of bytes of replies that wait for other nodes' disks. Beyond them, the reply
/// of a proposal is dropped, and its outcome is unknown.
const EARLY_BYTES_MAX: usize = 16 << 20;

/// The requests that have no outcome yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests {
    /// Proposals that this node does not know to be committed, and other requests to the leader.
    proposed: BTreeSet<Tag>,
    /// Committed proposals, by index, whose entries are not applied here yet.
    committed: BTreeMap<Index, (Tag, EntryId)>,
    /// The outcomes of proposals that are applied here and still wait for other nodes' disks;
    /// `None` if the reply was dropped.
    early_outcomes: BTreeMap<Index, Option<Outcome>>,
    /// The bytes of the replies among `early_outcomes`.
    early_bytes: usize,
    /// Pending reads: each with its query until that goes to the state machine, and with its read
    /// index afterwards.
    reads: BTreeMap<Tag, Read>,
}

#[derive(Clone, Debug)]
enum Read {
    Pending(Vec<u8>),
    Queried(Index, Freshness),
}

impl Requests {
    pub(crate) fn propose(&mut self, tag: Tag) {
        assert!(!self.is_pending(tag), "contract: a tag names one request at a time");
        self.proposed.insert(tag);
    }

    pub(crate) fn read(&mut self, tag: Tag, query: Vec<u8>) {
        assert!(!self.is_pending(tag), "contract: a tag names one request at a time");
        self.reads.insert(tag, Read::Pending(query));
    }

    fn is_pending(&self, tag: Tag) -> bool {
        self.proposed.contains(&tag) || self.reads.contains_key(&tag)
    }

    pub(crate) fn len(&self) -> usize {
        self.proposed.len() + self.committed.len() + self.reads.len()
    }

    /// Marks a proposal as committed. Returns its outcome if it is applied already.
    pub(crate) fn committed(&mut self, tag: Tag, id: EntryId) -> Option<Output> {
        let known = self.proposed.remove(&tag);
        assert!(known, "a proposal is committed once");
        if let Some(outcome) = self.take_early(id.index) {
            return Some(match outcome {
                Some(outcome) => Output::Replied { tag, id, outcome },
                None => Output::Unknown { tag },
            });
        }
        let other = self.committed.insert(id.index, (tag, id));
        assert!(other.is_none(), "an entry has one proposal");
        None
    }

    /// Ends a request without an outcome of the state machine.
    pub(crate) fn end(&mut self, tag: Tag) {
        let known = self.proposed.remove(&tag) || self.reads.remove(&tag).is_some();
        assert!(known, "a request has one outcome");
    }

    /// Ends the proposal at `index`, whose effect is unknown.
    pub(crate) fn end_at(&mut self, tag: Tag, index: Index) {
        self.take_early(index);
        self.end(tag);
    }

    fn take_early(&mut self, index: Index) -> Option<Option<Outcome>> {
        let early = self.early_outcomes.remove(&index)?;
        let bytes = early.as_ref().map_or(0, Outcome::reply_bytes);
        assert!(bytes <= self.early_bytes, "the bytes of each reply that waits are counted");
        self.early_bytes -= bytes;
        Some(early)
    }

    /// Marks a read as ready. Returns its query, for the state machine.
    pub(crate) fn ready(&mut self, tag: Tag, index: Index, freshness: Freshness) -> Vec<u8> {
        let read = self.reads.get_mut(&tag).expect("only a pending read becomes ready");
        match core::mem::replace(read, Read::Queried(index, freshness)) {
            Read::Pending(query) => query,
            Read::Queried(..) => panic!("a read is ready once"),
        }
    }

    /// Ends a read that the state machine answered. Returns its read index and its freshness.
    pub(crate) fn answered(&mut self, tag: Tag) -> (Index, Freshness) {
        match self.reads.remove(&tag) {
            Some(Read::Queried(index, freshness)) => (index, freshness),
            _ => panic!("contract: each query has one answer"),
        }
    }

    /// Handles the outcome of the entry at `index`. If a proposal of this node is committed there,
    /// returns its outcome. Otherwise keeps the outcome if a proposal `waits` there for other
    /// nodes' disks.
    pub(crate) fn applied(
        &mut self,
        index: Index,
        outcome: Outcome,
        waits: bool,
    ) -> Option<Output> {
        if let Some((tag, id)) = self.committed.remove(&index) {
            return Some(Output::Replied { tag, id, outcome });
        }
        if waits {
            let bytes = self.early_bytes + outcome.reply_bytes();
            let fits = bytes <= EARLY_BYTES_MAX;
            self.early_bytes = if fits { bytes } else { self.early_bytes };
            let other = self.early_outcomes.insert(index, fits.then_some(outcome));
            assert!(other.is_none(), "an entry is applied once");
        }
        None
    }

    /// Ends the committed proposals up to `index`, which this node will not apply, and returns
    /// their tags: it does not learn their outcomes.
    pub(crate) fn skipped(&mut self, index: Index) -> impl Iterator<Item = Tag> + use<> {
        let later = self.committed.split_off(&index.next());
        core::mem::replace(&mut self.committed, later).into_values().map(|(tag, _)| tag)
    }

    /// Whether a proposal is not known to be committed, or another request to the leader is
    /// pending.
    pub(crate) fn has_proposed(&self) -> bool {
        !self.proposed.is_empty()
    }

    /// The number of these proposals and other requests.
    pub(crate) fn proposed_count(&self) -> usize {
        self.proposed.len()
    }

    /// The number of reads whose query has not gone to the state machine yet.
    pub(crate) fn waiting_reads(&self) -> usize {
        self.reads.values().filter(|read| matches!(read, Read::Pending(_))).count()
    }

    /// The index of the first committed proposal whose entry is not applied here yet.
    pub(crate) fn first_committed(&self) -> Option<Index> {
        self.committed.keys().next().copied()
    }

    /// The indices of the outcomes that wait for their proposals.
    pub(crate) fn early_indices(&self) -> impl Iterator<Item = Index> {
        self.early_outcomes.keys().copied()
    }

    /// Panics if a request has two states, or is kept at an index other than its entry's, or if the
    /// bytes of a reply are not counted once.
    pub(crate) fn assert_invariants(&self) {
        let replies = || self.early_outcomes.values().flatten();
        debug_assert!(
            replies().map(Outcome::reply_bytes).sum::<usize>() == self.early_bytes,
            "the bytes of the replies that wait are counted"
        );
        debug_assert!(
            self.proposed.iter().all(|tag| !self.reads.contains_key(tag)),
            "a tag names one request at a time"
        );
        debug_assert!(
            self.committed.values().all(|(tag, _)| !self.is_pending(*tag)),
            "a committed proposal is not pending"
        );
        debug_assert!(
            self.committed.iter().all(|(index, (_, id))| *index == id.index),
            "a committed proposal is kept at the index of its entry"
        );
        debug_assert!(
            self.early_outcomes.keys().all(|index| !self.committed.contains_key(index)),
            "a committed proposal has no early outcome"
        );
    }

    /// Ends all requests when the node stops. Returns the tags of the proposals, which may still be
    /// applied, and of the reads.
    pub(crate) fn take_all(&mut self) -> (Vec<Tag>, Vec<Tag>) {
        self.early_outcomes.clear();
        self.early_bytes = 0;
        let committed = core::mem::take(&mut self.committed).into_values().map(|(tag, _)| tag);
        let proposed = core::mem::take(&mut self.proposed).into_iter();
        let reads = core::mem::take(&mut self.reads).into_keys();
        (proposed.chain(committed).collect(), reads.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Term;

    #[test]
    fn each_skipped_proposal_ends_once_and_later_ones_stay() {
        let mut requests = Requests::default();
        for index in 1..=4 {
            requests.propose(Tag(index));
            let id = EntryId::new(Term(1), Index(index));
            assert_eq!(requests.committed(Tag(index), id), None);
        }
        assert!(requests.skipped(Index(3)).eq([1, 2, 3].map(Tag)));
        assert_eq!(requests.len(), 1);
        let outcome = Outcome::Reply(Vec::new().into());
        assert!(requests.applied(Index(4), outcome, false).is_some());
    }

    #[test]
    #[should_panic(expected = "a committed proposal is not pending")]
    fn a_read_has_no_tag_of_a_committed_proposal() {
        let mut requests = Requests::default();
        requests.propose(Tag(1));
        assert_eq!(requests.committed(Tag(1), EntryId::new(Term(1), Index(1))), None);
        requests.read(Tag(1), Vec::new());
        requests.assert_invariants();
    }

    #[test]
    fn replies_that_wait_for_other_disks_are_bounded() {
        let mut requests = Requests::default();
        let outcome = Outcome::Reply(vec![7; 1 << 20].into());
        for round in 0..2 {
            let tags = 1..=20;
            for tag in tags.clone() {
                requests.propose(Tag(tag));
                assert_eq!(requests.applied(Index(tag), outcome.clone(), true), None);
            }
            let replied = tags.map(|tag| {
                let id = EntryId::new(Term(1), Index(tag));
                let output = requests.committed(Tag(tag), id).expect("it is applied");
                assert!(matches!(output, Output::Replied { .. } | Output::Unknown { .. }));
                matches!(output, Output::Replied { .. })
            });
            assert_eq!(replied.filter(|replied| *replied).count(), 16, "in round {round}");
        }
    }
}
