//! What clients ask of each object, and what they are told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quorate_checker::generate::Random;
use quorate_checker::model::Model;
use quorate_checker::models::{
    Access, Bank, BankOp, BankRet, Counter, CounterOp, Kv, KvCall, KvOp, KvRet, List, ListOp,
    ListRet, Lock, LockOp, Queue, QueueOp, Register, RegisterOp, RegisterRet, Set, SetOp, SetRet,
    Stack, StackOp, Transactions,
};
use quorate_checker::value::{Value, Values};
use rand::RngExt;

use crate::{Mix, Subject};

/// Texts for values, so that they can be appended.
fn values() -> Values {
    let values = Values::new();
    for number in 1..64 {
        values.of(&*format!("{number};"));
    }
    values
}

pub(crate) fn register() -> Register {
    Register::default()
}

impl Subject for Register {
    fn ask(&self, random: &mut Random, mix: &Mix) -> RegisterOp {
        if random.random_bool(mix.reads) {
            RegisterOp::Read
        } else if random.random_bool(mix.cas) {
            let from = Value(mix.stale(random));
            RegisterOp::Cas { from, to: Value(mix.fresh(random)) }
        } else {
            RegisterOp::Write(Value(mix.fresh(random)))
        }
    }

    fn answer(&self, state: &Value, op: &RegisterOp) -> RegisterRet {
        match op {
            RegisterOp::Read => RegisterRet::Value(*state),
            RegisterOp::Write(_) => RegisterRet::Written,
            RegisterOp::Cas { from, .. } => RegisterRet::Swapped(from == state),
        }
    }

    fn wrong(&self, random: &mut Random, mix: &Mix, op: &RegisterOp) -> RegisterRet {
        match op {
            RegisterOp::Read => RegisterRet::Value(Value(mix.stale(random))),
            RegisterOp::Write(_) => RegisterRet::Written,
            RegisterOp::Cas { .. } => RegisterRet::Swapped(random.random_bool(0.5)),
        }
    }
}

/// Keys whose value is put, got, and compared and set.
pub(crate) fn kv() -> Kv {
    Kv { init: Value::NULL, values: values() }
}

/// Keys with texts to which more is appended.
pub(crate) fn appending() -> Kv {
    let values = values();
    Kv { init: values.of(""), values }
}

impl Subject for Kv {
    fn ask(&self, random: &mut Random, mix: &Mix) -> KvOp {
        let key = Value(random.random_range(1..3));
        let call = if random.random_bool(mix.reads) {
            KvCall::Get
        } else if self.init != Value::NULL && random.random_bool(0.6) {
            KvCall::Append(Value(mix.fresh(random)))
        } else if random.random_bool(mix.cas) {
            KvCall::Cas { from: Value(mix.stale(random)), to: Value(mix.fresh(random)) }
        } else {
            KvCall::Put(Value(mix.fresh(random)))
        };
        KvOp { key, call }
    }

    fn answer(&self, state: &BTreeMap<Value, Value>, op: &KvOp) -> KvRet {
        let now = state.get(&op.key).copied().unwrap_or(self.init);
        match op.call {
            KvCall::Get => KvRet::Value(now),
            KvCall::Put(_) | KvCall::Append(_) => KvRet::Written,
            // Half of those that fail tell what they found.
            KvCall::Cas { from, to } if from != now && to.0.is_multiple_of(2) => KvRet::Value(now),
            KvCall::Cas { from, .. } => KvRet::Swapped(from == now),
        }
    }

    fn wrong(&self, random: &mut Random, mix: &Mix, op: &KvOp) -> KvRet {
        match op.call {
            KvCall::Get => KvRet::Value(Value(mix.stale(random))),
            KvCall::Put(_) | KvCall::Append(_) => KvRet::Written,
            KvCall::Cas { .. } => match random.random_range(0..3) {
                0 => KvRet::Value(Value(mix.stale(random))),
                told => KvRet::Swapped(told == 1),
            },
        }
    }
}

/// A queue.
pub(crate) fn queue() -> Queue {
    Queue::default()
}

