//! How often a leader tries to hand over to a higher priority.

use core::time::Duration;

use crate::types::Instant;

/// When a node, should it lead, next tries to hand over to a higher priority. Each attempt doubles
/// the wait for the next, until a long time went by without one: who cannot keep the leadership
/// does not get it again and again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Drift {
    not_before: Instant,
    wait: Duration,
}

/// How much the wait grows at most, from one election timeout on.
const WAIT_GROWTH_MAX: u32 = 64;

impl Drift {
    /// A leadership begins: others have the time of an election to be heard of.
    pub(crate) fn begin(&mut self, now: Instant, timeout: Duration) {
        self.not_before = self.not_before.max(now.after(timeout));
    }

    /// The one instant it knows.
    pub(crate) fn instant(&mut self) -> &mut Instant {
        &mut self.not_before
    }

    /// Whether it is time for an attempt; counts it if so.
    pub(crate) fn attempt(&mut self, now: Instant, timeout: Duration) -> bool {
        if now < self.not_before {
            return false;
        }
        let calm = now >= self.not_before.after(self.wait.saturating_mul(8));
        let longest = timeout.saturating_mul(WAIT_GROWTH_MAX);
        let wait = if calm { timeout } else { self.wait };
        self.wait = wait.saturating_mul(2).clamp(timeout.saturating_mul(2), longest);
        self.not_before = now.after(self.wait);
        true
    }
}
