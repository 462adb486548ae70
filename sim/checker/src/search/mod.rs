//! Searches for a linearization: an order of the operations that explains what they returned.
//!
//! Between two responses the search keeps configurations: a state, and the pending operations that
//! have taken effect. At a response, the configurations in which the operation has not taken effect
//! let other operations take effect before it, but only as many as are needed (just-in-time
//! linearization, Lowe 2017). The search is fast because of the branches that it omits:
//!
//! * a. A read-only operation takes effect as soon as it is legal, because it never changes the
//!   state.
//! * b. When a blind write takes effect, every other pending blind write may count as having taken
//!   effect just before it, unobserved. The search decides which of them did when they return or
//!   take effect on their own. It never tries two consecutive blind writes without an operation
//!   that observes the first.
//! * c. An operation that need not take effect does so only if its effect is observed. For a
//!   register the search knows in advance which values later operations observe: it does not leave
//!   a value that an operation must still observe and that no operation writes again, and it merges
//!   all values that no operation observes.
//! * d. Of operations with the same effect, the one with the earliest deadline goes first.
//! * e. A configuration is dropped if another one dominates it: the same state with more read-only
//!   operations and hidden writes done, and fewer visible writes and operations of unknown outcome
//!   used.

mod config;
mod depth;
mod layers;
mod meter;
mod model_space;
mod plan;
mod register_space;
mod walk;

use crate::budget::Budget;
use crate::history::{EventIndex, OpId, Operation, Outcome, Subhistory};
use crate::model::Model;
use crate::search::depth::DepthFirstSearch;
use crate::search::layers::LayeredSearch;
use crate::search::meter::Meter;
pub(crate) use crate::search::model_space::hashed;
use crate::search::model_space::{ModelSpace, NumberedModel, StateTable};
use crate::search::plan::{Event, Plan};
use crate::search::register_space::{RegisterSpace, RegisterTasks};
use crate::search::walk::{Space, Walk};
use crate::verdict::{BudgetExhausted, Counterexample, Resource, Verdict};

/// The hints of a model that a search may use besides [`Model::step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedHints {
    /// All hints about operations.
    All,
    /// [`Model::effect`] and [`Model::unknown_deadlines`], but not [`Model::register_access`].
    Effects,
    /// No hints. The search is slow, but wrong hints cannot mislead it.
    None,
}

/// The order in which a search visits configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traversal {
    /// Depth-first up to a bound on configurations, then layer by layer.
    Combined,
    /// Depth-first: follows one configuration as far as it leads.
    DepthFirst,
    /// Layer by layer: advances all configurations from response to response.
    Layered,
}

/// Decides by search whether `part` is linearizable, without [`Model::decide`] and regardless of
/// keys. The counterexample consists of all operations that returned up to the first response that
/// no order explains.
pub fn search<M: Model>(
    model: &M,
    part: Subhistory<'_, M::Op, M::Ret>,
    budget: &Budget<'_>,
) -> Verdict {
    search_by(model, part, budget, TrustedHints::All, Traversal::Combined)
}

/// Runs [`search`] with the given hints and traversal.
pub fn search_by<M: Model>(
    model: &M,
    part: Subhistory<'_, M::Op, M::Ret>,
    budget: &Budget<'_>,
    trusted: TrustedHints,
    traversal: Traversal,
) -> Verdict {
    let mut meter = Meter::new(budget);
    let mut found = search_until(model, part, EventIndex::NEVER, trusted, traversal, &mut meter);
    if let SearchOutcome::NotLinearizable(first) = found {
        found = SearchOutcome::NotLinearizable(shortest(part, first, |last| {
            search_until(model, part, last, trusted, traversal, &mut meter)
        }));
    }
    match found {
        SearchOutcome::Linearizable => Verdict::Linearizable,
        SearchOutcome::NotLinearizable(last) => {
            Verdict::NotLinearizable(counterexample(model, part, last))
        }
        SearchOutcome::Exhausted(mut exhausted) => {
            exhausted.key = part.iter().next().and_then(|(_, operation)| model.key(&operation.op));
            Verdict::Unknown(exhausted)
        }
    }
}

