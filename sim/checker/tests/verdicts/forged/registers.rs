//! Forged histories of registers, key-value maps, and transactions over several registers.

use quorate_checker::generate::Random;
use quorate_checker::model::Model;
use quorate_checker::models::{
    Access, Kv, KvCall, KvOp, KvRet, KvValue, Register, RegisterOp, RegisterRet, Transactions,
};
use quorate_checker::value::ValueId;
use rand::RngExt;

use super::stage::{ForgedOp, Forgery, Stage};

/// Two values that do not occur in the correct history.
const NEW: ValueId = ValueId(1_000);
const NEWER: ValueId = ValueId(1_001);

fn register_apply(_: &Register, state: &mut ValueId, op: &RegisterOp) -> RegisterRet {
    match *op {
        RegisterOp::Read => RegisterRet::Value(*state),
        RegisterOp::Write(value) => {
            *state = value;
            RegisterRet::Written
        }
        RegisterOp::Cas { from, to } => {
            let swaps = *state == from;
            if swaps {
                *state = to;
            }
            RegisterRet::Swapped(swaps)
        }
    }
}

fn few(random: &mut Random) -> ValueId {
    ValueId(random.random_range(0..4))
}

/// Draws a value that almost certainly was not drawn before.
fn unique(random: &mut Random) -> ValueId {
    ValueId(random.random_range(10_000..u32::MAX))
}

#[test]
fn only_forged_register_histories_are_rejected() {
    let forge = |_: &Register, state: &ValueId, forgery| {
        let read = |value| ForgedOp::Call(RegisterOp::Read, RegisterRet::Value(value));
        let write = |value| ForgedOp::Call(RegisterOp::Write(value), RegisterRet::Written);
        let slow = |value| ForgedOp::Slow(RegisterOp::Write(value), RegisterRet::Written);
        match forgery {
            Forgery::StaleRead => vec![write(NEW), write(NEWER), read(NEW)],
            Forgery::LostWrite => vec![write(NEW), read(*state)],
            Forgery::Duplicate => vec![write(NEW), write(NEWER), read(NEWER), read(NEW)],
            Forgery::Inversion => vec![slow(NEW), read(NEW), read(*state)],
        }
    };
    let draw_op = |_: &Register, random: &mut Random| match random.random_range(0..2) {
        0 => RegisterOp::Read,
        _ => RegisterOp::Write(unique(random)),
    };
    Stage { model: Register::default(), draw_op, apply: register_apply, forge }.play();
    let draw_op = |_: &Register, random: &mut Random| match random.random_range(0..2) {
        0 => RegisterOp::Read,
        _ => RegisterOp::Write(few(random)),
    };
    Stage { model: Register::default(), draw_op, apply: register_apply, forge }.play();
}

#[test]
fn only_forged_compare_and_set_histories_are_rejected() {
    let draw_op = |_: &Register, random: &mut Random| match random.random_range(0..3) {
        0 => RegisterOp::Read,
        1 => RegisterOp::Write(few(random)),
        _ => RegisterOp::Cas { from: few(random), to: few(random) },
    };
    let forge = |_: &Register, state: &ValueId, forgery| {
        let read = |value| ForgedOp::Call(RegisterOp::Read, RegisterRet::Value(value));
        let write = |value| ForgedOp::Call(RegisterOp::Write(value), RegisterRet::Written);
        let cas = RegisterOp::Cas { from: *state, to: NEW };
        let swaps = || ForgedOp::Call(cas, RegisterRet::Swapped(true));
        match forgery {
            Forgery::StaleRead => vec![write(NEWER), swaps()],
            Forgery::LostWrite => vec![swaps(), read(*state)],
            Forgery::Duplicate => vec![swaps(), write(*state), read(NEW)],
            Forgery::Inversion => {
                vec![ForgedOp::Slow(cas, RegisterRet::Swapped(true)), read(NEW), read(*state)]
            }
        }
    };
    Stage { model: Register::default(), draw_op, apply: register_apply, forge }.play();
}

#[test]
fn only_forged_map_histories_are_rejected() {
    let draw_op = |_: &Kv, random: &mut Random| {
        let key = ValueId(random.random_range(0..3));
        let call = match random.random_range(0..3) {
            0 => KvCall::Get,
            1 => KvCall::Put(unique(random)),
            _ => KvCall::Cas { from: unique(random), to: unique(random) },
        };
        KvOp { key, call }
    };
    let apply = |kv: &Kv, state: &mut <Kv as Model>::State, op: &KvOp| {
        let now = kv.value_in(state, op.key);
        match op.call {
            KvCall::Get => KvRet::Value(now),
            KvCall::Put(value) => {
                state.insert(op.key, KvValue::Known(value));
                KvRet::Written
            }
            KvCall::Cas { .. } => KvRet::Swapped(false),
            KvCall::Append(_) => unreachable!("this history has no appends"),
        }
    };
    let forge = |kv: &Kv, state: &<Kv as Model>::State, forgery| {
        let key = ValueId(1);
        let old = kv.value_in(state, key);
        let get = |value| ForgedOp::Call(KvOp { key, call: KvCall::Get }, KvRet::Value(value));
        let put = |value| ForgedOp::Call(KvOp { key, call: KvCall::Put(value) }, KvRet::Written);
        let slow = |value| ForgedOp::Slow(KvOp { key, call: KvCall::Put(value) }, KvRet::Written);
        match forgery {
            Forgery::StaleRead => vec![put(NEW), put(NEWER), get(NEW)],
            Forgery::LostWrite => vec![put(NEW), get(old)],
            Forgery::Duplicate => vec![put(NEW), put(NEWER), get(NEWER), get(NEW)],
            Forgery::Inversion => vec![slow(NEW), get(NEW), get(old)],
        }
    };
    Stage { model: Kv::default(), draw_op, apply, forge }.play();
}

