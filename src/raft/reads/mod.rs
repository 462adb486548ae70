//! Linearizable reads by read index (thesis §6.4): the reads that wait for the node's state
//! machine, in any role, and how fresh the node's state is.

pub(crate) mod read_lease;

use alloc::collections::VecDeque;
use core::time::Duration;

use crate::raft::api::action::Action;
use crate::raft::output::Output;
use crate::raft::reads::read_lease::{AnsweredRound, FreshnessBound};
use crate::types::{Freshness, Index, Instant, ReadLevel, RejectReason, Tag, Term};

/// Reads with a known read index that wait for the state machine to apply it, and the freshness of
/// the node's own state. If the node loses its leader, reads whose index it knows to be committed
/// keep waiting; it rejects the others. It also rejects reads that wait too long for an entry that
/// it lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Reads {
    /// The waiting reads, by ascending index.
    waiting: VecDeque<ConfirmedRead>,
    /// A random number that identifies this start of the node.
    start_id: u64,
    /// The number of the last read forwarded to a leader.
    last_ticket: u64,
    /// The latest confirmed bound on the staleness of the state machine, from leaders' heartbeats.
    freshness_bound: Option<FreshnessBound>,
    /// The last heartbeat round that the node answered. The time of a read lease counts from the
    /// first reply to a round.
    answered_round: AnsweredRound,
}

/// A read that may be answered once `index` is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct ConfirmedRead {
    pub(crate) tag: Tag,
    pub(crate) index: Index,
    pub(crate) freshness: Freshness,
    /// When the node learned `index`.
    pub(crate) since: Instant,
}

impl ConfirmedRead {
    fn ready(self) -> Action {
        Action::ReadReady { tag: self.tag, index: self.index, freshness: self.freshness }
    }
}

impl Reads {
    pub(crate) fn new(start_id: u64) -> Reads {
        Reads { start_id, ..Reads::default() }
    }

    /// The random number that identifies this start of the node.
    pub(crate) fn start_id(&self) -> u64 {
        self.start_id
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn next_ticket(&mut self) -> u64 {
        self.last_ticket += 1;
        self.last_ticket
    }

    /// Answers the read once its index is applied.
    pub(crate) fn confirm(&mut self, read: ConfirmedRead, applied: Index, output: &mut Output) {
        if applied >= read.index {
            output.push(read.ready());
        } else {
            let place = self.waiting.partition_point(|other| other.index <= read.index);
            self.waiting.insert(place, read);
        }
    }

    /// Answers the reads that wait for an index up to `applied`.
    #[inline]
    pub(crate) fn answer_through(&mut self, applied: Index, output: &mut Output) {
        while let Some(read) = self.waiting.pop_front_if(|read| read.index <= applied) {
            output.push(read.ready());
        }
    }

    /// Rejects the reads that wait for an index after `last`.
    #[inline]
    pub(crate) fn reject_after(&mut self, last: Index, reason: RejectReason, output: &mut Output) {
        while let Some(read) = self.waiting.pop_back_if(|read| read.index > last) {
            output.push(Action::Rejected { tag: read.tag, reason });
        }
    }

    /// Rejects the reads that have waited longer than `wait_max` for an index after `last`.
    #[inline]
    pub(crate) fn reject_overdue(
        &mut self,
        last: Index,
        wait_max: Duration,
        now: Instant,
        output: &mut Output,
    ) {
        if self.last_index().is_none_or(|index| index <= last) {
            return;
        }
        self.waiting.retain(|read| {
            let is_overdue = read.index > last && read.since.after(wait_max) < now;
            if is_overdue {
                output.push(Action::Rejected { tag: read.tag, reason: RejectReason::NoLeader });
            }
            !is_overdue
        });
    }

    /// Returns the bound on the staleness of the node's own state if it suffices for `level`.
    pub(crate) fn fresh_enough(&self, level: ReadLevel, now: Instant) -> Option<FreshnessBound> {
        let ReadLevel::Bounded(staleness) = level else { return None };
        self.freshness_bound.filter(|fresh| now.since(fresh.since) <= staleness)
    }

    /// Records a confirmed bound on the staleness, unless a later one is known.
    pub(crate) fn learn_freshness(&mut self, bound: FreshnessBound) {
        if self.freshness_bound.is_none_or(|known| known.since < bound.since) {
            self.freshness_bound = Some(bound);
        }
    }

    /// Records a reply to the round, and returns whether it is the node's first one.
    pub(crate) fn answer_round(&mut self, term: Term, round: u64) -> bool {
        self.answered_round.record_if_new(term, round)
    }

    /// The last index that a read waits for; `None` if no read waits.
    pub(crate) fn last_index(&self) -> Option<Index> {
        self.waiting.back().map(|read| read.index)
    }

    /// Panics unless every read waits for an index that is not applied, in the order of indices.
    pub(crate) fn assert_invariants(&self, applied: Index, now: Instant) {
        let order = self.waiting.iter().is_sorted_by_key(|read| read.index);
        assert!(order, "reads wait in the order of their indices");
        let waits = self.waiting.front().is_none_or(|read| read.index > applied);
        assert!(waits, "no read waits for an index that is applied");
        assert!(self.waiting.iter().all(|read| read.since <= now), "no read waits in the future");
        let past = self.freshness_bound.is_none_or(|fresh| fresh.since <= now);
        assert!(past, "the state is as of an earlier instant");
    }
}

#[cfg(feature = "explore")]
impl Reads {
    /// Drops the freshness bound and the answered round: without leases, they only matter to
    /// bounded reads.
    pub(crate) fn forget_rounds(&mut self) {
        self.freshness_bound = None;
        self.answered_round = AnsweredRound::default();
    }

    /// Returns every instant in the reads' state.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        let bound = self.freshness_bound.as_mut().map(|fresh| &mut fresh.since);
        self.waiting.iter_mut().map(|read| &mut read.since).chain(bound)
    }
}
