//! The step that all searches share: from one configuration to those with one more operation done,
//! on the way to the next response. The rules a to e are those of the module `search`.

use crate::history::EventIndex;
use crate::search::config::{Bits, Config};
use crate::search::plan::{Kind, Task};

/// The space of a search: an object whose states and tasks are numbers.
pub(super) trait Space<const W: usize> {
    /// Returns the first state.
    fn init(&self) -> u32;

    /// Adds the task with this number to the pending tasks.
    fn open(&mut self, number: u32, task: &Task);

    /// Removes the task from the pending tasks.
    fn close(&mut self, number: u32, task: &Task);

    /// Returns the slots of the pending read-only tasks that are legal in `state`.
    fn observers(&mut self, state: u32) -> Bits<W>;

    /// Returns the state after a blind write.
    fn target(&mut self, number: u32) -> u32;

    /// Returns the state after an update, if it is legal in `state`.
    fn apply(&mut self, state: u32, number: u32) -> Option<u32>;

    /// Returns true if a pending update that has not taken effect may be legal in the state of
    /// `config`.
    fn enables_update(&self, config: &Config<W>) -> bool;

    /// Returns true if `config` is known to be a dead end, because a task must still observe the
    /// state `gone`, which no task restores after `now`.
    fn is_dead_end(&self, config: &Config<W>, gone: u32, now: EventIndex) -> bool {
        let _ = (config, gone, now);
        false
    }

    /// Returns true if the state of `config` can be more useful than the state `other`.
    fn is_useful_state(&self, config: &Config<W>, other: u32, now: EventIndex) -> bool {
        let _ = (config, other, now);
        true
    }

    /// Returns true if it can be useful that a blind write with this `target`, which may count as
    /// hidden, takes effect visibly.
    fn is_useful_write(&self, config: &Config<W>, target: u32, now: EventIndex) -> bool {
        let _ = (config, target, now);
        true
    }

    /// Marks as done every task that can take effect just before a blind write changes the state of
    /// `config`, and that would be useless after it.
    fn complete_before_write(&self, config: &mut Config<W>, now: EventIndex) {
        let _ = (config, now);
    }

    /// Replaces the state with a representative of those that are indistinguishable after `now`.
    fn merge_unobserved(&self, config: &mut Config<W>, now: EventIndex) {
        let _ = (config, now);
    }

    /// Returns the number of pending read-only tasks that the space tries one by one.
    fn pending_reads(&self) -> usize {
        0
    }

    /// Returns the number of bytes that the space holds.
    fn bytes(&self) -> usize;
}

/// A space and its pending tasks.
#[derive(Debug)]
pub(super) struct Walk<S, const W: usize> {
    pub(super) space: S,
    pub(super) tasks: Vec<Task>,
    /// The pending blind writes and updates, by deadline.
    writes: Vec<u32>,
    updates: Vec<u32>,
    /// The slots of the pending blind writes, and updates, whose outcome is known.
    known_writes: Bits<W>,
    known_updates: Bits<W>,
    /// The round in which each class was tried last.
    stamps: Vec<u64>,
    stamp: u64,
}

impl<S: Space<W>, const W: usize> Walk<S, W> {
    pub(super) fn new(space: S, tasks: Vec<Task>) -> Walk<S, W> {
        let classes = tasks.iter().map(|task| task.class as usize + 1).max().unwrap_or(0);
        Walk {
            space,
            tasks,
            writes: Vec::new(),
            updates: Vec::new(),
            known_writes: Bits::NONE,
            known_updates: Bits::NONE,
            stamps: vec![0; classes],
            stamp: 0,
        }
    }

    /// Returns the slots of the pending updates with known outcomes.
    pub(super) fn known_updates(&self) -> Bits<W> {
        self.known_updates
    }

    /// Returns the number of bytes that the walk holds beyond those of the tasks.
    pub(super) fn bytes(&self) -> usize {
        self.space.bytes() + self.stamps.len() * size_of::<u64>()
    }

    /// Returns the number of steps of work that a change of the pending tasks, or a step from a
    /// configuration, takes at most.
    pub(super) fn steps(&self) -> usize {
        1 + self.space.pending_reads() + (self.writes.len() + self.updates.len()) * W
    }

    /// Adds a task to the pending tasks.
    pub(super) fn open(&mut self, number: u32) {
        let task = self.tasks[number as usize];
        self.space.open(number, &task);
        let (list, known) = match task.kind {
            Kind::ReadOnly => return,
            Kind::BlindWrite => (&mut self.writes, &mut self.known_writes),
            Kind::Update => (&mut self.updates, &mut self.known_updates),
        };
        let key = |other: u32| (self.tasks[other as usize].deadline(), other);
        let place = list.partition_point(|other| key(*other) < key(number));
        list.insert(place, number);
        if task.known {
            known.set(task.slot);
        }
    }

    /// Removes a task from the pending tasks.
    pub(super) fn close(&mut self, number: u32) {
        let task = self.tasks[number as usize];
        self.space.close(number, &task);
        let (list, known) = match task.kind {
            Kind::ReadOnly => return,
            Kind::BlindWrite => (&mut self.writes, &mut self.known_writes),
            Kind::Update => (&mut self.updates, &mut self.known_updates),
        };
        list.retain(|other| *other != number);
        known.clear(task.slot);
    }

