//! Honest traces, at which no check may fire.

use std::time::Duration;

use quorate::machine::Outcome;
use quorate::types::{Body, EntryId, Freshness, Heartbeat, Index, NodeId, ReadLevel, Readiness};
use quorate_sim::observe::Observation;

use crate::stage::{Stage, command, id, narrow_window, noop, register, request, voted};

#[track_caller]
fn accepted(stage: &Stage) {
    assert_eq!(stage.violation(), None);
}

#[test]
fn a_run_without_faults_is_accepted() {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 3]);
    stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
    [2, 3].into_iter().for_each(|node| stage.acknowledges(node, 1, 1, 1));
    stage.commits(1, 1);
    stage.applies(1, 1);
    let write = stage.proposes();
    let early = stage.reads();
    stage.all_hold(&[1, 2, 3], &[command(2, 1, 0)]);
    stage.commits(1, 2);
    stage.serves(early, 1, 1);
    stage.applies(1, 2);
    stage.confirms(write, id(2, 1));
    let late = stage.reads();
    stage.serves(late, 1, 2);
    for node in [2, 3] {
        stage.commits(node, 2);
        stage.applies(node, 2);
    }
    stage.stabilizes(&[1, 2, 3]);
    stage.idles();
    for round in 1..100 {
        stage.advances_time(Duration::from_millis(50));
        let confirmed = round - 1;
        let heartbeat = Heartbeat { confirmed, ..Heartbeat::new(round, Index(2)) };
        stage.sends(1, 2, 1, Body::Heartbeat(heartbeat));
        stage.sends(
            2,
            1,
            1,
            Body::HeartbeatReply {
                round,
                verified: Index(2),
                matched: Index(2),
                durable: Index(2),
                ready: Readiness::default(),
            },
        );
    }
    stage.ends();
    accepted(&stage);
}

#[test]
fn stale_answers_are_accepted_where_they_are_allowed() {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 3]);
    let op = stage.proposes();
    stage.all_hold(&[1, 2, 3], &[noop(1, 1), command(2, 1, 0)]);
    stage.commits(1, 2);
    stage.applies(1, 2);
    stage.confirms(op, id(2, 1));
    let second = Duration::from_secs(1);
    let op = stage.reads_at_level(ReadLevel::Bounded(second));
    stage.serves_as(op, 3, 0, Freshness::Within(second));
    stage.advances_time(2 * second);
    let op = stage.reads_at_level(ReadLevel::Local);
    stage.serves_as(op, 3, 0, Freshness::Unknown);
    let op = stage.reads_at_level(ReadLevel::Bounded(second));
    stage.serves_as(op, 1, 2, Freshness::Within(second));
    for level in [ReadLevel::Lease, ReadLevel::Replica, ReadLevel::Bounded(second)] {
        let op = stage.reads_at_level(level);
        stage.serves(op, 1, 2);
    }
    stage.ends();
    accepted(&stage);
}

#[test]
fn crashes_and_overwritten_tails_are_accepted() {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 3]);
    stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
    stage.commits(1, 1);
    let lost = stage.proposes();
    let kept = stage.proposes();
    stage.takes(1, &[command(2, 1, 0), command(3, 1, 1)]);
    stage.holds(2, &[command(2, 1, 0)]);
    stage.crashes(1);
    stage.observes(Observation::Unknown { op: lost });
    stage.observes(Observation::Unknown { op: kept });
    stage.wins(3, 2, &[4, 5]);
    stage.all_hold(&[3], &[noop(2, 2), command(3, 2, 1)]);
    stage.all_hold(&[4, 5], &[noop(1, 1), noop(2, 2), command(3, 2, 1)]);
    stage.commits(3, 3);
    stage.enters(2, 2);
    stage.takes(2, &[noop(2, 2), command(3, 2, 1)]);
    stage.commits(2, 3);
    stage.flushes(2);
    stage.changes_status(2, |status| status.durable = Index(3));
    stage.acknowledges(2, 3, 2, 3);
    stage.applies(2, 3);
    stage.starts(1);
    stage.enters(1, 2);
    stage.holds(1, &[noop(2, 2), command(3, 2, 1)]);
    stage.commits(1, 3);
    stage.applies(1, 1);
    stage.applies(1, 3);
    stage.ends();
    accepted(&stage);
}

