//! Compares the stream with brute force after every event.

use std::collections::BTreeMap;

use rand::RngExt;

use super::*;
use crate::brute_force;
use crate::budget::Budget;
use crate::check::{check, relevant_operations};
use crate::generate::{Random, Shape, history, random};
use crate::history::{Client, EventIndex, History, Outcome, Subhistory};
use crate::model::Model;
use crate::models::{Kv, KvCall, KvOp, KvRet, Register, RegisterOp, RegisterRet};

type Made = History<RegisterOp, RegisterRet>;

/// The parameters of a random history of a register.
#[derive(Clone, Copy)]
struct Workload {
    /// The share of compare-and-sets, from 0 to 1.
    swaps: f64,
    /// The number of distinct values, or `None` for unique ones.
    values: Option<u32>,
    /// The number of operations is below this.
    operations: u32,
}

/// Generates a history of a register, with some results changed.
fn register(random: &mut Random, with: Workload) -> Made {
    let shape = Shape {
        operations: random.random_range(2..with.operations),
        clients: random.random_range(1..6),
        unknown: [0.0, 0.1, 0.4][random.random_range(0..3)],
        failed: [0.0, 0.1][random.random_range(0..2)],
        eager: [0.9, 0.5, 0.2][random.random_range(0..3)],
    };
    let mut last = 0;
    let next_op = |random: &mut Random| {
        let fresh = with.values.map_or(last + 1, |values| random.random_range(0..values));
        let from = if random.random_bool(0.1) { random.random_range(0..=last) } else { last };
        if random.random_bool(with.swaps) {
            last = fresh;
            return RegisterOp::Cas { from: ValueId(from), to: ValueId(fresh) };
        }
        if random.random_bool(0.5) {
            return RegisterOp::Read;
        }
        last = fresh;
        RegisterOp::Write(ValueId(fresh))
    };
    let model = Register::default();
    let made = history(random, &shape, ValueId::NULL, next_op, |state, op| {
        let swapped = matches!(op, RegisterOp::Cas { from, .. } if from == state);
        let ret = match op {
            RegisterOp::Read => RegisterRet::Value(*state),
            RegisterOp::Write(_) => RegisterRet::Written,
            RegisterOp::Cas { .. } => RegisterRet::Swapped(swapped),
        };
        *state = model.step(state, op, Some(&ret)).expect("the result is the right one");
        ret
    });
    let changed = [0.0, 0.2][random.random_range(0..2)];
    made.with_outcomes(|id, operation| match operation.outcome {
        Outcome::Returned { at, ret } if random.random_bool(changed) => {
            let ret = match ret {
                RegisterRet::Written => ret,
                RegisterRet::Value(ValueId(value)) => {
                    let near = value.saturating_sub(2)..=value + u32::from(id.0 > 3);
                    RegisterRet::Value(ValueId(random.random_range(near)))
                }
                RegisterRet::Swapped(swapped) => RegisterRet::Swapped(!swapped),
            };
            Outcome::Returned { at, ret }
        }
        other => other,
    })
}

/// Returns the history with the responses of some writes later, so that their values are read and
/// overwritten while the writes are pending. Every operation gets a client of its own.
fn with_slow_writes(random: &mut Random, made: &Made) -> Made {
    // The new time of each event. Two slow responses at one time keep the order of invocation.
    let mut times: Vec<(u32, u32, bool)> = Vec::new();
    for (id, operation) in (0..).zip(made.operations()) {
        let is_slow = operation.op != RegisterOp::Read && random.random_bool(0.5);
        let delay = if is_slow { random.random_range(0..20) * 2 + 1 } else { 0 };
        times.push((operation.invoked.0 * 2, id, false));
        if let Outcome::Returned { at, .. } = operation.outcome {
            times.push((at.0 * 2 + delay, id, true));
        }
    }
    times.sort_unstable();
    let mut operations = made.operations().to_vec();
    for (now, (_, id, returns)) in (0..).step_by(2).map(EventIndex).zip(times) {
        let operation = &mut operations[id as usize];
        match &mut operation.outcome {
            Outcome::Returned { at, .. } if returns => *at = now,
            _ => (operation.client, operation.invoked) = (Client(id), now),
        }
    }
    History::new(operations).expect("a later response keeps a history well-formed")
}

