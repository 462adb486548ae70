//! Clocks, and the reads that rest on them: within the bound that leases name reads are
//! linearizable, which every sweep looks at; beyond it they are not, and that is found.

use quorate_sim::outcome::Failure;
use quorate_sim::profile::Profile;
use quorate_sim::run::{RunOptions, run};

/// How the runs of a profile fail.
fn failures(profile: &str, seeds: std::ops::Range<u64>) -> Vec<(u64, Failure)> {
    let profile = Profile::by_name(profile).expect("it is listed");
    let failed = |seed| {
        let options = RunOptions { profile, ..RunOptions::default() };
        run(seed, &options).failure.map(|failure| (seed, failure))
    };
    seeds.filter_map(failed).collect()
}

#[test]
fn the_bound_on_clocks_is_needed() {
    let failures = failures("clock", 0..20);
    let beyond = |(_, failure): &&(u64, Failure)| {
        matches!(failure, Failure::Safety(violation) if matches!(violation.number, "S20" | "S21")
            && violation.saw.contains("is beyond what leases allow for"))
    };
    assert!(failures.iter().any(|failure| beyond(&failure)), "{failures:?}");
    let other: Vec<_> = failures.iter().filter(|failure| !beyond(failure)).collect();
    assert!(other.is_empty(), "{other:?}");
}

#[test]
fn within_the_bound_no_read_is_old() {
    assert_eq!(failures("reads", 0..10), []);
}