#[test]
fn a_torn_write_is_accepted() {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 3, 4]);
    stage.holds(1, &[noop(1, 1), command(2, 1, 0)]);
    stage.holds(2, &[noop(1, 1), command(2, 1, 0)]);
    stage.holds(4, &[noop(1, 1)]);
    stage.wins(4, 3, &[3, 5]);
    stage.takes(4, &[noop(2, 3), noop(3, 3)]);
    stage.submits(2, Some(voted(3, 4)), &[noop(2, 3), noop(3, 3)]);
    let mut shorter = stage.clone();
    stage.crashes(2);
    stage.starts_from(2, voted(3, 4), 0, &[noop(1, 1), noop(2, 3)]);
    stage.steps(2);
    stage.holds(2, &[noop(3, 3)]);
    stage.ends();
    accepted(&stage);
    // The restart may find nothing of the write, or only the vote.
    for (term, vote) in [(1, 1), (3, 4)] {
        shorter.crashes(2);
        shorter.starts_from(2, voted(term, vote), 0, &[noop(1, 1), command(2, 1, 0)]);
        accepted(&shorter);
        shorter.enters(2, 3);
        shorter.submits(2, Some(voted(3, 4)), &[noop(2, 3)]);
    }
}

#[test]
fn a_read_that_outlives_its_leadership_is_accepted() {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 3]);
    stage.all_hold(&[1, 2, 3], &[noop(1, 1)]);
    stage.commits(1, 1);
    stage.applies(1, 1);
    let op = stage.reads();
    let forwarded = Body::ReadIndex { start_id: 7, ticket: 1 };
    stage.sends(3, 1, 1, forwarded.clone());
    // The leader confirmed the read before another leader was elected.
    stage.wins(2, 2, &[3, 4]);
    stage.serves(op, 1, 1);
    stage.sends(3, 1, 2, forwarded);
    stage.sends(1, 3, 1, Body::ReadIndexReply { start_id: 7, ticket: 1, index: Index(1) });
    stage.sends(1, 3, 1, Body::ReadIndexReply { start_id: 6, ticket: 1, index: Index(0) });
    accepted(&stage);
}

#[test]
fn a_leader_counts_acknowledged_entries() {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 3]);
    stage.counts_as_matched(1, 2, 0);
    stage.all_hold(&[1, 2, 3], &[noop(1, 1), noop(2, 1)]);
    stage.acknowledges(3, 1, 1, 2);
    stage.acknowledges(3, 1, 1, 1);
    stage.counts_as_matched(1, 3, 1);
    stage.counts_as_matched(1, 3, 2);
    // Another leader overwrote the entry since; the lagging leader does not know it yet.
    stage.wins(2, 2, &[3, 4]);
    stage.holds(2, &[noop(3, 2)]);
    stage.holds(3, &[noop(3, 2)]);
    stage.acknowledges(3, 2, 2, 3);
    stage.counts_as_matched(1, 3, 2);
    stage.counts_as_matched(2, 3, 3);
    accepted(&stage);
}

#[test]
fn a_term_without_a_leader_is_accepted() {
    let mut stage = Stage::new();
    [(1, 1), (2, 1), (3, 3), (4, 3), (5, 5)].into_iter().for_each(|(n, v)| stage.votes(n, 1, v));
    stage.sends(1, 2, 1, Body::RequestVote { last: EntryId::ZERO, transfer: false });
    stage.sends(4, 3, 1, Body::RequestVoteReply { granted: true, committed: Index::ZERO });
    stage.sends(4, 1, 1, Body::RequestVoteReply { granted: false, committed: Index::ZERO });
    stage.wins(2, 2, &[1, 5]);
    stage.sends(3, 2, 1, Body::RequestVoteReply { granted: false, committed: Index::ZERO });
    stage.crashes(3);
    stage.starts_from(3, voted(1, 3), 0, &[]);
    stage.steps(3);
    accepted(&stage);
}

