//! The state of an uncertain node's request for the end of the log.

use core::time::Duration;

use crate::log::Log;
use crate::types::{Index, Instant, Term};

/// The request of an uncertain node, and the last reply to it. While the node is certain, only
/// `certain_since` can be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct LogEndRequest {
    /// When a leader was last asked.
    asked_at: Option<Instant>,
    /// The last reply to a request of this start of the node.
    end: Option<LogEnd>,
    /// The term in which the node last became certain, since its start.
    certain_since: Option<Term>,
}

/// The end of a leader's log: an uncertain node must have everything up to there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
struct LogEnd {
    /// The term of the leader that replied.
    term: Term,
    last: Index,
}

impl LogEndRequest {
    /// Returns the state of a node that has become certain in `term`.
    pub(super) fn certain_since(term: Term) -> LogEndRequest {
        LogEndRequest { certain_since: Some(term), ..LogEndRequest::default() }
    }

    /// Whether the node has become certain in `term`.
    pub(crate) fn became_certain_in(&self, term: Term) -> bool {
        self.certain_since == Some(term)
    }

    /// Records a reply. The latest one counts: after a change of leaders, the log of the next one
    /// may end earlier.
    pub(super) fn replied(&mut self, term: Term, last: Index) {
        assert!(self.end.is_none_or(|end| end.term <= term), "a node's term only increases");
        self.end = Some(LogEnd { term, last });
    }

    /// Whether a request to the leader of `term` is due at `now`: it has not replied, and the last
    /// request is at least as old as `retry_after`. The request then counts as sent.
    pub(super) fn take_request(&mut self, term: Term, now: Instant, retry_after: Duration) -> bool {
        let has_reply = self.end.is_some_and(|end| end.term == term);
        let is_recent = self.asked_at.is_some_and(|at| now < at.after(retry_after));
        let is_due = !has_reply && !is_recent;
        if is_due {
            self.asked_at = Some(now);
        }
        is_due
    }

    /// Whether the node's disk has everything up to the end that the last reply named. `verified`
    /// is the index up to which the log equals the log of the leader of `term`.
    pub(super) fn is_reached(&self, term: Term, verified: Index, log: &Log) -> bool {
        let reached = verified.min(log.durable());
        self.end.is_some_and(|end| term >= end.term && reached >= end.last)
    }
}

#[cfg(feature = "explore")]
impl LogEndRequest {
    /// The only instant in the state.
    pub(crate) fn instant(&mut self) -> Option<&mut Instant> {
        self.asked_at.as_mut()
    }
}