#[test]
fn only_forged_append_histories_are_rejected() {
    type State = <Kv as Model>::State;
    fn text(kv: &Kv, value: ValueId) -> String {
        match kv.values.resolve(value) {
            quorate_checker::value::Value::Text(text) => text,
            _ => String::new(),
        }
    }
    let draw_op = |kv: &Kv, random: &mut Random| {
        let key = kv.values.intern("key");
        let token = kv.values.intern(&*format!("{};", random.random_range(0..1_000_000)));
        let call = match random.random_range(0..20) {
            0 => KvCall::Put(token),
            1..10 => KvCall::Append(token),
            _ => KvCall::Get,
        };
        KvOp { key, call }
    };
    let apply = |kv: &Kv, state: &mut State, op: &KvOp| {
        let now = kv.value_in(state, op.key);
        let then = match op.call {
            KvCall::Get => return KvRet::Value(now),
            KvCall::Put(value) => value,
            KvCall::Append(more) => kv.values.intern(&*(text(kv, now) + &text(kv, more))),
            KvCall::Cas { .. } => unreachable!("this history has no compare-and-set"),
        };
        state.insert(op.key, KvValue::Known(then));
        KvRet::Written
    };
    let forge = |kv: &Kv, state: &State, forgery| {
        let key = kv.values.intern("key");
        let old = text(kv, kv.value_in(state, key));
        let get = |text: &str| {
            let value = kv.values.intern(text);
            ForgedOp::Call(KvOp { key, call: KvCall::Get }, KvRet::Value(value))
        };
        let op = |text: &str| KvOp { key, call: KvCall::Append(kv.values.intern(text)) };
        let append = |text: &str| ForgedOp::Call(op(text), KvRet::Written);
        let old = old.as_str();
        let with = |tokens: &str| format!("{old}{tokens}");
        match forgery {
            Forgery::StaleRead => vec![append("a;"), append("b;"), get(&with("a;"))],
            Forgery::LostWrite => vec![append("a;"), append("b;"), get(&with("b;"))],
            Forgery::Duplicate => vec![append("a;"), get(&with("a;a;"))],
            Forgery::Inversion => {
                let first = ForgedOp::Call(op("z;"), KvRet::Written);
                let slow = ForgedOp::Slow(op("a;"), KvRet::Written);
                vec![first, slow, get(&with("z;a;")), get(&with("z;"))]
            }
        }
    };
    Stage { model: Kv::default(), draw_op, apply, forge }.play();
}

#[test]
fn only_forged_transaction_histories_are_rejected() {
    type Op = <Transactions as Model>::Op;
    type State = std::collections::BTreeMap<ValueId, ValueId>;
    let draw_op = |_: &Transactions, random: &mut Random| {
        let one = |random: &mut Random| {
            let key = ValueId(random.random_range(0..3));
            match random.random_bool(0.5) {
                true => Access::Read(key),
                false => Access::Write(key, unique(random)),
            }
        };
        Box::from([one(random), one(random)])
    };
    let apply = |_: &Transactions, state: &mut State, op: &Op| {
        let one = |access: &Access| match *access {
            Access::Read(key) => state.get(&key).copied().unwrap_or_default(),
            Access::Write(key, value) => {
                state.insert(key, value);
                ValueId::NULL
            }
        };
        op.iter().map(one).collect()
    };
    let forge = |_: &Transactions, state: &State, forgery| {
        let (x, y) = (ValueId(1_100), ValueId(1_101));
        assert!(!state.contains_key(&x));
        let write = |x_value, y_value| -> Box<[Access]> {
            [Access::Write(x, x_value), Access::Write(y, y_value)].into()
        };
        let done = || -> Box<[ValueId]> { [ValueId::NULL; 2].into() };
        let wrote = |x_value, y_value| ForgedOp::Call(write(x_value, y_value), done());
        let read = |x_value, y_value| {
            ForgedOp::Call([Access::Read(x), Access::Read(y)].into(), [x_value, y_value].into())
        };
        let (a, b, c, d) = (ValueId(1_000), ValueId(1_001), ValueId(1_002), ValueId(1_003));
        match forgery {
            Forgery::StaleRead => vec![wrote(a, b), wrote(c, d), read(a, b)],
            Forgery::LostWrite => vec![wrote(a, b), wrote(c, d), read(c, b)],
            Forgery::Duplicate => vec![wrote(a, b), wrote(c, d), read(c, d), read(a, b)],
            Forgery::Inversion => {
                let slow = ForgedOp::Slow(write(c, d), done());
                vec![wrote(a, b), slow, read(c, d), read(a, b)]
            }
        }
    };
    Stage { model: Transactions::default(), draw_op, apply, forge }.play();
}
