//! `cargo sim bench`: what a simulated event costs, in CPU time of one core with all checks on.

use std::iter;
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
    /// How many events each had.
    events: Vec<u64>,
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
    /// What an event of a long run costs, in thousandths of what one of a usual run costs.
    cost_ratio_permille: u64,
    /// What an event in the third quarter of a long run costs, in thousandths of what one in the
    /// second costs: there the storm is the same, and only what is remembered is more.
    quarters_ratio_permille: u64,
    /// How many seconds of storm between continents one second of CPU time simulates.
    simulated_seconds_per_cpu_second: u64,
}

/// The measurements, by what was run.
struct Measured {
    checked: Measurement,
    unchecked: Measurement,
    long: Measurement,
    /// The first quarter of the events of each long run, the first two, and the first three.
    quarters: [Measurement; 3],
    far: Measurement,
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
    let mut least: Option<Measured> = None;
    // Measurements take turns, so that a slow spell of the machine meets all of them.
    for repetition in 1..=repetitions {
        eprintln!("repetition {repetition} of {repetitions}");
        let once = || {
            let whole = |options| measure(program, options, &[]);
            let (checked, unchecked, all) = (whole(&usual)?, whole(&unchecked)?, whole(&long)?);
            let first = |quarters: u64| {
                let ends: Vec<u64> = all.events.iter().map(|all| all / 4 * quarters).collect();
                measure(program, &long, &ends)
            };
            let quarters = [first(1)?, first(2)?, first(3)?];
            Ok(Measured { checked, unchecked, long: all, quarters, far: whole(&far)? })
        };
        match once() {
            Ok(measured) => match &mut least {
                Some(least) => least.lower_to(&measured),
                None => least = Some(measured),
            },
            Err((exit, text)) => {
                console::say(&text);
                return Ok(exit);
            }
        }
    }
    let figures = figures(repetitions, &least.expect("there is at least one repetition"));
    console::say(&if arguments.json { json(&figures) } else { lines(&figures) });
    Ok(Exit::Fine)
}

impl Measured {
    /// Keeps the less of each.
    fn lower_to(&mut self, other: &Measured) {
        self.checked.lower_to(&other.checked);
        self.unchecked.lower_to(&other.unchecked);
        self.long.lower_to(&other.long);
        self.quarters.iter_mut().zip(&other.quarters).for_each(|(own, other)| own.lower_to(other));
        self.far.lower_to(&other.far);
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

/// Runs the seeds, or tells of the first that fails: it measures nothing. The first runs end after
/// so many events.
fn measure(
    program: &Program,
    options: &RunOptions,
    ends: &[u64],
) -> Result<Measurement, (Exit, String)> {
    let (mut summary, mut all, mut events) = (Summary::default(), Vec::new(), Vec::new());
    let ends = ends.iter().copied().chain(iter::repeat(u64::MAX));
    for (seed, events_max) in (0..SEEDS).zip(ends) {
        let options = RunOptions { events_max, ..options.clone() };
        let started = clock::thread_cpu();
        let outcome = panics::run(seed, &options);
        let cpu = clock::thread_cpu().saturating_sub(started);
        all.push(cpu);
        events.push(outcome.tally.events);
        summary.add(&SeedRun { outcome, cpu, rechecked: false });
        if let Some(failed) = summary.failed.first() {
            let family = Family { profile: options.profile, rung: options.rung };
            return Err((
                Exit::of(&failed.failure),
                table::failure(failed, &program.seed_line(failed.seed, family)),
            ));
        }
    }
    Ok(Measurement { cpu: all, events, tally: summary.tally })
}

fn figures(repetitions: usize, measured: &Measured) -> Figures {
    let Measured { checked, unchecked, long, quarters, far } = measured;
    let events = |m: &Measurement| m.rate(m.tally.events);
    let spent = |m: &Measurement| (m.cpu(), m.tally.events);
    let between = |less: &Measurement, more: &Measurement| {
        let events = more.tally.events.saturating_sub(less.tally.events);
        (more.cpu().saturating_sub(less.cpu()), events)
    };
    let [one, two, three] = quarters;
    Figures {
        repetitions,
        seeds: SEEDS,
        events: checked.tally.events,
        events_per_cpu_second: events(checked),
        operations_checked_per_cpu_second: checked.rate(checked.tally.operations_checked),
        events_per_cpu_second_without_checks: events(unchecked),
        events_per_cpu_second_of_long_runs: events(long),
        cost_ratio_permille: ratio(spent(checked), spent(long)),
        quarters_ratio_permille: ratio(between(one, two), between(two, three)),
        simulated_seconds_per_cpu_second: far.rate(far.tally.simulated.as_secs()),
    }
}

/// What an event of the second costs, in thousandths of what one of the first costs.
fn ratio((cpu, events): (Duration, u64), (other_cpu, other_events): (Duration, u64)) -> u64 {
    let (one, other) =
        (cpu.as_nanos() * u128::from(other_events), other_cpu.as_nanos() * u128::from(events));
    let permille = (other * 1000).checked_div(one);
    permille.and_then(|permille| u64::try_from(permille).ok()).unwrap_or(0)
}

fn json(figures: &Figures) -> String {
    serde_json::to_string_pretty(figures).expect("figures have nothing JSON lacks")
}

fn lines(figures: &Figures) -> String {
    let per_second = |figure| format!("{} per CPU-second", grouped(figure));
    let times = |permille: u64| format!("{}.{:03} times as much", permille / 1000, permille % 1000);
    let rows = [
        ("events", per_second(figures.events_per_cpu_second)),
        ("client operations", per_second(figures.operations_checked_per_cpu_second)),
        ("events, no checks", per_second(figures.events_per_cpu_second_without_checks)),
        ("events, long runs", per_second(figures.events_per_cpu_second_of_long_runs)),
        (
            "cost per event",
            format!("{} in runs {LONG} times longer", times(figures.cost_ratio_permille)),
        ),
        (
            "",
            format!(
                "{} in the third quarter as in the second",
                times(figures.quarters_ratio_permille)
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
            events: vec![events / 2; 2],
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
        let quarters = [
            measurement([100, 100], 2_500),
            measurement([200, 200], 5_000),
            measurement([320, 320], 7_500),
        ];
        let (checked, unchecked, far) = (usual(), usual(), usual());
        let measured = Measured { checked, unchecked, long, quarters, far };
        let figures = figures(2, &measured);
        assert_eq!(figures.events_per_cpu_second, 10_000);
        assert_eq!(figures.operations_checked_per_cpu_second, 1_000);
        assert_eq!(figures.cost_ratio_permille, 1_100);
        assert_eq!(figures.quarters_ratio_permille, 1_200);
        assert_eq!(figures.simulated_seconds_per_cpu_second, 2_000);
        assert!(lines(&figures).contains("1.100 times as much"));
    }
}
