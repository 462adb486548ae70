//! The step that every search takes: from one configuration to those that lie one operation
//! further on the way to the next return.

use crate::history::Moment;
use crate::search::config::{Bits, Config};
use crate::search::plan::{Kind, Task};

/// An object, as the search sees it: states are numbers, and so are tasks.
pub(super) trait Space<const W: usize> {
    /// The first state.
    fn init(&self) -> u32;

    /// `task`, with this number, is now open.
    fn open(&mut self, number: u32, task: &Task);

    /// It no longer is.
    fn close(&mut self, number: u32, task: &Task);

    /// The slots of the open observers that are legal in `state`.
    fn observers(&mut self, state: u32) -> Bits<W>;

    /// The state after an overwrite.
    fn target(&mut self, number: u32) -> u32;

    /// The state after an update, if it is legal in `state`.
    fn apply(&mut self, state: u32, number: u32) -> Option<u32>;

    /// Whether an open update that has not taken effect may be legal in the state of `config`.
    fn builds(&self, config: &Config<W>) -> bool;

    /// Whether `config` can be seen to lead nowhere, because something must still see the state
    /// `gone`, which nothing can bring back after `now`.
    fn is_doomed(&self, config: &Config<W>, gone: u32, now: Moment) -> bool {
        let _ = (config, gone, now);
        false
    }

    /// Whether it can be of use to be in the state of `config` rather than in `other`.
    fn is_wanted(&self, config: &Config<W>, other: u32, now: Moment) -> bool {
        let _ = (config, other, now);
        true
    }

    /// Whether it can be of use that an overwrite with this `target`, which may be thought to have
    /// been hidden, takes effect in earnest.
    fn shows(&self, config: &Config<W>, target: u32, now: Moment) -> bool {
        let _ = (config, target, now);
        true
    }

    /// An overwrite is taking effect in `config`, which it then leaves in another state: has
    /// whatever can take effect just before it, and is useless later, do so.
    fn flush(&self, config: &mut Config<W>, now: Moment) {
        let _ = (config, now);
    }

    /// Makes equal what cannot be told apart after `now`.
    fn blur(&self, config: &mut Config<W>, now: Moment) {
        let _ = (config, now);
    }

    /// Bytes that it holds.
    fn bytes(&self) -> usize;
}

