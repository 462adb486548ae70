//! Forged nodes that send too late, too often or for too long: S66 (the part about priorities), and
//! S72 to S74, and S86.

use std::time::Duration;

use quorate::raft::RoleName;
use quorate::types::{AppendOutcome, Body, Heartbeat, Index, Member, Membership, NodeId};

use crate::received::led;
use crate::stage::{Stage, change, noop};

/// Like [`led`]; in addition, node 1 counts the log of node 2 as matched, and has committed it.
fn committed() -> Stage {
    let mut stage = led();
    stage.receives(2, 1, 1, Body::Heartbeat(Heartbeat::new(1, Index::ZERO)));
    stage.changes_status(2, |status| status.leader = Some(NodeId(1)));
    let accepted = || Body::AppendEntriesReply(AppendOutcome::Accepted { matched: Index(2) });
    for peer in [2, 3] {
        stage.acknowledges(peer, 1, 1, 2);
        stage.receives(1, peer, 1, accepted());
        let committed = if peer == 3 { Index(2) } else { Index::ZERO };
        stage.changes_status(1, |status| status.committed = committed);
        if peer == 2 {
            stage.counts_as_matched(1, 2, 2);
        }
    }
    stage
}

/// Node 1 leads term 1 of five voters, and removes the learner 6.
fn removed() -> Stage {
    let voters = Membership::new((1..=5).map(NodeId));
    let mut stage = Stage::of_six(voters.clone().with_learners([NodeId(6)]));
    stage.wins(1, 1, &[2, 3]);
    stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
    stage.commits(1, 1);
    stage.all_hold(&[1, 2, 3], &[change(2, 1, &voters)]);
    stage
}

/// Node 2, whose priority is lower than that of the other voters, has heard from its leader.
fn lower() -> Stage {
    let low = Member { priority: 1, ..Member::new(NodeId(2)) };
    let mut stage = Stage::with(Membership::new((1..=5).map(NodeId)).with_member(low));
    stage.wins(1, 1, &[2, 3]);
    stage.receives(2, 1, 1, Body::Heartbeat(Heartbeat::new(1, Index::ZERO)));
    stage.changes_status(2, |status| status.leader = Some(NodeId(1)));
    stage
}

/// Node 1 sends the node the heartbeat of a round in its next step.
fn sends_heartbeat(stage: &mut Stage, node: u64, round: u64, committed: u64) {
    let heartbeat = Heartbeat::new(round, Index(committed));
    stage.sends_in_step(1, node, 1, Body::Heartbeat(heartbeat));
}

/// Node 2 requests a read index in its next step.
fn requests_read(stage: &mut Stage, ticket: u64) {
    stage.sends_in_step(2, 1, 1, Body::ReadIndex { start_id: 7, ticket });
}

/// Node 2 becomes a pre-candidate after this time.
fn campaigns_after(stage: &mut Stage, time: Duration) {
    stage.advances_time(time);
    stage.changes_status(2, |status| {
        (status.role, status.leader) = (RoleName::PreCandidate, None);
    });
}

#[test]
fn a_commit_index_is_sent_in_the_step_that_commits_and_not_again() {
    let mut stage = committed();
    stage.sends_at_once(1, 2, 1, Body::Heartbeat(Heartbeat::new(1, Index(2))));
    stage.advances_time(Duration::from_secs(1));
    sends_heartbeat(&mut stage, 2, 2, 2);
    assert_eq!(stage.violation(), None);
}

#[test]
fn a_removed_node_gets_heartbeats_for_a_while() {
    let mut stage = removed();
    for round in 1..=9 {
        sends_heartbeat(&mut stage, 6, round, 1);
    }
    assert_eq!(stage.violation(), None);
}

#[test]
fn a_read_request_is_repeated_after_a_reply_or_an_interval() {
    let mut stage = committed();
    requests_read(&mut stage, 1);
    stage.receives(2, 1, 1, Body::ReadIndexReply { start_id: 7, ticket: 1, index: Index(2) });
    stage.steps(2);
    requests_read(&mut stage, 2);
    stage.advances_time(Duration::from_millis(50));
    requests_read(&mut stage, 3);
    assert_eq!(stage.violation(), None);
}

#[test]
fn a_node_of_a_lower_priority_campaigns_later() {
    let mut stage = lower();
    campaigns_after(&mut stage, Duration::from_millis(540));
    assert_eq!(stage.violation(), None);
}

crate::forgeries! {
    S66 a_node_of_a_lower_priority_campaigns_too_early on lower
    "n2 becomes pre-candidate in term t1 300.1ms after it last heard from a leader, voted or \
     changed its role, but the shortest election timeout is 540ms"
    |stage| campaigns_after(stage, Duration::from_millis(300))

    S72 a_commit_index_is_sent_with_a_later_heartbeat_only on committed
    "n1 leads term t1 and has not sent commit index 2 to n2, which has its whole log, within the \
     commit delay of 0ns"
    |stage| {
        stage.advances_time(Duration::from_millis(40));
        sends_heartbeat(stage, 2, 1, 2);
    }

    S86 an_entry_is_sent_with_a_later_heartbeat_only on committed
    "n1 leads term t1 and has not sent the entry at index 3 to n2, which has all entries before \
     it, although it has taken 3 steps since"
    |stage| {
        stage.sends_at_once(1, 2, 1, Body::Heartbeat(Heartbeat::new(1, Index(2))));
        stage.holds(1, &[noop(3, 1)]);
        for reads in 1..=2 {
            stage.changes_status(1, |status| status.reads_waiting = reads);
        }
        sends_heartbeat(stage, 2, 2, 2);
    }

    S73 a_removed_node_gets_heartbeats_forever on removed
    "n1 leads term t1 and still sends heartbeats to n6, which ceased to be a member more than two \
     election timeouts before"
    |stage| {
        stage.advances_time(Duration::from_millis(1300));
        for round in 1..=5 {
            stage.advances_time(Duration::from_millis(50));
            sends_heartbeat(stage, 6, round, 1);
        }
    }

    S74 a_read_requests_its_own_read_index on committed
    "n2 requests a read index from n1 again within 50ms, although it has no reply to the \
     previous request"
    |stage| {
        requests_read(stage, 1);
        requests_read(stage, 2);
    }
}
