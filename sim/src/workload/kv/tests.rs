//! The store, its clients and the model they share, without a cluster.

use std::collections::{BTreeMap, BTreeSet};

use quorate::machine::StateMachine;
use quorate::types::Index;

use super::*;
use crate::values::choice::{Choices, Key, Kind, Overrides};
use crate::workload::{AnyMachine, AnyWorkload};

/// The commands and queries of the operations of one run.
fn operations(seed: u64, ops: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let kv = AnyWorkload::new(Kv::default());
    let choices = Choices::new(seed, Overrides::new());
    let draw = |op: u64| choices.draw(Key { counter: (op as u32) << 3, ..Kind::Client.key() });
    let both = |op| (kv.command(OpId(op), &mut draw(op)), kv.query(OpId(op), &mut draw(op)));
    (0..ops).map(both).collect()
}

#[test]
fn the_same_seed_makes_the_same_operations() {
    assert_eq!(operations(7, 200), operations(7, 200));
    assert_ne!(operations(7, 200), operations(8, 200));
    assert_eq!(
        operations(7, 300)[..200],
        operations(7, 200),
        "more operations do not change the earlier ones"
    );
}

#[test]
fn the_simplest_operation_is_a_get() {
    let kv = Kv::default();
    let key = Kind::Client.key();
    let zeros = (0..8).map(|counter| (Key { counter, ..key }, 0)).collect();
    let choices = Choices::new(7, zeros);
    let command = kv.command(OpId(3), &mut choices.draw(key));
    assert!(matches!(Operation::decode(&command), Some(Operation::Get { .. })));
}

#[test]
fn the_store_agrees_with_the_model_after_each_command() {
    let workload = AnyWorkload::new(Kv::default());
    for seed in 0..20 {
        let (mut checked, mut machine) = (workload.clone(), workload.machine());
        for (position, (command, query)) in operations(seed, 500).iter().enumerate() {
            let reply = machine.apply(Index(position as u64 + 1), command);
            assert_eq!(checked.check_reply(command, &reply), Ok(()));
            assert_eq!(checked.check_answer(query, &machine.query(query)), Ok(()));
        }
        assert_eq!(checked.check_state(&machine), Ok(()));
    }
}

#[test]
fn every_kind_of_operation_and_reply_occurs_often() {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    let mut store = Store::default();
    for (command, _) in operations(1, 2_000) {
        let reply = store.apply(Index(1), &command);
        let operation = Operation::decode(&command).expect("clients ask for operations");
        let name = |text: String| text.split([' ', '(']).next().unwrap().to_owned();
        let reply = Reply::decode(&reply).expect("the store gives replies");
        let pair = format!("{} {}", name(format!("{operation:?}")), name(format!("{reply:?}")));
        *counts.entry(pair).or_default() += 1;
    }
    for pair in [
        "Get Value",
        "Get Absent",
        "Put Done",
        "Delete Value",
        "Delete Absent",
        "CompareAndSet Done",
        "CompareAndSet Different",
        "Append Done",
    ] {
        assert!(counts.get(pair).is_some_and(|count| *count >= 20), "{pair}: {counts:?}");
    }
}

#[test]
fn each_value_is_written_by_one_operation() {
    let mut values = BTreeSet::new();
    for (command, _) in operations(3, 1_000) {
        match Operation::decode(&command).expect("clients ask for operations") {
            Operation::Put { value, .. }
            | Operation::CompareAndSet { value, .. }
            | Operation::Append { value, .. } => {
                assert!((8..=64).contains(&value.len()));
                assert!(values.insert(value.to_vec()), "a value is written once");
            }
            Operation::Get { .. } | Operation::Delete { .. } => {}
        }
    }
    assert!(values.len() > 500);
}

#[test]
fn a_command_changes_an_answer_only_if_the_conflict_test_says_so() {
    let mut machine = AnyWorkload::new(Kv::default()).machine();
    let test = machine.conflict_test();
    let (mut changed, mut kept) = (0, 0);
    let asked: Vec<_> = operations(7, 600);
    for (position, (command, query)) in asked.iter().enumerate() {
        let before = machine.query(query);
        machine.apply(Index(position as u64 + 1), command);
        let may_change = test.may_change(query, command);
        assert!(may_change || machine.query(query) == before);
        changed += u32::from(machine.query(query) != before);
        kept += u32::from(!may_change);
    }
    assert!(changed > 50 && kept > 50, "{changed} {kept}");
}

#[test]
fn a_restored_store_behaves_identically() {
    let workload = AnyWorkload::new(Kv::default());
    let mut machines: [AnyMachine; 2] = [workload.machine(), workload.machine()];
    for (position, (command, _)) in operations(5, 600).iter().enumerate() {
        let index = Index(position as u64 + 1);
        let replies = machines.each_mut().map(|machine| machine.apply(index, command));
        assert_eq!(replies[0], replies[1]);
        if position % 50 == 0 {
            let mut fresh = workload.machine();
            fresh.restore(&mut machines[0].snapshot()).unwrap();
            assert_eq!(fresh.digest().unwrap(), machines[0].digest().unwrap());
            machines[1] = fresh;
        }
    }
}

#[test]
fn a_wrong_reply_answer_or_state_is_reported() {
    let mut kv = Kv::default();
    let put = Operation::Put { key: b"k", value: b"v" }.encode();
    let get = Operation::Get { key: b"k" }.encode();
    let mut store = Store::default();
    let reply = store.apply(Index(1), &put);
    assert_eq!(kv.check_reply(&put, &reply), Ok(()));
    assert_eq!(kv.check_state(&store), Ok(()));
    assert!(kv.check_answer(&get, &Reply::Absent.encode()).is_err());
    assert!(kv.check_state(&Store::default()).is_err(), "a key is missing");
    store.apply(Index(2), &put);
    assert_eq!(kv.check_state(&store), Ok(()), "the same state after other commands");
    store.apply(Index(3), &Operation::Append { key: b"k", value: b"v" }.encode());
    assert!(kv.check_state(&store).is_err(), "a different value");
    let error = kv.check_reply(&put, &Reply::TooLong.encode()).expect_err("nothing is too long");
    assert!(error.contains("Put") && error.contains("TooLong") && error.contains("Done"));
}

#[test]
fn a_store_without_keys_or_with_invalid_value_sizes_panics() {
    for (keys, bytes) in [(0, 8), (1, 7), (1, Operation::VALUE_BYTES_MAX as u64 + 1)] {
        assert!(std::panic::catch_unwind(|| Kv::new(keys, bytes)).is_err(), "{keys} {bytes}");
    }
}
