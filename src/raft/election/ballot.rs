//! The node's term, vote and vote lease: whether it may vote for a candidate, and whether it may be
//! elected itself.
//!
//! TLA+: `docs/tla/quorate.tla`, IsUpToDate, HasNoOtherVote, IsWithheld and KeptPromise.

use core::time::Duration;

use crate::log::Log;
use crate::raft::api::action::MessageRejectReason;
use crate::raft::clock_drift::stretched;
use crate::raft::journal::Journal;
use crate::types::{EntryId, HardState, Incarnation, Index, Instant, Membership, NodeId, Term};

/// The node's term and vote, and the vote lease that it granted to a leader.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Ballot {
    hard_state: HardState,
    /// Until this instant the node withholds its vote and does not campaign, because a leader's
    /// lease relies on it.
    withheld_until: Instant,
    /// Until this instant, a vote lease that the node granted before its start may be in force;
    /// `None` if all of them have certainly ended.
    earlier_leases_until: Option<Instant>,
    /// The longest vote lease since the start: one that a leader requested, or the length of the
    /// read leases that this node may grant if it wins.
    requested_lease: Duration,
    /// The term in which the node started, or last became uncertain or certain.
    started_in: Term,
    /// Whether a disk that the node has lost may have answered heartbeats of the current term.
    lost_disk: LostDisk,
    /// The highest commit index that a leader or a voter has named since the start. It may be after
    /// the end of the log. Every node that can win an election has the entries up to this index
    /// (Raft §5.4.3).
    named_committed: Index,
    /// Whether the node may vote before it knows a membership: its disk is one of a cluster in
    /// which a vote counts only if the candidate's membership names the voter's disk.
    votes_without_membership: bool,
}

/// Whether a disk that the node has lost may have answered heartbeats of the current term. A leader
/// may echo the replies of that disk until it receives a message that the node sent after its
/// present start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
enum LostDisk {
    /// No lost disk can have answered in a term later than that of the start, because the leader of
    /// such a term has a membership that names the present disk: one that was committed before the
    /// start, or bootstrapped since.
    None,
    /// At the start, no committed membership named this disk, and no leader has sent the node a
    /// read index since then.
    Possible,
    /// The leader of `term` had committed the log through `committed` when it received a read index
    /// request that the node sent after this start.
    Replaced { term: Term, committed: Index },
}

impl Ballot {
    /// Returns the ballot of a node that starts with `hard_state`. Its disk `is_named` if a
    /// membership that the node knows to be committed names it; any other disk may have replaced an
    /// earlier one. Clock rates are off by at most `drift_ppm` parts per million.
    pub(crate) fn new(
        hard_state: HardState,
        is_named: bool,
        drift_ppm: u32,
        now: Instant,
    ) -> Ballot {
        // The vote lease counts from the last leader contact, which is before the start. It may
        // also cover read leases that this node granted as a leader: their holders' clocks measure
        // them, so it is stretched.
        let withheld_until = now.after(stretched(hard_state.vote_lease, drift_ppm));
        let earlier_leases_until = (!hard_state.vote_lease.is_zero()).then_some(withheld_until);
        let started_in = hard_state.term;
        Ballot {
            hard_state,
            withheld_until,
            earlier_leases_until,
            requested_lease: Duration::ZERO,
            started_in,
            lost_disk: if is_named { LostDisk::None } else { LostDisk::Possible },
            named_committed: Index::ZERO,
            votes_without_membership: false,
        }
    }

    pub(crate) fn term(&self) -> Term {
        self.hard_state.term
    }

    pub(crate) fn vote(&self) -> Option<NodeId> {
        self.hard_state.vote
    }

    /// The length of the node's vote lease, as stored in the hard state: the longest that a leader
    /// has requested since the start, or the length of the read leases that this node may grant if
    /// it wins. While vote leases from before the start may be in force, it is at least as long as
    /// those. Zero if the node has used no leases.
    pub(crate) fn vote_lease(&self) -> Duration {
        self.hard_state.vote_lease
    }

