//! A command line for guests: it runs seeds or a scenario, and shrinks failing runs.

use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::Parser;
use quorate::types::parse_number;
use quorate_sim::observe::fingerprint::Fingerprint;
use quorate_sim::observe::outcome::{Failure, Outcome, Tally};
use quorate_sim::run::sweep::{Seeds, Sweep};
use quorate_sim::run::{Case, RunOptions};
use quorate_sim::settings::profile::Profile;
use quorate_sim::shrink::{ShrinkOptions, shrink};

use crate::case;
use crate::guest::Guest;
use crate::run::run;

/// A core, and its name on the command line.
#[derive(Clone, Copy)]
pub struct Core {
    name: &'static str,
    command: fn(&Args) -> Result<ExitCode, String>,
}

impl Core {
    /// Returns the core `G` with this name.
    #[must_use]
    pub fn new<G: Guest>(name: &'static str) -> Core {
        Core { name, command: command::<G> }
    }
}

#[derive(Parser)]
#[command(about = "Chaos runs of consensus cores, by the simulator of quorate")]
struct Args {
    /// The core to run.
    core: String,
    /// The seeds to run, from the first up to but not including the second.
    #[arg(long, default_value = "0..1000", value_parser = seeds)]
    seeds: (u64, u64),
    /// Runs this seed alone.
    #[arg(long, conflicts_with = "seeds", value_parser = number)]
    seed: Option<u64>,
    /// Runs the scenario of this file.
    #[arg(long, conflicts_with_all = ["seeds", "seed"])]
    scenario: Option<PathBuf>,
    /// The cluster shape and the kinds of faults that are injected, as in `cargo sim`.
    #[arg(long, default_value = "default")]
    profile: String,
    /// Prints every event of the run.
    #[arg(long)]
    trace: bool,
    /// The number of threads.
    #[arg(long, default_value_t = NonZeroUsize::MIN, value_parser = threads)]
    jobs: NonZeroUsize,
    /// The number of failing seeds after which a sweep ends.
    #[arg(long, default_value_t = 1, value_parser = number)]
    failures: u64,
    /// The maximum number of runs of the search for a smaller failing run; 0 leaves the run as it
    /// is.
    #[arg(long, default_value_t = 3000, value_parser = number)]
    shrink: u64,
}

/// The maximum number of events of a run: the few runs that reach it end there without a failure.
const EVENTS_MAX: u64 = 1_000_000;

fn seeds(text: &str) -> Result<(u64, u64), String> {
    let range = text.split_once("..").ok_or("write a range like 0..1000")?;
    let (from, to) = (number(range.0)?, number(range.1)?);
    if from < to { Ok((from, to)) } else { Err(format!("{from} is not below {to}")) }
}

/// Parses a seed or a limit.
fn number(text: &str) -> Result<u64, String> {
    parse_number(text, 0..=u64::MAX)
}

/// Parses a number of threads.
fn threads(text: &str) -> Result<NonZeroUsize, String> {
    let number = parse_number(text, 1..=4096)?;
    Ok(NonZeroUsize::MIN.saturating_add(usize::try_from(number - 1).unwrap_or(0)))
}

/// Runs the command line of a program that knows these cores.
#[must_use]
pub fn main(cores: &[Core]) -> ExitCode {
    let args = Args::parse();
    let done = match cores.iter().find(|core| core.name == args.core) {
        Some(core) => (core.command)(&args),
        None => {
            let names: Vec<&str> = cores.iter().map(|core| core.name).collect();
            Err(format!("there is no core `{}`; name one of: {}", args.core, names.join(", ")))
        }
    };
    done.unwrap_or_else(|error| {
        eprintln!("{error}");
        ExitCode::from(2)
    })
}

fn command<G: Guest>(args: &Args) -> Result<ExitCode, String> {
    let profile = Profile::by_name(&args.profile).map_err(|error| error.to_string())?;
    let mut options = RunOptions { profile, events_max: EVENTS_MAX, ..RunOptions::default() };
    if args.trace {
        options.trace = Some(Arc::new(|line: &str| println!("{line}")));
    }
    if let Some(path) = &args.scenario {
        let text = fs::read_to_string(path).map_err(|error| format!("{path:?}: {error}"))?;
        let scenario = case::read::<G>(&text, &options)?;
        let outcome = run::<G>(&scenario.case, &options);
        let unmet = scenario.unmet(&outcome);
        if !unmet.is_empty() {
            for unmet in unmet {
                println!("expected {}, observed {}", unmet.expected, unmet.observed);
            }
            return Ok(ExitCode::from(14));
        }
        println!("{}", summary(&outcome.tally));
        return Ok(ExitCode::SUCCESS);
    }
    match args.seed {
        Some(seed) => {
            let outcome = run::<G>(&case::draw::<G>(seed, &options), &options);
            println!("digest {:016x}  {}", outcome.digest, summary(&outcome.tally));
            options.trace = None;
            report::<G>(args, &options, &outcome);
            Ok(ExitCode::from(exit_code(&[outcome])))
        }
        None => Ok(sweep::<G>(args, &options)),
    }
}

