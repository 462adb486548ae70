//! Forged histories of counters, banks, locks, and a custom model.

use std::collections::BTreeMap;

use quorate_checker::generate::Random;
use quorate_checker::model::Model;
use quorate_checker::models::{Bank, BankOp, BankRet, Counter, CounterOp, Lock, LockOp};
use quorate_checker::value::ValueId;
use rand::RngExt;

use super::stage::{ForgedOp, Forgery, Stage};

#[test]
fn only_forged_counter_histories_are_rejected() {
    let draw_op = |_: &Counter, random: &mut Random| match random.random_bool(0.5) {
        true => CounterOp::Add(1),
        false => CounterOp::Read,
    };
    let apply = |_: &Counter, state: &mut i64, op: &CounterOp| match op {
        CounterOp::Add(more) => {
            *state += more;
            None
        }
        CounterOp::Read => Some(*state),
    };
    let forge = |_: &Counter, state: &i64, forgery| {
        let read = |more| ForgedOp::Call(CounterOp::Read, Some(state + more));
        let add = || ForgedOp::Call(CounterOp::Add(1), None);
        match forgery {
            Forgery::StaleRead => vec![add(), read(0)],
            Forgery::LostWrite => vec![add(), add(), read(1)],
            Forgery::Duplicate => vec![add(), read(2)],
            Forgery::Inversion => vec![ForgedOp::Slow(CounterOp::Add(1), None), read(1), read(0)],
        }
    };
    Stage { model: Counter::default(), draw_op, apply, forge }.play();
}

#[test]
fn only_forged_bank_histories_are_rejected() {
    let accounts = (1..4).map(|account| (ValueId(account), 100)).collect();
    let model = Bank { init: accounts, overdraft: true, ..Bank::default() };
    let draw_op = |_: &Bank, random: &mut Random| match random.random_bool(0.5) {
        true => BankOp::Read,
        false => {
            let from = random.random_range(0..3);
            let to = (from + random.random_range(1..3)) % 3;
            let amount = random.random_range(1..20);
            BankOp::Transfer { from: ValueId(1 + from), to: ValueId(1 + to), amount }
        }
    };
    fn balances(state: &BTreeMap<ValueId, i64>) -> BankRet {
        BankRet::Balances(state.iter().map(|(account, has)| (*account, *has)).collect())
    }
    let apply = |_: &Bank, state: &mut BTreeMap<ValueId, i64>, op: &BankOp| match *op {
        BankOp::Read => balances(state),
        BankOp::Transfer { from, to, amount } => {
            *state.entry(from).or_default() -= amount;
            *state.entry(to).or_default() += amount;
            BankRet::Moved(true)
        }
    };
    let forge = |_: &Bank, state: &BTreeMap<ValueId, i64>, forgery| {
        let (from, to) = (ValueId(1), ValueId(2));
        let transfer = |amount| BankOp::Transfer { from, to, amount };
        let moves = |amount| ForgedOp::Call(transfer(amount), BankRet::Moved(true));
        let read = |moved: i64| {
            let mut state = state.clone();
            *state.entry(from).or_default() -= moved;
            *state.entry(to).or_default() += moved;
            ForgedOp::Call(BankOp::Read, balances(&state))
        };
        match forgery {
            Forgery::StaleRead => vec![moves(7), read(0)],
            Forgery::LostWrite => vec![moves(7), moves(11), read(11)],
            Forgery::Duplicate => vec![moves(7), read(14)],
            Forgery::Inversion => {
                vec![ForgedOp::Slow(transfer(7), BankRet::Moved(true)), read(7), read(0)]
            }
        }
    };
    Stage { model, draw_op, apply, forge }.play();
}

/// The state of a lock shows only in which operations succeed, so its history contains operations
/// that would have had to wait.
#[test]
fn only_forged_lock_histories_are_rejected() {
    let model = Lock::default();
    let forge = |_: &Lock, held: &bool, forgery| {
        assert!(!held);
        let call = |op| ForgedOp::Call(op, ());
        match forgery {
            Forgery::StaleRead | Forgery::LostWrite => {
                vec![call(LockOp::Acquire), call(LockOp::Acquire)]
            }
            Forgery::Duplicate => {
                vec![call(LockOp::Acquire), call(LockOp::Release), call(LockOp::Release)]
            }
            Forgery::Inversion => vec![ForgedOp::Slow(LockOp::Acquire, ()), call(LockOp::Acquire)],
        }
    };
    for forgery in super::stage::FORGERIES {
        let history = super::stage::forged_history::<Lock>(&forge(&model, &false, forgery));
        assert!(!super::stage::holds(&model, &history), "{forgery:?}");
    }
    let fine = [LockOp::Acquire, LockOp::Release, LockOp::Acquire].map(|op| ForgedOp::Call(op, ()));
    assert!(super::stage::holds(&model, &super::stage::forged_history::<Lock>(&fine)));
}

/// A custom model: `init` and `step`, without hints.
struct Maximum;

impl Model for Maximum {
    type State = u64;
    type Op = Option<u64>;
    type Ret = u64;

    fn init(&self) -> u64 {
        0
    }

    fn step(&self, state: &u64, op: &Option<u64>, ret: Option<&u64>) -> Option<u64> {
        let after = op.map_or(*state, |offered| offered.max(*state));
        ret.is_none_or(|ret| *ret == after).then_some(after)
    }
}

#[test]
fn only_forged_histories_of_a_custom_model_are_rejected() {
    let draw_op = |_: &Maximum, random: &mut Random| {
        random.random_bool(0.5).then(|| random.random_range(0..500))
    };
    let apply = |_: &Maximum, state: &mut u64, op: &Option<u64>| {
        *state = op.map_or(*state, |offered| offered.max(*state));
        *state
    };
    let forge = |_: &Maximum, state: &u64, forgery| {
        let read = |value| ForgedOp::Call(None, value);
        let offer = |value| ForgedOp::Call(Some(value), value);
        match forgery {
            Forgery::StaleRead => vec![offer(1_000), read(*state)],
            Forgery::LostWrite => vec![offer(1_000), ForgedOp::Call(Some(999), 999)],
            // A duplicate offer has no effect, so a read observes a greater number instead.
            Forgery::Duplicate => vec![offer(1_000), read(2_000)],
            Forgery::Inversion => {
                vec![ForgedOp::Slow(Some(1_000), 1_000), read(1_000), read(*state)]
            }
        }
    };
    Stage { model: Maximum, draw_op, apply, forge }.play();
}
