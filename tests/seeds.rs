//! Seeds of `cargo sim` that once failed, each with the bug that it found. A change of the
//! simulator's random choices may change the schedule of a seed, which then no longer shows the
//! bug; the named spec or test still does.

use std::array;
use std::num::NonZeroUsize;
use std::thread;

use quorate_sim::run::{RunOptions, run};
use quorate_sim::settings::profile::Profile;

/// One seed per line: the profile, the seed and the bug that it found. Indented lines continue it.
const SEEDS: &str = "\
damage 3206674 a follower with a read lease did not wait for entries that it had acknowledged before
  a pre-candidacy: specs/lease/acknowledged_before_a_pre_candidacy
damage 3207021 the simulator took a repair for the last flush of the log, and damaged that flush:
  sim/src/disk/log_head.rs
damage 3203472 the check took the snapshot that a node adopts from a peer for its own:
  sim/src/check/machines.rs
default 3110241 the simulator restored a copy of a disk on which its node alone is a quorum, and
  expected it to start: sim/src/world/strikes.rs
default 3116876 the simulator emptied the disk of the only bootstrap peer, which bootstrapped a
  second cluster: sim/src/world/cluster/electorates.rs
default 67 a full outbox dropped the same candidate's vote requests in every election:
  specs/election/full_outbox_keeps_requests
default 62 segments were removed although an earlier segment could not be removed:
  tests/storage/crash.rs, a_disk_error_at_any_operation_loses_nothing_reported
default 404 a start on a full disk did not report it, and never retried: tests/storage/working.rs
disk 92 all copies of a superblock were written at once and failed partly: tests/storage/crash.rs,
  a_disk_error_at_any_operation_loses_nothing_reported
snapshot 158 a clean shutdown marked a torn write of an earlier crash as acknowledged:
  tests/storage/damage.rs, a_torn_flush_stays_dropped_at_later_starts
snapshot 24 a view that could not be frozen abandoned the snapshot being received:
  src/replica/snapshots.rs
default 871 the simulator took a node that had rejected its leader's permission for the last
  survivor: sim/src/world/cluster/running.rs
rollback 2 a check counted pre-votes of an earlier round of the same term:
  sim/src/check/counted_replies.rs
reads 1981 a leader that was paused suspended a voter whose messages it had not read:
  tests/specs/membership/paused_leader_suspends_no_voter.txt
reads 1270 a removed node that did not know of its removal disrupted an idle cluster without
  pre-vote and stickiness: the simulator now cuts it off
reads 2757 a wiped disk with a received snapshot voted for itself as another member:
  tests/specs/identity/new_disk_with_a_snapshot_does_not_campaign.txt
reads 4715 a leader promoted a suspended voter while the simulator cut it off for good: the
  simulator no longer cuts off a node that may be promoted
reads 23085 the simulator cut off a node that was a member only in a log which the simulator did not
  inspect
reads 28767 a node that was stopping at the end of the fault phase stayed down
reads 48031 a restarted node took the late echo of a reply from before its restart for an echo of a
  newer reply, and accepted a read lease with it: src/raft/election/ballot.rs
reads 46718 a late bootstrap peer took the first entries of a leader that had compacted the first
  membership, and never learned the active one:
  tests/specs/snapshots/first_membership_is_compacted.txt
reads 30588 the simulator relied on a learner whose lost disk an uncommitted membership named
default 1228 the checks required an acknowledgement by all live voters, although a live voter
  outside the core, whose disk stays full, delayed it:
  tests/specs/acknowledge/slow_voter_delays_the_acknowledgement.txt
default 1283 a client with a leader hint chose wrong nodes repeatedly, until the liveness check of
  the core failed
default 420 a bootstrap peer with an empty disk probed only bootstrap peers, all of which were
  removed: tests/paper/bootstrap.rs
snapshot 381 a former pre-candidate replied twice to an old heartbeat round, and took the echo of
  the first reply for an echo of the second:
  tests/specs/lease/read_lease_counts_from_the_first_reply.txt
