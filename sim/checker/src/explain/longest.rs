//! The longest order of the operations of a counterexample, and the operation that it cannot
//! explain.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::budget::Budget;
use crate::chain_search::{ChainOp, SearchEnd, SearchResult, search};
use crate::explain::object::{last_return, operations};
use crate::history::{Client, EventIndex, History, OpId};
use crate::model::{Effect, Model};
use crate::verdict::Counterexample;

/// The longest order that was found, and an operation that cannot follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialLinearization<S> {
    /// The operations, in an order that explains what they returned.
    pub order: Vec<OpId>,
    /// The state after the last operation of the order.
    pub state: S,
    /// An operation of the counterexample whose result no continuation of the order explains.
    pub unexplained: OpId,
    /// The orders among which this one is the longest.
    pub coverage: Coverage,
}

/// The set of orders that were searched for the longest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// All orders of the counterexample, for all outcomes of other operations.
    Exhaustive,
    /// All orders of the counterexample in which no other operation takes effect.
    CounterexampleOnly,
    /// Only the orders that were found. None is complete, but a longer one may exist.
    Partial,
}

/// The budget of a search for the longest order. A longer search would explain no better.
const BUDGET: Budget<'static> =
    Budget { bytes_max: 1 << 24, configurations_max: 4_000, threads: 1, stop: None };

/// The number of times that a search may ask whether to stop. It asks after equal amounts of work,
/// so this bounds its time without a clock.
const WORK_MAX: u32 = 4_096;

/// The number of configurations, beyond one for each operation, that a search may visit in which no
/// operation outside its list takes effect.
const DETOURS_MAX: u64 = 500;

/// The maximum number of operations outside the counterexample that a search of all orders lets
/// take effect.
const OTHERS_MAX: usize = 8;

/// Returns the longest order of the operations, or `None` if `counterexample` proves nothing. If
/// few other operations can matter, they may take effect or not. If many can, the counterexample is
/// ordered alone; if that orders none of it, all operations that returned by the last response of
/// the counterexample are ordered, with their results.
pub fn longest_linearization<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    counterexample: &Counterexample,
) -> Option<PartialLinearization<M::State>> {
    let last = last_return(history, &counterexample.operations);
    let mut object = operations(model, history, counterexample);
    object.retain(|id| history.operation(*id).invoked < last);
    let proof: BTreeSet<OpId> = counterexample.operations.iter().copied().collect();
    let in_counterexample = |id: &OpId| proof.contains(id);
    let changes = |id: &OpId| model.effect(&history.operation(*id).op, None) != Effect::ReadOnly;
    let others = object.iter().copied().filter(|id| !in_counterexample(id) && changes(id));
    let others: Vec<OpId> = others.take(OTHERS_MAX + 1).collect();
    let result = |known: &[OpId], others: &[OpId], configurations_max: u64| {
        let asked = AtomicU32::new(0);
        let stop = || asked.fetch_add(1, Ordering::Relaxed) >= WORK_MAX;
        let budget = Budget { configurations_max, stop: Some(&stop), ..BUDGET };
        let chains = in_real_time(history, known, others, last);
        search(model, history, chains, &budget)
    };
    let detours = |known: &[OpId]| DETOURS_MAX.saturating_add(known.len() as u64);
    if others.len() <= OTHERS_MAX {
        let result = result(&counterexample.operations, &others, BUDGET.configurations_max);
        if result.end == SearchEnd::Impossible {
            return found(
                needed(model, history, result, in_counterexample),
                Coverage::Exhaustive,
                in_counterexample,
            );
        }
    }
    let alone = result(&counterexample.operations, &[], detours(&counterexample.operations));
    let coverage = if alone.end == SearchEnd::Impossible {
        Coverage::CounterexampleOnly
    } else {
        Coverage::Partial
    };
    if alone.order.is_empty() && counterexample.operations.len() > 1 {
        let as_it_was = result(&object, &[], detours(&object));
        let as_it_was = found(as_it_was, Coverage::Partial, in_counterexample);
        return as_it_was.or_else(|| found(alone, coverage, in_counterexample));
    }
    found(alone, coverage, in_counterexample)
}

