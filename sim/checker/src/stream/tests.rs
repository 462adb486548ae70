//! The stream, held against the definition tried out after every event.

use std::collections::BTreeMap;

use rand::RngExt;

use super::*;
use crate::brute;
use crate::budget::Budget;
use crate::check::check;
use crate::generate::{Random, Shape, history, random};
use crate::history::{History, Moment, Operation, Outcome, Part};
use crate::model::{Effect, Model};
use crate::models::{Kv, KvCall, KvOp, KvRet, Register, RegisterOp, RegisterRet};

type Made = History<RegisterOp, RegisterRet>;

/// How a random register is used: the share of compare-and-sets, and how many values there
/// are; any number if there is none.
#[derive(Clone, Copy)]
struct Use {
    swaps: f64,
    values: Option<u32>,
    operations: u32,
}

/// A history of a register, with some results changed.
fn register(random: &mut Random, with: Use) -> Made {
    let shape = Shape {
        operations: random.random_range(2..with.operations),
        clients: random.random_range(1..6),
        unknown: [0.0, 0.1, 0.4][random.random_range(0..3)],
        failed: [0.0, 0.1][random.random_range(0..2)],
        eager: [0.9, 0.5, 0.2][random.random_range(0..3)],
    };
    let mut last = 0;
    let ask = |random: &mut Random| {
        let fresh = with.values.map_or(last + 1, |values| random.random_range(0..values));
        let from = if random.random_bool(0.1) { random.random_range(0..=last) } else { last };
        if random.random_bool(with.swaps) {
            last = fresh;
            return RegisterOp::Cas { from: Value(from), to: Value(fresh) };
        }
        if random.random_bool(0.5) {
            return RegisterOp::Read;
        }
        last = fresh;
        RegisterOp::Write(Value(fresh))
    };
    let model = Register::default();
    let made = history(random, &shape, Value::NULL, ask, |state, op| {
        let swapped = matches!(op, RegisterOp::Cas { from, .. } if from == state);
        let ret = match op {
            RegisterOp::Read => RegisterRet::Value(*state),
            RegisterOp::Write(_) => RegisterRet::Written,
            RegisterOp::Cas { .. } => RegisterRet::Swapped(swapped),
        };
        *state = model.step(state, op, Some(&ret)).expect("it returns what it has");
        ret
    });
    let changed = [0.0, 0.2][random.random_range(0..2)];
    made.with_outcomes(|id, operation| match operation.outcome {
        Outcome::Returned { at, ret } if random.random_bool(changed) => {
            let ret = match ret {
                RegisterRet::Written => ret,
                RegisterRet::Value(Value(value)) => {
                    let near = value.saturating_sub(2)..=value + u32::from(id.0 > 3);
                    RegisterRet::Value(Value(random.random_range(near)))
                }
                RegisterRet::Swapped(swapped) => RegisterRet::Swapped(!swapped),
            };
            Outcome::Returned { at, ret }
        }
        other => other,
    })
}

/// What happens, in order: an invocation, or an outcome.
fn events<O, R>(random: &mut Random, made: &History<O, R>) -> Vec<(OpId, bool)> {
    let mut events: Vec<(Moment, bool, OpId)> = Vec::new();
    for (id, operation) in (0..).map(OpId).zip(made.operations()) {
        events.push((operation.invoked, false, id));
        let end = match &operation.outcome {
            Outcome::Returned { at, .. } => *at,
            Outcome::Failed | Outcome::Unknown => {
                Moment(operation.invoked.0 + random.random_range(0..20))
            }
        };
        events.push((end, true, id));
    }
    events.sort();
    events.into_iter().map(|(_, ends, id)| (id, ends)).collect()
}

fn holds<M: Model>(model: &M, made: &History<M::Op, M::Ret>) -> bool {
    let tells = |(id, operation): (u32, &Operation<M::Op, M::Ret>)| {
        let tells = match operation.outcome {
            Outcome::Returned { .. } => true,
            Outcome::Failed => false,
            Outcome::Unknown => model.effect(&operation.op, None) != Effect::Observe,
        };
        tells.then_some(OpId(id))
    };
    let ids: Vec<OpId> = (0..).zip(made.operations()).filter_map(tells).collect();
    brute::linearizable(model, Part::new(made, &ids))
}

/// `made` after some of its events.
fn prefix<O: Clone, R: Clone>(made: &History<O, R>, events: &[(OpId, bool)]) -> History<O, R> {
    let begun = events.iter().filter(|(_, ends)| !ends).count();
    let cut = made.operations()[..begun].to_vec();
    let cut = History::new(cut).expect("a prefix is a history");
    cut.with_outcomes(|id, operation| match events.contains(&(id, true)) {
        true => operation.outcome.clone(),
        false => Outcome::Unknown,
    })
}

