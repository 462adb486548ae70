//! Tests of shrinking with runs whose profile allows a failure.

use super::*;
use crate::settings::profile::Profile;

/// A seed with a split brain: a partition in a run in which silent nodes count as dead.
const SPLIT: u64 = 1;

fn shrunk(seed: u64, jobs: usize, runs_max: u64) -> Option<Shrunk> {
    let profile = Profile::by_name("survivor-partitioned").expect("the profile exists");
    let options = RunOptions { profile, ..RunOptions::default() };
    let shrinking = ShrinkOptions {
        jobs: NonZeroUsize::new(jobs).expect("the number is positive"),
        runs_max,
        is_out_of_time: &|| false,
        run: &Case::run,
        on_progress: &|_, _| {},
    };
    shrink(&Case::draw(seed, &options), &options, shrinking)
}

#[test]
fn a_split_brain_shrinks_to_few_lines() {
    let shrunk = shrunk(SPLIT, 2, 600).expect("the seed fails");
    assert!(shrunk.after.lines <= 10, "{}", shrunk.scenario);
    assert!(shrunk.after.events < shrunk.before.events);
    let options = RunOptions::default();
    let text = shrunk.scenario.to_string();
    let again = Scenario::read(&text, &options.workload).expect("the scenario is valid");
    assert_eq!(again, shrunk.scenario);
    let outcome = again.case.run(&options);
    assert_eq!(again.unmet(&outcome), [], "{text}");
    let failure = outcome.failure.expect("the run fails as before");
    assert_eq!(Fingerprint::of(&failure), shrunk.fingerprint);
}

#[test]
fn the_shrunk_run_does_not_depend_on_the_number_of_threads() {
    let all = [1, 3, 16].map(|jobs| shrunk(SPLIT, jobs, 120).expect("the seed fails"));
    let [one, three, many] = all.map(|shrunk| (shrunk.scenario, shrunk.runs));
    assert_eq!(one, three);
    assert_eq!(one, many);
}

#[test]
fn a_run_that_passes_cannot_be_shrunk() {
    let passes = (0..).find(|seed| shrunk(*seed, 1, 1).is_none());
    assert!(passes.is_some_and(|seed| seed < 50), "{passes:?}");
}
