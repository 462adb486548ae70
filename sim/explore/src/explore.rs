//! Breadth first through every world within the bounds: the first that must not be is one of the
//! nearest.

use hashbrown::HashTable;

use crate::events::Event;
pub use crate::history::Reached;
use crate::moves::{Moves, Next};
use crate::scope::Scope;
use crate::trace;
use crate::world::{Queue, World};

/// How an exploration ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every world within the bounds was seen.
    Exhausted,
    /// A limit was reached. Every world that is fewer events away than the depth was seen.
    Cut,
    /// A world that must not be was reached.
    Found {
        /// What must not be.
        what: String,
        /// A shortest way there, one line for each thing that happens.
        trace: String,
    },
}

/// What an exploration came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How it ended.
    pub verdict: Verdict,
    /// How far it came.
    pub progress: Progress,
}

/// How far an exploration is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// How many events were tried.
    pub events: u64,
    /// How many worlds were told apart.
    pub distinct: u64,
    /// How many events away the world is whose turn it is.
    pub depth: u32,
    /// How many worlds wait for their turn.
    pub waiting: u64,
    /// How many states of single nodes were told apart.
    pub nodes: usize,
    /// How many messages were told apart.
    pub messages: usize,
    /// The most that was reached on one path.
    pub reached: Reached,
}

/// How many worlds have their turn between two looks at the limits.
const LOOK_EVERY: u64 = 1 << 14;

/// Explores the scope, at most `distinct_max` worlds of it, as long as `go_on` agrees.
pub fn explore(
    scope: &Scope,
    distinct_max: u64,
    mut go_on: impl FnMut(&Progress) -> bool,
) -> Report {
    let (mut moves, start) = match Moves::new(scope.clone()) {
        Ok(begun) => begun,
        Err(what) => {
            let verdict = Verdict::Found { what, trace: "at the start".to_owned() };
            return Report { verdict, progress: Progress::default() };
        }
    };
    let mut search = Search::new(&start);
    let (mut world, mut next, mut events) = (World::default(), World::default(), Vec::new());
    let mut turn: u64 = 0;
    while search.queue.pop(&mut world) {
        if turn.is_multiple_of(LOOK_EVERY) {
            let progress = search.progress(&moves, turn);
            if progress.distinct > distinct_max || !go_on(&progress) {
                return Report { verdict: Verdict::Cut, progress };
            }
        }
        moves.events(&world, &mut events);
        for event in &events {
            search.events += 1;
            match moves.next(&world, *event, &mut next) {
                Ok(Next::Reached) => search.reach(&next, turn, *event),
                Ok(Next::Same | Next::Beyond) => {}
                Err(what) => {
                    let way = search.way(turn, *event);
                    let trace = trace::of(&mut moves, &start, &way);
                    let progress = search.progress(&moves, turn);
                    return Report { verdict: Verdict::Found { what, trace }, progress };
                }
            }
        }
        turn += 1;
        if turn == search.layer_end {
            search.layer_end = search.trail.len() as u64;
            search.depth += 1;
        }
    }
    let depth = search.depth.saturating_sub(1);
    let progress = Progress { depth, ..search.progress(&moves, turn) };
    Report { verdict: Verdict::Exhausted, progress }
}

/// What was seen, and what waits.
struct Search {
    seen: HashTable<u128>,
    /// From which world, and by which event, each world was first reached; by the worlds' order.
    trail: Vec<(u32, u32)>,
    queue: Queue,
    events: u64,
    depth: u32,
    /// How many worlds are at most as far away as the one whose turn it is.
    layer_end: u64,
}

impl Search {
    fn new(start: &World) -> Search {
        let mut search = Search {
            seen: HashTable::new(),
            trail: vec![(0, 0)],
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

    fn reach(&mut self, world: &World, turn: u64, event: Event) {
        if self.is_new(world.hash()) {
            let from = u32::try_from(turn).expect("memory ends before four billion worlds");
            self.trail.push((from, event.code()));
            self.queue.push(world);
        }
    }

    /// The events that lead to what `last` makes of a world.
    fn way(&self, world: u64, last: Event) -> Vec<Event> {
        let mut way = vec![last];
        let mut at = world as usize;
        while at != 0 {
            let (from, event) = self.trail[at];
            way.push(Event::of(event));
            at = from as usize;
        }
        way.reverse();
        way
    }

    fn progress(&self, moves: &Moves, turn: u64) -> Progress {
        let (nodes, messages) = moves.sizes();
        let reached = moves.judge.reached();
        let distinct = self.trail.len() as u64;
        let (events, depth, waiting) = (self.events, self.depth, distinct - turn.min(distinct));
        Progress { events, distinct, depth, waiting, nodes, messages, reached }
    }
}
