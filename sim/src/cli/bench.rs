//! `cargo sim bench`: the cost of a simulated event in CPU time of one core, with all checks on.

use std::time::Duration;

use serde::Serialize;

use crate::cli::args::BenchArguments;
use crate::cli::clock;
use crate::cli::console;
use crate::cli::exit::{CommandResult, Exit};
use crate::cli::panics;
use crate::cli::program::Program;
use crate::cli::report::table;
use crate::cli::run_arguments::SeedOptions;
use crate::cli::text::{grouped, quantity, rate};
use crate::observe::outcome::Tally;
use crate::run::RunOptions;
use crate::run::summary::Summary;
use crate::run::sweep::SeedRun;
use crate::settings::profile::Profile;
use crate::settings::strategy::Strategy;

/// The profile that is measured: five nodes, most kinds of faults.
const PROFILE: &str = "five";
/// The profile whose CPU time is compared with its simulated time: nodes on several continents.
const WIDE_AREA_PROFILE: &str = "wide-area";
/// The number of seeds of one measurement, from seed 0 on.
const SEEDS: u64 = 20;
/// The factor by which long runs are longer in simulated time.
const LONG_RUN_FACTOR: u32 = 10;

/// One measurement: the seeds, one after the other, on this thread.
struct Measurement {
    /// The CPU time of each seed.
    cpu: Vec<Duration>,
    tally: Tally,
}

/// The result over all repetitions, from the minimum CPU time of each seed, because other load on
/// the machine can only make a seed slower.
#[derive(Debug, Serialize)]
struct BenchResult {
    repetitions: usize,
    seeds: u64,
    events: u64,
    events_per_cpu_second: u64,
    operations_checked_per_cpu_second: u64,
    events_per_cpu_second_without_checks: u64,
    events_per_cpu_second_of_long_runs: u64,
    /// The cost of an event of a long run, in thousandths of the cost of an event of the usual runs
    /// of the same seed, which are measured right before it: the median over all pairs.
    cost_ratio_permille: u64,
    /// Simulated seconds per second of CPU time, with nodes on several continents.
    simulated_seconds_per_cpu_second: u64,
}

/// The measurements of one repetition, or their minima over several.
struct Measurements {
    checked: Measurement,
    unchecked: Measurement,
    long: Measurement,
    wide_area: Measurement,
    /// The relative cost of an event of each long run, in thousandths of the usual runs before it.
    cost_permille: Vec<u64>,
}

/// Runs all measurements and prints the result.
pub(crate) fn execute(program: &Program, arguments: &BenchArguments) -> CommandResult {
    let of = |name| {
        let profile = Profile::by_name(name).expect("the profile exists");
        program.options(SeedOptions { profile, strategy: Strategy::default() })
    };
    let (usual, wide_area) = (of(PROFILE), of(WIDE_AREA_PROFILE));
    let unchecked = RunOptions { checks: false, ..usual.clone() };
    let long = RunOptions { length: LONG_RUN_FACTOR, ..usual.clone() };
    let repetitions = arguments.repetitions.get();
    let mut all: Option<Measurements> = None;
    for repetition in 1..=repetitions {
        eprintln!("repetition {repetition} of {repetitions}");
        match measure_all(program, SEEDS, [&usual, &unchecked, &long, &wide_area]) {
            Ok(measurements) => match &mut all {
                Some(all) => all.merge(measurements),
                None => all = Some(measurements),
            },
            Err((exit, text)) => {
                // The JSON is for a program; standard output must contain nothing else.
                eprintln!("{text}");
                return Ok(exit);
            }
        }
    }
    let result = summarize(repetitions, &all.expect("there is at least one repetition"));
    console::print_line(&if arguments.json { json(&result) } else { lines(&result) });
    Ok(Exit::Success)
}

impl Measurements {
    /// Merges the measurements of another repetition.
    fn merge(&mut self, other: Measurements) {
        self.checked.take_minimum(&other.checked);
        self.unchecked.take_minimum(&other.unchecked);
        self.long.take_minimum(&other.long);
        self.wide_area.take_minimum(&other.wide_area);
        self.cost_permille.extend(other.cost_permille);
    }
}