fn sweep<G: Guest>(args: &Args, options: &RunOptions) -> ExitCode {
    let (mut runs, mut tally, mut failed) = (0u64, Tally::default(), Vec::new());
    let sweep = Sweep {
        seeds: &Seeds::all(args.seeds.0..=args.seeds.1 - 1),
        jobs: args.jobs,
        run: &|seed| run::<G>(&case::draw::<G>(seed, options), options),
        recheck_every: 100,
        failures_max: args.failures,
        stable_after: None,
        interrupt: &|| None,
        cpu_time: &|| Duration::ZERO,
    };
    sweep.run_all(&mut |seed| {
        runs += 1;
        tally.add(&seed.outcome.tally);
        if let Some(failure) = &seed.outcome.failure {
            println!("seed {}  {}  {failure}", seed.outcome.seed, Fingerprint::of(failure));
            failed.push(seed.outcome.clone());
        }
    });
    println!("{runs} seeds, {} failed: {}", failed.len(), summary(&tally));
    let faults: Vec<String> =
        tally.faults.iter().map(|(fault, count)| format!("{fault} {count}")).collect();
    println!("faults: {}", faults.join(", "));
    let mut seen = Vec::new();
    for outcome in &failed {
        let fingerprint = outcome.failure.as_ref().map(Fingerprint::of);
        if !seen.contains(&fingerprint) {
            seen.push(fingerprint);
            report::<G>(args, options, outcome);
        }
    }
    ExitCode::from(exit_code(&failed))
}

/// Returns the exit code of these outcomes: that of the smallest failed seed, as in `cargo sim`.
fn exit_code(outcomes: &[Outcome]) -> u8 {
    let failed = outcomes.iter().filter_map(|run| Some((run.seed, run.failure.as_ref()?)));
    match failed.min_by_key(|(seed, _)| *seed) {
        None => 0,
        Some((_, Failure::Safety(_))) => 10,
        Some((_, Failure::Liveness(_) | Failure::Stalled(_))) => 11,
        Some((_, Failure::Panic(_))) => 12,
        Some((_, Failure::Nondeterminism(_))) => 13,
        Some((_, Failure::Simulator(_))) => 16,
    }
}

fn summary(tally: &Tally) -> String {
    format!(
        "{} events, {} s simulated, {} elections, {} entries committed, {} replies, {} messages",
        tally.events,
        tally.simulated.as_secs(),
        tally.elections,
        tally.entries_committed,
        tally.operations_checked,
        tally.messages
    )
}

/// Prints the failure of a seed in one sentence, its shrunk scenario, and how to replay both.
fn report<G: Guest>(args: &Args, options: &RunOptions, outcome: &Outcome) {
    let Some(failure) = &outcome.failure else { return };
    println!("\nFAIL  {failure}");
    let program = format!("cargo run --release -- {}", args.core);
    let seed = outcome.seed;
    println!("replay: {program} --profile {} --seed {seed} --trace", options.profile.name);
    let case = case::draw::<G>(seed, options);
    if args.shrink > 0
        && let Some(lines) = smallest::<G>(args, options, &case)
    {
        println!("{lines}\nreplay: {program} --scenario FILE --trace");
    }
}

/// Returns the smallest scenario found that fails in the same way as the case.
fn smallest<G: Guest>(args: &Args, options: &RunOptions, case: &Case) -> Option<String> {
    let jobs = thread::available_parallelism().unwrap_or(args.jobs).min(args.jobs);
    let shrinking = ShrinkOptions {
        jobs,
        runs_max: args.shrink,
        is_out_of_time: &|| false,
        run: &run::<G>,
        on_progress: &|_, _| {},
    };
    let shrunk = shrink(case, options, shrinking)?;
    let lines = shrunk.scenario.lines();
    let failure = shrunk.outcome.failure.as_ref().map(Failure::to_string).unwrap_or_default();
    let (before, after) = (shrunk.before, shrunk.after);
    Some(format!(
        "shrunk from {} lines and {} events to {} and {}, in {} runs:\n# {failure}\n{}",
        before.lines,
        before.events,
        after.lines,
        after.events,
        shrunk.runs,
        lines.join("\n")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_failed_seed_decides_the_exit_code() {
        let outcome = |seed, failure| Outcome {
            seed,
            digest: 0,
            tally: Tally::default(),
            marks: Vec::new(),
            states: Default::default(),
            scripted: Default::default(),
            failure,
        };
        let panic = Some(Failure::Panic("it panics".to_owned()));
        let differs = Some(Failure::Nondeterminism("it differs".to_owned()));
        let outcomes = [outcome(5, differs.clone()), outcome(3, panic), outcome(1, None)];
        assert_eq!(exit_code(&outcomes), 12);
        assert_eq!(exit_code(&[outcome(7, differs)]), 13);
        assert_eq!(exit_code(&outcomes[2..]), 0);
    }
}
