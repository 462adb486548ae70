//! The events of recordings: what a node did, with the state of its core after it.

use std::time::Duration;

use quorate::log::Log;
use quorate::raft::{Raft, Status};
use quorate::recording::{Header, Step};
use quorate::types::{Instant, Membership, NodeId};

use crate::values::time::SimTime;

/// One event of one node.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The time by the node's own wall clock, since the first event of all recordings.
    pub at: SimTime,
    /// The node.
    pub node: NodeId,
    /// The event itself.
    pub kind: EventKind<'a>,
}

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum EventKind<'a> {
    /// A segment begins with the state of its checkpoint.
    Begins {
        /// The header of the segment.
        header: &'a Header,
        /// Whether nothing is missing between this segment and the node's last step.
        continues: bool,
        /// The state of the checkpoint.
        state: CoreState<'a>,
    },
    /// The core took a step.
    Steps {
        /// The input and the actions.
        step: &'a Step,
        /// The status before the step.
        before: &'a Status,
        /// The time by which the step was due, on the node's own clock.
        due: Instant,
        /// The state after the step.
        state: CoreState<'a>,
    },
    /// The recording of the node ends here, or what follows is missing: until its next segment
    /// begins, the node may have done anything.
    Ends,
}

/// The state of a core.
#[derive(Clone, Copy, Debug)]
pub struct CoreState<'a> {
    /// The status.
    pub status: &'a Status,
    /// The log and its indices.
    pub log: &'a Log,
    /// The active membership.
    pub membership: &'a Membership,
    /// The time for which the node may answer reads alone.
    pub lease: Duration,
    /// The shortest election timeout of the node.
    pub election_timeout: Duration,
    /// Whether quorums need not intersect, because a last survivor continues without the dead.
    pub has_last_survivor: bool,
}

impl<'a> CoreState<'a> {
    /// Returns the state of `raft`, whose status is `status`.
    pub(super) fn of(raft: &'a Raft, status: &'a Status) -> CoreState<'a> {
        CoreState {
            status,
            log: raft.log(),
            membership: raft.membership(),
            lease: raft.lease_remaining(),
            election_timeout: raft.config().election_timeout_min,
            has_last_survivor: raft.config().survivor.is_some(),
        }
    }
}
