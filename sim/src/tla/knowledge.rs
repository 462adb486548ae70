//! The knowledge about one node that is not part of its state, by the node's own clock.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate::raft::Status;
use quorate::types::{EntryId, Index, Instant, NodeId, Term};

use crate::recordings::CoreState;

/// The knowledge about one node.
#[derive(Clone, Debug, Default)]
pub(super) struct Knowledge {
    /// The number of starts, and whether the node has stepped since the last one.
    pub(super) starts: u64,
    pub(super) has_stepped: bool,
    /// Whether the node's disk has reported a write as durable.
    pub(super) has_written: bool,
    /// The last contact with a leader; `None` while the node of the spec hears no leader.
    pub(super) heard: Option<Instant>,
    /// The end of the vote lease.
    pub(super) withheld_until: Instant,
    /// The last round of each term that the node has answered, as far as the spec keeps it.
    pub(super) answered: BTreeMap<Term, u64>,
    /// The rounds that the node began as the leader of a term, each with the end of its lease.
    pub(super) led: Option<(Term, Vec<(u64, Instant)>)>,
    /// The last acknowledged index and round of each peer, in the term that the node leads.
    pub(super) replies: BTreeMap<NodeId, (Index, u64)>,
    /// The state after the node's last step.
    pub(super) last: Option<LastState>,
}

/// The part of a node's state that a start compares with the last recorded step: a recording that
/// ends with a kill lacks the last steps, so the start may be ahead of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct LastState {
    term: Term,
    vote: Option<NodeId>,
    has_vote_lease: bool,
    last: EntryId,
    committed: Index,
}

impl LastState {
    pub(super) fn new(state: &CoreState<'_>) -> LastState {
        let Status { term, vote, vote_lease, committed, .. } = *state.status;
        let has_vote_lease = !vote_lease.is_zero();
        LastState { term, vote, has_vote_lease, last: state.log.last(), committed }
    }

    /// Whether the state of a start has a part that only steps after this state can have made.
    pub(super) fn is_before(self, start: &LastState) -> bool {
        let has_voted = self.term == start.term && self.vote.is_none() && start.vote.is_some();
        let has_appended = (self.last.term, self.last.index) < (start.last.term, start.last.index);
        let has_vote_lease = !self.has_vote_lease && start.has_vote_lease;
        let has_hard_state = self.term < start.term || has_voted || has_vote_lease;
        has_hard_state || has_appended || self.committed < start.committed
    }
}

impl Knowledge {
    /// The node starts, with a vote lease of this length on its disk.
    pub(super) fn start(&mut self, vote_lease: Duration) {
        self.starts += 1;
        (self.has_stepped, self.heard, self.led) = (false, None, None);
        self.withheld_until = Instant::ZERO;
        if vote_lease.is_zero() {
            self.answered.clear();
        }
    }

    /// The node takes a step: its stored vote lease counts from the first one.
    pub(super) fn step(&mut self, now: Instant, vote_lease: Duration) {
        if !self.has_stepped && !vote_lease.is_zero() {
            self.withheld_until = now.after(vote_lease);
        }
        self.has_stepped = true;
    }

    /// The node accepts a message of its leader.
    pub(super) fn hear(&mut self, now: Instant, vote_lease: Duration, is_sticky: bool) {
        self.heard = is_sticky.then_some(now);
        if !vote_lease.is_zero() {
            self.withheld_until = self.withheld_until.max(now.after(vote_lease));
        }
    }

    /// The node begins a round in a term; `end` is the end of its lease.
    pub(super) fn begin_round(&mut self, term: Term, round: u64, end: Instant) {
        match &mut self.led {
            Some((led, rounds)) if *led == term => rounds.push((round, end)),
            _ => self.led = Some((term, vec![(round, end)])),
        }
    }

    /// The last round that the node has begun in a term.
    pub(super) fn round(&self, term: Term) -> u64 {
        let led = self.led.as_ref().filter(|(led, _)| *led == term);
        led.and_then(|(_, rounds)| rounds.last()).map_or(0, |(round, _)| *round)
    }

    /// The last round of the term whose lease is over by the clock of this leader.
    pub(super) fn ended_round(&self, term: Term, now: Instant) -> u64 {
        let led = self.led.as_ref().filter(|(led, _)| *led == term);
        let ended = led.and_then(|(_, rounds)| rounds.iter().rfind(|(_, end)| *end <= now));
        ended.map_or(0, |(round, _)| *round)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_may_lack_what_was_in_memory_but_has_nothing_new() {
        let id = |term, index| EntryId::new(Term(term), Index(index));
        let state = |term, vote: Option<u64>, last, committed| LastState {
            term: Term(term),
            vote: vote.map(NodeId),
            has_vote_lease: false,
            last,
            committed: Index(committed),
        };
        let recorded = state(2, None, id(2, 5), 4);
        for start in [recorded, state(1, Some(3), id(1, 9), 4), state(2, None, id(2, 4), 3)] {
            assert!(!recorded.is_before(&start), "{start:?}");
        }
        let later = [
            state(3, None, id(2, 5), 4),
            state(2, Some(1), id(2, 5), 4),
            state(2, None, id(2, 6), 4),
            state(2, None, id(3, 1), 4),
            state(2, None, id(2, 5), 5),
            LastState { has_vote_lease: true, ..recorded },
        ];
        for start in later {
            assert!(recorded.is_before(&start), "{start:?}");
        }
    }
}