    /// Whether a heartbeat with the commit index `committed` may give the node a read lease, or
    /// show how fresh its state is: the node is certain, entered its current term after its start
    /// and after it became certain, and has not answered the heartbeat's round from another disk.
    /// Otherwise it may already have answered this round. If the leader echoed that earlier reply,
    /// the node would measure the time from its later reply to the same round, and would trust the
    /// lease or its state for too long.
    pub(crate) fn may_count_round(&self, committed: Index) -> bool {
        let is_only_answer = match self.lost_disk {
            LostDisk::None => true,
            LostDisk::Possible => false,
            // The heartbeat was sent after the lost disk had answered for the last time.
            LostDisk::Replaced { term, committed: before } => {
                self.term() > term || committed > before
            }
        };
        is_only_answer && !self.is_uncertain() && self.term() > self.started_in
    }

    /// Records that the leader of the current term sent `index` as the read index for a request of
    /// this start: `index` was the leader's commit index when the request arrived, and a quorum
    /// confirmed the leadership after that.
    pub(crate) fn record_read_index(&mut self, index: Index) {
        if self.lost_disk == LostDisk::Possible {
            self.lost_disk = LostDisk::Replaced { term: self.term(), committed: index };
        }
    }

    /// Records that the first membership of the cluster accepts this node's disk, so that the node
    /// has had no other disk in this cluster.
    pub(crate) fn record_bootstrap(&mut self) {
        self.lost_disk = LostDisk::None;
    }

    /// Allows the node to vote before it knows a membership. The cluster was bootstrapped, so its
    /// memberships name the disks of their voters. They may name this disk, because it has an
    /// entry, or because a member has replied that it is a voter's. If this node did not vote, the
    /// other voters might be unable to elect the leader from which it would get a membership.
    pub(crate) fn vote_without_membership(&mut self) {
        self.votes_without_membership = true;
    }

    /// Whether the node is uncertain: its log may lack entries that it acknowledged, and it may
    /// have voted in later terms.
    pub(crate) fn is_uncertain(&self) -> bool {
        self.hard_state.is_uncertain
    }

    /// Makes the node uncertain, or certain again.
    pub(crate) fn set_uncertain(&mut self, is_uncertain: bool, journal: &mut Journal) {
        self.started_in = self.term();
        self.set(HardState { is_uncertain, ..self.hard_state }, journal);
    }

    /// Records a commit index that a leader or a voter named.
    #[inline]
    pub(crate) fn record_named_committed(&mut self, committed: Index) {
        self.named_committed = self.named_committed.max(committed);
    }

    /// The highest commit index that the node knows, which may be after the end of its log.
    pub(crate) fn known_committed(&self, log: &Log) -> Index {
        self.named_committed.max(log.committed())
    }

    /// Changes the hard state, and adds it to the next write. No other function changes it.
    fn set(&mut self, hard_state: HardState, journal: &mut Journal) {
        let before = self.hard_state;
        assert!(hard_state.term >= before.term, "a term only increases");
        let suffices = hard_state.vote_lease >= self.requested_lease;
        assert!(suffices, "a vote lease that may be in force is not shortened");
        let keeps_vote = before.vote.is_none() || hard_state.vote == before.vote;
        assert!(hard_state.term > before.term || keeps_vote, "a vote is never changed");
        self.hard_state = hard_state;
        journal.outbox_mut().write_hard_state(hard_state);
    }

    /// Enters a later term, in which the node has not voted yet (Raft §5.1).
    pub(crate) fn enter_term(&mut self, term: Term, journal: &mut Journal) {
        assert!(term > self.term(), "a term only increases");
        assert!(term <= Term::MAX, "no term exceeds the maximum");
        self.set(HardState { term, vote: None, ..self.hard_state }, journal);
        journal.outbox_mut().drop_before(term);
    }

