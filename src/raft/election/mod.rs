//! Elections: pre-votes (thesis §9.6), candidates, and the voter's decision (Raft §5.2, §5.4.1).
//!
//! TLA+: `docs/tla/quorate.tla`, Timeout, GrantPreVote, StartElection, Vote and BecomeLeader.

pub(crate) mod ballot;
mod jitter;
pub(crate) mod timing;

use crate::quorum::{Tally, VoteResult};
use crate::raft::api::action::MessageRejectReason;
use crate::raft::common::Common;
use crate::raft::transition::Transition;
use crate::types::{Body, EntryId, Index, Instant, NodeId, RoleCause, Term, WriteId};

/// The state of a node that asks for pre-votes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct PreCandidate {
    /// The last index up to which the log is known to match that of the current term's leader.
    verified: Index,
    tally: Tally,
    deadline: Instant,
}

/// The state of a candidate in its current term.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Candidate {
    tally: Tally,
    deadline: Instant,
    /// The write of the node's vote for itself; `None` once it is durable. Before that, the vote
    /// does not count and no vote request is sent.
    own_vote: Option<WriteId>,
    /// Whether a voter reported that its log has every committed entry, and that it votes for this
    /// node (`Config::survivor`).
    has_complete_log_vote: bool,
}

impl PreCandidate {
    /// Asks every voter for a pre-vote. The node's own pre-vote needs no disk write, because a
    /// pre-vote changes no state.
    pub(crate) fn new(verified: Index, common: &mut Common) -> PreCandidate {
        let mut tally = Tally::default();
        tally.count(common.id(), true);
        let next_term = common.term().next();
        common.send_to_voters(&Body::PreVote { next_term, last: common.log().last() });
        PreCandidate { verified, tally, deadline: common.election_deadline() }
    }

    /// The last index up to which the log is known to match that of the current term's leader.
    pub(crate) fn verified(&self) -> Index {
        self.verified
    }

    /// The end of the election timeout.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(crate) fn on_timeout(&self, common: &Common) -> Transition {
        if common.now() < self.deadline { Transition::Stay } else { campaign_again(common) }
    }

    pub(crate) fn transition(&self, common: &Common) -> Transition {
        if !common.is_electable() {
            // This node received a snapshot whose committed membership gives it no vote.
            return Transition::step_down(common.term(), RoleCause::VoteRemoved);
        }
        // Only the election itself shows whether a voter that grants has a complete log. In a
        // pre-vote, each other voter that granted is assumed to have one.
        let has_complete_log_vote = self.tally.granted().iter().any(|id| *id != common.id());
        match vote_result(common, &self.tally, has_complete_log_vote) {
            VoteResult::Won if common.may_campaign() => {
                Transition::StartElection(RoleCause::PreVotesGranted)
            }
            // Since it asked for pre-votes, its disk became stuck, or an entry was found damaged.
            VoteResult::Won => Transition::step_down(common.term(), common.disk_fault()),
            VoteResult::Lost => Transition::step_down(common.term(), RoleCause::VotesRejected),
            VoteResult::Pending => Transition::Stay,
        }
    }

    pub(crate) fn on_reply(
        &mut self,
        common: &mut Common,
        from: NodeId,
        next_term: Term,
        granted: bool,
        committed: Index,
    ) -> Transition {
        assert!(from != common.id(), "no node receives its own message");
        if next_term != common.term().next() {
            common.reject_message(from, "PreVoteReply", MessageRejectReason::StaleReply);
            return Transition::Stay;
        }
        if !common.log().membership().is_voter(from) {
            common.reject_message(from, "PreVoteReply", MessageRejectReason::NotVoter);
            return Transition::Stay;
        }
        if is_outdated_by(common, committed) {
            return Transition::step_down(common.term(), RoleCause::LacksCommitted);
        }
        self.tally.count(from, granted);
        self.transition(common)
    }
}

impl Candidate {
    /// Starts the candidacy in the current term, which the node has just entered: it votes for
    /// itself and, once that vote is durable, asks every other voter. In a `transfer`, the leader
    /// asked this node to campaign.
    pub(crate) fn new(common: &mut Common, transfer: bool) -> Candidate {
        assert!(common.ballot.vote().is_none(), "a candidate has not voted in its new term");
        // A leader must not vote for another node before the read leases that it granted end. After
        // a crash it no longer knows them, so the stored vote lease covers the longest one.
        if common.config().lease.is_some_and(|lease| lease.read_leases) {
            let span = common.config().vote_lease_span();
            let now = common.now();
            common.ballot.request_vote_lease(span, now, &mut common.journal);
        }
        common.ballot.vote_for(common.id(), &mut common.journal);
        common.send_to_voters(&Body::RequestVote { last: common.log().last(), transfer });
        Candidate {
            tally: Tally::default(),
            deadline: common.election_deadline(),
            own_vote: Some(common.journal.outbox().hard_state_write()),
            has_complete_log_vote: false,
        }
    }

    /// The end of the election timeout.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Restarts the election timeout if the log of another candidate, which ends with `last`, is
    /// more up to date than this node's: the other candidate is more likely to win.
    pub(crate) fn defer_own_election(&mut self, common: &mut Common, last: EntryId) {
        if last > common.log().last() {
            self.deadline = common.election_deadline();
        }
    }

    fn transition(&self, common: &Common) -> Transition {
        match vote_result(common, &self.tally, self.has_complete_log_vote) {
            VoteResult::Won => Transition::BecomeLeader,
            VoteResult::Lost => Transition::step_down(common.term(), RoleCause::VotesRejected),
            VoteResult::Pending => Transition::Stay,
        }
    }

