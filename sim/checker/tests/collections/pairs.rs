//! Queues and stacks.

use std::collections::VecDeque;

use quorate_checker::generate::{Random, Shape, history, random};
use quorate_checker::history::{Client, History, OpId, Operation, Recorder};
use quorate_checker::models::{Queue, QueueOp, Stack, StackOp};
use quorate_checker::value::Value;
use quorate_checker::verdict::Verdict;
use rand::RngExt;

use crate::fuzz::{
    compare_many, decided, middling_shape, mutated, none_called_wrong, rounds, small_shape,
};

/// What to put in next: mostly what nobody put in before.
fn fresh(random: &mut Random, next: &mut u32, repeats: f64) -> Value {
    if *next > 1 && random.random_bool(repeats) {
        return Value(random.random_range(1..*next));
    }
    *next += 1;
    Value(*next - 1)
}

fn redraw(random: &mut Random, takes: bool, ret: Value) -> Value {
    match random.random_range(0..7) {
        _ if !takes => ret,
        6 => Value(1000),
        number => Value(number),
    }
}

fn some_init(random: &mut Random) -> Vec<Value> {
    let count = *[0, 0, 0, 1, 2].get(random.random_range(0..5_usize)).expect("there are five");
    (0..count).map(|place| Value(1000 - place)).collect()
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
    let shapes = [(1, 2, 0.5, 0.0), (2, 20, 0.5, 0.0), (3, 20, 0.05, 0.0), (4, 100, 0.9, 0.0)];
    for (seed, clients, eager, unknown) in shapes.into_iter().chain([(5, 20, 0.5, 0.01)]) {
        let shape = Shape { operations: 2000, clients, failed: 0.05, eager, unknown };
        let made = stack_history(&mut random(seed), &shape, &[], 0.0);
        let verdict = decided(&Stack::default(), &made);
        assert_eq!(verdict, Some(Verdict::Linearizable), "{shape:?}");
    }
}

#[test]
fn right_queues_are_called_right() {
    let right = none_called_wrong(rounds(500), |random| {
        let (shape, init) = (middling_shape(random), some_init(random));
        let made = queue_history(random, &shape, &init, 0.0);
        (Queue { init: init.into(), ..Queue::default() }, made)
    });
    assert_eq!(right, rounds(500));
}

#[test]
fn right_stacks_are_not_called_wrong() {
    let right = none_called_wrong(rounds(500), |random| {
        let (shape, init) = (middling_shape(random), some_init(random));
        let made = stack_history(random, &shape, &init, 0.0);
        (Stack { init, ..Stack::default() }, made)
    });
    assert!(right > rounds(500) * 9 / 10, "{right}");
}

#[test]
fn a_value_that_nobody_dequeued_is_found_missing() {
    let shape = Shape { operations: 2000, clients: 20, ..Shape::default() };
    let made = queue_history(&mut random(1), &shape, &[], 0.0);
    let mut operations = made.operations().to_vec();
    let takes = |operation: &Operation<QueueOp, Value>| {
        operation.op == QueueOp::Dequeue && operation.ret().is_some_and(|ret| *ret != Value::NULL)
    };
    let place = (1000..).find(|place| takes(&operations[*place])).expect("somebody dequeues");
    operations.remove(place);
    let lost = History::new(operations).expect("one fewer is a history");
    let verdict = decided(&Queue::default(), &lost);
    assert!(matches!(verdict, Some(Verdict::NotLinearizable(_))), "{verdict:?}");
}

#[test]
fn a_dequeue_that_overtakes_is_shown_by_three_operations() {
    let recorder = Recorder::new();
    for value in [1, 2, 3] {
        recorder.invoke(Client(1), QueueOp::Enqueue(Value(value))).returned(Value::NULL);
    }
    for value in [1, 3, 2] {
        recorder.invoke(Client(1), QueueOp::Dequeue).returned(Value(value));
    }
    let verdict = decided(&Queue::default(), &recorder.history());
    let Some(Verdict::NotLinearizable(evidence)) = verdict else { panic!("{verdict:?}") };
    assert_eq!(evidence.operations, [OpId(1), OpId(4), OpId(5)]);
    assert!(evidence.minimal);
    assert_eq!(
        evidence.because,
        "dequeue 4 returned v3 (enqueued by 2), although v2 was enqueued before (by 1) and only \
         dequeue 5, invoked later, returned it"
    );
}
