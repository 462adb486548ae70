//! Forged results of comparing states, and snapshots of such states: S31 and S77.

use std::time::Duration;

use quorate::machine::Digest;
use quorate::replica::ComparisonResult;
use quorate::types::{
    Comparison, ComparisonBody, Index, Membership, NodeId, Root, SnapshotPart, SnapshotTransfer,
    SnapshotTransferBody,
};
use quorate_sim::observe::Observation;

use crate::stage::{Stage, command, id, noop};

const INDEX: Index = Index(2);
/// A time that is longer than the wait of an unverified node.
const LONG: Duration = Duration::from_secs(60);

/// Node 1 leads term 1 and has committed and applied two entries, the second with the command of
/// operation 0; node 2 has committed them.
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

/// The node's state machine processes a command of its next batch wrongly.
fn slips(stage: &mut Stage, node: u64) {
    stage.observes(Observation::MachineFault { node: NodeId(node) });
}

/// The node reports this result of comparing its state.
fn finds(stage: &mut Stage, node: u64, result: ComparisonResult) {
    stage.observes(Observation::StateCompared { node: NodeId(node), result });
}

/// Node 2 requests a snapshot from a voter, in its next step.
fn wants_snapshot(stage: &mut Stage, voter: u64) {
    says(stage, 2, voter, ComparisonBody::WantSnapshot { after: INDEX });
}

/// Node 1 offers its state to node 3, in its next step.
fn offers_snapshot(stage: &mut Stage) {
    let meta = stage.snapshot(id(2, 1), 1);
    says(stage, 1, 3, ComparisonBody::OfferSnapshot { meta });
}

/// A node sends another one a message about comparisons, in its next step.
fn says(stage: &mut Stage, from: u64, to: u64, body: ComparisonBody) {
    let comparison = Comparison { from: NodeId(from), to: NodeId(to), body };
    stage.steps(from);
    stage.observes_at_once(Observation::ComparisonSent { comparison: &comparison });
}

/// Node 3 requests a part of a snapshot from node 2, which sends it at once.
fn transfers_chunk(stage: &mut Stage, chunk: u32) {
    let (part, root) = (SnapshotPart::Chunk(chunk), Root([7; 32]));
    let bytes = SnapshotTransferBody::Bytes(part, vec![0; 10].into());
    let messages = [(3, 2, SnapshotTransferBody::Request(part)), (2, 3, bytes)];
    for (from, to, body) in messages {
        let transfer = SnapshotTransfer { from: NodeId(from), to: NodeId(to), root, body };
        stage.observes(Observation::TransferSent { transfer: &transfer });
    }
}

/// The node restores a state, and then takes a step.
fn restores(stage: &mut Stage, node: u64) {
    stage.restores(node, 1);
    stage.steps(node);
}

/// Node 2's state machine processes a command wrongly, and its results show it.
fn is_wrong(stage: &mut Stage) {
    slips(stage, 2);
    stage.applies_with(2, &[noop(1, 1), command(2, 1, 0)], |executed, states| {
        executed[0].reply = b"y".to_vec();
        states[1] = Some(Digest::default());
    });
}

