//! Steps of a node in states that the tests set up directly in its private parts.

use core::time::Duration;

use crate::machine::{ConflictTest, Proposer, Request};
use crate::raft::{self, Config, Lease, Raft};
use crate::replica::config::ReplicaConfig;
use crate::replica::input::{Input, WorkResult};
use crate::replica::node::disk_order_tests::Empty;
use crate::replica::node::{Node, Task};
use crate::replica::open::Replica;
use crate::replica::output::Output;
use crate::replica::read_conflicts::ReadConflicts;
use crate::storage::{ClusterId, FileDisk, Identity};
use crate::types::{
    Body, Comparison, ComparisonBody, DamagedEntry, Entries, Entry, EntryId, HardState,
    Incarnation, Index, Instant, MachineUsage, Membership, Message, NodeId, Packet, Payload,
    ReadLevel, Restored, Root, SnapshotMeta, SnapshotPart, SnapshotTransfer, SnapshotTransferBody,
    StateDigest, Tag, Term,
};

/// Returns n1 with an empty log.
fn opened(membership: &Membership, config: &ReplicaConfig) -> Node {
    let directory = tempfile::tempdir().expect("a directory");
    let mut disk = FileDisk::open(directory.path()).expect("it opens");
    let cluster = ClusterId(1);
    let identity = Identity { cluster, node: NodeId(1), incarnation: Incarnation(1) };
    Replica::<Empty>::create(&mut disk, identity, membership, config).expect("it is empty");
    let (machine, now) = (Empty::default(), Instant::ZERO);
    let opened = Replica::open(&mut disk, cluster, machine, config.clone(), 0, now);
    opened.expect("it is formatted").node
}

fn stop_text_of(node: &Node) -> Option<String> {
    node.outputs.iter().find_map(|output| match output {
        Output::Stopped(failure) => Some(failure.to_string()),
        _ => None,
    })
}

#[test]
fn a_command_longer_than_the_store_accepts_stops_the_node() {
    let membership = Membership::new([1, 2, 3].map(NodeId));
    let config = ReplicaConfig::new(Config::new(NodeId(1)));
    let append = |term, entries: Vec<Entry>| {
        let (from, to, incarnation, prev) = (NodeId(2), NodeId(1), Incarnation(2), EntryId::ZERO);
        let body = Body::AppendEntries { prev, entries: entries.into(), committed: Index::ZERO };
        Message { from, to, incarnation, term, body }
    };
    let stop_text = |own_term, bytes| {
        let mut node = opened(&membership, &config);
        node.on_message(append(own_term, Vec::new()), None);
        node.run_until_idle();
        let id = EntryId::new(Term(1), Index(1));
        let entry = Entry { id, payload: Payload::Command(vec![0; bytes].into()) };
        node.on_message(append(Term(1), vec![entry]), None);
        node.run_until_idle();
        stop_text_of(&node)
    };
    let bytes_max = config.storage.command_bytes_max;
    assert_eq!(stop_text(Term(1), bytes_max), None);
    assert_eq!(stop_text(Term(2), bytes_max + 1), None, "the message is of an earlier term");
    let text = stop_text(Term(1), bytes_max + 1).expect("otherwise the store would panic");
    assert!(text.contains("more than storage.command_bytes_max of this node"), "{text}");
    assert!(text.ends_with("raise the bound, then restart the node"), "{text}");
}

/// Returns the text with which n1 stops once its disk reports that it lost the entry at `damaged`.
/// The node has the entries 1 to 9, the last two of them in memory, and has applied those through
/// `applied`.
fn stop_text(membership: &Membership, damaged: u64, applied: u64) -> Option<String> {
    let (own, membership) = (NodeId(1), membership.clone());
    let config = ReplicaConfig::new(Config::new(own));
    let mut node = opened(&membership, &config);
    let now = Instant::ZERO;
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
    stop_text_of(&node)
}

#[test]
fn only_the_only_member_stops_when_it_loses_an_entry() {
    let alone = Membership::new([NodeId(1)]);
    let text = stop_text(&alone, 3, 0).expect("no other node has the entry");
    assert!(text.starts_with("entry 3 is damaged, and there is no other member"), "{text}");
    assert!(stop_text(&alone, 3, 2).is_some(), "it has applied only the entries before");
    assert_eq!(stop_text(&alone, 8, 0), None, "the node has it in memory");
    assert_eq!(stop_text(&alone, 3, 3), None, "the node takes a snapshot in its place");
    let two = Membership::new([1, 2].map(NodeId));
    for other in [two.clone(), two.with_casting(NodeId(1)), alone.with_learners([NodeId(2)])] {
        assert_eq!(stop_text(&other, 3, 0), None, "the other member may have it: {other}");
    }
    let joining = Membership::default();
    assert_eq!(stop_text(&joining, 3, 0), None, "the leader that sent the entry has it");
}