/// Removes the operations outside the counterexample that the order does not need. The order keeps
/// all its operations of the counterexample, so it is still a longest one.
fn needed<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    mut result: SearchResult<M::State>,
    in_counterexample: impl Fn(&OpId) -> bool,
) -> SearchResult<M::State> {
    let replayed = |order: &[OpId]| {
        order.iter().try_fold(model.init(), |state, id| {
            let operation = history.operation(*id);
            let ret = operation.ret().filter(|_| in_counterexample(id));
            model.step(&state, &operation.op, ret)
        })
    };
    for place in (0..result.order.len()).rev() {
        if in_counterexample(&result.order[place]) {
            continue;
        }
        let mut less = result.order.clone();
        less.remove(place);
        if let Some(state) = replayed(&less) {
            (result.order, result.state) = (less, state);
        }
    }
    result
}

fn found<S>(
    result: SearchResult<S>,
    coverage: Coverage,
    in_counterexample: impl Fn(&OpId) -> bool,
) -> Option<PartialLinearization<S>> {
    let unexplained = result.unexplained.filter(in_counterexample)?;
    Some(PartialLinearization { order: result.order, state: result.state, unexplained, coverage })
}

/// Returns the chains of the `known` operations of each client, and one chain for each of `others`.
/// Operations that return after `last` count as not known.
fn in_real_time<O, R>(
    history: &History<O, R>,
    known: &[OpId],
    others: &[OpId],
    last: EventIndex,
) -> Vec<Vec<ChainOp>> {
    let link = |id: OpId, known: bool| {
        let operation = history.operation(id);
        let known = known && operation.returned() <= last;
        let until = if known { operation.returned() } else { EventIndex::NEVER };
        ChainOp { id, from: operation.invoked, until, known }
    };
    let mut clients: BTreeMap<Client, Vec<ChainOp>> = BTreeMap::new();
    for id in known {
        clients.entry(history.operation(*id).client).or_default().push(link(*id, true));
    }
    let others = others.iter().map(|id| vec![link(*id, false)]);
    clients.into_values().chain(others).collect()
}

impl<S> PartialLinearization<S> {
    /// Describes the unexplained operation in one sentence. `named` maps each operation to the
    /// number that the sentence uses.
    pub(crate) fn sentence<M: Model<State = S>>(
        &self,
        model: &M,
        history: &History<M::Op, M::Ret>,
        named: impl Fn(OpId) -> OpId,
    ) -> String {
        let operation = history.operation(self.unexplained);
        let number = |id: &OpId| named(*id).0.to_string();
        let numbers: Vec<String> = self.order.iter().map(number).collect();
        let after = match &numbers[..] {
            [] => "before any operation".to_owned(),
            [one] => format!("after operation {one}"),
            [most @ .., last] if numbers.len() <= 8 => {
                format!("after operations {} and {last}", most.join(", "))
            }
            [.., last] => format!("after {} operations, the last of them {last}", numbers.len()),
        };
        let ret = operation.ret().map(|ret| model.describe_ret(&operation.op, ret));
        let returned = match ret.filter(|ret| !ret.is_empty()) {
            Some(ret) => format!("returned {ret}"),
            None => "returned".to_owned(),
        };
        let (state, unexplained) = (model.describe_state(&self.state), named(self.unexplained).0);
        let state = if state.is_empty() { "empty".to_owned() } else { state };
        let call = model.describe_op(&operation.op);
        let none = match self.coverage {
            Coverage::Exhaustive => "no order of the pending operations explains it",
            Coverage::CounterexampleOnly => "no order of these operations explains it",
            Coverage::Partial => "no order that explains it was found",
        };
        format!(
            "{after} the state is {state}, but operation {unexplained} ({call}) {returned}: {none}"
        )
    }
}
