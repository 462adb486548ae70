//! The checks of a run that goes beyond the assumptions of the protocol.

use crate::observer::Observer;

impl Observer {
    /// Turns off the checks, because the invariants need not hold from now on.
    pub(crate) fn disable_checks(&mut self) {
        if self.checks.take().is_some() {
            self.tally.partly_checked.without_checks = 1;
        }
    }

    /// Whether the checks are on.
    pub(crate) fn has_checks(&self) -> bool {
        self.checks.is_some()
    }

    /// Counts a run whose liveness cannot be checked, unless its checks are off.
    pub(crate) fn skip_liveness(&mut self) {
        self.tally.partly_checked.without_liveness = self.checks.is_some().into();
    }
}
