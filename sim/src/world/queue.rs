//! What is going to happen, in order of time; at one instant, in order of scheduling.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::time::SimTime;

/// One thing that is going to happen. Those with an incarnation concern one start of a node and
/// come to nothing when that start is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A message reaches the node it is addressed to.
    Arrive { slot: u32 },
    /// A message reaches this node, whomever it is addressed to.
    Intrude { node: u8, slot: u32 },
    /// A request of a client reaches its node.
    Request { slot: u32 },
    /// A driver hands over what it has gathered.
    Gathered { node: u8, incarnation: u16 },
    /// A node's deadline may have come.
    Wake { node: u8, incarnation: u16 },
    /// A disk is done with the first operation of a lane.
    Operated { node: u8, incarnation: u16, lane: u8 },
    /// A node hears of the first operation of a lane that is done.
    Reported { node: u8, incarnation: u16, lane: u8 },
    /// A worker is done with the first thing it was asked for.
    Worked { node: u8, incarnation: u16 },
    /// A driver is done with what a node wants of its worker's frozen view.
    Viewed { node: u8, incarnation: u16 },
    /// A lagging driver carries out its next output.
    Carry { node: u8, incarnation: u16 },
    /// A node campaigns because it is told to.
    Campaign { node: u8 },
    /// An order of the operator's reaches its node.
    Order { order: u32 },
    /// A node is told to stop.
    Close { node: u8 },
    /// A crashed node starts again.
    Restart { node: u8, incarnation: u16 },
    /// A paused node goes on.
    Resume { node: u8, pause: u16 },
    /// A client wakes: to invoke its next operation, or to give up the one it waits for.
    Client { client: u16, nap: u32 },
    /// An operation of the plan is due; a triggered one becomes armed.
    Planned { op: u32 },
    /// A triggered operation fires some time after its trigger.
    Fire { firing: u32 },
    /// A fault with an end is over.
    Lift { effect: u32 },
    /// A flapping link changes.
    Flap { effect: u32 },
    /// Somebody reads where many do.
    Consult { effect: u32 },
    /// From now on everything is drawn from another seed.
    Redraw { micros: u32 },
    /// The storm is over.
    Calm,
    /// Look whether the core has made its progress.
    Look,
    /// The run is over.
    End,
}

/// The events to come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Scheduled>,
    scheduled: u64,
}

/// An event to come. The sooner it does, the greater it is: that is what a heap gives first.
#[derive(Clone, Copy, Debug)]
struct Scheduled {
    at: SimTime,
    number: u64,
    event: Event,
}

impl Scheduled {
    /// Orders events; no two have the same.
    fn key(&self) -> u128 {
        u128::from(self.at.0) << 64 | u128::from(self.number)
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Scheduled) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Scheduled) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Scheduled) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl Queue {
    /// Lets `event` happen at `at`.
    pub(crate) fn push(&mut self, at: SimTime, event: Event) {
        self.scheduled += 1;
        self.heap.push(Scheduled { at, number: self.scheduled, event });
    }

    /// When the next event comes; the end of time if there is none.
    pub(crate) fn next(&self) -> SimTime {
        self.heap.peek().map_or(SimTime(u64::MAX), |next| next.at)
    }

    /// Takes the next event.
    pub(crate) fn pop(&mut self) -> Option<(SimTime, Event)> {
        self.heap.pop().map(|next| (next.at, next.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_then_by_order_of_scheduling() {
        let mut queue = Queue::default();
        queue.push(SimTime(7), Event::Calm);
        queue.push(SimTime(5), Event::End);
        queue.push(SimTime(5), Event::Arrive { slot: 1 });
        assert_eq!(queue.pop(), Some((SimTime(5), Event::End)));
        assert_eq!(queue.pop(), Some((SimTime(5), Event::Arrive { slot: 1 })));
        assert_eq!(queue.pop(), Some((SimTime(7), Event::Calm)));
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn an_event_stays_small() {
        assert!(size_of::<Event>() <= 8);
    }
}
