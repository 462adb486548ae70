//! The leader lease: for how long a leader knows, without asking, that no other node leads, and the
//! read leases that it grants to followers (thesis §6.4.1). docs/READS.md has the argument.
//!
//! A node that answers a heartbeat withholds its vote for the span that the heartbeat names. Once a
//! quorum has answered the round that began at `s`, no other leader can be elected before that span
//! has passed since `s` on the clock of one of these nodes. That clock may run faster than the
//! leader's, so the lease is shorter than the span ([`shrunk`]).
//!
//! TLA+: `docs/tla/quorate.tla`, HasLease and EndRound.

use alloc::collections::{BTreeMap, VecDeque};
use core::time::Duration;

use crate::progress::Progress;
use crate::raft::api::config::{Config, Lease};
use crate::raft::clock_drift::{shrunk, stretched};
use crate::raft::leader::peers::Peers;
use crate::types::{Freshness, Index, Instant, NodeId, ReadLevel};

/// The leader's record of its heartbeat rounds and of the read leases that it granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct LeaderLease {
    /// The latest rounds that began after an entry of the term was committed, by ascending number,
    /// with their start times. Rounds before the last confirmed one are dropped.
    rounds: VecDeque<(u64, Instant)>,
    /// Whether the leader has asked another node to campaign (`TimeoutNow`). Voters grant that node
    /// their votes despite their vote leases, so the leader lease is no longer valid.
    is_over: bool,
    /// The holders of read leases, members or not, with the end of each by this leader's clock.
    read_leases: BTreeMap<NodeId, Instant>,
}

impl LeaderLease {
    /// The maximum number of rounds recorded. If none of them is confirmed, there is no lease.
    const ROUNDS_MAX: usize = 64;

    /// Records a round that begins now, after the leader has committed an entry of its term.
    pub(crate) fn begin_round(&mut self, round: u64, now: Instant, confirmed: u64) {
        let last = self.rounds.back();
        assert!(last.is_none_or(|(last, at)| *last < round && *at <= now), "rounds ascend");
        assert!(confirmed < round, "a round is confirmed after it was sent");
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

    /// The configured lease, unless this leader gave it up by asking another node to campaign.
    pub(crate) fn active(&self, config: &Config) -> Option<Lease> {
        config.lease.filter(|_| !self.is_over)
    }

    /// The duration of the vote lease that the leader requests with its heartbeats; zero without a
    /// lease.
    pub(crate) fn vote_lease(&self, config: &Config) -> Duration {
        self.active(config).map_or(Duration::ZERO, |_| config.vote_lease_span())
    }

    /// Returns the instant until which no other node can be elected, given that a quorum has
    /// confirmed the round `confirmed`; `None` without a lease, or if that round is not recorded.
    pub(crate) fn end_of(&self, config: &Config, confirmed: u64) -> Option<Instant> {
        let lease = self.active(config)?;
        let since = self.round_start(confirmed)?;
        Some(since.after(shrunk(config.vote_lease_span(), lease.drift_ppm)))
    }

    /// Returns the read lease that followers may get at `now`, as two durations. The first is its
    /// length on the holder's clock, counted from when the holder sent the reply that the heartbeat
    /// echoes. The second is the longest time on this leader's clock in which that length passes on
    /// the holder's. `None` without a leader lease, and while the leader is `transferring` its
    /// leadership.
    pub(crate) fn grantable(
        &self,
        config: &Config,
        confirmed: u64,
        transferring: bool,
        now: Instant,
    ) -> Option<(Duration, Duration)> {
        let lease = self.active(config).filter(|lease| lease.read_leases)?;
        let end = self.end_of(config, confirmed).filter(|_| !transferring)?;
        let length = end.since(now);
        assert!(length <= config.vote_lease_span(), "no read lease outlives the leader lease");
        (!length.is_zero()).then(|| (length, stretched(length, lease.drift_ppm)))
    }

    /// The freshness at `now` of the state at the commit index, or `None` if the level requires a
    /// heartbeat round.
    pub(crate) fn freshness(
        &self,
        level: ReadLevel,
        config: &Config,
        confirmed: u64,
        now: Instant,
    ) -> Option<Freshness> {
        match level {
            ReadLevel::Lease | ReadLevel::Replica => {
                let end = self.end_of(config, confirmed)?;
                (now < end).then_some(Freshness::Linearizable)
            }
            ReadLevel::Bounded(staleness) => {
                let age = now.since(self.round_start(confirmed)?);
                (age <= staleness).then_some(Freshness::Within(age))
            }
            ReadLevel::Linearizable | ReadLevel::Local => None,
        }
    }

    /// Grants a read lease until the given instant; an earlier one that ends later stays in force.
    pub(crate) fn grant_read_lease(&mut self, to: NodeId, until: Instant) {
        let end = self.read_leases.entry(to).or_insert(until);
        *end = until.max(*end);
    }

    /// Drops the expired read leases. Returns whether one is left.
    pub(crate) fn has_read_leases(&mut self, now: Instant) -> bool {
        self.read_leases.retain(|_, until| now < *until);
        !self.read_leases.is_empty()
    }

    /// When the last read lease ends, or `None` without one.
    pub(crate) fn read_leases_end(&self) -> Option<Instant> {
        self.read_leases.values().max().copied()
    }

    /// Whether every read lease has ended by this instant.
    pub(crate) fn read_leases_end_by(&self, until: Instant) -> bool {
        self.read_leases.values().all(|end| *end <= until)
    }

    /// The last index that every holder of a read lease has; `None` without a holder. A holder that
    /// is no longer a peer counts as having nothing.
    #[inline]
    pub(crate) fn bound(&mut self, peers: &Peers, now: Instant) -> Option<Index> {
        if self.read_leases.is_empty() || !self.has_read_leases(now) {
            return None;
        }
        let matched = |id: NodeId| peers.get(id).map_or(Index::ZERO, Progress::matched);
        self.read_leases.keys().map(|holder| matched(*holder)).min()
    }

    /// Panics if the recorded rounds or the read leases contradict the leader's clock.
    pub(crate) fn assert_invariants(&self, round: u64, now: Instant) {
        let order = self.rounds.iter().is_sorted_by(|one, next| one.0 < next.0 && one.1 <= next.1);
        assert!(order, "rounds are in order");
        let last = self.rounds.back();
        assert!(last.is_none_or(|(last, at)| *last <= round && *at <= now), "rounds have begun");
        assert!(self.rounds.len() <= LeaderLease::ROUNDS_MAX, "the record of rounds is bounded");
        let leases_end = self.read_leases.is_empty() || !self.is_over;
        assert!(leases_end, "read leases end before the leader lease does");
    }
}

#[cfg(feature = "explore")]
impl LeaderLease {
    /// Returns every instant in the lease's state.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        let rounds = self.rounds.iter_mut().map(|(_, since)| since);
        rounds.chain(self.read_leases.values_mut())
    }

