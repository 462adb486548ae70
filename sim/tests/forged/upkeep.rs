//! Forged upkeep of a node: entries in memory (S39), snapshots and their parts (S29, S43, S44, S83,
//! L9), state comparison (S31, S84, L8), and rejected requests (S87).

use std::time::Duration;

use quorate::raft::RejectReason;
use quorate::replica::ComparisonResult;
use quorate::types::{
    Comparison, ComparisonBody, Index, NodeId, Root, SnapshotPart, SnapshotTransfer,
    SnapshotTransferBody, StateDigest, Tag,
};
use quorate_sim::observe::Observation;

use crate::stage::{Stage, id, noop};

/// A time that is longer than every bound of the clusters below.
const LONG: Duration = Duration::from_secs(60);

/// Like [`applied`], with state machines that are durable themselves.
fn of_durable_machines() -> Stage {
    applied_on(Stage::of_frequent_snapshots_by(true))
}

/// Node 1 leads term 1, and nodes 1 to 3 have applied its entries.
fn applied() -> Stage {
    applied_on(Stage::of_frequent_snapshots())
}

fn applied_on(mut stage: Stage) -> Stage {
    stage.wins(1, 1, &[2, 3]);
    let entries: Vec<_> = (1..=4).map(|index| noop(index, 1)).collect();
    stage.all_hold(&[1, 2, 3], &entries);
    for node in 1..=3 {
        stage.commits(node, 4);
        (1..=4).for_each(|index| stage.applies(node, index));
    }
    stage
}

/// Node 1 leads term 1, and nodes 1 to 3 have applied its six entries. Snapshots are rarely due.
fn rarely() -> Stage {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 3]);
    let entries: Vec<_> = (1..=6).map(|index| noop(index, 1)).collect();
    stage.all_hold(&[1, 2, 3], &entries);
    stage.commits(1, 6);
    (1..=6).for_each(|index| stage.applies(1, index));
    stage
}

/// Like [`applied`], in the stabilization phase, with one part of a snapshot sent on request.
fn transferred() -> Stage {
    let mut stage = applied();
    stage.stabilizes(&[1, 2, 3]);
    stage.asks_for_part();
    stage.sends_part(10);
    stage
}

impl Stage {
    /// Node 2 requests a part of a snapshot from node 1.
    fn asks_for_part(&mut self) {
        self.transfers(2, 1, SnapshotTransferBody::Request(SnapshotPart::Chunk(0)));
    }

    /// Node 1 sends a part of a snapshot to node 2.
    fn sends_part(&mut self, bytes: usize) {
        let part = vec![0; bytes].into();
        self.transfers(1, 2, SnapshotTransferBody::Bytes(SnapshotPart::Chunk(0), part));
    }

    fn transfers(&mut self, from: u64, to: u64, body: SnapshotTransferBody) {
        let root = Root([7; 32]);
        let transfer = SnapshotTransfer { from: NodeId(from), to: NodeId(to), root, body };
        self.observes(Observation::TransferSent { transfer: &transfer });
    }

    /// Node 2 requests a part of a snapshot from node 1 in its next step.
    fn asks_in_step(&mut self, chunk: u32) {
        self.steps(2);
        let (root, part) = (Root([7; 32]), SnapshotPart::Chunk(chunk));
        let body = SnapshotTransferBody::Request(part);
        let transfer = SnapshotTransfer { from: NodeId(2), to: NodeId(1), root, body };
        self.observes_at_once(Observation::TransferSent { transfer: &transfer });
    }

    /// Node 1 sends parts of a snapshot to node 2 in one step.
    fn sends_in_one_step(&mut self, chunks: &[u32]) {
        self.steps(1);
        for chunk in chunks {
            let (root, part) = (Root([7; 32]), SnapshotPart::Chunk(*chunk));
            let body = SnapshotTransferBody::Bytes(part, vec![0; 10].into());
            let transfer = SnapshotTransfer { from: NodeId(1), to: NodeId(2), root, body };
            self.observes_at_once(Observation::TransferSent { transfer: &transfer });
        }
    }

    /// Node 1, which has applied its whole log, rejects a request.
    fn rejects_request(&mut self, reason: RejectReason) {
        self.receives_request(1, 9);
        self.steps(1);
        let rejected = Some(reason);
        self.observes_at_once(Observation::RequestAnswered { tag: Tag(9), rejected });
    }

