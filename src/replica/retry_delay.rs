//! The delay before a failed attempt is repeated.

use core::time::Duration;

/// A delay that doubles with each failure in a row, up to [`RetryDelay::FACTOR_MAX`] times the
/// first one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RetryDelay {
    first: Duration,
    factor: u32,
}

impl RetryDelay {
    /// The longest delay, as a multiple of the first one.
    pub(crate) const FACTOR_MAX: u32 = 16;

    /// Returns a delay that is `first` after the first failure.
    pub(crate) fn new(first: Duration) -> RetryDelay {
        RetryDelay { first, factor: 1 }
    }

    /// Counts a failure, and returns the delay after it.
    pub(crate) fn next(&mut self) -> Duration {
        let delay = self.first.saturating_mul(self.factor);
        self.factor = (self.factor * 2).min(RetryDelay::FACTOR_MAX);
        assert!(self.factor.is_power_of_two(), "the delay doubles");
        delay
    }

    /// Starts again with the first delay, after a success.
    pub(crate) fn reset(&mut self) {
        self.factor = 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_up_to_its_maximum_until_a_success() {
        let mut delay = RetryDelay::new(Duration::from_secs(1));
        let seconds: Vec<u64> = (0..6).map(|_| delay.next().as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 16]);
        delay.reset();
        assert_eq!(delay.next(), Duration::from_secs(1));
    }
}