#[test]
fn a_lagging_driver_is_accepted() {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 3]);
    stage.holds(1, &[noop(1, 1)]);
    stage.wins(4, 2, &[2, 5]);
    stage.enters(3, 2);
    // The leader's disk is slower than its network and two followers.
    stage.changes_status(4, |status| status.last = id(1, 2));
    let (prev, entries) = (EntryId::ZERO, vec![noop(1, 2)]);
    stage.sends(
        4,
        2,
        2,
        Body::AppendEntries { prev, entries: entries.into(), committed: Index::ZERO },
    );
    stage.all_hold(&[2, 3, 5], &[noop(1, 2)]);
    stage.acknowledges(2, 4, 2, 1);
    stage.commits(4, 1);
    // A deposed leader learns of the commit together with the entry that replaces its own, and
    // reports both before it gives the entry to its disk.
    stage.enters(1, 2);
    stage.changes_status(1, |status| {
        (status.last, status.durable, status.committed) = (id(1, 2), Index::ZERO, Index(1));
    });
    stage.submits(4, None, &[noop(1, 2)]);
    stage.submits(1, None, &[noop(1, 2)]);
    stage.flushes(1);
    stage.acknowledges(1, 4, 2, 1);
    accepted(&stage);
}

#[test]
fn retries_in_a_session_are_accepted() {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 3]);
    let first = stage.requests(1, 1);
    let second = stage.requests(1, 2);
    let entries = [
        register(1, 1),
        request(2, 1, first.0, 1, 1),
        request(3, 1, second.0, 1, 2),
        request(4, 1, first.0, 1, 1),
        narrow_window(5, 1),
        request(6, 1, first.0, 1, 1),
    ];
    stage.all_hold(&[1, 2, 3], &entries);
    stage.commits(1, 6);
    stage.applies(1, 4);
    // A retry is answered first, with the same reply.
    stage.confirms(first, id(4, 1));
    stage.confirms(first, id(2, 1));
    stage.confirms(second, id(3, 1));
    // The new bounds ended the session, so a late retry is not executed.
    stage.applies(1, 6);
    stage.replies(first, id(6, 1), &Outcome::SessionExpired);
    // The client of an expired session may receive the outcome later.
    let over = stage.requests(1, 3);
    stage.observes(Observation::Unknown { op: over });
    stage.holds(1, &[request(7, 1, over.0, 1, 3)]);
    stage.all_hold(&[2, 3], &[request(7, 1, over.0, 1, 3)]);
    stage.commits(1, 7);
    stage.applies(1, 7);
    stage.replies(over, id(7, 1), &Outcome::SessionExpired);
    stage.ends();
    accepted(&stage);
}

#[test]
fn a_node_with_a_failed_disk_may_restart() {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 3]);
    stage.takes(1, &[noop(1, 1)]);
    stage.observes(Observation::DiskFailed { node: NodeId(1) });
    stage.crashes(1);
    stage.starts_from(1, voted(1, 1), 0, &[noop(1, 1)]);
    stage.steps(1);
    stage.enters(1, 2);
    accepted(&stage);
}

#[test]
fn a_commit_index_may_lag_behind_the_committed_log() {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 3]);
    stage.all_hold(&[1, 2, 3], &[noop(1, 1), noop(2, 1)]);
    stage.commits(1, 1);
    stage.holds(1, &[noop(3, 1)]);
    stage.commits(1, 2);
    stage.crashes(1);
    // Only the first commit index was stored with an entry.
    stage.starts(1);
    stage.commits(1, 2);
    accepted(&stage);
}
