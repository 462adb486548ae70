//! The role change that a handler requests; only `raft/mod.rs` carries it out.

use crate::types::{NodeId, RoleCause, Term};

/// The role change that a handler requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Transition {
    /// Keep the current role and term.
    Stay,
    /// Follow in `term`, which is not earlier than the current one.
    Follow { term: Term, leader: Option<NodeId>, cause: RoleCause },
    /// Ask the voters for pre-votes, or start the election at once where pre-votes are off.
    StartPreVote(RoleCause),
    /// Start an election in the next term.
    StartElection(RoleCause),
    /// Start an election in the next term because the leader transfers its leadership to this node.
    StartTransferElection { from: NodeId },
    /// Become the leader of the current term.
    BecomeLeader,
}

impl Transition {
    /// Follow no leader in `term`, because of `cause`.
    pub(crate) fn step_down(term: Term, cause: RoleCause) -> Transition {
        Transition::Follow { term, leader: None, cause }
    }
}
