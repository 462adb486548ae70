//! The search of stacks with repeated values back in time, from the last event to the first.
//!
//! Back in time a pop that returned a value adds it, and a push removes its value from the top. So
//! the pops determine which push comes next, where a search forward in time would try every order
//! of concurrent pushes.

use std::collections::BTreeMap;

use crate::budget::{Budget, StopCheck};
use crate::history::{Client, EventIndex, History, OpId, Operation, Outcome, Subhistory};
use crate::model::Model;
use crate::models::heap::array_bytes;
use crate::models::ordered::{FIRST_MAX, searched, smaller};
use crate::models::queue::{Stack, StackOp};
use crate::search::counterexample;
use crate::value::ValueId;
use crate::verdict::{Counterexample, Verdict};

impl Stack {
    /// Decides operations. With repeated values, a search back in time decides many of them.
    pub(super) fn decide_any(
        &self,
        part: Subhistory<'_, StackOp, ValueId>,
        budget: &Budget<'_>,
    ) -> Option<Verdict> {
        let stop = &StopCheck::new(budget);
        let check = |part: Subhistory<'_, StackOp, ValueId>| self.decide_distinct(part, stop);
        check(part).or_else(|| decide(self, part, budget, check))
    }
}

/// Decides `part` back in time; `check` decides parts of a counterexample. Returns `None` if the
/// search reaches its bound, or if it finds no order and some outcome is unknown.
fn decide(
    stack: &Stack,
    part: Subhistory<'_, StackOp, ValueId>,
    budget: &Budget<'_>,
    check: impl Fn(Subhistory<'_, StackOp, ValueId>) -> Option<Verdict>,
) -> Option<Verdict> {
    match explained(stack, part, budget)? {
        true => Some(Verdict::Linearizable),
        false => {
            let found = shortest(stack, part, budget);
            Some(Verdict::NotLinearizable(smaller(stack, part, budget, found, check)))
        }
    }
}

/// Returns whether some order explains `part`, or `None` if the search back in time cannot decide.
fn explained(
    stack: &Stack,
    part: Subhistory<'_, StackOp, ValueId>,
    budget: &Budget<'_>,
) -> Option<bool> {
    let Backward { model, history, is_whole } = Backward::of(stack.init(), part)?;
    let ids: Vec<OpId> = (0..).map(OpId).take(history.operations().len()).collect();
    match searched(&model, Subhistory::new(&history, &ids), budget, FIRST_MAX)? {
        Verdict::Linearizable => Some(true),
        Verdict::NotLinearizable(_) if is_whole => Some(false),
        Verdict::NotLinearizable(_) | Verdict::Unknown(_) => None,
    }
}

/// Returns the counterexample of the shortest part of `part`, from its first event to an instant
/// at which no operation is pending, that no order explains. `part` has no unknown outcome.
fn shortest(
    stack: &Stack,
    part: Subhistory<'_, StackOp, ValueId>,
    budget: &Budget<'_>,
) -> Counterexample {
    let mut lengths = Vec::new();
    let mut last = EventIndex(0);
    for (place, (_, operation)) in part.iter().enumerate() {
        if place > 0 && last < operation.invoked {
            lengths.push((place, last));
        }
        last = last.max(operation.returned());
    }
    lengths.push((part.len(), last));
    let (mut low, mut high) = (0, lengths.len() - 1);
    while low < high {
        let middle = low.midpoint(high);
        let shorter = Subhistory::new(part.history(), &part.ids()[..lengths[middle].0]);
        match explained(stack, shorter, budget) {
            Some(false) => high = middle,
            Some(true) | None => low = middle + 1,
        }
    }
    counterexample(stack, part, lengths[high].1)
}

/// The operations of a stack back in time.
struct Backward {
    model: BackwardStack,
    history: History<BackwardOp, ()>,
    /// Whether no outcome is unknown. Otherwise an order without the pops of unknown outcome, and
    /// with the fewest pushes of unknown outcome, is only one of the possible ones.
    is_whole: bool,
}

/// A stack back in time. At first it may have any items.
struct BackwardStack {
    /// The items at the end, which is the beginning of the history.
    init: Vec<ValueId>,
    /// For each value, the number of items that are never popped.
    staying: BTreeMap<ValueId, usize>,
}

/// An operation back in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum BackwardOp {
    /// A push: removes this item from the top.
    Remove(ValueId),
    /// A pop that returned this item: adds it.
    Add(ValueId),
    /// A pop that found the stack empty.
    FindEmpty,
    /// The beginning of the history, where the stack has its first items.
    Begin,
}

