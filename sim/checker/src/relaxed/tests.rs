//! Held against the definitions, tried out on every order of small histories.

use rand::RngExt;

use crate::budget::Budget;
use crate::check;
use crate::generate::{Random, Shape, history, random};
use crate::history::{Client, History, Moment, OpId, Operation, Outcome, Recorder};
use crate::model::{Effect, Model};
use crate::models::{Kv, KvCall, KvOp, KvRet, Register, RegisterOp, RegisterRet};
use crate::relaxed::promise::{Freshness, Promise, Session};
use crate::relaxed::{sequential, staleness};
use crate::value::Value;
use crate::verdict::{Evidence, Verdict};

type Ops = Operation<RegisterOp, RegisterRet>;
type Before<'a> = &'a dyn Fn(&Ops, &Ops) -> bool;

const SMALL: Shape = Shape { operations: 8, clients: 3, unknown: 0.1, failed: 0.05, eager: 0.4 };

/// A register whose reads return one of the last three values.
fn old_reads(seed: u64) -> History<RegisterOp, RegisterRet> {
    let mut written = 0;
    let ask = |random: &mut Random| match random.random_bool(0.6) {
        true => RegisterOp::Read,
        false => {
            written += 1;
            RegisterOp::Write(Value(written))
        }
    };
    let mut errors = random(seed);
    let apply = |values: &mut Vec<Value>, op: &RegisterOp| match *op {
        RegisterOp::Write(value) => {
            values.push(value);
            RegisterRet::Written
        }
        _ => {
            let old = errors.random_range(0..3_usize).min(values.len() - 1);
            RegisterRet::Value(values[values.len() - 1 - old])
        }
    };
    history(&mut random(seed), &SMALL, vec![Value::NULL], ask, apply)
}

/// Whether some order of the operations in `left` explains their results, none of those that
/// returned after one that it must be `before`; the others come before it, or never.
fn explains(state: Value, left: &[&Ops], before: Before<'_>) -> bool {
    let returned = |one: &Ops| matches!(one.outcome, Outcome::Returned { .. });
    let may_be_next = |one: &&&Ops| !left.iter().any(|other| returned(other) && before(other, one));
    !left.iter().any(|one| returned(one))
        || left.iter().filter(may_be_next).any(|next| {
            let after = Register::default().step(&state, &next.op, next.ret());
            let stays = |one: &&Ops| *one != *next && !before(one, next);
            let rest: Vec<&Ops> = left.iter().copied().filter(stays).collect();
            after.is_some_and(|after| explains(after, &rest, before))
        })
}

fn by_definition(history: &History<RegisterOp, RegisterRet>, before: Before<'_>) -> bool {
    let told = |one: &&Ops| !matches!(one.outcome, Outcome::Failed);
    let left: Vec<&Ops> = history.operations().iter().filter(told).collect();
    explains(Value::NULL, &left, before)
}

/// Holds `checked` against `before`, and its evidence too.
fn agrees(
    seed: u64,
    before: Before<'_>,
    checked: &dyn Fn(&History<RegisterOp, RegisterRet>) -> Verdict,
) -> bool {
    let made = old_reads(seed);
    let right = by_definition(&made, before);
    match checked(&made) {
        Verdict::Linearizable => assert!(right, "seed {seed}: {made:?}"),
        Verdict::Unknown(_) => panic!("seed {seed} has eight operations"),
        Verdict::NotLinearizable(evidence) => {
            assert!(!right, "seed {seed}: {made:?}");
            assert!(evidence.minimal && !evidence.because.is_empty());
            assert_minimal(&made, &evidence, before);
        }
    }
    right
}

/// The evidence is bad by itself and not with one operation less. What is forgotten is dropped
/// where it is a read, and has unknown results in its place where not.
fn assert_minimal(
    made: &History<RegisterOp, RegisterRet>,
    evidence: &Evidence,
    before: Before<'_>,
) {
    let with = |known: &[OpId]| {
        let less = made.with_outcomes(|id, operation| match known.contains(&id) {
            true => operation.outcome,
            false if operation.op == RegisterOp::Read => Outcome::Failed,
            false if operation.outcome == Outcome::Failed => Outcome::Failed,
            false => Outcome::Unknown,
        });
        by_definition(&less, before)
    };
    assert!(!with(&evidence.operations), "not bad: {evidence:?} of {made:?}");
    for out in &evidence.operations {
        let fewer: Vec<OpId> = evidence.operations.iter().copied().filter(|id| id != out).collect();
        assert!(with(&fewer), "not minimal: {evidence:?} of {made:?}");
    }
}

/// How many of a thousand histories are right.
fn count(
    before: Before<'_>,
    checked: &dyn Fn(&History<RegisterOp, RegisterRet>) -> Verdict,
) -> usize {
    (0..1000).filter(|seed| agrees(*seed, before, checked)).count()
}

fn clock(moment: Moment) -> u64 {
    u64::from(moment.0 / 3 * 10)
}

/// What is stale by definition: whatever returned so long before has happened.
fn precedes(one: &Ops, other: &Ops, freshness: Freshness) -> bool {
    match (&other.op, freshness) {
        (RegisterOp::Read, Freshness::Local) => false,
        (RegisterOp::Read, Freshness::Bounded(bound)) => {
            let returned = one.returned() != Moment::NEVER;
            returned && clock(one.returned()) + bound < clock(other.invoked)
        }
        _ => one.returned() < other.invoked,
    }
}