/// The outcome of a search.
enum SearchOutcome {
    Linearizable,
    /// No order explains the responses up to this event.
    NotLinearizable(EventIndex),
    Exhausted(BudgetExhausted),
}

/// Searches `part` as it was after the event `last`.
fn search_until<M: Model>(
    model: &M,
    part: Subhistory<'_, M::Op, M::Ret>,
    last: EventIndex,
    trusted: TrustedHints,
    traversal: Traversal,
    meter: &mut Meter<'_>,
) -> SearchOutcome {
    if trusted == TrustedHints::All
        && let Some(register) = RegisterTasks::new(model, part, last)
    {
        return search_register(register, traversal, meter);
    }
    let (mut object, tasks) = StateTable::new(model, part, last, trusted != TrustedHints::None);
    search_model(&mut object, &Plan::new(tasks), traversal, meter)
}

/// Returns the first response, at `first` or later, up to which no order explains the history, or a
/// later one if the budget ends first. A search of the whole history may stop earlier, because it
/// knows the later results of pending operations and the later reads of values.
fn shortest<O, R>(
    part: Subhistory<'_, O, R>,
    first: EventIndex,
    mut search: impl FnMut(EventIndex) -> SearchOutcome,
) -> EventIndex {
    let mut returns: Vec<EventIndex> = part.iter().map(|(_, it)| it.returned()).collect();
    returns.retain(|at| (first..EventIndex::NEVER).contains(at));
    returns.sort_unstable();
    let (mut low, mut high) = (0, returns.len().saturating_sub(1));
    let mut stride = 1;
    while low < high {
        let middle = (low + stride - 1).min(low + (high - low) / 2);
        match search(returns[middle]) {
            SearchOutcome::NotLinearizable(_) => high = middle,
            SearchOutcome::Linearizable => low = middle + 1,
            SearchOutcome::Exhausted(_) => break,
        }
        stride *= 2;
    }
    returns.get(high).copied().unwrap_or(first)
}

fn search_register(
    mut register: RegisterTasks,
    traversal: Traversal,
    meter: &mut Meter<'_>,
) -> SearchOutcome {
    let plan = Plan::new(std::mem::take(&mut register.tasks));
    match plan.slots {
        0..=64 => run_register::<1>(register, &plan, traversal, meter),
        65..=128 => run_register::<2>(register, &plan, traversal, meter),
        129..=256 => run_register::<4>(register, &plan, traversal, meter),
        257..=1024 => run_register::<16>(register, &plan, traversal, meter),
        1025..=SLOTS_MAX => run_register::<128>(register, &plan, traversal, meter),
        _ => SearchOutcome::Exhausted(exhausted(Resource::PendingOperations, &plan)),
    }
}

fn run_register<const W: usize>(
    register: RegisterTasks,
    plan: &Plan,
    traversal: Traversal,
    meter: &mut Meter<'_>,
) -> SearchOutcome {
    // The space is the largest allocation of the search of a register with many values.
    if let Err(resource) = meter.check(RegisterSpace::<W>::bytes_for(&register)) {
        return SearchOutcome::Exhausted(exhausted(resource, plan));
    }
    run(RegisterSpace::<W>::new(register), plan, traversal, meter)
}

fn search_model(
    object: &mut dyn NumberedModel,
    plan: &Plan,
    traversal: Traversal,
    meter: &mut Meter<'_>,
) -> SearchOutcome {
    let tasks = &plan.tasks;
    match plan.slots {
        0..=64 => run(ModelSpace::<1>::new(object, tasks), plan, traversal, meter),
        65..=128 => run(ModelSpace::<2>::new(object, tasks), plan, traversal, meter),
        129..=256 => run(ModelSpace::<4>::new(object, tasks), plan, traversal, meter),
        257..=1024 => run(ModelSpace::<16>::new(object, tasks), plan, traversal, meter),
        1025..=SLOTS_MAX => run(ModelSpace::<128>::new(object, tasks), plan, traversal, meter),
        _ => SearchOutcome::Exhausted(exhausted(Resource::PendingOperations, plan)),
    }
}

