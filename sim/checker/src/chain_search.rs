//! Search for an order of operations that keeps the order within each chain: exponential in the
//! worst case. It needs no real-time order, and it keeps the longest order found.

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashSet};

use crate::budget::{Budget, StopCheck};
use crate::history::{EventIndex, History, OpId};
use crate::model::{Effect, Model};
use crate::search::hashed;
use crate::verdict::Resource;

/// One operation that the search must order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChainOp {
    /// The number of the operation in the history.
    pub(crate) id: OpId,
    /// Every known operation whose `until` is before this index precedes the operation.
    pub(crate) from: EventIndex,
    /// The operation precedes every operation whose `from` is after this index;
    /// [`EventIndex::NEVER`] unless it is known. It does not decrease along the known operations of
    /// a chain.
    pub(crate) until: EventIndex,
    /// Whether the result constrains the order. An operation that is not known takes effect with
    /// any result, in its place in the chain, or never.
    pub(crate) known: bool,
}

/// The end of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SearchEnd {
    /// Every known operation is ordered.
    Ordered,
    /// No order explains all known operations.
    Impossible,
    /// The budget was exhausted first.
    Exhausted(Resource),
}

/// The end of a search, and the order that contains the most known operations.
#[derive(Clone, Debug)]
pub(crate) struct SearchResult<S> {
    pub(crate) end: SearchEnd,
    /// The operations, in an order that explains what they returned.
    pub(crate) order: Vec<OpId>,
    /// The state after the order.
    pub(crate) state: S,
    /// The number of known operations that the order does not contain.
    pub(crate) left: usize,
    /// Of the known operations that could be next, the one with the smallest `until`.
    pub(crate) unexplained: Option<OpId>,
}

/// Searches for an order of the `chains`, from the first state of `model`, that explains the
/// results of all known operations.
pub(crate) fn search<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    chains: Vec<Vec<ChainOp>>,
    budget: &Budget<'_>,
) -> SearchResult<M::State> {
    let mut search = Search::new(model, history, chains, budget);
    let end = search.run();
    let Longest { left, order, state, unexplained } = search.longest;
    SearchResult { end, order, state, left, unexplained }
}

struct Search<'a, M: Model> {
    model: &'a M,
    history: &'a History<M::Op, M::Ret>,
    chains: Vec<Chain>,
    /// The next position of each chain.
    places: Vec<u32>,
    /// The ordered operations, each with the position of its chain before it.
    path: Vec<OrderedOp>,
    /// The number of known operations that are not ordered.
    left: usize,
    /// Visited configurations with several choices, as positions and the number of the state.
    seen: HashSet<Box<[u32]>, FixedState>,
    states: HashMap<M::State, u32, FixedState>,
    configurations: u64,
    /// The bytes of the numbered states and of the states of all choices that are left, as far as
    /// hashing shows or the model reports them.
    owned: usize,
    longest: Longest<M::State>,
    budget: &'a Budget<'a>,
    stop: StopCheck<'a>,
}

struct Chain {
    links: Vec<ChainOp>,
    /// For each position and the end, the next position of a known operation.
    next_known: Vec<u32>,
    /// For each position, whether its operation is known and read-only.
    read_only: Vec<bool>,
}

#[derive(Clone, Copy)]
struct OrderedOp {
    chain: u32,
    before: u32,
    link: ChainOp,
}

struct Choice<S> {
    chain: u32,
    place: u32,
    after: S,
}

/// A configuration whose choices the search is trying.
struct Frame<S> {
    choices: std::vec::IntoIter<Choice<S>>,
    depth: usize,
    /// The bytes of all its choices.
    bytes: usize,
}

struct Longest<S> {
    left: usize,
    order: Vec<OpId>,
    state: S,
    unexplained: Option<OpId>,
}

