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
pub(super) struct DriverQueue {
    /// The outputs that a lagging driver has not executed yet.
    backlog: VecDeque<Output>,
    /// The earliest scheduled wake-up of the node.
    wake_at: SimTime,
    /// The proposals that the driver gathers into one batch.
    gathered: Vec<Proposal>,
}

impl Default for DriverQueue {
    fn default() -> DriverQueue {
        let wake_at = SimTime(u64::MAX);
        DriverQueue { backlog: VecDeque::new(), wake_at, gathered: Vec::new() }
    }
}

impl DriverQueue {
    /// Returns true if the driver lags.
    pub(super) fn lags(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Queues outputs; returns true if the driver did not lag before.
    pub(super) fn delay(&mut self, outputs: &mut Vec<Output>) -> bool {
        let idle = self.backlog.is_empty();
        self.backlog.extend(outputs.drain(..));
        idle
    }

    /// Removes and returns the first queued output.
    pub(super) fn next_output(&mut self) -> Option<Output> {
        self.backlog.pop_front()
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

    /// Adds a proposal to the batch, and returns its length.
    pub(super) fn gather(&mut self, proposal: Proposal) -> usize {
        self.gathered.push(proposal);
        self.gathered.len()
    }

    /// Removes and returns the batch.
    pub(super) fn take_batch(&mut self) -> Vec<Proposal> {
        std::mem::take(&mut self.gathered)
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
    unanswered: Vec<Tag>,
    /// The proposals that are answered only once every live voter has them.
    for_all_live: BTreeSet<Tag>,
}

impl OpenRequests {
    /// Adds a request that has reached the process.
    pub(crate) fn add(&mut self, tag: Tag) {
        self.unanswered.push(tag);
    }

    /// Returns the requests without an outcome.
    pub(crate) fn unanswered(&self) -> &[Tag] {
        &self.unanswered
    }

    /// Returns the requests without an outcome, of a process that has ended.
    pub(super) fn into_unanswered(self) -> Vec<Tag> {
        self.unanswered
    }

    /// Records that a proposal is answered only once every live voter has it.
    pub(super) fn wait_for_all_live(&mut self, tag: Tag) {
        self.for_all_live.insert(tag);
    }

    /// Returns true if a proposal is answered only once every live voter has it.
    pub(crate) fn waits_for_all_live(&self, tag: Tag) -> bool {
        self.for_all_live.contains(&tag)
    }

    /// Records that every live voter has a proposal; returns true if the proposal waited for that.
    pub(super) fn end_wait_for_all_live(&mut self, tag: Tag) -> bool {
        self.for_all_live.remove(&tag)
    }

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
