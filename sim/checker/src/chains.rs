//! Search for an order of operations that keeps every chain of them in its order: slow in the worst
//! case, but it asks for no real time, and it remembers how far it came.

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use crate::budget::Budget;
use crate::history::{History, Moment, OpId};
use crate::model::{Effect, Model};
use crate::verdict::Resource;

/// One operation that is to be ordered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// Which.
    pub(crate) id: OpId,
    /// Everything known that ends before this comes before it.
    pub(crate) from: Moment,
    /// It comes before everything that begins after this; [`Moment::NEVER`] unless it is known.
    /// Along a chain, those of known operations do not fall.
    pub(crate) until: Moment,
    /// Whether its result counts. If not, it takes effect with any result, in its place, or never.
    pub(crate) known: bool,
}

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Every known operation is ordered.
    Ordered,
    /// There is no such order.
    Impossible,
    /// Neither was found.
    Exhausted(Resource),
}

/// How a search ended, and the longest order it found: the one with most known operations.
#[derive(Clone, Debug)]
pub(crate) struct Tried<S> {
    pub(crate) end: End,
    /// The operations, in an order that explains what they returned.
    pub(crate) order: Vec<OpId>,
    /// The state after them.
    pub(crate) state: S,
    /// How many known operations are not among them.
    pub(crate) left: usize,
    /// Of the known operations that could be next, the one that ends first.
    pub(crate) misfit: Option<OpId>,
}

/// Configurations between two looks at whether to stop.
const PATIENCE: u64 = 4096;

/// Looks for an order of the `chains`, from the first state of `model`, that explains the results
/// of all known operations. Memory is estimated: states count as large as they are without what
/// they point to.
pub(crate) fn search<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    chains: Vec<Vec<Link>>,
    budget: &Budget<'_>,
) -> Tried<M::State> {
    let mut search = Search::new(model, history, chains);
    let end = search.run(budget);
    let Longest { left, order, state, misfit } = search.longest;
    Tried { end, order, state, left, misfit }
}

struct Search<'a, M: Model> {
    model: &'a M,
    history: &'a History<M::Op, M::Ret>,
    chains: Vec<Chain>,
    /// What comes next of each chain.
    places: Vec<u32>,
    /// What is ordered, and where its chain stood before.
    path: Vec<Taken>,
    /// Known operations that are not ordered.
    left: usize,
    /// Configurations, as places and the number of the state, from which more than one way led on.
    seen: HashSet<Box<[u32]>, FixedState>,
    states: HashMap<M::State, u32, FixedState>,
    configurations: u64,
    longest: Longest<M::State>,
}

struct Chain {
    links: Vec<Link>,
    /// For each place and the end, the next place of a known operation.
    next_known: Vec<u32>,
    /// Which of the known ones cannot change the state.
    observes: Vec<bool>,
}

#[derive(Clone, Copy)]
struct Taken {
    chain: u32,
    before: u32,
    link: Link,
}

struct Choice<S> {
    chain: u32,
    place: u32,
    after: S,
}

/// A configuration whose choices are being tried.
struct Frame<S> {
    choices: std::vec::IntoIter<Choice<S>>,
    depth: usize,
}

