//! Forged delays: L2 and L5.

use std::time::Duration;

use quorate::types::{Index, NodeId, SnapshotMeta};
use quorate_sim::observe::Observation;

use crate::stage::{Stage, id, noop, voted};

/// A time that is longer than every bound of the clusters below.
const LONG: Duration = Duration::from_secs(60);

/// The time within which the clusters below must answer.
const BOUND: Duration = Duration::from_micros(9_773_000);

/// Node 1 leads term 1; its entry is committed, and node 3 lacks it. Nodes 1 to 3 are the core of
/// the stabilization phase.
fn lagging() -> Stage {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 4]);
    stage.enters(3, 1);
    stage.all_hold(&[1, 2, 4], &[noop(1, 1)]);
    for node in [1, 2] {
        stage.commits(node, 1);
        stage.applies(node, 1);
        stage.changes_status(node, |status| {
            (status.applied, status.leader) = (Index(1), Some(NodeId(1)));
        });
    }
    stage.stabilizes(&[1, 2, 3]);
    stage
}

/// Like [`level`]; in addition, one more entry is committed, which node 4 lacks although it
/// replies.
fn held_back() -> Stage {
    let mut stage = level();
    stage.all_hold(&[1, 2, 3], &[noop(2, 1)]);
    for node in [1, 2, 3] {
        stage.commits(node, 2);
        stage.applies(node, 2);
        stage.changes_status(node, |status| status.applied = Index(2));
    }
    stage.acknowledges(4, 1, 1, 1);
    stage.counts_as_matched(1, 4, 1);
    stage
}

/// Like [`lagging`], but node 3 has caught up.
fn level() -> Stage {
    let mut stage = lagging();
    stage.all_hold(&[3], &[noop(1, 1)]);
    stage.commits(3, 1);
    stage.applies(3, 1);
    stage.changes_status(3, |status| (status.applied, status.leader) = (Index(1), Some(NodeId(1))));
    stage
}

crate::forgeries! {
    L2 a_request_is_not_answered on level
    "n1 has not answered request #9 within 9.773s after 61.006100 s: it waits although it \
     leads, and its whole log is committed and applied; n1  leader         t1   1/1/1/1, disk up \
     to 1@t1; n2  follower       t1   1/1/1/1, disk up to 1@t1; n3  follower       t1   1/1/1/1, \
     disk up to 1@t1"
    |stage| {
        stage.receives_request(4, 7);
        stage.receives_request(1, 8);
        stage.has_answered(8);
        stage.advances_time(LONG);
        stage.receives_request(1, 9);
        stage.advances_time(LONG);
        stage.steps(1);
    }

    L2 a_request_waits_for_a_quorum on level
    "n2 has not answered request #9 within 9.773s after 1.006200 s: it waits for the commit of \
     index 2: voters [n1] have the entry on disk, voters [n2 n3 n4 n5] do not; n1  leader         \
     t1   2/2/1/1, disk up to 2@t1; n2  follower       t1   1/1/1/1, disk up to 1@t1; n3  \
     follower       t1   1/1/1/1, disk up to 1@t1"
    |stage| {
        stage.holds(1, &[noop(2, 1)]);
        stage.receives_request(2, 9);
        stage.advances_time(LONG);
        stage.steps(1);
    }

    L2 a_proposal_on_all_live_voters_is_not_answered on level
    "n1 has not answered request #9 within 9.773s after 1.005800 s: it waits although it \
     leads, and its whole log is committed and applied; n1  leader         t1   1/1/1/1, disk up \
     to 1@t1; n2  follower       t1   1/1/1/1, disk up to 1@t1; n3  follower       t1   1/1/1/1, \
     disk up to 1@t1"
    |stage| {
        stage.receives_request_for_all_live(1, 9);
        stage.acknowledges(4, 1, 1, 1);
        stage.advances_time(BOUND);
        stage.counts_as_matched(1, 4, 1);
    }

    L2 a_voter_delays_an_answer_only_while_it_is_live on held_back
    "n1 has not answered request #9 within 9.773s after 30.927800 s: it waits although it \
     leads, and its whole log is committed and applied; n1  leader         t1   2/2/2/2, disk up \
     to 2@t1; n2  follower       t1   2/2/2/2, disk up to 2@t1; n3  follower       t1   2/2/2/2, \
     disk up to 2@t1"
    |stage| {
        stage.receives_request_for_all_live(1, 9);
        for _ in 0..3 {
            stage.advances_time(BOUND);
            stage.counts_as_matched(1, 4, 1);
        }
        stage.advances_time(LONG);
        stage.steps(1);
    }

    L2 a_lagging_voter_delays_no_other_answer on held_back
    "n1 has not answered request #9 within 9.773s after 1.008400 s: it waits although it \
     leads, and its whole log is committed and applied; n1  leader         t1   2/2/2/2, disk up \
     to 2@t1; n2  follower       t1   2/2/2/2, disk up to 2@t1; n3  follower       t1   2/2/2/2, \
     disk up to 2@t1"
    |stage| {
        stage.receives_request(1, 9);
        stage.advances_time(BOUND);
        stage.counts_as_matched(1, 4, 1);
    }

    L5 a_node_does_not_catch_up on lagging
    "n3 has not applied index 1 within 9.773s after 1.004900 s: it waits for a message from n1, \
     the leader of term t1; n1  leader         t1   1/1/1/1, disk up to 1@t1; n2  follower       \
     t1   1/1/1/1, disk up to 1@t1; n3  follower       t1   0/0/0/0, disk up to 0@t0"
    |stage| {
        stage.advances_time(LONG);
        stage.steps(2);
    }

    L5 the_bound_without_snapshots_counts_from_the_time_at_which_the_last_one_arrives on lagging
    "n3 has not applied index 1 within 9.773s after 61.305200 s: it waits for a message from n1, \
     the leader of term t1; n1  leader         t1   1/1/1/1, disk up to 1@t1; n2  follower       \
     t1   1/1/1/1, disk up to 1@t1; n3  follower       t1   1/1/0/0, disk up to 1@t1"
    |stage| {
        let meta = SnapshotMeta { bytes: 20 << 20, ..stage.snapshot(id(1, 1), 7) };
        stage.observes(Observation::SnapshotTaken { node: NodeId(1), meta: &meta });
        stage.changes_status(1, |status| status.base = Index(1));
        stage.advances_time(LONG);
        stage.steps(2);
        stage.all_hold(&[3], &[noop(1, 1)]);
        stage.advances_time(BOUND / 2);
        stage.steps(2);
        stage.advances_time(LONG);
        stage.steps(2);
    }

    L5 a_node_that_starts_does_not_catch_up on level
    "n2 has not applied index 1 within 9.773s after 61.005900 s: it waits for a message from n1, \
     the leader of term t1; n1  leader         t1   1/1/1/1, disk up to 1@t1; n2  follower       \
     t1   1/1/0/0, disk up to 1@t1; n3  follower       t1   1/1/1/1, disk up to 1@t1"
    |stage| {
        stage.advances_time(LONG);
        stage.crashes(2);
        stage.starts_from(2, voted(1, 1), 0, &[noop(1, 1)]);
        stage.steps(2);
        stage.advances_time(LONG);
        stage.steps(2);
    }
}