    /// Lets every legal read-only task take effect, which excludes no continuation (rule a).
    /// Returns true if any of them took effect.
    pub(super) fn apply_reads(&mut self, config: &mut Config<W>) -> bool {
        let done = config.done.or(&self.space.observers(config.state));
        let more = done != config.done;
        config.done = done;
        more
    }

    /// Returns `config` with the hidden write `number` undone, so that the search can let it take
    /// effect visibly. `None` if the write was not hidden, or if a visible effect is useless.
    pub(super) fn unhidden(&mut self, config: &Config<W>, number: u32) -> Option<Config<W>> {
        let task = self.tasks[number as usize];
        let hidden = config.done.has(task.slot) && !config.used.has(task.slot);
        if task.kind != Kind::BlindWrite || !hidden {
            return None;
        }
        let target = self.space.target(number);
        let mut before = *config;
        before.done.clear(task.slot);
        self.space.is_useful_write(&before, target, task.ends).then_some(before)
    }

    /// Returns `config` after the task returned at `now` and was closed, or `None` for a dead end.
    pub(super) fn after_return(
        &mut self,
        config: &Config<W>,
        number: u32,
        now: EventIndex,
    ) -> Option<Config<W>> {
        let task = &self.tasks[number as usize];
        let mut after = *config;
        after.free(task.slot);
        if task.kind == Kind::BlindWrite {
            let gone = self.space.target(number);
            if gone != after.state && self.space.is_dead_end(&after, gone, now) {
                return None;
            }
        }
        self.space.merge_unobserved(&mut after, now);
        Some(after)
    }

    /// Appends the configurations one step after `config`, on the way to the response of the task
    /// `next`, the most promising last. In `config`, every legal read-only task has taken effect.
    pub(super) fn expand(
        &mut self,
        config: &Config<W>,
        next: u32,
        successors: &mut Vec<Config<W>>,
    ) {
        let first = successors.len();
        let next = self.tasks[next as usize];
        self.update(config, &next, successors);
        if !config.is_unobserved() {
            self.write(config, &next, successors);
        }
        successors[first..].reverse();
        let done = |config: &Config<W>| config.done.has(next.slot);
        successors[first..].sort_by_key(done);
    }

    /// Appends the successors by an update.
    fn update(&mut self, config: &Config<W>, next: &Task, successors: &mut Vec<Config<W>>) {
        self.stamp += 1;
        for place in 0..self.updates.len() {
            let number = self.updates[place];
            let task = self.tasks[number as usize];
            let spent = if task.known { &config.done } else { &config.used };
            if spent.has(task.slot) || !self.is_first(&task) {
                continue;
            }
            let Some(state) = self.space.apply(config.state, number) else { continue };
            if !task.known && state == config.state {
                continue;
            }
            let mut after = *config;
            after.state = state;
            after.set_unobserved(false);
            match task.known {
                true => after.done.set(task.slot),
                false => after.used.set(task.slot),
            }
            let observed = self.apply_reads(&mut after);
            let changed = state != config.state;
            if changed && self.space.is_dead_end(&after, config.state, next.ends) {
                continue;
            }
            // A task that need not take effect, and whose effect is not observed, can only enable
            // an update.
            if !task.known && !observed && !after.done.has(next.slot) {
                if !self.space.enables_update(&after) {
                    continue;
                }
                after.set_unobserved(true);
            }
            successors.push(after);
        }
    }

    /// Appends the successors by a blind write. Every other pending write may then count as having
    /// taken effect just before it, unobserved (rule b); the search decides later whether it did.
    fn write(&mut self, config: &Config<W>, next: &Task, successors: &mut Vec<Config<W>>) {
        self.stamp += 1;
        for place in 0..self.writes.len() {
            let number = self.writes[place];
            let task = self.tasks[number as usize];
            if config.used.has(task.slot) || !self.is_first(&task) {
                continue;
            }
            let state = self.space.target(number);
            // A write of the current value is useful only to the writes that it hides.
            if state == config.state && config.done.includes(&self.known_writes) {
                continue;
            }
            let mut after = *config;
            after.state = state;
            after.done = after.done.or(&self.known_writes);
            after.used.set(task.slot);
            self.space.complete_before_write(&mut after, next.ends);
            let observed = self.apply_reads(&mut after);
            let changed = state != config.state;
            if changed && self.space.is_dead_end(&after, config.state, next.ends) {
                continue;
            }
            if after.done.has(next.slot) {
                // Where `next` can be hidden, it can also take effect visibly.
                if next.kind == Kind::BlindWrite && task.id != next.id && !observed {
                    let other = self.target_of(next);
                    if !self.space.is_useful_state(&after, other, next.ends) {
                        continue;
                    }
                }
            } else if !observed {
                // Another blind write would hide it, and could do all that it does.
                if !self.space.enables_update(&after) {
                    continue;
                }
                after.set_unobserved(true);
            }
            successors.push(after);
        }
    }

    fn target_of(&mut self, task: &Task) -> u32 {
        let is_it = |number: &&u32| self.tasks[**number as usize].id == task.id;
        let number = *self.writes.iter().find(is_it).expect("the task is open");
        self.space.target(number)
    }

    /// Returns true if no other task of the class was tried in this round: of interchangeable
    /// tasks, the one with the earliest deadline goes first (rule d).
    fn is_first(&mut self, task: &Task) -> bool {
        let stamp = &mut self.stamps[task.class as usize];
        std::mem::replace(stamp, self.stamp) != self.stamp
    }
}
