//! Generators of operations and results for each model.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quorate_checker::generate::Random;
use quorate_checker::model::Model;
use quorate_checker::models::{
    Access, Bank, BankOp, BankRet, Counter, CounterOp, InitialValues, Kv, KvCall, KvOp, KvRet,
    KvValue, List, ListOp, ListRet, Lock, LockOp, Queue, QueueOp, Register, RegisterOp,
    RegisterRet, Set, SetOp, SetRet, Stack, StackOp, Transactions,
};
use quorate_checker::value::{ValueId, ValueTable};
use rand::RngExt;

use super::{Mix, Subject};

/// Returns a table of texts, so that values can be appended.
fn values() -> ValueTable {
    let values = ValueTable::new();
    for number in 1..64 {
        values.intern(&*format!("{number};"));
    }
    values
}

pub(crate) fn register() -> Register {
    Register::default()
}

impl Subject for Register {
    fn draw_op(&self, random: &mut Random, mix: &Mix) -> RegisterOp {
        if random.random_bool(mix.reads) {
            RegisterOp::Read
        } else if random.random_bool(mix.cas) {
            let from = ValueId(mix.stale(random));
            RegisterOp::Cas { from, to: ValueId(mix.fresh(random)) }
        } else {
            RegisterOp::Write(ValueId(mix.fresh(random)))
        }
    }

    fn result(&self, state: &ValueId, op: &RegisterOp) -> RegisterRet {
        match op {
            RegisterOp::Read => RegisterRet::Value(*state),
            RegisterOp::Write(_) => RegisterRet::Written,
            RegisterOp::Cas { from, .. } => RegisterRet::Swapped(from == state),
        }
    }

    fn wrong_result(&self, random: &mut Random, mix: &Mix, op: &RegisterOp) -> RegisterRet {
        match op {
            RegisterOp::Read => RegisterRet::Value(ValueId(mix.stale(random))),
            RegisterOp::Write(_) => RegisterRet::Written,
            RegisterOp::Cas { .. } => RegisterRet::Swapped(random.random_bool(0.5)),
        }
    }
}

/// A map with put, get, and compare-and-set, and with an initial value of one of its two keys.
pub(crate) fn kv() -> Kv {
    Kv { init: initial(ValueId::NULL), values: values() }
}

/// A map with appends, and with an initial text of one of its two keys.
pub(crate) fn appending() -> Kv {
    let values = values();
    Kv { init: initial(values.intern("")), values }
}

/// The initial value `others`, and a different one for key 2.
fn initial(others: ValueId) -> InitialValues {
    InitialValues { others, by_key: BTreeMap::from([(ValueId(2), ValueId(3))]) }
}

impl Subject for Kv {
    fn draw_op(&self, random: &mut Random, mix: &Mix) -> KvOp {
        let key = ValueId(random.random_range(1..3));
        let call = if random.random_bool(mix.reads) {
            KvCall::Get
        } else if self.init.others != ValueId::NULL && random.random_bool(0.6) {
            KvCall::Append(ValueId(mix.fresh(random)))
        } else if random.random_bool(mix.cas) {
            KvCall::Cas { from: ValueId(mix.stale(random)), to: ValueId(mix.fresh(random)) }
        } else {
            KvCall::Put(ValueId(mix.fresh(random)))
        };
        KvOp { key, call }
    }

    fn result(&self, state: &BTreeMap<ValueId, KvValue>, op: &KvOp) -> KvRet {
        let now = self.value_in(state, op.key);
        match op.call {
            KvCall::Get => KvRet::Value(now),
            KvCall::Put(_) | KvCall::Append(_) => KvRet::Written,
            // Half of the failed ones return the value that they found.
            KvCall::Cas { from, to } if from != now && to.0.is_multiple_of(2) => KvRet::Value(now),
            KvCall::Cas { from, .. } => KvRet::Swapped(from == now),
        }
    }

    fn wrong_result(&self, random: &mut Random, mix: &Mix, op: &KvOp) -> KvRet {
        match op.call {
            KvCall::Get => KvRet::Value(ValueId(mix.stale(random))),
            KvCall::Put(_) | KvCall::Append(_) => KvRet::Written,
            KvCall::Cas { .. } => match random.random_range(0..3) {
                0 => KvRet::Value(ValueId(mix.stale(random))),
                chosen => KvRet::Swapped(chosen == 1),
            },
        }
    }
}