    /// Votes in the current term, once (Raft §5.2).
    pub(crate) fn vote_for(&mut self, candidate: NodeId, journal: &mut Journal) {
        assert!(self.vote().is_none_or(|vote| vote == candidate), "at most one vote in a term");
        assert!(self.term() > Term::ZERO, "no election is held in term 0");
        if self.vote().is_none() {
            self.set(HardState { vote: Some(candidate), ..self.hard_state }, journal);
        }
    }

    /// Lengthens the vote lease to `span` if it is shorter. Shortens it to the longest one
    /// requested since the start, once the vote leases from before the start have certainly ended.
    /// Each leader contact from now on starts a vote lease of that length.
    pub(crate) fn request_vote_lease(
        &mut self,
        span: Duration,
        now: Instant,
        journal: &mut Journal,
    ) {
        self.earlier_leases_until = self.earlier_leases_until.filter(|until| now < *until);
        self.requested_lease = self.requested_lease.max(span);
        let vote_lease = match self.earlier_leases_until {
            Some(_) => self.requested_lease.max(self.hard_state.vote_lease),
            None => self.requested_lease,
        };
        if vote_lease != self.hard_state.vote_lease {
            self.set(HardState { vote_lease, ..self.hard_state }, journal);
        }
    }

    /// Restarts the vote lease at a leader contact.
    #[inline]
    pub(crate) fn renew_vote_lease(&mut self, now: Instant) {
        if !self.hard_state.vote_lease.is_zero() {
            self.withhold_vote_until(now.after(self.hard_state.vote_lease));
        }
    }

    /// Withholds the node's vote at least until the given instant. Never shortens the time.
    pub(crate) fn withhold_vote_until(&mut self, until: Instant) {
        self.withheld_until = self.withheld_until.max(until);
    }

    /// The instant until which the node withholds its vote.
    pub(crate) fn withheld_until(&self) -> Instant {
        self.withheld_until
    }

    /// Whether the node withholds its vote now, because a leader's lease may rely on it.
    pub(crate) fn withholds_vote(&self, now: Instant) -> bool {
        now < self.withheld_until
    }

    /// Returns the reason why the node currently grants no vote in a later term: it `hears_leader`,
    /// or a leader's lease may rely on it. `None` if neither holds.
    pub(crate) fn withheld_reason(
        &self,
        hears_leader: bool,
        now: Instant,
    ) -> Option<MessageRejectReason> {
        if hears_leader {
            return Some(MessageRejectReason::LeaderHeard);
        }
        self.withholds_vote(now).then_some(MessageRejectReason::VoteWithheld)
    }

    /// Returns why the node does not vote for the candidate in the current term, or `None` if it
    /// may. The candidate's log ends with `last`. A vote lease does not matter in a `transfer`,
    /// because the leader itself asked for the election.
    pub(crate) fn vote_reject_reason(
        &self,
        candidate: NodeId,
        last: EntryId,
        transfer: bool,
        log: &Log,
        now: Instant,
    ) -> Option<MessageRejectReason> {
        if self.withholds_vote(now) && !transfer {
            Some(MessageRejectReason::VoteWithheld)
        } else if self.vote().is_some_and(|vote| vote != candidate) {
            Some(MessageRejectReason::AlreadyVoted)
        } else {
            self.log_reject_reason(log, last)
        }
    }

    /// Returns why the node would not vote in `next_term` for a candidate whose log ends with
    /// `last`, or `None` if it would. `withheld` is the result of [`Ballot::withheld_reason`].
    pub(crate) fn pre_vote_reject_reason(
        &self,
        next_term: Term,
        last: EntryId,
        withheld: Option<MessageRejectReason>,
        log: &Log,
    ) -> Option<MessageRejectReason> {
        if next_term <= self.term() {
            return Some(MessageRejectReason::StaleTerm);
        }
        withheld.or_else(|| self.log_reject_reason(log, last))
    }

