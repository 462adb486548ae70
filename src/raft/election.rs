//! Asking for votes and giving them (Raft §5.2, §5.4.1; pre-vote: thesis §9.6).

use crate::quorum::{Tally, Verdict};
use crate::raft::action::Refusal;
use crate::raft::common::Common;
use crate::raft::transition::Transition;
use crate::types::{Body, EntryId, Instant, NodeId, Term, WriteId};

/// A node that asks whether an election could be won.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PreCandidate {
    tally: Tally,
    pub(crate) deadline: Instant,
}

/// A node that stands for election in its current term.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Candidate {
    tally: Tally,
    pub(crate) deadline: Instant,
    /// The write that makes the node's vote for itself durable, until it is: before, the vote does
    /// not count and nobody is asked.
    own_vote: Option<WriteId>,
    /// A voter that counted all the time gave its vote.
    vouched: bool,
}

impl PreCandidate {
    /// Asks every voter. The node's own answer needs no disk: it promises nothing.
    pub(crate) fn new(common: &mut Common) -> PreCandidate {
        let mut tally = Tally::default();
        tally.count(common.id(), true);
        let next_term = common.term().next();
        common.send_to_voters(&Body::PreVote { next_term, last: common.log.last() });
        PreCandidate { tally, deadline: common.election_deadline() }
    }

    pub(crate) fn on_timeout(&self, common: &Common) -> Transition {
        if common.now < self.deadline { Transition::Stay } else { stand_again(common) }
    }

    pub(crate) fn verdict(&self, common: &Common) -> Transition {
        // Who grants may be one that counted: whether it did, the election itself shows.
        let vouched = self.tally.granted().iter().any(|id| *id != common.id());
        match verdict(common, &self.tally, vouched) {
            Verdict::Won => Transition::Stand,
            Verdict::Lost => Transition::Follow { term: common.term(), leader: None },
            Verdict::Pending => Transition::Stay,
        }
    }

    pub(crate) fn on_reply(
        &mut self,
        common: &mut Common,
        from: NodeId,
        next_term: Term,
        granted: bool,
    ) -> Transition {
        if next_term != common.term().next() {
            common.refuse(from, "PreVoteReply", Refusal::StaleReply);
            return Transition::Stay;
        }
        if !common.log.membership().is_voter(from) {
            common.refuse(from, "PreVoteReply", Refusal::NotVoter);
            return Transition::Stay;
        }
        self.tally.count(from, granted);
        self.verdict(common)
    }
}

impl Candidate {
    /// Stands in the current term, which the node has just entered: votes for itself and asks
    /// every other voter, once that vote is durable. In a `transfer` the leader asked for it.
    pub(crate) fn new(common: &mut Common, transfer: bool) -> Candidate {
        // As a leader it may lend, and a crash would take its list of loans.
        if common.config.lease.is_some_and(|lease| lease.replicas) {
            common.promise_for(common.lease_promise());
        }
        common.vote_for(common.id());
        common.send_to_voters(&Body::RequestVote { last: common.log.last(), transfer });
        Candidate {
            tally: Tally::default(),
            deadline: common.election_deadline(),
            own_vote: Some(common.outbox.hard_state_write()),
            vouched: false,
        }
    }

    /// The number of the write it waits for.
    pub(crate) fn own_vote(&mut self) -> Option<&mut WriteId> {
        self.own_vote.as_mut()
    }

    fn verdict(&self, common: &Common) -> Transition {
        match verdict(common, &self.tally, self.vouched) {
            Verdict::Won => Transition::Lead,
            Verdict::Lost => Transition::Follow { term: common.term(), leader: None },
            Verdict::Pending => Transition::Stay,
        }
    }

    /// A write is durable: perhaps the node's own vote is. Only then the requests leave, and the
    /// time to win begins.
    pub(crate) fn on_persisted(&mut self, common: &mut Common) -> Transition {
        if self.own_vote.take_if(|write| common.outbox.has_persisted(*write)).is_some() {
            self.tally.count(common.id(), true);
            self.deadline = common.election_deadline();
        }
        self.verdict(common)
    }