#[derive(Debug, Default)]
struct Tally {
    silent: u32,
    /// Of the silent ones.
    decided: u32,
    alarms: u32,
    proofs: u32,
    undecided: u32,
}

/// Shows a stream everything that happens in `made`, and tries out after each return whether it
/// should have said something. If values are written once, what proves it must prove it.
fn run<M: Model>(
    tally: &mut Tally,
    random: &mut Random,
    model: &Arc<M>,
    made: &History<M::Op, M::Ret>,
    is_unique: bool,
) {
    let events = events(random, made);
    let mut stream = Arc::clone(model).stream().expect("there is one");
    stream.is_eager = random.random_bool(0.7);
    for (count, (id, ends)) in (1..).zip(&events) {
        let operation = made.operation(*id);
        let alarm = match (&operation.outcome, ends) {
            (_, false) => {
                assert_eq!(stream.invoke(operation.op.clone()), *id);
                None
            }
            (Outcome::Returned { ret, .. }, true) => stream.returned(*id, ret),
            (Outcome::Failed, true) => stream.failed(*id),
            (Outcome::Unknown, true) => {
                stream.unknown(*id);
                None
            }
        };
        let so_far = prefix(made, &events[..count]);
        let holds_now = !ends || holds(&**model, &so_far);
        if let Some(alarm) = alarm {
            assert!(!holds_now, "{alarm:?}, but {so_far:?}");
            assert_eq!(alarm.operation, *id);
            tally.alarms += 1;
            if let Some(evidence) = alarm.evidence.filter(|_| is_unique) {
                let known = &evidence.operations;
                let only = so_far.with_outcomes(|id, operation| match &operation.outcome {
                    Outcome::Returned { .. } if !known.contains(&id) => Outcome::Unknown,
                    other => other.clone(),
                });
                assert!(!holds(&**model, &only), "{evidence:?} proves nothing of {so_far:?}");
                tally.proofs += 1;
            }
            return;
        }
        if !holds_now {
            assert!(!stream.decides(&operation.op), "{id:?} is wrong in {so_far:?}");
            assert!(!stream.is_decided());
            tally.undecided += 1;
            return;
        }
    }
    tally.silent += 1;
    tally.decided += u32::from(stream.is_decided());
}

fn cases() -> u32 {
    let cases = std::env::var("QUORATE_CASES").ok().and_then(|text| text.parse().ok());
    cases.unwrap_or(3_000)
}

fn tally(seed: u64, with: Use) -> Tally {
    let mut tally = Tally::default();
    let (mut random, model) = (random(seed), Arc::new(Register::default()));
    for _ in 0..cases() {
        let made = register(&mut random, with);
        run(&mut tally, &mut random, &model, &made, with.values.is_none());
    }
    println!("{tally:?}");
    tally
}

/// What clients of the keys of a map do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// They get, put, and compare and set; one that fails tells what it found.
    Plain,
    /// Of every other key they also append to the value and take it away, and are told what it was.
    Mixed,
}

/// A history of two keys of a map, with some results changed. Every value is written once, save by
/// those who take it away.
fn map(random: &mut Random, model: &Kv, habit: Habit) -> History<KvOp, KvRet> {
    let shape = Shape {
        operations: random.random_range(2..12),
        clients: random.random_range(1..6),
        unknown: [0.0, 0.1, 0.4][random.random_range(0..3)],
        failed: [0.0, 0.1][random.random_range(0..2)],
        eager: [0.9, 0.5, 0.2][random.random_range(0..3)],
    };
    let mut last = 0;
    let text = |number: u32| model.values.of(&*format!("{number};"));
    let ask = |random: &mut Random| {
        let key = random.random_range(1..3);
        let old = if last == 0 { Value::NULL } else { text(last) };
        let new = text(last + 1);
        last += 1;
        let call = match random.random_range(0..10) {
            0..3 => KvCall::Get,
            3..5 => KvCall::Put(new),
            _ if habit == Habit::Mixed && key == 1 => match random.random_bool(0.5) {
                true => KvCall::Append(new),
                false => KvCall::Put(Value::NULL),
            },
            _ => KvCall::Cas { from: old, to: new },
        };
        KvOp { key: Value(key), call }
    };
    let made = history(random, &shape, BTreeMap::new(), ask, |state, op| {
        let now = state.get(&op.key).copied().unwrap_or(Value::NULL);
        let ret = match op.call {
            KvCall::Get | KvCall::Put(Value::NULL) => KvRet::Value(now),
            KvCall::Put(_) | KvCall::Append(_) => KvRet::Written,
            KvCall::Cas { from, .. } if from == now => KvRet::Swapped(true),
            KvCall::Cas { .. } => KvRet::Value(now),
        };
        *state = model.step(state, op, Some(&ret)).expect("it returns what it has");
        ret
    });
    let changed = [0.0, 0.2][random.random_range(0..2)];
    made.with_outcomes(|_, operation| match (&operation.outcome, operation.op.call) {
        (Outcome::Returned { at, ret }, call) if random.random_bool(changed) => {
            let ret = match (ret, call) {
                (KvRet::Swapped(_), _) => KvRet::Value(text(random.random_range(1..=last))),
                (KvRet::Value(_), KvCall::Cas { .. }) if random.random_bool(0.5) => {
                    KvRet::Swapped(true)
                }
                (KvRet::Value(_), _) => KvRet::Value(text(random.random_range(1..=last))),
                (KvRet::Written, _) => KvRet::Written,
            };
            Outcome::Returned { at: *at, ret }
        }
        (other, _) => *other,
    })
}