    /// Counts the node's own vote once its write is durable. The vote requests are sent at the same
    /// time, and the election timeout starts over.
    pub(crate) fn on_persisted(&mut self, common: &mut Common) -> Transition {
        if self.own_vote.take_if(|write| common.journal.outbox().has_persisted(*write)).is_some() {
            assert!(common.ballot.vote() == Some(common.id()), "a candidate votes for itself");
            self.tally.count(common.id(), true);
            self.deadline = common.election_deadline();
        }
        self.transition(common)
    }

    /// Campaigns again after the election timeout. While the node's own vote is not durable, no
    /// request has left, and another term would only add writes to the disk.
    pub(crate) fn on_timeout(&mut self, common: &mut Common) -> Transition {
        if common.now() < self.deadline {
            return Transition::Stay;
        }
        if self.own_vote.is_none() {
            return campaign_again(common);
        }
        self.deadline = common.election_deadline();
        Transition::Stay
    }

    /// Records that a voter with a complete log votes for this node; the vote arrives separately.
    pub(crate) fn on_log_is_complete(&mut self, common: &mut Common, from: NodeId) -> Transition {
        if !common.log().membership().is_voter(from) {
            common.reject_message(from, "LogIsComplete", MessageRejectReason::NotVoter);
            return Transition::Stay;
        }
        self.has_complete_log_vote = true;
        self.transition(common)
    }

    pub(crate) fn on_reply(
        &mut self,
        common: &mut Common,
        from: NodeId,
        granted: bool,
        committed: Index,
    ) -> Transition {
        assert!(from != common.id(), "no node receives its own message");
        if !common.log().membership().is_voter(from) {
            common.reject_message(from, "RequestVoteReply", MessageRejectReason::NotVoter);
            return Transition::Stay;
        }
        if is_outdated_by(common, committed) {
            return Transition::step_down(common.term(), RoleCause::LacksCommitted);
        }
        self.tally.count(from, granted);
        self.transition(common)
    }

    /// Panics if the candidate has not voted for itself, or counts its own vote too early.
    pub(crate) fn assert_invariants(&self, common: &Common) {
        assert!(common.ballot.vote() == Some(common.id()), "a candidate votes for itself");
        let counted = self.tally.granted().contains(&common.id());
        assert!(
            counted == self.own_vote.is_none(),
            "a candidate's own vote counts once it is durable"
        );
        let is_durable = |write| common.journal.outbox().has_persisted(write);
        assert!(!self.own_vote.is_some_and(is_durable), "a durable vote is counted");
    }
}

#[cfg(feature = "explore")]
impl PreCandidate {
    /// The only instant in the state.
    pub(crate) fn instant(&mut self) -> &mut Instant {
        &mut self.deadline
    }
}

#[cfg(feature = "explore")]
impl Candidate {
    /// Renumbers the pending write of the node's own vote: `durable` becomes 0.
    pub(crate) fn renumber(&mut self, durable: WriteId) {
        if let Some(write) = &mut self.own_vote {
            write.0 -= durable.0;
        }
    }

    /// The only instant in the state.
    pub(crate) fn instant(&mut self) -> &mut Instant {
        &mut self.deadline
    }
}

/// The result of an election by quorum, or by the survivors' rule with `Config::survivor`.
fn vote_result(common: &Common, tally: &Tally, has_complete_log_vote: bool) -> VoteResult {
    let membership = common.log().membership();
    if !common.survival.is_on() {
        return tally.result(membership);
    }
    common.survival.vote_result(common.id(), membership, tally, has_complete_log_vote, common.now())
}

/// Records the commit index that a voter named, and returns whether this node's log ends before an
/// entry that is known to be committed. If so, this node cannot win.
fn is_outdated_by(common: &mut Common, committed: Index) -> bool {
    common.ballot.record_named_committed(committed);
    common.lacks_committed()
}

/// Campaigns again after an undecided election, or becomes a follower if the node may not campaign.
fn campaign_again(common: &Common) -> Transition {
    if common.may_campaign() {
        return Transition::StartPreVote(RoleCause::ElectionTimeout);
    }
    Transition::step_down(common.term(), RoleCause::ElectionTimeout)
}

/// Answers whether this node would vote for the candidate in `next_term`, and changes no state.
/// `withheld` is the reason why it currently grants no vote in any later term, if there is one.
pub(crate) fn on_pre_vote(
    common: &mut Common,
    from: NodeId,
    next_term: Term,
    last: EntryId,
    withheld: Option<MessageRejectReason>,
) {
    assert!(next_term > Term::ZERO, "an election begins a term");
    let reason = common.ballot.pre_vote_reject_reason(next_term, last, withheld, common.log());
    if let Some(reason) = reason {
        common.reject_message(from, "PreVote", reason);
    }
    let (granted, committed) = (reason.is_none(), common.log().committed());
    common.send(from, Body::PreVoteReply { next_term, granted, committed });
}

/// Grants or rejects the vote of the current term, and returns whether it was granted.
pub(crate) fn on_request_vote(
    common: &mut Common,
    from: NodeId,
    last: EntryId,
    transfer: bool,
) -> bool {
    assert!(from != common.id(), "no node receives its own message");
    let now = common.now();
    let reason = common.ballot.vote_reject_reason(from, last, transfer, common.log(), now);
    match reason {
        Some(reason) => common.reject_message(from, "RequestVote", reason),
        None => common.ballot.vote_for(from, &mut common.journal),
    }
    let voted = common.ballot.vote() == Some(from);
    assert!(reason.is_some() || voted, "a granted vote is recorded");
    let (granted, committed) = (reason.is_none(), common.log().committed());
    common.send(from, Body::RequestVoteReply { granted, committed });
    if reason.is_none() && common.survival.may_take_over() {
        common.send(from, Body::LogIsComplete);
    }
    reason.is_none()
}
