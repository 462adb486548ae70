//! Forged logs, commits and applied entries: S6, S8 to S17, S28 and S33.

use quorate::types::{Body, EntryId, HardState, Index, NodeId, Readiness, Term};

use quorate_sim::observe::Observation;

use crate::stage::{Stage, command, id, joint, noop, voted};

/// Node 1 is the leader of term 1.
fn led() -> Stage {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 3]);
    stage
}

/// Node 1 is the leader of term 1, and its first entry is committed on nodes 1, 2 and 3.
fn one_entry() -> Stage {
    let mut stage = led();
    stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
    stage.commits(1, 1);
    stage
}

crate::forgeries! {
    S6 an_append_is_acknowledged_before_it_is_durable on led
    "n2 acknowledges index 1 to n1 in term t1, but the log on n2's disk ends at index 0"
    |stage| {
        stage.takes(1, &[noop(1, 1)]);
        stage.takes(2, &[noop(1, 1)]);
        stage.acknowledges(2, 1, 1, 1);
    }

    S6 a_different_entry_is_acknowledged on led
    "n2 acknowledges index 1 to n3 in term t2, but n2's disk holds entry 1@t1 there and leader n3 \
     holds entry 1@t2"
    |stage| {
        stage.all_hold(&[1, 2], &[noop(1, 1)]);
        stage.wins(3, 2, &[4, 5]);
        stage.takes(3, &[noop(1, 2)]);
        stage.enters(2, 2);
        stage.acknowledges(2, 3, 2, 1);
    }

    S6 an_acknowledgement_exceeds_the_leaders_log on led
    "n2 acknowledges index 1 to n3 in term t2, but the log of leader n3 ends at index 0"
    |stage| {
        stage.all_hold(&[1, 2], &[noop(1, 1)]);
        stage.wins(3, 2, &[4, 5]);
        stage.enters(2, 2);
        stage.acknowledges(2, 3, 2, 1);
    }

    S6 a_heartbeat_reply_acknowledges_too_much on led
    "n2 acknowledges index 1 to n1 in term t1, but the log on n2's disk ends at index 0"
    |stage| {
        stage.takes(1, &[noop(1, 1)]);
        stage.takes(2, &[noop(1, 1)]);
        let (verified, matched) = (Index(1), Index(1));
        let (durable, ready) = (matched, Readiness::default());
        let reply = Body::HeartbeatReply { round: 1, verified, matched, durable, ready };
        stage.sends(2, 1, 1, reply);
    }

    S6 a_different_log_is_reported_as_the_leaders on led
    "n2 reports to n3 in term t2 that its log equals the leader's up to index 1, but n2's log has \
     entry 1@t1 and leader n3 holds entry 1@t2 at that index"
    |stage| {
        stage.all_hold(&[1, 2], &[noop(1, 1)]);
        stage.wins(3, 2, &[4, 5]);
        stage.takes(3, &[noop(1, 2)]);
        stage.enters(2, 2);
        let (verified, matched) = (Index(1), Index::ZERO);
        let (durable, ready) = (matched, Readiness::default());
        let reply = Body::HeartbeatReply { round: 1, verified, matched, durable, ready };
        stage.sends(2, 3, 2, reply);
    }

    S6 a_leader_counts_an_unacknowledged_entry on led
    "n1 leads term t1 and counts n2's log as matched up to index 1, but n2 acknowledged only \
     index 0 in that term"
    |stage| {
        stage.all_hold(&[1, 2], &[noop(1, 1)]);
        stage.counts_as_matched(1, 2, 1);
    }

    S6 a_leader_counts_more_than_was_acknowledged on led
    "n1 leads term t1 and counts n2's log as matched up to index 2, but n2 acknowledged only \
     index 1 in that term"
    |stage| {
        stage.all_hold(&[1, 2], &[noop(1, 1), noop(2, 1)]);
        stage.acknowledges(2, 1, 1, 1);
        stage.counts_as_matched(1, 2, 2);
    }

    S6 a_leader_counts_an_earlier_terms_acknowledgement on led
    "n1 leads term t2 and counts n2's log as matched up to index 1, but n2 acknowledged only \
     index 0 in that term"
    |stage| {
        stage.all_hold(&[1, 2], &[noop(1, 1)]);
        stage.acknowledges(2, 1, 1, 1);
        stage.counts_as_matched(1, 2, 1);
        stage.wins(1, 2, &[2, 3]);
        stage.counts_as_matched(1, 2, 1);
    }

    S8 one_id_has_two_contents on led
    "n2 holds entry 1@t1 with different content than n1"
    |stage| {
        stage.takes(1, &[command(1, 1, 0)]);
        stage.takes(2, &[command(1, 1, 1)]);
    }

    S8 one_id_has_two_prefixes on led
    "n2 holds entry 2@t2 with a different prefix than n1"
    |stage| {
        stage.holds(1, &[noop(1, 1)]);
        stage.wins(1, 2, &[2, 3]);
        stage.takes(1, &[noop(2, 2)]);
        stage.takes(2, &[noop(1, 2), noop(2, 2)]);
    }

    S8 a_follower_takes_entries_of_an_earlier_leader on led
    "n2 writes entry 1@t1 in term t2, but n3, the leader of that term, holds entry 1@t2 at that \
     index"
    |stage| {
        stage.takes(1, &[noop(1, 1)]);
        stage.wins(3, 2, &[2, 4]);
        stage.takes(3, &[noop(1, 2)]);
        stage.takes(2, &[noop(1, 1)]);
    }

    S8 a_follower_takes_entries_without_a_leader on led
    "n2 writes entry 1@t1 in term t2, but term t2 has no leader"
    |stage| {
        stage.takes(1, &[noop(1, 1)]);
        stage.enters(2, 2);
        stage.takes(2, &[noop(1, 1)]);
    }

    S8 a_log_has_a_gap
    "n2 writes entry 2@t1, but its log ends at index 0"
    |stage| stage.takes(2, &[noop(2, 1)])

    S9 a_leader_overwrites_its_log on led
    "n1 leads term t1 and overwrites its own log, which ends at index 2, with entry 2@t1"
    |stage| {
        stage.holds(1, &[noop(1, 1), command(2, 1, 0)]);
        stage.submits(1, None, &[command(2, 1, 0)]);
    }

    S9 a_leader_truncates_its_log on led
    "n1 leads term t1 and truncates its own log: its last entry changes from 2@t1 to 1@t1"
    |stage| {
        stage.holds(1, &[noop(1, 1), command(2, 1, 0)]);
        stage.changes_status(1, |status| (status.last, status.durable) = (id(1, 1), Index(1)));
    }

    S10 a_leader_lacks_a_committed_entry on one_entry
    "entry 1@t1 was committed in term t1, but the log of n4, the leader of term t2, ends at index 0"
    |stage| stage.wins_unasked(4, 2, &[2, 5])

    S10 a_leader_has_a_different_entry on led
    "entry 1@t1 was committed in term t1, but the log of n4, the leader of term t3, has entry 1@t2 \
     there"
    |stage| {
        stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
        stage.wins_unasked(4, 2, &[2, 5]);
        stage.holds(4, &[noop(1, 2)]);
        stage.crashes(4);
        stage.commits(1, 1);
        stage.starts(4);
        stage.wins(4, 3, &[2, 5]);
    }

    S10 a_later_leader_lacks_a_newly_committed_entry on led
    "entry 1@t1 was committed in term t1, but the log of n4, the leader of term t2, ends at index 0"
    |stage| {
        stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
        stage.wins_unasked(4, 2, &[2, 5]);
        stage.commits(1, 1);
    }

    S11 a_divergent_tail_is_committed on led
    "n1 commits entry 1@t1, but the committed entry at that index is 1@t2"
    |stage| {
        stage.holds(1, &[noop(1, 1)]);
        stage.wins(4, 2, &[2, 5]);
        stage.all_hold(&[4, 2, 5], &[noop(1, 2)]);
        stage.commits(4, 1);
        stage.enters(1, 2);
        stage.commits(1, 1);
    }

    S11 a_committed_entry_is_overwritten on one_entry
    "n2 commits entry 1@t2, but the committed entry at that index is 1@t1"
    |stage| {
        stage.commits(2, 1);
        stage.takes(2, &[noop(1, 2)]);
    }

    S11 a_quorum_overwrites_a_committed_entry on led
    "n5 commits index 2 on a quorum whose log has entry 1@t2 in place of the committed entry 1@t1"
    |stage| {
        stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
        stage.wins_unasked(4, 2, &[2, 5]);
        stage.holds(4, &[noop(1, 2), noop(2, 2)]);
        stage.crashes(4);
        stage.commits(1, 1);
        stage.enters(3, 2);
        stage.all_hold(&[2, 3], &[noop(1, 2), noop(2, 2)]);
        stage.changes_status(5, |status| (status.last, status.committed) = (id(2, 2), Index(2)));
    }

    S11 a_different_entry_is_applied on one_entry
    "n1 applies entry 1@t2, but the committed entry at that index is 1@t1"
    |stage| {
        stage.applies_these(1, &[noop(1, 2)]);
    }

    S11 a_different_command_is_applied on one_entry
    "n1 applies entry 1@t1, but the committed entry at that index is 1@t1 with different content"
    |stage| {
        stage.applies_these(1, &[command(1, 1, 0)]);
    }

    S12 a_minority_commits on led
    "n1 commits index 1, but that entry is not durable on a quorum of {n1 n2 n3 n4 n5}: n1 has \
     1@t1 on disk, n2 has 1@t1 on disk, the log on n3's disk ends at index 0, the log on n4's \
     disk ends at index 0, the log on n5's disk ends at index 0"
    |stage| {
        stage.all_hold(&[1, 2], &[noop(1, 1)]);
        stage.commits(1, 1);
    }

    S12 an_entry_in_memory_is_counted_as_durable on led
    "n1 commits index 1, but that entry is not durable on a quorum of {n1 n2 n3 n4 n5}: n1 has \
     1@t1 on disk, the log on n2's disk ends at index 0, the log on n3's disk ends at index 0, \
     the log on n4's disk ends at index 0, the log on n5's disk ends at index 0"
    |stage| {
        stage.holds(1, &[noop(1, 1)]);
        stage.takes(2, &[noop(1, 1)]);
        stage.takes(3, &[noop(1, 1)]);
        stage.commits(1, 1);
    }

    S12 the_leader_counts_its_own_memory on led
    "n1 commits index 1, but that entry is not durable on a quorum of {n1 n2 n3 n4 n5}: the log \
     on n1's disk ends at index 0, n2 has 1@t1 on disk, n3 has 1@t1 on disk, the log on n4's disk \
     ends at index 0, the log on n5's disk ends at index 0"
    |stage| {
        stage.takes(1, &[noop(1, 1)]);
        stage.all_hold(&[2, 3], &[noop(1, 1)]);
        stage.commits(1, 1);
    }

    S12 one_majority_of_a_joint_membership_commits on joint
    "n1 commits index 1, but that entry is not durable on a quorum of {n3 n4 n5} from {n1 n2 n3}: \
     n1 has 1@t1 on disk, n2 has 1@t1 on disk, n3 has 1@t1 on disk, the log on n4's disk ends at \
     index 0, the log on n5's disk ends at index 0"
    |stage| {
        stage.wins(1, 1, &[2, 3, 4]);
        stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
        stage.commits(1, 1);
    }

    S13 an_earlier_terms_entry_is_committed_by_counting on led
    "n1 leads term t2 and commits entry 1@t1 of an earlier term by counting replicas"
    |stage| {
        stage.all_hold(&[1, 2], &[noop(1, 1)]);
        stage.wins(1, 2, &[2, 3]);
        stage.holds(3, &[noop(1, 1)]);
        stage.commits(1, 1);
    }

    S14 a_commit_index_decreases on one_entry
    "n1's commit index decreases from 1 to 0"
    |stage| stage.commits(1, 0)

    S15 the_applied_index_exceeds_the_commit_index on one_entry
    "n2 reports applied index 1, commit index 0 and last index 1, which are not in ascending order"
    |stage| {
        stage.changes_status(2, |status| status.applied = Index(1));
    }

    S15 the_commit_index_exceeds_the_last_index on one_entry
    "n4 reports applied index 0, commit index 1 and last index 0, which are not in ascending order"
    |stage| stage.commits(4, 1)

    S15 an_entry_is_applied_before_its_commit on one_entry
    "n2 applies index 1, but its commit index is 0"
    |stage| {
        stage.applies_these(2, &[noop(1, 1)]);
    }

    S15 an_entry_is_applied_twice on one_entry
    "n1 applies index 1 directly after index 1"
    |stage| {
        stage.applies(1, 1);
        stage.applies_these(1, &[noop(1, 1)]);
    }

    S15 an_entry_is_skipped on one_entry
    "n1 applies index 2 directly after index 0"
    |stage| {
        stage.all_hold(&[1, 2, 3], &[command(2, 1, 0)]);
        stage.proposes();
        stage.commits(1, 2);
        stage.applies_these(1, &[command(2, 1, 0)]);
    }

    S16 a_restart_loses_the_commit_index on one_entry
    "n1 restarts with commit index 0, but its disk stores commit index 1 and a log up to index 2"
    |stage| {
        stage.holds(1, &[command(2, 1, 0)]);
        stage.crashes(1);
        stage.starts_from(1, voted(1, 1), 0, &[noop(1, 1), command(2, 1, 0)]);
    }

    S17 a_disk_writes_different_data
    "n1 has no pending write, and its memory holds term t1 and a vote for n1, but its disk holds \
     term t1 and a vote for n2"
    |stage| {
        stage.submits(1, Some(voted(1, 1)), &[]);
        let mut write = stage.pending(1);
        write.hard_state = Some(voted(1, 2));
        stage.flushed(1, &write);
    }

    S17 a_disk_writes_a_shorter_log on led
    "n2 has no pending write, and its log ends with 2@t1 in memory, but with 1@t1 on its disk"
    |stage| {
        stage.holds(1, &[noop(1, 1), noop(2, 1)]);
        stage.holds(2, &[noop(1, 1)]);
        stage.takes(2, &[noop(2, 1)]);
        let mut write = stage.pending(2);
        write.entries = [noop(1, 1)].into();
        stage.flushed(2, &write);
    }

    S17 a_disk_skips_an_entry on led
    "n1 writes entry 2@t1, but its log ends at index 0"
    |stage| {
        stage.takes(1, &[noop(1, 1), noop(2, 1)]);
        let mut write = stage.pending(1);
        write.entries.drop_first(1);
        stage.flushed(1, &write);
    }

    S17 writes_complete_out_of_order
    "n1 receives the completion of write w2 before the completion of an earlier write"
    |stage| {
        stage.submits(1, Some(voted(1, 1)), &[]);
        stage.submits(1, Some(voted(2, 1)), &[]);
        stage.pending(1);
        stage.flushes(1);
    }

    S17 a_restart_finds_a_shorter_log on led
    "n1 restarts with a log that ends with 1@t1, but the log on its disk ended with 2@t1 before \
     the restart"
    |stage| {
        stage.holds(1, &[noop(1, 1), noop(2, 1)]);
        stage.crashes(1);
        stage.starts_from(1, voted(1, 1), 0, &[noop(1, 1)]);
    }

    S17 a_restart_finds_a_different_log on led
    "n2 restarts with a log that ends with 3@t2, but the log on its disk ended with 2@t1 before \
     the restart"
    |stage| {
        stage.holds(1, &[noop(1, 1), noop(2, 1)]);
        stage.holds(2, &[noop(1, 1), noop(2, 1)]);
        stage.wins(2, 2, &[3, 4]);
        stage.takes(2, &[noop(3, 2)]);
        stage.crashes(2);
        stage.starts_from(2, voted(2, 2), 0, &[noop(1, 1), noop(2, 2), noop(3, 2)]);
    }

    S17 a_restart_finds_a_truncation_without_its_entries on led
    "n2 restarts with a log that ends with 1@t1, but the log on its disk ended with 2@t1 before \
     the restart"
    |stage| {
        stage.all_hold(&[1, 2], &[noop(1, 1), noop(2, 1)]);
        stage.wins_unasked(3, 2, &[2, 4]);
        stage.takes(3, &[noop(1, 2)]);
        stage.takes(2, &[noop(1, 2)]);
        stage.crashes(2);
        stage.starts_from(2, voted(2, 3), 0, &[noop(1, 1)]);
    }

    S17 a_restart_finds_an_unsubmitted_entry on led
    "n2 restarts with a log that ends with 2@t1, but the log on its disk ended with 0@t0 before \
     the restart"
    |stage| {
        stage.takes(1, &[noop(1, 1), noop(2, 1)]);
        stage.takes(2, &[noop(1, 1)]);
        stage.crashes(2);
        stage.starts_from(2, voted(1, 1), 0, &[noop(1, 1), noop(2, 1)]);
    }

    S17 a_restart_finds_a_vote_that_was_never_submitted
    "n1 restarts with term t1 and a vote for n2, but its disk held term t0 and no vote before the \
     restart"
    |stage| {
        stage.submits(1, Some(voted(1, 1)), &[]);
        stage.crashes(1);
        stage.starts_from(1, voted(1, 2), 0, &[]);
    }

    S17 a_restart_finds_no_vote
    "n1 restarts with term t1 and no vote, but its disk held term t1 and a vote for n1 before the \
     restart"
    |stage| {
        stage.votes(1, 1, 1);
        stage.crashes(1);
        stage.starts_from(1, HardState::new(Term(1), None), 0, &[]);
    }

    S17 a_node_reports_too_high_a_durable_index on led
    "n1 reports that its log is durable up to index 1, but the log on its disk ends at index 0"
    |stage| {
        stage.takes(1, &[noop(1, 1)]);
        stage.changes_status(1, |status| status.durable = Index(1));
    }

    S17 a_node_reports_an_overwritten_log_as_durable on led
    "n1 reports that its log is durable up to index 1, but its disk holds the different entry \
     1@t1 there"
    |stage| {
        stage.holds(1, &[noop(1, 1)]);
        stage.wins(4, 2, &[2, 5]);
        stage.takes(4, &[noop(1, 2)]);
        stage.enters(1, 2);
        stage.takes(1, &[noop(1, 2)]);
        stage.changes_status(1, |status| status.durable = Index(1));
    }

    S28 a_write_is_durable_after_the_disk_failed on led
    "n1 treats write w2 as durable after its disk failed"
    |stage| {
        stage.takes(1, &[noop(1, 1)]);
        stage.observes(Observation::DiskFailed { node: NodeId(1) });
        stage.flushes(1);
    }

    S17 a_term_is_never_written
    "n1 has no pending write, and its memory holds term t4 and no vote with a log up to 0@t0, but \
     its disk holds term t0 and no vote with a log up to 0@t0"
    |stage| {
        stage.changes_status(1, |status| status.term = Term(4));
        stage.stabilizes(&[1]);
        stage.idles();
        stage.ends();
    }

    S17 an_entry_is_never_written
    "n1 has no pending write, and its memory holds term t0 and no vote with a log up to 1@t1, but \
     its disk holds term t0 and no vote with a log up to 0@t0"
    |stage| {
        stage.changes_status(1, |status| status.last = EntryId::new(Term(1), Index(1)));
        stage.stabilizes(&[1]);
        stage.idles();
        stage.ends();
    }

    S33 a_live_voter_lacks_the_answered_entry on one_entry
    "n1 acknowledges entry 1@t1 as durable on every live voter, but the log on n4's disk ends at \
     index 0"
    |stage| {
        let (node, id, live) = (NodeId(1), id(1, 1), [NodeId(2), NodeId(3), NodeId(4)]);
        stage.observes(Observation::AllLiveAcknowledged { node, id, live: &live[..2] });
        stage.observes(Observation::AllLiveAcknowledged { node, id, live: &live });
    }

    S33 the_answered_entry_is_not_committed on led
    "n1 acknowledges entry 1@t1 as durable on every live voter, but that entry is not committed"
    |stage| {
        stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
        let (node, id) = (NodeId(1), id(1, 1));
        stage.observes(Observation::AllLiveAcknowledged { node, id, live: &[] });
    }
}