crate::forgeries! {
    S31 a_correct_node_is_quarantined on applied
    "n1 reports that its state diverged at index 2, but its state is correct"
    |stage| finds(stage, 1, ComparisonResult::Diverged { index: INDEX })

    S31 a_difference_is_reported_between_equal_states on applied
    "n1 reports an unresolved difference at index 2, but all states are equal"
    |stage| finds(stage, 1, ComparisonResult::Inconclusive { index: INDEX })

    S31 no_majority_is_reported_although_two_nodes_agree on applied
    "n1 reports that no state has a majority at index 2, but a majority of the voters agree"
    |stage| {
        is_wrong(stage);
        finds(stage, 1, ComparisonResult::Inconclusive { index: INDEX });
        finds(stage, 1, ComparisonResult::NoMajority { index: INDEX });
    }

    S31 a_wrong_state_is_reported_as_consistent on applied
    "n2 reports that its state at index 2 is consistent, but its state is wrong"
    |stage| {
        is_wrong(stage);
        finds(stage, 2, ComparisonResult::Consistent { index: Index(1) });
        finds(stage, 2, ComparisonResult::Unavailable { index: INDEX });
        finds(stage, 2, ComparisonResult::Consistent { index: INDEX });
    }

    S31 an_undecided_node_answers_a_read on applied
    "n1 answers a read, although a comparison found other states and no majority, and no later \
     comparison has found its state consistent"
    |stage| {
        restores(stage, 1);
        stage.advances_time(LONG);
        stage.steps(1);
        let op = stage.reads();
        stage.serves(op, 1, 2);
        is_wrong(stage);
        stage.steps(1);
        let (node, result) = (NodeId(1), ComparisonResult::Inconclusive { index: INDEX });
        stage.observes_at_once(Observation::StateCompared { node, result });
        stage.steps(1);
        let op = stage.reads();
        stage.serves(op, 1, 2);
    }

    S31 a_node_answers_a_read_before_it_has_compared_its_state on applied
    "n1 answers a read, although it has not compared its state since it restored it, nor waited \
     for 4s"
    |stage| {
        restores(stage, 1);
        let op = stage.reads();
        stage.serves(op, 1, 2);
    }

    S31 a_node_offers_its_state_before_it_has_compared_it on applied
    "n1 offers its state to n3 for a rebuild, although it has not compared its state since it \
     restored it, nor waited for 4s"
    |stage| {
        offers_snapshot(stage);
        restores(stage, 1);
        offers_snapshot(stage);
    }

    S31 a_quarantined_node_offers_its_state on applied
    "n1 offers its state to n3 for a rebuild, although it is quarantined"
    |stage| {
        slips(stage, 1);
        finds(stage, 1, ComparisonResult::Diverged { index: INDEX });
        offers_snapshot(stage);
    }

    S31 a_quarantined_node_sends_a_part_of_its_snapshot on applied
    "n2 sends n3 chunk 1 of a snapshot, although its state has been quarantined since 1.004300 s, \
     and n3 first requested it at 1.004600 s"
    |stage| {
        transfers_chunk(stage, 0);
        is_wrong(stage);
        finds(stage, 2, ComparisonResult::Diverged { index: INDEX });
        transfers_chunk(stage, 0);
        transfers_chunk(stage, 1);
    }

    S77 a_rebuild_requests_a_snapshot_that_does_not_replace_its_own on applied
    "n2 asks n1 for a snapshot that ends after index 0, to rebuild its state, but its own snapshot \
     ends at index 2"
    |stage| {
        is_wrong(stage);
        stage.has_snapshot(2, id(2, 1), 1);
        finds(stage, 2, ComparisonResult::Diverged { index: INDEX });
        wants_snapshot(stage, 3);
        says(stage, 2, 1, ComparisonBody::WantSnapshot { after: Index::ZERO });
    }

    S77 a_rebuild_asks_the_same_voter_again on applied
    "n2 asks n1 twice in a row for a snapshot to rebuild its state, although {n1 n2 n3} has other \
     voters"
    |stage| {
        is_wrong(stage);
        finds(stage, 2, ComparisonResult::Diverged { index: INDEX });
        for voter in [1, 3, 1, 1] {
            wants_snapshot(stage, voter);
        }
    }

    S31 a_quarantined_node_answers_a_read on applied
    "n2 answers a client although its state is quarantined"
    |stage| {
        is_wrong(stage);
        finds(stage, 2, ComparisonResult::Diverged { index: INDEX });
        let op = stage.reads();
        stage.serves(op, 2, 2);
    }

    S31 a_quarantined_node_answers_a_proposal on applied
    "n1 answers a client although its state is quarantined"
    |stage| {
        slips(stage, 1);
        finds(stage, 1, ComparisonResult::Diverged { index: INDEX });
        stage.confirms(quorate_sim::observe::OpId(0), id(2, 1));
    }

    S31 a_node_is_never_rebuilt on applied
    "n2's state is wrong from index 2 until the end of the run"
    |stage| {
        is_wrong(stage);
        stage.stabilizes(&[1, 2]);
        stage.idles();
        stage.ends();
    }

    S31 a_node_is_still_quarantined_at_the_end on applied
    "n2 is still quarantined at the end of the run"
    |stage| {
        slips(stage, 2);
        finds(stage, 2, ComparisonResult::Diverged { index: INDEX });
        stage.stabilizes(&[1, 2]);
        stage.idles();
        stage.ends();
    }
}

#[test]
fn a_snapshot_of_a_faulty_node_taints_the_nodes_that_restore_it() {
    let starts_over = |stage: &mut Stage| {
        let state = Some(Digest::default());
        stage.observes(Observation::Restored { node: NodeId(3), index: INDEX, state });
    };
    let mut stage = applied();
    is_wrong(&mut stage);
    let mut sound = stage.clone();
    starts_over(&mut sound);
    assert!(sound.violation().is_some(), "no node wrote a snapshot of a wrong state");
    stage.freezes(2, |_| {});
    starts_over(&mut stage);
    assert_eq!(stage.violation(), None);
}

#[test]
fn a_detected_and_rebuilt_divergence_is_accepted() {
    let mut stage = applied();
    is_wrong(&mut stage);
    let op = stage.reads();
    stage.serves(op, 2, 2);
    finds(&mut stage, 2, ComparisonResult::Diverged { index: INDEX });
    stage.restores(2, 1);
    finds(&mut stage, 2, ComparisonResult::Rebuilt { index: INDEX });
    finds(&mut stage, 2, ComparisonResult::Consistent { index: INDEX });
    let op = stage.reads();
    stage.serves(op, 2, 2);
    assert_eq!(stage.violation(), None);
}

#[test]
fn a_restored_state_is_served_once_it_was_compared_or_after_the_wait() {
    let mut stage = applied();
    restores(&mut stage, 1);
    let mut compared = stage.clone();
    finds(&mut compared, 1, ComparisonResult::Consistent { index: INDEX });
    stage.advances_time(LONG);
    for stage in [&mut stage, &mut compared] {
        offers_snapshot(stage);
        let op = stage.reads();
        stage.serves(op, 1, 2);
        assert_eq!(stage.violation(), None);
    }
}