/// Returns the events in order, each with a flag: true if it ends its operation, false if it
/// invokes it.
fn events<O, R>(random: &mut Random, made: &History<O, R>) -> Vec<(OpId, bool)> {
    let mut events: Vec<(EventIndex, bool, OpId)> = Vec::new();
    for (id, operation) in (0..).map(OpId).zip(made.operations()) {
        events.push((operation.invoked, false, id));
        let end = match &operation.outcome {
            Outcome::Returned { at, .. } => *at,
            Outcome::Failed | Outcome::Unknown => {
                EventIndex(operation.invoked.0 + random.random_range(0..20))
            }
        };
        events.push((end, true, id));
    }
    events.sort();
    events.into_iter().map(|(_, ends, id)| (id, ends)).collect()
}

fn holds<M: Model>(model: &M, made: &History<M::Op, M::Ret>) -> bool {
    let ids: Vec<OpId> = relevant_operations(model, made).collect();
    brute_force::linearizable(model, Subhistory::new(made, &ids))
}

/// Returns the prefix of `made` that consists of `events`, which are its first ones.
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
    /// The number of streams that correctly raised no alarm.
    silent: u32,
    /// The number of silent streams that decided their history.
    decided: u32,
    alarms: u32,
    /// The number of alarms with a counterexample, which was verified.
    proofs: u32,
    /// The number of streams that missed a violation, because they could not decide.
    undecided: u32,
}

/// Feeds a stream all events of `made`, and checks after each response whether it should have
/// raised an alarm. With unique values, the counterexample of an alarm must prove the violation.
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
            if let Some(counterexample) = alarm.counterexample.filter(|_| is_unique) {
                let known = &counterexample.operations;
                let only = so_far.with_known(|id| known.contains(&id));
                assert!(!holds(&**model, &only), "{counterexample:?} proves nothing of {so_far:?}");
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

fn tally(seed: u64, with: Workload) -> Tally {
    let mut tally = Tally::default();
    let (mut random, model) = (random(seed), Arc::new(Register::default()));
    for _ in 0..cases() {
        let mut made = register(&mut random, with);
        if random.random_bool(0.5) {
            made = with_slow_writes(&mut random, &made);
        }
        run(&mut tally, &mut random, &model, &made, with.values.is_none());
    }
    println!("{tally:?}");
    tally
}

/// The workload of the clients of a map.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MapWorkload {
    /// Get, put, and compare-and-set; a failed one returns the value that it found.
    Plain,
    /// On one of the two keys, clients append or delete instead of compare-and-set. A deletion
    /// returns the old value.
    Mixed,
}

