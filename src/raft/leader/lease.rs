//! The leader lease: for how long a leader knows, without asking, that no other node leads, and the
//! read leases that it grants to followers (thesis §6.4.1). docs/READS.md has the argument.
//!
//! A node that answers a heartbeat withholds its vote for the span that the heartbeat names. Once a
//! quorum has answered the round that began at `s`, no other leader can be elected before that span
//! has passed since `s` on the clock of one of these nodes. That clock may run faster than the
//! leader's, so the lease is shorter than the span ([`shrunk`]).

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::time::Duration;

use crate::types::{Index, Instant, NodeId};

/// The leader's record of its heartbeat rounds and of the read leases that it granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct LeaderLease {
    /// The latest rounds begun since an entry of the term was committed, by ascending number, with
    /// their start times. Rounds before the last confirmed one are dropped.
    rounds: VecDeque<(u64, Instant)>,
    /// Another node was asked to campaign (`TimeoutNow`), which overrides withheld votes: the lease
    /// is no longer valid.
    is_over: bool,
    /// The holders of read leases, members or not, with the end of each by this leader's clock.
    read_leases: Vec<(NodeId, Instant)>,
}

impl LeaderLease {
    /// The most rounds recorded. If none of them is confirmed, there is no lease.
    const ROUNDS_MAX: usize = 64;

    /// Records a round that begins now; the leader has committed an entry of its term before.
    pub(crate) fn begin_round(&mut self, round: u64, now: Instant, confirmed: u64) {
        while self.rounds.len() == LeaderLease::ROUNDS_MAX
            || self.rounds.front().is_some_and(|(older, _)| *older < confirmed)
        {
            self.rounds.pop_front();
        }
        self.rounds.push_back((round, now));
    }

    /// When the round began, if an entry of the leader's term was committed by then.
    pub(crate) fn round_start(&self, round: u64) -> Option<Instant> {
        self.rounds.iter().find(|(known, _)| *known == round).map(|(_, since)| *since)
    }

    /// Ends the lease for the rest of the term, because another node is asked to campaign.
    pub(crate) fn end(&mut self) {
        assert!(self.read_leases.is_empty(), "read leases end before the leader lease does");
        self.is_over = true;
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Grants a read lease until the given instant; an earlier one that ends later stays in force.
    pub(crate) fn grant_read_lease(&mut self, to: NodeId, until: Instant) {
        match self.read_leases.iter_mut().find(|(holder, _)| *holder == to) {
            Some((_, longer)) => *longer = until.max(*longer),
            None => self.read_leases.push((to, until)),
        }
    }

    /// Drops the expired read leases. Returns whether one is left.
    pub(crate) fn has_read_leases(&mut self, now: Instant) -> bool {
        self.read_leases.retain(|(_, until)| now < *until);
        !self.read_leases.is_empty()
    }

    /// When the last read lease ends, or `None` without one.
    pub(crate) fn read_leases_end(&self) -> Option<Instant> {
        self.read_leases.iter().map(|(_, until)| *until).max()
    }

    /// The last index that all holders have, where `matched` returns the last index that a holder
    /// has; `None` without a holder.
    pub(crate) fn matched_by_holders(&self, matched: impl Fn(NodeId) -> Index) -> Option<Index> {
        self.read_leases.iter().map(|(holder, _)| matched(*holder)).min()
    }

    /// Returns every instant in the lease's state.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        let rounds = self.rounds.iter_mut().map(|(_, since)| since);
        rounds.chain(self.read_leases.iter_mut().map(|(_, until)| until))
    }

    /// Drops the recorded rounds. Without leases, they only matter to bounded reads.
    pub(crate) fn forget_rounds(&mut self) {
        self.rounds.clear();
    }
}

const MILLION: u128 = 1_000_000;

/// Returns a duration on this clock in which `span` has surely not passed on any other clock: clock
/// rates are off by at most `drift_ppm` parts per million, either way.
pub(crate) fn shrunk(span: Duration, drift_ppm: u32) -> Duration {
    let (slow, fast) = (MILLION - u128::from(drift_ppm), MILLION + u128::from(drift_ppm));
    nanos(span.as_nanos() * slow / fast)
}

/// Returns a duration on this clock in which `span` has surely passed on any other clock.
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
    fn a_shrunk_span_stretches_to_at_most_its_length() {
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
    fn a_read_lease_is_never_shortened_and_expires() {
        let mut lease = LeaderLease::default();
        lease.grant_read_lease(NodeId(2), Instant(50));
        lease.grant_read_lease(NodeId(2), Instant(40));
        lease.grant_read_lease(NodeId(3), Instant(60));
        assert_eq!(lease.matched_by_holders(|id| Index(id.0)), Some(Index(2)));
        assert!(lease.has_read_leases(Instant(49)));
        assert!(lease.has_read_leases(Instant(50)));
        assert_eq!(lease.matched_by_holders(|id| Index(id.0)), Some(Index(3)));
        assert!(!lease.has_read_leases(Instant(60)));
        assert_eq!(lease.matched_by_holders(|id| Index(id.0)), None);
    }

    #[test]
    fn rounds_before_the_last_confirmed_one_are_forgotten() {
        let mut lease = LeaderLease::default();
        for round in 1..=200 {
            lease.begin_round(round, Instant(round), 0);
        }
        assert_eq!(lease.rounds.len(), LeaderLease::ROUNDS_MAX);
        lease.begin_round(201, Instant(201), 190);
        assert_eq!(lease.round_start(189), None);
        assert_eq!(lease.round_start(190), Some(Instant(190)));
    }
}
