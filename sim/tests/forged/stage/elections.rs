//! The terms, votes and elections of the stage.

use quorate::raft::RoleName;
use quorate::types::{Body, HardState, Index, NodeId, Term};

use crate::stage::{Stage, voted};

impl Stage {
    /// The node makes the term and a vote durable.
    pub(crate) fn votes(&mut self, node: u64, term: u64, vote: u64) {
        self.changes_status(node, |status| {
            (status.term, status.vote) = (Term(term), Some(NodeId(vote)));
            (status.role, status.leader) = (RoleName::Follower, None);
        });
        self.submits(node, Some(voted(term, vote)), &[]);
        self.flushes(node);
    }

    /// The node makes the term durable, without a vote.
    pub(crate) fn enters(&mut self, node: u64, term: u64) {
        let hard_state = HardState::new(Term(term), None);
        self.changes_status(node, |status| {
            (status.term, status.vote) = (Term(term), None);
            (status.role, status.leader) = (RoleName::Follower, None);
        });
        self.submits(node, Some(hard_state), &[]);
        self.flushes(node);
    }

    /// The node becomes the leader of the term.
    pub(crate) fn leads(&mut self, node: u64, term: u64) {
        self.changes_status(node, |status| {
            (status.term, status.role) = (Term(term), RoleName::Leader);
            status.leader = Some(NodeId(node));
        });
    }

    /// The node requests votes, the voters grant them durably, and the node becomes leader.
    pub(crate) fn wins(&mut self, node: u64, term: u64, voters: &[u64]) {
        self.is_elected(node, term, voters, true);
    }

    /// Like [`Stage::wins`], but no request for votes is observed, so that the voters' logs may end
    /// later than the node's.
    pub(crate) fn wins_unasked(&mut self, node: u64, term: u64, voters: &[u64]) {
        self.is_elected(node, term, voters, false);
    }

    fn is_elected(&mut self, node: u64, term: u64, voters: &[u64], requests: bool) {
        self.changes_status(node, |status| {
            (status.term, status.vote) = (Term(term), Some(NodeId(node)));
            (status.role, status.leader) = (RoleName::Candidate, None);
        });
        self.submits(node, Some(voted(term, node)), &[]);
        self.flushes(node);
        self.steps(node);
        for voter in voters {
            if requests {
                let last = self.actor(node).status.last;
                self.sends(node, *voter, term, Body::RequestVote { last, transfer: false });
            }
            self.votes(*voter, term, node);
            self.sends(
                *voter,
                node,
                term,
                Body::RequestVoteReply { granted: true, committed: Index::ZERO },
            );
        }
        self.leads(node, term);
    }
}