/// A queue of distinct and repeated values.
pub(crate) fn queue() -> Queue {
    Queue::default()
}

impl Subject for Queue {
    fn draw_op(&self, random: &mut Random, mix: &Mix) -> QueueOp {
        match random.random_bool(0.5) {
            true => QueueOp::Dequeue,
            false => QueueOp::Enqueue(ValueId(1 + mix.fresh(random))),
        }
    }

    fn result(&self, state: &VecDeque<ValueId>, op: &QueueOp) -> ValueId {
        match op {
            QueueOp::Enqueue(_) => ValueId::NULL,
            QueueOp::Dequeue => state.front().copied().unwrap_or(ValueId::NULL),
        }
    }

    fn wrong_result(&self, random: &mut Random, mix: &Mix, op: &QueueOp) -> ValueId {
        match op {
            QueueOp::Enqueue(_) => ValueId::NULL,
            QueueOp::Dequeue => ValueId(mix.stale(random)),
        }
    }
}

/// A stack of distinct and repeated values.
pub(crate) fn stack() -> Stack {
    Stack::default()
}

impl Subject for Stack {
    fn draw_op(&self, random: &mut Random, mix: &Mix) -> StackOp {
        match random.random_bool(0.5) {
            true => StackOp::Pop,
            false => StackOp::Push(ValueId(1 + mix.fresh(random))),
        }
    }

    fn result(&self, state: &Vec<ValueId>, op: &StackOp) -> ValueId {
        match op {
            StackOp::Push(_) => ValueId::NULL,
            StackOp::Pop => state.last().copied().unwrap_or(ValueId::NULL),
        }
    }

    fn wrong_result(&self, random: &mut Random, mix: &Mix, op: &StackOp) -> ValueId {
        match op {
            StackOp::Push(_) => ValueId::NULL,
            StackOp::Pop => ValueId(mix.stale(random)),
        }
    }
}

/// A set of a few values.
pub(crate) fn set() -> Set {
    Set::default()
}

impl Subject for Set {
    fn draw_op(&self, random: &mut Random, mix: &Mix) -> SetOp {
        match random.random_range(0..5) {
            0 => SetOp::Read,
            1 => SetOp::Contains(ValueId(mix.stale(random))),
            2 => SetOp::Remove(ValueId(mix.stale(random))),
            _ => SetOp::Add(ValueId(mix.fresh(random))),
        }
    }

    fn result(&self, state: &BTreeSet<ValueId>, op: &SetOp) -> SetRet {
        match op {
            SetOp::Add(value) if value.0 % 2 == 0 => SetRet::Bool(!state.contains(value)),
            SetOp::Add(_) => SetRet::Done,
            SetOp::Remove(value) | SetOp::Contains(value) => SetRet::Bool(state.contains(value)),
            SetOp::Read => SetRet::Members(state.iter().copied().collect()),
        }
    }

    fn wrong_result(&self, random: &mut Random, mix: &Mix, op: &SetOp) -> SetRet {
        match op {
            SetOp::Read => {
                let some: BTreeSet<ValueId> = (0..3).map(|_| ValueId(mix.stale(random))).collect();
                SetRet::Members(some.into_iter().collect())
            }
            _ => SetRet::Bool(random.random_bool(0.5)),
        }
    }
}

/// A map of append-only lists.
pub(crate) fn list() -> List {
    List::default()
}

impl Subject for List {
    fn draw_op(&self, random: &mut Random, mix: &Mix) -> ListOp {
        let key = ValueId(random.random_range(1..3));
        match random.random_bool(mix.reads) {
            true => ListOp::Read { key },
            false => ListOp::Append { key, value: ValueId(mix.fresh(random)) },
        }
    }

    fn result(&self, state: &BTreeMap<ValueId, Vec<ValueId>>, op: &ListOp) -> ListRet {
        match op {
            ListOp::Append { .. } => ListRet::Appended,
            ListOp::Read { key } => {
                ListRet::Items(state.get(key).map_or(Box::default(), |items| items[..].into()))
            }
        }
    }

    fn wrong_result(&self, random: &mut Random, mix: &Mix, op: &ListOp) -> ListRet {
        match op {
            ListOp::Append { .. } => ListRet::Appended,
            ListOp::Read { .. } => {
                let count = random.random_range(0..4);
                ListRet::Items((0..count).map(|_| ValueId(mix.stale(random))).collect())
            }
        }
    }
}

