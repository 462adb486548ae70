//! Results of the checks of collections, and the minimisation of their counterexamples.

use crate::budget::StopCheck;
use crate::history::OpId;
use crate::verdict::{Counterexample, Verdict};

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CheckResult {
    /// Some order explains all operations.
    Linearizable,
    /// No order explains all operations.
    NotLinearizable(Violation),
    /// The check cannot decide.
    Unknown,
}

/// The operations that violate linearizability, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The operations that prove the violation regardless of all other outcomes. Unsorted,
    /// and possibly repeated.
    pub(crate) kept: Vec<OpId>,
    /// The violation in one sentence.
    pub(crate) reason: String,
}

/// The strategy to minimise a counterexample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Narrowing {
    /// Try to omit one operation after another, if there are few.
    Singly,
    /// Omit as many of the oldest operations as possible, then one after another.
    OldestFirst,
}

/// The maximum number of operations that are checked in total to omit operations of a
/// counterexample one by one, unless eight checks of the whole history need more.
const CHECKS_MAX: usize = 400_000;
/// The maximum number of checks without a result that are made to omit operations one by one: such
/// a check is a search that has reached its bound.
const UNDECIDED_MAX: u32 = 16;

/// Returns the verdict of `check` on `count` operations. `check` takes the outcomes of the given
/// operations as known and all others as unknown.
pub(crate) fn verdict(
    narrowing: Narrowing,
    count: usize,
    stop: &StopCheck<'_>,
    check: impl Fn(&dyn Fn(OpId) -> bool) -> CheckResult,
) -> Option<Verdict> {
    match check(&|_| true) {
        CheckResult::Linearizable => Some(Verdict::Linearizable),
        CheckResult::Unknown => None,
        CheckResult::NotLinearizable(violation) => {
            Some(Verdict::NotLinearizable(narrowed(narrowing, count, violation, stop, check)))
        }
    }
}

/// Returns the smallest counterexample that is found for `violation` before `stop` ends the search.
pub(crate) fn narrowed(
    narrowing: Narrowing,
    count: usize,
    violation: Violation,
    stop: &StopCheck<'_>,
    check: impl Fn(&dyn Fn(OpId) -> bool) -> CheckResult,
) -> Counterexample {
    let tries = (CHECKS_MAX / count.max(1)).max(8);
    let mut violation = sorted(violation);
    let recheck = |kept: &[OpId]| check(&|id| kept.binary_search(&id).is_ok());
    if narrowing == Narrowing::OldestFirst {
        let mut leave_out = violation.kept.len() / 2;
        while leave_out > 1 && !stop.is_stopped_after(count) {
            match recheck(&violation.kept[leave_out..]) {
                CheckResult::NotLinearizable(smaller) => violation = sorted(smaller),
                CheckResult::Linearizable | CheckResult::Unknown => leave_out /= 4,
            }
            leave_out = leave_out.min(violation.kept.len() / 2);
        }
    }
    let is_short = violation.kept.len() <= tries;
    // An operation that is needed here is needed in every smaller counterexample, because fewer
    // other operations are known there.
    let (mut checked, mut undecided) = (Vec::new(), 0);
    let mut is_stopped = false;
    while is_short && undecided < UNDECIDED_MAX {
        let Some(next) = violation.kept.iter().copied().find(|id| !checked.contains(id)) else {
            break;
        };
        is_stopped = stop.is_stopped_after(count);
        if is_stopped {
            break;
        }
        checked.push(next);
        let without: Vec<OpId> = violation.kept.iter().copied().filter(|id| *id != next).collect();
        match recheck(&without) {
            CheckResult::NotLinearizable(smaller) => violation = sorted(smaller),
            CheckResult::Linearizable => {}
            // The operation stays, although it may not be needed.
            CheckResult::Unknown => undecided += 1,
        }
    }
    let minimal = is_short && undecided == 0 && !is_stopped;
    Counterexample { operations: violation.kept, reason: violation.reason, minimal }
}

fn sorted(mut violation: Violation) -> Violation {
    violation.kept.sort();
    violation.kept.dedup();
    violation
}
