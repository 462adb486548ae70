//! What users wait for: each proposal and each read has exactly one outcome.

use std::collections::{BTreeMap, BTreeSet};

use crate::machine::Outcome;
use crate::replica::output::Output;
use crate::types::{EntryId, Freshness, Index, Tag};

/// Requests that have no outcome yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Requests {
    /// Proposals that are not committed, as far as this node knows, and what else it was told to
    /// do as a leader.
    proposed: BTreeSet<Tag>,
    /// Committed proposals, by place; their entries are not applied here yet.
    committed: BTreeMap<Index, (Tag, EntryId)>,
    /// What came of proposals that are applied here and still wait for other nodes' disks.
    early: BTreeMap<Index, Outcome>,
    /// Reads, each with its query until that is with the machine, and its read index since.
    reads: BTreeMap<Tag, Read>,
}

#[derive(Clone, Debug)]
enum Read {
    Waits(Vec<u8>),
    Asked(Index, Freshness),
}

impl Requests {
    pub(crate) fn propose(&mut self, tag: Tag) {
        assert!(!self.waits(tag), "contract: a tag names one request at a time");
        self.proposed.insert(tag);
    }

    pub(crate) fn read(&mut self, tag: Tag, query: Vec<u8>) {
        assert!(!self.waits(tag), "contract: a tag names one request at a time");
        self.reads.insert(tag, Read::Waits(query));
    }

    fn waits(&self, tag: Tag) -> bool {
        self.proposed.contains(&tag) || self.reads.contains_key(&tag)
    }

    pub(crate) fn len(&self) -> usize {
        self.proposed.len() + self.committed.len() + self.reads.len()
    }

    /// The proposal is in the log for good; its outcome comes when it is applied, if it was not.
    pub(crate) fn committed(&mut self, tag: Tag, id: EntryId) -> Option<Output> {
        let known = self.proposed.remove(&tag);
        assert!(known, "only what was proposed is committed, once");
        if let Some(outcome) = self.early.remove(&id.index) {
            return Some(Output::Replied { tag, id, outcome });
        }
        self.committed.insert(id.index, (tag, id));
        None
    }

    /// The proposal or read ends without effect, or with an unknown one.
    pub(crate) fn end(&mut self, tag: Tag) {
        let known = self.proposed.remove(&tag) || self.reads.remove(&tag).is_some();
        assert!(known, "a request has one outcome");
    }

    /// The proposal, which was to stand at `index`, ends with an unknown effect.
    pub(crate) fn end_at(&mut self, tag: Tag, index: Index) {
        self.early.remove(&index);
        self.end(tag);
    }

    /// The read may be answered: its query, which goes to the machine.
    pub(crate) fn ready(&mut self, tag: Tag, index: Index, freshness: Freshness) -> Vec<u8> {
        let read = self.reads.get_mut(&tag).expect("only what was asked is ready");
        match core::mem::replace(read, Read::Asked(index, freshness)) {
            Read::Waits(query) => query,
            Read::Asked(..) => panic!("a read is ready once"),
        }
    }

    /// The machine answered the read: the index it waited for, and how fresh that made it.
    pub(crate) fn answered(&mut self, tag: Tag) -> (Index, Freshness) {
        match self.reads.remove(&tag) {
            Some(Read::Asked(index, freshness)) => (index, freshness),
            _ => panic!("contract: only a query that was asked is answered, once"),
        }
    }

    /// The machine applied the entry at `index`, and this came of it. If a proposal still `waits`
    /// there for other nodes' disks, its outcome is kept.
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
            self.early.insert(index, outcome);
        }
        None
    }

    /// The machine starts over after `index`: what came of the entries up to there is not known
    /// here.
    pub(crate) fn skipped(&mut self, index: Index) -> impl Iterator<Item = Tag> + use<> {
        let later = self.committed.split_off(&index.next());
        core::mem::replace(&mut self.committed, later).into_values().map(|(tag, _)| tag)
    }

    /// The node stops: the proposals, which may yet be carried out, and the reads.
    pub(crate) fn take_all(&mut self) -> (Vec<Tag>, Vec<Tag>) {
        self.early.clear();
        let committed = core::mem::take(&mut self.committed).into_values().map(|(tag, _)| tag);
        let proposed = core::mem::take(&mut self.proposed).into_iter();
        let reads = core::mem::take(&mut self.reads).into_keys();
        (proposed.chain(committed).collect(), reads.collect())
    }
}
