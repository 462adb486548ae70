//! Chaos runs of a user's own state machine: one call for a test, one error to print.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::observe::TraceSink;
use crate::observe::outcome::{Failure, Outcome, Tally};
use crate::run::RunOptions;
use crate::run::sweep::{Seeds, Sweep};
use crate::workload::{AnyWorkload, Workload};

/// A failed chaos run: the failure, its seed, and what a person needs to find the cause.
///
/// Without the feature `cli`, only the seed, the failure and the end of the trace are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChaosFailure {
    /// The seed of the failed run; the same seed always fails in the same way.
    pub seed: u64,
    /// The reason why the run failed.
    pub failure: Failure,
    /// The cause in one sentence.
    pub cause: String,
    /// The lines of the smallest scenario that was found to fail in the same way.
    pub scenario: Vec<String>,
    /// The clients' operations in that scenario, in the words of [`Workload::describe_command`].
    pub operations: Vec<String>,
    /// The files that were written: the scenario, and an HTML page of its run.
    pub files: Vec<PathBuf>,
    /// Commands that show more of the run, for the user's own simulator command.
    pub next: Vec<String>,
    /// The last lines of the trace before the failure, if the run could not be shrunk.
    pub trace: Vec<String>,
}

/// The maximum number of trace lines that a failure keeps.
const LINES_MAX: usize = 60;

/// The maximum number of seeds that are taken from the iterator for one sweep.
const SEEDS_AT_ONCE: usize = 4_096;

/// Runs `workload` once for each of `seeds`, on all cores, each time in a cluster with faults of
/// its own and with every check; returns the counts of all runs together. The first failed run is
/// shrunk and explained, which takes up to half a minute. With the feature `cli`, a line on
/// standard error reports progress every 10 seconds.
///
/// # Errors
/// The chaos run that failed, with its seed: the first one in the order of `seeds`.
///
/// ```
/// use quorate_sim::chaos::run;
/// use quorate_sim::workload::kv::Kv;
///
/// let tally = run(Kv::new(8, 24), 1..3).expect("the store survives");
/// assert!(tally.commands_committed > 0);
/// ```
pub fn run(
    workload: impl Workload,
    seeds: impl IntoIterator<Item = u64>,
) -> Result<Tally, Box<ChaosFailure>> {
    let workload = AnyWorkload::new(workload);
    let options = RunOptions { workload, ..RunOptions::default() };
    let mut tally = Tally::default();
    #[cfg(feature = "cli")]
    let mut progress = crate::cli::chaos::RunProgress::start();
    let mut seeds = seeds.into_iter();
    loop {
        let some: Vec<u64> = seeds.by_ref().take(SEEDS_AT_ONCE).collect();
        let Some(last) = (some.len() as u64).checked_sub(1) else { return Ok(tally) };
        let mut failed = None;
        let jobs = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        // The sweep runs positions in the list of seeds.
        let sweep = Sweep {
            seeds: &Seeds::all(0..=last),
            jobs,
            run: &|position| run_seed(some[position as usize], &options),
            recheck_every: u64::MAX,
            failures_max: 1,
            stable_after: None,
            interrupt: &|| None,
            cpu_time: &|| Duration::ZERO,
        };
        sweep.run_all(&mut |run| {
            tally.add(&run.outcome.tally);
            #[cfg(feature = "cli")]
            progress.advance(&tally);
            if let (None, Some(failure)) = (&failed, &run.outcome.failure) {
                failed = Some((run.outcome.seed, failure.clone()));
            }
        });
        if let Some((seed, failure)) = failed {
            return Err(Box::new(described(seed, failure, &options)));
        }
    }
}

#[cfg(feature = "cli")]
fn run_seed(seed: u64, options: &RunOptions) -> Outcome {
    crate::cli::chaos::run_seed(seed, options)
}

#[cfg(not(feature = "cli"))]
fn run_seed(seed: u64, options: &RunOptions) -> Outcome {
    crate::run::run(seed, options)
}

#[cfg(feature = "cli")]
fn described(seed: u64, failure: Failure, options: &RunOptions) -> ChaosFailure {
    // A run that differs each time cannot be shrunk.
    let known = match failure {
        Failure::Nondeterminism(_) => crate::cli::chaos::FailedRun::default(),
        _ => crate::cli::chaos::failed_run(&options.workload, seed),
    };
    let trace = if known.scenario.is_empty() { trace_of(seed, options) } else { Vec::new() };
    let crate::cli::chaos::FailedRun { cause, scenario, operations, files, next } = known;
    ChaosFailure { seed, failure, cause, scenario, operations, files, next, trace }
}

#[cfg(not(feature = "cli"))]
fn described(seed: u64, failure: Failure, options: &RunOptions) -> ChaosFailure {
    ChaosFailure {
        seed,
        failure,
        cause: String::new(),
        scenario: Vec::new(),
        operations: Vec::new(),
        files: Vec::new(),
        next: Vec::new(),
        trace: trace_of(seed, options),
    }
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
    let _ = run_seed(seed, &RunOptions { trace: Some(trace), ..options.clone() });
    let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    std::mem::take(&mut *lines).into()
}

impl fmt::Display for ChaosFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.failure)?;
        if !self.failure.to_string().contains(&self.cause) {
            writeln!(f, "cause, in the smallest run that fails in the same way: {}", self.cause)?;
        }
        let parts = [
            ("the smallest scenario that fails in the same way:", &self.scenario),
            ("its client operations:", &self.operations),
        ];
        for (title, lines) in parts.into_iter().filter(|(_, lines)| !lines.is_empty()) {
            writeln!(f, "{title}")?;
            lines.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        }
        for (name, file) in ["scenario:", "page:"].iter().zip(&self.files) {
            writeln!(f, "{name:<9} {}", file.display())?;
        }
        if !self.next.is_empty() {
            writeln!(f, "next, with a command of your own (docs/SCENARIOS.md):")?;
            self.next.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        }
        self.trace.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl std::error::Error for ChaosFailure {}
