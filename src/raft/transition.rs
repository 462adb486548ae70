//! What a role wants to become next. Only `raft/mod.rs` carries it out.

use crate::types::{NodeId, Term};

/// What a role wants to become next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Transition {
    /// Nothing changes.
    Stay,
    /// Follow in `term`, which is not earlier than the current one.
    Follow { term: Term, leader: Option<NodeId> },
    /// Ask whether an election could be won, or stand at once where pre-votes are off.
    Prepare,
    /// Stand for election in the next term.
    Stand,
    /// Stand for election in the next term, as the leader asked.
    StandAtOnce,
    /// Lead the current term.
    Lead,
}