/// The maximum number of operations of one key that may be pending at the same time. A search of
/// more ends at once with [`Resource::PendingOperations`].
pub const SLOTS_MAX: usize = 128 * 64;

fn exhausted(resource: Resource, plan: &Plan) -> BudgetExhausted {
    BudgetExhausted { resource, key: None, ordered: (0, plan.tasks.len()), widest: None }
}

/// The number of configurations, per event, that the depth-first search may visit before the
/// layered search takes over.
const DEPTH_PER_EVENT: u64 = 2;

fn run<S: Space<W>, const W: usize>(
    space: S,
    plan: &Plan,
    traversal: Traversal,
    meter: &mut Meter<'_>,
) -> SearchOutcome {
    let mut walk = Walk::new(space, plan.tasks.clone());
    if traversal != Traversal::Layered {
        let mut depth = DepthFirstSearch::new(walk, &plan.events);
        let configurations_max = match traversal {
            Traversal::DepthFirst => u64::MAX,
            Traversal::Combined | Traversal::Layered => DEPTH_PER_EVENT * plan.events.len() as u64,
        };
        match depth.run(configurations_max, meter) {
            Ok(Some(true)) => return SearchOutcome::Linearizable,
            Ok(Some(false)) => return SearchOutcome::NotLinearizable(depth.furthest()),
            Ok(None) => {}
            Err(resource) => {
                let ordered = (depth.returned(), plan.tasks.len());
                return SearchOutcome::Exhausted(BudgetExhausted {
                    ordered,
                    ..exhausted(resource, plan)
                });
            }
        }
        walk = match depth.rewind(meter) {
            Ok(walk) => walk,
            Err(resource) => return SearchOutcome::Exhausted(exhausted(resource, plan)),
        };
    }
    let mut layers = LayeredSearch::new(walk);
    let mut ordered = 0;
    let mut widest = None;
    for event in &plan.events {
        let advanced = match *event {
            Event::Opens(number) => layers.invoked(number, meter),
            Event::Retires(number) => layers.retired(number, meter),
            Event::Returns(number) => layers.returned(number, meter),
        };
        if let Err(resource) = advanced {
            let ordered = (ordered, plan.tasks.len());
            let exhausted = BudgetExhausted { resource, key: None, ordered, widest };
            return SearchOutcome::Exhausted(exhausted);
        }
        let Event::Returns(number) = *event else { continue };
        let task = &plan.tasks[number as usize];
        if layers.width() == 0 {
            return SearchOutcome::NotLinearizable(task.ends);
        }
        ordered += 1;
        if widest.is_none_or(|(width, _)| layers.width() > width) {
            widest = Some((layers.width(), task.id));
        }
    }
    SearchOutcome::Linearizable
}

/// Builds the counterexample of all operations that returned up to the event `last`.
pub(crate) fn counterexample<M: Model>(
    model: &M,
    part: Subhistory<'_, M::Op, M::Ret>,
    last: EventIndex,
) -> Counterexample {
    let returned_by_last = || part.iter().filter(|(_, operation)| operation.returned() <= last);
    let operations: Vec<OpId> = returned_by_last().map(|(id, _)| id).collect();
    let ends = |(_, operation): &(OpId, &Operation<M::Op, M::Ret>)| operation.returned();
    let reason = match returned_by_last().max_by_key(ends) {
        Some((OpId(id), Operation { op, outcome: Outcome::Returned { ret, .. }, .. })) => {
            let (call, ret) = (model.describe_op(op), model.describe_ret(op, ret));
            let space = if ret.is_empty() { "" } else { " " };
            let returned = format!("{call} {id} returned{space}{ret}");
            format!("{returned}, which no order of the operations explains")
        }
        _ => "no order explains these operations".to_owned(),
    };
    Counterexample { operations, reason, minimal: false }
}