/// A space, and the tasks that are open in it.
#[derive(Debug)]
pub(super) struct Walk<S, const W: usize> {
    pub(super) space: S,
    pub(super) tasks: Vec<Task>,
    /// Open overwrites and updates, by deadline.
    writes: Vec<u32>,
    updates: Vec<u32>,
    /// The slots of the open overwrites, and updates, whose outcome is known.
    written: Bits<W>,
    exact: Bits<W>,
    /// When a class was last looked at.
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
            written: Bits::NONE,
            exact: Bits::NONE,
            stamps: vec![0; classes],
            stamp: 0,
        }
    }

    /// The slots of the open tasks of which it always matters whether they are done.
    pub(super) fn exact(&self) -> Bits<W> {
        self.exact
    }

    /// Bytes that it holds beyond those of the tasks.
    pub(super) fn bytes(&self) -> usize {
        self.space.bytes() + self.stamps.len() * size_of::<u64>()
    }

    /// The task is now open.
    pub(super) fn open(&mut self, number: u32) {
        let task = self.tasks[number as usize];
        self.space.open(number, &task);
        let (list, known) = match task.kind {
            Kind::Observe => return,
            Kind::Overwrite => (&mut self.writes, &mut self.written),
            Kind::Update => (&mut self.updates, &mut self.exact),
        };
        let key = |other: u32| (self.tasks[other as usize].deadline(), other);
        let place = list.partition_point(|other| key(*other) < key(number));
        list.insert(place, number);
        if task.known {
            known.set(task.slot);
        }
    }

    /// The task no longer is.
    pub(super) fn close(&mut self, number: u32) {
        let task = self.tasks[number as usize];
        self.space.close(number, &task);
        let (list, known) = match task.kind {
            Kind::Observe => return,
            Kind::Overwrite => (&mut self.writes, &mut self.written),
            Kind::Update => (&mut self.updates, &mut self.exact),
        };
        list.retain(|other| *other != number);
        known.clear(task.slot);
    }

    /// Has every observer that is legal in the state take effect: it costs nothing, now or ever
    /// (rule a). Returns whether there was one.
    pub(super) fn settle(&mut self, config: &mut Config<W>) -> bool {
        let done = config.done.or(&self.space.observers(config.state));
        let more = done != config.done;
        config.done = done;
        more
    }

    /// A write that returns may have been hidden. If it was not, it takes effect before it
    /// returns: this is `config` before it has, if that can be of use.
    pub(super) fn unhidden(&mut self, config: &Config<W>, number: u32) -> Option<Config<W>> {
        let task = self.tasks[number as usize];
        let hidden = config.done.has(task.slot) && !config.used.has(task.slot);
        if task.kind != Kind::Overwrite || !hidden {
            return None;
        }
        let target = self.space.target(number);
        let mut before = *config;
        before.done.clear(task.slot);
        self.space.shows(&before, target, task.ends).then_some(before)
    }

    /// What is left of `config`, in which the task has returned at `now` and is closed; nothing if
    /// it leads nowhere.
    pub(super) fn pass(
        &mut self,
        config: &Config<W>,
        number: u32,
        now: Moment,
    ) -> Option<Config<W>> {
        let task = &self.tasks[number as usize];
        let mut after = *config;
        after.done.clear(task.slot);
        after.used.clear(task.slot);
        if task.kind == Kind::Overwrite {
            let gone = self.space.target(number);
            if gone != after.state && self.space.is_doomed(&after, gone, now) {
                return None;
            }
        }
        self.space.blur(&mut after, now);
        Some(after)
    }

    /// The configurations one step after `config`, on the way to the return of the task `next`,
    /// the most promising last. Observers of its state are done.
    pub(super) fn expand(&mut self, config: &Config<W>, next: u32, ways: &mut Vec<Config<W>>) {
        let first = ways.len();
        let next = self.tasks[next as usize];
        self.update(config, &next, ways);
        if !config.is_bare() {
            self.write(config, &next, ways);
        }
        ways[first..].reverse();
        let done = |config: &Config<W>| config.done.has(next.slot);
        ways[first..].sort_by_key(done);
    }

    /// The ways on by an update.
    fn update(&mut self, config: &Config<W>, next: &Task, ways: &mut Vec<Config<W>>) {
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
            after.set_bare(false);
            match task.known {
                true => after.done.set(task.slot),
                false => after.used.set(task.slot),
            }
            let seen = self.settle(&mut after);
            let left = state != config.state;
            if left && self.space.is_doomed(&after, config.state, next.ends) {
                continue;
            }
            // Who need not take effect, and shows in nothing, only helps an update after it.
            if !task.known && !seen && !after.done.has(next.slot) {
                if !self.space.builds(&after) {
                    continue;
                }
                after.set_bare(true);
            }
            ways.push(after);
        }
    }

    /// The ways on by an overwrite. Every other open one may then have taken effect just before
    /// it, unseen (rule b), and whether it did is decided when it matters.
    fn write(&mut self, config: &Config<W>, next: &Task, ways: &mut Vec<Config<W>>) {
        self.stamp += 1;
        for place in 0..self.writes.len() {
            let number = self.writes[place];
            let task = self.tasks[number as usize];
            if config.used.has(task.slot) || !self.is_first(&task) {
                continue;
            }
            let state = self.space.target(number);
            // A write of the present value is of use to those that it hides.
            if state == config.state && config.done.includes(&self.written) {
                continue;
            }
            let mut after = *config;
            after.state = state;
            after.done = after.done.or(&self.written);
            after.used.set(task.slot);
            self.space.flush(&mut after, next.ends);
            let seen = self.settle(&mut after);
            let left = state != config.state;
            if left && self.space.is_doomed(&after, config.state, next.ends) {
                continue;
            }
            if after.done.has(next.slot) {
                // Where `next` can be hidden, it can also take effect.
                if next.kind == Kind::Overwrite && task.id != next.id && !seen {
                    let other = self.target_of(next);
                    if !self.space.is_wanted(&after, other, next.ends) {
                        continue;
                    }
                }
            } else if !seen {
                // Another overwrite would hide it, and could do all that it does.
                if !self.space.builds(&after) {
                    continue;
                }
                after.set_bare(true);
            }
            ways.push(after);
        }
    }

    fn target_of(&mut self, task: &Task) -> u32 {
        let is_it = |number: &&u32| self.tasks[**number as usize].id == task.id;
        let number = *self.writes.iter().find(is_it).expect("the task is open");
        self.space.target(number)
    }

    /// Whether no other of its class was looked at in this round: of those that can stand in for
    /// one another, the one that is needed first goes first (rule d).
    fn is_first(&mut self, task: &Task) -> bool {
        let stamp = &mut self.stamps[task.class as usize];
        std::mem::replace(stamp, self.stamp) != self.stamp
    }
}
