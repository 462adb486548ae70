//! Counts the configurations of a search against its budget.

use crate::budget::Budget;
use crate::verdict::Resource;

/// Counts the configurations of a search against its budget.
#[derive(Debug)]
pub(super) struct Meter<'a> {
    budget: &'a Budget<'a>,
    configurations: u64,
}

/// The number of configurations between two calls of the stop function.
const STOP_EVERY: u64 = 4096;

impl<'a> Meter<'a> {
    pub(super) fn new(budget: &'a Budget<'a>) -> Meter<'a> {
        Meter { budget, configurations: 0 }
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
        let is_due = self.configurations.is_multiple_of(STOP_EVERY);
        self.configurations += 1;
        match self.budget.stop {
            Some(stop) if is_due && stop() => Err(Resource::Stopped),
            _ => Ok(()),
        }
    }
}
