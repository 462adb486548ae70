//! Less evidence that proves the same.

use crate::budget::Budget;
use crate::check::check;
use crate::explain::attempt::attempt;
use crate::explain::object::{changes, forgotten, operations};
use crate::explain::shrink::shrink;
use crate::history::{History, OpId, Outcome};
use crate::model::Model;
use crate::verdict::{Evidence, Verdict};

/// The most checks that are made; each gets an equal share of the budget.
const CHECKS_MAX: u64 = 256;

/// Evidence of which no operation can be left out, against a history that is not linearizable:
/// `evidence` with less in it if it is enough by itself, and otherwise what is found in the
/// shortest part of the history, from its beginning, that is bad.
///
/// Operations are only ever forgotten: an unknown outcome allows whatever a known one did, so that
/// what is still bad proves the history bad. It makes at most some hundred checks, a few for each
/// operation that stays; they share the configurations of `budget`, and each may use its memory.
/// What it cannot decide within it stays, and the result is not called minimal; if it can show
/// nothing, the result is `evidence`.
pub fn minimise<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    evidence: &Evidence,
    budget: &Budget<'_>,
) -> Evidence {
    if evidence.minimal {
        return evidence.clone();
    }
    let object = operations(model, history, evidence);
    let share = Budget { configurations_max: budget.configurations_max / CHECKS_MAX, ..*budget };
    let mut checks_left = CHECKS_MAX;
    let mut bad = |known: &[OpId]| {
        checks_left = checks_left.checked_sub(1)?;
        let mut known = known.to_vec();
        known.sort();
        match check(model, &forgotten(model, history, &object, &known), &share) {
            Verdict::Linearizable => Some(false),
            Verdict::NotLinearizable(_) => Some(true),
            Verdict::Unknown(_) => None,
        }
    };
    let returned = |id: &OpId| matches!(history.operation(*id).outcome, Outcome::Returned { .. });
    let by_return = |ids: &[OpId]| {
        let mut ids: Vec<OpId> = ids.iter().copied().filter(returned).collect();
        ids.sort_by_key(|id| history.operation(*id).returned());
        ids
    };
    let candidates = [by_return(&evidence.operations), by_return(&object)];
    let Some(candidates) = candidates.iter().find(|some| bad(some) == Some(true)) else {
        return evidence.clone();
    };
    // A known write says more than a read that shows it, and leaves checks less to try.
    let shrunk = shrink(candidates, |id| changes(model, history, *id), bad);
    let mut operations = shrunk.kept;
    operations.sort();
    let mut less = Evidence { operations, because: String::new(), minimal: shrunk.minimal };
    less.because = match attempt(model, history, &less) {
        Some(attempt) if less.operations != evidence.operations => {
            attempt.sentence(model, history, |id| id)
        }
        _ => evidence.because.clone(),
    };
    less
}
