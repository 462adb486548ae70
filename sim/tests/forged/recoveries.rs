//! Forged recoveries from the disks of some nodes: S79.

use quorate::recovery::{DataLoss, RecoverySource};
use quorate::storage::{ClusterId, Identity, OpenedStorage, Origin};
use quorate::types::{
    EntryId, HardState, Incarnation, Index, Member, Membership, NodeId, SnapshotMeta, Term,
};
use quorate_sim::observe::Observation;
use quorate_sim::observe::recovery_drill::RecoveryDrill;

use crate::stage::{Stage, command, id, noop};

const OLD: ClusterId = ClusterId(1);

/// Nodes 1 to 3 of five have two committed entries.
fn committed() -> Stage {
    let mut stage = Stage::new();
    stage.wins(1, 1, &[2, 3]);
    stage.all_hold(&[1, 2, 3], &[noop(1, 1), noop(2, 1)]);
    stage.commits(1, 2);
    stage
}

/// A correct recovery from the disks of nodes 1 and 2.
fn drill() -> RecoveryDrill {
    let member = Member { incarnation: Incarnation(9), ..Member::new(NodeId(1)) };
    let membership = Membership::new([NodeId(1)]).with_member(member);
    let (last, nodes) = (id(2, 1), vec![NodeId(1), NodeId(2)]);
    let source = RecoverySource {
        cluster: OLD,
        directory: 0,
        location: "n1".to_owned(),
        node: NodeId(1),
        last,
        committed: Index(1),
        memberships: vec![Membership::new((1..=5).map(NodeId))],
        undamaged: nodes.clone(),
        surveyed: nodes,
        loss: DataLoss::Possible { from: Index(2) },
    };
    let cluster = ClusterId(2);
    let directory = OpenedStorage {
        identity: Identity { cluster, node: NodeId(1), incarnation: Incarnation(9) },
        origin: Some(Origin { cluster: OLD, last }),
        hard_state: HardState::new(Term(1), None),
        is_quarantined: false,
        committed: last.index,
        snapshot: SnapshotMeta::empty(EntryId::ZERO, membership.clone()),
        lost_end: None,
        covered_loss: None,
        snapshot_damage: None,
        previous_snapshot: Index::ZERO,
        base: EntryId::ZERO,
        runs: vec![id(1, 1)],
        memberships: Vec::new(),
        last,
        damaged: Vec::new(),
        damage: None,
        tail: Vec::new(),
    };
    let entries = vec![noop(1, 1), noop(2, 1)];
    RecoveryDrill { source, is_quorum_available: false, membership, directory, entries }
}

/// The world reports the recovery, changed by `change`.
fn recovers(stage: &mut Stage, change: impl FnOnce(&mut RecoveryDrill)) {
    let mut drill = drill();
    change(&mut drill);
    let survivors = &[1, 2].map(NodeId);
    stage.observes(Observation::RecoveryDrilled { survivors, result: Ok(&drill) });
}

#[test]
fn a_correct_recovery_is_accepted() {
    let mut stage = committed();
    recovers(&mut stage, |_| {});
    assert_eq!(stage.violation(), None);
}

crate::forgeries! {
    S79 a_recovery_fails on committed
    "a recovery from the disks of n1 n2 fails: the disk is full"
    |stage| {
        let (survivors, result) = (&[1, 2].map(NodeId)[..], Err("the disk is full"));
        stage.observes(Observation::RecoveryDrilled { survivors, result });
    }

    S79 a_recovery_uses_a_shorter_log on committed
    "a recovery from the disks of n1 n2 continues with n1's log up to 1@t1, but one ends with 2@t1"
    |stage| recovers(stage, |drill| drill.source.last = id(1, 1))

    S79 a_recovery_regards_an_entry_as_committed_that_is_not on committed
    "a recovery from the disks of n1 n2 regards index 2 as committed, but index 1 is"
    |stage| {
        let mut other = Stage::new();
        other.wins(1, 1, &[2, 3]);
        other.all_hold(&[1, 2, 3], &[noop(1, 1)]);
        other.commits(1, 1);
        other.all_hold(&[1, 2], &[noop(2, 1)]);
        *stage = other;
        recovers(stage, |drill| drill.source.committed = Index(2));
    }

    S79 a_recovery_does_not_count_a_disk on committed
    "a recovery from the disks of n1 n2 states incorrectly whether the disk of n2 is undamaged"
    |stage| recovers(stage, |drill| _ = drill.source.undamaged.pop())

    S79 a_recovery_does_not_state_a_possible_loss on committed
    "a recovery from the disks of n1 n2 states \"no committed entry is lost: every quorum has an \
     undamaged directory here\", but should state \"committed entries may be lost: those from 2 \
     on, which the missing nodes may have committed\""
    |stage| recovers(stage, |drill| drill.source.loss = DataLoss::None)

    S79 a_recovery_that_is_needed_is_rejected on committed
    "a recovery from the disks of n1 n2 is rejected without consent, but these nodes are not a \
     quorum of {n1 n2 n3 n4 n5}"
    |stage| recovers(stage, |drill| drill.is_quorum_available = true)

    S79 a_recovered_cluster_begins_in_another_term on committed
    "a recovery from the disks of n1 n2 begins with term t0 and no vote instead of term t1 and no \
     vote"
    |stage| recovers(stage, |drill| drill.directory.hard_state.term = Term(0))

    S79 a_recovered_log_has_an_uncommitted_end on committed
    "a recovery from the disks of n1 n2 makes a log from 0@t0 to 2@t1 with commit index 1, but the \
     source ends with 2@t1"
    |stage| recovers(stage, |drill| drill.directory.committed = Index(1))

    S79 a_recovered_entry_has_another_content on committed
    "a recovery from the disks of n1 n2 copies entry 2@t1 after 1@t1, which differs from the log"
    |stage| recovers(stage, |drill| drill.entries[1] = command(2, 1, 7))

    S79 a_recovered_log_lacks_its_last_entry on committed
    "a recovery from the disks of n1 n2 copies the entries from 0@t0 to 1@t1 only, not to 2@t1"
    |stage| recovers(stage, |drill| _ = drill.entries.pop())
}
