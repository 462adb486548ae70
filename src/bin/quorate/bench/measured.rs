//! What a load was answered, and how fast.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::exit::Trouble;
use crate::table::Table;

/// What all clients together saw.
#[derive(Debug, Default)]
pub(super) struct Measured(Mutex<Totals>);

#[derive(Debug, Default)]
struct Totals {
    writes: Latencies,
    reads: Latencies,
    failed: u64,
    trouble: Option<String>,
    took: Duration,
}

/// Microseconds, to three digits.
#[derive(Debug)]
struct Latencies(Histogram<u64>);

/// The longest that is told apart: an hour.
const MICROSECONDS_MAX: u64 = 3_600_000_000;

/// What is told of them.
const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

impl Default for Latencies {
    fn default() -> Latencies {
        let bounds = Histogram::new_with_bounds(1, MICROSECONDS_MAX, 3);
        Latencies(bounds.expect("three digits are possible"))
    }
}

impl Measured {
    fn totals(&self) -> MutexGuard<'_, Totals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one command.
    pub(super) fn add(&self, read: bool, took: Duration, trouble: Option<&Trouble>) {
        let mut totals = self.totals();
        match trouble {
            Some(trouble) => {
                totals.failed += 1;
                totals.trouble.get_or_insert_with(|| trouble.text.clone());
            }
            None => {
                let latencies = if read { &mut totals.reads } else { &mut totals.writes };
                let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                latencies.0.saturating_record(microseconds);
            }
        }
    }

    /// How long the load went on.
    pub(super) fn took(&self, span: Duration) {
        self.totals().took = span;
    }

    /// Whether nothing was answered.
    pub(super) fn is_empty(&self) -> bool {
        let totals = self.totals();
        totals.writes.0.is_empty() && totals.reads.0.is_empty()
    }

    /// How it goes, in a few words.
    pub(super) fn progress(&self) -> String {
        let totals = self.totals();
        let (writes, reads) = (totals.writes.0.len(), totals.reads.0.len());
        format!("{writes} writes, {reads} reads, {} failed", totals.failed)
    }

    pub(super) fn text(&self) -> String {
        let totals = self.totals();
        let mut table = Table::default();
        let titles = ["", "answered", "per second"].into_iter().map(str::to_owned);
        table.row(titles.chain(QUANTILES.map(|(name, _)| name.to_owned())));
        for (name, latencies) in [("writes", &totals.writes), ("reads", &totals.reads)] {
            if !latencies.0.is_empty() {
                let rate = latencies.per_second(totals.took);
                let head = [name.to_owned(), latencies.0.len().to_string(), format!("{rate:.0}")];
                let quantile = |(_, quantile)| {
                    let microseconds = latencies.0.value_at_quantile(quantile);
                    format!("{:.2} ms", microseconds as f64 / 1000.0)
                };
                table.row(head.into_iter().chain(QUANTILES.map(quantile)));
            }
        }
        let failed = match &totals.trouble {
            Some(trouble) => format!("{} failed, the first because {trouble}\n", totals.failed),
            None => String::new(),
        };
        format!("{table}{failed}")
    }

    pub(super) fn json(&self) -> Value {
        let totals = self.totals();
        let one = |latencies: &Latencies| {
            let mut object = json!({
                "answered": latencies.0.len(),
                "per_second": latencies.per_second(totals.took),
            });
            for (name, quantile) in QUANTILES {
                object[format!("{name}_us")] = latencies.0.value_at_quantile(quantile).into();
            }
            object
        };
        json!({
            "seconds": totals.took.as_secs_f64(),
            "writes": one(&totals.writes),
            "reads": one(&totals.reads),
            "failed": totals.failed,
        })
    }
}

impl Latencies {
    fn per_second(&self, took: Duration) -> f64 {
        self.0.len() as f64 / took.as_secs_f64().max(f64::EPSILON)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_wait_is_told_as_it_was() {
        let measured = Measured::default();
        assert!(measured.is_empty());
        measured.add(false, Duration::from_secs(7), None);
        measured.add(true, Duration::from_millis(3), None);
        measured.took(Duration::from_secs(2));
        let told = measured.json();
        let near = |told: &Value, micros: u64| {
            told.as_u64().is_some_and(|told| told.abs_diff(micros) <= micros / 500)
        };
        assert!(near(&told["writes"]["max_us"], 7_000_000), "{told}");
        assert!(near(&told["reads"]["p50_us"], 3_000), "{told}");
    }
}
