//! `cargo sim bench`: what a simulated event costs, in CPU time of one core with all checks on.

use std::time::Duration;

use serde::Serialize;

use crate::cli::args::{BenchArguments, Family};
use crate::cli::clock;
use crate::cli::console;
use crate::cli::exit::{Exit, Trouble};
use crate::cli::panics;
use crate::cli::program::Program;
use crate::cli::report::table;
use crate::cli::text::{counted, grouped, rate};
use crate::outcome::Tally;
use crate::profile::Profile;
use crate::run::RunOptions;
use crate::rung::Rung;
use crate::summary::Summary;
use crate::sweep::SeedRun;

/// The runs that are measured: five nodes, every fault kind.
const PROFILE: &str = "five";
/// The runs whose time is held against the time they simulate: nodes on several continents.
const FAR: &str = "far";
/// How many seeds one measurement runs, from 0 on.
const SEEDS: u64 = 20;
/// How many times longer the long runs are.
const LONG: u32 = 10;

/// One measurement: some seeds, one after the other, on this thread.
struct Measurement {
    /// What each took.
    cpu: Vec<Duration>,
    tally: Tally,
}

/// What all repetitions came to, by the least that each seed took in any: whatever else a machine
/// does makes a seed slower, and never faster.
#[derive(Debug, Serialize)]
struct Figures {
    repetitions: usize,
    seeds: u64,
    events: u64,
    events_per_cpu_second: u64,
    operations_checked_per_cpu_second: u64,
    events_per_cpu_second_without_checks: u64,
    events_per_cpu_second_of_long_runs: u64,
    /// What an event of a long run costs, in thousandths of what one of usual runs of the same seed
    /// costs that take as long and came right before: the median of all such pairs.
    cost_ratio_permille: u64,
    /// How many seconds of storm between continents one second of CPU time simulates.
    simulated_seconds_per_cpu_second: u64,
}

/// The measurements, by what was run.
struct Measured {
    checked: Measurement,
    unchecked: Measurement,
    long: Measurement,
    far: Measurement,
    /// What an event of each long run cost, held against what came right before it.
    cost_permille: Vec<u64>,
}

/// Measures and prints.
pub(crate) fn go(program: &Program, arguments: &BenchArguments) -> Result<Exit, Trouble> {
    panics::keep_quiet_in_seeds();
    let of = |name| {
        let profile = Profile::by_name(name).expect("the profile is one of ours");
        program.options(Family { profile, rung: Rung::default() })
    };
    let (usual, far) = (of(PROFILE), of(FAR));
    let unchecked = RunOptions { checks: false, ..usual.clone() };
    let long = RunOptions { length: LONG, ..usual.clone() };
    let repetitions = arguments.repetitions.get();
    let mut all: Option<Measured> = None;
    for repetition in 1..=repetitions {
        eprintln!("repetition {repetition} of {repetitions}");
        match measure_all(program, [&usual, &unchecked, &long, &far]) {
            Ok(measured) => match &mut all {
                Some(all) => all.join(measured),
                None => all = Some(measured),
            },
            Err((exit, text)) => {
                console::say(&text);
                return Ok(exit);
            }
        }
    }
    let figures = figures(repetitions, &all.expect("there is at least one repetition"));
    console::say(&if arguments.json { json(&figures) } else { lines(&figures) });
    Ok(Exit::Fine)
}

impl Measured {
    /// Takes in what another repetition came to.
    fn join(&mut self, other: Measured) {
        self.checked.lower_to(&other.checked);
        self.unchecked.lower_to(&other.unchecked);
        self.long.lower_to(&other.long);
        self.far.lower_to(&other.far);
        self.cost_permille.extend(other.cost_permille);
    }
}

impl Measurement {
    /// Keeps the less of what each seed took.
    fn lower_to(&mut self, other: &Measurement) {
        self.cpu.iter_mut().zip(&other.cpu).for_each(|(least, cpu)| *least = *cpu.min(least));
    }

    fn cpu(&self) -> Duration {
        self.cpu.iter().sum()
    }

    fn rate(&self, of: u64) -> u64 {
        rate(of, self.cpu())
    }
}

/// Why a measurement ended early: a run that is cut short measures nothing.
type Broken = (Exit, String);

/// Measures everything once. Measurements take turns, so that a slow spell of the machine meets all
/// of them.
fn measure_all(
    program: &Program,
    [usual, unchecked, long, far]: [&RunOptions; 4],
) -> Result<Measured, Broken> {
    let checked = measure(program, usual)?;
    let unchecked = measure(program, unchecked)?;
    let (long, cost_permille) = measure_long(program, usual, long)?;
    Ok(Measured { checked, unchecked, long, far: measure(program, far)?, cost_permille })
}

/// Runs the seeds, one after the other.
fn measure(program: &Program, options: &RunOptions) -> Result<Measurement, Broken> {
    let mut summary = Summary::default();
    let cpu = (0..SEEDS).map(|seed| run(program, options, seed, &mut summary));
    Ok(Measurement { cpu: cpu.collect::<Result<_, _>>()?, tally: summary.tally })
}

