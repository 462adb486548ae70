//! `cargo sim`: a sweep over many seeds, or one seed run again.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::thread;

use crate::cli::args::SweepArguments;
use crate::cli::canary::Canary;
use crate::cli::clock::{self, Stopwatch};
use crate::cli::console;
use crate::cli::exit::{Exit, Trouble};
use crate::cli::interrupt;
use crate::cli::panics;
use crate::cli::program::Program;
use crate::cli::progress::{Goal, Progress};
use crate::cli::report::Outputs;
use crate::cli::report::content::Report;
use crate::cli::report::table;
use crate::cli::shrink;
use crate::cli::tracing::Trace;
use crate::run::RunOptions;
use crate::summary::Summary;
use crate::sweep::{End, Seeds, Sweep};

/// The seeds of the sweep that runs when nothing else is asked for, without the last.
const DEFAULT_SEEDS: u64 = 1_000;
/// How many seeds in a row without news make a sweep stable.
const STABLE_AFTER: u64 = 500;
/// Every how many seeds one is run twice.
const RECHECK_EVERY: u64 = 100;

/// Runs the sweep or the seed.
pub(crate) fn go(program: &Program, arguments: &SweepArguments) -> Result<Exit, Trouble> {
    // The first Ctrl-C ends the sweep after the seeds under way; a second one ends the process.
    interrupt::listen(true);
    panics::keep_quiet_in_seeds();
    let outputs = Outputs::open(&arguments.told)?;
    let seeds = seeds(arguments)?;
    let jobs = jobs(arguments, &seeds);

    let trace = arguments.trace.then(Trace::to_stdout);
    let options = program.options(arguments.family);
    let run = |seed| match trace.as_ref().and_then(Trace::take) {
        Some(sink) => panics::run(seed, &RunOptions { trace: Some(sink), ..options.clone() }),
        None => panics::run(seed, &options),
    };
    let canary = match arguments.seed {
        None => Some(Canary::fly(*seeds.range.start(), &options)),
        Some(_) => None,
    };
    let watch = Stopwatch::start();
    let sweep = Sweep {
        seeds: &seeds.clone(),
        jobs,
        run: &run,
        recheck_every: RECHECK_EVERY,
        failures_max: arguments.failures_max.get(),
        stable_after: arguments.until.map(|_| STABLE_AFTER),
        interrupt: &|| {
            let late = arguments.time.is_some_and(|limit| watch.elapsed() >= limit);
            let interrupted = interrupt::heard();
            if interrupted { Some(End::Interrupted) } else { late.then_some(End::Time) }
        },
        cpu_time: &clock::thread_cpu,
    };

    let mut summary = Summary::default();
    let mut progress = Progress::start(goal(arguments, &seeds));
    let end = sweep.go(&mut |run| {
        summary.add(run);
        if run.outcome.failure.is_some() && !arguments.told.json {
            if let Some(trace) = &trace {
                trace.flush();
            }
            let failed = summary.failed.last().expect("it was added just now");
            let replay = program.seed_line(failed.seed, arguments.family);
            progress.interleave(|| console::say(&table::failure(failed, &replay)));
        }
        progress.advance(&summary);
    });
    if let Some(trace) = &trace {
        trace.flush();
    }
    let elapsed = progress.finish();
    let (family, replayed) = (arguments.family, arguments.seed);
    let parts = None;
    let program = program.name.clone();
    let report =
        Report { program, family, seeds, parts, jobs, replayed, canary, summary, end, elapsed };
    outputs.write(&report)?;
    if arguments.shrink {
        shrink::first_of_each(&report.summary.failed, &options, jobs);
    }
    Ok(report.exit())
}

fn seeds(arguments: &SweepArguments) -> Result<Seeds, Trouble> {
    let open = arguments.time.is_some() || arguments.until.is_some();
    let range = match (&arguments.seeds, arguments.seed) {
        (Some(range), _) => range.clone(),
        (None, Some(seed)) => seed..=seed,
        (None, None) if open => 0..=u64::MAX,
        (None, None) => 0..=DEFAULT_SEEDS - 1,
    };
    let range = match arguments.rotate {
        Some(times) => rotated(&range, times).ok_or_else(|| {
            Trouble(format!("--rotate {times}: there are no seeds that far on: give --seeds A..B"))
        })?,
        None => range,
    };
    Ok(match arguments.shard {
        Some(shard) => Seeds { range, index: shard.number - 1, of: shard.of },
        None => Seeds::all(range),
    })
}

/// The range that comes so many lengths of it later, if numbers go that far.
fn rotated(range: &RangeInclusive<u64>, times: u64) -> Option<RangeInclusive<u64>> {
    let length = (range.end() - range.start()).checked_add(1)?;
    let by = length.checked_mul(times)?;
    Some(range.start().checked_add(by)?..=range.end().checked_add(by)?)
}

fn jobs(arguments: &SweepArguments, seeds: &Seeds) -> NonZeroUsize {
    let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let wanted = arguments.jobs.unwrap_or(cores).get();
    let useful = usize::try_from(seeds.count()).unwrap_or(usize::MAX);
    NonZeroUsize::new(wanted.min(useful)).unwrap_or(NonZeroUsize::MIN)
}

fn goal(arguments: &SweepArguments, seeds: &Seeds) -> Goal {
    match arguments.time {
        Some(limit) => Goal::Time(limit),
        None if arguments.until.is_some() => Goal::Open,
        None => Goal::Seeds(seeds.count()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rotation_has_seeds_of_its_own() {
        assert_eq!(rotated(&(0..=999), 0), Some(0..=999));
        assert_eq!(rotated(&(500..=599), 3), Some(800..=899));
        assert_eq!(rotated(&(0..=u64::MAX), 1), None);
        assert_eq!(rotated(&(0..=999), u64::MAX), None);
    }
}
