//! Runs of the guests of this package.

use quorate_guests::adapters::tiny::Tiny;
use quorate_guests::case;
use quorate_guests::guest::Guest;
use quorate_guests::run::run;
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
    tally
}

#[test]
fn the_tiny_raft_survives_every_kind_of_fault() {
    let tally = passes::<Tiny>(100);
    for fault in case::faults::<Tiny>().iter() {
        let count = tally.faults.get(fault.name()).copied().unwrap_or(0);
        assert!(count > 0, "no {fault} in 100 runs");
    }
    assert!(tally.operations_checked > 10_000 && tally.elections > 100, "{tally:?}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..10 {
        assert_eq!(outcome::<Tiny>(seed), outcome::<Tiny>(seed));
    }
    assert_ne!(outcome::<Tiny>(1).digest, outcome::<Tiny>(2).digest);
}

#[cfg(feature = "raft-rs")]
#[test]
fn raft_rs_survives() {
    use quorate_guests::adapters::raft_rs::RaftRs;
    let tally = passes::<RaftRs>(60);
    assert!(tally.operations_checked > 10_000, "{tally:?}");
    assert_eq!(outcome::<RaftRs>(5), outcome::<RaftRs>(5));
}

#[cfg(feature = "omnipaxos")]
#[test]
fn omnipaxos_survives_without_snapshots() {
    use quorate_guests::adapters::omnipaxos::OmniPaxos;
    let tally = passes::<OmniPaxos<false>>(60);
    assert!(tally.operations_checked > 10_000, "{tally:?}");
    assert_eq!(outcome::<OmniPaxos<false>>(5), outcome::<OmniPaxos<false>>(5));
}

/// Runs a scenario of a found bug, which names the violated check.
#[cfg(feature = "omnipaxos")]
fn found<G: Guest>(text: &str) {
    let scenario = case::read::<G>(text, &options()).expect("a valid scenario");
    let outcome = run::<G>(&scenario.case, &options());
    assert_eq!(scenario.unmet(&outcome), [], "{:?}", outcome.failure);
}

#[cfg(feature = "omnipaxos")]
#[test]
fn the_bugs_found_in_omnipaxos_are_still_found() {
    use quorate_guests::adapters::omnipaxos::OmniPaxos;
    found::<OmniPaxos<true>>(include_str!("../found/omnipaxos-delta-snapshot.scenario"));
    found::<OmniPaxos<false>>(include_str!("../found/omnipaxos-higher-promise.scenario"));
}

#[test]
fn a_line_that_no_guest_understands_is_an_error() {
    let lines = [
        ("nodes 3\nlease 300ppm", "`lease 300ppm`: a cluster of guests has no such setting"),
        ("nodes 3\nat 1s wipe n1", "`at 1s wipe n1`: a cluster of guests has no such fault"),
        (
            "nodes 3\nwhen n1 sends heartbeat, crash it",
            "`when n1 sends heartbeat, crash it`: a guest does not report when it sends heartbeat",
        ),
    ];
    for (text, expected) in lines {
        assert_eq!(case::read::<Tiny>(text, &options()).expect_err("an error"), expected);
    }
    let text = "nodes 3\nat 1s crash leader for 1s\nexpect pass\nexpect commands >= 10";
    let scenario = case::read::<Tiny>(text, &options()).expect("a valid scenario");
    assert!(scenario.lines().len() >= 4);
}
