//! The search of lists and queues with repeated values. The known results determine most of the
//! order in which values were inserted, so the search omits all other orders.

use crate::budget::{Budget, StopCheck};
use crate::collections::narrowing::{CheckResult, Narrowing, Violation, narrowed};
use crate::history::{OpId, Subhistory};
use crate::model::Model;
use crate::search::search;
use crate::verdict::{Counterexample, Verdict};

/// The number of configurations that the first search may visit.
pub(super) const FIRST_MAX: u64 = 1_000_000;
/// The number of configurations that each search which tries to reduce a counterexample may visit.
const LATER_MAX: u64 = 20_000;

/// A model that is restricted to the orders that the known results leave open, and the operations
/// with those results.
pub(super) type Restricted<M> = (M, Vec<OpId>);

/// Decides `part` by `check`, and where that cannot decide, by a search of the model that
/// `restrict` returns. Returns `None` if neither can decide. A part of a counterexample that
/// neither can decide is decided by a short search of the whole `model`.
pub(super) fn decide<O: Clone, R: Clone, M: Model<Op = O, Ret = R>>(
    model: &impl Model<Op = O, Ret = R>,
    part: Subhistory<'_, O, R>,
    budget: &Budget<'_>,
    check: impl Fn(Subhistory<'_, O, R>) -> Option<Verdict>,
    restrict: impl Fn(Subhistory<'_, O, R>) -> Option<Restricted<M>>,
) -> Option<Verdict> {
    let searched = |part: Subhistory<'_, O, R>, configurations_max: u64| {
        let (model, determining) = restrict(part)?;
        match searched(&model, part, budget, configurations_max)? {
            Verdict::NotLinearizable(found) => {
                let mut operations = [found.operations, determining].concat();
                operations.sort_unstable();
                operations.dedup();
                Some(Verdict::NotLinearizable(Counterexample { operations, ..found }))
            }
            verdict => Some(verdict),
        }
    };
    if let Some(verdict) = check(part) {
        return Some(verdict);
    }
    let found = match searched(part, FIRST_MAX)? {
        Verdict::NotLinearizable(found) => found,
        verdict => return Some(verdict),
    };
    Some(Verdict::NotLinearizable(smaller(model, part, budget, found, |part| {
        check(part).or_else(|| searched(part, LATER_MAX))
    })))
}

/// Searches `part` with at most this number of configurations; `None` if they do not suffice.
pub(super) fn searched<M: Model>(
    model: &M,
    part: Subhistory<'_, M::Op, M::Ret>,
    budget: &Budget<'_>,
    configurations_max: u64,
) -> Option<Verdict> {
    let configurations_max = configurations_max.min(budget.configurations_max);
    match search(model, part, &Budget { configurations_max, ..*budget }) {
        Verdict::Unknown(_) => None,
        verdict => Some(verdict),
    }
}

/// Returns the smallest counterexample that is found in the counterexample `found` of `part`: its
/// parts are decided by `decide`, and where that cannot decide, by a short search of `model`.
pub(super) fn smaller<O: Clone, R: Clone>(
    model: &impl Model<Op = O, Ret = R>,
    part: Subhistory<'_, O, R>,
    budget: &Budget<'_>,
    found: Counterexample,
    decide: impl Fn(Subhistory<'_, O, R>) -> Option<Verdict>,
) -> Counterexample {
    let violation = Violation { kept: found.operations, reason: found.reason };
    let count = part.history().operations().len();
    let stop = &StopCheck::new(budget);
    narrowed(Narrowing::OldestFirst, count, violation, stop, |known| {
        let weaker = part.history().with_known(known);
        let part = Subhistory::new(&weaker, part.ids());
        match decide(part).or_else(|| searched(model, part, budget, LATER_MAX)) {
            Some(Verdict::Linearizable) => CheckResult::Linearizable,
            Some(Verdict::NotLinearizable(Counterexample { operations, reason, .. })) => {
                CheckResult::NotLinearizable(Violation { kept: operations, reason })
            }
            Some(Verdict::Unknown(_)) | None => CheckResult::Unknown,
        }
    })
}