    /// Returns the reason that forbids a node, in any term, to vote for a candidate whose log ends
    /// with `last`; `None` if there is none. A candidate's log must be at least as up to date as
    /// the node's (Raft §5.4.1), and must not end before an entry that is known to be committed. A
    /// node without a membership does not vote unless [`Ballot::vote_without_membership`] has
    /// allowed it, because its disk may have been emptied, and an earlier vote or vote lease lost
    /// with it. Nor does an uncertain node, for the same reason.
    fn log_reject_reason(&self, log: &Log, last: EntryId) -> Option<MessageRejectReason> {
        if self.is_uncertain() {
            return Some(MessageRejectReason::LogUncertain);
        }
        if log.membership().is_empty() && !self.votes_without_membership {
            return Some(MessageRejectReason::NoMembership);
        }
        let behind = (last < log.last()).then_some(MessageRejectReason::LogBehind);
        let lacks_committed = last.index < self.known_committed(log);
        behind.or(lacks_committed.then_some(MessageRejectReason::LacksCommitted))
    }

    /// Whether the node `own` may be elected: it is a voter, or the change that removed its vote is
    /// not known to be committed. In the second case, its log may be the only one that contains the
    /// change, so no other node could win an election (thesis §4.2.2). The membership must accept
    /// the incarnation of its disk, and the current term must not be the maximum.
    pub(crate) fn is_electable(&self, own: NodeId, incarnation: Incarnation, log: &Log) -> bool {
        let committed = log.membership_at(log.committed());
        let votes = |membership: &Membership| {
            let member = membership.member(own);
            membership.is_voter(own) && member.is_some_and(|it| it.accepts_incarnation(incarnation))
        };
        let may_vote = votes(log.membership()) || committed.is_some_and(votes);
        may_vote && self.term() < Term::MAX
    }

    /// Panics if the ballot contradicts itself or the log.
    pub(crate) fn assert_invariants(&self, log: &Log) {
        assert!(log.last().term <= self.term(), "no entry is of a later term");
        assert!(self.started_in <= self.term(), "a node never returns to an earlier term");
        if let LostDisk::Replaced { term, .. } = self.lost_disk {
            assert!(term <= self.term(), "a read index is of a term that the node has entered");
        }
    }
}

#[cfg(feature = "explore")]
impl Ballot {
    /// Resets the highest named commit index, unless it is after the log's commit index, and resets
    /// the fields that matter only if the nodes have different vote leases.
    pub(crate) fn normalize(&mut self, log: &Log) {
        (self.earlier_leases_until, self.requested_lease) = (None, self.hard_state.vote_lease);
        if self.named_committed <= log.committed() {
            self.named_committed = Index::ZERO;
        }
    }

    /// The end of the vote lease; meaningless once it has passed.
    pub(crate) fn instant(&mut self) -> &mut Instant {
        &mut self.withheld_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Restored, SnapshotMeta};

    fn started(state: HardState) -> (Ballot, Journal) {
        let log = Log::new(&Restored::default()).expect("an empty log is consistent");
        let ballot = Ballot::new(state, true, 0, Instant(100));
        (ballot, Journal::new(log, SnapshotMeta::default()))
    }

    fn written(journal: &mut Journal) -> Option<HardState> {
        let has_write = journal.outbox().has_write();
        has_write.then(|| journal.submit(Instant(100))).and_then(|write| write.hard_state)
    }

    #[test]
    fn every_change_of_the_hard_state_is_written() {
        let (mut ballot, mut journal) = started(HardState::new(Term(1), None));
        ballot.vote_for(NodeId(2), &mut journal);
        assert_eq!(written(&mut journal), Some(HardState::new(Term(1), Some(NodeId(2)))));
        ballot.vote_for(NodeId(2), &mut journal);
        assert_eq!(written(&mut journal), None, "the same vote again changes nothing");
        ballot.request_vote_lease(Duration::from_nanos(7), Instant(100), &mut journal);
        assert_eq!(written(&mut journal), Some(ballot.hard_state));
        ballot.enter_term(Term(3), &mut journal);
        let vote_lease = Duration::from_nanos(7);
        let expected = HardState { vote_lease, ..HardState::new(Term(3), None) };
        assert_eq!(written(&mut journal), Some(expected));
    }

