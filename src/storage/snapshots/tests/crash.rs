//! A crash and a disk error at every operation of taking, receiving and removing snapshots.

use super::memory::CRASHES;
use super::*;
use crate::storage::disk::DiskError;

/// Takes two snapshots and receives a third, and makes each the current one. Returns the event that
/// ended it early; `None` at the end, after an error, or once no operations are left.
fn take_two_and_receive(
    node: &mut Node,
    sender: &mut Node,
    received: &SnapshotMeta,
) -> Option<SnapshotEvent> {
    for index in [10, 20] {
        match node.take(id(index), &content(1300, index as u8))? {
            SnapshotEvent::Taken(meta) => node.set_current(&meta),
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
        SnapshotEvent::Received(meta) => node.set_current(&meta),
        event => return Some(event),
    }
    if !node.settle() {
        return None;
    }
    node.events.pop_front()
}

fn sender() -> (Node, SnapshotMeta) {
    let mut sender = Node::new();
    let meta = sender.take_current(id(30), &content(512 * 9 + 1, 30));
    (sender, meta)
}

/// Returns how many operations [`take_two_and_receive`] takes without an error.
fn operations_without_error() -> usize {
    let ((mut sender, meta), mut node) = (sender(), Node::new());
    assert_eq!(take_two_and_receive(&mut node, &mut sender, &meta), None);
    assert_eq!(node.disk.files(), [snapshot(20), snapshot(30)]);
    node.disk.actions.len()
}

/// Checks that the node can still receive the snapshot, whatever happened before.
fn receives(node: &mut Node, sender: &mut Node, meta: &SnapshotMeta) {
    if node.current.last < meta.last {
        let event = node.receive(sender, meta, &mut 0);
        assert_eq!(event, Some(SnapshotEvent::Received(meta.clone())));
        node.set_current(meta);
        assert!(node.settle());
    }
    assert_eq!(node.content(meta), content(512 * 9 + 1, 30));
    let partials =
        node.disk.files().into_iter().filter(|f| matches!(f, FileName::PartialSnapshot(_)));
    assert_eq!(partials.count(), 0, "no partial file is left");
}

#[test]
fn a_crash_at_any_operation_keeps_the_current_snapshot() {
    let total = operations_without_error();
    assert!(total > 40, "there are many operations to crash at: {total}");
    for count in 0..=total {
        for kept in CRASHES {
            let ((mut sender, meta), mut node) = (sender(), Node::new());
            node.operations_left = count;
            assert_eq!(take_two_and_receive(&mut node, &mut sender, &meta), None);
            let current = node.current.clone();
            let mut node = node.restarted(kept);
            if current.root != Root::default() {
                assert_eq!(node.snapshots.current(), Some(&current), "{count} {kept:?}");
            }
            receives(&mut node, &mut sender, &meta);
        }
    }
}

#[test]
fn a_disk_error_at_any_operation_except_a_read_is_final() {
    for at in 0..operations_without_error() {
        let ((mut sender, meta), mut node) = (sender(), Node::new());
        node.disk.fails = Some((at, DiskError::Failed("broken".to_owned())));
        let event = take_two_and_receive(&mut node, &mut sender, &meta);
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
        let error = node.failure.take().expect("the store reported an error").to_string();
        let place = if action.starts_with("sync dir") { "directory" } else { "snapshot-" };
        assert!(error.contains(place) && error.contains("broken"), "{action}: {error}");
        let restarted = node.restarted(Kept::Nothing);
        receives(&mut { restarted }, &mut sender, &meta);
    }
}

#[test]
fn a_full_disk_abandons_only_the_unfinished_snapshot() {
    let mut abandoned = 0;
    for at in 0..operations_without_error() {
        let ((mut sender, meta), mut node) = (sender(), Node::new());
        node.disk.fails = Some((at, DiskError::Full));
        let event = take_two_and_receive(&mut node, &mut sender, &meta);
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
        assert!(node.disk.files().iter().all(whole), "{action}: the space is freed");
        receives(&mut node, &mut sender, &meta);
        abandoned += 1;
    }
    assert!(abandoned > 20, "many operations need space: {abandoned}");
}
