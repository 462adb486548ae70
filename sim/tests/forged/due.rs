//! Forged delay: L2 and L5.

use std::time::Duration;

use quorate::types::{Index, NodeId};

use crate::stage::{Stage, noop, voted};

/// Longer than anything may take in the clusters below.
const LONG: Duration = Duration::from_secs(60);

/// Within how long the clusters below answer.
const BOUND: Duration = Duration::from_micros(9_773_000);

/// Node 1 leads term 1; its entry is committed, and node 3 does not have it. The storm is over for
/// nodes 1 to 3.
fn lagging() -> Stage {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 4]);
    stage.enters(3, 1);
    stage.all_hold(&[1, 2, 4], &[noop(1, 1)]);
    for node in [1, 2] {
        stage.commits(node, 1);
        stage.applies(node, 1);
        stage.says(node, |status| {
            (status.applied, status.leader) = (Index(1), Some(NodeId(1)));
        });
    }
    stage.calms(&[1, 2, 3]);
    stage
}

/// As [`level`], and one entry more is committed, which node 4 does not get, though it answers.
fn held_back() -> Stage {
    let mut stage = level();
    stage.all_hold(&[1, 2, 3], &[noop(2, 1)]);
    for node in [1, 2, 3] {
        stage.commits(node, 2);
        stage.applies(node, 2);
        stage.says(node, |status| status.applied = Index(2));
    }
    stage.acknowledges(4, 1, 1, 1);
    stage.counts(1, 4, 1);
    stage
}

/// As [`lagging`], but node 3 has caught up.
fn level() -> Stage {
    let mut stage = lagging();
    stage.all_hold(&[3], &[noop(1, 1)]);
    stage.commits(3, 1);
    stage.applies(3, 1);
    stage.says(3, |status| (status.applied, status.leader) = (Index(1), Some(NodeId(1))));
    stage
}

crate::forgeries! {
    L2 a_request_is_not_answered on level
    "n1 has not answered #9 within 9.773s of 61.006100s: it waits for n1 to answer: all of \
     its log is committed; n1  leader         t1   1/1/1/1, its disk to 1@t1; n2  \
     follower       t1   1/1/1/1, its disk to 1@t1; n3  follower       t1   1/1/1/1, its disk \
     to 1@t1"
    |stage| {
        stage.is_asked(4, 7);
        stage.is_asked(1, 8);
        stage.has_answered(8);
        stage.waits(LONG);
        stage.is_asked(1, 9);
        stage.waits(LONG);
        stage.steps(1);
    }

    L2 a_request_waits_for_a_quorum on level
    "n2 has not answered #9 within 9.773s of 1.006200s: it waits for 2 to be committed: of \
     the voters, n1 have it on disk and n2 n3 n4 n5 do not; n1  leader         t1   2/2/1/1, \
     its disk to 2@t1; n2  follower       t1   1/1/1/1, its disk to 1@t1; n3  follower       \
     t1   1/1/1/1, its disk to 1@t1"
    |stage| {
        stage.holds(1, &[noop(2, 1)]);
        stage.is_asked(2, 9);
        stage.waits(LONG);
        stage.steps(1);
    }

    L2 nobody_holds_back_what_all_live_voters_have on level
    "n1 has not answered #9 within 9.773s of 1.005800s: it waits for n1 to answer: all of \
     its log is committed; n1  leader         t1   1/1/1/1, its disk to 1@t1; n2  \
     follower       t1   1/1/1/1, its disk to 1@t1; n3  follower       t1   1/1/1/1, its disk \
     to 1@t1"
    |stage| {
        stage.is_asked_for_all_live(1, 9);
        stage.acknowledges(4, 1, 1, 1);
        stage.waits(BOUND);
        stage.counts(1, 4, 1);
    }

    L2 a_voter_holds_an_answer_back_only_while_it_is_alive on held_back
    "n1 has not answered #9 within 9.773s of 30.927800s: it waits for n1 to answer: all of \
     its log is committed; n1  leader         t1   2/2/2/2, its disk to 2@t1; n2  \
     follower       t1   2/2/2/2, its disk to 2@t1; n3  follower       t1   2/2/2/2, its disk \
     to 2@t1"
    |stage| {
        stage.is_asked_for_all_live(1, 9);
        for _ in 0..3 {
            stage.waits(BOUND);
            stage.counts(1, 4, 1);
        }
        stage.waits(LONG);
        stage.steps(1);
    }

    L2 a_voter_holds_back_nothing_else on held_back
    "n1 has not answered #9 within 9.773s of 1.008400s: it waits for n1 to answer: all of \
     its log is committed; n1  leader         t1   2/2/2/2, its disk to 2@t1; n2  \
     follower       t1   2/2/2/2, its disk to 2@t1; n3  follower       t1   2/2/2/2, its disk \
     to 2@t1"
    |stage| {
        stage.is_asked(1, 9);
        stage.waits(BOUND);
        stage.counts(1, 4, 1);
    }

    L5 a_node_does_not_catch_up on lagging
    "n3 has not applied 1 within 9.773s of 1.004900s: it waits for word of n1, which leads \
     t1; n1  leader         t1   1/1/1/1, its disk to 1@t1; n2  follower       t1   1/1/1/1, \
     its disk to 1@t1; n3  follower       t1   0/0/0/0, its disk to 0@t0"
    |stage| {
        stage.waits(LONG);
        stage.steps(2);
    }

    L5 a_node_that_starts_does_not_catch_up on level
    "n2 has not applied 1 within 9.773s of 61.005900s: it waits for word of n1, which leads \
     t1; n1  leader         t1   1/1/1/1, its disk to 1@t1; n2  follower       t1   1/1/0/0, \
     its disk to 1@t1; n3  follower       t1   1/1/1/1, its disk to 1@t1"
    |stage| {
        stage.waits(LONG);
        stage.crashes(2);
        stage.starts_from(2, voted(1, 1), 0, &[noop(1, 1)]);
        stage.steps(2);
        stage.waits(LONG);
        stage.steps(2);
    }
}