impl<'a, M: Model> Search<'a, M> {
    fn new(
        model: &'a M,
        history: &'a History<M::Op, M::Ret>,
        chains: Vec<Vec<ChainOp>>,
        budget: &'a Budget<'a>,
    ) -> Self {
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
            owned: 0,
            budget,
            stop: StopCheck::at_once(budget),
            longest: Longest {
                left: usize::MAX,
                order: Vec::new(),
                state: model.init(),
                unexplained: None,
            },
        }
    }

    fn run(&mut self) -> SearchEnd {
        let mut state = self.model.init();
        let mut frames: Vec<Frame<M::State>> = Vec::new();
        loop {
            self.order_reads(&state);
            if self.left == 0 {
                self.keep_if_longest(&state);
                return SearchEnd::Ordered;
            }
            if let Some(resource) = self.exhausted_resource() {
                self.keep_if_longest(&state);
                return SearchEnd::Exhausted(resource);
            }
            let choices = self.choices(&state);
            if choices.is_empty() {
                self.keep_if_longest(&state);
            } else if choices.len() == 1 || self.is_new(&state) {
                let bytes = choices.iter().map(|choice| self.bytes(&choice.after)).sum();
                self.owned = self.owned.saturating_add(bytes);
                let choices = choices.into_iter();
                frames.push(Frame { choices, depth: self.path.len(), bytes });
            }
            state = loop {
                let Some(frame) = frames.last_mut() else { return SearchEnd::Impossible };
                self.undo(frame.depth);
                match frame.choices.next() {
                    Some(choice) => {
                        self.take(choice.chain, choice.place);
                        break choice.after;
                    }
                    None => {
                        self.owned -= frame.bytes;
                        frames.pop();
                    }
                }
            };
        }
    }

    /// Orders every read-only operation that is legal now. No other choice is needed, because every
    /// order that continues from here remains legal when the operation is moved here.
    fn order_reads(&mut self, state: &M::State) {
        let mut more = true;
        while more {
            more = false;
            if self.stop.is_stopped_after(self.chains.len()) {
                return;
            }
            let deadline = self.deadline();
            for chain in 0..self.chains.len() {
                while self.can_order_read(chain, deadline, state) {
                    self.take(index(chain), self.places[chain]);
                    more = true;
                }
            }
        }
    }

    /// Returns true if the next operation of `chain` is read-only and legal in `state`.
    fn can_order_read(&self, chain: usize, deadline: EventIndex, state: &M::State) -> bool {
        let (place, chain) = (self.places[chain] as usize, &self.chains[chain]);
        let Some(link) = chain.links.get(place) else { return false };
        chain.read_only[place] && link.from <= deadline && self.after(state, link).is_some()
    }

    /// Returns the smallest `until` among known operations that are not ordered. An operation with
    /// a later `from` cannot be next.
    fn deadline(&self) -> EventIndex {
        let first = |(chain, place): (&Chain, &u32)| {
            let known = chain.next_known[*place as usize];
            chain.links.get(known as usize).map_or(EventIndex::NEVER, |link| link.until)
        };
        self.chains.iter().zip(&self.places).map(first).min().unwrap_or(EventIndex::NEVER)
    }

    fn after(&self, state: &M::State, link: &ChainOp) -> Option<M::State> {
        let operation = self.history.operation(link.id);
        let ret = if link.known { operation.ret() } else { None };
        self.model.step(state, &operation.op, ret)
    }

    /// Returns all operations that may be next, known operations with the smallest `until` first.
    fn choices(&self, state: &M::State) -> Vec<Choice<M::State>> {
        let deadline = self.deadline();
        let mut choices = Vec::new();
        for (number, (chain, place)) in self.chains.iter().zip(&self.places).enumerate() {
            // Operations that are not known may also be skipped.
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

    fn urgency(&self, link: &ChainOp) -> (bool, EventIndex, EventIndex, OpId) {
        (!link.known, link.until, self.history.operation(link.id).returned(), link.id)
    }

    fn take(&mut self, chain: u32, place: u32) {
        let link = self.chains[chain as usize].links[place as usize];
        let before = std::mem::replace(&mut self.places[chain as usize], place + 1);
        debug_assert!(before <= place);
        self.path.push(OrderedOp { chain, before, link });
        self.left -= usize::from(link.known);
    }

    fn undo(&mut self, depth: usize) {
        for OrderedOp { chain, before, link } in self.path.drain(depth..).rev() {
            self.places[chain as usize] = before;
            self.left += usize::from(link.known);
        }
    }

    fn is_new(&mut self, state: &M::State) -> bool {
        let next = index(self.states.len());
        let number = match self.states.get(state) {
            Some(number) => *number,
            None => {
                self.owned = self.owned.saturating_add(self.bytes(state));
                *self.states.entry(state.clone()).or_insert(next)
            }
        };
        self.seen.insert(self.places.iter().copied().chain([number]).collect())
    }

    /// Returns the bytes of a state, with those that it owns.
    fn bytes(&self, state: &M::State) -> usize {
        size_of::<M::State>() + hashed(state).1 + self.model.unhashed_bytes(state)
    }

    fn exhausted_resource(&mut self) -> Option<Resource> {
        self.configurations += 1;
        if self.configurations > self.budget.configurations_max {
            return Some(Resource::Configurations);
        }
        // A configuration is its positions, a pointer with a length, and a control byte in the
        // table; allocators round up. So is a state, with its number.
        let configuration = 4 * (self.places.len() + 1) + 32;
        let tables = self.seen.len() * configuration + self.states.len() * 24;
        if tables.saturating_add(self.owned) > self.budget.bytes_max {
            return Some(Resource::Memory);
        }
        // Each chain is tried, also for the deadline and for reads.
        let steps = 16 + 4 * self.chains.len();
        self.stop.is_stopped_after(steps).then_some(Resource::Stopped)
    }

    /// Keeps the current order if it is the longest so far.
    fn keep_if_longest(&mut self, state: &M::State) {
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
            order: self.path.iter().map(|ordered| ordered.link.id).collect(),
            state: state.clone(),
            unexplained: heads.min_by_key(|link| self.urgency(link)).map(|link| link.id),
        };
    }
}

