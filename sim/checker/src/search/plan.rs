//! The operations of a search, and their events in order.

use crate::history::{EventIndex, OpId};

/// One operation, as the search sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Task {
    /// The number of the operation in the history.
    pub(super) id: OpId,
    pub(super) kind: Kind,
    /// Whether the outcome is known: the task must take effect before it [ends](Task::ends).
    pub(super) known: bool,
    /// Tasks of the same class and kind are interchangeable.
    pub(super) class: u32,
    /// The bit of the task. No two pending tasks share a slot.
    pub(super) slot: u32,
    pub(super) invoked: EventIndex,
    /// The index of the response. If the outcome is unknown, an event after which the task no
    /// longer matters, or [`EventIndex::NEVER`].
    pub(super) ends: EventIndex,
}

/// The effect of a task, see [`crate::model::Effect`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    ReadOnly,
    BlindWrite,
    Update,
}

impl Task {
    /// Returns the deadline by which the task must take effect, if it must.
    pub(super) fn deadline(&self) -> EventIndex {
        if self.known { self.ends } else { EventIndex::NEVER }
    }
}

/// An event of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The task is invoked.
    Opens(u32),
    /// The task, with a known outcome, returns.
    Returns(u32),
    /// The outcome of the task is unknown and no longer matters.
    Retires(u32),
}

/// The tasks of a search and all their events.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) tasks: Vec<Task>,
    pub(super) events: Vec<Event>,
    /// The number of slots in use.
    pub(super) slots: usize,
}

impl Plan {
    /// Assigns slots to `tasks`, which are in the order of invocation, and orders their events.
    pub(super) fn new(mut tasks: Vec<Task>) -> Plan {
        // A task retires just after the last response that it can affect.
        let ends = |(number, task): (u32, &Task)| (task.ends, !task.known, number);
        let mut ends: Vec<(EventIndex, bool, u32)> = (0..).zip(&tasks).map(ends).collect();
        ends.retain(|(event_index, ..)| *event_index != EventIndex::NEVER);
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
            let number = u32::try_from(number).expect("a history has at most u32::MAX operations");
            events.push(Event::Opens(number));
        }
        // After the last invocation no task need retire.
        events.extend(ends.filter(|(_, retires, _)| !retires).map(|(.., n)| Event::Returns(n)));
        Plan { tasks, events, slots: slots as usize }
    }
}
