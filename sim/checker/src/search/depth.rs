//! The search that follows one configuration as far as it leads, and then the last one left aside
//! (Wing & Gong 1993; Lowe 2017): fast where most lead to the end.

use crate::history::Moment;
use crate::search::config::{Config, Seen};
use crate::search::meter::Meter;
use crate::search::plan::Event;
use crate::search::walk::{Space, Walk};
use crate::verdict::Resource;

/// A search, and where in the events it is.
pub(super) struct Depth<'a, S, const W: usize> {
    walk: Walk<S, W>,
    events: &'a [Event],
    /// The next event.
    cursor: usize,
    /// The last event that it was at.
    furthest: usize,
    seen: Seen<W>,
    stack: Vec<Config<W>>,
}

impl<'a, S: Space<W>, const W: usize> Depth<'a, S, W> {
    pub(super) fn new(walk: Walk<S, W>, events: &'a [Event]) -> Depth<'a, S, W> {
        let stack = vec![Config::new(walk.space.init())];
        Depth { walk, events, cursor: 0, furthest: 0, seen: Seen::new(), stack }
    }

    /// The last return that was reached, and not passed by any.
    pub(super) fn furthest(&self) -> Moment {
        match self.events.get(self.furthest) {
            Some(Event::Returns(number)) => self.walk.tasks[*number as usize].ends,
            _ => Moment::NEVER,
        }
    }

    /// How many operations have returned before it.
    pub(super) fn returned(&self) -> usize {
        let before = self.events.iter().take(self.furthest);
        before.filter(|event| matches!(event, Event::Returns(_))).count()
    }

    /// The walk, as if nothing had happened.
    pub(super) fn rewind(mut self) -> Walk<S, W> {
        self.go_to(0);
        self.walk
    }

    /// Whether a way to the end was found while no more than about `configurations_max` were
    /// looked at; nothing if that was not enough to tell.
    ///
    /// # Errors
    /// What was used up.
    pub(super) fn run(
        &mut self,
        configurations_max: u64,
        meter: &mut Meter<'_>,
    ) -> Result<Option<bool>, Resource> {
        let end = meter.configurations().saturating_add(configurations_max);
        while let Some(mut config) = self.stack.pop() {
            self.go_to(config.at() as usize);
            let Some(next) = self.follow(&mut config) else { continue };
            let Some(task) = next else { return Ok(Some(true)) };
            if meter.configurations() >= end {
                return Ok(None);
            }
            let stack = 3 * self.stack.capacity() * size_of::<Config<W>>();
            meter.look(self.seen.bytes_next() + stack + self.walk.bytes())?;
            if self.seen.insert(&config, &self.walk.exact()) {
                self.walk.expand(&config, task, &mut self.stack);
            }
        }
        Ok(Some(false))
    }

    /// Goes forward as long as the next to return is done. Returns who is not, or that there is
    /// none; nothing if the configuration leads nowhere.
    fn follow(&mut self, config: &mut Config<W>) -> Option<Option<u32>> {
        loop {
            let Some(event) = self.events.get(self.cursor).copied() else { return Some(None) };
            let (Event::Opens(number) | Event::Returns(number) | Event::Retires(number)) = event;
            let task = self.walk.tasks[number as usize];
            match event {
                Event::Opens(_) => self.forward(event),
                Event::Retires(_) => {
                    self.forward(event);
                    config.done.clear(task.slot);
                    config.used.clear(task.slot);
                }
                Event::Returns(_) => {
                    self.furthest = self.furthest.max(self.cursor);
                    let bare = config.is_bare();
                    config.place = u32::try_from(self.cursor).expect("two for each operation");
                    config.set_bare(bare);
                    self.walk.settle(config);
                    if !config.done.has(task.slot) {
                        return Some(Some(number));
                    }
                    self.stack.extend(self.walk.unhidden(config, number));
                    self.forward(event);
                    *config = self.walk.pass(config, number, task.ends)?;
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

    /// Makes the event at `place` the next one.
    fn go_to(&mut self, place: usize) {
        while self.cursor > place {
            self.cursor -= 1;
            match self.events[self.cursor] {
                Event::Opens(number) => self.walk.close(number),
                Event::Returns(number) | Event::Retires(number) => self.walk.open(number),
            }
        }
        while self.cursor < place {
            self.forward(self.events[self.cursor]);
        }
    }
}
