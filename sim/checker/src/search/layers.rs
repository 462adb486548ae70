//! Layered search: advances all configurations from response to response (Lowe 2017, §4). It holds
//! the configurations of one response, and finds the first response that no order explains.

use crate::search::config::{Config, ConfigSet};
use crate::search::meter::Meter;
use crate::search::plan::Kind;
use crate::search::walk::{Space, Walk};
use crate::verdict::Resource;

/// All configurations that can follow the events so far.
#[derive(Debug)]
pub(super) struct LayeredSearch<S, const W: usize> {
    walk: Walk<S, W>,
    frontier: ConfigSet<W>,
    /// The configurations visited on the way to the next response.
    visited: ConfigSet<W>,
    /// The configurations just after that response.
    passed: ConfigSet<W>,
    stack: Vec<Config<W>>,
}

impl<S: Space<W>, const W: usize> LayeredSearch<S, W> {
    /// Creates a search before the first event.
    pub(super) fn new(walk: Walk<S, W>) -> LayeredSearch<S, W> {
        let mut frontier = ConfigSet::new();
        frontier.insert(&Config::new(walk.space.init()), &walk.known_updates());
        LayeredSearch {
            walk,
            frontier,
            visited: ConfigSet::new(),
            passed: ConfigSet::new(),
            stack: Vec::new(),
        }
    }

    /// Returns the number of configurations; 0 if no order explains the events so far.
    pub(super) fn width(&self) -> usize {
        self.frontier.len()
    }

    /// Returns the number of bytes that the search holds, including the next growth.
    fn bytes(&self) -> usize {
        let sets = [&self.frontier, &self.visited, &self.passed];
        let sets: usize = sets.iter().map(|set| set.bytes_next()).sum();
        sets + 3 * self.stack.capacity() * size_of::<Config<W>>() + self.walk.bytes()
    }

    /// Advances over the invocation of a task.
    ///
    /// # Errors
    /// Returns the exhausted resource.
    pub(super) fn invoked(&mut self, number: u32, meter: &Meter<'_>) -> Result<(), Resource> {
        self.walk.open(number);
        meter.step(self.walk.steps())
    }

    /// Removes a task whose outcome is unknown and no longer matters.
    ///
    /// # Errors
    /// Returns the exhausted resource.
    pub(super) fn retired(&mut self, number: u32, meter: &Meter<'_>) -> Result<(), Resource> {
        self.walk.close(number);
        let slot = self.walk.tasks[number as usize].slot;
        self.passed.clear();
        for config in self.frontier.iter() {
            let mut after = *config;
            after.free(slot);
            self.passed.insert(&after, &self.walk.known_updates());
            meter.step(W + self.passed.take_compared())?;
        }
        std::mem::swap(&mut self.frontier, &mut self.passed);
        Ok(())
    }

    /// Advances over the response of a task.
    ///
    /// # Errors
    /// Returns the exhausted resource.
    pub(super) fn returned(&mut self, number: u32, meter: &mut Meter<'_>) -> Result<(), Resource> {
        let task = self.walk.tasks[number as usize];
        self.visited.clear();
        self.passed.clear();
        let mut known_updates = self.walk.known_updates();
        if task.kind == Kind::Update {
            known_updates.clear(task.slot);
        }
        for config in self.frontier.iter() {
            let mut config = *config;
            self.walk.apply_reads(&mut config);
            if config.done.has(task.slot) {
                self.stack.extend(self.walk.unhidden(&config, number));
                config.free(task.slot);
                self.passed.insert(&config, &known_updates);
            } else {
                self.stack.push(config);
            }
            meter.step(self.walk.steps() + self.passed.take_compared())?;
        }
        // A configuration in which the task is done passes at once, without further operations.
        while let Some(config) = self.stack.pop() {
            meter.count(self.bytes())?;
            let is_new = self.visited.insert(&config, &self.walk.known_updates());
            meter.step(self.visited.take_compared())?;
            if !is_new {
                continue;
            }
            meter.step(self.walk.steps() + self.passed.take_compared())?;
            let first = self.stack.len();
            self.walk.expand(&config, number, &mut self.stack);
            let mut place = first;
            while place < self.stack.len() {
                if self.stack[place].done.has(task.slot) {
                    let mut config = self.stack.swap_remove(place);
                    self.stack.extend(self.walk.unhidden(&config, number));
                    config.free(task.slot);
                    self.passed.insert(&config, &known_updates);
                } else {
                    place += 1;
                }
            }
        }
        meter.count(self.bytes())?;
        self.walk.close(number);
        self.frontier.clear();
        for config in self.passed.iter() {
            if let Some(config) = self.walk.after_return(config, number, task.ends) {
                self.frontier.insert(&config, &known_updates);
                meter.step(W + self.frontier.take_compared())?;
            }
        }
        Ok(())
    }
}
