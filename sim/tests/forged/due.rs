//! Forged delay: L2 and L5.

use std::time::Duration;

use quorate::types::Index;

use crate::stage::{Stage, noop};

/// Longer than anything may take in the clusters below.
const LONG: Duration = Duration::from_secs(60);

/// Node 1 leads term 1; its entry is committed, and node 3 does not have it. The storm is over for
/// nodes 1 to 3.
fn lagging() -> Stage {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 3]);
    stage.all_hold(&[1, 2, 4], &[noop(1, 1)]);
    for node in [1, 2] {
        stage.commits(node, 1);
        stage.applies(node, 1);
        stage.says(node, |status| status.applied = Index(1));
    }
    stage.calms(&[1, 2, 3]);
    stage
}

/// As [`lagging`], but node 3 has caught up.
fn level() -> Stage {
    let mut stage = lagging();
    stage.all_hold(&[3], &[noop(1, 1)]);
    stage.commits(3, 1);
    stage.applies(3, 1);
    stage.says(3, |status| status.applied = Index(1));
    stage
}

crate::forgeries! {
    L2 a_request_is_not_answered on level
    "X"
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
    "X"
    |stage| {
        stage.holds(1, &[noop(2, 1)]);
        stage.is_asked(2, 9);
        stage.waits(LONG);
        stage.steps(1);
    }

    L5 a_node_does_not_catch_up on lagging
    "X"
    |stage| {
        stage.waits(LONG);
        stage.steps(2);
    }

    L5 a_node_that_starts_does_not_catch_up on level
    "X"
    |stage| {
        stage.waits(LONG);
        stage.crashes(2);
        stage.starts_from(2, crate::stage::voted(1, 1), 0, &[]);
        stage.steps(2);
        stage.waits(LONG);
        stage.steps(2);
    }
}
