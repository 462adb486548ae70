//! Tests the checks against the definitions, on every order of small histories.

use rand::RngExt;

use crate::budget::Budget;
use crate::check;
use crate::generate::{Random, Shape, history, random};
use crate::history::{Client, EventIndex, History, OpId, Operation, Outcome, Recorder};
use crate::model::{Effect, Model};
use crate::models::{Kv, KvCall, KvOp, KvRet, Register, RegisterOp, RegisterRet};
use crate::relaxed::guarantee::{Freshness, ReadGuarantee, SessionOrder};
use crate::relaxed::{sequential, staleness};
use crate::value::ValueId;
use crate::verdict::{Counterexample, Verdict};

type Op = Operation<RegisterOp, RegisterRet>;
type Before<'a> = &'a dyn Fn(&Op, &Op) -> bool;

const SMALL: Shape = Shape { operations: 8, clients: 3, unknown: 0.1, failed: 0.05, eager: 0.4 };

/// Returns a history of a register whose reads return one of the last three values.
fn old_reads(seed: u64) -> History<RegisterOp, RegisterRet> {
    let mut written = 0;
    let next_op = |random: &mut Random| match random.random_bool(0.6) {
        true => RegisterOp::Read,
        false => {
            written += 1;
            RegisterOp::Write(ValueId(written))
        }
    };
    let mut errors = random(seed);
    let apply = |values: &mut Vec<ValueId>, op: &RegisterOp| match *op {
        RegisterOp::Write(value) => {
            values.push(value);
            RegisterRet::Written
        }
        _ => {
            let old = errors.random_range(0..3_usize).min(values.len() - 1);
            RegisterRet::Value(values[values.len() - 1 - old])
        }
    };
    history(&mut random(seed), &SMALL, vec![ValueId::NULL], next_op, apply)
}

/// Returns true if some order of the operations in `left` explains their results and keeps
/// `before`. Operations of unknown outcome may be left out.
fn explains(state: ValueId, left: &[&Op], before: Before<'_>) -> bool {
    let returned = |one: &Op| matches!(one.outcome, Outcome::Returned { .. });
    let may_be_next = |one: &&&Op| !left.iter().any(|other| returned(other) && before(other, one));
    !left.iter().any(|one| returned(one))
        || left.iter().filter(may_be_next).any(|next| {
            let after = Register::default().step(&state, &next.op, next.ret());
            let stays = |one: &&Op| *one != *next && !before(one, next);
            let rest: Vec<&Op> = left.iter().copied().filter(stays).collect();
            after.is_some_and(|after| explains(after, &rest, before))
        })
}

fn by_definition(history: &History<RegisterOp, RegisterRet>, before: Before<'_>) -> bool {
    let not_failed = |one: &&Op| !matches!(one.outcome, Outcome::Failed);
    let left: Vec<&Op> = history.operations().iter().filter(not_failed).collect();
    explains(ValueId::NULL, &left, before)
}

/// Compares `checked` with `before`, and checks its counterexample.
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
        Verdict::NotLinearizable(counterexample) => {
            assert!(!right, "seed {seed}: {made:?}");
            assert!(counterexample.minimal && !counterexample.reason.is_empty());
            assert_minimal(&made, &counterexample, before);
        }
    }
    right
}

/// Checks that the counterexample violates the model by itself, and not without any one of its
/// operations. A left-out read is dropped; another operation stays in its place with any result.
fn assert_minimal(
    made: &History<RegisterOp, RegisterRet>,
    counterexample: &Counterexample,
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
    assert!(!with(&counterexample.operations), "not bad: {counterexample:?} of {made:?}");
    for out in &counterexample.operations {
        let fewer: Vec<OpId> =
            counterexample.operations.iter().copied().filter(|id| id != out).collect();
        assert!(with(&fewer), "not minimal: {counterexample:?} of {made:?}");
    }
}

/// Returns how many of a thousand histories are correct.
fn count(
    before: Before<'_>,
    checked: &dyn Fn(&History<RegisterOp, RegisterRet>) -> Verdict,
) -> usize {
    (0..1000).filter(|seed| agrees(*seed, before, checked)).count()
}

fn clock(event_index: EventIndex) -> u64 {
    u64::from(event_index.0 / 3 * 10)
}

/// The definition of staleness: whether `one` returned so long before `other` that `other` must
/// observe it.
fn precedes(one: &Op, other: &Op, freshness: Freshness) -> bool {
    match (&other.op, freshness) {
        (RegisterOp::Read, Freshness::Local) => false,
        (RegisterOp::Read, Freshness::Bounded(bound)) => {
            let returned = one.returned() != EventIndex::NEVER;
            returned && clock(one.returned()) + bound < clock(other.invoked)
        }
        _ => one.returned() < other.invoked,
    }
}

/// Makes every third read current.
fn freshness_of(read: &Op, freshness: Freshness) -> Freshness {
    if read.invoked.0.is_multiple_of(3) { Freshness::Current } else { freshness }
}