/// A counter with positive and negative additions.
pub(crate) fn counter() -> Counter {
    Counter::default()
}

impl Subject for Counter {
    fn draw_op(&self, random: &mut Random, mix: &Mix) -> CounterOp {
        match random.random_bool(mix.reads) {
            true => CounterOp::Read,
            false => CounterOp::Add(random.random_range(-1..4)),
        }
    }

    fn result(&self, state: &i64, op: &CounterOp) -> Option<i64> {
        match op {
            CounterOp::Read => Some(*state),
            CounterOp::Add(2) => None,
            CounterOp::Add(more) => Some(state + more),
        }
    }

    fn wrong_result(&self, random: &mut Random, _: &Mix, _: &CounterOp) -> Option<i64> {
        Some(random.random_range(-1..9))
    }
}

/// A lock that is initially free.
pub(crate) fn lock() -> Lock {
    Lock::default()
}

/// No result carries information, so only the order of operations can be wrong: operations are
/// drawn so that about half of the histories are illegal.
impl Subject for Lock {
    fn draw_op(&self, random: &mut Random, mix: &Mix) -> LockOp {
        let turn = mix.fresh(random) + u32::from(random.random_bool(0.1));
        match turn.is_multiple_of(2) {
            true => LockOp::Release,
            false => LockOp::Acquire,
        }
    }

    fn result(&self, _: &bool, _: &LockOp) {}

    fn wrong_result(&self, _: &mut Random, _: &Mix, _: &LockOp) {}
}

/// A bank with three accounts.
pub(crate) fn bank() -> Bank {
    let init = (1..4).map(|account| (ValueId(account), 2)).collect();
    Bank { init, ..Bank::default() }
}

impl Subject for Bank {
    fn draw_op(&self, random: &mut Random, mix: &Mix) -> BankOp {
        let mut account = || ValueId(random.random_range(1..5));
        let (from, to) = (account(), account());
        match random.random_bool(mix.reads) {
            true => BankOp::Read,
            false => BankOp::Transfer { from, to, amount: random.random_range(1..3) },
        }
    }

    fn result(&self, state: &BTreeMap<ValueId, i64>, op: &BankOp) -> BankRet {
        let moved = BankRet::Moved(true);
        match op {
            BankOp::Read => BankRet::Balances(state.iter().map(|(a, b)| (*a, *b)).collect()),
            BankOp::Transfer { .. } if self.step(state, op, Some(&moved)).is_some() => moved,
            BankOp::Transfer { .. } => BankRet::Moved(false),
        }
    }

    fn wrong_result(&self, random: &mut Random, _: &Mix, op: &BankOp) -> BankRet {
        match op {
            BankOp::Read => {
                let mut has = |account| (ValueId(account), random.random_range(0..5));
                BankRet::Balances([has(1), has(2), has(3)].into())
            }
            BankOp::Transfer { .. } => BankRet::Moved(random.random_bool(0.5)),
        }
    }
}

/// Two registers that transactions access.
pub(crate) fn transactions() -> Transactions {
    Transactions { init: initial(ValueId::NULL), values: values() }
}

impl Subject for Transactions {
    fn draw_op(&self, random: &mut Random, mix: &Mix) -> Box<[Access]> {
        let mut access = || {
            let key = ValueId(random.random_range(1..3));
            match random.random_bool(mix.reads) {
                true => Access::Read(key),
                false => Access::Write(key, ValueId(mix.fresh(random))),
            }
        };
        let (first, second) = (access(), access());
        match random.random_bool(0.5) {
            true => [first, second].into(),
            false => [first].into(),
        }
    }

    fn result(&self, state: &BTreeMap<ValueId, ValueId>, op: &Box<[Access]>) -> Box<[ValueId]> {
        let mut state = state.clone();
        let mut answer = |access: &Access| match *access {
            Access::Read(key) => state.get(&key).copied().unwrap_or(self.init.of(key)),
            Access::Write(key, value) => {
                state.insert(key, value);
                ValueId::NULL
            }
        };
        op.iter().map(&mut answer).collect()
    }

    fn wrong_result(&self, random: &mut Random, mix: &Mix, op: &Box<[Access]>) -> Box<[ValueId]> {
        let mut answer = |access: &Access| match access {
            Access::Read(_) => ValueId(mix.stale(random)),
            Access::Write(..) => ValueId::NULL,
        };
        op.iter().map(&mut answer).collect()
    }
}
