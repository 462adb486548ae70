//! Whatever a driver claims to have found on the disk, a node starts from it or says what is
//! wrong with it.

use proptest::prelude::*;

use quorate::raft::{Config, Raft, StartError};
use quorate::types::{
    Entry, EntryId, HardState, Index, Instant, Membership, NodeId, Payload, Restored, SnapshotMeta,
    Term,
};

/// Small numbers, which contradict one another in every way, and a few as large as can be.
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
    (numbers, id(), runs, tail).prop_map(|(numbers, snapshot, runs, tail)| Restored {
        hard_state: HardState { term: Term(numbers.0), vote: Some(NodeId(1)) },
        committed: Index(numbers.1),
        snapshot: SnapshotMeta { last: snapshot, membership: Membership::new([NodeId(1)]) },
        runs,
        last: Index(numbers.2),
        tail: tail.into_iter().map(|id| Entry { id, payload: Payload::Noop }).collect(),
        applied: Index(numbers.3),
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_node_starts_or_says_what_is_wrong(restored in restored()) {
        match Raft::new(Config::new(NodeId(1)), restored, 0, Instant::ZERO) {
            Ok(raft) => raft.assert_invariants(),
            Err(StartError::Restored(what)) => prop_assert!(!what.is_empty()),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}
