//! Looks for an order of the operations that explains what they returned.
//!
//! Between any two returns stand configurations: a state, and which of the open
//! operations have taken effect. At a return, those in which the operation has not taken effect
//! yet have others do so before it, but only as far as that takes (Lowe 2017, just-in-time
//! linearization). What makes it fast is what need not be tried:
//!
//! * a. An observation takes effect as soon as it is legal: it changes nothing, ever.
//! * b. When a write takes effect, all other open writes may be thought to have done so just
//!   before it, unseen; which ones did is decided when they return or take effect in earnest.
//!   Two writes in a row with nothing that sees the first are never tried.
//! * c. Nothing that need not take effect does so if nothing sees its effect. Of one cell it is
//!   known who will ask for which value: a value that something must still see, and that nothing
//!   will bring back, is not left; values that nothing will ask for are one.
//! * d. Of operations that do the same, the one that is needed first goes first.
//! * e. A configuration is dropped if another one can do all that it can: the same with more
//!   observations and hidden writes done, and fewer unknown operations used.

mod cells;
mod config;
mod depth;
mod layers;
mod meter;
mod opaque;
mod plan;
mod walk;

use crate::budget::Budget;
use crate::history::{Moment, OpId, Operation, Outcome, Part};
use crate::model::Model;
use crate::search::cells::{Cells, Sketch};
use crate::search::depth::Depth;
use crate::search::layers::Layers;
use crate::search::meter::Meter;
use crate::search::opaque::{Numbered, Opaque, Steps};
use crate::search::plan::{Event, Plan};
use crate::search::walk::{Space, Walk};
use crate::verdict::{Evidence, Exhausted, Resource, Verdict};

/// What a search may take from a model beyond its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Everything that it says of its operations.
    Hints,
    /// [`Model::effect`], but not [`Model::cell`].
    Effects,
    /// Nothing: it is slow, and cannot be misled.
    Nothing,
}

/// In which order a search goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// One configuration as far as it leads, for a while; then all at once.
    Both,
    /// One configuration as far as it leads.
    Depth,
    /// All configurations at once, from return to return.
    Layers,
}

/// Decides by search whether the operations of `part` are linearizable, without
/// [`Model::decide`] and whatever their keys are. The evidence is everything that returned up to
/// the first return that no order explains.
pub fn search<M: Model>(model: &M, part: Part<'_, M::Op, M::Ret>, budget: &Budget<'_>) -> Verdict {
    search_by(model, part, budget, Trust::Hints, Order::Both)
}

/// [`search`], in an order, and with as much trust in the model as given.
pub fn search_by<M: Model>(
    model: &M,
    part: Part<'_, M::Op, M::Ret>,
    budget: &Budget<'_>,
    trust: Trust,
    order: Order,
) -> Verdict {
    let mut meter = Meter::new(budget);
    let mut found = of_part(model, part, Moment::NEVER, (trust, order), &mut meter);
    if let Found::None(first) = found {
        found = Found::None(shortest(part, first, |last| {
            of_part(model, part, last, (trust, order), &mut meter)
        }));
    }
    match found {
        Found::Order => Verdict::Linearizable,
        Found::None(last) => Verdict::NotLinearizable(evidence(model, part, last)),
        Found::Exhausted(mut exhausted) => {
            exhausted.key = part.iter().next().and_then(|(_, operation)| model.key(&operation.op));
            Verdict::Unknown(exhausted)
        }
    }
}

/// What a search comes to.
enum Found {
    Order,
    /// No order explains what has returned up to this moment.
    None(Moment),
    Exhausted(Exhausted),
}

/// Searches `part` as it was after the moment `last`.
fn of_part<M: Model>(
    model: &M,
    part: Part<'_, M::Op, M::Ret>,
    last: Moment,
    (trust, order): (Trust, Order),
    meter: &mut Meter<'_>,
) -> Found {
    if trust == Trust::Hints
        && let Some(sketch) = Sketch::new(model, part, last)
    {
        return of_sketch(sketch, order, meter);
    }
    let (mut object, tasks) = Numbered::new(model, part, last, trust != Trust::Nothing);
    of_object(&mut object, &Plan::new(tasks), order, meter)
}

/// The first return up to which no order explains what happened, at `first` or later. A search of
/// everything may stop before: it knows of open operations what they will return, and of values
/// who will ask for them.
fn shortest<O, R>(
    part: Part<'_, O, R>,
    first: Moment,
    mut search: impl FnMut(Moment) -> Found,
) -> Moment {
    let mut returns: Vec<Moment> = part.iter().map(|(_, it)| it.returned()).collect();
    returns.retain(|at| (first..Moment::NEVER).contains(at));
    returns.sort_unstable();
    let (mut low, mut high) = (0, returns.len().saturating_sub(1));
    let mut stride = 1;
    while low < high {
        let middle = (low + stride - 1).min(low + (high - low) / 2);
        match search(returns[middle]) {
            Found::None(_) => high = middle,
            Found::Order => low = middle + 1,
            Found::Exhausted(_) => break,
        }
        stride *= 2;
    }
    returns.get(high).copied().unwrap_or(first)
}

