//! Whole runs: the same seed gives the same outcome, whoever watches; overrides simplify; the
//! storms are neither empty nor failing.

use std::sync::{Arc, Mutex};

use quorate_sim::choice::{Key, Kind, Overrides};
use quorate_sim::coverage::MARKS;
use quorate_sim::outcome::Outcome;
use quorate_sim::profile::Profile;
use quorate_sim::run::{RunOptions, run};

fn default_run(seed: u64) -> Outcome {
    run(seed, &RunOptions::default())
}

#[test]
fn a_seed_has_one_outcome() {
    for seed in 0..10 {
        assert_eq!(default_run(seed), default_run(seed));
    }
}

#[test]
fn seeds_differ() {
    assert_ne!(default_run(1).digest, default_run(2).digest);
}

/// S32: whoever watches changes nothing.
#[test]
fn checks_and_traces_change_nothing() {
    for seed in 20..30 {
        let watched = default_run(seed);
        let unwatched = run(seed, &RunOptions { checks: false, ..RunOptions::default() });
        assert_eq!(watched, unwatched, "seed {seed}");
        let lines = Arc::new(Mutex::new(0u64));
        let count = Arc::clone(&lines);
        let sink = move |_: &str| *count.lock().expect("no one panicked") += 1;
        let options = RunOptions { trace: Some(Arc::new(sink)), ..RunOptions::default() };
        assert_eq!(watched, run(seed, &options), "seed {seed}");
        assert!(*lines.lock().expect("no one panicked") > watched.tally.events / 2);
    }
}

#[test]
fn a_small_sweep_passes_and_is_not_empty() {
    let outcomes: Vec<Outcome> = (100..160).map(default_run).collect();
    for outcome in &outcomes {
        assert_eq!(outcome.failure, None, "seed {}", outcome.seed);
        assert_eq!(outcome.marks.len(), MARKS.len());
    }
    let median = |value: fn(&Outcome) -> u64| {
        let mut values: Vec<u64> = outcomes.iter().map(value).collect();
        values.sort_unstable();
        values[values.len() / 2]
    };
    assert!(median(|outcome| outcome.tally.commands_committed) >= 100);
    assert!(median(|outcome| outcome.tally.faults.values().sum()) >= 10);
    assert!(median(|outcome| outcome.tally.leader_changes) >= 1);
}

#[test]
fn the_calm_profile_meets_no_fault_and_keeps_its_leader() {
    let profile = Profile::by_name("calm").expect("the profile exists");
    for seed in 0..10 {
        let outcome = run(seed, &RunOptions { profile, ..RunOptions::default() });
        assert_eq!(outcome.failure, None, "seed {seed}");
        assert!(outcome.tally.faults.is_empty(), "seed {seed}: {:?}", outcome.tally.faults);
        assert!(outcome.tally.commands_committed > 0, "seed {seed}");
    }
}

#[test]
fn emptying_every_slot_of_the_plan_leaves_no_planned_fault() {
    let slots = 1..=200;
    let overrides: Overrides =
        slots.map(|slot| (Key { peer: slot, ..Kind::Plan.key() }, 0)).collect();
    for seed in 0..5 {
        let outcome =
            run(seed, &RunOptions { overrides: overrides.clone(), ..RunOptions::default() });
        assert_eq!(outcome.failure, None, "seed {seed}");
        for planned in ["partition", "pause", "drift", "jump", "bridge", "stray", "replay"] {
            assert_eq!(outcome.tally.faults.get(planned), None, "seed {seed}");
        }
    }
}

#[test]
fn a_longer_run_is_longer() {
    let short = default_run(3);
    let long = run(3, &RunOptions { length: 3, ..RunOptions::default() });
    assert_eq!(long.failure, None);
    assert!(long.tally.events > 2 * short.tally.events);
}

#[test]
fn an_unknown_profile_is_named_with_those_that_exist() {
    let error = Profile::by_name("stormy").expect_err("there is none").to_string();
    assert!(error.contains("stormy"));
    assert!(Profile::names().iter().all(|name| error.contains(name)));
}
