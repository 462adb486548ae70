//! Minimises a counterexample: leaves out operations that it does not need.

use std::collections::BTreeSet;

use crate::budget::Budget;
use crate::check::check;
use crate::explain::longest::longest_linearization;
use crate::explain::object::{changes, operations, with_unknown_outcomes};
use crate::explain::shrink::shrink;
use crate::history::{EventIndex, History, OpId};
use crate::model::Model;
use crate::verdict::{Counterexample, Verdict};

/// The maximum number of checks that are made. Each may visit an equal share of the budget's
/// configurations.
const CHECKS_MAX: u64 = 256;

/// Returns a counterexample from which no operation can be left out: a part of `counterexample` if
/// that suffices by itself, and otherwise a part of the shortest prefix of the history that is not
/// linearizable.
///
/// Outcomes are only changed to unknown, which allows every linearization that the known outcome
/// allowed. So a result that is still not linearizable proves that the history is not. The function
/// makes at most 256 checks, a few for each operation that stays. Each check may visit 1/256 of the
/// configurations of `budget`, and use all of its memory. An operation also stays if no check
/// within these limits decides whether it can be left out; the result is then not marked minimal.
/// If neither candidate is shown to be not linearizable, the result is `counterexample` unchanged.
pub fn minimise<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    counterexample: &Counterexample,
    budget: &Budget<'_>,
) -> Counterexample {
    if counterexample.minimal {
        return counterexample.clone();
    }
    let object_operations = operations(model, history, counterexample);
    let share = Budget { configurations_max: budget.configurations_max / CHECKS_MAX, ..*budget };
    let mut checks_left = CHECKS_MAX;
    let mut bad = |known: &[OpId]| {
        checks_left = checks_left.checked_sub(1)?;
        if budget.stop.is_some_and(|stop| stop()) {
            return None;
        }
        let mut known = known.to_vec();
        known.sort();
        match check(
            model,
            &with_unknown_outcomes(model, history, &object_operations, &known),
            &share,
        ) {
            Verdict::Linearizable => Some(false),
            Verdict::NotLinearizable(_) => Some(true),
            Verdict::Unknown(_) => None,
        }
    };
    let by_return = |ids: &[OpId]| {
        let returned = |id: &OpId| (history.operation(*id).returned(), *id);
        let ids: BTreeSet<(EventIndex, OpId)> = ids.iter().map(returned).collect();
        ids.iter().filter(|(at, _)| *at < EventIndex::NEVER).map(|(_, id)| *id).collect::<Vec<_>>()
    };
    let candidates = [by_return(&counterexample.operations), by_return(&object_operations)];
    let Some(candidates) = candidates.iter().find(|some| bad(some) == Some(true)) else {
        return counterexample.clone();
    };
    // Writes stay in preference to reads: a write shows where an observed value comes from, and a
    // write with a known outcome leaves the checks fewer orders to try.
    let shrunk = shrink(candidates, |id| changes(model, history, *id), bad);
    let mut operations = shrunk.kept;
    operations.sort();
    let mut less = Counterexample { operations, reason: String::new(), minimal: shrunk.minimal };
    less.reason = match longest_linearization(model, history, &less) {
        Some(attempt) if less.operations != counterexample.operations => {
            attempt.sentence(model, history, |id| id)
        }
        _ => counterexample.reason.clone(),
    };
    less
}
