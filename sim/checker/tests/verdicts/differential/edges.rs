//! Tiny histories of arbitrary intervals, edge values and results of every kind, compared with
//! brute force.

use std::collections::BTreeMap;

use quorate_checker::generate::Random;
use quorate_checker::history::{Client, EventIndex, History, Operation, Outcome};
use quorate_checker::model::Model;
use quorate_checker::models::{
    Access, Bank, BankOp, BankRet, Counter, CounterOp, InitialValues, Keyed, KeyedOp, Kv, KvCall,
    KvOp, KvRet, List, ListOp, ListRet, Lock, LockOp, Queue, QueueOp, Register, RegisterOp,
    RegisterRet, Set, SetOp, SetRet, Stack, StackOp, Transactions,
};
use quorate_checker::value::{ValueId, ValueTable};
use rand::RngExt;
use rand::seq::{IndexedRandom, SliceRandom};

use super::{agree, assert_fair, random};
use crate::collections::fuzz::rounds;

/// A model with generators of operations and of every result that may be worth trying.
trait Edge: Model + Sized {
    /// Draws the state before the first operation.
    fn draw(random: &mut Random) -> Self;

    fn op(&self, random: &mut Random) -> Self::Op;

    /// Returns results of `op`, possible and impossible ones.
    fn rets(&self, random: &mut Random, op: &Self::Op) -> Vec<Self::Ret>;
}

fn pick<T: Clone>(random: &mut Random, some: &[T]) -> T {
    some.choose(random).expect("there are some").clone()
}

/// Draws a history in which every operation has a client of its own. Most of its results fit the
/// order of instants that are drawn for the operations.
fn draw_history<M: Edge>(model: &M, random: &mut Random) -> History<M::Op, M::Ret> {
    let count = random.random_range(0..8);
    // Operations overlap little, much, or arbitrarily.
    let reach = pick(random, &[2, 4, 8, 2 * count + 1]);
    let mut instants: Vec<(usize, usize)> = (0..count).map(|place| (3 * place, place)).collect();
    for (instant, _) in &mut instants {
        *instant += random.random_range(0..=reach);
    }
    instants.sort_unstable();
    let mut events: Vec<(i64, bool, usize)> = Vec::new();
    let mut operations = Vec::new();
    let mut state = model.init();
    let errs = pick(random, &[0.0, 0.1, 0.3]);
    let unknown = pick(random, &[0.0, 0.2, 0.5]);
    for (number, (instant, _)) in instants.into_iter().enumerate() {
        let op = model.op(random);
        let mut rets = model.rets(random, &op);
        rets.shuffle(random);
        let legal = rets.iter().find(|ret| model.step(&state, &op, Some(ret)).is_some());
        let ret = match legal {
            Some(legal) if !random.random_bool(errs) => legal.clone(),
            _ => pick(random, &rets),
        };
        let outcome = random.random_range(0.0..1.0);
        let takes_effect = outcome >= 0.1 && (outcome >= 0.2 || random.random_bool(0.5));
        if takes_effect && let Some(after) = model.step(&state, &op, Some(&ret)) {
            state = after;
        }
        let instant = i64::try_from(instant).expect("few");
        let reach = i64::try_from(reach).expect("few");
        events.push((instant - random.random_range(0..=reach), false, number));
        events.push((instant + random.random_range(0..=reach), true, number));
        let outcome = match outcome {
            ..0.05 => Outcome::Failed,
            _ if random.random_bool(unknown) => Outcome::Unknown,
            _ => Outcome::Returned { at: EventIndex(0), ret },
        };
        operations.push((op, outcome));
    }
    // Neighbouring events may swap places, also in the same instant.
    events.shuffle(random);
    events.sort_by_key(|(instant, returns, _)| (*instant, *returns));
    let gap = pick(random, &[1, 3]);
    let mut found: BTreeMap<usize, EventIndex> = BTreeMap::new();
    let mut history: Vec<Operation<M::Op, M::Ret>> = Vec::new();
    for (number, (_, returns, operation)) in (0..).zip(events) {
        let event = EventIndex(number * gap);
        if !returns {
            found.insert(operation, event);
            let (op, outcome) = operations[operation].clone();
            let client = Client(u32::try_from(operation).expect("few"));
            history.push(Operation { client, op, invoked: event, outcome });
        } else if let Some(invoked) = found.get(&operation) {
            let place = history.iter().position(|one| one.invoked == *invoked);
            let one = &mut history[place.expect("it was invoked")];
            if let Outcome::Returned { at, .. } = &mut one.outcome {
                *at = event;
            }
        }
    }
    History::new(history).expect("the events of a history")
}