    /// As long as the node's own vote is not durable nobody was asked: standing in another term
    /// would only keep the disk busy.
    pub(crate) fn on_timeout(&mut self, common: &mut Common) -> Transition {
        if common.now < self.deadline {
            return Transition::Stay;
        }
        if self.own_vote.is_none() {
            return stand_again(common);
        }
        self.deadline = common.election_deadline();
        Transition::Stay
    }

    /// A voter that counted all the time gives its vote; the vote itself comes by itself.
    pub(crate) fn on_vouch(&mut self, common: &Common) -> Transition {
        self.vouched = true;
        self.verdict(common)
    }

    pub(crate) fn on_reply(
        &mut self,
        common: &mut Common,
        from: NodeId,
        granted: bool,
    ) -> Transition {
        if !common.log.membership().is_voter(from) {
            common.refuse(from, "RequestVoteReply", Refusal::NotVoter);
            return Transition::Stay;
        }
        self.tally.count(from, granted);
        self.verdict(common)
    }
}

/// Where an election stands: a quorum decides, or whoever is not dead (`Config::survivor`).
fn verdict(common: &Common, tally: &Tally, vouched: bool) -> Verdict {
    let membership = common.log.membership();
    if !common.survival.is_on() {
        return tally.verdict(membership);
    }
    let answers = (tally.granted(), tally.refused());
    common.survival.verdict(common.id(), membership, answers, vouched, common.now)
}

/// An election came to nothing in time.
fn stand_again(common: &Common) -> Transition {
    if common.may_campaign() {
        return Transition::Prepare;
    }
    Transition::Follow { term: common.term(), leader: None }
}

/// Whether the vote would be given in `next_term`. Asking changes nothing here.
pub(crate) fn on_pre_vote(
    common: &mut Common,
    from: NodeId,
    next_term: Term,
    last: EntryId,
    leader_is_fresh: bool,
) {
    let refusal = if next_term <= common.term() {
        Some(Refusal::StaleTerm)
    } else if leader_is_fresh {
        Some(Refusal::LeaderFresh)
    } else if common.is_promised() {
        Some(Refusal::Promised)
    } else {
        no_vote_for(common, last)
    };
    if let Some(reason) = refusal {
        common.refuse(from, "PreVote", reason);
    }
    common.send(from, Body::PreVoteReply { next_term, granted: refusal.is_none() });
}

/// Gives the vote of the current term, or not. Returns whether it was given. Only in a `transfer`,
/// which the leader itself asked for, it does not matter what was promised to the leader.
pub(crate) fn on_request_vote(
    common: &mut Common,
    from: NodeId,
    last: EntryId,
    transfer: bool,
) -> bool {
    let refusal = if common.is_promised() && !transfer {
        Some(Refusal::Promised)
    } else if common.vote().is_some_and(|vote| vote != from) {
        Some(Refusal::AlreadyVoted)
    } else {
        no_vote_for(common, last)
    };
    match refusal {
        Some(reason) => common.refuse(from, "RequestVote", reason),
        None => common.vote_for(from),
    }
    common.send(from, Body::RequestVoteReply { granted: refusal.is_none() });
    if refusal.is_none() && common.survival.counts() {
        common.send(from, Body::Vouch);
    }
    refusal.is_none()
}

/// Why nobody whose log ends with `last` would get this node's vote, in any term. Raft §5.4.1: it
/// goes only to a log that is at least as up to date. A node without a membership never votes: its
/// disk may have been emptied, and an earlier promise with it.
fn no_vote_for(common: &Common, last: EntryId) -> Option<Refusal> {
    if common.log.membership().is_nobody() {
        return Some(Refusal::NoMembership);
    }
    (last < common.log.last()).then_some(Refusal::LogBehind)
}
