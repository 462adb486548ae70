//! The events of recordings: what a node did, with the state of its core after it.

use std::time::Duration;

use quorate::log::Log;
use quorate::raft::{Config, Raft, Status};
use quorate::recording::{Header, Step};
use quorate::types::{Instant, Membership, NodeId};

use crate::values::time::SimTime;

/// One event of one node.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    /// The time by the node's own wall clock, since the first event of all recordings.
    pub at: SimTime,
    /// The node of the event.
    pub node: NodeId,
    /// The kind of the event, with its data.
    pub kind: EventKind<'a>,
}

/// The kind of an event, with its data.
#[derive(Clone, Copy, Debug)]
pub enum EventKind<'a> {
    /// A segment begins with the state of its checkpoint.
    Begins {
        /// The header of the segment.
        header: &'a Header,
        /// Whether nothing is missing between this segment and the node's last step.
        continues: bool,
        /// Whether the files show that this segment is later than the node's last one: both are in
        /// one file, or in files of one ring. Otherwise only the wall clock of the node shows it.
        is_later: bool,
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
        /// If the input is a message whose send is recorded: when it was first sent, by the clock
        /// of its sender.
        sent_at: Option<SimTime>,
        /// The state after the step.
        state: CoreState<'a>,
    },
    /// A message of the node arrives elsewhere, and the node's recording does not have it: until a
    /// segment begins that does not continue the last one, the node may have done more than its
    /// recording shows.
    IsAhead,
    /// The recording of the node ends here, or what follows is missing: until its next segment
    /// begins, the node may have done anything.
    Ends,
}

impl Event<'_> {
    /// When the message of the input was first sent, by the clock of its sender, if that is
    /// recorded.
    #[must_use]
    pub fn sent_at(&self) -> Option<SimTime> {
        match self.kind {
            EventKind::Steps { sent_at, .. } => sent_at,
            _ => None,
        }
    }

    /// The time by which the step came later than it was due, if that is at least the shortest
    /// election timeout.
    #[must_use]
    pub fn lateness(&self) -> Option<Duration> {
        let EventKind::Steps { step, due, state, .. } = self.kind else { return None };
        let late = step.now.since(due);
        (late >= state.config.election_timeout_min).then_some(late)
    }
}

/// The state of a core.
#[derive(Clone, Copy, Debug)]
pub struct CoreState<'a> {
    /// The summary of the state: role, term and indices.
    pub status: &'a Status,
    /// The log and its indices.
    pub log: &'a Log,
    /// The active membership: the last one in the log.
    pub membership: &'a Membership,
    /// The time for which the node may still answer reads under its lease.
    pub lease: Duration,
    /// The bounds and options of the node.
    pub config: &'a Config,
}

impl<'a> CoreState<'a> {
    /// Returns the state of `raft`, whose status is `status`.
    pub(crate) fn of(raft: &'a Raft, status: &'a Status) -> CoreState<'a> {
        CoreState {
            status,
            log: raft.log(),
            membership: raft.membership(),
            lease: raft.lease_remaining(),
            config: raft.config(),
        }
    }
}