fn try_edges<M: Edge>(usual: u64) {
    let count = rounds(usual);
    let mut good = 0;
    for seed in 0..count {
        let mut random = random(seed);
        let model = M::draw(&mut random);
        let history = draw_history(&model, &mut random);
        good += u64::from(agree(&model, &history, &|| format!("seed {seed}")));
    }
    assert_fair(good, count);
}

const VALUES: [ValueId; 3] = [ValueId::NULL, ValueId(1), ValueId(2)];

fn value(random: &mut Random) -> ValueId {
    pick(random, &VALUES)
}

/// Draws an item to insert, at times null, which is none.
fn inserted(random: &mut Random) -> ValueId {
    let least = u32::from(random.random_bool(0.97));
    ValueId(random.random_range(least..4))
}

fn numbers() -> ValueTable {
    let values = ValueTable::new();
    for number in 1..4 {
        values.intern(number);
    }
    values
}

impl Edge for Register {
    fn draw(random: &mut Random) -> Register {
        Register { init: value(random), values: numbers() }
    }

    fn op(&self, random: &mut Random) -> RegisterOp {
        match random.random_range(0..4) {
            0 => RegisterOp::Write(value(random)),
            1 | 2 => RegisterOp::Cas { from: value(random), to: value(random) },
            _ => RegisterOp::Read,
        }
    }

    fn rets(&self, random: &mut Random, op: &RegisterOp) -> Vec<RegisterRet> {
        let values = VALUES.map(RegisterRet::Value);
        let swapped = [true, false].map(RegisterRet::Swapped);
        match op {
            _ if random.random_bool(0.01) => {
                [&values[..], &swapped, &[RegisterRet::Written]].concat()
            }
            RegisterOp::Read => values.to_vec(),
            RegisterOp::Write(_) => vec![RegisterRet::Written],
            RegisterOp::Cas { .. } => swapped.to_vec(),
        }
    }
}

impl Edge for Kv {
    fn draw(random: &mut Random) -> Kv {
        let values = ValueTable::new();
        for text in ["", "a", "b", "ab", "ba", "aa", "1", "1a"] {
            values.intern(text);
        }
        values.intern(1);
        let mut one = || ValueId(random.random_range(0..10));
        let by_key = BTreeMap::from([(ValueId(1), one())]);
        Kv { init: InitialValues { others: one(), by_key }, values }
    }

    fn op(&self, random: &mut Random) -> KvOp {
        let most = pick(random, &[4, 10]);
        let mut one = || ValueId(random.random_range(0..most));
        let (one, other) = (one(), one());
        let key = pick(random, &[ValueId::NULL, ValueId(1)]);
        let call = match random.random_range(0..6) {
            0 => KvCall::Put(one),
            1 | 2 => KvCall::Append(one),
            3 => KvCall::Cas { from: one, to: other },
            _ => KvCall::Get,
        };
        KvOp { key, call }
    }

    fn rets(&self, random: &mut Random, op: &KvOp) -> Vec<KvRet> {
        let last = u32::try_from(self.values.count()).expect("few");
        let values: Vec<KvRet> = (0..last).map(|value| KvRet::Value(ValueId(value))).collect();
        match op.call {
            KvCall::Get => values,
            KvCall::Put(_) if random.random_bool(0.3) => values,
            KvCall::Put(_) | KvCall::Append(_) => vec![KvRet::Written],
            KvCall::Cas { .. } if random.random_bool(0.3) => values,
            KvCall::Cas { .. } => [true, false].map(KvRet::Swapped).to_vec(),
        }
    }
}

impl Edge for Queue {
    fn draw(random: &mut Random) -> Queue {
        let count = random.random_range(0..3);
        Queue { init: (0..count).map(|_| inserted(random)).collect(), values: numbers() }
    }

    fn op(&self, random: &mut Random) -> QueueOp {
        match random.random_bool(0.5) {
            true => QueueOp::Enqueue(inserted(random)),
            false => QueueOp::Dequeue,
        }
    }

    fn rets(&self, _: &mut Random, op: &QueueOp) -> Vec<ValueId> {
        match op {
            QueueOp::Enqueue(_) => vec![ValueId::NULL],
            QueueOp::Dequeue => (0..4).map(ValueId).collect(),
        }
    }
}

