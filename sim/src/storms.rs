//! A user's own state machine in the storms: one call for a test, one answer to print.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::outcome::{Failure, Tally};
use crate::run::{RunOptions, run};
use crate::trace::TraceSink;
use crate::workload::{AnyWorkload, Workload};

/// A storm in which something went wrong: what, in which seed, and what happened last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallen {
    /// The seed: it falls again whenever it is run.
    pub seed: u64,
    /// What went wrong.
    pub failure: Failure,
    /// The last lines of the trace up to there.
    pub trace: Vec<String>,
}

/// How many lines of a trace are kept.
const LINES_MAX: usize = 60;

/// Runs `workload` once for each of `seeds`, each in a cluster and a storm of its own, with every
/// check; returns what all runs together came to.
///
/// # Errors
/// The first storm in which something went wrong, by its seed.
///
/// ```
/// use quorate_sim::storms::storms;
/// use quorate_sim::workload::kv::Kv;
///
/// let tally = storms(Kv::new(8, 24), 0..2).expect("the store survives");
/// assert!(tally.commands_committed > 0);
/// ```
pub fn storms(
    workload: impl Workload,
    seeds: impl IntoIterator<Item = u64>,
) -> Result<Tally, Box<Fallen>> {
    let workload = AnyWorkload::new(workload);
    let options = RunOptions { workload, ..RunOptions::default() };
    let mut tally = Tally::default();
    for seed in seeds {
        let outcome = run(seed, &options);
        if let Some(failure) = outcome.failure {
            return Err(Box::new(Fallen { seed, failure, trace: traced(seed, &options) }));
        }
        tally.add(&outcome.tally);
    }
    Ok(tally)
}

/// The end of the trace of a seed.
fn traced(seed: u64, options: &RunOptions) -> Vec<String> {
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
    let _ = run(seed, &RunOptions { trace: Some(trace), ..options.clone() });
    let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut *lines).into()
}

impl fmt::Display for Fallen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.failure)?;
        self.trace.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl std::error::Error for Fallen {}
