//! `cargo sim`: a sweep over many seeds, or the replay of one seed.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::thread;

use crate::cli::args::SweepArguments;
use crate::cli::canary::Canary;
use crate::cli::clock::{self, Stopwatch};
use crate::cli::console;
use crate::cli::exit::{CommandError, CommandResult};
use crate::cli::interrupt;
use crate::cli::panics;
use crate::cli::program::Program;
use crate::cli::progress::{Progress, ProgressGoal};
use crate::cli::report::Outputs;
use crate::cli::report::content::Report;
use crate::cli::report::table;
use crate::cli::shrink;
use crate::cli::tracing::Trace;
use crate::run::RunOptions;
use crate::run::summary::Summary;
use crate::run::sweep::{Seeds, Sweep, SweepEnd};

/// The number of seeds of a sweep without `--seeds`.
const DEFAULT_SEEDS: u64 = 1_000;
/// The number of seeds in a row without new coverage after which a sweep is stable.
const STABLE_AFTER: u64 = 500;
/// One in this many seeds is run twice, to detect nondeterminism.
const RECHECK_EVERY: u64 = 100;

/// Runs the sweep, or replays the seed.
pub(crate) fn execute(program: &Program, arguments: &SweepArguments) -> CommandResult {
    // The first Ctrl-C stops the sweep after the running seeds; a second one ends the process.
    interrupt::listen(true);
    let outputs = Outputs::open(&arguments.output)?;
    let seeds = seeds(arguments)?;
    let jobs = jobs(arguments, &seeds);

    let trace = arguments.trace.then(Trace::to_stdout);
    let options = program.options(arguments.seed_options);
    let run = |seed| match trace.as_ref().and_then(Trace::take) {
        Some(sink) => panics::run(seed, &RunOptions { trace: Some(sink), ..options.clone() }),
        None => panics::run(seed, &options),
    };
    let first = *seeds.range.start();
    let canary = arguments.seed.is_none().then(|| Canary::run(first, &options));
    let watch = Stopwatch::start();
    let sweep = Sweep {
        seeds: &seeds.clone(),
        jobs,
        run: &run,
        recheck_every: RECHECK_EVERY,
        failures_max: arguments.failures_max.get(),
        stable_after: arguments.until.map(|_| STABLE_AFTER),
        interrupt: &|| {
            let expired = arguments.time.is_some_and(|limit| watch.elapsed() >= limit);
            if interrupt::interrupted() {
                Some(SweepEnd::Interrupted)
            } else {
                expired.then_some(SweepEnd::Time)
            }
        },
        cpu_time: &clock::thread_cpu,
    };

    let mut summary = Summary::default();
    let mut progress = Progress::start(goal(arguments, &seeds));
    let end = sweep.run_all(&mut |run| {
        summary.add(run);
        if run.outcome.failure.is_some() && !arguments.output.json {
            trace.iter().for_each(Trace::flush);
            let failed = summary.failed.last().expect("the failed seed was just added");
            let replay = program.seed_line(failed.seed, arguments.seed_options);
            progress.interleave(|| console::print_line(&table::failure(failed, &replay)));
        }
        progress.advance(&summary);
    });
    trace.iter().for_each(Trace::flush);
    let (elapsed, seed_options) = (progress.finish(), arguments.seed_options);
    let shrunk = match arguments.output.shrinks() {
        true => shrink::first_of_each(program, &summary.failed, seed_options, &arguments.output),
        false => BTreeMap::new(),
    };
    let report = Report {
        program: program.name.clone(),
        is_builtin: program.is_builtin,
        seed_options,
        seeds,
        parts: None,
        jobs,
        replayed_seed: arguments.seed,
        canary,
        summary,
        shrunk,
        end,
        elapsed,
    };
    outputs.write(&report)?;
    Ok(report.exit())
}

fn seeds(arguments: &SweepArguments) -> CommandResult<Seeds> {
    let open = arguments.time.is_some() || arguments.until.is_some();
    let range = match (&arguments.seeds, arguments.seed) {
        (Some(range), _) => range.clone(),
        (None, Some(seed)) => seed..=seed,
        (None, None) if open => 0..=u64::MAX,
        (None, None) => 0..=DEFAULT_SEEDS - 1,
    };
    let range = match arguments.rotate {
        Some(times) => rotated(&range, times).ok_or_else(|| {
            CommandError(format!(
                "--rotate {times}: the shifted range exceeds the largest seed: use --seeds A..B"
            ))
        })?,
        None => range,
    };
    Ok(match arguments.shard {
        Some(shard) => Seeds { range, index: shard.number - 1, of: shard.of },
        None => Seeds::all(range),
    })
}

/// Returns the range shifted by `times` its length, or `None` on overflow.
fn rotated(range: &RangeInclusive<u64>, times: u64) -> Option<RangeInclusive<u64>> {
    let length = (range.end() - range.start()).checked_add(1)?;
    let by = length.checked_mul(times)?;
    Some(range.start().checked_add(by)?..=range.end().checked_add(by)?)
}

/// Returns the number of threads: at most one per seed.
fn jobs(arguments: &SweepArguments, seeds: &Seeds) -> NonZeroUsize {
    let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let wanted = arguments.jobs.unwrap_or(cores).get();
    let useful = usize::try_from(seeds.count()).unwrap_or(usize::MAX);
    NonZeroUsize::new(wanted.min(useful)).unwrap_or(NonZeroUsize::MIN)
}

fn goal(arguments: &SweepArguments, seeds: &Seeds) -> ProgressGoal {
    match arguments.time {
        Some(limit) => ProgressGoal::Time(limit),
        None if arguments.until.is_some() => ProgressGoal::Open,
        None => ProgressGoal::Seeds(seeds.count()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_shifts_the_range_by_its_length() {
        assert_eq!(rotated(&(0..=999), 0), Some(0..=999));
        assert_eq!(rotated(&(500..=599), 3), Some(800..=899));
        assert_eq!(rotated(&(0..=u64::MAX), 1), None);
        assert_eq!(rotated(&(0..=999), u64::MAX), None);
    }
}
