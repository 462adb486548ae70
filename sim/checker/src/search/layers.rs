//! The search that goes from return to return with all configurations at once (Lowe 2017, §4): it
//! holds as much as there are at one return, and knows at once which return cannot be explained.

use crate::search::config::{Config, Seen};
use crate::search::meter::Meter;
use crate::search::plan::{Kind, Task};
use crate::search::walk::{Space, Walk};
use crate::verdict::Resource;

/// All configurations that what happened so far can have led to.
#[derive(Debug)]
pub(super) struct Layers<S, const W: usize> {
    walk: Walk<S, W>,
    frontier: Seen<W>,
    /// On the way to the next return.
    seen: Seen<W>,
    /// Just after it.
    passed: Seen<W>,
    stack: Vec<Config<W>>,
}

impl<S: Space<W>, const W: usize> Layers<S, W> {
    /// Before anything has happened.
    pub(super) fn new(walk: Walk<S, W>) -> Layers<S, W> {
        let mut frontier = Seen::new();
        frontier.insert(&Config::new(walk.space.init()), &walk.exact());
        Layers { walk, frontier, seen: Seen::new(), passed: Seen::new(), stack: Vec::new() }
    }

    /// How many configurations there are; there is none if what happened cannot be explained.
    pub(super) fn width(&self) -> usize {
        self.frontier.len()
    }

    /// Bytes that it holds, and will while it grows.
    fn bytes(&self) -> usize {
        let sets = [&self.frontier, &self.seen, &self.passed];
        let sets: usize = sets.iter().map(|set| set.bytes_next()).sum();
        sets + 3 * self.stack.capacity() * size_of::<Config<W>>() + self.walk.bytes()
    }

    /// The task is invoked.
    pub(super) fn invoked(&mut self, number: u32) {
        self.walk.open(number);
    }

    /// What became of the task, whose outcome is unknown, does not matter any more.
    pub(super) fn retired(&mut self, number: u32) {
        self.walk.close(number);
        let slot = self.walk.tasks[number as usize].slot;
        self.passed.clear();
        for config in self.frontier.iter() {
            let mut after = *config;
            after.done.clear(slot);
            after.used.clear(slot);
            self.passed.insert(&after, &self.walk.exact());
        }
        std::mem::swap(&mut self.frontier, &mut self.passed);
    }

    /// The task has returned, as it was known that it would.
    ///
    /// # Errors
    /// What was used up.
    pub(super) fn returned(&mut self, number: u32, meter: &mut Meter<'_>) -> Result<(), Resource> {
        let task = self.walk.tasks[number as usize];
        self.seen.clear();
        self.passed.clear();
        let mut exact = self.walk.exact();
        if task.kind == Kind::Update {
            exact.clear(task.slot);
        }
        for config in self.frontier.iter() {
            let mut config = *config;
            self.walk.settle(&mut config);
            if config.done.has(task.slot) {
                self.stack.extend(self.walk.unhidden(&config, number));
                forget(&mut config, &task);
                self.passed.insert(&config, &exact);
            } else {
                self.stack.push(config);
            }
        }
        // Nothing else is left to be done: one that can be passed as it is passes.
        while let Some(config) = self.stack.pop() {
            meter.look(self.bytes())?;
            if !self.seen.insert(&config, &self.walk.exact()) {
                continue;
            }
            let first = self.stack.len();
            self.walk.expand(&config, number, &mut self.stack);
            let mut place = first;
            while place < self.stack.len() {
                if self.stack[place].done.has(task.slot) {
                    let mut config = self.stack.swap_remove(place);
                    self.stack.extend(self.walk.unhidden(&config, number));
                    forget(&mut config, &task);
                    self.passed.insert(&config, &exact);
                } else {
                    place += 1;
                }
            }
        }
        meter.look(self.bytes())?;
        self.walk.close(number);
        self.frontier.clear();
        for config in self.passed.iter() {
            if let Some(config) = self.walk.pass(config, number, task.ends) {
                self.frontier.insert(&config, &exact);
            }
        }
        Ok(())
    }
}

/// Frees the slot of `task`.
fn forget<const W: usize>(config: &mut Config<W>, task: &Task) {
    config.done.clear(task.slot);
    config.used.clear(task.slot);
}
