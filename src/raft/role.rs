//! The roles of a node, and which role handles which message.

use alloc::boxed::Box;

use crate::raft::bootstrap;
use crate::raft::common::Common;
use crate::raft::election::{self, Candidate, PreCandidate};
use crate::raft::follower::Follower;
use crate::raft::leader::Leader;
use crate::raft::leader::replies::{self, HeartbeatReply};
use crate::raft::transition::Transition;
use crate::types::{Body, EntryId, Index, NodeId, RoleCause, RoleName};

/// The node's current role, with the data that only this role has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) enum Role {
    Follower(Follower),
    PreCandidate(PreCandidate),
    Candidate(Candidate),
    Leader(Box<Leader>),
}

impl Role {
    pub(crate) fn name(&self) -> RoleName {
        match self {
            Role::Follower(_) => RoleName::Follower,
            Role::PreCandidate(_) => RoleName::PreCandidate,
            Role::Candidate(_) => RoleName::Candidate,
            Role::Leader(_) => RoleName::Leader,
        }
    }

    /// The last index up to which the log is known to match that of the current term's leader. A
    /// pre-candidacy does not change it, because the term and the log stay the same; but with
    /// `Config::survivor` a pre-candidacy resets it, because two survivors may lead one term
    /// (docs/SURVIVOR.md).
    pub(crate) fn verified(&self, common: &Common) -> Index {
        match self {
            Role::Follower(follower) => follower.verified(),
            Role::PreCandidate(candidate) if !common.survival.is_on() => candidate.verified(),
            Role::PreCandidate(_) | Role::Candidate(_) | Role::Leader(_) => Index::ZERO,
        }
    }

    /// Handles the content of a valid message, and takes the entries out of it. The message is of
    /// the current term, except that a pre-vote reply may be of an earlier one. Returns `None` if
    /// this role does not handle it.
    #[inline]
    pub(crate) fn handle(
        &mut self,
        common: &mut Common,
        from: NodeId,
        body: &mut Body,
    ) -> Option<Transition> {
        match *body {
            Body::UnknownIncarnation => bootstrap::messages::on_unknown_incarnation(common, from),
            Body::RequestVote { last, transfer } => {
                let granted = election::on_request_vote(common, from, last, transfer);
                return Some(self.defer_own_election(common, from, granted, last));
            }
            Body::PreVoteReply { next_term, granted, committed } => {
                let candidate = self.pre_candidate()?;
                return Some(candidate.on_reply(common, from, next_term, granted, committed));
            }
            Body::RequestVoteReply { granted, committed } => {
                return Some(self.candidate()?.on_reply(common, from, granted, committed));
            }
            Body::LogIsComplete => {
                return Some(self.candidate()?.on_log_is_complete(common, from));
            }
            Body::AppendEntries { prev, ref mut entries, committed } => {
                let entries = core::mem::take(entries);
                self.follower()?.on_append_entries(common, from, prev, entries, committed);
            }
            Body::Heartbeat(ref it) => self.follower()?.on_heartbeat(common, from, it),
            Body::InstallSnapshot { ref meta } => {
                self.follower()?.on_install_snapshot(common, from, meta);
            }
            Body::ReadIndexReply { start_id, ticket, index } => {
                self.follower()?.on_read_index_reply(common, from, start_id, ticket, index);
            }
            Body::TimeoutNow => return Some(self.follower()?.on_timeout_now(common, from)),
            Body::TakeoverAllowed => self.follower()?.on_takeover_allowed(common, from),
            Body::LogRolledBack => self.follower()?.on_log_rolled_back(common, from),
            Body::LogEnd { start_id, last } => {
                self.follower()?.on_log_end(common, from, start_id, last);
            }
            Body::RequestLogEnd { start_id } => {
                self.leader()?.on_request_log_end(common, from, start_id);
            }
            Body::AppendEntriesReply(outcome) => {
                self.leader()?.on_reply(common, from, body.name(), |common, peer, round| {
                    replies::on_append_entries_reply(common, from, peer, outcome, round);
                });
            }
            Body::HeartbeatReply { round, verified, matched, durable, ready } => {
                let reply = HeartbeatReply { round, verified, matched, durable, ready };
                self.leader()?.on_reply(common, from, body.name(), |common, peer, round| {
                    replies::on_heartbeat_reply(common, from, peer, reply, round);
                });
            }
            Body::InstallSnapshotReply { matched } => {
                self.leader()?.on_reply(common, from, body.name(), |common, peer, round| {
                    replies::on_install_snapshot_reply(common, from, peer, matched, round);
                });
            }
            Body::ReadIndex { start_id, ticket } => {
                self.leader()?.on_read_index(common, from, start_id, ticket);
            }
            // `Raft::on_message` handles these in every role, before it compares terms.
            Body::PreVote { .. }
            | Body::BootstrapProbe { .. }
            | Body::Bootstrapped { .. }
            | Body::RequestEntries { .. }
            | Body::RequestEntriesReply { .. } => return None,
        }
        Some(Transition::Stay)
    }

    #[inline]
    fn follower(&mut self) -> Option<&mut Follower> {
        if let Role::Follower(follower) = self { Some(follower) } else { None }
    }

    fn pre_candidate(&mut self) -> Option<&mut PreCandidate> {
        if let Role::PreCandidate(candidate) = self { Some(candidate) } else { None }
    }

    fn candidate(&mut self) -> Option<&mut Candidate> {
        if let Role::Candidate(candidate) = self { Some(candidate) } else { None }
    }

    #[inline]
    fn leader(&mut self) -> Option<&mut Leader> {
        if let Role::Leader(leader) = self { Some(leader) } else { None }
    }

    /// Restarts the election timeout if this node granted the vote, or is a candidate whose log is
    /// behind the requester's, because the requester is more likely to win. A pre-candidate that
    /// granted the vote follows from then on: the pre-votes that it has asked for would otherwise
    /// let it replace the leader for which it has just voted.
    fn defer_own_election(
        &mut self,
        common: &mut Common,
        candidate: NodeId,
        granted: bool,
        last: EntryId,
    ) -> Transition {
        match self {
            Role::Follower(follower) if granted => follower.defer_own_election(common),
            Role::PreCandidate(_) if granted => {
                return Transition::step_down(common.term(), RoleCause::Voted { candidate });
            }
            Role::Candidate(own) => own.defer_own_election(common, last),
            Role::Follower(_) | Role::PreCandidate(_) | Role::Leader(_) => {}
        }
        Transition::Stay
    }
}