fn tally_of_maps(seed: u64, habit: Habit) -> Tally {
    let mut tally = Tally::default();
    let mut random = random(seed);
    for _ in 0..cases() {
        let model = Arc::new(Kv::default());
        let made = map(&mut random, &model, habit);
        // Taking a value away writes the first one again: what proves something may then be less.
        run(&mut tally, &mut random, &model, &made, habit == Habit::Plain);
        let checked = check(&*model, &made, &Budget::default()) == Verdict::Linearizable;
        assert_eq!(checked, holds(&*model, &made), "{made:?}");
    }
    println!("{tally:?}");
    tally
}

#[test]
fn it_speaks_at_the_first_event_that_makes_a_history_wrong() {
    let tally = tally(1, Use { swaps: 0.0, values: None, operations: 11 });
    assert_eq!(tally.undecided, 0);
    assert!(tally.silent > 100 && tally.alarms > 100, "{tally:?}");
    assert!(tally.proofs > tally.alarms * 9 / 10, "{tally:?}");
}

#[test]
fn it_follows_compare_and_sets() {
    let tally = tally(2, Use { swaps: 0.5, values: None, operations: 10 });
    assert!(tally.silent > 100 && tally.alarms > 100, "{tally:?}");
    assert!(tally.undecided < tally.alarms, "{tally:?}");
}

#[test]
fn it_is_never_wrong_where_values_repeat() {
    let tally = tally(3, Use { swaps: 0.2, values: Some(4), operations: 10 });
    assert!(tally.silent > 100 && tally.alarms > 10, "{tally:?}");
}

#[test]
fn it_follows_compare_and_sets_that_tell_what_they_found() {
    let tally = tally_of_maps(5, Habit::Plain);
    assert_eq!(tally.undecided, 0);
    assert_eq!(tally.decided, tally.silent);
    assert!(tally.silent > 100 && tally.alarms > 100 && tally.proofs > 10, "{tally:?}");
}

#[test]
fn keys_that_it_cannot_decide_on_do_not_hide_the_others() {
    let tally = tally_of_maps(6, Habit::Mixed);
    assert!(tally.decided < tally.silent, "{tally:?}");
    assert!(tally.silent > 100 && tally.alarms > 100, "{tally:?}");
}

#[test]
fn it_says_of_long_histories_what_a_check_of_the_whole_says() {
    let (mut random, model) = (random(4), Arc::new(Register::default()));
    let (mut alarms, mut remembered_max) = (0, 0);
    for _ in 0..100 {
        let made = register(&mut random, Use { swaps: 0.0, values: None, operations: 500 });
        let lie = random.random_range(0..1_000);
        let made = made.with_outcomes(|id, operation| match operation.outcome {
            Outcome::Returned { at, ret: RegisterRet::Value(Value(value)) } if id.0 == lie => {
                let ret = RegisterRet::Value(Value(value.saturating_sub(1)));
                Outcome::Returned { at, ret }
            }
            other => other,
        });
        let mut stream = Arc::clone(&model).stream().expect("registers have one");
        let mut alarm = None;
        for (id, ends) in events(&mut random, &made) {
            alarm = alarm.or(match (&made.operation(id).outcome, ends) {
                (_, false) => {
                    stream.invoke(made.operation(id).op);
                    None
                }
                (Outcome::Returned { ret, .. }, true) => stream.returned(id, ret),
                (Outcome::Failed, true) => stream.failed(id),
                (Outcome::Unknown, true) => {
                    stream.unknown(id);
                    None
                }
            });
        }
        let is_wrong = check(&*model, &made, &Budget::default()) != Verdict::Linearizable;
        assert_eq!(alarm.is_some(), is_wrong, "{alarm:?}");
        alarms += u32::from(is_wrong);
        let unknown = made.operations().iter().filter(|of| of.outcome == Outcome::Unknown);
        remembered_max =
            remembered_max.max(stream.remembered() - unknown.count().min(stream.remembered()));
    }
    assert!(alarms > 10 && alarms < 90, "{alarms}");
    assert!(remembered_max < 60, "{remembered_max}");
}
