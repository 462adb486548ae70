//! Forged logs, commits and applied entries: S6 and S8 to S17.

use quorate::types::{Body, EntryId, HardState, Index, Membership, NodeId, Readiness, Term};

use quorate_sim::observe::Seen;

use crate::stage::{Stage, command, id, noop, voted};

/// Voters 1 to 3 are replaced by 3 to 5.
fn joint() -> Stage {
    let ids = |ids: [u64; 3]| ids.map(NodeId);
    Stage::with(Membership::new(ids([3, 4, 5])).joint_with(ids([1, 2, 3])))
}

/// Node 1 leads term 1.
fn led() -> Stage {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 3]);
    stage
}

/// Node 1 leads term 1, and its first entry is committed on 1, 2 and 3.
fn one_entry() -> Stage {
    let mut stage = led();
    stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
    stage.commits(1, 1);
    stage
}

crate::forgeries! {
    S6 an_append_is_acknowledged_before_it_is_durable on led
    "n2 acknowledges 1 to n1 in t1 while its disk ends at 0"
    |stage| {
        stage.takes(1, &[noop(1, 1)]);
        stage.takes(2, &[noop(1, 1)]);
        stage.acknowledges(2, 1, 1, 1);
    }

    S6 another_entry_is_acknowledged on led
    "n2 acknowledges 1 to n3 in t2 with 1@t1 on its disk, where the leader has 1@t2"
    |stage| {
        stage.all_hold(&[1, 2], &[noop(1, 1)]);
        stage.wins(3, 2, &[4, 5]);
        stage.takes(3, &[noop(1, 2)]);
        stage.enters(2, 2);
        stage.acknowledges(2, 3, 2, 1);
    }

    S6 more_is_acknowledged_than_the_leader_has on led
    "n2 acknowledges 1 to n3 in t2, whose log ends at 0"
    |stage| {
        stage.all_hold(&[1, 2], &[noop(1, 1)]);
        stage.wins(3, 2, &[4, 5]);
        stage.enters(2, 2);
        stage.acknowledges(2, 3, 2, 1);
    }

    S6 an_answer_to_a_heartbeat_acknowledges_too_much on led
    "n2 acknowledges 1 to n1 in t1 while its disk ends at 0"
    |stage| {
        stage.takes(1, &[noop(1, 1)]);
        stage.takes(2, &[noop(1, 1)]);
        let (verified, matched) = (Index(1), Index(1));
        let (durable, ready) = (matched, Readiness::default());
        let reply = Body::HeartbeatReply { round: 1, verified, matched, durable, ready };
        stage.sends(2, 1, 1, reply);
    }

    S6 another_log_is_taken_for_the_leaders on led
    "n2 takes its log up to 1@t1 for that of n3 in t2, which has 1@t2 there"
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

    S6 a_leader_counts_what_nobody_acknowledged on led
    "n1 leads t1 and counts on n2 up to 1, which acknowledged 0 in it"
    |stage| {
        stage.all_hold(&[1, 2], &[noop(1, 1)]);
        stage.counts(1, 2, 1);
    }

    S6 a_leader_counts_more_than_was_acknowledged on led
    "n1 leads t1 and counts on n2 up to 2, which acknowledged 1 in it"
    |stage| {
        stage.all_hold(&[1, 2], &[noop(1, 1), noop(2, 1)]);
        stage.acknowledges(2, 1, 1, 1);
        stage.counts(1, 2, 2);
    }

    S6 a_leader_counts_an_earlier_terms_acknowledgement on led
    "n1 leads t2 and counts on n2 up to 1, which acknowledged 0 in it"
    |stage| {
        stage.all_hold(&[1, 2], &[noop(1, 1)]);
        stage.acknowledges(2, 1, 1, 1);
        stage.counts(1, 2, 1);
        stage.wins(1, 2, &[2, 3]);
        stage.counts(1, 2, 1);
    }

    S8 one_id_has_two_contents on led
    "n2 holds 1@t1 with another content than n1 did"
    |stage| {
        stage.takes(1, &[command(1, 1, 0)]);
        stage.takes(2, &[command(1, 1, 1)]);
    }

    S8 one_id_has_two_prefixes on led
    "n2 holds 2@t2 with another prefix than n1 did"
    |stage| {
        stage.holds(1, &[noop(1, 1)]);
        stage.wins(1, 2, &[2, 3]);
        stage.takes(1, &[noop(2, 2)]);
        stage.takes(2, &[noop(1, 2), noop(2, 2)]);
    }

    S8 a_follower_takes_entries_of_an_earlier_leader on led
    "n2 writes 1@t1 in t2, of which the leader, n3, has 1@t2"
    |stage| {
        stage.takes(1, &[noop(1, 1)]);
        stage.wins(3, 2, &[2, 4]);
        stage.takes(3, &[noop(1, 2)]);
        stage.takes(2, &[noop(1, 1)]);
    }

    S8 a_follower_takes_entries_without_a_leader on led
    "n2 writes 1@t1 in t2, in which nobody leads"
    |stage| {
        stage.takes(1, &[noop(1, 1)]);
        stage.enters(2, 2);
        stage.takes(2, &[noop(1, 1)]);
    }

    S8 a_log_has_a_gap
    "n2 writes 2@t1 though its log ends at 0"
    |stage| stage.takes(2, &[noop(2, 1)])

    S9 a_leader_overwrites_its_log on led
    "n1 leads t1 and overwrites its log, which ends at 2, with 2@t1"
    |stage| {
        stage.holds(1, &[noop(1, 1), command(2, 1, 0)]);
        stage.submits(1, None, &[command(2, 1, 0)]);
    }

    S9 a_leader_cuts_its_log on led
    "n1 leads t1 and cuts its log from 2@t1 to 1@t1"
    |stage| {
        stage.holds(1, &[noop(1, 1), command(2, 1, 0)]);
        stage.says(1, |status| (status.last, status.durable) = (id(1, 1), Index(1)));
    }

    S10 a_leader_lacks_what_was_committed on one_entry
    "n4 leads t2 but its log ends at 0 where t1 committed 1@t1"
    |stage| stage.wins(4, 2, &[2, 5])

    S10 a_leader_has_another_entry on led
    "n4 leads t3 but its log has 1@t2 where t1 committed 1@t1"
    |stage| {
        stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
        stage.wins(4, 2, &[2, 5]);
        stage.holds(4, &[noop(1, 2)]);
        stage.crashes(4);
        stage.commits(1, 1);
        stage.starts(4);
        stage.wins(4, 3, &[2, 5]);
    }

    S10 a_later_leader_lacks_what_is_committed on led
    "n4 leads t2 but its log ends at 0 where t1 committed 1@t1"
    |stage| {
        stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
        stage.wins(4, 2, &[2, 5]);
        stage.commits(1, 1);
    }

    S11 a_divergent_tail_is_committed on led
    "n1 commits 1@t1 where 1@t2 is committed"
    |stage| {
        stage.holds(1, &[noop(1, 1)]);
        stage.wins(4, 2, &[2, 5]);
        stage.all_hold(&[4, 2, 5], &[noop(1, 2)]);
        stage.commits(4, 1);
        stage.enters(1, 2);
        stage.commits(1, 1);
    }

    S11 a_committed_entry_is_overwritten on one_entry
    "n2 commits 1@t2 where 1@t1 is committed"
    |stage| {
        stage.commits(2, 1);
        stage.takes(2, &[noop(1, 2)]);
    }

    S11 a_quorum_rewrites_what_is_committed on led
    "n5 commits 2 on a quorum that has 1@t2 where 1@t1 is committed"
    |stage| {
        stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
        stage.wins(4, 2, &[2, 5]);
        stage.holds(4, &[noop(1, 2), noop(2, 2)]);
        stage.crashes(4);
        stage.commits(1, 1);
        stage.enters(3, 2);
        stage.all_hold(&[2, 3], &[noop(1, 2), noop(2, 2)]);
        stage.says(5, |status| (status.last, status.committed) = (id(2, 2), Index(2)));
    }

    S11 another_entry_is_applied on one_entry
    "n1 applies 1@t2 where 1@t1 is committed"
    |stage| {
        stage.applies_these(1, &[noop(1, 2)]);
    }

    S11 another_command_is_applied on one_entry
    "n1 applies 1@t1 where 1@t1 with other content is committed"
    |stage| {
        stage.applies_these(1, &[command(1, 1, 0)]);
    }

    S12 a_minority_commits on led
    "n1 commits 1 without the disks of a quorum of {n1 n2 n3 n4 n5}: n1 has 1@t1, n2 has 1@t1, n3 \
     ends at 0, n4 ends at 0, n5 ends at 0"
    |stage| {
        stage.all_hold(&[1, 2], &[noop(1, 1)]);
        stage.commits(1, 1);
    }

    S12 memory_counts_as_disk on led
    "n1 commits 1 without the disks of a quorum of {n1 n2 n3 n4 n5}: n1 has 1@t1, n2 ends at 0, \
     n3 ends at 0, n4 ends at 0, n5 ends at 0"
    |stage| {
        stage.holds(1, &[noop(1, 1)]);
        stage.takes(2, &[noop(1, 1)]);
        stage.takes(3, &[noop(1, 1)]);
        stage.commits(1, 1);
    }

    S12 the_leader_counts_its_own_memory on led
    "n1 commits 1 without the disks of a quorum of {n1 n2 n3 n4 n5}: n1 ends at 0, n2 has 1@t1, \
     n3 has 1@t1, n4 ends at 0, n5 ends at 0"
    |stage| {
        stage.takes(1, &[noop(1, 1)]);
        stage.all_hold(&[2, 3], &[noop(1, 1)]);
        stage.commits(1, 1);
    }

    S12 one_half_of_a_joint_membership_commits on joint
    "n1 commits 1 without the disks of a quorum of {n3 n4 n5} from {n1 n2 n3}: n1 has 1@t1, n2 \
     has 1@t1, n3 has 1@t1, n4 ends at 0, n5 ends at 0"
    |stage| {
        stage.wins(1, 1, &[2, 3, 4]);
        stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
        stage.commits(1, 1);
    }

    S13 an_earlier_terms_entry_is_committed_by_counting on led
    "n1 leads t2 and commits 1@t1 by counting"
    |stage| {
        stage.all_hold(&[1, 2], &[noop(1, 1)]);
        stage.wins(1, 2, &[2, 3]);
        stage.holds(3, &[noop(1, 1)]);
        stage.commits(1, 1);
    }

    S14 a_commit_index_falls on one_entry
    "n1's commit index falls from 1 to 0"
    |stage| stage.commits(1, 0)

    S15 more_is_applied_than_committed on one_entry
    "n2 has applied 1, committed 0, last 1: out of order"
    |stage| {
        stage.says(2, |status| status.applied = Index(1));
    }

    S15 more_is_committed_than_there_is on one_entry
    "n4 has applied 0, committed 1, last 0: out of order"
    |stage| stage.commits(4, 1)

    S15 an_entry_is_applied_before_its_commit on one_entry
    "n2 applies 1 with commit index 0"
    |stage| {
        stage.applies_these(2, &[noop(1, 1)]);
    }

    S15 an_entry_is_applied_twice on one_entry
    "n1 applies 1 after 1"
    |stage| {
        stage.applies(1, 1);
        stage.applies_these(1, &[noop(1, 1)]);
    }

    S15 an_entry_is_left_out on one_entry
    "n1 applies 2 after 0"
    |stage| {
        stage.all_hold(&[1, 2, 3], &[command(2, 1, 0)]);
        stage.proposes();
        stage.commits(1, 2);
        stage.applies_these(1, &[command(2, 1, 0)]);
    }

    S16 a_restart_forgets_the_commit_index on one_entry
    "n1 restarts with commit index 0 though its disk says 1 of 2"
    |stage| {
        stage.holds(1, &[command(2, 1, 0)]);
        stage.crashes(1);
        stage.starts_from(1, voted(1, 1), 0, &[noop(1, 1), command(2, 1, 0)]);
    }

    S17 a_disk_writes_something_else
    "n1 holds t1 with a vote for n1 but its disk has t1 with a vote for n2"
    |stage| {
        stage.submits(1, Some(voted(1, 1)), &[]);
        let mut write = stage.pending(1);
        write.hard_state = Some(voted(1, 2));
        stage.flushed(1, &write);
    }

    S17 a_disk_writes_a_shorter_log on led
    "n2's log ends with 2@t1 in memory but with 1@t1 on its disk"
    |stage| {
        stage.holds(1, &[noop(1, 1), noop(2, 1)]);
        stage.holds(2, &[noop(1, 1)]);
        stage.takes(2, &[noop(2, 1)]);
        let mut write = stage.pending(2);
        write.entries = vec![noop(1, 1)];
        stage.flushed(2, &write);
    }

    S17 a_disk_leaves_a_hole on led
    "n1 writes 2@t1 though its log ends at 0"
    |stage| {
        stage.takes(1, &[noop(1, 1), noop(2, 1)]);
        let mut write = stage.pending(1);
        write.entries.remove(0);
        stage.flushed(1, &write);
    }

    S17 writes_overtake_one_another
    "w2 of n1 is durable out of turn"
    |stage| {
        stage.submits(1, Some(voted(1, 1)), &[]);
        stage.submits(1, Some(voted(2, 1)), &[]);
        stage.pending(1);
        stage.flushes(1);
    }

    S17 a_restart_finds_a_shorter_log on led
    "n1 restarts from a log that ends with 1@t1 but its disk held 2@t1"
    |stage| {
        stage.holds(1, &[noop(1, 1), noop(2, 1)]);
        stage.crashes(1);
        stage.starts_from(1, voted(1, 1), 0, &[noop(1, 1)]);
    }

    S17 a_restart_finds_another_log on led
    "n2 restarts from a log that ends with 3@t2 but its disk held 2@t1"
    |stage| {
        stage.holds(1, &[noop(1, 1), noop(2, 1)]);
        stage.holds(2, &[noop(1, 1), noop(2, 1)]);
        stage.wins(2, 2, &[3, 4]);
        stage.takes(2, &[noop(3, 2)]);
        stage.crashes(2);
        stage.starts_from(2, voted(2, 2), 0, &[noop(1, 1), noop(2, 2), noop(3, 2)]);
    }

    S17 a_restart_finds_a_cut_without_what_replaced_it on led
    "n2 restarts from a log that ends with 1@t1 but its disk held 2@t1"
    |stage| {
        stage.all_hold(&[1, 2], &[noop(1, 1), noop(2, 1)]);
        stage.wins(3, 2, &[2, 4]);
        stage.takes(3, &[noop(1, 2)]);
        stage.takes(2, &[noop(1, 2)]);
        stage.crashes(2);
        stage.starts_from(2, voted(2, 3), 0, &[noop(1, 1)]);
    }

    S17 a_restart_finds_what_was_not_yet_written on led
    "n2 restarts from a log that ends with 2@t1 but its disk held 0@t0"
    |stage| {
        stage.takes(1, &[noop(1, 1), noop(2, 1)]);
        stage.takes(2, &[noop(1, 1)]);
        stage.crashes(2);
        stage.starts_from(2, voted(1, 1), 0, &[noop(1, 1), noop(2, 1)]);
    }

    S17 a_restart_finds_a_vote_that_was_not_given
    "n1 restarts from t1 with a vote for n2 but its disk held t0 without a vote"
    |stage| {
        stage.submits(1, Some(voted(1, 1)), &[]);
        stage.crashes(1);
        stage.starts_from(1, voted(1, 2), 0, &[]);
    }

    S17 a_restart_finds_no_vote
    "n1 restarts from t1 without a vote but its disk held t1 with a vote for n1"
    |stage| {
        stage.votes(1, 1, 1);
        stage.crashes(1);
        stage.starts_from(1, HardState::new(Term(1), None), 0, &[]);
    }

    S17 a_node_believes_too_much_durable on led
    "n1 believes 1 durable but its disk ends at 0"
    |stage| {
        stage.takes(1, &[noop(1, 1)]);
        stage.says(1, |status| status.durable = Index(1));
    }

    S17 a_node_believes_the_old_log_to_be_the_new on led
    "n1 believes 1 durable but its disk has another log up to 1@t1"
    |stage| {
        stage.holds(1, &[noop(1, 1)]);
        stage.wins(4, 2, &[2, 5]);
        stage.takes(4, &[noop(1, 2)]);
        stage.enters(1, 2);
        stage.takes(1, &[noop(1, 2)]);
        stage.says(1, |status| status.durable = Index(1));
    }

    S28 a_write_is_durable_after_the_disk_failed on led
    "n1 takes w2 for durable after its disk failed"
    |stage| {
        stage.takes(1, &[noop(1, 1)]);
        stage.sees(Seen::DiskFailed { node: NodeId(1) });
        stage.flushes(1);
    }

    S17 a_term_is_never_written
    "n1 at rest is in t4 without a vote with a log to 0@t0, but its disk has t0 without a vote \
     and a log to 0@t0"
    |stage| {
        stage.says(1, |status| status.term = Term(4));
        stage.calms(&[1]);
        stage.idles();
        stage.ends();
    }

    S17 an_entry_is_never_written
    "n1 at rest is in t0 without a vote with a log to 1@t1, but its disk has t0 without a vote \
     and a log to 0@t0"
    |stage| {
        stage.says(1, |status| status.last = EntryId::new(Term(1), Index(1)));
        stage.calms(&[1]);
        stage.idles();
        stage.ends();
    }

    S33 a_live_voter_lacks_what_all_have on one_entry
    "n1 answers 1@t1 for all live voters, but n4 ends at 0"
    |stage| {
        let live = [NodeId(2), NodeId(3), NodeId(4)];
        stage.sees(Seen::OnAllLive { node: NodeId(1), id: id(1, 1), live: &live[..2] });
        stage.sees(Seen::OnAllLive { node: NodeId(1), id: id(1, 1), live: &live });
    }

    S33 what_all_have_is_not_committed on led
    "n1 answers 1@t1, which is not committed"
    |stage| {
        stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
        stage.sees(Seen::OnAllLive { node: NodeId(1), id: id(1, 1), live: &[] });
    }
}