    /// Drops the recorded rounds. Without leases, they only matter to bounded reads.
    pub(crate) fn forget_rounds(&mut self) {
        self.rounds.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_lease_is_never_shortened_and_expires() {
        let mut peers = Peers::new([2, 3].map(NodeId).into_iter(), Index(9), Instant::ZERO);
        for (id, progress) in peers.iter_mut() {
            progress.accepted(Index(id.0));
        }
        let mut lease = LeaderLease::default();
        lease.grant_read_lease(NodeId(2), Instant(50));
        lease.grant_read_lease(NodeId(2), Instant(40));
        lease.grant_read_lease(NodeId(3), Instant(60));
        assert_eq!(lease.bound(&peers, Instant(49)), Some(Index(2)));
        assert_eq!(lease.bound(&peers, Instant(50)), Some(Index(3)));
        peers.remove(|id| id == NodeId(3));
        assert_eq!(lease.bound(&peers, Instant(59)), Some(Index(0)), "no longer a peer");
        assert_eq!(lease.bound(&peers, Instant(60)), None);
    }

    #[test]
    fn a_lease_read_is_answered_exactly_while_a_read_lease_could_be_granted() {
        let mut config = Config::new(NodeId(1));
        config.lease = Some(Lease { drift_ppm: 1_000, read_leases: true });
        let mut lease = LeaderLease::default();
        lease.begin_round(3, Instant(10), 0);
        let end = lease.end_of(&config, 3).expect("the round is recorded");
        for now in [10, end.0 - 1, end.0, end.0 + 1].map(Instant) {
            let is_valid = now < end;
            for level in [ReadLevel::Lease, ReadLevel::Replica] {
                let fresh = lease.freshness(level, &config, 3, now);
                assert_eq!(fresh.is_some(), is_valid, "{level:?} at {now:?}");
            }
            assert_eq!(lease.grantable(&config, 3, false, now).is_some(), is_valid);
            assert_eq!(lease.grantable(&config, 3, true, now), None, "a transfer is under way");
        }
        let age = ReadLevel::Bounded(Duration::from_nanos(5));
        let fresh = |now| lease.freshness(age, &config, 3, Instant(now));
        assert_eq!(fresh(15), Some(Freshness::Within(Duration::from_nanos(5))));
        assert_eq!(fresh(16), None, "the bound is exceeded");
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
