//! Chaos runs of a user's own state machine: one call for a test, one error to print.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::observe::TraceSink;
use crate::observe::outcome::{Failure, Tally};
use crate::run::{self, RunOptions};
use crate::workload::{AnyWorkload, Workload};

/// A failed chaos run: the failure, its seed, and the end of its trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChaosFailure {
    /// The seed of the failed run; the same seed always fails in the same way.
    pub seed: u64,
    /// The reason why the run failed.
    pub failure: Failure,
    /// The last lines of the trace before the failure.
    pub trace: Vec<String>,
}

/// The most trace lines that a failure keeps.
const LINES_MAX: usize = 60;

/// Runs `workload` once for each of `seeds`, each time in a cluster with faults of its own and with
/// every check; returns the counts of all runs together.
///
/// # Errors
/// The first chaos run that failed, with its seed.
///
/// ```
/// use quorate_sim::chaos::run;
/// use quorate_sim::workload::kv::Kv;
///
/// let tally = run(Kv::new(8, 24), 0..2).expect("the store survives");
/// assert!(tally.commands_committed > 0);
/// ```
pub fn run(
    workload: impl Workload,
    seeds: impl IntoIterator<Item = u64>,
) -> Result<Tally, Box<ChaosFailure>> {
    let workload = AnyWorkload::new(workload);
    let options = RunOptions { workload, ..RunOptions::default() };
    let mut tally = Tally::default();
    for seed in seeds {
        let outcome = run::run(seed, &options);
        if let Some(failure) = outcome.failure {
            return Err(Box::new(ChaosFailure { seed, failure, trace: trace_of(seed, &options) }));
        }
        tally.add(&outcome.tally);
    }
    Ok(tally)
}

/// Runs a seed again, with a trace, and returns the last lines of the trace.
fn trace_of(seed: u64, options: &RunOptions) -> Vec<String> {
    let lines: Arc<Mutex<VecDeque<String>>> = Arc::default();
    let sink = {
        let lines = Arc::clone(&lines);
        move |line: &str| {
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() == LINES_MAX {
                lines.pop_front();
            }
            lines.push_back(line.to_owned());
        }
    };
    let trace: TraceSink = Arc::new(sink);
    let _ = run::run(seed, &RunOptions { trace: Some(trace), ..options.clone() });
    let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut *lines).into()
}

impl fmt::Display for ChaosFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.failure)?;
        self.trace.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl std::error::Error for ChaosFailure {}
