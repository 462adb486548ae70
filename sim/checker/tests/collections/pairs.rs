//! Queues and stacks.

use std::collections::VecDeque;

use quorate_checker::generate::{Random, Shape, history, random};
use quorate_checker::history::History;
use quorate_checker::models::{Queue, QueueOp, Stack, StackOp};
use quorate_checker::value::Value;
use quorate_checker::verdict::Verdict;
use rand::RngExt;

use crate::fuzz::{compare_many, decided, mutated, rounds, small_shape};

/// What to put in next: mostly what nobody put in before.
fn fresh(random: &mut Random, next: &mut u32, repeats: f64) -> Value {
    if *next > 1 && random.random_bool(repeats) {
        return Value(random.random_range(1..*next));
    }
    *next += 1;
    Value(*next - 1)
}

fn redraw(random: &mut Random, takes: bool, ret: Value) -> Value {
    if takes { Value(random.random_range(0..6)) } else { ret }
}

fn some_init(random: &mut Random) -> Vec<Value> {
    let count = *[0, 0, 0, 1, 2].get(random.random_range(0..5_usize)).expect("there are five");
    (0..count).map(|place| Value(20 - place)).collect()
}

fn queue_history(
    random: &mut Random,
    shape: &Shape,
    init: &[Value],
    repeats: f64,
) -> History<QueueOp, Value> {
    let mut next = 1;
    let puts = random.random_range(0.3..0.7);
    let ask = move |random: &mut Random| match random.random_bool(puts) {
        true => QueueOp::Enqueue(fresh(random, &mut next, repeats)),
        false => QueueOp::Dequeue,
    };
    let apply = |queue: &mut VecDeque<Value>, op: &QueueOp| match op {
        QueueOp::Enqueue(value) => {
            queue.push_back(*value);
            Value::NULL
        }
        QueueOp::Dequeue => queue.pop_front().unwrap_or(Value::NULL),
    };
    history(random, shape, init.iter().copied().collect(), ask, apply)
}

fn stack_history(
    random: &mut Random,
    shape: &Shape,
    init: &[Value],
    repeats: f64,
) -> History<StackOp, Value> {
    let mut next = 1;
    let puts = random.random_range(0.3..0.7);
    let ask = move |random: &mut Random| match random.random_bool(puts) {
        true => StackOp::Push(fresh(random, &mut next, repeats)),
        false => StackOp::Pop,
    };
    let apply = |stack: &mut Vec<Value>, op: &StackOp| match op {
        StackOp::Push(value) => {
            stack.push(*value);
            Value::NULL
        }
        StackOp::Pop => stack.pop().unwrap_or(Value::NULL),
    };
    history(random, shape, init.to_vec(), ask, apply)
}

#[test]
fn queues_are_judged_as_the_definition_does() {
    let tally = compare_many(rounds(20_000), |random| {
        let shape = small_shape(random);
        let init = some_init(random);
        let repeats = if random.random_bool(0.2) { 0.2 } else { 0.0 };
        let made = queue_history(random, &shape, &init, repeats);
        let made =
            mutated(random, &made, |random, op, ret| redraw(random, *op == QueueOp::Dequeue, *ret));
        (Queue { init: init.into(), ..Queue::default() }, made)
    });
    assert!(tally.right > tally.wrong / 5 && tally.wrong > tally.right / 5, "{tally:?}");
    assert!(tally.undecided < (tally.right + tally.wrong) / 5, "{tally:?}");
    assert!(tally.minimal > tally.wrong * 9 / 10, "{tally:?}");
}

#[test]
fn stacks_are_judged_as_the_definition_does() {
    let tally = compare_many(rounds(20_000), |random| {
        let shape = small_shape(random);
        let init = some_init(random);
        let repeats = if random.random_bool(0.2) { 0.2 } else { 0.0 };
        let made = stack_history(random, &shape, &init, repeats);
        let made =
            mutated(random, &made, |random, op, ret| redraw(random, *op == StackOp::Pop, *ret));
        (Stack { init, ..Stack::default() }, made)
    });
    assert!(tally.right > tally.wrong / 5 && tally.wrong > tally.right / 5, "{tally:?}");
    assert!(tally.undecided < (tally.right + tally.wrong) / 5, "{tally:?}");
    assert!(tally.minimal > tally.wrong * 8 / 10, "{tally:?}");
}

#[test]
fn large_queues_are_decided() {
    for (seed, clients, unknown) in [(1, 2, 0.0), (2, 20, 0.0), (3, 20, 0.01), (4, 100, 0.1)] {
        let shape = Shape { operations: 2000, clients, unknown, failed: 0.05, eager: 0.5 };
        let made = queue_history(&mut random(seed), &shape, &[], 0.0);
        let verdict = decided(&Queue::default(), &made);
        assert_eq!(verdict, Some(Verdict::Linearizable), "{shape:?}");
    }
}

#[test]
fn large_stacks_are_decided() {
    for (seed, clients, eager) in [(1, 2, 0.5), (2, 20, 0.5), (3, 20, 0.05), (4, 100, 0.9)] {
        let shape = Shape { operations: 2000, clients, failed: 0.05, eager, unknown: 0.0 };
        let made = stack_history(&mut random(seed), &shape, &[], 0.0);
        let verdict = decided(&Stack::default(), &made);
        assert_eq!(verdict, Some(Verdict::Linearizable), "{shape:?}");
    }
}
