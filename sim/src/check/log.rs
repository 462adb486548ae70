//! A log as the checks know it: by the ids of its entries. An id stands for its entry and for all
//! that is before it, for that is checked of every entry that is ever seen (S8, Log Matching).

use std::sync::Arc;

use quorate::log::Log as QuorateLog;
use quorate::types::{Entry, EntryId, HardState, Index, NodeId, Payload, Term, Write};

use crate::check::electorate::Electorate;
use crate::check::entries::Entries;
use crate::check::finding::{Check, Verdict};

/// A log, known by where each term ends in it, and by its memberships: it is as small as there were
/// elections and changes, however many entries it has.
#[derive(Clone, Debug)]
pub(super) struct Log {
    /// The last entry of each run of entries of one term, by ascending index.
    ends: Vec<EntryId>,
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
        Log { ends: Vec::new(), electorates: vec![(Index::ZERO, first)] }
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

    /// The memberships in the log from `first` on, each with the one before it.
    pub(super) fn changes_from(
        &self,
        first: Index,
    ) -> impl Iterator<Item = &[(Index, Arc<Electorate>); 2]> {
        let new = self.electorates.partition_point(|(index, _)| *index < first);
        self.electorates[new.saturating_sub(1)..].array_windows()
    }

    pub(super) fn last(&self) -> Index {
        self.last_id().index
    }

    pub(super) fn last_id(&self) -> EntryId {
        self.ends.last().copied().unwrap_or(EntryId::ZERO)
    }

    /// The entry at `index`, if the log reaches that far; before the first one all logs are alike.
    pub(super) fn id_at(&self, index: Index) -> Option<EntryId> {
        if index == Index::ZERO {
            return Some(EntryId::ZERO);
        }
        let place = match self.ends[..] {
            // Most questions are about the latest term.
            [.., before, last] if before.index < index && index <= last.index => {
                self.ends.len() - 1
            }
            _ => self.ends.partition_point(|end| end.index < index),
        };
        Some(EntryId::new(self.ends.get(place)?.term, index))
    }

    /// Whether the entry `id` is in the log.
    pub(super) fn has(&self, id: EntryId) -> bool {
        id.index > Index::ZERO && self.id_at(id.index) == Some(id)
    }

    /// The bytes of the entries after `index`; of all, if the log does not reach that far.
    pub(super) fn bytes_after(&self, index: Index, entries: &Entries) -> u64 {
        let before = self.id_at(index).map_or(0, |id| entries.bytes_to(id));
        entries.bytes_to(self.last_id()).saturating_sub(before)
    }

    /// Adds the entries up to `end`, all of its term.
    fn push(&mut self, end: EntryId) {
        match self.ends.last_mut() {
            Some(last) if last.term == end.term => *last = end,
            _ => self.ends.push(end),
        }
    }

    /// Adds what `other` has after this log's end, up to `last`.
    ///
    /// # Panics
    /// If either log does not fit: `last` lies in `other`, and not before the end of this one.
    pub(super) fn extend_like(&mut self, other: &Log, last: Index) {
        let own = self.last();
        assert!(own <= last && last <= other.last(), "it goes on where the other has more");
        let new = other.electorates.partition_point(|(index, _)| *index <= own);
        let new = other.electorates[new..].iter().take_while(|(index, _)| *index <= last);
        self.electorates.extend(new.cloned());
        let new = other.ends.partition_point(|end| end.index <= own);
        for end in &other.ends[new..] {
            if self.last() < last {
                self.push(EntryId::new(end.term, end.index.min(last)));
            }
        }
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
        if last >= self.last() {
            return;
        }
        let at = self.id_at(last).unwrap_or_default();
        self.ends.truncate(self.ends.partition_point(|end| end.index < last));
        if last > Index::ZERO {
            self.ends.push(at);
        }
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
        entries.admit(by, self.log.last_id(), entry)?;
        self.log.push(id);
        if let Payload::Membership(membership) = &entry.payload {
            self.log.electorates.push((id.index, entries.electorate(id, membership)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use quorate::types::Membership;

    use super::*;

    /// What is done to one of two logs.
    #[derive(Clone, Debug)]
    enum Step {
        Push(u64, usize),
        Truncate(u64),
        /// It takes over the other's log up to so many entries beyond its own.
        Extend(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (1..4_u64, 1..5_usize).prop_map(|(term, count)| Step::Push(term, count)),
            (0..20_u64).prop_map(Step::Truncate),
            (0..10_u64).prop_map(Step::Extend),
        ]
    }

    fn log() -> Log {
        Log::new(Arc::new(Electorate::new(&[], &Membership::default())))
    }

    proptest! {
        #[test]
        fn it_is_like_a_list_of_its_entries(
            steps in proptest::collection::vec((step(), any::<bool>()), 1..40)
        ) {
            let mut logs = [log(), log()];
            let mut lists: [Vec<Term>; 2] = [Vec::new(), Vec::new()];
            for (step, first) in steps {
                let (at, by) = if first { (0, 1) } else { (1, 0) };
                let other = logs[by].clone();
                let (log, length) = (&mut logs[at], lists[at].len());
                match step {
                    Step::Push(term, count) => {
                        log.push(EntryId::new(Term(term), Index((length + count) as u64)));
                        lists[at].extend(std::iter::repeat_n(Term(term), count));
                    }
                    Step::Truncate(last) => {
                        log.truncate(Index(last));
                        lists[at].truncate(last as usize);
                    }
                    Step::Extend(more) => {
                        let last = (length + more as usize).min(lists[by].len());
                        if last < length {
                            continue;
                        }
                        log.extend_like(&other, Index(last as u64));
                        let new = lists[by][length..last].to_vec();
                        lists[at].extend(new);
                    }
                }
                for (log, list) in logs.iter().zip(&lists) {
                    let ids = (1..).map(Index).zip(list).map(|(at, term)| EntryId::new(*term, at));
                    for id in ids.clone() {
                        prop_assert_eq!(log.id_at(id.index), Some(id));
                    }
                    prop_assert_eq!(log.last_id(), ids.last().unwrap_or(EntryId::ZERO));
                    prop_assert_eq!(log.id_at(log.last().next()), None);
                }
            }
        }
    }
}
