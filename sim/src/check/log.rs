//! Logs, stored as the id of the last entry of each run of equal terms. An id stands for its entry
//! and for all entries before it, because every entry is checked for Log Matching (S8) when it is
//! first seen.

use std::sync::Arc;

use quorate::log::Log as QuorateLog;
use quorate::types::{Entry, EntryId, HardState, Index, NodeId, Payload, Term, Write};

use crate::check::electorate::Electorate;
use crate::check::entries::Entries;
use crate::check::finding::{Check, CheckResult};

/// A log, stored as the end of each term and the memberships. Its size grows with the number of
/// elections and membership changes, and not with the number of entries.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    /// The last entry of each run of entries of one term, by ascending index.
    ends: Vec<EntryId>,
    /// The memberships in the log, by ascending index; the first one is that of index 0.
    electorates: Vec<(Index, Arc<Electorate>)>,
}

/// The contents of a disk, or the contents that it has once all pending writes are durable.
#[derive(Clone, Debug)]
pub(super) struct Image {
    /// The current term and vote.
    pub(super) hard_state: HardState,
    /// The entries and memberships of the log.
    pub(super) log: Log,
}

impl Log {
    /// Creates an empty log of a cluster with the first membership `first`.
    pub(crate) fn new(first: Arc<Electorate>) -> Log {
        Log { ends: Vec::new(), electorates: vec![(Index::ZERO, first)] }
    }

    /// The voters under the last membership in the log (Raft §6).
    pub(super) fn electorate(&self) -> &Arc<Electorate> {
        &self.electorates.last().expect("a log always has its first membership").1
    }

    /// The voters under the last membership at or before `index`.
    pub(super) fn electorate_at(&self, index: Index) -> &Arc<Electorate> {
        let after = self.electorates.partition_point(|(first, _)| *first <= index);
        &self.electorates[after.max(1) - 1].1
    }

    /// Every membership in the log by ascending index, including the cluster's first membership.
    pub(super) fn electorates(&self) -> &[(Index, Arc<Electorate>)] {
        &self.electorates
    }

    /// The memberships in the log from `first` on, each with the membership before it.
    pub(super) fn changes_from(
        &self,
        first: Index,
    ) -> impl Iterator<Item = &[(Index, Arc<Electorate>); 2]> {
        let new = self.electorates.partition_point(|(index, _)| *index < first);
        self.electorates[new.saturating_sub(1)..].array_windows()
    }

    pub(crate) fn last(&self) -> Index {
        self.last_id().index
    }

    pub(crate) fn last_id(&self) -> EntryId {
        self.ends.last().copied().unwrap_or(EntryId::ZERO)
    }

    /// The id of the entry at `index`, if the log reaches that far; index 0 has the zero id.
    pub(crate) fn id_at(&self, index: Index) -> Option<EntryId> {
        if index == Index::ZERO {
            return Some(EntryId::ZERO);
        }
        let place = match self.ends[..] {
            // Most calls ask for an entry of the latest term.
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

    /// The bytes of the entries after `index`, or of all entries if the log ends before `index`.
    pub(super) fn bytes_after(&self, index: Index, entries: &Entries) -> u64 {
        let before = self.id_at(index).map_or(0, |id| entries.bytes_to(id));
        entries.bytes_to(self.last_id()).saturating_sub(before)
    }

    /// Appends entries of the term of `end` up to the index of `end`.
    pub(crate) fn push(&mut self, end: EntryId) {
        match self.ends.last_mut() {
            Some(last) if last.term == end.term => *last = end,
            _ => self.ends.push(end),
        }
    }

    /// Appends the entries of `other` after this log's end, up to `last`.
    ///
    /// # Panics
    /// Panics unless `last` is in `other` and not before the end of this log.
    pub(super) fn extend_from(&mut self, other: &Log, last: Index) {
        let own = self.last();
        assert!(own <= last && last <= other.last(), "the other log continues this one");
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

    /// Sets the cluster's first membership, which applies before the first entry.
    pub(super) fn bootstrap(&mut self, first: Arc<Electorate>) {
        self.electorates[0].1 = first;
    }

    /// Replaces the log with a snapshot of the committed log up to `last`.
    pub(super) fn install(&mut self, committed: &Log, last: Index) {
        self.truncate(Index::ZERO);
        self.bootstrap(Arc::clone(committed.electorate_at(Index::ZERO)));
        self.extend_from(committed, last);
    }

    /// Whether a node's log has the same ids from its base on, and the same last membership. If the
    /// node lacks the content of a damaged membership entry, compares the last membership that the
    /// node knows.
    pub(super) fn matches(&self, log: &QuorateLog) -> bool {
        let is_unknown = log.has_unknown_membership();
        let known_at = if is_unknown { log.membership_index() } else { log.last().index };
        let membership = &self.electorate_at(known_at).membership;
        if self.last_id() != log.last() || membership != log.membership() {
            return false;
        }
        // Terms never decrease, so two logs are equal if the ends of all terms are equal.
        let (mut at, base) = (log.last(), log.base());
        while at.index > base.index && at.term > Term::ZERO {
            if self.id_at(at.index) != Some(at) {
                return false;
            }
            let before = log.find_conflict_by_term(at.index, Term(at.term.0 - 1));
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

    /// A copy of the log without the entries after `last`.
    pub(super) fn through(&self, last: Index) -> Log {
        let mut log = self.clone();
        log.truncate(last);
        log
    }

    pub(crate) fn truncate(&mut self, last: Index) {
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
    /// Creates the image of an empty disk in a cluster with the first membership `first`.
    pub(super) fn new(first: Arc<Electorate>) -> Image {
        Image { hard_state: HardState::default(), log: Log::new(first) }
    }

    /// Applies a write of node `by`: sets the hard state, truncates the log and appends the
    /// entries. A gap in the log violates `gap_check`.
    pub(super) fn write(
        &mut self,
        by: NodeId,
        write: &Write,
        entries: &mut Entries,
        gap_check: &'static Check,
    ) -> CheckResult {
        if let Some(hard_state) = write.hard_state {
            self.hard_state = hard_state;
        }
        if let Some(first) = write.entries.first() {
            self.log.truncate(first.id.index.previous());
        }
        for entry in &write.entries {
            self.append(by, entry, entries, gap_check)?;
        }
        Ok(())
    }

    pub(super) fn append(
        &mut self,
        by: NodeId,
        entry: &Entry,
        entries: &mut Entries,
        gap_check: &'static Check,
    ) -> CheckResult {
        let id = entry.id;
        let last = self.log.last();
        if id.index != last.next() {
            return gap_check
                .violated(format!("{by} writes entry {id}, but its log ends at index {last}"));
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

    /// One operation on one of two logs.
    #[derive(Clone, Debug)]
    enum Step {
        Push(u64, usize),
        Truncate(u64),
        /// Appends up to this many entries from the other log.
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
        fn a_log_agrees_with_a_list_of_its_entries(
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
                        log.extend_from(&other, Index(last as u64));
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