fn of_sketch(mut sketch: Sketch, order: Order, meter: &mut Meter<'_>) -> Found {
    let plan = Plan::new(std::mem::take(&mut sketch.tasks));
    match plan.slots {
        0..=64 => run(Cells::<1>::new(sketch), &plan, order, meter),
        65..=128 => run(Cells::<2>::new(sketch), &plan, order, meter),
        129..=256 => run(Cells::<4>::new(sketch), &plan, order, meter),
        257..=1024 => run(Cells::<16>::new(sketch), &plan, order, meter),
        1025..=SLOTS_MAX => run(Cells::<128>::new(sketch), &plan, order, meter),
        _ => Found::Exhausted(exhausted(Resource::Memory, &plan)),
    }
}

fn of_object(object: &mut dyn Steps, plan: &Plan, order: Order, meter: &mut Meter<'_>) -> Found {
    let tasks = &plan.tasks;
    match plan.slots {
        0..=64 => run(Opaque::<1>::new(object, tasks), plan, order, meter),
        65..=128 => run(Opaque::<2>::new(object, tasks), plan, order, meter),
        129..=256 => run(Opaque::<4>::new(object, tasks), plan, order, meter),
        257..=1024 => run(Opaque::<16>::new(object, tasks), plan, order, meter),
        1025..=SLOTS_MAX => run(Opaque::<128>::new(object, tasks), plan, order, meter),
        _ => Found::Exhausted(exhausted(Resource::Memory, plan)),
    }
}

/// The most operations of one key that may be open at a time.
pub const SLOTS_MAX: usize = 128 * 64;

fn exhausted(what: Resource, plan: &Plan) -> Exhausted {
    Exhausted { what, key: None, ordered: (0, plan.tasks.len()), widest: None }
}

/// How many configurations one that goes as far as it leads may look at before it is given up,
/// for each event.
const DEPTH_PER_EVENT: u64 = 2;

fn run<S: Space<W>, const W: usize>(
    space: S,
    plan: &Plan,
    order: Order,
    meter: &mut Meter<'_>,
) -> Found {
    let mut walk = Walk::new(space, plan.tasks.clone());
    if order != Order::Layers {
        let mut depth = Depth::new(walk, &plan.events);
        let configurations_max = match order {
            Order::Depth => u64::MAX,
            Order::Both | Order::Layers => DEPTH_PER_EVENT * plan.events.len() as u64,
        };
        match depth.run(configurations_max, meter) {
            Ok(Some(true)) => return Found::Order,
            Ok(Some(false)) => return Found::None(depth.furthest()),
            Ok(None) => {}
            Err(what) => {
                let ordered = (depth.returned(), plan.tasks.len());
                return Found::Exhausted(Exhausted { ordered, ..exhausted(what, plan) });
            }
        }
        walk = depth.rewind();
    }
    let mut layers = Layers::new(walk);
    let mut ordered = 0;
    let mut widest = None;
    for event in &plan.events {
        match *event {
            Event::Opens(number) => layers.invoked(number),
            Event::Retires(number) => layers.retired(number),
            Event::Returns(number) => {
                let task = &plan.tasks[number as usize];
                if let Err(what) = layers.returned(number, meter) {
                    let ordered = (ordered, plan.tasks.len());
                    return Found::Exhausted(Exhausted { what, key: None, ordered, widest });
                }
                if layers.width() == 0 {
                    return Found::None(task.ends);
                }
                ordered += 1;
                if widest.is_none_or(|(width, _)| layers.width() > width) {
                    widest = Some((layers.width(), task.id));
                }
            }
        }
    }
    Found::Order
}

/// Everything that returned up to the moment `last`.
fn evidence<M: Model>(model: &M, part: Part<'_, M::Op, M::Ret>, last: Moment) -> Evidence {
    let told = || part.iter().filter(|(_, operation)| operation.returned() <= last);
    let operations: Vec<OpId> = told().map(|(id, _)| id).collect();
    let ends = |(_, operation): &(OpId, &Operation<M::Op, M::Ret>)| operation.returned();
    let because = match told().max_by_key(ends) {
        Some((OpId(id), Operation { op, outcome: Outcome::Returned { ret, .. }, .. })) => {
            let (call, ret) = (model.call_words(op), model.ret_words(op, ret));
            let space = if ret.is_empty() { "" } else { " " };
            format!("{call} r{id} returned{space}{ret}, which no order of the operations explains")
        }
        _ => "no order explains these operations".to_owned(),
    };
    Evidence { operations, because, minimal: false }
}
