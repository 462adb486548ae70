//! A crash and a failure at every operation of taking, receiving and removing.

use super::memory::CRASHES;
use super::*;
use crate::storage::disk::DiskError;

/// A life of a node: two snapshots taken, a third received, each put in force. None once the
/// fuel is used up.
fn life(node: &mut Node, sender: &mut Node, received: &SnapshotMeta) -> Option<SnapshotEvent> {
    for index in [10, 20] {
        match node.take(id(index), &content(1300, index as u8))? {
            SnapshotEvent::Taken(meta) => node.put_in_force(&meta),
            event => return Some(event),
        }
        if !node.settle() {
            return None;
        }
        if let Some(event) = node.events.pop_front() {
            return Some(event);
        }
    }
    match node.receive(sender, received, &mut 0)? {
        SnapshotEvent::Received(meta) => node.put_in_force(&meta),
        event => return Some(event),
    }
    if !node.settle() {
        return None;
    }
    node.events.pop_front()
}

fn sender() -> (Node, SnapshotMeta) {
    let mut sender = Node::new();
    let meta = sender.take_in_force(id(30), &content(512 * 9 + 1, 30));
    (sender, meta)
}

/// How many operations a life without trouble takes.
fn operations_of_a_life() -> usize {
    let ((mut sender, meta), mut node) = (sender(), Node::new());
    assert_eq!(life(&mut node, &mut sender, &meta), None);
    assert_eq!(node.disk.files(), [snapshot(20), snapshot(30)]);
    node.disk.actions.len()
}

/// What a node can still do, whatever has happened to it: receive the snapshot.
fn receives(node: &mut Node, sender: &mut Node, meta: &SnapshotMeta) {
    if node.in_force.last < meta.last {
        let event = node.receive(sender, meta, &mut 0);
        assert_eq!(event, Some(SnapshotEvent::Received(meta.clone())));
        node.put_in_force(meta);
        assert!(node.settle());
    }
    assert_eq!(node.content(meta), content(512 * 9 + 1, 30));
    let partials =
        node.disk.files().into_iter().filter(|f| matches!(f, FileName::PartialSnapshot(_)));
    assert_eq!(partials.count(), 0, "no unfinished file is left over");
}

#[test]
fn a_crash_at_any_operation_loses_nothing_in_force() {
    let total = operations_of_a_life();
    assert!(total > 40, "a life has many places to crash at: {total}");
    for fuel in 0..=total {
        for kept in CRASHES {
            let ((mut sender, meta), mut node) = (sender(), Node::new());
            node.fuel = fuel;
            assert_eq!(life(&mut node, &mut sender, &meta), None);
            let in_force = node.in_force.clone();
            let mut node = node.restarted(kept);
            if in_force.root != Root::default() {
                assert_eq!(node.snapshots.in_force(), Some(&in_force), "{fuel} {kept:?}");
            }
            receives(&mut node, &mut sender, &meta);
        }
    }
}

#[test]
fn a_failure_at_any_operation_is_final_unless_it_was_a_read() {
    for at in 0..operations_of_a_life() {
        let ((mut sender, meta), mut node) = (sender(), Node::new());
        node.disk.fails = Some((at, DiskError::Failed("broken".to_owned())));
        let event = life(&mut node, &mut sender, &meta);
        let action = node.disk.actions[at].clone();
        if action.starts_with("read") {
            let reason = match event {
                Some(SnapshotEvent::Abandoned { reason, .. }) => reason,
                other => panic!("{action}: {other:?}"),
            };
            assert!(matches!(reason, AbandonReason::Damaged(_)), "{action}: {reason:?}");
            assert!(node.settle());
            receives(&mut node, &mut sender, &meta);
            continue;
        }
        assert_eq!(event, None, "{action}");
        let failure = node.failure.take().expect("it is said").to_string();
        let place = if action.starts_with("sync dir") { "directory" } else { "snapshot-" };
        assert!(failure.contains(place) && failure.contains("broken"), "{action}: {failure}");
        let restarted = node.restarted(Kept::Nothing);
        receives(&mut { restarted }, &mut sender, &meta);
    }
}

#[test]
fn a_full_disk_costs_the_unfinished_snapshot_and_nothing_else() {
    let mut abandoned = 0;
    for at in 0..operations_of_a_life() {
        let ((mut sender, meta), mut node) = (sender(), Node::new());
        node.disk.fails = Some((at, DiskError::Full));
        let event = life(&mut node, &mut sender, &meta);
        let action = node.disk.actions[at].clone();
        let word = action.split(' ').next().expect("an action has a first word");
        if !["create", "write", "sync", "rename"].contains(&word) || action == "sync directory" {
            continue;
        }
        let reason = match event {
            Some(SnapshotEvent::Abandoned { reason, .. }) => reason,
            other => panic!("{action}: {other:?}"),
        };
        assert_eq!(reason, AbandonReason::Full, "{action}");
        assert!(node.settle() && node.events.is_empty(), "{action}: {:?}", node.events);
        let whole = |file: &FileName| matches!(file, FileName::Snapshot(_));
        assert!(node.disk.files().iter().all(whole), "{action}: the space is given back");
        receives(&mut node, &mut sender, &meta);
        abandoned += 1;
    }
    assert!(abandoned > 20, "many operations need space: {abandoned}");
}
