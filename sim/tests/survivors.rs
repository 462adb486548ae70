//! Survivors, where silence means death, and where it does not: then the brain splits, and that is
//! found. `docs/SURVIVOR.md` shows the seed.

use quorate_sim::outcome::Failure;
use quorate_sim::profile::Profile;
use quorate_sim::run::{RunOptions, run};

/// A seed in which the network parts nodes for longer than death takes.
const SPLIT: u64 = 1;

/// The number of the check that the seed breaks, and what that saw.
fn broken(profile: &str, seed: u64) -> Option<(&'static str, String)> {
    let profile = Profile::by_name(profile).expect("it is listed");
    match run(seed, &RunOptions { profile, ..RunOptions::default() }).failure? {
        Failure::Safety(violation) | Failure::Liveness(violation) => {
            Some((violation.number, violation.saw))
        }
        other => panic!("seed {seed}: {other:?}"),
    }
}

#[test]
fn where_silence_is_not_death_the_brain_splits() {
    let (number, saw) = broken("survivor-parted", SPLIT).expect("both sides go on");
    assert_eq!(number, "S10", "{saw}");
    assert!(saw.contains("leads t2 but its log ends at"), "{saw}");
}

/// Whatever else the runs of the profile break follows from two leaders that go on.
#[test]
fn the_brain_splits_often() {
    let broken: Vec<_> = (0..20).filter_map(|seed| broken("survivor-parted", seed)).collect();
    let split = |(number, _): &&(&str, String)| matches!(*number, "S10" | "S11" | "S12");
    assert!(broken.len() > 2 && broken.iter().all(|found| split(&found)), "{broken:?}");
}

#[test]
fn where_silence_is_death_it_does_not() {
    let broken: Vec<_> = (0..10).filter_map(|seed| broken("survivor", seed)).collect();
    assert_eq!(broken, []);
}
