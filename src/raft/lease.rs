//! A leader's lease: for how long it knows, without asking, that nobody else leads; and the parts
//! of it that followers have (thesis §6.4.1). docs/READS.md has the argument.
//!
//! Whoever answers a heartbeat votes for nobody else for the span that the heartbeat names. So once
//! a quorum has answered the round that began at `s`, no other leader can be elected before that
//! span has passed since `s`, by the slowest of clocks.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::types::{Index, Instant, NodeId};

/// What a leader knows of the time that is its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tenure {
    /// The last rounds begun since an entry of the term was committed, by ascending number, and
    /// when each began; none before the last one confirmed.
    rounds: VecDeque<(u64, Instant)>,
    /// Somebody was asked to take over: whoever promised to vote for nobody else may do so now.
    is_over: bool,
    /// Who may answer reads by itself, and until when by this leader's clock. No matter who is a
    /// member.
    loans: Vec<(NodeId, Instant)>,
}

impl Tenure {
    /// How many rounds are known at most; where none of them is confirmed there is no lease.
    const ROUNDS_MAX: usize = 64;

    /// A round begins, of a leader that knows all that was committed before its term.
    pub(crate) fn begins(&mut self, round: u64, now: Instant, confirmed: u64) {
        while self.rounds.len() == Tenure::ROUNDS_MAX
            || self.rounds.front().is_some_and(|(older, _)| *older < confirmed)
        {
            self.rounds.pop_front();
        }
        self.rounds.push_back((round, now));
    }

    /// When the round began, if the leader knew by then all that was committed before its term.
    pub(crate) fn since(&self, round: u64) -> Option<Instant> {
        self.rounds.iter().find(|(known, _)| *known == round).map(|(_, since)| *since)
    }

    /// Somebody is asked to take over: in this term no lease is used or lent any more.
    pub(crate) fn end(&mut self) {
        assert!(self.loans.is_empty(), "loans end before the lease does");
        self.is_over = true;
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// The peer may answer reads until then.
    pub(crate) fn lend(&mut self, to: NodeId, until: Instant) {
        match self.loans.iter_mut().find(|(borrower, _)| *borrower == to) {
            Some((_, longer)) => *longer = until.max(*longer),
            None => self.loans.push((to, until)),
        }
    }

    /// Whether anybody may answer reads by itself; forgets who may not any more.
    pub(crate) fn lends(&mut self, now: Instant) -> bool {
        self.loans.retain(|(_, until)| now < *until);
        !self.loans.is_empty()
    }

    /// When the last loan is over.
    pub(crate) fn lent_until(&self) -> Option<Instant> {
        self.loans.iter().map(|(_, until)| *until).max()
    }

    /// What every borrower has, where `matched` tells how far each is.
    pub(crate) fn lent_through(&self, matched: impl Fn(NodeId) -> Index) -> Option<Index> {
        self.loans.iter().map(|(borrower, _)| matched(*borrower)).min()
    }

    /// Every instant it knows.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        let rounds = self.rounds.iter_mut().map(|(_, since)| since);
        rounds.chain(self.loans.iter_mut().map(|(_, until)| until))
    }

    /// Nothing is known of rounds: where there are no leases that only matters to bounded reads.
    pub(crate) fn forget_rounds(&mut self) {
        self.rounds.clear();
    }
}

const MILLION: u128 = 1_000_000;

/// How much of `span`, measured by any other clock, has surely not passed there before it has
/// passed here: clocks are off by at most `drift_ppm` millionths, either way.
pub(crate) fn shrunk(span: Duration, drift_ppm: u32) -> Duration {
    let (slow, fast) = (MILLION - u128::from(drift_ppm), MILLION + u128::from(drift_ppm));
    nanos(span.as_nanos() * slow / fast)
}

/// The span after which, by this clock, `span` has surely passed by any other.
pub(crate) fn stretched(span: Duration, drift_ppm: u32) -> Duration {
    let (slow, fast) = (MILLION - u128::from(drift_ppm), MILLION + u128::from(drift_ppm));
    nanos((span.as_nanos() * fast).div_ceil(slow))
}

fn nanos(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shrunk_span_stretches_to_no_more_than_it_was() {
        for drift_ppm in [0, 1, 100, 333_333, 500_000] {
            for millis in [1, 7, 300, 3_600_000] {
                let span = Duration::from_millis(millis);
                assert!(shrunk(span, drift_ppm) <= span && span <= stretched(span, drift_ppm));
                assert!(stretched(shrunk(span, drift_ppm), drift_ppm) <= span);
            }
        }
        assert_eq!(shrunk(Duration::from_millis(300), 500_000), Duration::from_millis(100));
        assert_eq!(stretched(Duration::from_millis(100), 500_000), Duration::from_millis(300));
    }

    #[test]
    fn a_loan_is_never_shortened_and_ends_by_itself() {
        let mut tenure = Tenure::default();
        tenure.lend(NodeId(2), Instant(50));
        tenure.lend(NodeId(2), Instant(40));
        tenure.lend(NodeId(3), Instant(60));
        assert_eq!(tenure.lent_through(|id| Index(id.0)), Some(Index(2)));
        assert!(tenure.lends(Instant(49)));
        assert!(tenure.lends(Instant(50)));
        assert_eq!(tenure.lent_through(|id| Index(id.0)), Some(Index(3)));
        assert!(!tenure.lends(Instant(60)));
        assert_eq!(tenure.lent_through(|id| Index(id.0)), None);
    }

    #[test]
    fn the_last_confirmed_round_is_known_and_none_before() {
        let mut tenure = Tenure::default();
        for round in 1..=200 {
            tenure.begins(round, Instant(round), 0);
        }
        assert_eq!(tenure.rounds.len(), Tenure::ROUNDS_MAX);
        tenure.begins(201, Instant(201), 190);
        assert_eq!(tenure.since(189), None);
        assert_eq!(tenure.since(190), Some(Instant(190)));
    }
}