/// Every third read is current.
fn freshness_of(read: &Ops, freshness: Freshness) -> Freshness {
    if read.invoked.0.is_multiple_of(3) { Freshness::Current } else { freshness }
}

fn stale(freshness: Freshness, session: Session) -> usize {
    let before = |one: &Ops, other: &Ops| {
        let kept = match session {
            Session::Free => false,
            Session::Reads => one.op == RegisterOp::Read && other.op == RegisterOp::Read,
            Session::Whole => true,
        };
        let known = one.ret().is_some() && other.ret().is_some();
        kept && known && one.client == other.client && one.invoked < other.invoked
            || precedes(one, other, freshness_of(other, freshness))
    };
    let of = |_: OpId, operation: &Ops| freshness_of(operation, freshness);
    count(&before, &|made| {
        let promise = Promise { freshness: &of, clock: &clock, session };
        staleness::check(&Register::default(), made, &promise, &Budget::default())
    })
}

#[test]
fn old_reads_are_what_they_are_by_definition() {
    let current = stale(Freshness::Current, Session::Free);
    let bounded = stale(Freshness::Bounded(20), Session::Free);
    let local = stale(Freshness::Local, Session::Free);
    assert!(100 < current && current < bounded && bounded < local && local < 1000);
}

#[test]
fn what_was_shown_was_asked_for_before() {
    let recorder = Recorder::new();
    let model = Kv::default();
    let [key, a, b, ab] = ["k", "a", "b", "ab"].map(|text| model.values.of(text));
    let asked = |call| recorder.invoke(Client(0), KvOp { key, call });
    asked(KvCall::Get).returned(KvRet::Value(Value::NULL));
    asked(KvCall::Put(a)).returned(KvRet::Written);
    asked(KvCall::Append(b)).returned(KvRet::Written);
    for shown in [ab, a, Value::NULL] {
        asked(KvCall::Get).returned(KvRet::Value(shown));
    }
    let history = recorder.history();
    let freshness = &|_, _: &Operation<KvOp, KvRet>| Freshness::Local;
    let clock = &|moment: Moment| u64::from(moment.0);
    let promise = Promise { freshness, clock, session: Session::Free };
    let found = super::promise::earliest(&model, &history, &promise);
    let put = history.operation(OpId(1)).invoked;
    let appended = history.operation(OpId(2)).invoked;
    let expected = [Moment(0), appended, put, Moment(0)].map(Some);
    assert_eq!([found[0], found[3], found[4], found[5]], expected);
    assert_eq!(found[1..3], [None, None]);
    let verdict = staleness::check(&model, &history, &promise, &Budget::default());
    assert_eq!(verdict, Verdict::Linearizable);
}

#[test]
fn sessions_are_what_they_are_by_definition() {
    for freshness in [Freshness::Bounded(20), Freshness::Local] {
        let free = stale(freshness, Session::Free);
        let reads = stale(freshness, Session::Reads);
        let whole = stale(freshness, Session::Whole);
        assert!(100 < whole && whole < reads && reads < free, "{whole} {reads} {free}");
    }
}

#[test]
fn sequential_consistency_is_what_it_is_by_definition() {
    let before = |one: &Ops, other: &Ops| one.client == other.client && one.invoked < other.invoked;
    let right =
        count(&before, &|made| sequential::check(&Register::default(), made, &Budget::default()));
    assert!(100 < right && right < 950, "{right}");
}

#[test]
fn sequential_consistency_is_no_property_of_single_keys() {
    let recorder = Recorder::new();
    let ask = |client: u32, key: u32, call: KvCall, ret: KvRet| {
        recorder.invoke(Client(client), KvOp { key: Value(key), call }).returned(ret);
    };
    for (client, mine, other) in [(0, 1, 2), (1, 2, 1)] {
        ask(client, mine, KvCall::Put(Value(7)), KvRet::Written);
        ask(client, other, KvCall::Get, KvRet::Value(Value::NULL));
    }
    let (model, history, budget) = (Kv::default(), recorder.history(), Budget::default());
    let Verdict::NotLinearizable(evidence) = sequential::check(&model, &history, &budget) else {
        panic!("both reads came before both writes");
    };
    assert_eq!(evidence.operations, [0, 1, 2, 3].map(OpId));
    for key in [1, 2] {
        let other = |_, operation: &Operation<KvOp, KvRet>| match operation.op.key == Value(key) {
            true => operation.outcome,
            false => Outcome::Failed,
        };
        let one = history.with_outcomes(other);
        assert_eq!(sequential::check(&model, &one, &budget), Verdict::Linearizable);
        assert!(check::check(&model, &one, &budget) != Verdict::Linearizable || key == 2);
    }
}

#[test]
fn a_search_gives_in_where_its_budget_ends() {
    let made = (0..).map(old_reads);
    let before = |one: &Ops, other: &Ops| one.client == other.client && one.invoked < other.invoked;
    let bad = made.into_iter().find(|made| !by_definition(made, &before)).expect("some is bad");
    let none = Budget { configurations_max: 1, ..Budget::default() };
    let verdict = sequential::check(&Register::default(), &bad, &none);
    assert!(matches!(verdict, Verdict::Unknown(_)), "{verdict:?}");
    let effect = Register::default().effect(&RegisterOp::Read, None);
    assert_eq!(effect, Effect::Observe, "or the search would have had more to do");
}
