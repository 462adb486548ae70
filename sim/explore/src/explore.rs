//! Explores a scope of the real `Raft`.

use crate::events::Event;
pub use crate::history::Reached;
use crate::moves::Moves;
use crate::scope::Scope;
use crate::search::{Model, NextWorld, search};
pub use crate::search::{Progress, Report, Verdict};
use crate::trace;
use crate::world::World;

/// Explores the scope, up to `distinct_max` worlds, as long as `go_on` returns true.
pub fn explore(scope: &Scope, distinct_max: u64, go_on: impl FnMut(&Progress) -> bool) -> Report {
    match Moves::new(scope.clone()) {
        Ok((mut moves, start)) => search(&mut moves, &start, distinct_max, go_on),
        Err(message) => {
            let verdict = Verdict::Violation { message, trace: "at the initial state".to_owned() };
            Report { verdict, progress: Progress::default() }
        }
    }
}

impl Model for Moves {
    type Event = Event;

    fn code(event: Event) -> u32 {
        event.code()
    }

    fn event_of(code: u32) -> Event {
        Event::of(code)
    }

    fn events(&self, world: &World, events: &mut Vec<Event>) {
        Moves::events(self, world, events);
    }

    fn next(&mut self, world: &World, event: Event, next: &mut World) -> Result<NextWorld, String> {
        Moves::next(self, world, event, next)
    }

    fn trace(&mut self, start: &World, path: &[Event]) -> String {
        trace::of(self, start, path)
    }

    fn sizes(&self) -> (usize, usize) {
        Moves::sizes(self)
    }

    fn reached(&self) -> Reached {
        self.checks.reached()
    }
}
