//! Seeds of `cargo sim` that once failed, each with the bug that it found. A change of the
//! simulator's random choices may change the schedule of a seed, which then no longer shows the
//! bug; the named spec or test still does.

use std::num::NonZeroUsize;
use std::thread;

use quorate_sim::run::{RunOptions, run};
use quorate_sim::settings::profile::Profile;

/// A seed that once failed.
struct Seed {
    profile: &'static str,
    seed: u64,
    bug: &'static str,
}

const SEEDS: &[Seed] = &[
    Seed {
        profile: "damage",
        seed: 3_206_674,
        bug: "a follower with a read lease did not wait for entries that it had acknowledged \
                 before a pre-candidacy: specs/lease/acknowledged_before_a_pre_candidacy",
    },
    Seed {
        profile: "damage",
        seed: 3_207_021,
        bug: "the simulator took a repair for the last flush of the log, and damaged that flush: \
                 sim/src/disk/log_head.rs",
    },
    Seed {
        profile: "damage",
        seed: 3_203_472,
        bug: "the check took the snapshot that a node adopts from a peer for its own: \
                 sim/src/check/machines.rs",
    },
    Seed {
        profile: "default",
        seed: 3_110_241,
        bug: "the simulator restored a copy of a disk on which its node alone is a quorum, and \
                 expected it to start: sim/src/world/strikes.rs",
    },
    Seed {
        profile: "default",
        seed: 3_116_876,
        bug: "the simulator emptied the disk of the only bootstrap peer, which bootstrapped a \
                 second cluster: sim/src/world/cluster/electorates.rs",
    },
    Seed {
        profile: "default",
        seed: 67,
        bug: "a full outbox dropped the same candidate's vote requests in every election: \
                 specs/election/full_outbox_keeps_requests",
    },
    Seed {
        profile: "default",
        seed: 62,
        bug: "segments were removed although an earlier segment could not be removed: \
                 tests/storage/crash.rs, a_disk_error_at_any_operation_loses_nothing_reported",
    },
    Seed {
        profile: "default",
        seed: 404,
        bug: "a start on a full disk did not report it, and never retried: \
                 tests/storage/working.rs",
    },
    Seed {
        profile: "disk",
        seed: 92,
        bug: "all copies of a superblock were written at once and failed partly: \
                 tests/storage/crash.rs, a_disk_error_at_any_operation_loses_nothing_reported",
    },
    Seed {
        profile: "snapshot",
        seed: 158,
        bug: "a clean shutdown marked a torn write of an earlier crash as acknowledged: \
                 tests/storage/damage.rs, a_torn_flush_stays_dropped_at_later_starts",
    },
    Seed {
        profile: "snapshot",
        seed: 24,
        bug: "a view that could not be frozen abandoned the snapshot being received: \
                 src/replica/snapshots.rs",
    },
    Seed {
        profile: "reads",
        seed: 1981,
        bug: "a leader that was paused suspended a voter whose messages it had not read: \
                 tests/specs/membership/paused_leader_suspends_no_voter.txt",
    },
    Seed {
        profile: "reads",
        seed: 1270,
        bug: "a removed node that did not know of its removal disrupted an idle cluster \
                 without pre-vote and stickiness: the simulator now cuts it off",
    },
    Seed {
        profile: "reads",
        seed: 2757,
        bug: "a wiped disk with a received snapshot voted for itself as another member: \
                 tests/specs/identity/new_disk_with_a_snapshot_does_not_campaign.txt",
    },
    Seed {
        profile: "reads",
        seed: 4715,
        bug: "a leader promoted a suspended voter while the simulator cut it off for good: \
                 the simulator no longer cuts off a node that may be promoted",
    },
    Seed {
        profile: "reads",
        seed: 23085,
        bug: "the simulator cut off a node that was a member only in a log which the simulator did \
                 not inspect",
    },
    Seed {
        profile: "reads",
        seed: 28767,
        bug: "a node that was stopping at the end of the fault phase stayed down",
    },
    Seed {
        profile: "reads",
        seed: 48031,
        bug: "a restarted node took the late echo of a reply from before its restart for \
                 an echo of a newer reply, and accepted a read lease with it: \
                 src/raft/election/ballot.rs",
    },
    Seed {
        profile: "reads",
        seed: 46718,
        bug: "a late bootstrap peer took the first entries of a leader that had compacted \
                 the first membership, and never learned the active one: \
                 tests/specs/snapshots/first_membership_is_compacted.txt",
    },
    Seed {
        profile: "reads",
        seed: 30588,
        bug: "the simulator relied on a learner whose lost disk an uncommitted membership \
                 named",
    },
    Seed {
        profile: "default",
        seed: 1228,
        bug: "the checks required an acknowledgement by all live voters, although a live voter \
                 outside the core, whose disk stays full, delayed it: \
                 tests/specs/acknowledge/slow_voter_delays_the_acknowledgement.txt",
    },
    Seed {
        profile: "default",
        seed: 1283,
        bug: "a client with a leader hint chose wrong nodes repeatedly, until the liveness \
                 check of the core failed",
    },
    Seed {
        profile: "default",
        seed: 420,
        bug: "a bootstrap peer with an empty disk probed only bootstrap peers, all of which \
                 were removed: \
                 tests/paper/bootstrap.rs",
    },
    Seed {
        profile: "snapshot",
        seed: 381,
        bug: "a former pre-candidate replied twice to an old heartbeat round, and took the \
                 echo of the first reply for an echo of the second: \
                 tests/specs/lease/read_lease_counts_from_the_first_reply.txt",
    },
    Seed {
        profile: "validation",
        seed: 357,
        bug: "the checks took a node's state for consistent that started from another's \
                 snapshot, which it had not restored at its crash: sim/src/check/divergences.rs",
    },
    Seed {
        profile: "validation",
        seed: 200,
        bug: "a simulated client took an outcome of an ended session for one of its next \
                 session: src/machine/client.rs, \
                 outcomes_of_another_session_are_ignored",
    },
    Seed {
        profile: "default",
        seed: 305,
        bug: "the check of a restart's commit index expected the one of a header block that bit \
                 rot destroyed: docs/FORMAT.md, header blocks",
    },
    Seed {
        profile: "disk",
        seed: 365,
        bug: "the check of the used membership regarded one as repaired whose content the node \
                 still requested: sim/src/world/cluster/notes.rs",
    },
    Seed {
        profile: "rollback",
        seed: 255,
        bug: "the check of a start expected one of a node that had lost the end of its log and \
                 held the casting vote of two, so that no other node had to have it",
    },
    Seed {
        profile: "default",
        seed: 1106,
        bug: "three learners waited for snapshots at 512 bytes per second: the simulator expected \
                 progress sooner",
    },
    Seed {
        profile: "damage",
        seed: 64,
        bug: "a node before its first term could not answer a request for damaged entries: \
                 tests/specs/repair/node_before_its_first_term_answers_a_request.txt",
    },
    Seed {
        profile: "default",
        seed: 40139,
        bug: "the check of parts expected one answer to several requests that the network \
                 delivered after the stabilization: sim/tests/forged/upkeep.rs",
    },
    Seed {
        profile: "default",
        seed: 43669,
        bug: "a leader whose disk had been slow, and was fast again, transferred its leadership: \
                 src/raft/leader/disk_lag.rs",
    },
    Seed {
        profile: "default",
        seed: 43172,
        bug: "the check of stops expected a sole voter to survive an entry that no read returned",
    },
    Seed {
        profile: "default",
        seed: 53014,
        bug: "the check of uncertain nodes allowed no campaign while the certainty becomes durable",
    },
    Seed {
        profile: "damage",
        seed: 60333,
        bug: "a repair waited for the content of entries that a start had dropped from the log",
    },
    Seed {
        profile: "damage",
        seed: 64308,
        bug: "the check of comparisons counted the time before a node had applied anything",
    },
    Seed {
        profile: "damage",
        seed: 64839,
        bug: "a node took no snapshot of its own while it waited for one that no node sent",
    },
    Seed {
        profile: "default",
        seed: 65066,
        bug: "the model went back to a copy of a disk that the crash of the rollback had triggered",
    },
    Seed {
        profile: "default",
        seed: 60796,
        bug: "a snapshot for which the disk was full was not taken again without further entries",
    },
    Seed {
        profile: "damage",
        seed: 106501,
        bug: "snapshots of slow sources replaced each other without end: \
                 src/replica/snapshot_receiver.rs",
    },
    Seed {
        profile: "damage",
        seed: 103019,
        bug: "the bound of a request became shorter at once when the last snapshot had arrived",
    },
    Seed {
        profile: "default",
        seed: 105854,
        bug: "a cluster counted as idle although the leader remembered that its disk was slow",
    },
    Seed {
        profile: "default",
        seed: 400162,
        bug: "a leader whose snapshot met one failed read, and ends at the last committed entry, \
                 never took another one, which a follower needed for the next commit: \
                 src/replica/node/disk_order_tests.rs",
    },
    Seed {
        profile: "damage",
        seed: 510430,
        bug: "the checks failed a node that had found its damage so shortly before the end of the \
                 run that its repair was still under way",
    },
    Seed {
        profile: "default",
        seed: 3300839,
        bug: "S52 failed a leader of an earlier term that asked a node to campaign whose log had \
                 been replaced in a later term",
    },
    Seed {
        profile: "default",
        seed: 3310703,
        bug: "S38 failed a reply to a node that had become certain after the reply of an earlier \
                 leader",
    },
    Seed {
        profile: "default",
        seed: 3311364,
        bug: "S56 failed a node that had led a term, and took a message that seemed to come from \
                 another leader of that term",
    },
    Seed {
        profile: "default",
        seed: 3618690,
        bug: "L8 counted the time in which a node was the only voter, with no other to compare its \
                 state with",
    },
    Seed {
        profile: "default",
        seed: 4_005_653,
        bug: "a check took a message of a lagging driver for one that the last step sent, because \
                 the disk had finished an operation at that instant: S72",
    },
    Seed {
        profile: "default",
        seed: 4_008_264,
        bug: "the simulator expected progress of a bootstrap peer that lost the disk which another \
                 peer had chosen, but not written yet",
    },
    Seed {
        profile: "default",
        seed: 4_012_493,
        bug: "S75 expected a node that was shutting down to handle its election timeout",
    },
    Seed {
        profile: "damage",
        seed: 4_110_125,
        bug: "S73 counted each heartbeat round that a leader begins for its reads after a pause, \
                 before it handles its timer",
    },
];

#[test]
fn seeds_that_once_failed_pass() {
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    thread::scope(|scope| {
        for seeds in SEEDS.chunks(SEEDS.len().div_ceil(threads)) {
            scope.spawn(|| seeds.iter().for_each(assert_passes));
        }
    });
}

fn assert_passes(Seed { profile, seed, bug }: &Seed) {
    let profile = Profile::by_name(profile).expect("the profile exists");
    let outcome = run(*seed, &RunOptions { profile, ..RunOptions::default() });
    assert_eq!(outcome.failure, None, "seed {seed} fails again; it once found: {bug}");
}