/// Runs each seed as usual, for as long as its long run takes, and then that.
fn measure_long(
    program: &Program,
    usual: &RunOptions,
    long: &RunOptions,
) -> Result<(Measurement, Vec<u64>), Broken> {
    let (mut measured, mut costs) = (Summary::default(), Vec::new());
    let mut all = Vec::new();
    for seed in 0..SEEDS {
        let mut before = Summary::default();
        let runs = (0..LONG).map(|_| run(program, usual, seed, &mut before));
        let short = runs.sum::<Result<Duration, Broken>>()?;
        let mut after = Summary::default();
        let cpu = run(program, long, seed, &mut after)?;
        costs.push(ratio((short, before.tally.events), (cpu, after.tally.events)));
        measured.merge(after);
        all.push(cpu);
    }
    Ok((Measurement { cpu: all, tally: measured.tally }, costs))
}

/// Runs a seed, and gives the CPU time it took.
fn run(
    program: &Program,
    options: &RunOptions,
    seed: u64,
    summary: &mut Summary,
) -> Result<Duration, Broken> {
    let started = clock::thread_cpu();
    let outcome = panics::run(seed, options);
    let cpu = clock::thread_cpu().saturating_sub(started);
    summary.add(&SeedRun { outcome, cpu, rechecked: false });
    let Some(failed) = summary.failed.first() else { return Ok(cpu) };
    let family = Family { profile: options.profile, rung: options.rung };
    let text = table::failure(failed, &program.seed_line(failed.seed, family));
    Err((Exit::of(&failed.failure), text))
}

fn figures(repetitions: usize, measured: &Measured) -> Figures {
    let Measured { checked, unchecked, long, far, cost_permille } = measured;
    let events = |m: &Measurement| m.rate(m.tally.events);
    Figures {
        repetitions,
        seeds: SEEDS,
        events: checked.tally.events,
        events_per_cpu_second: events(checked),
        operations_checked_per_cpu_second: checked.rate(checked.tally.operations_checked),
        events_per_cpu_second_without_checks: events(unchecked),
        events_per_cpu_second_of_long_runs: events(long),
        cost_ratio_permille: median(cost_permille),
        simulated_seconds_per_cpu_second: far.rate(far.tally.simulated.as_secs()),
    }
}

/// What an event of the long runs costs, in thousandths of what one of the others costs; each are
/// the CPU time and the events.
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

fn json(figures: &Figures) -> String {
    serde_json::to_string_pretty(figures).expect("figures have nothing JSON lacks")
}

fn lines(figures: &Figures) -> String {
    let per_second = |figure| format!("{} per CPU-second", grouped(figure));
    let ratio = figures.cost_ratio_permille;
    let rows = [
        ("events", per_second(figures.events_per_cpu_second)),
        ("client operations", per_second(figures.operations_checked_per_cpu_second)),
        ("events, no checks", per_second(figures.events_per_cpu_second_without_checks)),
        ("events, long runs", per_second(figures.events_per_cpu_second_of_long_runs)),
        (
            "cost per event",
            format!(
                "{}.{:03} times as much in runs {LONG} times longer",
                ratio / 1000,
                ratio % 1000
            ),
        ),
        (
            "real time",
            format!(
                "{} times, between continents",
                grouped(figures.simulated_seconds_per_cpu_second)
            ),
        ),
        (
            "measured",
            format!(
                "one core, five nodes, {}, {} events, the least of {}",
                counted(figures.seeds, "seed"),
                grouped(figures.events),
                counted(figures.repetitions as u64, "repetition"),
            ),
        ),
    ];
    rows.map(|(label, value)| format!("{label:18} {value}")).join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

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
            usual.lower_to(&measurement([60, 900], 1000));
            usual
        };
        let long = measurement([600, 500], 10_000);
        let seconds = Duration::from_secs;
        let pairs = [(9, 10), (10, 11), (30, 60)];
        let cost = |(usual, long)| ratio((seconds(usual), 1000), (seconds(long), 1000));
        let cost_permille = pairs.map(cost).to_vec();
        let (checked, unchecked, far) = (usual(), usual(), usual());
        let measured = Measured { checked, unchecked, long, far, cost_permille };
        let figures = figures(2, &measured);
        assert_eq!(figures.events_per_cpu_second, 10_000);
        assert_eq!(figures.operations_checked_per_cpu_second, 1_000);
        assert_eq!(figures.cost_ratio_permille, 1_111, "the median of 1.111, 1.100 and 2");
        assert_eq!(ratio((seconds(1), 1000), (seconds(9), 10_000)), 900);
        assert_eq!(figures.simulated_seconds_per_cpu_second, 2_000);
        assert!(lines(&figures).contains("1.111 times as much"));
    }
}
