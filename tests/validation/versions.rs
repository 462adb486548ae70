//! Nodes whose builds have different versions of the rules by which commands are applied.

use std::time::Duration;

use quorate::replica::{Input, StateVerification};
use quorate::types::{MachineRejectReason, MachineVersion, NodeId, RejectReason};

use super::cluster::{Cluster, Event};

/// A time longer than an election, several heartbeats and a comparison.
const LONG: Duration = Duration::from_secs(20);
const FIRST: MachineVersion = MachineVersion::FIRST;
const UNVERIFIED: Option<Event> = Some(Event::Rejected(RejectReason::Unverified));
const TOO_OLD: Event = Event::BuildTooOld { required: 1, max: 0 };

fn version(user: u32) -> MachineVersion {
    MachineVersion { user, ..FIRST }
}

/// Returns a cluster whose builds have the rules up to these versions, after some commands.
fn cluster(version_max: [u32; 3]) -> Cluster {
    // A snapshot after every fourth entry, and no entries before it.
    let mut cluster = Cluster::new(|config| {
        config.snapshot_entries = 4;
        config.trailing_entries = 0;
    });
    (1..).zip(version_max).for_each(|(id, version_max)| cluster.install(id, version_max));
    cluster.advance(LONG);
    propose(&mut cluster, 2);
    cluster
}

fn propose(cluster: &mut Cluster, count: usize) {
    for _ in 0..count {
        let before = cluster.events.len();
        cluster.propose();
        let events = &cluster.events[before..];
        assert!(events.iter().any(|(_, event)| matches!(event, Event::Reply(_))), "{events:?}");
    }
    cluster.advance(LONG);
}

fn sums(cluster: &Cluster) -> [u64; 3] {
    [1, 2, 3].map(|id| cluster.sum(id))
}

fn count_too_old(cluster: &Cluster, id: u64) -> usize {
    cluster.events.iter().filter(|event| **event == (id, TOO_OLD)).count()
}

/// Asserts that the node is too old, says so, and still stores and acknowledges entries.
fn assert_too_old(cluster: &mut Cluster, id: u64) {
    let node = cluster.node(id);
    assert_eq!(node.verification(), StateVerification::TooOld);
    assert_eq!((node.version_required(), node.raft().version_max()), (Some(version(1)), FIRST));
    assert_eq!(cluster.read(id), UNVERIFIED);
    let leader = cluster.leader().expect("the others lead");
    assert_ne!(leader, id);
    cluster.input(id, Input::Campaign);
    assert_eq!(cluster.leader(), Some(leader), "it does not campaign");
    let (sum, last) = (cluster.sum(id), cluster.node(leader).status().last.index);
    assert_eq!(cluster.node(id).status().durable, last, "it stores entries");
    // Without the third node, this node completes a majority.
    let third = (1..=3).find(|other| ![id, leader].contains(other)).expect("three nodes");
    cluster.partition(third);
    propose(cluster, 1);
    cluster.heal();
    cluster.advance(LONG);
    assert_eq!(cluster.sum(id), sum, "it applies nothing");
}

#[test]
fn the_version_rises_once_every_member_can_apply_it() {
    let mut cluster = cluster([1, 1, 0]);
    let refused = RejectReason::BuildTooOld { node: NodeId(3), version_max: FIRST };
    assert_eq!(cluster.raise(1), Some(Event::Rejected(refused)));
    propose(&mut cluster, 1);
    assert_eq!(sums(&cluster), [3; 3], "the old rule holds");
    cluster.install(3, 2);
    cluster.advance(LONG);
    let above = cluster.raise(2);
    assert!(
        matches!(above, Some(Event::Rejected(RejectReason::BuildTooOld { version_max, .. }))
            if version_max == version(1)),
        "{above:?}"
    );
    for impossible in [u32::MAX, 3] {
        assert!(matches!(cluster.raise(impossible), Some(Event::Rejected(_))), "{impossible}");
    }
    assert_eq!(cluster.raise(1), Some(Event::Raised));
    propose(&mut cluster, 1);
    assert_eq!(sums(&cluster), [13; 3], "the new rule holds");
    for lower in [0, 1] {
        let refused = MachineRejectReason::VersionNotHigher { current: version(1) };
        assert_eq!(cluster.raise(lower), Some(Event::Refused(refused)));
    }
    assert_eq!([1, 2, 3].map(|id| cluster.verification(id)), [StateVerification::Consistent; 3]);
}