impl Edge for Stack {
    fn draw(random: &mut Random) -> Stack {
        let count = random.random_range(0..3);
        Stack { init: (0..count).map(|_| inserted(random)).collect(), values: numbers() }
    }

    fn op(&self, random: &mut Random) -> StackOp {
        match random.random_bool(0.5) {
            true => StackOp::Push(inserted(random)),
            false => StackOp::Pop,
        }
    }

    fn rets(&self, _: &mut Random, op: &StackOp) -> Vec<ValueId> {
        match op {
            StackOp::Push(_) => vec![ValueId::NULL],
            StackOp::Pop => (0..4).map(ValueId).collect(),
        }
    }
}

impl Edge for Set {
    fn draw(random: &mut Random) -> Set {
        let count = random.random_range(0..3);
        Set { init: (0..count).map(|_| value(random)).collect(), values: numbers() }
    }

    fn op(&self, random: &mut Random) -> SetOp {
        match random.random_range(0..6) {
            0 => SetOp::Contains(value(random)),
            1 | 2 => SetOp::Remove(value(random)),
            3 | 4 => SetOp::Add(value(random)),
            _ => SetOp::Read,
        }
    }

    fn rets(&self, random: &mut Random, op: &SetOp) -> Vec<SetRet> {
        let [a, b, c] = VALUES;
        let members = [vec![], vec![a], vec![b], vec![c], vec![a, b], vec![a, c], vec![b, c]];
        let mut members: Vec<SetRet> =
            members.into_iter().map(|some| SetRet::Members(some.into())).collect();
        members.push(SetRet::Members(VALUES.into()));
        match op {
            SetOp::Read if random.random_bool(0.1) => {
                members.push(SetRet::Members([b, a].into()));
                members.push(SetRet::Members([b, b].into()));
                members.push(SetRet::Done);
                members
            }
            SetOp::Read => members,
            SetOp::Contains(_) if random.random_bool(0.1) => vec![SetRet::Done],
            SetOp::Contains(_) => [true, false].map(SetRet::Bool).to_vec(),
            _ if random.random_bool(0.3) => vec![SetRet::Done],
            _ => [true, false].map(SetRet::Bool).to_vec(),
        }
    }
}

impl Edge for List {
    fn draw(_: &mut Random) -> List {
        List { values: numbers() }
    }

    fn op(&self, random: &mut Random) -> ListOp {
        let key = pick(random, &[ValueId::NULL, ValueId::NULL, ValueId(1)]);
        match random.random_bool(0.5) {
            true => ListOp::Read { key },
            false => ListOp::Append { key, value: value(random) },
        }
    }

    fn rets(&self, _: &mut Random, op: &ListOp) -> Vec<ListRet> {
        let ListOp::Read { .. } = op else { return vec![ListRet::Appended] };
        let mut lists: Vec<Vec<ValueId>> = vec![Vec::new()];
        for place in 0..13 {
            let longer = |last: ValueId| [&lists[place][..], &[last]].concat();
            let longer = VALUES.map(longer);
            lists.extend(longer);
        }
        lists.into_iter().map(|list| ListRet::Items(list.into())).collect()
    }
}

impl Edge for Counter {
    fn draw(random: &mut Random) -> Counter {
        Counter { init: pick(random, &[0, 0, 1, -1, i64::MAX - 1, i64::MIN + 1]) }
    }

    fn op(&self, random: &mut Random) -> CounterOp {
        let adds: &[i64] = match self.init {
            0 => &[0, 1, 1, 2, 3],
            1 => &[0, -1, -2],
            -1 => &[-1, 1, 2],
            _ => &[-1, 1, i64::MAX, i64::MIN],
        };
        match random.random_bool(0.5) {
            true => CounterOp::Add(pick(random, adds)),
            false => CounterOp::Read,
        }
    }

    fn rets(&self, random: &mut Random, _: &CounterOp) -> Vec<Option<i64>> {
        let near = (-4..6).map(|more| Some(self.init.saturating_add(more)));
        match random.random_bool(0.3) {
            true => vec![None],
            false => near.chain([Some(i64::MAX), Some(i64::MIN), Some(-2)]).collect(),
        }
    }
}

impl Edge for Lock {
    fn draw(random: &mut Random) -> Lock {
        Lock { held: random.random_bool(0.5) }
    }

    fn op(&self, random: &mut Random) -> LockOp {
        if random.random_bool(0.5) { LockOp::Acquire } else { LockOp::Release }
    }