fn stale(freshness: Freshness, session: SessionOrder) -> usize {
    let before = |one: &Op, other: &Op| {
        let kept = match session {
            SessionOrder::None => false,
            SessionOrder::MonotonicReads => {
                one.op == RegisterOp::Read && other.op == RegisterOp::Read
            }
            SessionOrder::ProgramOrder => true,
        };
        let known = one.ret().is_some() && other.ret().is_some();
        kept && known && one.client == other.client && one.invoked < other.invoked
            || precedes(one, other, freshness_of(other, freshness))
    };
    let of = |_: OpId, operation: &Op| freshness_of(operation, freshness);
    count(&before, &|made| {
        let guarantee = ReadGuarantee { freshness: &of, clock: &clock, session };
        staleness::check(&Register::default(), made, &guarantee, &Budget::default())
    })
}

#[test]
fn staleness_matches_its_definition() {
    let current = stale(Freshness::Current, SessionOrder::None);
    let bounded = stale(Freshness::Bounded(20), SessionOrder::None);
    let local = stale(Freshness::Local, SessionOrder::None);
    assert!(100 < current && current < bounded && bounded < local && local < 1000);
}

#[test]
fn observed_values_were_written_before() {
    let recorder = Recorder::new();
    let model = Kv::default();
    let [key, a, b, ab] = ["k", "a", "b", "ab"].map(|text| model.values.intern(text));
    let invoke = |call| recorder.invoke(Client(0), KvOp { key, call });
    invoke(KvCall::Get).returned(KvRet::Value(ValueId::NULL));
    invoke(KvCall::Put(a)).returned(KvRet::Written);
    invoke(KvCall::Append(b)).returned(KvRet::Written);
    for shown in [ab, a, ValueId::NULL] {
        invoke(KvCall::Get).returned(KvRet::Value(shown));
    }
    let history = recorder.history();
    let freshness = &|_, _: &Operation<KvOp, KvRet>| Freshness::Local;
    let clock = &|event_index: EventIndex| u64::from(event_index.0);
    let guarantee = ReadGuarantee { freshness, clock, session: SessionOrder::None };
    let found = super::guarantee::earliest(&model, &history, &guarantee);
    let put = history.operation(OpId(1)).invoked;
    let appended = history.operation(OpId(2)).invoked;
    let expected = [EventIndex(0), appended, put, EventIndex(0)].map(Some);
    assert_eq!([found[0], found[3], found[4], found[5]], expected);
    assert_eq!(found[1..3], [None, None]);
    let verdict = staleness::check(&model, &history, &guarantee, &Budget::default());
    assert_eq!(verdict, Verdict::Linearizable);
}

#[test]
fn sessions_match_their_definition() {
    for freshness in [Freshness::Bounded(20), Freshness::Local] {
        let free = stale(freshness, SessionOrder::None);
        let reads = stale(freshness, SessionOrder::MonotonicReads);
        let whole = stale(freshness, SessionOrder::ProgramOrder);
        assert!(100 < whole && whole < reads && reads < free, "{whole} {reads} {free}");
    }
}

#[test]
fn sequential_consistency_matches_its_definition() {
    let before = |one: &Op, other: &Op| one.client == other.client && one.invoked < other.invoked;
    let right =
        count(&before, &|made| sequential::check(&Register::default(), made, &Budget::default()));
    assert!(100 < right && right < 950, "{right}");
}

#[test]
fn sequential_consistency_is_not_local() {
    let recorder = Recorder::new();
    let run = |client: u32, key: u32, call: KvCall, ret: KvRet| {
        recorder.invoke(Client(client), KvOp { key: ValueId(key), call }).returned(ret);
    };
    for (client, mine, other) in [(0, 1, 2), (1, 2, 1)] {
        run(client, mine, KvCall::Put(ValueId(7)), KvRet::Written);
        run(client, other, KvCall::Get, KvRet::Value(ValueId::NULL));
    }
    let (model, history, budget) = (Kv::default(), recorder.history(), Budget::default());
    let Verdict::NotLinearizable(counterexample) = sequential::check(&model, &history, &budget)
    else {
        panic!("both reads came before both writes");
    };
    assert_eq!(counterexample.operations, [0, 1, 2, 3].map(OpId));
    for key in [1, 2] {
        let other = |_, operation: &Operation<KvOp, KvRet>| match operation.op.key == ValueId(key) {
            true => operation.outcome,
            false => Outcome::Failed,
        };
        let one = history.with_outcomes(other);
        assert_eq!(sequential::check(&model, &one, &budget), Verdict::Linearizable);
        let is_linearizable = check::check(&model, &one, &budget) == Verdict::Linearizable;
        assert_eq!(is_linearizable, key == 2);
    }
}

#[test]
fn a_search_stops_when_its_budget_is_exhausted() {
    let made = (0..).map(old_reads);
    let before = |one: &Op, other: &Op| one.client == other.client && one.invoked < other.invoked;
    let bad = made.into_iter().find(|made| !by_definition(made, &before)).expect("some is bad");
    let none = Budget { configurations_max: 1, ..Budget::default() };
    let verdict = sequential::check(&Register::default(), &bad, &none);
    assert!(matches!(verdict, Verdict::Unknown(_)), "{verdict:?}");
    let effect = Register::default().effect(&RegisterOp::Read, None);
    assert_eq!(effect, Effect::ReadOnly, "or the search would have had more to do");
}
