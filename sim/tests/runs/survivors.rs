//! Survivor mode: safe if only crashes silence nodes, and not under partitions, which cause a
//! detected split brain. `docs/SURVIVOR.md` shows the seed.

use quorate_sim::observe::outcome::Failure;
use quorate_sim::run::{RunOptions, run};
use quorate_sim::settings::profile::Profile;

/// A seed in which a partition lasts longer than `survivor.after`.
const SPLIT_BRAIN_SEED: u64 = 1;

/// Returns the id of the check that the seed violates, and the finding.
fn violation(profile: &str, seed: u64) -> Option<(&'static str, String)> {
    let profile = Profile::by_name(profile).expect("the profile exists");
    match run(seed, &RunOptions { profile, ..RunOptions::default() }).failure? {
        Failure::Safety(violation) | Failure::Liveness(violation) => {
            Some((violation.id, violation.finding))
        }
        other => panic!("seed {seed}: {other:?}"),
    }
}

#[test]
fn a_partition_causes_a_split_brain() {
    let found = violation("survivor-partitioned", SPLIT_BRAIN_SEED);
    let (id, finding) = found.expect("both sides continue");
    assert_eq!(id, "S10", "{finding}");
    assert!(finding.contains("the leader of term t2, ends at index"), "{finding}");
}

/// Every violation in the profile's runs is a consequence of two leaders that both continue.
#[test]
fn a_split_brain_is_frequent() {
    let found = (0..20).filter_map(|seed| violation("survivor-partitioned", seed));
    let found: Vec<_> = found.collect();
    let split = |(id, _): &&(&str, String)| matches!(*id, "S10" | "S11" | "S12");
    assert!(found.len() > 2 && found.iter().all(|one| split(&one)), "{found:?}");
}

#[test]
fn crashes_alone_cause_no_split_brain() {
    let found: Vec<_> = (0..10).filter_map(|seed| violation("survivor", seed)).collect();
    assert_eq!(found, []);
}
