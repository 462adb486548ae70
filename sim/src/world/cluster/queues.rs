//! The queues of a process besides its disk's: those of its driver and its worker, and the requests
//! that it has not answered.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quorate::machine::Digest;
use quorate::replica::{Output, Work};
use quorate::types::{Proposal, Tag};

use crate::observe::Observation;
use crate::observer::Observer;
use crate::values::time::SimTime;

/// The driver of a process.
#[derive(Clone, Debug)]
pub(crate) struct DriverQueue {
    /// The outputs that a lagging driver has not executed yet.
    pub(super) backlog: VecDeque<Output>,
    /// The earliest scheduled wake-up of the node.
    wake_at: SimTime,
    /// The proposals that the driver gathers into one batch.
    pub(super) gathered: Vec<Proposal>,
}

impl Default for DriverQueue {
    fn default() -> DriverQueue {
        let wake_at = SimTime(u64::MAX);
        DriverQueue { backlog: VecDeque::new(), wake_at, gathered: Vec::new() }
    }
}

impl DriverQueue {
    /// Returns true if the driver lags.
    pub(crate) fn lags(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Schedules a wake-up; returns false if an earlier one is scheduled already.
    pub(super) fn wake_earlier(&mut self, at: SimTime) -> bool {
        let is_earlier = at < self.wake_at;
        self.wake_at = self.wake_at.min(at);
        is_earlier
    }

    /// Ends the scheduled wake-up; returns false if it is not due.
    pub(super) fn take_wake(&mut self, now: SimTime) -> bool {
        let is_due = self.wake_at <= now;
        if is_due {
            self.wake_at = SimTime(u64::MAX);
        }
        is_due
    }
}

/// The work of a process.
#[derive(Clone, Debug, Default)]
pub(super) struct WorkQueue {
    /// The work submitted to the worker, which executes the first one.
    pub(super) submitted: VecDeque<Work>,
    /// The states in which the worker answered queries, until the node outputs the answers.
    pub(super) answered_in: BTreeMap<Tag, Option<Digest>>,
    /// The unread bytes of the worker's frozen view.
    pub(super) view: VecDeque<u8>,
    /// The pending request for the view.
    pub(super) view_request: Option<ViewRequest>,
}

/// A request of the node for its worker's frozen view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ViewRequest {
    /// Freezes the state machine.
    Freeze,
    /// Reads this many bytes of the view.
    Read(usize),
}

/// The requests without an outcome.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenRequests {
    pub(crate) unanswered: Vec<Tag>,
    /// The proposals that are answered only once every live voter has them.
    pub(crate) for_all_live: BTreeSet<Tag>,
}

impl OpenRequests {
    /// Records that the node has answered a request.
    ///
    /// # Panics
    /// If the request has no pending outcome, because each request has exactly one.
    pub(crate) fn answer(&mut self, tag: Tag, now: SimTime, observer: &mut Observer) {
        let place = self.unanswered.iter().position(|waiting| *waiting == tag);
        let Some(place) = place else { panic!("{tag} has more than one outcome") };
        self.unanswered.swap_remove(place);
        observer.observe(now, Observation::RequestAnswered { tag });
    }
}