    #[test]
    fn a_new_disk_counts_only_heartbeats_that_follow_its_request() {
        let log = Log::new(&Restored::default()).expect("an empty log is consistent");
        let mut journal = Journal::new(log, SnapshotMeta::default());
        let mut ballot = Ballot::new(HardState::default(), false, 0, Instant::ZERO);
        ballot.enter_term(Term(3), &mut journal);
        let mut bootstrapped = ballot.clone();
        assert!(!ballot.may_count_round(Index(9)), "a lost disk may have answered it");
        ballot.record_read_index(Index(9));
        assert!(!ballot.may_count_round(Index(9)), "it may have been sent before the request");
        assert!(ballot.may_count_round(Index(10)));
        ballot.record_read_index(Index(20));
        assert!(ballot.may_count_round(Index(10)), "the first request shows it");
        ballot.enter_term(Term(4), &mut journal);
        assert!(ballot.may_count_round(Index(0)), "the leader was elected after the request");
        bootstrapped.record_bootstrap();
        assert!(bootstrapped.may_count_round(Index(0)));
    }

    #[test]
    fn a_stored_vote_lease_withholds_the_vote_after_a_start() {
        let vote_lease = Duration::from_nanos(50);
        let (mut ballot, _) = started(HardState { vote_lease, ..HardState::default() });
        let reason = |ballot: &Ballot, now| ballot.withheld_reason(false, Instant(now));
        assert_eq!(reason(&ballot, 149), Some(MessageRejectReason::VoteWithheld));
        assert_eq!(reason(&ballot, 150), None);
        ballot.renew_vote_lease(Instant(120));
        assert_eq!(reason(&ballot, 169), Some(MessageRejectReason::VoteWithheld));
        let heard = ballot.withheld_reason(true, Instant(200));
        assert_eq!(heard, Some(MessageRejectReason::LeaderHeard));
    }

    #[test]
    fn a_vote_lease_from_before_the_start_is_extended_for_clock_drift() {
        let vote_lease = Duration::from_nanos(100);
        let state = HardState { vote_lease, ..HardState::default() };
        // The clock of the node may be three times as fast as that of the leader.
        let ballot = Ballot::new(state, true, 500_000, Instant(1000));
        assert!(ballot.withholds_vote(Instant(1299)) && !ballot.withholds_vote(Instant(1300)));
    }

    #[test]
    fn a_vote_lease_is_shortened_once_those_from_before_the_start_have_ended() {
        let vote_lease = Duration::from_nanos(50);
        let (mut ballot, mut journal) = started(HardState { vote_lease, ..HardState::default() });
        let mut stored = |ballot: &mut Ballot, span, now| {
            let span = Duration::from_nanos(span);
            ballot.request_vote_lease(span, Instant(now), &mut journal);
            written(&mut journal).map(|state| state.vote_lease.as_nanos())
        };
        assert_eq!(stored(&mut ballot, 9, 149), None, "the lease of 50 may be in force");
        ballot.renew_vote_lease(Instant(149));
        assert_eq!(stored(&mut ballot, 5, 150), Some(9), "a lease of 9 was requested at 149");
        // The contact at 149 still counts for 50; a later contact withholds the vote for 9.
        ballot.renew_vote_lease(Instant(195));
        assert!(ballot.withholds_vote(Instant(203)) && !ballot.withholds_vote(Instant(204)));
        assert_eq!(stored(&mut ballot, 7, 500), None, "a lease of 9 may be in force elsewhere");
        assert_eq!(stored(&mut ballot, 20, 501), Some(20));
    }

    #[test]
    fn without_an_earlier_vote_lease_none_is_shortened_before_the_next_start() {
        let (mut ballot, mut journal) = started(HardState::default());
        for (span, expected) in [(30, 30), (10, 30), (40, 40)] {
            ballot.request_vote_lease(Duration::from_nanos(span), Instant(100), &mut journal);
            assert_eq!(ballot.vote_lease(), Duration::from_nanos(expected));
        }
    }
}
