//! Forged histories of sets, queues, stacks and lists.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quorate_checker::generate::Random;
use quorate_checker::models::{
    List, ListOp, ListRet, Queue, QueueOp, Set, SetOp, SetRet, Stack, StackOp,
};
use quorate_checker::value::ValueId;
use rand::RngExt;

use super::stage::{ForgedOp, Forgery, Stage};

const NEW: ValueId = ValueId(1_000);
const NEWER: ValueId = ValueId(1_001);

fn unique(random: &mut Random) -> ValueId {
    ValueId(random.random_range(10_000..u32::MAX))
}

#[test]
fn only_forged_set_histories_are_rejected() {
    let draw_op = |_: &Set, random: &mut Random| {
        let value = ValueId(random.random_range(1..20));
        match random.random_range(0..3) {
            0 => SetOp::Add(value),
            1 => SetOp::Remove(value),
            _ => SetOp::Contains(value),
        }
    };
    let apply = |_: &Set, state: &mut BTreeSet<ValueId>, op: &SetOp| match op {
        SetOp::Add(value) => SetRet::Bool(state.insert(*value)),
        SetOp::Remove(value) => SetRet::Bool(state.remove(value)),
        SetOp::Contains(value) => SetRet::Bool(state.contains(value)),
        SetOp::Read => SetRet::Members(state.iter().copied().collect()),
    };
    let forge = |_: &Set, state: &BTreeSet<ValueId>, forgery| {
        let truth = |op, truth| ForgedOp::Call(op, SetRet::Bool(truth));
        let (add, has) = (SetOp::Add(NEW), SetOp::Contains(NEW));
        match forgery {
            Forgery::StaleRead => vec![truth(add, true), truth(has, false)],
            Forgery::LostWrite => {
                let read =
                    ForgedOp::Call(SetOp::Read, SetRet::Members(state.iter().copied().collect()));
                vec![ForgedOp::Call(add, SetRet::Done), read]
            }
            Forgery::Duplicate => {
                vec![truth(add, true), truth(SetOp::Remove(NEW), true), truth(has, true)]
            }
            Forgery::Inversion => {
                vec![ForgedOp::Slow(add, SetRet::Bool(true)), truth(has, true), truth(has, false)]
            }
        }
    };
    Stage { model: Set::default(), draw_op, apply, forge }.play();
}

#[test]
fn only_forged_queue_histories_are_rejected() {
    let draw_op = |_: &Queue, random: &mut Random| match random.random_bool(0.5) {
        true => QueueOp::Enqueue(unique(random)),
        false => QueueOp::Dequeue,
    };
    let apply = |_: &Queue, state: &mut VecDeque<ValueId>, op: &QueueOp| match op {
        QueueOp::Enqueue(value) => {
            state.push_back(*value);
            ValueId::NULL
        }
        QueueOp::Dequeue => state.pop_front().unwrap_or_default(),
    };
    let forge = |_: &Queue, state: &VecDeque<ValueId>, forgery| {
        let put = |value| ForgedOp::Call(QueueOp::Enqueue(value), ValueId::NULL);
        let take = |value| ForgedOp::Call(QueueOp::Dequeue, value);
        let mut forged: Vec<_> = state.iter().map(|value| take(*value)).collect();
        forged.extend(match forgery {
            Forgery::StaleRead => vec![put(NEW), take(ValueId::NULL)],
            Forgery::LostWrite => vec![put(NEW), put(NEWER), take(NEWER), take(ValueId::NULL)],
            Forgery::Duplicate => vec![put(NEW), take(NEW), take(NEW)],
            Forgery::Inversion => vec![put(NEW), put(NEWER), take(NEWER), take(NEW)],
        });
        forged
    };
    Stage { model: Queue::default(), draw_op, apply, forge }.play();
}

#[test]
fn only_forged_stack_histories_are_rejected() {
    let draw_op = |_: &Stack, random: &mut Random| match random.random_bool(0.5) {
        true => StackOp::Push(unique(random)),
        false => StackOp::Pop,
    };
    let apply = |_: &Stack, state: &mut Vec<ValueId>, op: &StackOp| match op {
        StackOp::Push(value) => {
            state.push(*value);
            ValueId::NULL
        }
        StackOp::Pop => state.pop().unwrap_or_default(),
    };
    let forge = |_: &Stack, state: &Vec<ValueId>, forgery| {
        let put = |value| ForgedOp::Call(StackOp::Push(value), ValueId::NULL);
        let take = |value| ForgedOp::Call(StackOp::Pop, value);
        let mut forged: Vec<_> = state.iter().rev().map(|value| take(*value)).collect();
        forged.extend(match forgery {
            Forgery::StaleRead => vec![put(NEW), take(ValueId::NULL)],
            Forgery::LostWrite => vec![put(NEW), put(NEWER), take(NEW), take(ValueId::NULL)],
            Forgery::Duplicate => vec![put(NEW), take(NEW), take(NEW)],
            Forgery::Inversion => vec![put(NEW), put(NEWER), take(NEW), take(NEWER)],
        });
        forged
    };
    Stage { model: Stack::default(), draw_op, apply, forge }.play();
}

#[test]
fn only_forged_list_histories_are_rejected() {
    let draw_op = |_: &List, random: &mut Random| {
        let key = ValueId(random.random_range(1..3));
        match random.random_bool(0.5) {
            true => ListOp::Append { key, value: unique(random) },
            false => ListOp::Read { key },
        }
    };
    let apply = |_: &List, state: &mut BTreeMap<ValueId, Vec<ValueId>>, op: &ListOp| match op {
        ListOp::Append { key, value } => {
            state.entry(*key).or_default().push(*value);
            ListRet::Appended
        }
        ListOp::Read { key } => {
            ListRet::Items(state.get(key).cloned().unwrap_or_default().into_boxed_slice())
        }
    };
    let forge = |_: &List, state: &BTreeMap<ValueId, Vec<ValueId>>, forgery| {
        let key = ValueId(1);
        let append = |value| ForgedOp::Call(ListOp::Append { key, value }, ListRet::Appended);
        let read = |more: &[ValueId]| {
            let old = state.get(&key).map_or(&[][..], Vec::as_slice);
            ForgedOp::Call(ListOp::Read { key }, ListRet::Items([old, more].concat().into()))
        };
        match forgery {
            Forgery::StaleRead => vec![append(NEW), read(&[])],
            Forgery::LostWrite => vec![append(NEW), append(NEWER), read(&[NEWER])],
            Forgery::Duplicate => vec![append(NEW), read(&[NEW, NEW])],
            Forgery::Inversion => {
                let slow = ForgedOp::Slow(ListOp::Append { key, value: NEW }, ListRet::Appended);
                vec![slow, read(&[NEW]), read(&[])]
            }
        }
    };
    Stage { model: List::default(), draw_op, apply, forge }.play();
}
