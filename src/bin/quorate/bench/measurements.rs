//! The results of a benchmark: counts and latencies.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::exit::{CommandError, Exit};
use crate::table::Table;

/// The results of all clients together.
#[derive(Debug, Default)]
pub(super) struct Measurements(Mutex<Totals>);

#[derive(Debug, Default)]
struct Totals {
    writes: Latencies,
    reads: Latencies,
    failed: u64,
    first_error: Option<CommandError>,
    /// Whether the outcome of a failed command is unknown.
    has_unknown: bool,
    elapsed: Duration,
}

/// A histogram of latencies in microseconds, with three significant digits.
#[derive(Debug)]
struct Latencies(Histogram<u64>);

/// The longest latency that is recorded: one hour.
const MICROSECONDS_MAX: u64 = 3_600_000_000;

/// The quantiles that are printed.
const QUANTILES: [(&str, f64); 5] =
    [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];

impl Default for Latencies {
    fn default() -> Latencies {
        let bounds = Histogram::new_with_bounds(1, MICROSECONDS_MAX, 3);
        Latencies(bounds.expect("three digits are possible"))
    }
}

impl Measurements {
    fn totals(&self) -> MutexGuard<'_, Totals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the latency or the error of one command.
    pub(super) fn add(&self, read: bool, took: Duration, error: Option<&CommandError>) {
        let mut totals = self.totals();
        match error {
            Some(error) => {
                totals.failed += 1;
                totals.has_unknown |= error.exit == Exit::Unknown;
                totals.first_error.get_or_insert_with(|| error.clone());
            }
            None => {
                let latencies = if read { &mut totals.reads } else { &mut totals.writes };
                let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                latencies.0.saturating_record(microseconds);
            }
        }
    }

    /// Records the duration of the benchmark.
    pub(super) fn set_elapsed(&self, span: Duration) {
        self.totals().elapsed = span;
    }

    /// Returns the exit code of the benchmark: success if any command succeeded; otherwise unknown
    /// if the outcome of any command is unknown, or else the exit code of the first failure.
    pub(super) fn exit(&self) -> Exit {
        let totals = self.totals();
        if !totals.writes.0.is_empty() || !totals.reads.0.is_empty() {
            return Exit::Done;
        }
        match &totals.first_error {
            _ if totals.has_unknown => Exit::Unknown,
            Some(error) => error.exit,
            None => Exit::NotExecuted,
        }
    }

    /// Returns the present counts as text.
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
                let rate = latencies.per_second(totals.elapsed);
                let head = [name.to_owned(), latencies.0.len().to_string(), format!("{rate:.0}")];
                let quantile = |(_, quantile)| {
                    let microseconds = latencies.0.value_at_quantile(quantile);
                    format!("{:.2} ms", microseconds as f64 / 1000.0)
                };
                table.row(head.into_iter().chain(QUANTILES.map(quantile)));
            }
        }
        let failed = match &totals.first_error {
            Some(error) => format!("{} failed, the first one: {}\n", totals.failed, error.text),
            None => String::new(),
        };
        format!("{table}{failed}")
    }

    pub(super) fn json(&self) -> Value {
        let totals = self.totals();
        let one = |latencies: &Latencies| {
            let mut object = json!({
                "answered": latencies.0.len(),
                "per_second": latencies.per_second(totals.elapsed),
            });
            for (name, quantile) in QUANTILES {
                object[format!("{name}_us")] = latencies.0.value_at_quantile(quantile).into();
            }
            object
        };
        json!({
            "seconds": totals.elapsed.as_secs_f64(),
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
    fn a_benchmark_in_which_everything_fails_has_the_exit_code_of_its_failures() {
        let measured = Measurements::default();
        for exit in [Exit::Rejected, Exit::NotExecuted, Exit::Unknown] {
            let error = CommandError::new(exit, "it failed");
            measured.add(false, Duration::from_millis(3), Some(&error));
            let first_or_unknown = if exit == Exit::Unknown { exit } else { Exit::Rejected };
            assert_eq!(measured.exit(), first_or_unknown);
        }
    }

    #[test]
    fn long_latencies_are_recorded() {
        let measured = Measurements::default();
        assert_eq!(measured.exit(), Exit::NotExecuted);
        measured.add(false, Duration::from_secs(7), None);
        measured.add(true, Duration::from_millis(3), None);
        measured.set_elapsed(Duration::from_secs(2));
        assert_eq!(measured.exit(), Exit::Done);
        let json = measured.json();
        let near = |json: &Value, micros: u64| {
            json.as_u64().is_some_and(|json| json.abs_diff(micros) <= micros / 500)
        };
        assert!(near(&json["writes"]["max_us"], 7_000_000), "{json}");
        assert!(near(&json["reads"]["p50_us"], 3_000), "{json}");
    }
}
