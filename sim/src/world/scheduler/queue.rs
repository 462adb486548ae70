//! The queue of future events, ordered by time and, at one instant, by order of scheduling.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use quorate::storage::Lane;

use crate::values::time::SimTime;
use crate::world::place::{Place, Start};

/// One future event. An event of a start does nothing after that start has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// A message reaches this node, even if it is addressed to another one.
    Arrive { place: Place, slot: u32 },
    /// A request of a client reaches its node.
    Request { slot: u32 },
    /// The process of this start continues.
    Process(Start, ProcessEvent),
    /// A node starts an election, on request of the plan.
    Campaign { place: Place },
    /// A request of the operator reaches its node.
    AdminRequest { request: u32 },
    /// A node is asked to shut down.
    Stop { place: Place },
    /// A node that is down restarts.
    Restart(Start),
    /// A paused node resumes.
    Resume { place: Place, pause: u16 },
    /// A client's timer fires: it starts its next operation, or gives up on the pending one.
    ClientTimer { client: u16, timer: u32 },
    /// The plan continues.
    Plan(PlanEvent),
    /// All further choices are drawn from another seed.
    Reseed { micros: u32 },
    /// The fault phase ends.
    Stabilize,
    /// The progress of the core is checked.
    CheckProgress,
    /// The run ends after this event.
    End,
}

/// An event of a node's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ProcessEvent {
    /// The driver proposes the batch that it has gathered.
    BatchReady,
    /// The deadline of the node may have come.
    Wake,
    /// The disk finishes the first operation of a lane.
    OperationDone(Lane),
    /// The node is notified of the finished operations of a lane.
    CompletionReported(Lane),
    /// The worker finishes its first work.
    WorkDone,
    /// The driver finishes the node's request for its worker's frozen view.
    ViewDone,
    /// The lagging driver executes its next output.
    ExecuteOutput,
}

/// An event of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PlanEvent {
    /// An operation is due; a triggered one becomes armed.
    Due { op: u32 },
    /// A triggered operation is due after its delay.
    Delayed { number: u32 },
    /// A fault with a duration ends.
    End { effect: u32 },
    /// A flapping link changes its state.
    Flap { effect: u32 },
    /// A client of a `poll reads` operation reads.
    PollRead { effect: u32 },
}

/// The queue of future events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Scheduled>,
    scheduled: u64,
}

/// A scheduled event, by its time and the order of scheduling, which no two events share. An
/// earlier event is greater, because the heap returns the greatest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Scheduled(Reverse<(SimTime, u64)>, Event);

impl Queue {
    /// Schedules `event` at `at`.
    pub(crate) fn push(&mut self, at: SimTime, event: Event) {
        self.scheduled += 1;
        self.heap.push(Scheduled(Reverse((at, self.scheduled)), event));
    }

    /// Returns the time of the next event, or the largest time if there is none.
    pub(crate) fn next(&self) -> SimTime {
        self.heap.peek().map_or(SimTime(u64::MAX), |Scheduled(Reverse((at, _)), _)| *at)
    }

    /// Removes and returns the next event.
    pub(crate) fn pop(&mut self) -> Option<(SimTime, Event)> {
        self.heap.pop().map(|Scheduled(Reverse((at, _)), event)| (at, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_then_by_order_of_scheduling() {
        let mut queue = Queue::default();
        queue.push(SimTime(7), Event::Stabilize);
        queue.push(SimTime(5), Event::End);
        queue.push(SimTime(5), Event::Request { slot: 1 });
        assert_eq!(queue.pop(), Some((SimTime(5), Event::End)));
        assert_eq!(queue.pop(), Some((SimTime(5), Event::Request { slot: 1 })));
        assert_eq!(queue.pop(), Some((SimTime(7), Event::Stabilize)));
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn an_event_stays_small() {
        assert!(size_of::<Event>() <= 8);
    }
}