impl Chain {
    fn new<M: Model>(model: &M, history: &History<M::Op, M::Ret>, links: Vec<ChainOp>) -> Chain {
        let mut next_known = vec![index(links.len()); links.len() + 1];
        for place in (0..links.len()).rev() {
            next_known[place] =
                if links[place].known { index(place) } else { next_known[place + 1] };
        }
        let is_read_only = |link: &ChainOp| {
            let operation = history.operation(link.id);
            link.known && model.effect(&operation.op, operation.ret()) == Effect::ReadOnly
        };
        let read_only = links.iter().map(is_read_only).collect();
        debug_assert!(links.iter().filter(|link| link.known).is_sorted_by_key(|link| link.until));
        Chain { links, next_known, read_only }
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
    use crate::brute_force;
    use crate::generate::tests::queues;
    use crate::generate::{Random, Shape};
    use crate::history::{Outcome, Subhistory};
    use crate::models::Queue;

    const SMALL: Shape = Shape { operations: 9, clients: 4, unknown: 0.1, failed: 0.0, eager: 0.3 };

    #[test]
    fn with_real_time_order_the_search_agrees_with_brute_force() {
        let mut right = 0;
        for seed in 0..3000 {
            // Nine of ten dequeues take the second item of a queue that has one.
            let second = |random: &mut Random, count| count > 1 && random.random_bool(0.9);
            let made = queues(seed, &SMALL, |random, count| second(random, count).into());
            let ids: Vec<OpId> = (0..).map(OpId).take(made.operations().len()).collect();
            let mut chains: BTreeMap<_, Vec<ChainOp>> = BTreeMap::new();
            for id in &ids {
                let one = made.operation(*id);
                let known = matches!(one.outcome, Outcome::Returned { .. });
                let link = ChainOp { id: *id, from: one.invoked, until: one.returned(), known };
                chains.entry(one.client).or_default().push(link);
            }
            let chains = chains.into_values().collect();
            let result = search(&Queue::default(), &made, chains, &Budget::default());
            let found = result.end == SearchEnd::Ordered;
            let expected =
                brute_force::linearizable(&Queue::default(), Subhistory::new(&made, &ids));
            assert_eq!(found, expected, "seed {seed}: {made:?}");
            right += u32::from(expected);
        }
        assert!(1000 < right && right < 2950, "{right}");
    }
}
