//! The primitive metrics, which are atomics, and do nothing without the feature `metrics`.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// Whether metrics are recorded.
pub(in crate::runtime) const ENABLED: bool = cfg!(feature = "metrics");

/// A value that only increases.
#[derive(Debug, Default)]
pub(in crate::runtime) struct Counter(AtomicU64);

/// A value that increases and decreases.
#[derive(Debug, Default)]
pub(in crate::runtime) struct Gauge(AtomicU64);

/// A histogram of durations.
#[derive(Debug, Default)]
pub(in crate::runtime) struct Histogram {
    /// One count for each bound, and one for longer durations.
    buckets: [AtomicU64; BUCKET_BOUNDS_MICROSECONDS.len() + 1],
    nanoseconds: AtomicU64,
}

/// The inclusive upper bound of each bucket, in microseconds.
pub(in crate::runtime) const BUCKET_BOUNDS_MICROSECONDS: [u64; 19] = [
    10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000,
    500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000,
];

/// A stopwatch, which does not run if metrics are disabled.
#[derive(Clone, Copy, Debug)]
pub(in crate::runtime) struct Stopwatch(Option<Instant>);

impl Counter {
    pub(in crate::runtime) fn add(&self, count: u64) {
        if ENABLED {
            self.0.fetch_add(count, Relaxed);
        }
    }

    /// Raises the counter to `total`, which was counted elsewhere.
    pub(in crate::runtime) fn raise(&self, total: u64) {
        if ENABLED {
            self.0.fetch_max(total, Relaxed);
        }
    }
}

impl Gauge {
    pub(in crate::runtime) fn set(&self, value: u64) {
        if ENABLED {
            self.0.store(value, Relaxed);
        }
    }

    pub(in crate::runtime) fn increment(&self) {
        if ENABLED {
            self.0.fetch_add(1, Relaxed);
        }
    }

    pub(in crate::runtime) fn decrement(&self) {
        if ENABLED {
            self.0.fetch_sub(1, Relaxed);
        }
    }
}

impl Histogram {
    pub(in crate::runtime) fn observe(&self, since: Stopwatch) {
        if ENABLED {
            self.add(since.elapsed());
        }
    }

    fn add(&self, time: Duration) {
        let microseconds = u64::try_from(time.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX);
        let bucket = BUCKET_BOUNDS_MICROSECONDS.partition_point(|bound| *bound < microseconds);
        self.buckets[bucket].fetch_add(1, Relaxed);
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }
}

impl Stopwatch {
    pub(in crate::runtime) fn start() -> Stopwatch {
        Stopwatch(ENABLED.then(Instant::now))
    }

    pub(in crate::runtime) fn elapsed(self) -> Duration {
        self.0.map_or(Duration::ZERO, |start| start.elapsed())
    }
}

#[cfg(feature = "metrics")]
impl Counter {
    pub(in crate::runtime) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

#[cfg(feature = "metrics")]
impl Gauge {
    pub(in crate::runtime) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

#[cfg(feature = "metrics")]
impl Histogram {
    /// Returns the count of each bucket: those of [`BUCKET_BOUNDS_MICROSECONDS`], then longer
    /// durations.
    pub(in crate::runtime) fn buckets(&self) -> [u64; BUCKET_BOUNDS_MICROSECONDS.len() + 1] {
        self.buckets.each_ref().map(|bucket: &AtomicU64| bucket.load(Relaxed))
    }

    /// Returns the sum of all durations.
    pub(in crate::runtime) fn sum(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Relaxed))
    }
}

#[cfg(test)]
#[cfg(feature = "metrics")]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_in_the_first_bucket_that_includes_it() {
        let histogram = Histogram::default();
        let nanoseconds = [0, 10_000, 10_001, 20_000, 10_000_000_000, 10_000_000_001];
        for time in nanoseconds {
            histogram.add(Duration::from_nanos(time));
        }
        let buckets = histogram.buckets();
        assert_eq!((buckets[0], buckets[1], buckets[18], buckets[19]), (2, 2, 1, 1));
        assert_eq!(histogram.sum(), Duration::from_nanos(nanoseconds.iter().sum()));
    }
}
