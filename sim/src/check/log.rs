//! A log as the checks know it: the term, the chain and the size of every prefix.

use std::sync::Arc;

use quorate::log::Log as QuorateLog;
use quorate::types::{Entry, EntryId, HardState, Index, NodeId, Payload, Term, Write};

use crate::chain;
use crate::check::electorate::Electorate;
use crate::check::entries::{Entries, Known};
use crate::check::finding::{Check, S8, Verdict};
use crate::request::Said;

/// One entry of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// Its term.
    pub(super) term: Term,
    /// The chain of the log up to it.
    pub(super) chain: u64,
    /// The bytes of all entries up to it.
    bytes: u64,
}

/// A log, known by its links.
#[derive(Clone, Debug)]
pub(super) struct Log {
    links: Vec<Link>,
    /// The memberships in it, by ascending index; the first one is that of index 0.
    electorates: Vec<(Index, Arc<Electorate>)>,
}

/// A disk, or what memory thinks the disk will come to.
#[derive(Clone, Debug)]
pub(super) struct Image {
    /// Term and vote.
    pub(super) hard_state: HardState,
    /// The log.
    pub(super) log: Log,
}

impl Log {
    /// An empty log of a cluster that begins with `first`.
    pub(super) fn new(first: Arc<Electorate>) -> Log {
        Log { links: Vec::new(), electorates: vec![(Index::ZERO, first)] }
    }

    /// Who decides where the log ends: the last membership in it (Raft §6).
    pub(super) fn electorate(&self) -> &Arc<Electorate> {
        &self.electorates.last().expect("the first one stays").1
    }

    /// Who decides where the log has come to `index`.
    pub(super) fn electorate_at(&self, index: Index) -> &Arc<Electorate> {
        let after = self.electorates.partition_point(|(first, _)| *first <= index);
        &self.electorates[after.max(1) - 1].1
    }

    /// Every membership in the log, the first of the cluster included, by ascending index.
    pub(super) fn electorates(&self) -> &[(Index, Arc<Electorate>)] {
        &self.electorates
    }

    pub(super) fn last(&self) -> Index {
        Index(self.links.len() as u64)
    }

    pub(super) fn last_id(&self) -> EntryId {
        self.id_at(self.last()).unwrap_or(EntryId::ZERO)
    }

    pub(super) fn at(&self, index: Index) -> Option<&Link> {
        self.links.get(usize::try_from(index.0.checked_sub(1)?).ok()?)
    }

    pub(super) fn id_at(&self, index: Index) -> Option<EntryId> {
        self.at(index).map(|link| EntryId::new(link.term, index))
    }

    /// The chain of the log up to `index`, which may be 0.
    pub(super) fn chain_at(&self, index: Index) -> Option<u64> {
        if index == Index::ZERO { Some(chain::EMPTY) } else { Some(self.at(index)?.chain) }
    }

    /// The bytes of the entries after `index`.
    pub(super) fn bytes_after(&self, index: Index) -> u64 {
        let before = self.at(index).map_or(0, |link| link.bytes);
        self.links.last().map_or(0, |link| link.bytes).saturating_sub(before)
    }

    /// Adds what `other` has after this log's end, up to `last`.
    pub(super) fn extend_like(&mut self, other: &Log, last: Index) {
        let own = self.last();
        let new = |(index, _): &&(Index, Arc<Electorate>)| *index > own && *index <= last;
        self.electorates.extend(other.electorates.iter().filter(new).cloned());
        let last = usize::try_from(last.0).expect("a log fits into memory");
        self.links.extend_from_slice(&other.links[self.links.len()..last]);
    }

    /// The first membership of the cluster is in force, from before the first entry on.
    pub(super) fn found(&mut self, first: Arc<Electorate>) {
        self.electorates[0].1 = first;
    }

    /// A snapshot of the committed log up to `last` takes the place of the log.
    pub(super) fn install(&mut self, committed: &Log, last: Index) {
        self.truncate(Index::ZERO);
        self.found(Arc::clone(committed.electorate_at(Index::ZERO)));
        self.extend_like(committed, last);
    }

    /// Whether a node's log has the same ids from its start to its end, and ends with the same
    /// membership.
    pub(super) fn is_like(&self, log: &QuorateLog) -> bool {
        if self.last_id() != log.last() || self.electorate().membership != *log.membership() {
            return false;
        }
        // Terms never fall: where the ends of each term's entries agree, all do.
        let (mut at, base) = (log.last(), log.base());
        while at.index > base.index && at.term > Term::ZERO {
            if self.id_at(at.index) != Some(at) {
                return false;
            }
            let before = log.back_to(at.index, Term(at.term.0 - 1));
            let ours = self.id_at(before.index).unwrap_or_default();
            let next = self.id_at(before.index.next());
            if before.index > base.index
                && (ours != before || next.is_none_or(|id| id.term != at.term))
            {
                return false;
            }
            at = before;
        }
        self.id_at(base.index).unwrap_or_default() == base
    }

    pub(super) fn truncate(&mut self, last: Index) {
        self.links.truncate(usize::try_from(last.0).unwrap_or(usize::MAX));
        let kept = self.electorates.partition_point(|(index, _)| *index <= last);
        self.electorates.truncate(kept);
    }
}

impl Image {
    /// An empty disk of a cluster that begins with `first`.
    pub(super) fn new(first: Arc<Electorate>) -> Image {
        Image { hard_state: HardState::default(), log: Log::new(first) }
    }

    /// Carries out a write of node `by`: cuts the log and adds the entries. A gap breaks `whole`.
    pub(super) fn write(
        &mut self,
        by: NodeId,
        write: &Write,
        entries: &mut Entries,
        whole: &'static Check,
    ) -> Verdict {
        if let Some(hard_state) = write.hard_state {
            self.hard_state = hard_state;
        }
        if let Some(first) = write.entries.first() {
            self.log.truncate(first.id.index.previous());
        }
        for entry in &write.entries {
            self.append(by, entry, entries, whole)?;
        }
        Ok(())
    }

    pub(super) fn append(
        &mut self,
        by: NodeId,
        entry: &Entry,
        entries: &mut Entries,
        whole: &'static Check,
    ) -> Verdict {
        let id = entry.id;
        let last = self.log.last();
        if id.index != last.next() {
            return whole.broken(format!("{by} writes {id} though its log ends at {last}"));
        }
        let (prefix, bytes) =
            self.log.links.last().map_or((chain::EMPTY, 0), |link| (link.chain, link.bytes));
        let payload = chain::payload(&entry.payload);
        let chain = chain::link(prefix, id, payload);
        if let Err(known) =
            entries.admit(id, Known { chain, payload, said: Said::by(&entry.payload), holder: by })
        {
            let other = known.holder;
            let what = if known.payload == payload { "prefix" } else { "content" };
            return S8.broken(format!("{by} holds {id} with another {what} than {other} did"));
        }
        let bytes = bytes + entry.bytes() as u64;
        self.log.links.push(Link { term: id.term, chain, bytes });
        if let Payload::Membership(membership) = &entry.payload {
            self.log.electorates.push((id.index, entries.electorate(id, membership)));
        }
        Ok(())
    }
}
