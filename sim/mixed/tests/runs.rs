//! Runs of clusters of two builds, and of each build alone. The builds agree if `previous/` has the
//! release that this tree can be upgraded from.

use std::path::Path;
use std::process::Command;

use quorate_guests::case;
use quorate_guests::guest::Guest;
use quorate_guests::run::run;
use quorate_mixed::mixed::{Mixed, Present, Previous};
use quorate_sim::observe::outcome::{Outcome, Tally};
use quorate_sim::run::RunOptions;

fn options() -> RunOptions {
    RunOptions { events_max: 300_000, ..RunOptions::default() }
}

fn outcome<G: Guest>(seed: u64) -> Outcome {
    run::<G>(&case::draw::<G>(seed, &options()), &options())
}

/// Runs the seeds below `seeds`, which must pass, and returns the sum of their counts.
fn passes<G: Guest>(seeds: u64) -> Tally {
    let mut tally = Tally::default();
    for seed in 0..seeds {
        let outcome = outcome::<G>(seed);
        assert_eq!(outcome.failure, None, "seed {seed}");
        tally.add(&outcome.tally);
    }
    assert!(tally.operations_checked > 100 * seeds, "{tally:?}");
    tally
}

#[test]
fn the_two_builds_agree_under_every_kind_of_fault() {
    let tally = passes::<Mixed<true>>(100);
    let faults = case::faults::<Mixed<true>>();
    let names = faults.iter().map(|fault| fault.name()).chain(["upgrade", "rollback"]);
    for name in names {
        let count = tally.faults.get(name).copied().unwrap_or(0);
        assert!(count > 0, "no {name} in 100 runs");
    }
}

#[test]
fn nodes_are_upgraded_without_rollbacks() {
    let tally = passes::<Mixed<false>>(20);
    assert!(tally.faults["upgrade"] > 20 && !tally.faults.contains_key("rollback"), "{tally:?}");
}

#[test]
fn each_build_agrees_with_itself() {
    passes::<Present>(30);
    passes::<Previous>(30);
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..5 {
        assert_eq!(outcome::<Mixed<true>>(seed), outcome::<Mixed<true>>(seed));
    }
    assert_ne!(outcome::<Mixed<true>>(1).digest, outcome::<Mixed<true>>(2).digest);
}

#[test]
fn a_scenario_rolls_a_cluster_forward_and_back() {
    let text = include_str!("../scenarios/rolling.scenario");
    let scenario = case::read::<Mixed<true>>(text, &options()).expect("a valid scenario");
    let outcome = run::<Mixed<true>>(&scenario.case, &options());
    assert_eq!(scenario.unmet(&outcome), [], "{:?}", outcome.failure);
    let count = |name| outcome.tally.faults.get(name).copied().unwrap_or(0);
    assert_eq!((count("upgrade"), count("rollback")), (6, 3));
    assert!(outcome.tally.operations_checked > 100, "{:?}", outcome.tally);
}

#[test]
fn every_planted_change_fits_this_tree() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let plants = root.join("plants").read_dir().expect("the folder exists");
    for plant in plants {
        let path = plant.expect("the folder can be listed").path();
        let tree = root.join("../..");
        let mut patch = Command::new("patch");
        patch.args(["-p1", "--dry-run", "--silent", "-d"]).arg(&tree).arg("-i").arg(&path);
        assert!(patch.status().expect("`patch` is installed").success(), "{path:?}");
    }
}
