//! The scheduler of a run: the current time, the future events, and the counts and the digest of
//! those that have happened.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use quorate::replica::Input;
use quorate::storage::Lane;
use quorate::types::Packet;

use crate::values::digest;
use crate::values::time::SimTime;
use crate::world::place::Place;

/// The time of a run, its future events, and a hash over the past ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scheduler {
    now: SimTime,
    queue: Queue,
    pub(crate) events: u64,
    /// The number of events at the current instant.
    events_now: u32,
    /// The reason why the run cannot go on, if there is one.
    abandoned: Option<String>,
    pub(crate) digest: u64,
}

/// More events at one instant than this mean that events trigger one another without end.
const EVENTS_AT_ONE_INSTANT_MAX: u32 = 100_000;
/// Events also trigger one another without end if they are more than one per `EVENT_NANOS_MIN`
/// nanoseconds and this many on top. The busiest runs of a correct cluster have a fifth of that
/// rate.
const EVENTS_BEYOND_RATE_MAX: u64 = 1_000_000;
const EVENT_NANOS_MIN: u64 = 2_000;

impl Scheduler {
    /// Returns the current time.
    pub(crate) fn now(&self) -> SimTime {
        self.now
    }

    /// Returns the time of the next event, or the largest time if there is none.
    pub(crate) fn next(&self) -> SimTime {
        self.queue.next()
    }

    /// Schedules an event at a time, which is not in the past.
    pub(crate) fn at(&mut self, at: SimTime, event: Event) {
        debug_assert!(at >= self.now, "no event is scheduled in the past");
        self.queue.push(at, event);
    }

    /// Schedules an event after a delay.
    pub(crate) fn after(&mut self, delay: Duration, event: Event) {
        self.queue.push(self.now.after(delay), event);
    }

    /// Schedules an event at the current time, after all events that are scheduled for it already.
    pub(crate) fn at_once(&mut self, event: Event) {
        self.queue.push(self.now, event);
    }

    /// Advances the time to the next event, and returns it; `None` if there is none, if events
    /// trigger one another without end, or if the run was abandoned.
    pub(crate) fn advance(&mut self) -> Option<Event> {
        let (at, event) = self.queue.pop()?;
        debug_assert!(at >= self.now, "time never goes backwards");
        if at > self.now {
            self.now = at;
            self.events_now = 0;
        }
        self.events_now += 1;
        let too_many = self.events_now > EVENTS_AT_ONE_INSTANT_MAX || self.is_flooded();
        (!too_many && self.abandoned.is_none()).then_some(event)
    }

    /// Ends the run before its next event, because a bound of the simulator is reached.
    pub(crate) fn abandon(&mut self, reason: String) {
        self.abandoned.get_or_insert(reason);
    }

    /// Returns the reason why the run cannot go on, if there is one: events trigger one another
    /// without end, or the run was abandoned.
    pub(crate) fn stalled(&self) -> Option<String> {
        if self.abandoned.is_some() {
            return self.abandoned.clone();
        }
        let (events, now) = (self.events, self.now);
        if self.events_now > EVENTS_AT_ONE_INSTANT_MAX {
            Some(format!("over {EVENTS_AT_ONE_INSTANT_MAX} events at {now}s without an end"))
        } else {
            self.is_flooded().then(|| format!("{events} events by {now}s without an end"))
        }
    }

    fn is_flooded(&self) -> bool {
        self.events > EVENTS_BEYOND_RATE_MAX + self.now.0 / EVENT_NANOS_MIN
    }

    /// Counts one more event, and adds it to the digest.
    pub(crate) fn count(&mut self, kind: EventKind, value: u64) {
        self.events += 1;
        self.fold(self.now.0 ^ (kind as u64) << 56);
        self.fold(value);
    }

    /// Adds a value to the digest.
    pub(crate) fn fold(&mut self, value: u64) {
        self.digest = digest::mix(self.digest, value);
    }
}

/// The kind of an event; its number is part of the digest.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(crate) enum EventKind {
    Message = 1,
    Transfer,
    Timeout,
    Disk,
    Done,
    View,
    Propose,
    Read,
    /// A request of the operator, or any other input.
    AdminRequest,
    /// A packet or a client's request reaches a node that is down.
    Undelivered,
    Operation,
    Crash,
    Start,
    Fault,
    /// Nodes compare their state machines.
    Comparison,
}

impl EventKind {
    /// Returns the kind of an input of a node.
    pub(crate) fn of(input: &Input) -> EventKind {
        match input {
            Input::Packet(Packet::Message(_) | Packet::Chained(..)) => EventKind::Message,
            Input::Packet(Packet::Comparison(_)) => EventKind::Comparison,
            Input::Packet(Packet::SnapshotTransfer(_)) => EventKind::Transfer,
            Input::Timeout => EventKind::Timeout,
            Input::Disk(_) => EventKind::Disk,
            Input::WorkDone(_) => EventKind::Done,
            Input::ViewFrozen(_) | Input::ViewRead(_) | Input::ViewFailed => EventKind::View,
            Input::Propose(_) => EventKind::Propose,
            Input::Read { .. } => EventKind::Read,
            _ => EventKind::AdminRequest,
        }
    }
}

/// One future event. An event of a start does nothing after that start has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// A packet reaches this node, even if it is addressed to another one.
    Arrive { place: Place, slot: u32 },
    /// A request of a client reaches its node.
    Request { slot: u32 },
    /// The process of this start continues.
    Process { place: Place, start_number: u32, event: ProcessEvent },
    /// A node campaigns, on request of the plan.
    Campaign { place: Place },
    /// A request of the operator reaches its node.
    AdminRequest { request: u32 },
    /// A node is asked to shut down.
    Stop { place: Place },
    /// A node that is down restarts.
    Restart { place: Place, start_number: u32 },
    /// A paused node resumes.
    Resume { place: Place, pause: u32 },
    /// A client's timer fires: it starts its next operation, or resends or gives up pending ones.
    ClientTimer { client: u16, timer: u32 },
    /// The plan of the run continues with the operation or the effect of this number.
    Plan(PlanEvent, u32),
    /// All further choices are drawn from another seed.
    Reseed { micros: u32 },
    /// The fault phase ends.
    Stabilize,
    /// The progress of the core is checked.
    CheckProgress,
    /// The run ends after this event.
    End,
}

// An event stays small, because the queue moves it often.
const _: () = assert!(size_of::<Event>() <= 8);

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
    Due,
    /// A triggered operation is due after its delay.
    Delayed,
    /// A fault with a duration ends, or a pending rollback strikes.
    End,
    /// A flapping link changes its state.
    Flap,
    /// A client of a `poll reads` operation reads.
    PollRead,
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
    fn time_that_does_not_advance_is_a_failure() {
        let mut scheduler = Scheduler::default();
        for _ in 0..EVENTS_AT_ONE_INSTANT_MAX {
            scheduler.at_once(Event::CheckProgress);
            assert!(scheduler.advance().is_some() && scheduler.stalled().is_none());
        }
        scheduler.at_once(Event::CheckProgress);
        assert!(scheduler.advance().is_none() && scheduler.stalled().is_some());
    }

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
}
