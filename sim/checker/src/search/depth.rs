//! Depth-first search: follows one configuration as far as it leads, then goes back to the last
//! alternative (Wing & Gong 1993; Lowe 2017). Fast if most configurations lead to the end.

use crate::history::EventIndex;
use crate::search::config::{Config, ConfigSet};
use crate::search::meter::Meter;
use crate::search::plan::Event;
use crate::search::walk::{Space, Walk};
use crate::verdict::Resource;

/// A depth-first search and its position in the events.
pub(super) struct DepthFirstSearch<'a, S, const W: usize> {
    walk: Walk<S, W>,
    events: &'a [Event],
    /// The position of the next event.
    cursor: usize,
    /// The last position that the search reached.
    furthest: usize,
    visited: ConfigSet<W>,
    stack: Vec<Config<W>>,
}

impl<'a, S: Space<W>, const W: usize> DepthFirstSearch<'a, S, W> {
    pub(super) fn new(walk: Walk<S, W>, events: &'a [Event]) -> DepthFirstSearch<'a, S, W> {
        let stack = vec![Config::new(walk.space.init())];
        DepthFirstSearch { walk, events, cursor: 0, furthest: 0, visited: ConfigSet::new(), stack }
    }

    /// Returns the event index of the last response that was reached and never passed.
    pub(super) fn furthest(&self) -> EventIndex {
        match self.events.get(self.furthest) {
            Some(Event::Returns(number)) => self.walk.tasks[*number as usize].ends,
            _ => EventIndex::NEVER,
        }
    }

    /// Returns the number of operations that returned before [`DepthFirstSearch::furthest`].
    pub(super) fn returned(&self) -> usize {
        let before = self.events.iter().take(self.furthest);
        before.filter(|event| matches!(event, Event::Returns(_))).count()
    }

    /// Returns the walk, moved back before the first event.
    ///
    /// # Errors
    /// Returns the exhausted resource.
    pub(super) fn rewind(mut self, meter: &Meter<'_>) -> Result<Walk<S, W>, Resource> {
        self.go_to(0, meter)?;
        Ok(self.walk)
    }

    /// Returns whether some configuration reaches the end, or `None` after about
    /// `configurations_max` more configurations without an answer.
    ///
    /// # Errors
    /// Returns the exhausted resource.
    pub(super) fn run(
        &mut self,
        configurations_max: u64,
        meter: &mut Meter<'_>,
    ) -> Result<Option<bool>, Resource> {
        let end = meter.configurations().saturating_add(configurations_max);
        while let Some(mut config) = self.stack.pop() {
            self.go_to(config.at() as usize, meter)?;
            let Some(next) = self.follow(&mut config, meter)? else { continue };
            let Some(task) = next else { return Ok(Some(true)) };
            if meter.configurations() >= end {
                return Ok(None);
            }
            let stack = 3 * self.stack.capacity() * size_of::<Config<W>>();
            meter.count(self.visited.bytes_next() + stack + self.walk.bytes())?;
            let is_new = self.visited.insert(&config, &self.walk.known_updates());
            meter.step(self.visited.take_compared())?;
            if is_new {
                meter.step(self.walk.steps())?;
                self.walk.expand(&config, task, &mut self.stack);
            }
        }
        Ok(Some(false))
    }

    /// Advances while the next operation to return is done. Returns the first operation that is
    /// not, `Some(None)` at the end, or `None` if the configuration is a dead end.
    fn follow(
        &mut self,
        config: &mut Config<W>,
        meter: &Meter<'_>,
    ) -> Result<Option<Option<u32>>, Resource> {
        loop {
            meter.step(self.walk.steps())?;
            let Some(event) = self.events.get(self.cursor).copied() else { return Ok(Some(None)) };
            let (Event::Opens(number) | Event::Returns(number) | Event::Retires(number)) = event;
            let task = self.walk.tasks[number as usize];
            match event {
                Event::Opens(_) => self.forward(event),
                Event::Retires(_) => {
                    self.forward(event);
                    config.free(task.slot);
                }
                Event::Returns(_) => {
                    self.furthest = self.furthest.max(self.cursor);
                    let unobserved = config.is_unobserved();
                    config.place =
                        u32::try_from(self.cursor).expect("two events per operation fit u32");
                    config.set_unobserved(unobserved);
                    self.walk.apply_reads(config);
                    if !config.done.has(task.slot) {
                        return Ok(Some(Some(number)));
                    }
                    self.stack.extend(self.walk.unhidden(config, number));
                    self.forward(event);
                    match self.walk.after_return(config, number, task.ends) {
                        Some(after) => *config = after,
                        None => return Ok(None),
                    }
                }
            }
        }
    }

    fn forward(&mut self, event: Event) {
        self.cursor += 1;
        match event {
            Event::Opens(number) => self.walk.open(number),
            Event::Returns(number) | Event::Retires(number) => self.walk.close(number),
        }
    }

    /// Moves to the event at `place`.
    fn go_to(&mut self, place: usize, meter: &Meter<'_>) -> Result<(), Resource> {
        while self.cursor > place {
            meter.step(self.walk.steps())?;
            self.cursor -= 1;
            match self.events[self.cursor] {
                Event::Opens(number) => self.walk.close(number),
                Event::Returns(number) | Event::Retires(number) => self.walk.open(number),
            }
        }
        while self.cursor < place {
            meter.step(self.walk.steps())?;
            self.forward(self.events[self.cursor]);
        }
        Ok(())
    }
}
