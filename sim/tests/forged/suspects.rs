//! Forged verdicts of nodes on their own state machines: S31.

use quorate::machine::Digest;
use quorate::replica::Verdict;
use quorate::types::{Index, Membership, NodeId};
use quorate_sim::observe::Seen;

use crate::stage::{Stage, command, id, noop};

const INDEX: Index = Index(2);

/// Node 1 leads term 1; two entries, the second that of operation 0, are committed and applied on
/// it, and committed on node 2.
fn applied() -> Stage {
    let mut stage = Stage::with(Membership::new((1..=3).map(NodeId)));
    stage.wins(1, 1, &[2, 3]);
    stage.proposes();
    stage.all_hold(&[1, 2, 3], &[noop(1, 1), command(2, 1, 0)]);
    stage.commits(1, 2);
    stage.applies(1, 2);
    stage.commits(2, 2);
    stage
}

fn slips(stage: &mut Stage, node: u64) {
    stage.sees(Seen::Slipped { node: NodeId(node) });
}

fn finds(stage: &mut Stage, node: u64, verdict: Verdict) {
    stage.sees(Seen::Judged { node: NodeId(node), verdict });
}

/// Node 2 errs, and its results show it.
fn is_wrong(stage: &mut Stage) {
    slips(stage, 2);
    stage.applies_but(2, &[noop(1, 1), command(2, 1, 0)], |executed, states| {
        executed[0].reply = b"y".to_vec();
        states[1] = Some(Digest::default());
    });
}

crate::forgeries! {
    S31 a_node_is_quarantined_that_is_right on applied
    "n1 finds itself wrong after 2, and is not"
    |stage| finds(stage, 1, Verdict::Quarantined { index: INDEX })

    S31 a_difference_is_found_where_there_is_none on applied
    "n1 finds a difference after 2 where there is none"
    |stage| finds(stage, 1, Verdict::Undecided { index: INDEX })

    S31 no_majority_is_found_where_one_node_errs on applied
    "n1 finds no majority after 2 where there is one"
    |stage| {
        is_wrong(stage);
        finds(stage, 1, Verdict::Undecided { index: INDEX });
        finds(stage, 1, Verdict::Divided { index: INDEX });
    }

    S31 what_nobody_can_tell_is_taken_for_a_pass on applied
    "n2 finds itself right after 2, and is not"
    |stage| {
        is_wrong(stage);
        finds(stage, 2, Verdict::Sound { index: Index(1) });
        finds(stage, 2, Verdict::Unavailable { index: INDEX });
        finds(stage, 2, Verdict::Sound { index: INDEX });
    }

    S31 a_node_in_quarantine_answers_a_read on applied
    "n2 answers a user, and knows that it may be wrong"
    |stage| {
        is_wrong(stage);
        finds(stage, 2, Verdict::Quarantined { index: INDEX });
        let op = stage.asks();
        stage.serves(op, 2, 2);
    }

    S31 a_node_in_quarantine_answers_a_proposal on applied
    "n1 answers a user, and knows that it may be wrong"
    |stage| {
        slips(stage, 1);
        finds(stage, 1, Verdict::Quarantined { index: INDEX });
        stage.confirms(quorate_sim::observe::OpId(0), id(2, 1));
    }

    S31 a_node_is_never_rebuilt on applied
    "n2 is wrong since 2 to the end"
    |stage| {
        is_wrong(stage);
        stage.calms(&[1, 2]);
        stage.idles();
        stage.ends();
    }

    S31 a_node_never_leaves_its_quarantine on applied
    "n2 is in quarantine at the end"
    |stage| {
        slips(stage, 2);
        finds(stage, 2, Verdict::Quarantined { index: INDEX });
        stage.calms(&[1, 2]);
        stage.idles();
        stage.ends();
    }
}

#[test]
fn what_a_node_that_errs_has_frozen_may_be_wrong_wherever_it_comes_to() {
    let starts_over = |stage: &mut Stage| {
        let state = Some(Digest::default());
        stage.sees(Seen::Restored { node: NodeId(3), index: INDEX, state });
    };
    let mut stage = applied();
    is_wrong(&mut stage);
    let mut sound = stage.clone();
    starts_over(&mut sound);
    assert!(sound.violation().is_some(), "nobody froze a wrong state");
    stage.freezes(2, |_| {});
    starts_over(&mut stage);
    assert_eq!(stage.violation(), None);
}

#[test]
fn a_node_that_errs_and_finds_out_and_is_rebuilt_is_accepted() {
    let mut stage = applied();
    is_wrong(&mut stage);
    let op = stage.asks();
    stage.serves(op, 2, 2);
    finds(&mut stage, 2, Verdict::Quarantined { index: INDEX });
    stage.restores(2, 1);
    finds(&mut stage, 2, Verdict::Rebuilt { index: INDEX });
    finds(&mut stage, 2, Verdict::Sound { index: INDEX });
    let op = stage.asks();
    stage.serves(op, 2, 2);
    assert_eq!(stage.violation(), None);
}
