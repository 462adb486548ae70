//! The interface of a rule: the code of one or more checks, with the state that it alone needs.

use std::fmt::Debug;

use crate::check::finding::CheckResult;
use crate::check::known::Known;
use crate::observe::Observation;

/// The code of one or more checks. It reads the knowledge of all checks, and its own state.
pub(super) trait Rule: Clone + Debug {
    fn new(known: &Known) -> Self;

    /// Checks an observation that the knowledge does not contain yet.
    fn before(&mut self, _: &Known, _: &Observation<'_>) -> CheckResult {
        Ok(())
    }

    /// Checks an observation that the knowledge contains.
    fn after(&mut self, _: &Known, _: &Observation<'_>) -> CheckResult {
        Ok(())
    }
}
