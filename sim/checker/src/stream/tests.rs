//! The stream, held against the definition tried out after every event.

use rand::RngExt;

use super::*;
use crate::brute;
use crate::budget::Budget;
use crate::check::check;
use crate::generate::{Random, Shape, history, random};
use crate::history::{History, Moment, Operation, Outcome, Part};
use crate::model::{Effect, Model};

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
fn events(random: &mut Random, made: &Made) -> Vec<(OpId, bool)> {
    let mut events: Vec<(Moment, bool, OpId)> = Vec::new();
    for (id, operation) in (0..).map(OpId).zip(made.operations()) {
        events.push((operation.invoked, false, id));
        let end = match operation.outcome {
            Outcome::Returned { at, .. } => at,
            Outcome::Failed | Outcome::Unknown => {
                Moment(operation.invoked.0 + random.random_range(0..20))
            }
        };
        events.push((end, true, id));
    }
    events.sort();
    events.into_iter().map(|(_, ends, id)| (id, ends)).collect()
}

fn holds(made: &Made) -> bool {
    let model = Register::default();
    let tells = |(id, operation): (u32, &Operation<RegisterOp, RegisterRet>)| {
        let tells = match operation.outcome {
            Outcome::Returned { .. } => true,
            Outcome::Failed => false,
            Outcome::Unknown => model.effect(&operation.op, None) != Effect::Observe,
        };
        tells.then_some(OpId(id))
    };
    let ids: Vec<OpId> = (0..).zip(made.operations()).filter_map(tells).collect();
    brute::linearizable(&model, Part::new(made, &ids))
}

/// `made` after some of its events.
fn prefix(made: &Made, events: &[(OpId, bool)]) -> Made {
    let begun = events.iter().filter(|(_, ends)| !ends).count();
    let cut = made.operations()[..begun].to_vec();
    let cut = History::new(cut).expect("a prefix is a history");
    cut.with_outcomes(|id, operation| match events.contains(&(id, true)) {
        true => operation.outcome,
        false => Outcome::Unknown,
    })
}

#[derive(Debug, Default)]
struct Tally {
    silent: u32,
    alarms: u32,
    proofs: u32,
    undecided: u32,
}

fn run(tally: &mut Tally, random: &mut Random, with: Use) {
    let made = register(random, with);
    let events = events(random, &made);
    let model = Register::default();
    let mut stream = Stream::of_register(&model);
    stream.is_eager = random.random_bool(0.7);
    for (count, (id, ends)) in (1..).zip(&events) {
        let operation = made.operation(*id);
        let alarm = match (&operation.outcome, ends) {
            (_, false) => {
                assert_eq!(stream.invoke(operation.op), *id);
                None
            }
            (Outcome::Returned { ret, .. }, true) => stream.returned(*id, ret),
            (Outcome::Failed, true) => stream.failed(*id),
            (Outcome::Unknown, true) => {
                stream.unknown(*id);
                None
            }
        };
        let so_far = prefix(&made, &events[..count]);
        let holds_now = !ends || holds(&so_far);
        if let Some(alarm) = alarm {
            assert!(!holds_now, "{alarm:?}, but {so_far:?}");
            assert_eq!(alarm.operation, *id);
            tally.alarms += 1;
            if let Some(evidence) = alarm.evidence.filter(|_| with.values.is_none()) {
                let known = &evidence.operations;
                let only = so_far.with_outcomes(|id, operation| match operation.outcome {
                    Outcome::Returned { .. } if !known.contains(&id) => Outcome::Unknown,
                    other => other,
                });
                assert!(!holds(&only), "{evidence:?} proves nothing of {so_far:?}");
                tally.proofs += 1;
            }
            return;
        }
        if !holds_now {
            assert!(!stream.is_decided(), "{id:?} is wrong in {so_far:?}");
            tally.undecided += 1;
            return;
        }
    }
    tally.silent += 1;
}

fn tally(seed: u64, with: Use) -> Tally {
    let cases = std::env::var("QUORATE_CASES").ok().and_then(|text| text.parse().ok());
    let mut tally = Tally::default();
    let mut random = random(seed);
    for _ in 0..cases.unwrap_or(3_000) {
        run(&mut tally, &mut random, with);
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
fn it_says_of_long_histories_what_a_check_of_the_whole_says() {
    let (mut random, model) = (random(4), Register::default());
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
        let mut stream = Stream::of_register(&model);
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
        let is_wrong = check(&model, &made, &Budget::default()) != Verdict::Linearizable;
        assert_eq!(alarm.is_some(), is_wrong, "{alarm:?}");
        alarms += u32::from(is_wrong);
        let unknown = made.operations().iter().filter(|of| of.outcome == Outcome::Unknown);
        remembered_max =
            remembered_max.max(stream.remembered() - unknown.count().min(stream.remembered()));
    }
    assert!(alarms > 10 && alarms < 90, "{alarms}");
    assert!(remembered_max < 60, "{remembered_max}");
}
