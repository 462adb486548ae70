//! Seeds of `cargo sim` that failed once, each with what it showed. A choice of the simulator that
//! is drawn otherwise may rob a seed of its storm; the spec named beside it keeps the schedule.

use quorate_sim::profile::Profile;
use quorate_sim::run::{RunOptions, run};

/// A seed that failed once.
struct Seed {
    profile: &'static str,
    seed: u64,
    showed: &'static str,
}

const SEEDS: &[Seed] = &[
    Seed {
        profile: "default",
        seed: 67,
        showed: "a full outbox dropped the same candidate's requests in every campaign: \
                 specs/election/full_outbox_keeps_requests",
    },
    Seed {
        profile: "default",
        seed: 62,
        showed: "segments behind one that could not be removed were removed: \
                 tests/storage/crash.rs, a_failure_anywhere",
    },
    Seed {
        profile: "default",
        seed: 404,
        showed: "a start that found no room told nobody, and never tried again: \
                 tests/storage/working.rs",
    },
    Seed {
        profile: "disk",
        seed: 92,
        showed: "all copies of a superblock were written at once and failed in part: \
                 tests/storage/crash.rs, a_failure_anywhere",
    },
    Seed {
        profile: "snapshot",
        seed: 158,
        showed: "a stop in good order made what a crash had cut short count as acknowledged: \
                 tests/storage/damage.rs, what_a_crash_cut_short",
    },
    Seed {
        profile: "snapshot",
        seed: 24,
        showed: "a view that could not be had gave up the snapshot that was being received: \
                 src/replica/snapshots.rs",
    },
    Seed {
        profile: "reads",
        seed: 1981,
        showed: "a leader that stood still suspended a voter whose words it had not read yet: \
                 tests/specs/membership/who_stood_still_blames_nobody.txt",
    },
    Seed {
        profile: "reads",
        seed: 1270,
        showed: "a removed node that had not heard of it disturbed an idle cluster without \
                 pre-vote and stickiness: the world cuts it off",
    },
    Seed {
        profile: "reads",
        seed: 2757,
        showed: "an emptied disk that got a snapshot voted for itself, in the place of another: \
                 tests/specs/identity/new_disk_with_the_log_does_not_stand.txt",
    },
    Seed {
        profile: "reads",
        seed: 4715,
        showed: "a leader gave a vote back to a node that was cut off for ever as it did: whoever \
                 may get its vote back is of the core",
    },
    Seed {
        profile: "reads",
        seed: 23085,
        showed: "the world cut off a member that was added in a log it did not look at",
    },
    Seed {
        profile: "reads",
        seed: 28767,
        showed: "a node that was stopping as the storm ended stayed down",
    },
    Seed {
        profile: "reads",
        seed: 48031,
        showed: "a node that started again took a late echo of an answer that it gave before for \
                 one of its own, and a loan with it: src/raft/common.rs, is_of_this_life",
    },
    Seed {
        profile: "reads",
        seed: 46718,
        showed: "a founder that came late took the first entries of a leader that had forgotten \
                 the first membership, and never knew who counts: \
                 tests/specs/snapshots/first_membership_is_forgotten.txt",
    },
    Seed {
        profile: "reads",
        seed: 30588,
        showed: "the world counted on a learner whose lost disk a membership on its way named",
    },
    Seed {
        profile: "default",
        seed: 1228,
        showed: "the checks wanted an answer for all live voters that one of them, outside the \
                 core, held back: it answers, and its disk stays full: \
                 tests/specs/acknowledge/slow_voter_holds_the_answer_back.txt",
    },
    Seed {
        profile: "default",
        seed: 1283,
        showed: "a client that was told whom to ask went astray again and again, until the core \
                 counted as standing still",
    },
    Seed {
        profile: "default",
        seed: 420,
        showed: "a founder with an empty disk asked founders alone, and none of them was left: \
                 tests/paper/founding.rs",
    },
    Seed {
        profile: "snapshot",
        seed: 381,
        showed: "a node that had been a pre-candidate answered an old round of heartbeats again, \
                 and took an echo of its first answer for one of the second: \
                 tests/specs/lease/loan_counts_from_the_first_answer.txt",
    },
    Seed {
        profile: "validation",
        seed: 357,
        showed: "the checks took the state of a node for sound that started from another's \
                 snapshot, which it had not restored when it fell: sim/src/check/suspects.rs",
    },
    Seed {
        profile: "validation",
        seed: 200,
        showed: "a simulated client took what came of a session that was over for what came of \
                 its next one: src/machine/client.rs, \
                 what_comes_of_another_session_means_nothing",
    },
];

#[test]
fn seeds_that_failed_once_pass() {
    for Seed { profile, seed, showed } in SEEDS {
        let profile = Profile::by_name(profile).expect("the profile exists");
        let outcome = run(*seed, &RunOptions { profile, ..RunOptions::default() });
        assert_eq!(outcome.failure, None, "seed {seed} again, which showed: {showed}");
    }
}