/// The items of a stack back in time, as far as they are known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct KnownItems {
    /// The items on top.
    top: Vec<ValueId>,
    /// Whether there are no items below them. Otherwise any items may be there, all of which were
    /// never popped.
    is_all: bool,
}

impl Backward {
    /// Returns the operations of `part`; `None` if their events have no numbers left.
    fn of(init: Vec<ValueId>, part: Subhistory<'_, StackOp, ValueId>) -> Option<Backward> {
        let mut staying: BTreeMap<ValueId, usize> = BTreeMap::new();
        let mut missing: BTreeMap<ValueId, usize> = BTreeMap::new();
        init.iter().for_each(|value| *staying.entry(*value).or_default() += 1);
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for (_, operation) in part.iter() {
            match (operation.op, operation.ret()) {
                (StackOp::Push(value), Some(_)) => {
                    *staying.entry(value).or_default() += 1;
                    known.push((operation, BackwardOp::Remove(value)));
                }
                (StackOp::Push(value), None) => unknown.push((operation, value)),
                (StackOp::Pop, Some(&ValueId::NULL)) => {
                    known.push((operation, BackwardOp::FindEmpty));
                }
                (StackOp::Pop, Some(value)) => {
                    *missing.entry(*value).or_default() += 1;
                    known.push((operation, BackwardOp::Add(*value)));
                }
                (StackOp::Pop, None) => {}
            }
        }
        let is_whole = known.len() == part.len();
        for (value, popped) in &mut missing {
            let present = staying.entry(*value).or_default();
            let taken = (*popped).min(*present);
            (*popped, *present) = (*popped - taken, *present - taken);
        }
        // The pushes of unknown outcome that are needed, those invoked first.
        unknown.retain(|(_, value)| match missing.get_mut(value) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        });
        let history = reversed(&known, &unknown, part.end())?;
        Some(Backward { model: BackwardStack { init, staying }, history, is_whole })
    }
}

/// Returns the history back in time of the operations whose outcomes are known, and of pushes that
/// may take effect up to the `end`.
fn reversed<O, R>(
    known: &[(&Operation<O, R>, BackwardOp)],
    pushes: &[(&Operation<O, R>, ValueId)],
    end: EventIndex,
) -> Option<History<BackwardOp, ()>> {
    let first = u32::try_from(pushes.len()).ok()?;
    let last = first.checked_add(end.0)?.checked_add(1)?;
    let back = |at: EventIndex| EventIndex(last - at.0);
    let of_known = known.iter().map(|(it, op)| (back(it.returned()), back(it.invoked), *op));
    let of_pushes = (0..).zip(pushes).map(|(number, (it, value))| {
        (EventIndex(number), back(it.invoked), BackwardOp::Remove(*value))
    });
    let begin = (EventIndex(last.checked_add(1)?), EventIndex(last.checked_add(2)?));
    let begin = (begin.0, begin.1, BackwardOp::Begin);
    let mut spans: Vec<_> = of_pushes.chain(of_known).chain([begin]).collect();
    spans.sort_unstable_by_key(|(invoked, ..)| *invoked);
    let operations = (0..).map(Client).zip(spans).map(|(client, (invoked, at, op))| Operation {
        client,
        op,
        invoked,
        outcome: Outcome::Returned { at, ret: () },
    });
    History::new(operations.collect()).ok()
}

impl Model for BackwardStack {
    type State = KnownItems;
    type Op = BackwardOp;
    type Ret = ();

    fn init(&self) -> KnownItems {
        KnownItems { top: Vec::new(), is_all: false }
    }

    fn step(&self, state: &KnownItems, op: &BackwardOp, _: Option<&()>) -> Option<KnownItems> {
        let KnownItems { top, is_all } = state;
        let is_legal = match op {
            BackwardOp::Add(_) => true,
            BackwardOp::Remove(value) => match top.last() {
                Some(last) => last == value,
                None => !is_all && self.staying.get(value).is_some_and(|count| *count > 0),
            },
            BackwardOp::FindEmpty => top.is_empty(),
            BackwardOp::Begin if *is_all => *top == self.init,
            BackwardOp::Begin => self.init.ends_with(top),
        };
        if !is_legal {
            return None;
        }
        let mut after = state.clone();
        match op {
            BackwardOp::Add(value) => after.top.push(*value),
            BackwardOp::Remove(_) => drop(after.top.pop()),
            BackwardOp::FindEmpty => after.is_all = true,
            BackwardOp::Begin => {}
        }
        Some(after)
    }

    /// Counts the memory that a state owns.
    fn unhashed_bytes(&self, state: &KnownItems) -> usize {
        array_bytes::<ValueId>(state.top.capacity())
    }
}
