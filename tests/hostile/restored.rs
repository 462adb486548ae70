//! A node starts from any restored state, or reports the error in it.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::RngAlgorithm::ChaCha;
use proptest::test_runner::{TestRng, TestRunner};

use quorate::raft::{Config, Raft, StartError};
use quorate::types::{
    DamagedEntry, Entry, EntryId, HardState, Incarnation, Index, Instant, MachineTraits,
    Membership, NodeId, Payload, Restored, SnapshotMeta, Term,
};

/// Generates small numbers, which conflict in every way, and a few extremes.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![20 => 0..6_u64, 1 => Just(u64::MAX), 1 => Just(1 << 62)]
}

fn id() -> impl Strategy<Value = EntryId> {
    (number(), number()).prop_map(|(term, index)| EntryId::new(Term(term), Index(index)))
}

fn restored() -> impl Strategy<Value = Restored> {
    let tail = prop::collection::vec(id(), 0..4);
    let runs = prop::collection::vec(id(), 0..4);
    let numbers = (number(), number(), number(), number());
    let ids = prop_oneof![id().prop_map(|id| (id, id)), (id(), id())];
    let damaged = prop::collection::vec(id(), 1..3).prop_map(Some);
    let damaged = prop_oneof![4 => Just(Some(Vec::new())), 1 => damaged, 1 => Just(None)];
    let place = |id: EntryId| DamagedEntry { id, is_membership: id.index.0.is_multiple_of(2) };
    let parts = (numbers, ids, runs, tail, damaged);
    parts.prop_map(move |(numbers, (snapshot, base), runs, tail, damaged)| Restored {
        incarnation: Incarnation::default(),
        hard_state: HardState::new(Term(numbers.0), Some(NodeId(1))),
        committed: Index(numbers.1),
        snapshot: SnapshotMeta::empty(snapshot, Membership::new([NodeId(1)])),
        base,
        runs,
        last: Index(numbers.2),
        damaged: damaged.unwrap_or(tail.clone()).into_iter().map(place).collect(),
        memberships: Vec::new(),
        tail: tail.into_iter().map(|id| Entry { id, payload: Payload::Noop }).collect(),
        applied: Index(numbers.3),
        machine: MachineTraits::default(),
    })
}

/// Every error in the ids, indices and terms of a restored state.
const ERRORS: [&str; 17] = [
    "applied is before the snapshot or after last",
    "damaged entries do not ascend from the base, or differ from runs",
    "last exceeds the maximum index",
    "last is before the base",
    "last is before the snapshot",
    "runs do not ascend from the base",
    "runs do not end at last",
    "runs leave the first entry without a term",
    "tail begins at or before the base",
    "tail differs from runs",
    "tail does not end at last",
    "the base has an index without a term, or a term without an index",
    "the snapshot is before the base",
    "the snapshot's term differs from the log's",
    "the tail has a damaged entry",
    "the term exceeds the maximum",
    "the term is lower than the last entry's term",
];

#[test]
fn a_node_starts_or_reports_the_error() {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(ChaCha));
    let (mut started, mut errors) = (0, BTreeSet::new());
    for _ in 0..100_000 {
        let restored = restored().new_tree(&mut runner).expect("a disk").current();
        match Raft::new(Config::new(NodeId(1)), restored, 0, Instant::ZERO) {
            Ok(raft) => {
                raft.assert_invariants();
                started += 1;
            }
            Err(StartError::Restored(error)) => _ = errors.insert(error),
            Err(other) => panic!("{other}"),
        }
    }
    assert!(started > 100, "only {started} states were valid");
    assert!(errors.iter().eq(&ERRORS), "{errors:?}");
}
