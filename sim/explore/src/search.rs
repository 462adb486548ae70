//! Breadth-first search over all worlds within the bounds, so that the first violation found is one
//! with a shortest path.

use hashbrown::HashTable;

use crate::history::Reached;
use crate::world::{Queue, World};

/// A system of nodes whose worlds a search explores.
pub(crate) trait Model {
    type Event: Copy;

    fn code(event: Self::Event) -> u32;

    fn event_of(code: u32) -> Self::Event;

    /// Replaces `events` with the events to try in a world.
    fn events(&self, world: &World, events: &mut Vec<Self::Event>);

    /// Puts the result of an event into `next`, or returns the violation.
    fn next(
        &mut self,
        world: &World,
        event: Self::Event,
        next: &mut World,
    ) -> Result<NextWorld, String>;

    /// Formats a path of events, the last of which may be a violation.
    fn trace(&mut self, start: &World, path: &[Self::Event]) -> String;

    /// Returns the numbers of distinct states of single nodes and of distinct messages.
    fn sizes(&self) -> (usize, usize);

    fn reached(&self) -> Reached;
}

/// The result of an event that violates nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextWorld {
    /// Another world was reached.
    Reached,
    /// The world did not change.
    Same,
    /// The next world is beyond the bounds.
    BeyondBounds,
}

/// The verdict of an exploration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every world within the bounds was explored.
    Exhausted,
    /// A limit was reached. Every world at a distance smaller than the depth was explored.
    LimitReached,
    /// A world that violates a safety property was reached.
    Violation {
        /// The violated property, and how.
        message: String,
        /// A shortest path to the world, one line for each event and action.
        trace: String,
    },
}

/// The result of an exploration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The verdict on the scope.
    pub verdict: Verdict,
    /// The progress at the end.
    pub progress: Progress,
}

/// The progress of an exploration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The number of events tried.
    pub events: u64,
    /// The number of distinct worlds.
    pub distinct: u64,
    /// The distance of the current world from the start, in events.
    pub depth: u32,
    /// The number of worlds in the queue.
    pub waiting: u64,
    /// The number of distinct states of single nodes.
    pub nodes: usize,
    /// The number of distinct messages.
    pub messages: usize,
    /// The maximum that was reached on any path.
    pub reached: Reached,
}

/// The number of worlds between two checks of the limits.
const CHECK_LIMITS_EVERY: u64 = 1 << 14;

/// Explores all worlds of a model, up to `distinct_max`, as long as `go_on` returns true.
pub(crate) fn search<M: Model>(
    model: &mut M,
    start: &World,
    distinct_max: u64,
    mut go_on: impl FnMut(&Progress) -> bool,
) -> Report {
    let mut search = Search::new(start);
    let (mut world, mut next, mut events) = (World::default(), World::default(), Vec::new());
    let mut turn: u64 = 0;
    while search.queue.pop(&mut world) {
        if turn.is_multiple_of(CHECK_LIMITS_EVERY) {
            let progress = search.progress(model, turn);
            if progress.distinct > distinct_max || !go_on(&progress) {
                return Report { verdict: Verdict::LimitReached, progress };
            }
        }
        model.events(&world, &mut events);
        for event in &events {
            search.events += 1;
            match model.next(&world, *event, &mut next) {
                Ok(NextWorld::Reached) => search.reach(&next, turn, M::code(*event)),
                Ok(NextWorld::Same | NextWorld::BeyondBounds) => {}
                Err(message) => {
                    let path = search.path(turn, M::code(*event));
                    let path: Vec<M::Event> = path.into_iter().map(M::event_of).collect();
                    let trace = model.trace(start, &path);
                    let progress = search.progress(model, turn);
                    return Report { verdict: Verdict::Violation { message, trace }, progress };
                }
            }
        }
        turn += 1;
        if turn == search.layer_end {
            search.layer_end = search.parents.len() as u64;
            search.depth += 1;
        }
    }
    let depth = search.depth.saturating_sub(1);
    let progress = Progress { depth, ..search.progress(model, turn) };
    Report { verdict: Verdict::Exhausted, progress }
}

/// The visited worlds, and the queue of worlds to visit.
struct Search {
    seen: HashTable<u128>,
    /// For each world, in the order of discovery, the world and the event that first led to it.
    parents: Vec<(u32, u32)>,
    queue: Queue,
    events: u64,
    depth: u32,
    /// The number of worlds that are at most as far from the start as the current one.
    layer_end: u64,
}

impl Search {
    fn new(start: &World) -> Search {
        let mut search = Search {
            seen: HashTable::new(),
            parents: vec![(0, 0)],
            queue: Queue::new(start.states.len()),
            events: 0,
            depth: 0,
            layer_end: 1,
        };
        search.is_new(start.hash());
        search.queue.push(start);
        search
    }

    fn is_new(&mut self, hash: u128) -> bool {
        let low = |hash: &u128| *hash as u64;
        let entry = self.seen.entry(low(&hash), |known| *known == hash, low);
        match entry {
            hashbrown::hash_table::Entry::Occupied(_) => false,
            hashbrown::hash_table::Entry::Vacant(place) => {
                place.insert(hash);
                true
            }
        }
    }

    fn reach(&mut self, world: &World, turn: u64, event: u32) {
        if self.is_new(world.hash()) {
            let from = u32::try_from(turn).expect("memory is exhausted before u32 overflows");
            self.parents.push((from, event));
            self.queue.push(world);
        }
    }

    /// Returns the events that lead to the result of the event `last` in a world.
    fn path(&self, world: u64, last: u32) -> Vec<u32> {
        let mut path = vec![last];
        let mut at = world as usize;
        while at != 0 {
            let (from, event) = self.parents[at];
            path.push(event);
            at = from as usize;
        }
        path.reverse();
        path
    }

    fn progress(&self, model: &impl Model, turn: u64) -> Progress {
        let (nodes, messages) = model.sizes();
        let reached = model.reached();
        let distinct = self.parents.len() as u64;
        let (events, depth, waiting) = (self.events, self.depth, distinct - turn.min(distinct));
        Progress { events, distinct, depth, waiting, nodes, messages, reached }
    }
}
