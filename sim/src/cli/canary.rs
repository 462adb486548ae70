//! A bug that has to be found: where it is not, nothing that was found says anything.

use crate::cli::interrupt;
use crate::cli::panics;
use crate::cli::text::{Finding, counted};
use crate::profile::Profile;
use crate::run::RunOptions;

/// How many seeds there are to find it.
const SEEDS: u64 = 100;

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Canary {
    /// How many seeds were run.
    pub(crate) seeds: u64,
    /// The check that found it, if one did.
    pub(crate) found_by: Option<String>,
}

impl Canary {
    /// Runs seeds from `first` on, of the default profile, on disks that say of every flush that
    /// it is done, and do none; until one fails.
    pub(crate) fn fly(first: u64, options: &RunOptions) -> Canary {
        let profile = <&Profile>::default();
        let options = RunOptions { profile, canary: true, ..options.clone() };
        for seeds in 1..=SEEDS {
            let outcome = panics::run(first.saturating_add(seeds - 1), &options);
            if let Some(failure) = &outcome.failure {
                return Canary { seeds, found_by: Some(Finding::of(failure).check) };
            }
            if interrupt::heard() {
                return Canary { seeds, found_by: None };
            }
        }
        Canary { seeds: SEEDS, found_by: None }
    }

    /// In a few words.
    pub(crate) fn told(&self) -> String {
        let seeds = counted(self.seeds, "seed");
        match &self.found_by {
            Some(check) => format!("disks that lie about flushes found by {check} in {seeds}"),
            None => format!("disks that lie about flushes NOT FOUND in {seeds}"),
        }
    }
}
