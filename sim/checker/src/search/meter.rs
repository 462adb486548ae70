//! Counts the configurations of a search against its budget.

use crate::budget::{Budget, StopCheck};
use crate::verdict::Resource;

/// Counts the configurations of a search against its budget.
pub(super) struct Meter<'a> {
    budget: &'a Budget<'a>,
    configurations: u64,
    stop: StopCheck<'a>,
}

/// The number of steps that a configuration counts as, besides those that are counted apart.
const CONFIGURATION_STEPS: usize = 16;

impl<'a> Meter<'a> {
    pub(super) fn new(budget: &'a Budget<'a>) -> Meter<'a> {
        Meter { budget, configurations: 0, stop: StopCheck::at_once(budget) }
    }

    /// Returns the number of configurations visited so far.
    pub(super) fn configurations(&self) -> u64 {
        self.configurations
    }

    /// Fails if the budget does not allow `bytes`.
    pub(super) fn check(&self, bytes: usize) -> Result<(), Resource> {
        if bytes > self.budget.bytes_max { Err(Resource::Memory) } else { Ok(()) }
    }

    /// Counts one more configuration while the search holds `bytes`. Fails if the budget is
    /// exhausted.
    pub(super) fn count(&mut self, bytes: usize) -> Result<(), Resource> {
        self.check(bytes)?;
        if self.configurations >= self.budget.configurations_max {
            return Err(Resource::Configurations);
        }
        self.configurations += 1;
        self.step(CONFIGURATION_STEPS)
    }

    /// Counts steps of work. Fails if the caller stops the search.
    pub(super) fn step(&self, steps: usize) -> Result<(), Resource> {
        match self.stop.is_stopped_after(steps) {
            true => Err(Resource::Stopped),
            false => Ok(()),
        }
    }
}
