//! Slowing down what would take the disk or the network from what matters more.

use core::time::Duration;

use crate::types::Instant;

/// Lets bytes pass at a bounded rate: after so many of them, the next wait their time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    bytes_per_second: u64,
    ready_at: Instant,
}

impl Pace {
    /// A pace of `bytes_per_second`, which is not 0.
    pub(crate) fn new(bytes_per_second: u64) -> Pace {
        assert!(bytes_per_second > 0, "a pace lets something pass");
        Pace { bytes_per_second, ready_at: Instant::ZERO }
    }

    /// When the next bytes may pass.
    pub(crate) fn ready_at(&self) -> Instant {
        self.ready_at
    }

    /// `bytes` pass at `now`. What was not used before is not saved up.
    pub(crate) fn pass(&mut self, now: Instant, bytes: usize) {
        let nanos = u128::from(bytes as u64) * 1_000_000_000 / u128::from(self.bytes_per_second);
        let lasts = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.ready_at = self.ready_at.max(now).after(lasts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_wait_for_those_before_them_and_save_nothing_up() {
        let mut pace = Pace::new(1_000);
        assert_eq!(pace.ready_at(), Instant::ZERO);
        pace.pass(Instant(5_000_000_000), 500);
        assert_eq!(pace.ready_at(), Instant(5_500_000_000));
        pace.pass(Instant(5_100_000_000), 500);
        assert_eq!(pace.ready_at(), Instant(6_000_000_000));
        pace.pass(Instant(9_000_000_000), 1);
        assert_eq!(pace.ready_at(), Instant(9_001_000_000));
    }
}