#[test]
fn the_leader_rejects_a_raise_until_every_member_has_reported_its_build() {
    let mut cluster = cluster([1; 3]);
    let silent = cluster.leader().expect("there is a leader");
    cluster.crash(silent);
    cluster.advance(LONG);
    let refused = RejectReason::BuildUnknown { node: NodeId(silent) };
    assert_eq!(cluster.raise(1), Some(Event::Rejected(refused)));
    cluster.start(silent);
    cluster.advance(LONG);
    assert_eq!(cluster.raise(1), Some(Event::Raised));
}

#[test]
fn a_node_with_an_older_build_than_the_log_applies_up_to_the_raise() {
    let mut cluster = cluster([1; 3]);
    let leader = cluster.leader().expect("there is a leader");
    let id = if leader == 3 { 2 } else { 3 };
    cluster.crash(id);
    assert_eq!(cluster.raise(1), Some(Event::Raised));
    cluster.propose();
    cluster.install(id, 0);
    cluster.advance(LONG);
    assert_eq!(cluster.sum(id), 2, "it applied what precedes the raise");
    assert_too_old(&mut cluster, id);
    assert_eq!(count_too_old(&cluster, id), 1, "it says so once");
    // A restart changes nothing, also with the entries on its own disk.
    cluster.install(id, 0);
    cluster.advance(LONG);
    assert_too_old(&mut cluster, id);
    cluster.install(id, 1);
    cluster.advance(LONG);
    assert_eq!(sums(&cluster), [32; 3]);
    assert_eq!(cluster.verification(id), StateVerification::Consistent);
}

#[test]
fn a_node_with_an_older_build_than_a_snapshot_does_not_restore_it() {
    let mut cluster = cluster([1; 3]);
    let leader = cluster.leader().expect("there is a leader");
    let id = if leader == 3 { 2 } else { 3 };
    cluster.crash(id);
    assert_eq!(cluster.raise(1), Some(Event::Raised));
    propose(&mut cluster, 9);
    cluster.install(id, 0);
    cluster.advance(LONG);
    let installed = cluster.node(id).status().snapshot;
    assert!(installed > cluster.node(id).status().applied, "a snapshot replaced its log");
    assert_too_old(&mut cluster, id);
    // It gets the next snapshot, too, although it has not restored the previous one.
    cluster.partition(id);
    propose(&mut cluster, 9);
    cluster.heal();
    cluster.advance(LONG);
    assert!(cluster.node(id).status().snapshot > installed, "another one replaced its log");
    assert_too_old(&mut cluster, id);
    // A start from that snapshot is too old at once, and has no state.
    cluster.install(id, 0);
    assert_eq!(cluster.verification(id), StateVerification::TooOld);
    cluster.advance(LONG);
    assert_too_old(&mut cluster, id);
    cluster.install(id, 1);
    cluster.advance(LONG);
    let sum = cluster.sum(leader);
    assert_eq!(sums(&cluster), [sum; 3]);
}

#[test]
fn a_leader_that_is_too_old_stops_leading() {
    let mut cluster = cluster([1; 3]);
    assert_eq!(cluster.raise(1), Some(Event::Raised));
    (1..=3).for_each(|id| cluster.crash(id));
    cluster.install(1, 0);
    [2, 3].into_iter().for_each(|id| cluster.start(id));
    cluster.input(1, Input::Campaign);
    cluster.advance(LONG);
    assert_too_old(&mut cluster, 1);
    propose(&mut cluster, 1);
    assert_eq!([2, 3].map(|id| cluster.sum(id)), [22; 2]);
}
