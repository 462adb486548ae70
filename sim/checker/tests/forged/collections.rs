//! Sets, queues, stacks, lists.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quorate_checker::generate::Random;
use quorate_checker::models::{
    List, ListOp, ListRet, Queue, QueueOp, Set, SetOp, SetRet, Stack, StackOp,
};
use quorate_checker::value::Value;
use rand::RngExt;

use crate::stage::{Act, Forgery, Stage};

const NEW: Value = Value(1_000);
const NEWER: Value = Value(1_001);

fn unique(random: &mut Random) -> Value {
    Value(random.random_range(10_000..u32::MAX))
}

#[test]
fn a_set() {
    let ask = |_: &Set, random: &mut Random| {
        let value = Value(random.random_range(1..20));
        match random.random_range(0..3) {
            0 => SetOp::Add(value),
            1 => SetOp::Remove(value),
            _ => SetOp::Contains(value),
        }
    };
    let apply = |_: &Set, state: &mut BTreeSet<Value>, op: &SetOp| match op {
        SetOp::Add(value) => SetRet::Truth(state.insert(*value)),
        SetOp::Remove(value) => SetRet::Truth(state.remove(value)),
        SetOp::Contains(value) => SetRet::Truth(state.contains(value)),
        SetOp::Read => SetRet::Members(state.iter().copied().collect()),
    };
    let forge = |_: &Set, state: &BTreeSet<Value>, forgery| {
        let truth = |op, truth| Act::Call(op, SetRet::Truth(truth));
        let (add, has) = (SetOp::Add(NEW), SetOp::Contains(NEW));
        match forgery {
            Forgery::StaleRead => vec![truth(add, true), truth(has, false)],
            Forgery::LostWrite => {
                let read = Act::Call(SetOp::Read, SetRet::Members(state.iter().copied().collect()));
                vec![Act::Call(add, SetRet::Done), read]
            }
            Forgery::Duplicate => {
                vec![truth(add, true), truth(SetOp::Remove(NEW), true), truth(has, true)]
            }
            Forgery::Inversion => {
                vec![Act::Slow(add, SetRet::Truth(true)), truth(has, true), truth(has, false)]
            }
        }
    };
    Stage { model: Set::default(), ask, apply, forge }.play();
}

#[test]
fn a_queue() {
    let ask = |_: &Queue, random: &mut Random| match random.random_bool(0.5) {
        true => QueueOp::Enqueue(unique(random)),
        false => QueueOp::Dequeue,
    };
    let apply = |_: &Queue, state: &mut VecDeque<Value>, op: &QueueOp| match op {
        QueueOp::Enqueue(value) => {
            state.push_back(*value);
            Value::NULL
        }
        QueueOp::Dequeue => state.pop_front().unwrap_or_default(),
    };
    let forge = |_: &Queue, state: &VecDeque<Value>, forgery| {
        let put = |value| Act::Call(QueueOp::Enqueue(value), Value::NULL);
        let take = |value| Act::Call(QueueOp::Dequeue, value);
        let mut acts: Vec<_> = state.iter().map(|value| take(*value)).collect();
        acts.extend(match forgery {
            Forgery::StaleRead => vec![put(NEW), take(Value::NULL)],
            Forgery::LostWrite => vec![put(NEW), put(NEWER), take(NEWER), take(Value::NULL)],
            Forgery::Duplicate => vec![put(NEW), take(NEW), take(NEW)],
            Forgery::Inversion => vec![put(NEW), put(NEWER), take(NEWER), take(NEW)],
        });
        acts
    };
    Stage { model: Queue::default(), ask, apply, forge }.play();
}

#[test]
fn a_stack() {
    let ask = |_: &Stack, random: &mut Random| match random.random_bool(0.5) {
        true => StackOp::Push(unique(random)),
        false => StackOp::Pop,
    };
    let apply = |_: &Stack, state: &mut Vec<Value>, op: &StackOp| match op {
        StackOp::Push(value) => {
            state.push(*value);
            Value::NULL
        }
        StackOp::Pop => state.pop().unwrap_or_default(),
    };
    let forge = |_: &Stack, state: &Vec<Value>, forgery| {
        let put = |value| Act::Call(StackOp::Push(value), Value::NULL);
        let take = |value| Act::Call(StackOp::Pop, value);
        let mut acts: Vec<_> = state.iter().rev().map(|value| take(*value)).collect();
        acts.extend(match forgery {
            Forgery::StaleRead => vec![put(NEW), take(Value::NULL)],
            Forgery::LostWrite => vec![put(NEW), put(NEWER), take(NEW), take(Value::NULL)],
            Forgery::Duplicate => vec![put(NEW), take(NEW), take(NEW)],
            Forgery::Inversion => vec![put(NEW), put(NEWER), take(NEW), take(NEWER)],
        });
        acts
    };
    Stage { model: Stack::default(), ask, apply, forge }.play();
}

#[test]
fn a_list() {
    let ask = |_: &List, random: &mut Random| {
        let key = Value(random.random_range(1..3));
        match random.random_bool(0.5) {
            true => ListOp::Append { key, value: unique(random) },
            false => ListOp::Read { key },
        }
    };
    let apply = |_: &List, state: &mut BTreeMap<Value, Vec<Value>>, op: &ListOp| match op {
        ListOp::Append { key, value } => {
            state.entry(*key).or_default().push(*value);
            ListRet::Appended
        }
        ListOp::Read { key } => {
            ListRet::Items(state.get(key).cloned().unwrap_or_default().into_boxed_slice())
        }
    };
    let forge = |_: &List, state: &BTreeMap<Value, Vec<Value>>, forgery| {
        let key = Value(1);
        let append = |value| Act::Call(ListOp::Append { key, value }, ListRet::Appended);
        let read = |more: &[Value]| {
            let old = state.get(&key).map_or(&[][..], Vec::as_slice);
            Act::Call(ListOp::Read { key }, ListRet::Items([old, more].concat().into()))
        };
        match forgery {
            Forgery::StaleRead => vec![append(NEW), read(&[])],
            Forgery::LostWrite => vec![append(NEW), append(NEWER), read(&[NEWER])],
            Forgery::Duplicate => vec![append(NEW), read(&[NEW, NEW])],
            Forgery::Inversion => {
                let slow = Act::Slow(ListOp::Append { key, value: NEW }, ListRet::Appended);
                vec![slow, read(&[NEW]), read(&[])]
            }
        }
    };
    Stage { model: List::default(), ask, apply, forge }.play();
}