#[test]
fn the_remaining_lease_is_counted_from_the_last_step_of_the_node() {
    let own = NodeId(1);
    let membership = Membership::new([own]);
    let lease = Some(Lease { drift_ppm: 0, read_leases: false });
    let config = ReplicaConfig::new(Config { lease, ..Config::new(own) });
    let mut node = opened(&membership, &config);
    let snapshot = SnapshotMeta::empty(EntryId::ZERO, membership);
    let state = HardState::new(Term(1), None);
    let restored = Restored::with_log(state, Index(0), snapshot, Vec::new());
    let mut at = Instant::ZERO.after(Duration::from_secs(9));
    let mut raft = Raft::new(config.raft, restored, 0, Instant::ZERO).expect("it is consistent");
    // The first heartbeat of the elected node begins the lease.
    let mut inputs = vec![raft::Input::Timeout, raft::Input::Campaign];
    while let Some(input) = inputs.pop() {
        let mut actions = Vec::new();
        if input == raft::Input::Timeout {
            at = raft.deadline();
        }
        raft.step(at, input, &mut actions);
        inputs.extend(actions.into_iter().filter_map(|action| match action {
            raft::Action::Persist(write) => Some(raft::Input::Persisted(write.id)),
            _ => None,
        }));
    }
    node.raft = raft.into();
    node.step(at, Input::ViewFailed, &mut Vec::new());
    let rest = node.lease_remaining();
    let millisecond = Duration::from_millis(1);
    assert!(rest > millisecond, "{rest:?}");
    at = at.after(millisecond);
    assert!(node.raft.deadline() > at, "the algorithm takes no step");
    node.step(at, Input::Timeout, &mut Vec::new());
    assert_eq!(node.lease_remaining(), rest - millisecond);
}

#[test]
fn a_proposal_that_an_installed_snapshot_covers_has_an_unknown_outcome() {
    let membership = Membership::new([1, 2, 3].map(NodeId));
    let mut node = opened(&membership, &ReplicaConfig::new(Config::new(NodeId(1))));
    let id = |index| EntryId::new(Term(1), Index(index));
    for index in [4, 5, 6] {
        node.requests.propose(Tag(index));
        assert_eq!(node.requests.committed(Tag(index), id(index)), None);
    }
    node.on_restore(SnapshotMeta::empty(id(5), membership));
    let unknown = node.outputs.iter().filter_map(|output| match output {
        Output::Unknown { tag } => Some(*tag),
        _ => None,
    });
    assert!(unknown.eq([4, 5].map(Tag)), "the state machine does not apply them");
    assert_eq!(node.requests.len(), 1);
}

#[test]
fn parts_are_served_to_members_only_and_not_in_quarantine() {
    let membership = Membership::new([1, 2, 3].map(NodeId));
    let config = ReplicaConfig::new(Config::new(NodeId(1)));
    let is_gone = |from, is_quarantined| {
        let mut node = opened(&membership, &config);
        if is_quarantined {
            node.validation.quarantine(Instant::ZERO);
        }
        let body = SnapshotTransferBody::Request(SnapshotPart::Manifest(0));
        let (from, to, root) = (NodeId(from), NodeId(1), Root([7; 32]));
        node.on_transfer(SnapshotTransfer { from, to, root, body });
        node.outputs.iter().any(|output| match output {
            Output::Send(Packet::SnapshotTransfer(transfer)) => {
                (transfer.to, &transfer.body) == (from, &SnapshotTransferBody::Gone)
            }
            _ => false,
        })
    };
    assert_eq!([is_gone(2, false), is_gone(4, false), is_gone(2, true)], [false, true, true]);
}

#[test]
fn only_comparisons_of_members_with_this_node_are_answered() {
    let membership = Membership::new([1, 2, 3].map(NodeId));
    let config = ReplicaConfig::new(Config::new(NodeId(1)));
    let is_answered = |from, to| {
        let mut node = opened(&membership, &config);
        let body = ComparisonBody::Request { round: 7, index: Index::ZERO };
        node.on_comparison(Comparison { from: NodeId(from), to: NodeId(to), body });
        node.outputs.iter().any(|output| matches!(output, Output::Send(Packet::Comparison(_))))
    };
    assert_eq!([is_answered(2, 1), is_answered(4, 1), is_answered(2, 3)], [true, false, false]);
}

#[test]
fn the_node_reports_the_memory_after_the_last_piece_of_work() {
    let membership = Membership::new([1, 2, 3].map(NodeId));
    let mut node = opened(&membership, &ReplicaConfig::new(Config::new(NodeId(1))));
    let usage = |sessions| MachineUsage { sessions, ..MachineUsage::default() };
    let (last, state_digest) = (Index::ZERO, StateDigest::default());
    node.task = Task::Restoring;
    node.on_done(WorkResult::Restored { last, state_digest, usage: usage(7) });
    assert_eq!(node.usage(), usage(7));
    let (outcomes, state_digests) = (Vec::new(), Vec::new());
    let (requires, rest) = (None, Entries::new());
    node.task = Task::Applying;
    let usage_after = usage(8);
    node.on_done(WorkResult::Applied {
        last,
        outcomes,
        state_digests,
        usage: usage_after,
        requires,
        rest,
    });
    assert_eq!(node.usage(), usage_after);
}

#[test]
fn conflicts_are_sought_only_for_reads_under_a_read_lease() {
    let own = NodeId(1);
    let membership = Membership::new([own]);
    let config = ReplicaConfig::new(Config::new(own));
    let mut node = opened(&membership, &config);
    node.read_conflicts = ReadConflicts::new(ConflictTest::new(|_| panic!("no lease is held")));
    let snapshot = SnapshotMeta::empty(EntryId::ZERO, membership);
    let command = Request::Plain(b"command").encode_for(Proposer::Unnamed);
    let id = EntryId::new(Term(1), Index(1));
    let entries = vec![Entry { id, payload: Payload::Command(command) }];
    let restored = Restored::with_log(HardState::new(Term(1), None), Index(0), snapshot, entries);
    let raft = Raft::new(config.raft, restored, 0, Instant::ZERO).expect("it is consistent");
    assert!(!raft.has_read_lease(Instant::ZERO));
    node.raft = raft.into();
    node.on_read(Tag(1), ReadLevel::Replica, b"query".to_vec());
    let read = raft::Input::Read { tag: Tag(1), level: ReadLevel::Replica, conflict: id.index };
    assert_eq!(node.inputs.pop_back(), Some(read), "the read would wait for the whole log");
}