impl Measurement {
    /// Keeps the smaller CPU time of each seed.
    fn take_minimum(&mut self, other: &Measurement) {
        self.cpu.iter_mut().zip(&other.cpu).for_each(|(least, cpu)| *least = *cpu.min(least));
    }

    fn cpu(&self) -> Duration {
        self.cpu.iter().sum()
    }

    fn rate(&self, of: u64) -> u64 {
        rate(of, self.cpu())
    }
}

/// A failed seed, which ends the benchmark: its exit code and message.
type FailedRun = (Exit, String);

/// Runs every measurement once. They alternate, so that a slow phase of the machine affects all.
fn measure_all(
    program: &Program,
    seeds: u64,
    [usual, unchecked, long, wide_area]: [&RunOptions; 4],
) -> Result<Measurements, FailedRun> {
    let checked = measure(program, seeds, usual)?;
    let unchecked = measure(program, seeds, unchecked)?;
    let (long, cost_permille) = measure_long(program, seeds, usual, long)?;
    Ok(Measurements {
        checked,
        unchecked,
        long,
        wide_area: measure(program, seeds, wide_area)?,
        cost_permille,
    })
}

/// Runs the seeds one after the other.
fn measure(program: &Program, seeds: u64, options: &RunOptions) -> Result<Measurement, FailedRun> {
    let mut summary = Summary::default();
    let cpu = (0..seeds).map(|seed| run(program, options, seed, &mut summary));
    Ok(Measurement { cpu: cpu.collect::<Result<_, _>>()?, tally: summary.tally })
}

/// Runs each seed [`LONG_RUN_FACTOR`] times with the usual length, and then once as a long run.
fn measure_long(
    program: &Program,
    seeds: u64,
    usual: &RunOptions,
    long: &RunOptions,
) -> Result<(Measurement, Vec<u64>), FailedRun> {
    let (mut measurements, mut costs) = (Summary::default(), Vec::new());
    let mut all = Vec::new();
    for seed in 0..seeds {
        let mut before = Summary::default();
        let runs = (0..LONG_RUN_FACTOR).map(|_| run(program, usual, seed, &mut before));
        let short = runs.sum::<Result<Duration, FailedRun>>()?;
        let mut after = Summary::default();
        let cpu = run(program, long, seed, &mut after)?;
        costs.push(ratio((short, before.tally.events), (cpu, after.tally.events)));
        measurements.merge(after);
        all.push(cpu);
    }
    Ok((Measurement { cpu: all, tally: measurements.tally }, costs))
}

/// Runs a seed and returns its CPU time.
fn run(
    program: &Program,
    options: &RunOptions,
    seed: u64,
    summary: &mut Summary,
) -> Result<Duration, FailedRun> {
    let started = clock::thread_cpu();
    let outcome = panics::run(seed, options);
    let cpu = clock::thread_cpu().saturating_sub(started);
    summary.add(&SeedRun { outcome, cpu, rechecked: false });
    let Some(failed) = summary.failed.first() else { return Ok(cpu) };
    let seed_options = SeedOptions { profile: options.profile, strategy: options.strategy };
    let text = table::failure(failed, &program.seed_line(failed.seed, seed_options));
    Err((Exit::of(&failed.failure), text))
}

fn summarize(repetitions: usize, measurements: &Measurements) -> BenchResult {
    let Measurements { checked, unchecked, long, wide_area, cost_permille } = measurements;
    let events = |m: &Measurement| m.rate(m.tally.events);
    BenchResult {
        repetitions,
        seeds: SEEDS,
        events: checked.tally.events,
        events_per_cpu_second: events(checked),
        operations_checked_per_cpu_second: checked.rate(checked.tally.operations_checked),
        events_per_cpu_second_without_checks: events(unchecked),
        events_per_cpu_second_of_long_runs: events(long),
        cost_ratio_permille: median(cost_permille),
        simulated_seconds_per_cpu_second: wide_area.rate(wide_area.tally.simulated.as_secs()),
    }
}

/// Returns the cost of an event of the long runs, in thousandths of the cost of an event of the
/// usual runs. Each argument is a CPU time and a number of events.
fn ratio(usual: (Duration, u64), long: (Duration, u64)) -> u64 {
    let spent = |(cpu, _): (Duration, u64), (_, by)| cpu.as_nanos() * u128::from(by);
    let permille = (spent(long, usual) * 1000).checked_div(spent(usual, long));
    permille.and_then(|permille| u64::try_from(permille).ok()).unwrap_or(0)
}