validation 357 the checks took a node's state for consistent that started from another's snapshot,
  which it had not restored at its crash: sim/src/check/divergences.rs
validation 200 a simulated client took an outcome of an ended session for one of its next session:
  src/machine/client.rs, outcomes_of_another_session_are_ignored
default 305 the check of a restart's commit index expected the one of a header block that bit rot
  destroyed: docs/FORMAT.md, header blocks
disk 365 the check of the used membership regarded one as repaired whose content the node still
  requested: sim/src/world/cluster/notes.rs
rollback 255 the check of a start expected one of a node that had lost the end of its log and held
  the casting vote of two, so that no other node had to have it
default 1106 three learners waited for snapshots at 512 bytes per second: the simulator expected
  progress sooner
damage 64 a node before its first term could not answer a request for damaged entries:
  tests/specs/repair/node_before_its_first_term_answers_a_request.txt
default 40139 the check of parts expected one answer to several requests that the network delivered
  after the stabilization: sim/tests/forged/upkeep.rs
default 43669 a leader whose disk had been slow, and was fast again, transferred its leadership:
  src/raft/leader/disk_lag.rs
default 43172 the check of stops expected a sole voter to survive an entry that no read returned
default 53014 the check of uncertain nodes allowed no campaign while the certainty becomes durable
damage 60333 a repair waited for the content of entries that a start had dropped from the log
damage 64308 the check of comparisons counted the time before a node had applied anything
damage 64839 a node took no snapshot of its own while it waited for one that no node sent
default 65066 the model went back to a copy of a disk that the crash of the rollback had triggered
default 60796 a snapshot for which the disk was full was not taken again without further entries
damage 106501 snapshots of slow sources replaced each other without end:
  src/replica/snapshot_receiver.rs
damage 103019 the bound of a request became shorter at once when the last snapshot had arrived
default 105854 a cluster counted as idle although the leader remembered that its disk was slow
default 400162 a leader whose snapshot met one failed read, and ends at the last committed entry,
  never took another one, which a follower needed for the next commit:
  src/replica/node/disk_order_tests.rs
damage 510430 the checks failed a node that had found its damage so shortly before the end of the
  run that its repair was still under way
default 3300839 S52 failed a leader of an earlier term that asked a node to campaign whose log had
  been replaced in a later term
default 3310703 S38 failed a reply to a node that had become certain after the reply of an earlier
  leader
default 3311364 S56 failed a node that had led a term, and took a message that seemed to come from
  another leader of that term
default 3618690 L8 counted the time in which a node was the only voter, with no other to compare its
  state with
default 4005653 a check took a message of a lagging driver for one that the last step sent, because
  the disk had finished an operation at that instant: S72
default 4008264 the simulator expected progress of a bootstrap peer that lost the disk which another
  peer had chosen, but not written yet
default 4012493 S75 expected a node that was shutting down to handle its election timeout
damage 4110125 S73 counted each heartbeat round that a leader begins for its reads after a pause,
  before it handles its timer";

#[test]
fn seeds_that_once_failed_pass() {
    let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let text = SEEDS.replace("\n  ", " ");
    let lines: Vec<&str> = text.lines().collect();
    thread::scope(|scope| {
        for lines in lines.chunks(lines.len().div_ceil(threads)) {
            scope.spawn(|| lines.iter().for_each(|line| assert_passes(line)));
        }
    });
}

fn assert_passes(line: &str) {
    let mut words = line.splitn(3, ' ');
    let [profile, seed, bug] = array::from_fn(|_| words.next().expect("a line has three parts"));
    let profile = Profile::by_name(profile).expect("the profile exists");
    let seed = seed.parse().expect("a seed is a number");
    let outcome = run(seed, &RunOptions { profile, ..RunOptions::default() });
    assert_eq!(outcome.failure, None, "seed {seed} fails again; it once found: {bug}");
}
