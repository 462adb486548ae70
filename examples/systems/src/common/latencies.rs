//! How long many waited, told in quantiles.

use std::time::Duration;

use hdrhistogram::Histogram;

/// How long clients waited, in microseconds, to three digits.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

/// The longest wait that is told apart: an hour.
const MICROSECONDS_MAX: u64 = 3_600_000_000;

impl Default for Latencies {
    fn default() -> Latencies {
        let bounds = Histogram::new_with_bounds(1, MICROSECONDS_MAX, 3);
        Latencies(bounds.expect("three digits are possible"))
    }
}

impl Latencies {
    /// One more that waited.
    pub fn add(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// All of the others, too.
    pub fn add_all(&mut self, others: &Latencies) {
        self.0.add(&others.0).expect("all have the same bounds");
    }

    /// How long the quickest of this part of them waited at most, in milliseconds.
    #[must_use]
    pub fn milliseconds(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_of_all_that_waited() {
        let (mut one, mut other) = (Latencies::default(), Latencies::default());
        (0..99).for_each(|_| one.add(Duration::from_millis(1)));
        other.add(Duration::from_secs(1));
        one.add_all(&other);
        assert!((one.milliseconds(0.5) - 1.0).abs() < 0.01);
        assert!((one.milliseconds(1.0) - 1000.0).abs() < 1.0);
    }
}