/// Generates a history of two keys of a map, with some results changed. Every value is written
/// once, except by deletions.
fn map(random: &mut Random, model: &Kv, workload: MapWorkload) -> History<KvOp, KvRet> {
    let shape = Shape {
        operations: random.random_range(2..12),
        clients: random.random_range(1..6),
        unknown: [0.0, 0.1, 0.4][random.random_range(0..3)],
        failed: [0.0, 0.1][random.random_range(0..2)],
        eager: [0.9, 0.5, 0.2][random.random_range(0..3)],
    };
    let mut last = 0;
    let text = |number: u32| model.values.intern(&*format!("{number};"));
    let next_op = |random: &mut Random| {
        let key = random.random_range(1..3);
        let old = if last == 0 { ValueId::NULL } else { text(last) };
        let new = text(last + 1);
        last += 1;
        let call = match random.random_range(0..10) {
            0..3 => KvCall::Get,
            3..5 => KvCall::Put(new),
            _ if workload == MapWorkload::Mixed && key == 1 => match random.random_bool(0.5) {
                true => KvCall::Append(new),
                false => KvCall::Put(ValueId::NULL),
            },
            _ => KvCall::Cas { from: old, to: new },
        };
        KvOp { key: ValueId(key), call }
    };
    let made = history(random, &shape, BTreeMap::new(), next_op, |state, op| {
        let now = model.value_in(state, op.key);
        let ret = match op.call {
            KvCall::Get | KvCall::Put(ValueId::NULL) => KvRet::Value(now),
            KvCall::Put(_) | KvCall::Append(_) => KvRet::Written,
            KvCall::Cas { from, .. } if from == now => KvRet::Swapped(true),
            KvCall::Cas { .. } => KvRet::Value(now),
        };
        *state = model.step(state, op, Some(&ret)).expect("the result is the right one");
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

fn tally_of_maps(seed: u64, workload: MapWorkload) -> Tally {
    let mut tally = Tally::default();
    let mut random = random(seed);
    for _ in 0..cases() {
        let model = Arc::new(Kv::default());
        let made = map(&mut random, &model, workload);
        // A deletion writes the initial value again, so a counterexample may be weaker.
        run(&mut tally, &mut random, &model, &made, workload == MapWorkload::Plain);
        let checked = check(&*model, &made, &Budget::default()) == Verdict::Linearizable;
        assert_eq!(checked, holds(&*model, &made), "{made:?}");
    }
    println!("{tally:?}");
    tally
}

#[test]
fn the_alarm_comes_at_the_first_violating_event() {
    let tally = tally(1, Workload { swaps: 0.0, values: None, operations: 11 });
    assert_eq!(tally.undecided, 0);
    assert!(tally.silent > 100 && tally.alarms > 100, "{tally:?}");
    assert!(tally.proofs > tally.alarms * 9 / 10, "{tally:?}");
}

#[test]
fn a_value_overwritten_while_its_writer_is_pending_cannot_be_read_again() {
    let mut stream = Arc::new(Register::default()).stream().expect("registers have one");
    stream.is_eager = true;
    let [k, l, m] = [1, 2, 3].map(ValueId);
    stream.invoke(RegisterOp::Write(k));
    let overwrites = stream.invoke(RegisterOp::Write(l));
    let first = stream.invoke(RegisterOp::Read);
    assert_eq!(stream.returned(overwrites, &RegisterRet::Written), None);
    let last = stream.invoke(RegisterOp::Write(m));
    assert_eq!(stream.returned(first, &RegisterRet::Value(k)), None);
    let second = stream.invoke(RegisterOp::Read);
    assert_eq!(stream.returned(second, &RegisterRet::Value(l)), None);
    assert_eq!(stream.returned(last, &RegisterRet::Written), None);
    let third = stream.invoke(RegisterOp::Read);
    assert!(stream.is_decided());
    let alarm = stream.returned(third, &RegisterRet::Value(k));
    assert_eq!(alarm.map(|alarm| alarm.operation), Some(third));
}

#[test]
fn compare_and_sets_are_checked() {
    let tally = tally(2, Workload { swaps: 0.5, values: None, operations: 10 });
    assert!(tally.silent > 100 && tally.alarms > 100, "{tally:?}");
    assert!(tally.undecided < tally.alarms, "{tally:?}");
}

#[test]
fn repeated_values_cause_no_false_alarm() {
    let tally = tally(3, Workload { swaps: 0.2, values: Some(4), operations: 10 });
    assert!(tally.silent > 100 && tally.alarms > 10, "{tally:?}");
}

#[test]
fn failed_compare_and_sets_with_found_values_are_checked() {
    let tally = tally_of_maps(5, MapWorkload::Plain);
    assert_eq!(tally.undecided, 0);
    assert_eq!(tally.decided, tally.silent);
    assert!(tally.silent > 100 && tally.alarms > 100 && tally.proofs > 10, "{tally:?}");
}

#[test]
fn undecided_keys_do_not_hide_violations_of_others() {
    let tally = tally_of_maps(6, MapWorkload::Mixed);
    assert!(tally.decided < tally.silent, "{tally:?}");
    assert!(tally.silent > 100 && tally.alarms > 100, "{tally:?}");
}

#[test]
fn long_histories_get_the_verdict_of_a_whole_check() {
    let (mut random, model) = (random(4), Arc::new(Register::default()));
    let (mut alarms, mut remembered_max) = (0, 0);
    for _ in 0..100 {
        let made = register(&mut random, Workload { swaps: 0.0, values: None, operations: 500 });
        let lie = random.random_range(0..1_000);
        let made = made.with_outcomes(|id, operation| match operation.outcome {
            Outcome::Returned { at, ret: RegisterRet::Value(ValueId(value)) } if id.0 == lie => {
                let ret = RegisterRet::Value(ValueId(value.saturating_sub(1)));
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
        let is_violated = check(&*model, &made, &Budget::default()) != Verdict::Linearizable;
        assert_eq!(alarm.is_some(), is_violated, "{alarm:?}");
        alarms += u32::from(is_violated);
        let unknown = made.operations().iter().filter(|of| of.outcome == Outcome::Unknown);
        remembered_max =
            remembered_max.max(stream.remembered() - unknown.count().min(stream.remembered()));
    }
    assert!(alarms > 10 && alarms < 90, "{alarms}");
    assert!(remembered_max < 60, "{remembered_max}");
}