    /// Node 1 asks node 2 for its digest at index 4, in its next step.
    fn begins_comparison(&mut self, round: u64) {
        self.steps(1);
        let body = ComparisonBody::Request { round, index: Index(4) };
        let comparison = Comparison { from: NodeId(1), to: NodeId(2), body };
        self.observes_at_once(Observation::ComparisonSent { comparison: &comparison });
    }

    /// Node 1 replies to node 2 that its digest at `index` is unknown.
    fn does_not_know_digest(&mut self, index: u64) {
        let (index, state_digest) = (Index(index), StateDigest::default());
        let body = ComparisonBody::Reply { round: 1, index, state_digest };
        let comparison = Comparison { from: NodeId(1), to: NodeId(2), body };
        self.observes(Observation::ComparisonSent { comparison: &comparison });
    }

    /// The node compares its state with the others'.
    fn compares(&mut self, node: u64) {
        let result = ComparisonResult::Consistent { index: Index(4) };
        self.observes(Observation::StateCompared { node: NodeId(node), result });
    }

    /// Node 1 takes its first two snapshots, and compacts its log through `base`.
    fn takes_snapshots(&mut self, base: u64) {
        self.has_snapshot(1, id(2, 1), 1);
        self.changes_status(1, |status| status.snapshot = Index(2));
        self.has_snapshot(1, id(4, 1), 2);
        self.changes_status(1, |status| {
            (status.snapshot, status.base) = (Index(4), Index(base));
        });
        self.steps(1);
        self.steps(1);
    }

    /// Node 1 compares its results, and takes none of the snapshots that are due after that.
    fn needs_a_snapshot_for_long(&mut self) {
        self.stabilizes(&[1, 2, 3]);
        self.compares(1);
        self.advances_time(LONG);
        self.steps(1);
    }
}

#[test]
fn a_cluster_that_keeps_up_is_accepted() {
    let mut stage = transferred();
    stage.advances_time(Duration::from_millis(10));
    stage.asks_for_part();
    stage.sends_part(4096);
    stage.takes_snapshots(2);
    for node in 1..=3 {
        stage.compares(node);
    }
    [2, 3].into_iter().for_each(|node| stage.has_snapshot(node, id(4, 1), 2));
    stage.advances_time(LONG);
    for node in 1..=3 {
        stage.steps(node);
    }
    assert_eq!(stage.violation(), None);
}

#[test]
fn digests_from_before_a_restored_state_may_be_unknown() {
    let mut stage = applied();
    stage.restores(1, 2);
    stage.does_not_know_digest(3);
    assert_eq!(stage.violation(), None);
}

#[test]
fn requests_from_before_the_stabilization_are_each_answered() {
    let mut stage = applied();
    stage.asks_for_part();
    stage.stabilizes(&[1, 2, 3]);
    stage.advances_time(Duration::from_millis(700));
    stage.sends_part(10);
    stage.advances_time(Duration::from_millis(20));
    stage.sends_part(10);
    assert_eq!(stage.violation(), None);
}

#[test]
fn entries_leave_memory_for_a_snapshot() {
    let mut stage = applied();
    stage.changes_status(1, |status| {
        (status.snapshot, status.base, status.tail_bytes) = (Index(3), Index(3), 32);
    });
    assert_eq!(stage.violation(), None);
}

#[test]
fn transfers_and_comparisons_with_pauses_are_accepted() {
    let mut stage = applied();
    for round in 1..=40 {
        stage.asks_in_step(round as u32 % 4);
        stage.sends_in_one_step(&[round as u32 % 4]);
        stage.begins_comparison(round);
        stage.advances_time(Duration::from_secs(1));
    }
    assert_eq!(stage.violation(), None);
}

