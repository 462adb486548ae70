//! The end of a node that has lost an entry for good.

use crate::raft::{self, Config, Raft};
use crate::replica::config::ReplicaConfig;
use crate::replica::node::disk_order_tests::Empty;
use crate::replica::open::Replica;
use crate::replica::output::Output;
use crate::storage::{ClusterId, FileDisk, Identity};
use crate::types::{
    DamagedEntry, Entry, EntryId, HardState, Incarnation, Index, Instant, Membership, NodeId,
    Payload, Restored, SnapshotMeta, Term,
};

/// Returns the text with which n1 stops once its disk reports that it lost the entry at `damaged`.
/// It has the entries 1 to 9, the last two of them in memory, and has applied those through
/// `applied`.
fn stop_text(voters: &[u64], damaged: u64, applied: u64) -> Option<String> {
    let own = NodeId(1);
    let membership = Membership::new(voters.iter().map(|id| NodeId(*id)));
    let directory = tempfile::tempdir().expect("a directory");
    let mut disk = FileDisk::open(directory.path()).expect("it opens");
    let (cluster, config) = (ClusterId(1), ReplicaConfig::new(Config::new(own)));
    let identity = Identity { cluster, node: own, incarnation: Incarnation(1) };
    Replica::<Empty>::create(&mut disk, identity, &membership, &config).expect("it is empty");
    let now = Instant::ZERO;
    let opened = Replica::open(&mut disk, cluster, Empty::default(), config.clone(), 0, now);
    let mut node = opened.expect("it is formatted").node;
    let id = |index| EntryId::new(Term(1), Index(index));
    let entry = |index| Entry { id: id(index), payload: Payload::Noop };
    let snapshot = SnapshotMeta::empty(EntryId::ZERO, membership);
    let state = HardState::new(Term(1), None);
    let entries = (1..=9).map(entry).collect();
    let mut restored = Restored::with_log(state, Index(0), snapshot, entries);
    restored.tail.drain(..7);
    (restored.committed, restored.applied) = (Index(applied), Index(applied));
    restored.machine.is_durable = applied > 0;
    node.raft = Raft::new(config.raft, restored, 0, now).expect("it is consistent").into();
    let lost = DamagedEntry { id: id(damaged), is_membership: false };
    node.step_raft(raft::Input::Damaged(vec![lost]));
    node.outputs.iter().find_map(|output| match output {
        Output::Stopped(failure) => Some(failure.to_string()),
        _ => None,
    })
}

#[test]
fn only_the_only_voter_stops_when_it_loses_an_entry() {
    let text = stop_text(&[1], 3, 0).expect("no other node has to have the entry");
    assert!(text.starts_with("entry 3 is damaged, and no other voter has it; a start"), "{text}");
    assert!(stop_text(&[1], 3, 2).is_some(), "it has applied only the entries before");
    assert_eq!(stop_text(&[1, 2], 3, 0), None, "the other voter has it");
    assert_eq!(stop_text(&[1], 8, 0), None, "the node has it in memory");
    assert_eq!(stop_text(&[1], 3, 3), None, "the node takes a snapshot in its place");
}
