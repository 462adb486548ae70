//! The canary: a planted bug that every sweep must detect, as evidence that the checks work.

use serde::{Deserialize, Serialize};

use crate::cli::interrupt;
use crate::cli::panics;
use crate::cli::progress::CountProgress;
use crate::cli::text::{Finding, quantity};
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
    /// Runs seeds from `first` on, of the default profile, on disks that report every flush as
    /// done without doing it, until a seed fails, [`SEEDS`] seeds have passed, or the user
    /// interrupts.
    pub(crate) fn run(first: u64, options: &RunOptions) -> Canary {
        let profile = <&Profile>::default();
        let options = RunOptions { profile, canary: true, ..options.clone() };
        let mut progress = CountProgress::start("seeds of the canary", SEEDS as usize);
        let mut canary = Canary { seeds: 0, found_by: None };
        while canary.seeds < SEEDS && canary.found_by.is_none() && !interrupt::interrupted() {
            let outcome = panics::run(first.saturating_add(canary.seeds), &options);
            canary.seeds += 1;
            canary.found_by = outcome.failure.as_ref().map(|failure| Finding::of(failure).check);
            progress.advance(canary.seeds as usize, "not detected yet");
        }
        progress.finish();
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
