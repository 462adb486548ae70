//! The operations of a search, and the events in which they open and close.

use crate::history::{Moment, OpId};

/// One operation, as the search sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    /// Its number in the history.
    pub(super) id: OpId,
    pub(super) kind: Kind,
    /// Whether it must take effect before it [ends](Task::ends): its outcome is known.
    pub(super) known: bool,
    /// Tasks of one class and kind can stand in for one another.
    pub(super) class: u32,
    /// Its bit; no two open tasks share one.
    pub(super) slot: u32,
    pub(super) invoked: Moment,
    /// When it returned. If its outcome is unknown, a moment after which it cannot matter any
    /// more; [`Moment::NEVER`] if there is none.
    pub(super) ends: Moment,
}

/// What a task can do, see [`crate::model::Effect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Observe,
    Overwrite,
    Update,
}

impl Task {
    /// By what time it is needed: those that must take effect come first.
    pub(super) fn deadline(&self) -> Moment {
        if self.known { self.ends } else { Moment::NEVER }
    }
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// This task is invoked.
    Opens(u32),
    /// This task has returned.
    Returns(u32),
    /// What became of this task does not matter any more.
    Retires(u32),
}

/// Everything that happens.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) tasks: Vec<Task>,
    pub(super) events: Vec<Event>,
    /// How many slots there are.
    pub(super) slots: usize,
}

impl Plan {
    /// Puts `tasks`, in the order of invocation, in slots, and their events in order.
    pub(super) fn new(mut tasks: Vec<Task>) -> Plan {
        // Who retires does so with the return of the last that it mattered to, just after it.
        let ends = |(number, task): (u32, &Task)| (task.ends, !task.known, number);
        let mut ends: Vec<(Moment, bool, u32)> = (0..).zip(&tasks).map(ends).collect();
        ends.retain(|(moment, ..)| *moment != Moment::NEVER);
        ends.sort_unstable();
        let mut ends = ends.into_iter().peekable();
        let mut events = Vec::with_capacity(2 * tasks.len());
        let mut free: Vec<u32> = Vec::new();
        let mut slots = 0;
        for number in 0..tasks.len() {
            while let Some((.., other)) = ends.next_if(|(at, ..)| *at < tasks[number].invoked) {
                let task = &tasks[other as usize];
                let event = if task.known { Event::Returns(other) } else { Event::Retires(other) };
                events.push(event);
                free.push(task.slot);
            }
            tasks[number].slot = free.pop().unwrap_or_else(|| {
                slots += 1;
                slots - 1
            });
            let number = u32::try_from(number).expect("a history has four billion at most");
            events.push(Event::Opens(number));
        }
        // After the last invocation nothing need retire any more.
        events.extend(ends.filter(|(_, retires, _)| !retires).map(|(.., n)| Event::Returns(n)));
        Plan { tasks, events, slots: slots as usize }
    }
}
