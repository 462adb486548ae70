//! Latencies of many requests, as a histogram with quantiles.

use std::time::Duration;

use hdrhistogram::Histogram;

/// A histogram of latencies in microseconds, with a precision of three digits.
#[derive(Clone, Debug)]
pub struct Latencies(Histogram<u64>);

/// The largest recorded latency, one hour; longer latencies are recorded as one hour.
const MICROSECONDS_MAX: u64 = 3_600_000_000;

impl Default for Latencies {
    fn default() -> Latencies {
        let bounds = Histogram::new_with_bounds(1, MICROSECONDS_MAX, 3);
        Latencies(bounds.expect("the bounds are valid"))
    }
}

impl Latencies {
    /// Records the latency of one request.
    pub fn add(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// Adds all latencies of `others`.
    pub fn merge(&mut self, others: &Latencies) {
        self.0.add(&others.0).expect("all histograms have the same bounds");
    }

    /// Returns a quantile, from 0 to 1, in milliseconds.
    #[must_use]
    pub fn milliseconds(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_covers_all_merged_latencies() {
        let (mut one, mut other) = (Latencies::default(), Latencies::default());
        (0..99).for_each(|_| one.add(Duration::from_millis(1)));
        other.add(Duration::from_secs(1));
        one.merge(&other);
        assert!((one.milliseconds(0.5) - 1.0).abs() < 0.01);
        assert!((one.milliseconds(1.0) - 1000.0).abs() < 1.0);
    }
}
