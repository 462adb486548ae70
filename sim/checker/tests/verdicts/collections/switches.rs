//! Sets and locks, compared with the definition, and large ones.

use std::collections::BTreeSet;

use quorate_checker::generate::{Random, Shape, history, random};
use quorate_checker::history::{History, Outcome};
use quorate_checker::models::{Lock, LockOp, Set, SetOp, SetRet};
use quorate_checker::value::ValueId;
use quorate_checker::verdict::Verdict;
use rand::RngExt;

use super::fuzz::{
    assert_none_rejected, compare_many, decided, middling_shape, mutated, rounds, small_shape,
};

/// The parameters of a random history of a set.
#[derive(Clone, Copy, Debug)]
struct Usage {
    elements: u32,
    reads: f64,
    removes: f64,
    /// The probability that the result of an addition or removal is unknown.
    silent: f64,
}

fn set_history(
    random: &mut Random,
    shape: &Shape,
    usage: Usage,
    init: BTreeSet<ValueId>,
) -> History<SetOp, SetRet> {
    let next_op = |random: &mut Random| {
        if random.random_bool(usage.reads) {
            return SetOp::Read;
        }
        let value = ValueId(random.random_range(1..=usage.elements));
        match random.random_range(0..3) {
            0 => SetOp::Contains(value),
            _ if random.random_bool(usage.removes) => SetOp::Remove(value),
            _ => SetOp::Add(value),
        }
    };
    let apply = |set: &mut BTreeSet<ValueId>, op: &SetOp| match op {
        SetOp::Add(value) => SetRet::Bool(set.insert(*value)),
        SetOp::Remove(value) => SetRet::Bool(set.remove(value)),
        SetOp::Contains(value) => SetRet::Bool(set.contains(value)),
        SetOp::Read => SetRet::Members(set.iter().copied().collect()),
    };
    let made = history(random, shape, init, next_op, apply);
    made.with_outcomes(|_, operation| match (&operation.op, &operation.outcome) {
        (SetOp::Add(_) | SetOp::Remove(_), Outcome::Returned { at, .. })
            if random.random_bool(usage.silent) =>
        {
            Outcome::Returned { at: *at, ret: SetRet::Done }
        }
        (_, outcome) => outcome.clone(),
    })
}

fn small_usage(random: &mut Random) -> Usage {
    let one_of = |random: &mut Random, from: [f64; 4]| from[random.random_range(0..4_usize)];
    Usage {
        elements: random.random_range(1..=3),
        reads: one_of(random, [0.0, 0.0, 0.3, 0.5]),
        removes: one_of(random, [0.0, 0.3, 0.5, 0.5]),
        silent: one_of(random, [0.0, 0.0, 0.3, 1.0]),
    }
}

fn redraw(random: &mut Random, op: &SetOp, ret: &SetRet) -> SetRet {
    match (op, ret) {
        (_, SetRet::Bool(truth)) => SetRet::Bool(!truth),
        (SetOp::Read, SetRet::Members(members)) => {
            let mut members: BTreeSet<ValueId> = members.iter().copied().collect();
            let value = ValueId(random.random_range(1..=3));
            if !members.remove(&value) {
                members.insert(value);
            }
            SetRet::Members(members.into_iter().collect())
        }
        _ => ret.clone(),
    }
}

#[test]
fn sets_are_decided_as_by_the_definition() {
    let tally = compare_many(rounds(20_000), |random| {
        let (shape, usage) = (small_shape(random), small_usage(random));
        let init: BTreeSet<ValueId> = match random.random_range(0..3) {
            0 => [ValueId(1)].into(),
            _ => BTreeSet::new(),
        };
        let made = set_history(random, &shape, usage, init.clone());
        let made = mutated(random, &made, redraw);
        (Set { init, ..Set::default() }, made)
    });
    assert!(tally.right > tally.wrong / 5 && tally.wrong > tally.right / 5, "{tally:?}");
    assert!(tally.undecided < (tally.right + tally.wrong) / 5, "{tally:?}");
    assert!(tally.minimal > tally.wrong * 9 / 10, "{tally:?}");
}

#[test]
fn locks_are_decided_as_by_the_definition() {
    let tally = compare_many(rounds(20_000), |random| {
        let shape = small_shape(random);
        let held = random.random_bool(0.3);
        let made = lock_history(random, &shape, held, 0.1);
        (Lock { held }, mutated(random, &made, |_, _, ()| ()))
    });
    assert!(tally.right > tally.wrong / 5 && tally.wrong > tally.right / 20, "{tally:?}");
    assert!(tally.undecided == 0, "{tally:?}");
    assert!(tally.minimal > tally.wrong * 9 / 10, "{tally:?}");
}

/// Generates a history of a lock. An operation that is illegal fails, except for some `mistakes`.
fn lock_history(
    draw: &mut Random,
    shape: &Shape,
    held: bool,
    mistakes: f64,
) -> History<LockOp, ()> {
    let next_op = |random: &mut Random| match random.random_bool(0.5) {
        true => LockOp::Acquire,
        false => LockOp::Release,
    };
    let mut wrong = random(draw.random());
    let apply = |held: &mut bool, op: &LockOp| {
        let possible = *held == (*op == LockOp::Release);
        *held ^= possible;
        possible || wrong.random_bool(mistakes)
    };
    let made = history(draw, shape, held, next_op, apply);
    let operations = made.operations().iter().map(|operation| {
        let outcome = match operation.outcome {
            Outcome::Returned { at, ret: true } => Outcome::Returned { at, ret: () },
            Outcome::Returned { ret: false, .. } | Outcome::Failed => Outcome::Failed,
            Outcome::Unknown => Outcome::Unknown,
        };
        quorate_checker::history::Operation {
            client: operation.client,
            op: operation.op,
            invoked: operation.invoked,
            outcome,
        }
    });
    History::new(operations.collect()).expect("no response is added or moved")
}

#[test]
fn large_sets_are_decided() {
    let usage = Usage { elements: 50, reads: 0.0, removes: 0.5, silent: 0.2 };
    let few = Usage { elements: 1, ..usage };
    let growing = Usage { elements: 500, reads: 0.05, removes: 0.0, silent: 1.0 };
    let shape = Shape { operations: 2000, clients: 20, unknown: 0.02, failed: 0.05, eager: 0.5 };
    for (seed, usage) in [(1, usage), (2, few), (3, growing)] {
        let made = set_history(&mut random(seed), &shape, usage, BTreeSet::new());
        let verdict = decided(&Set::default(), &made);
        assert_eq!(verdict, Some(Verdict::Linearizable), "{usage:?}");
    }
}

#[test]
fn large_locks_are_decided() {
    let shape = Shape { operations: 2000, clients: 20, unknown: 0.02, failed: 0.05, eager: 0.5 };
    let made = lock_history(&mut random(1), &shape, false, 0.0);
    assert_eq!(decided(&Lock::default(), &made), Some(Verdict::Linearizable));
}

#[test]
fn correct_sets_are_not_rejected() {
    let right = assert_none_rejected(rounds(500), |random| {
        let (shape, usage) = (middling_shape(random), small_usage(random));
        let usage = Usage { elements: random.random_range(1..30), ..usage };
        (Set::default(), set_history(random, &shape, usage, BTreeSet::new()))
    });
    assert!(right > rounds(500) / 2, "{right}");
}

#[test]
fn correct_locks_are_accepted() {
    let right = assert_none_rejected(rounds(500), |random| {
        let (shape, held) = (middling_shape(random), random.random_bool(0.5));
        (Lock { held }, lock_history(random, &shape, held, 0.0))
    });
    assert_eq!(right, rounds(500));
}
