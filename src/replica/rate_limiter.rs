//! A rate limiter for snapshot bytes, which share the disk and the network with consensus traffic.

use core::time::Duration;

use crate::types::Instant;

/// A limiter of bytes per second: each transfer delays the next one by its size divided by the
/// rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateLimiter {
    bytes_per_second: u64,
    ready_at: Instant,
}

impl RateLimiter {
    /// Returns a limiter for `bytes_per_second`, which must not be 0.
    pub(crate) fn new(bytes_per_second: u64) -> RateLimiter {
        assert!(bytes_per_second > 0, "the rate is not 0");
        RateLimiter { bytes_per_second, ready_at: Instant::ZERO }
    }

    /// Returns the time from which the next bytes are allowed.
    pub(crate) fn ready_at(&self) -> Instant {
        self.ready_at
    }

    /// Counts `bytes` transferred at `now`. Time without a transfer does not allow a faster one
    /// later.
    pub(crate) fn spend(&mut self, now: Instant, bytes: usize) {
        let lasts = duration(bytes as u64, self.bytes_per_second);
        self.ready_at = self.ready_at.max(now).after(lasts);
    }
}

/// Returns the time that `bytes` take at `bytes_per_second`.
pub(crate) fn duration(bytes: u64, bytes_per_second: u64) -> Duration {
    let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(bytes_per_second);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_delays_the_next_one_and_unused_rate_is_not_saved() {
        let mut rate = RateLimiter::new(1_000);
        assert_eq!(rate.ready_at(), Instant::ZERO);
        rate.spend(Instant(5_000_000_000), 500);
        assert_eq!(rate.ready_at(), Instant(5_500_000_000));
        rate.spend(Instant(5_100_000_000), 500);
        assert_eq!(rate.ready_at(), Instant(6_000_000_000));
        rate.spend(Instant(9_000_000_000), 1);
        assert_eq!(rate.ready_at(), Instant(9_001_000_000));
    }
}