fn median(of: &[u64]) -> u64 {
    let mut sorted = of.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

fn json(result: &BenchResult) -> String {
    serde_json::to_string_pretty(result).expect("the result is always valid JSON")
}

fn lines(result: &BenchResult) -> String {
    let per_second = |figure| format!("{} per CPU-second", grouped(figure));
    let ratio = result.cost_ratio_permille;
    let rows = [
        ("events", per_second(result.events_per_cpu_second)),
        ("client operations", per_second(result.operations_checked_per_cpu_second)),
        ("events, no checks", per_second(result.events_per_cpu_second_without_checks)),
        ("events, long runs", per_second(result.events_per_cpu_second_of_long_runs)),
        (
            "cost per event",
            format!(
                "{}.{:03} times as much in runs that are {LONG_RUN_FACTOR} times longer",
                ratio / 1000,
                ratio % 1000
            ),
        ),
        (
            "simulation speed",
            format!(
                "{} times real time, with nodes on several continents",
                grouped(result.simulated_seconds_per_cpu_second)
            ),
        ),
        (
            "measured on",
            format!(
                "one core, five nodes, {}, {} events, minimum of {}",
                quantity(result.seeds, "seed"),
                grouped(result.events),
                quantity(result.repetitions as u64, "repetition"),
            ),
        ),
    ];
    rows.map(|(label, value)| format!("{label:18} {value}")).join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::program::CARGO_SIM;

    #[test]
    fn every_measurement_runs_its_seeds_and_ends_with_a_failed_one() {
        let workload = RunOptions::default().workload;
        let program = Program { name: CARGO_SIM.to_owned(), workload, is_builtin: true };
        let usual = RunOptions { events_max: 2_000, ..RunOptions::default() };
        let long = RunOptions { events_max: 20_000, length: LONG_RUN_FACTOR, ..usual.clone() };
        let measured = measure_all(&program, 2, [&usual, &usual, &long, &usual]);
        let all = measured.unwrap_or_else(|(_, text)| panic!("{text}"));
        for one in [&all.checked, &all.unchecked, &all.long, &all.wide_area] {
            assert!(one.tally.events > 1_000 && one.cpu.len() == 2, "{:?}", one.tally);
        }
        assert!(all.long.tally.events > all.checked.tally.events);
        assert_eq!(all.cost_permille.len(), 2);
        let canary = RunOptions { canary: true, events_max: 5_000, ..usual };
        let failed = measure(&program, 200, &canary).err().expect("the canary fails");
        assert!(failed.0 == Exit::Safety && failed.1.contains("replay: cargo sim --seed "));
    }

    #[test]
    fn the_cost_of_an_event_is_compared_across_lengths() {
        let measurement = |millis: [u64; 2], events| Measurement {
            cpu: millis.map(Duration::from_millis).to_vec(),
            tally: Tally {
                events,
                operations_checked: events / 10,
                simulated: Duration::from_secs(events / 5),
                ..Tally::default()
            },
        };
        let usual = || {
            let mut usual = measurement([90, 40], 1000);
            usual.take_minimum(&measurement([60, 900], 1000));
            usual
        };
        let long = measurement([600, 500], 10_000);
        let seconds = Duration::from_secs;
        let pairs = [(9, 10), (10, 11), (30, 60)];
        let cost = |(usual, long)| ratio((seconds(usual), 1000), (seconds(long), 1000));
        let cost_permille = pairs.map(cost).to_vec();
        let (checked, unchecked, wide_area) = (usual(), usual(), usual());
        let measurements = Measurements { checked, unchecked, long, wide_area, cost_permille };
        let result = summarize(2, &measurements);
        assert_eq!(result.events_per_cpu_second, 10_000);
        assert_eq!(result.operations_checked_per_cpu_second, 1_000);
        assert_eq!(result.cost_ratio_permille, 1_111, "the median of 1.111, 1.100 and 2");
        assert_eq!(ratio((seconds(1), 1000), (seconds(9), 10_000)), 900);
        assert_eq!(result.simulated_seconds_per_cpu_second, 2_000);
        assert!(lines(&result).contains("1.111 times as much"));
    }
}