impl Subject for Queue {
    fn ask(&self, random: &mut Random, mix: &Mix) -> QueueOp {
        match random.random_bool(0.5) {
            true => QueueOp::Dequeue,
            false => QueueOp::Enqueue(Value(1 + mix.fresh(random))),
        }
    }

    fn answer(&self, state: &VecDeque<Value>, op: &QueueOp) -> Value {
        match op {
            QueueOp::Enqueue(_) => Value::NULL,
            QueueOp::Dequeue => state.front().copied().unwrap_or(Value::NULL),
        }
    }

    fn wrong(&self, random: &mut Random, mix: &Mix, op: &QueueOp) -> Value {
        match op {
            QueueOp::Enqueue(_) => Value::NULL,
            QueueOp::Dequeue => Value(mix.stale(random)),
        }
    }
}

/// A stack.
pub(crate) fn stack() -> Stack {
    Stack::default()
}

impl Subject for Stack {
    fn ask(&self, random: &mut Random, mix: &Mix) -> StackOp {
        match random.random_bool(0.5) {
            true => StackOp::Pop,
            false => StackOp::Push(Value(1 + mix.fresh(random))),
        }
    }

    fn answer(&self, state: &Vec<Value>, op: &StackOp) -> Value {
        match op {
            StackOp::Push(_) => Value::NULL,
            StackOp::Pop => state.last().copied().unwrap_or(Value::NULL),
        }
    }

    fn wrong(&self, random: &mut Random, mix: &Mix, op: &StackOp) -> Value {
        match op {
            StackOp::Push(_) => Value::NULL,
            StackOp::Pop => Value(mix.stale(random)),
        }
    }
}

/// A set.
pub(crate) fn set() -> Set {
    Set::default()
}

impl Subject for Set {
    fn ask(&self, random: &mut Random, mix: &Mix) -> SetOp {
        match random.random_range(0..5) {
            0 => SetOp::Read,
            1 => SetOp::Contains(Value(mix.stale(random))),
            2 => SetOp::Remove(Value(mix.stale(random))),
            _ => SetOp::Add(Value(mix.fresh(random))),
        }
    }

    fn answer(&self, state: &BTreeSet<Value>, op: &SetOp) -> SetRet {
        match op {
            SetOp::Add(value) if value.0 % 2 == 0 => SetRet::Truth(!state.contains(value)),
            SetOp::Add(_) => SetRet::Done,
            SetOp::Remove(value) | SetOp::Contains(value) => SetRet::Truth(state.contains(value)),
            SetOp::Read => SetRet::Members(state.iter().copied().collect()),
        }
    }

    fn wrong(&self, random: &mut Random, mix: &Mix, op: &SetOp) -> SetRet {
        match op {
            SetOp::Read => {
                let some: BTreeSet<Value> = (0..3).map(|_| Value(mix.stale(random))).collect();
                SetRet::Members(some.into_iter().collect())
            }
            _ => SetRet::Truth(random.random_bool(0.5)),
        }
    }
}

/// Lists of keys.
pub(crate) fn list() -> List {
    List::default()
}

impl Subject for List {
    fn ask(&self, random: &mut Random, mix: &Mix) -> ListOp {
        let key = Value(random.random_range(1..3));
        match random.random_bool(mix.reads) {
            true => ListOp::Read { key },
            false => ListOp::Append { key, value: Value(mix.fresh(random)) },
        }
    }

    fn answer(&self, state: &BTreeMap<Value, Vec<Value>>, op: &ListOp) -> ListRet {
        match op {
            ListOp::Append { .. } => ListRet::Appended,
            ListOp::Read { key } => {
                ListRet::Items(state.get(key).map_or(Box::default(), |items| items[..].into()))
            }
        }
    }

    fn wrong(&self, random: &mut Random, mix: &Mix, op: &ListOp) -> ListRet {
        match op {
            ListOp::Append { .. } => ListRet::Appended,
            ListOp::Read { .. } => {
                let count = random.random_range(0..4);
                ListRet::Items((0..count).map(|_| Value(mix.stale(random))).collect())
            }
        }
    }
}

/// A counter.
pub(crate) fn counter() -> Counter {
    Counter::default()
}