crate::forgeries! {
    S39 the_bytes_in_memory_are_those_of_no_entries on applied
    "n1 counts 129 bytes of entries in memory, but no suffix of its log, which ends with 4@t1, has \
     that size"
    |stage| stage.changes_status(1, |status| status.tail_bytes += 1)

    S39 an_entry_leaves_memory_although_there_is_room on applied
    "n1 drops entries 1 to 3 from memory, but with entry 3 it would hold only 64 bytes of entries, \
     and the bound is 16777216 bytes"
    |stage| stage.changes_status(1, |status| status.tail_bytes = 32)

    S29 a_part_of_a_snapshot_is_too_large on transferred
    "n1 sends chunk 0 of a snapshot with 4097 bytes, but the bound is 4096"
    |stage| {
        stage.asks_for_part();
        stage.sends_part(4097);
    }

    S43 a_part_is_sent_without_a_request
    "n1 sends chunk 0 of a snapshot to n2, which has not requested it"
    |stage| stage.sends_part(10)

    S43 a_part_is_sent_twice_for_one_request on transferred
    "n1 sends chunk 0 of a snapshot to n2 again: it had sent it at 1.016900 s, and n2 last \
     requested it at 1.006800 s"
    |stage| {
        stage.asks_for_part();
        stage.advances_time(Duration::from_millis(10));
        stage.sends_part(10);
        stage.sends_part(10);
    }

    S44 a_node_does_not_compact_its_log on applied
    "n1 keeps the log after index 0, but should have dropped the entries up to index 2, which its \
     snapshots replace"
    |stage| stage.takes_snapshots(0)

    S87 a_leader_rejects_a_request_as_if_it_did_not_lead on applied
    "n1 rejects request #9 with the reason \"not the leader: no leader is known\", but is a leader \
     in term t1 that has nothing pending and no full disk, or knows another leader"
    |stage| stage.rejects_request(RejectReason::NotLeader { leader: None })

    S87 a_leader_without_pending_work_is_busy on applied
    "n1 rejects request #9 with the reason \"busy: too many requests are pending, or a new leader \
     is not ready yet\", but is a leader in term t1 that has nothing pending and no full disk, or \
     knows another leader"
    |stage| stage.rejects_request(RejectReason::Busy)

    S83 a_node_takes_a_snapshot_after_every_entry on rarely
    "n1 takes a snapshot up to index 6 after only 1 entries with 32 bytes, as the 4 before it, but \
     one is due after 1000000 entries or 268435456 bytes"
    |stage| (1..=6).for_each(|index| stage.has_snapshot(1, id(index, 1), index as u8))

    S83 a_node_requests_too_many_parts_at_once on applied
    "n2 waits for 5 parts of a snapshot from n1, but the bound is 4"
    |stage| (0..5).for_each(|chunk| stage.asks_in_step(chunk))

    S83 a_node_requests_a_part_again_and_again on applied
    "n2 requests chunk 0 of a snapshot from n1 again within 1s; the 32 requests before it also \
     came too early"
    |stage| (0..34).for_each(|_| stage.asks_in_step(0))

    S83 a_node_sends_parts_faster_than_its_rate on applied
    "n1 sends a part of a snapshot 149ns too early for 67108864 bytes per second"
    |stage| {
        [0, 1].into_iter().for_each(|chunk| stage.asks_in_step(chunk));
        stage.sends_in_one_step(&[0, 1]);
    }

    S84 a_node_compares_its_state_without_a_pause on applied
    "n1 compares its state at index 4 within 500ms after it compared that at index 4, but has \
     applied only index 4; the interval is 1024 entries"
    |stage| [1, 1, 2].into_iter().for_each(|round| stage.begins_comparison(round))

    L9 a_node_takes_no_snapshot on applied
    "n1 has taken no snapshot within 48.632s after 1.006500 s: one was due 4 times since its last \
     one, which ends at index 0"
    |stage| stage.needs_a_snapshot_for_long()

    L9 a_node_with_a_durable_state_machine_takes_no_snapshot on of_durable_machines
    "n1 has taken no snapshot within 48.632s after 1.006500 s: one was due 4 times since its last \
     one, which ends at index 0"
    |stage| stage.needs_a_snapshot_for_long()

    S31 a_digest_that_must_be_known_is_unknown on applied
    "n1 replies to n2 that it has results unknown at index 3, but its state there has results \
     6dee5669"
    |stage| stage.does_not_know_digest(3)

    L8 a_node_does_not_compare_its_state on applied
    "n1 has not compared its state within 6s after 1.006500 s: it has applied index 4, and had \
     applied index 0 at its last comparison"
    |stage| {
        stage.stabilizes(&[1, 2, 3]);
        stage.has_snapshot(1, id(4, 1), 2);
        stage.advances_time(LONG);
        stage.steps(1);
    }
}
