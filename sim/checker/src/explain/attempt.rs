//! How far the operations of a bad history can be ordered, and what then fits nowhere.

use std::collections::{BTreeMap, BTreeSet};

use crate::budget::Budget;
use crate::chains::{End, Link, Tried, search};
use crate::explain::object::{last_return, operations};
use crate::history::{Client, History, Moment, OpId};
use crate::model::{Effect, Model};
use crate::verdict::Evidence;

/// The longest order that was found, and what does not follow on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt<S> {
    /// Operations, in an order that explains what they returned.
    pub order: Vec<OpId>,
    /// The state after them.
    pub state: S,
    /// One of the evidence that can return what it returned neither there nor later.
    pub misfit: OpId,
    /// What it is the longest of.
    pub reach: Reach,
}

/// Of which orders one is the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Of all orders of the evidence, whatever became of other operations.
    All,
    /// Of the orders of the evidence alone, in which no other operation takes effect.
    Alone,
    /// Of those that were found. No order is complete, but one may be longer.
    Found,
}

/// What a search for the longest order may use: more would be no clearer.
const BUDGET: Budget<'static> =
    Budget { bytes_max: 1 << 24, configurations_max: 4_000, threads: 1, stop: None };

/// Configurations of other searches, beside one for each operation.
const DETOURS_MAX: u64 = 500;

/// Operations beside the evidence that may take effect or not, in a search that tries all of it.
const OTHERS_MAX: usize = 8;

/// How far the operations can be ordered; nothing if `evidence` is none. Where few others can
/// matter, they may take effect or not. Where many can, the evidence is ordered alone, and where
/// none of it explains itself, with all operations as they were, up to the last return of the
/// evidence.
pub fn attempt<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    evidence: &Evidence,
) -> Option<Attempt<M::State>> {
    let last = last_return(history, &evidence.operations);
    let mut object = operations(model, history, evidence);
    object.retain(|id| history.operation(*id).invoked < last);
    let proof: BTreeSet<OpId> = evidence.operations.iter().copied().collect();
    let is_evidence = |id: &OpId| proof.contains(id);
    let changes = |id: &OpId| model.effect(&history.operation(*id).op, None) != Effect::Observe;
    let others = object.iter().copied().filter(|id| !is_evidence(id) && changes(id));
    let others: Vec<OpId> = others.take(OTHERS_MAX + 1).collect();
    let tried = |known: &[OpId], others: &[OpId], configurations_max: u64| {
        let budget = Budget { configurations_max, ..BUDGET };
        let chains = in_real_time(history, known, others, last);
        search(model, history, chains, &budget)
    };
    let detours = |known: &[OpId]| DETOURS_MAX.saturating_add(known.len() as u64);
    if others.len() <= OTHERS_MAX {
        let tried = tried(&evidence.operations, &others, BUDGET.configurations_max);
        if tried.end == End::Impossible {
            return found(needed(model, history, tried, is_evidence), Reach::All, is_evidence);
        }
    }
    let alone = tried(&evidence.operations, &[], detours(&evidence.operations));
    let reach = if alone.end == End::Impossible { Reach::Alone } else { Reach::Found };
    if alone.order.is_empty() && evidence.operations.len() > 1 {
        let as_it_was = tried(&object, &[], detours(&object));
        let as_it_was = found(as_it_was, Reach::Found, is_evidence);
        return as_it_was.or_else(|| found(alone, reach, is_evidence));
    }
    found(alone, reach, is_evidence)
}

/// The same order without those beside the evidence that it can do without. It is as long as
/// before, so that nothing follows on it either.
fn needed<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    mut tried: Tried<M::State>,
    is_evidence: impl Fn(&OpId) -> bool,
) -> Tried<M::State> {
    let replayed = |order: &[OpId]| {
        order.iter().try_fold(model.init(), |state, id| {
            let operation = history.operation(*id);
            let ret = operation.ret().filter(|_| is_evidence(id));
            model.step(&state, &operation.op, ret)
        })
    };
    for place in (0..tried.order.len()).rev() {
        if is_evidence(&tried.order[place]) {
            continue;
        }
        let mut less = tried.order.clone();
        less.remove(place);
        if let Some(state) = replayed(&less) {
            (tried.order, tried.state) = (less, state);
        }
    }
    tried
}

fn found<S>(
    tried: Tried<S>,
    reach: Reach,
    is_evidence: impl Fn(&OpId) -> bool,
) -> Option<Attempt<S>> {
    let misfit = tried.misfit.filter(is_evidence)?;
    Some(Attempt { order: tried.order, state: tried.state, misfit, reach })
}

/// Each client's `known` operations, and each of the `others` by itself; what returns after `last`
/// is not known to.
fn in_real_time<O, R>(
    history: &History<O, R>,
    known: &[OpId],
    others: &[OpId],
    last: Moment,
) -> Vec<Vec<Link>> {
    let link = |id: OpId, known: bool| {
        let operation = history.operation(id);
        let known = known && operation.returned() <= last;
        let until = if known { operation.returned() } else { Moment::NEVER };
        Link { id, from: operation.invoked, until, known }
    };
    let mut clients: BTreeMap<Client, Vec<Link>> = BTreeMap::new();
    for id in known {
        clients.entry(history.operation(*id).client).or_default().push(link(*id, true));
    }
    let others = others.iter().map(|id| vec![link(*id, false)]);
    clients.into_values().chain(others).collect()
}

impl<S> Attempt<S> {
    /// What fits nowhere, in one sentence; operations are called what `named` makes of their
    /// numbers.
    pub(crate) fn sentence<M: Model<State = S>>(
        &self,
        model: &M,
        history: &History<M::Op, M::Ret>,
        named: impl Fn(OpId) -> OpId,
    ) -> String {
        let operation = history.operation(self.misfit);
        let number = |id: &OpId| named(*id).0.to_string();
        let numbers: Vec<String> = self.order.iter().map(number).collect();
        let after = match &numbers[..] {
            [] => "at first".to_owned(),
            [one] => format!("after {one}"),
            [most @ .., last] if numbers.len() <= 8 => {
                format!("after {} and {last}", most.join(", "))
            }
            [.., last] => format!("after {} operations, the last of them {last}", numbers.len()),
        };
        let ret = operation.ret().map(|ret| model.ret_words(&operation.op, ret));
        let returned = match ret.filter(|words| !words.is_empty()) {
            Some(words) => format!("returned {words}"),
            None => "returned".to_owned(),
        };
        let (state, misfit) = (model.state_words(&self.state), named(self.misfit).0);
        let state = if state.is_empty() { "empty".to_owned() } else { state };
        let call = model.call_words(&operation.op);
        let none = match self.reach {
            Reach::All => "no order of the operations open then explains it",
            Reach::Alone => "no order of these operations explains it",
            Reach::Found => "no order was found that explains it",
        };
        format!("{after}, the state is {state}; {misfit} ({call}) {returned}: {none}")
    }
}