impl Subject for Counter {
    fn ask(&self, random: &mut Random, mix: &Mix) -> CounterOp {
        match random.random_bool(mix.reads) {
            true => CounterOp::Read,
            false => CounterOp::Add(random.random_range(-1..4)),
        }
    }

    fn answer(&self, state: &i64, op: &CounterOp) -> Option<i64> {
        match op {
            CounterOp::Read => Some(*state),
            CounterOp::Add(2) => None,
            CounterOp::Add(more) => Some(state + more),
        }
    }

    fn wrong(&self, random: &mut Random, _: &Mix, _: &CounterOp) -> Option<i64> {
        Some(random.random_range(-1..9))
    }
}

/// A lock.
pub(crate) fn lock() -> Lock {
    Lock::default()
}

/// Whatever it is asked, it says that it was done: half of the histories are wrong.
impl Subject for Lock {
    fn ask(&self, random: &mut Random, mix: &Mix) -> LockOp {
        let turn = mix.fresh(random) + u32::from(random.random_bool(0.1));
        match turn.is_multiple_of(2) {
            true => LockOp::Release,
            false => LockOp::Acquire,
        }
    }

    fn answer(&self, _: &bool, _: &LockOp) {}

    fn wrong(&self, _: &mut Random, _: &Mix, _: &LockOp) {}
}

/// Three accounts.
pub(crate) fn bank() -> Bank {
    let init = (1..4).map(|account| (Value(account), 2)).collect();
    Bank { init, ..Bank::default() }
}

impl Subject for Bank {
    fn ask(&self, random: &mut Random, mix: &Mix) -> BankOp {
        let mut account = || Value(random.random_range(1..5));
        let (from, to) = (account(), account());
        match random.random_bool(mix.reads) {
            true => BankOp::Read,
            false => BankOp::Transfer { from, to, amount: random.random_range(1..3) },
        }
    }

    fn answer(&self, state: &BTreeMap<Value, i64>, op: &BankOp) -> BankRet {
        let moved = BankRet::Moved(true);
        match op {
            BankOp::Read => BankRet::Balances(state.iter().map(|(a, b)| (*a, *b)).collect()),
            BankOp::Transfer { .. } if self.step(state, op, Some(&moved)).is_some() => moved,
            BankOp::Transfer { .. } => BankRet::Moved(false),
        }
    }

    fn wrong(&self, random: &mut Random, _: &Mix, op: &BankOp) -> BankRet {
        match op {
            BankOp::Read => {
                let mut has = |account| (Value(account), random.random_range(0..5));
                BankRet::Balances([has(1), has(2), has(3)].into())
            }
            BankOp::Transfer { .. } => BankRet::Moved(random.random_bool(0.5)),
        }
    }
}

/// Two registers, used together.
pub(crate) fn transactions() -> Transactions {
    Transactions::default()
}

impl Subject for Transactions {
    fn ask(&self, random: &mut Random, mix: &Mix) -> Box<[Access]> {
        let mut access = || {
            let key = Value(random.random_range(1..3));
            match random.random_bool(mix.reads) {
                true => Access::Read(key),
                false => Access::Write(key, Value(mix.fresh(random))),
            }
        };
        let (first, second) = (access(), access());
        match random.random_bool(0.5) {
            true => [first, second].into(),
            false => [first].into(),
        }
    }

    fn answer(&self, state: &BTreeMap<Value, Value>, op: &Box<[Access]>) -> Box<[Value]> {
        let mut state = state.clone();
        let mut answer = |access: &Access| match *access {
            Access::Read(key) => state.get(&key).copied().unwrap_or(self.init),
            Access::Write(key, value) => {
                state.insert(key, value);
                Value::NULL
            }
        };
        op.iter().map(&mut answer).collect()
    }

    fn wrong(&self, random: &mut Random, mix: &Mix, op: &Box<[Access]>) -> Box<[Value]> {
        let mut answer = |access: &Access| match access {
            Access::Read(_) => Value(mix.stale(random)),
            Access::Write(..) => Value::NULL,
        };
        op.iter().map(&mut answer).collect()
    }
}