struct Longest<S> {
    left: usize,
    order: Vec<OpId>,
    state: S,
    misfit: Option<OpId>,
}

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M, history: &'a History<M::Op, M::Ret>, chains: Vec<Vec<Link>>) -> Self {
        let left = chains.iter().flatten().filter(|link| link.known).count();
        let places = vec![0; chains.len()];
        let chains = chains.into_iter().map(|links| Chain::new(model, history, links)).collect();
        Search {
            model,
            history,
            chains,
            places,
            path: Vec::new(),
            left,
            seen: HashSet::with_hasher(FixedState::default()),
            states: HashMap::with_hasher(FixedState::default()),
            configurations: 0,
            longest: Longest {
                left: usize::MAX,
                order: Vec::new(),
                state: model.init(),
                misfit: None,
            },
        }
    }

    fn run(&mut self, budget: &Budget<'_>) -> End {
        let mut state = self.model.init();
        let mut frames: Vec<Frame<M::State>> = Vec::new();
        loop {
            self.observe(&state);
            if self.left == 0 {
                self.remember(&state);
                return End::Ordered;
            }
            if let Some(resource) = self.used_up(budget) {
                self.remember(&state);
                return End::Exhausted(resource);
            }
            let choices = self.choices(&state);
            if choices.is_empty() {
                self.remember(&state);
            } else if choices.len() == 1 || self.is_new(&state) {
                frames.push(Frame { choices: choices.into_iter(), depth: self.path.len() });
            }
            state = loop {
                let Some(frame) = frames.last_mut() else { return End::Impossible };
                self.undo(frame.depth);
                match frame.choices.next() {
                    Some(choice) => {
                        self.take(choice.chain, choice.place);
                        break choice.after;
                    }
                    None => drop(frames.pop()),
                }
            };
        }
    }

    /// Orders every observation that is legal now. No other way need be tried: whatever order there
    /// is, it stays one when the observation is moved here.
    fn observe(&mut self, state: &M::State) {
        let mut more = true;
        while more {
            more = false;
            let deadline = self.deadline();
            for chain in 0..self.chains.len() {
                while self.observes(chain, deadline, state) {
                    self.take(index(chain), self.places[chain]);
                    more = true;
                }
            }
        }
    }

    /// Whether what is next of `chain` is an observation, and legal in `state`.
    fn observes(&self, chain: usize, deadline: Moment, state: &M::State) -> bool {
        let (place, chain) = (self.places[chain] as usize, &self.chains[chain]);
        let Some(link) = chain.links.get(place) else { return false };
        chain.observes[place] && link.from <= deadline && self.after(state, link).is_some()
    }

    /// The first end among known operations that are not ordered: nothing that begins later can be
    /// next.
    fn deadline(&self) -> Moment {
        let first = |(chain, place): (&Chain, &u32)| {
            let known = chain.next_known[*place as usize];
            chain.links.get(known as usize).map_or(Moment::NEVER, |link| link.until)
        };
        self.chains.iter().zip(&self.places).map(first).min().unwrap_or(Moment::NEVER)
    }

    fn after(&self, state: &M::State, link: &Link) -> Option<M::State> {
        let operation = self.history.operation(link.id);
        let ret = if link.known { operation.ret() } else { None };
        self.model.step(state, &operation.op, ret)
    }

    /// Everything that may be next, known operations that end first before others.
    fn choices(&self, state: &M::State) -> Vec<Choice<M::State>> {
        let deadline = self.deadline();
        let mut choices = Vec::new();
        for (number, (chain, place)) in self.chains.iter().zip(&self.places).enumerate() {
            // Whatever is not known may also be passed over.
            let last = chain.next_known[*place as usize];
            for place in *place..=last {
                let Some(link) = chain.links.get(place as usize) else { break };
                if link.from > deadline {
                    break;
                }
                if let Some(after) = self.after(state, link) {
                    let choice = Choice { chain: index(number), place, after };
                    choices.push((self.urgency(link), choice));
                }
            }
        }
        choices.sort_by_key(|(urgency, _)| *urgency);
        choices.into_iter().map(|(_, choice)| choice).collect()
    }

    fn urgency(&self, link: &Link) -> (bool, Moment, Moment, OpId) {
        (!link.known, link.until, self.history.operation(link.id).returned(), link.id)
    }

    fn take(&mut self, chain: u32, place: u32) {
        let link = self.chains[chain as usize].links[place as usize];
        let before = std::mem::replace(&mut self.places[chain as usize], place + 1);
        debug_assert!(before <= place);
        self.path.push(Taken { chain, before, link });
        self.left -= usize::from(link.known);
    }

    fn undo(&mut self, depth: usize) {
        for Taken { chain, before, link } in self.path.drain(depth..).rev() {
            self.places[chain as usize] = before;
            self.left += usize::from(link.known);
        }
    }

    fn is_new(&mut self, state: &M::State) -> bool {
        let next = index(self.states.len());
        let number = match self.states.get(state) {
            Some(number) => *number,
            None => *self.states.entry(state.clone()).or_insert(next),
        };
        self.seen.insert(self.places.iter().copied().chain([number]).collect())
    }

    fn used_up(&mut self, budget: &Budget<'_>) -> Option<Resource> {
        self.configurations += 1;
        if self.configurations > budget.configurations_max {
            return Some(Resource::Configurations);
        }
        // A configuration is its places, a pointer with a length, and a control byte in the table;
        // allocators round up.
        let configuration = 4 * (self.places.len() + 1) + 32;
        let state = size_of::<M::State>() + 24;
        if self.seen.len() * configuration + self.states.len() * state > budget.bytes_max {
            return Some(Resource::Memory);
        }
        let asks = self.configurations.is_multiple_of(PATIENCE);
        (asks && budget.stop.is_some_and(|stop| stop())).then_some(Resource::Stopped)
    }

    /// Keeps the present order if it is the longest so far.
    fn remember(&mut self, state: &M::State) {
        if self.left >= self.longest.left {
            return;
        }
        let next = |(chain, place): (&Chain, &u32)| {
            let known = chain.next_known[*place as usize];
            chain.links.get(known as usize).copied()
        };
        let heads = self.chains.iter().zip(&self.places).filter_map(next);
        self.longest = Longest {
            left: self.left,
            order: self.path.iter().map(|taken| taken.link.id).collect(),
            state: state.clone(),
            misfit: heads.min_by_key(|link| self.urgency(link)).map(|link| link.id),
        };
    }
}

