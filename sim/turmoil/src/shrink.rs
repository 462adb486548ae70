//! Runs many seeds, and removes the faults that a failure does not need.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use quorate_sim::observe::fingerprint::Fingerprint;

use crate::chaos_run::ChaosRun;
use crate::faults::Faults;
use crate::report::{Failure, Report};
use crate::trail::{TrailEvent, difference};

/// The environment variable that chooses the seeds of a sweep.
const SEEDS: &str = "QUORATE_SEEDS";

/// Performs the run of each seed, and returns the reports. If the first run passes, it is performed
/// once more, because a failure can be repeated only if the seed determines the run. `chaos_run`
/// must therefore keep no state from one call to the next. `QUORATE_SEEDS=A..B` chooses other
/// seeds, and prints what their runs did in one line.
///
/// # Errors
/// The failure of the first seed that fails, with only the faults that this failure needs; or the
/// first event in which the two runs of the first seed differ.
///
/// # Panics
/// If `QUORATE_SEEDS` is not of that form, or a run cannot begin ([`ChaosRun::run`]).
pub fn sweep(
    seeds: Range<u64>,
    chaos_run: impl Fn(u64) -> ChaosRun,
) -> Result<Vec<Report>, Failure> {
    let mut reports = Vec::new();
    for seed in chosen(seeds) {
        let result = match reports.is_empty() {
            true => {
                let (result, trail) = chaos_run(seed).run_with_trail();
                if result.is_ok() {
                    check_repeats(&chaos_run(seed), &trail)?;
                }
                result
            }
            false => chaos_run(seed).run(),
        };
        match result {
            Ok(report) => reports.push(report),
            Err(failure) => return Err(shrunk(&|| chaos_run(seed), failure)),
        }
    }
    if std::env::var_os(SEEDS).is_some() {
        println!("{}", Total(&reports));
    }
    Ok(reports)
}

/// Performs the run again, and fails if its events are not those of the trail.
fn check_repeats(run: &ChaosRun, trail: &[TrailEvent]) -> Result<(), Failure> {
    let (result, again) = run.run_with_trail();
    let Some((at, sentence)) = difference(trail, &again) else { return Ok(()) };
    let (seed, lines) = (run.seed(), Vec::new());
    let scenario = match result {
        Ok(report) => report.scenario,
        Err(failure) => failure.scenario,
    };
    Err(Failure { seed, sentence, at, scenario, lines })
}

/// The totals of the runs, as one line of text.
struct Total<'a>(&'a [Report]);

impl fmt::Display for Total<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let simulated: Duration = self.0.iter().map(|report| report.simulated).sum();
        let events: u64 = self.0.iter().map(|report| report.events).sum();
        let facts: u64 = self.0.iter().map(|report| report.core_facts).sum();
        write!(
            f,
            "{} runs passed: {} simulated seconds, {events} events, {facts} facts about cores",
            self.0.len(),
            simulated.as_secs()
        )
    }
}

fn chosen(seeds: Range<u64>) -> Range<u64> {
    let Ok(text) = std::env::var(SEEDS) else { return seeds };
    let bounds =
        text.split_once("..").and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?));
    bounds.unwrap_or_else(|| panic!("{SEEDS} is not of the form A..B: {text}"))
}

/// Removes one fault after the other, as long as the run still fails in the same way: with the same
/// fingerprint, as in `cargo sim shrink`.
fn shrunk(chaos_run: &dyn Fn() -> ChaosRun, failure: Failure) -> Failure {
    let target = Fingerprint::of_sentence(&failure.sentence);
    let mut best = failure;
    let Ok(mut faults) = chaos_run().faults() else { return best };
    let mut attempt = |smaller: Faults, faults: &mut Faults| {
        if let Err(failure) = chaos_run().with_faults(smaller.clone()).run()
            && Fingerprint::of_sentence(&failure.sentence) == target
        {
            (best, *faults) = (failure, smaller);
        }
    };
    let mut at = faults.ops.len();
    while at > 0 {
        at -= 1;
        let mut smaller = faults.clone();
        smaller.ops.remove(at);
        attempt(smaller, &mut faults);
    }
    if faults.loss_permille > 0 {
        attempt(Faults { loss_permille: 0, ..faults.clone() }, &mut faults);
    }
    best
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::core_checks::tests::Stateless;

    #[test]
    fn a_run_that_fails_otherwise_is_not_a_smaller_one() {
        let runs = Cell::new(0);
        // The first runs lose a value, each with its own number, and later ones miss a deadline.
        let chaos_run = |similar: u32| {
            let run = runs.replace(runs.get() + 1);
            let text = match run <= similar {
                true => format!("value {run} is lost"),
                false => "no answer in time".to_owned(),
            };
            let scenario = "nodes 3\nat 1s crash n1 for 1s\nat 2s crash n2 for 1s\n";
            let run = ChaosRun::new(1).nodes(3, |_| Stateless).scenario(scenario);
            run.client("reader", move |_| {
                let text = text.clone();
                async move { Err(text.into()) }
            })
        };
        let shrunk_of = |similar| {
            runs.set(0);
            let failure = chaos_run(similar).run().expect_err("the client fails");
            shrunk(&|| chaos_run(similar), failure)
        };
        let failure = shrunk_of(0);
        assert!(failure.sentence.ends_with("value 0 is lost"), "{failure}");
        assert_eq!(failure.scenario.matches(" crash ").count(), 2, "{failure}");
        let failure = shrunk_of(9);
        assert!(failure.sentence.ends_with("is lost"), "{failure}");
        assert_eq!(failure.scenario.matches(" crash ").count(), 0, "{failure}");
    }
}
