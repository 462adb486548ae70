//! Counts what a search uses up.

use crate::budget::Budget;
use crate::verdict::Resource;

/// Counts what a search uses up.
#[derive(Debug)]
pub(super) struct Meter<'a> {
    budget: &'a Budget<'a>,
    configurations: u64,
}

/// Between two questions whether to stop lie so many configurations.
const STOP_EVERY: u64 = 4096;

impl<'a> Meter<'a> {
    pub(super) fn new(budget: &'a Budget<'a>) -> Meter<'a> {
        Meter { budget, configurations: 0 }
    }

    /// How many configurations were looked at.
    pub(super) fn configurations(&self) -> u64 {
        self.configurations
    }

    /// One more configuration is looked at, while the search holds `bytes`.
    pub(super) fn look(&mut self, bytes: usize) -> Result<(), Resource> {
        if bytes > self.budget.bytes_max {
            return Err(Resource::Memory);
        }
        if self.configurations >= self.budget.configurations_max {
            return Err(Resource::Configurations);
        }
        let asks = self.configurations.is_multiple_of(STOP_EVERY);
        self.configurations += 1;
        match self.budget.stop {
            Some(stop) if asks && stop() => Err(Resource::Stopped),
            _ => Ok(()),
        }
    }
}
