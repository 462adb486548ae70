//! The queue of future events, in the order of their times.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_sim::values::time::SimTime;

/// Future events. Events of the same time happen in the order in which they were scheduled.
#[derive(Debug)]
pub(crate) struct Schedule<E> {
    now: SimTime,
    scheduled: u64,
    events: BTreeMap<(SimTime, u64), E>,
}

impl<E> Schedule<E> {
    pub(crate) fn new() -> Schedule<E> {
        Schedule { now: SimTime::default(), scheduled: 0, events: BTreeMap::new() }
    }

    pub(crate) fn now(&self) -> SimTime {
        self.now
    }

    pub(crate) fn at(&mut self, at: SimTime, event: E) {
        self.scheduled += 1;
        self.events.insert((at.max(self.now), self.scheduled), event);
    }

    pub(crate) fn after(&mut self, delay: Duration, event: E) {
        self.at(self.now.after(delay), event);
    }

    /// Removes the next event, and advances the time to it.
    pub(crate) fn next(&mut self) -> Option<E> {
        let ((at, _), event) = self.events.pop_first()?;
        self.now = at;
        Some(event)
    }
}
