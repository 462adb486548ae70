//! The canary: a planted bug that every sweep must detect, as evidence that the checks work.

use serde::{Deserialize, Serialize};

use crate::cli::interrupt;
use crate::cli::panics;
use crate::cli::progress::CountProgress;
use crate::cli::text::{Finding, quantity};
use crate::observe::outcome::Failure;
use crate::run::RunOptions;
use crate::settings::profile::Profile;

/// The number of seeds within which a check must detect the canary.
const SEEDS: u64 = 100;

/// The result of the canary runs; serialized, a part of the JSON summary.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Canary {
    /// The number of seeds that were run with the planted bug.
    pub(crate) seeds: u64,
    /// The check that detected the bug, or `None` if it was not detected.
    pub(crate) found_by: Option<String>,
}

impl Canary {
    /// Runs seeds from `first` on, of the default profile, on disks that report every flush as done
    /// without doing it, until a check detects the bug, [`SEEDS`] seeds have passed, or the user
    /// interrupts.
    pub(crate) fn run(first: u64, options: &RunOptions) -> Canary {
        let profile = <&Profile>::default();
        let mut progress = CountProgress::start("seeds of the canary", SEEDS as usize);
        let canary = Canary::search(
            first,
            |seed, canary| {
                let options = RunOptions { profile, canary, ..options.clone() };
                panics::run(seed, &options).failure
            },
            |seeds| {
                progress.advance(seeds as usize, "not detected yet");
                interrupt::interrupted()
            },
        );
        progress.finish();
        canary
    }

    /// Runs seeds from `first` on with `failure`, which returns the failure of a seed with or
    /// without the planted bug, until a check detects the bug or `is_over` returns true. A check
    /// detects it if it finds a safety violation in a seed that passes without the bug: other
    /// failures, for example panics of the state machine, show nothing about the checks.
    fn search(
        first: u64,
        mut failure: impl FnMut(u64, bool) -> Option<Failure>,
        mut is_over: impl FnMut(u64) -> bool,
    ) -> Canary {
        let mut canary = Canary { seeds: 0, found_by: None };
        while canary.seeds < SEEDS && canary.found_by.is_none() && !is_over(canary.seeds) {
            let seed = first.saturating_add(canary.seeds);
            canary.seeds += 1;
            let found = failure(seed, true).filter(|one| matches!(one, Failure::Safety(_)));
            let by_bug = found.filter(|_| failure(seed, false).is_none());
            canary.found_by = by_bug.as_ref().map(|found| Finding::of(found).check);
        }
        canary
    }

    /// Returns the result for the summary.
    pub(crate) fn summary(&self) -> String {
        let seeds = quantity(self.seeds, "seed");
        match &self.found_by {
            Some(check) => format!("disks that skip flushes, detected by {check} in {seeds}"),
            None => format!("disks that skip flushes, NOT DETECTED in {seeds}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Violation;
    use crate::values::time::SimTime;

    fn searched(failure: impl FnMut(u64, bool) -> Option<Failure>) -> Canary {
        Canary::search(7, failure, |_| false)
    }

    fn violation() -> Failure {
        Failure::Safety(Violation {
            id: "S17",
            check: "memory-equals-disk",
            finding: "n1 starts with an older log".to_owned(),
            at: SimTime(1),
            place: "sim/src/check/model.rs:1".to_owned(),
        })
    }

    #[test]
    fn only_a_violation_that_the_planted_bug_causes_detects_it() {
        let panics = |_, _| Some(Failure::Panic("an overflow".to_owned()));
        assert_eq!(searched(panics).found_by, None, "the state machine panics in every run");
        let violates = |_, _| Some(violation());
        assert_eq!(searched(violates), Canary { seeds: SEEDS, found_by: None });
        let found = searched(|seed, canary| match (seed, canary) {
            (7, true) => Some(Failure::Panic("an overflow".to_owned())),
            (8, _) | (9, true) => Some(violation()),
            _ => None,
        });
        assert_eq!(found.seeds, 3);
        assert!(found.found_by.is_some());
    }
}
