//! The backoff between the transfers that a leader begins by itself: to a voter of higher priority,
//! or to a voter with a faster disk.

use core::time::Duration;

use crate::types::Instant;

/// The earliest time at which this node, as the leader, may begin its next transfer by itself. Each
/// attempt doubles the wait; a long time without an attempt resets it. A voter that cannot keep the
/// leadership therefore does not get it again and again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct TransferBackoff {
    not_before: Instant,
    wait: Duration,
}

/// The longest wait, in election timeouts.
const WAIT_TIMEOUTS_MAX: u32 = 64;

impl TransferBackoff {
    /// Delays the first attempt after the node's election by one election timeout, in which this
    /// node can hear from the other voters.
    pub(crate) fn begin(&mut self, now: Instant, timeout: Duration) {
        self.not_before = self.not_before.max(now.after(timeout));
    }

    /// Whether an attempt is due. An attempt that is due counts as made and doubles the wait.
    pub(crate) fn attempt(&mut self, now: Instant, timeout: Duration) -> bool {
        if now < self.not_before {
            return false;
        }
        let is_quiet = now >= self.not_before.after(self.wait.saturating_mul(8));
        let longest = timeout.saturating_mul(WAIT_TIMEOUTS_MAX);
        let wait = if is_quiet { timeout } else { self.wait };
        self.wait = wait.saturating_mul(2).clamp(timeout.saturating_mul(2), longest);
        self.not_before = now.after(self.wait);
        assert!(self.wait >= timeout, "a wait is at least one election timeout");
        true
    }
}

#[cfg(feature = "explore")]
impl TransferBackoff {
    /// The instant in the backoff's state.
    pub(crate) fn instant(&mut self) -> &mut Instant {
        &mut self.not_before
    }
}
