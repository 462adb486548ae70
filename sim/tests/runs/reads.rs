//! Reads that depend on clocks: within the drift bound of leases they are linearizable, which
//! every sweep checks; beyond the bound they are not, and a check detects it.

use quorate_sim::observe::Violation;
use quorate_sim::observe::outcome::Failure;
use quorate_sim::run::{RunOptions, run};
use quorate_sim::settings::profile::Profile;

/// Returns the failures of a profile's runs, by seed.
fn failures(profile: &str, seeds: std::ops::Range<u64>) -> Vec<(u64, Failure)> {
    let profile = Profile::by_name(profile).expect("the profile exists");
    let failed = |seed| {
        let options = RunOptions { profile, ..RunOptions::default() };
        run(seed, &options).failure.map(|failure| (seed, failure))
    };
    seeds.filter_map(failed).collect()
}

#[test]
fn stale_reads_are_detected_beyond_the_drift_bound() {
    let failures = failures("clock", 60..84);
    let beyond = |(_, failure): &&(u64, Failure)| {
        let Failure::Safety(Violation { id, finding, .. }) = failure else { return false };
        matches!(*id, "S20" | "S21" | "S55")
            && finding.contains("exceeded the drift bound of the leases")
    };
    assert!(failures.iter().any(|failure| beyond(&failure)), "{failures:?}");
    let other: Vec<_> = failures.iter().filter(|failure| !beyond(failure)).collect();
    assert!(other.is_empty(), "{other:?}");
}

#[test]
fn no_read_is_stale_within_the_drift_bound() {
    assert_eq!(failures("reads", 0..10), []);
}