    fn rets(&self, _: &mut Random, _: &LockOp) -> Vec<()> {
        vec![()]
    }
}

impl Edge for Bank {
    fn draw(random: &mut Random) -> Bank {
        let balance = pick(random, &[0, 1, 2, -1]);
        let init = BTreeMap::from([(VALUES[0], balance), (VALUES[1], 1)]);
        Bank { init, overdraft: random.random_bool(0.3), values: numbers() }
    }

    fn op(&self, random: &mut Random) -> BankOp {
        let amount = pick(random, &[0, 1, 1, 2, -1, i64::MAX, i64::MIN]);
        let accounts = [0, 0, 0, 1, 1, 1, 2].map(ValueId);
        let (from, to) = (pick(random, &accounts), pick(random, &accounts));
        match random.random_bool(0.4) {
            true => BankOp::Read,
            false => BankOp::Transfer { from, to, amount },
        }
    }

    fn rets(&self, random: &mut Random, op: &BankOp) -> Vec<BankRet> {
        let BankOp::Read = op else { return [true, false].map(BankRet::Moved).to_vec() };
        let total = i64::from(random.random_bool(0.02)) + self.init.values().sum::<i64>();
        let of = |first: i64| [(VALUES[0], first), (VALUES[1], total - first)];
        (-3..5).map(|first| BankRet::Balances(of(first).into())).collect()
    }
}

impl Edge for Transactions {
    fn draw(random: &mut Random) -> Transactions {
        let by_key = BTreeMap::from([(ValueId(1), value(random))]);
        Transactions { init: InitialValues { others: value(random), by_key }, values: numbers() }
    }

    fn op(&self, random: &mut Random) -> Box<[Access]> {
        let count = random.random_range(0..4);
        let access = |_| {
            let key = pick(random, &[ValueId::NULL, ValueId(1)]);
            match random.random_bool(0.5) {
                true => Access::Read(key),
                false => Access::Write(key, value(random)),
            }
        };
        (0..count).map(access).collect()
    }

    fn rets(&self, random: &mut Random, op: &Box<[Access]>) -> Vec<Box<[ValueId]>> {
        let short = usize::from(random.random_bool(0.1));
        let mut rets: Vec<Vec<ValueId>> = vec![Vec::new()];
        for access in op.iter().take(op.len().saturating_sub(short)) {
            let values = match access {
                Access::Read(_) => &VALUES[usize::from(random.random_bool(0.8))..],
                Access::Write(..) => &VALUES[..1],
            };
            let longer = |ret: &Vec<ValueId>| {
                let longer = values.iter().map(|one| [&ret[..], &[*one]].concat());
                longer.collect::<Vec<_>>()
            };
            rets = rets.iter().flat_map(longer).collect();
        }
        rets.into_iter().map(Into::into).collect()
    }
}

impl<M: Edge> Edge for Keyed<M> {
    fn draw(random: &mut Random) -> Keyed<M> {
        Keyed { each: M::draw(random), keys: numbers() }
    }

    fn op(&self, random: &mut Random) -> KeyedOp<M::Op> {
        KeyedOp { key: pick(random, &[ValueId::NULL, ValueId(1)]), op: self.each.op(random) }
    }

    fn rets(&self, random: &mut Random, op: &KeyedOp<M::Op>) -> Vec<M::Ret> {
        self.each.rets(random, &op.op)
    }
}

#[test]
fn edges_of_registers_are_decided_as_by_brute_force() {
    try_edges::<Register>(3000);
    try_edges::<Kv>(3000);
    try_edges::<Transactions>(1000);
}

#[test]
fn edges_of_collections_are_decided_as_by_brute_force() {
    try_edges::<Queue>(1500);
    try_edges::<Stack>(1500);
    try_edges::<Set>(1500);
    try_edges::<List>(1500);
}

#[test]
fn edges_of_other_objects_are_decided_as_by_brute_force() {
    try_edges::<Counter>(1500);
    try_edges::<Lock>(1000);
    try_edges::<Bank>(1500);
}

#[test]
fn edges_of_keyed_objects_are_decided_as_by_brute_force() {
    try_edges::<Keyed<Queue>>(500);
    try_edges::<Keyed<Stack>>(500);
    try_edges::<Keyed<Set>>(500);
    try_edges::<Keyed<Counter>>(500);
    try_edges::<Keyed<Lock>>(500);
    try_edges::<Keyed<Register>>(500);
    try_edges::<Keyed<Bank>>(500);
}