impl Chain {
    fn new<M: Model>(model: &M, history: &History<M::Op, M::Ret>, links: Vec<Link>) -> Chain {
        let mut next_known = vec![index(links.len()); links.len() + 1];
        for place in (0..links.len()).rev() {
            next_known[place] =
                if links[place].known { index(place) } else { next_known[place + 1] };
        }
        let observe = |link: &Link| {
            let operation = history.operation(link.id);
            link.known && model.effect(&operation.op, operation.ret()) == Effect::Observe
        };
        let observes = links.iter().map(observe).collect();
        debug_assert!(links.iter().filter(|link| link.known).is_sorted_by_key(|link| link.until));
        Chain { links, next_known, observes }
    }
}

fn index(place: usize) -> u32 {
    u32::try_from(place).expect("a history has at most four billion operations")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::RngExt;

    use super::*;
    use crate::brute;
    use crate::generate::tests::queues;
    use crate::generate::{Random, Shape};
    use crate::history::{Outcome, Part};
    use crate::models::Queue;

    const SMALL: Shape = Shape { operations: 9, clients: 4, unknown: 0.1, failed: 0.0, eager: 0.3 };

    #[test]
    fn in_real_time_it_finds_what_brute_force_finds() {
        let mut right = 0;
        for seed in 0..3000 {
            let second = |errors: &mut Random, count| count > 1 && errors.random_bool(0.9);
            let made = queues(seed, &SMALL, |errors, count| second(errors, count).into());
            let ids: Vec<OpId> = (0..).map(OpId).take(made.operations().len()).collect();
            let mut chains: BTreeMap<_, Vec<Link>> = BTreeMap::new();
            for id in &ids {
                let one = made.operation(*id);
                let known = matches!(one.outcome, Outcome::Returned { .. });
                let link = Link { id: *id, from: one.invoked, until: one.returned(), known };
                chains.entry(one.client).or_default().push(link);
            }
            let chains = chains.into_values().collect();
            let tried = search(&Queue::default(), &made, chains, &Budget::default());
            let found = tried.end == End::Ordered;
            let there = brute::linearizable(&Queue::default(), Part::new(&made, &ids));
            assert_eq!(found, there, "seed {seed}: {made:?}");
            right += u32::from(there);
        }
        assert!(1000 < right && right < 2950, "{right}");
    }
}
