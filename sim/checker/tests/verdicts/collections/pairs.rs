//! Queues and stacks, compared with the definition, and large ones.

use std::collections::VecDeque;

use quorate_checker::generate::{Random, Shape, history, random};
use quorate_checker::history::{Client, History, OpId, Operation, Recorder};
use quorate_checker::models::{Queue, QueueOp, Stack, StackOp};
use quorate_checker::value::ValueId;
use quorate_checker::verdict::Verdict;
use rand::RngExt;

use super::fuzz::{
    assert_none_rejected, compare_many, decided, middling_shape, mutated, rounds, small_shape,
};

/// Draws the next value to insert, which is mostly new.
fn fresh(random: &mut Random, next: &mut u32, repeats: f64) -> ValueId {
    if *next > 1 && random.random_bool(repeats) {
        return ValueId(random.random_range(1..*next));
    }
    *next += 1;
    ValueId(*next - 1)
}

fn redraw(random: &mut Random, takes: bool, ret: ValueId) -> ValueId {
    match random.random_range(0..7) {
        _ if !takes => ret,
        6 => ValueId(1000),
        number => ValueId(number),
    }
}

fn some_init(random: &mut Random) -> Vec<ValueId> {
    let count = *[0, 0, 0, 1, 2].get(random.random_range(0..5_usize)).expect("there are five");
    (0..count).map(|place| ValueId(1000 - place)).collect()
}

fn queue_history(
    random: &mut Random,
    shape: &Shape,
    init: &[ValueId],
    repeats: f64,
) -> History<QueueOp, ValueId> {
    let mut next = 1;
    let puts = random.random_range(0.3..0.7);
    let next_op = move |random: &mut Random| match random.random_bool(puts) {
        true => QueueOp::Enqueue(fresh(random, &mut next, repeats)),
        false => QueueOp::Dequeue,
    };
    let apply = |queue: &mut VecDeque<ValueId>, op: &QueueOp| match op {
        QueueOp::Enqueue(value) => {
            queue.push_back(*value);
            ValueId::NULL
        }
        QueueOp::Dequeue => queue.pop_front().unwrap_or(ValueId::NULL),
    };
    history(random, shape, init.iter().copied().collect(), next_op, apply)
}

fn stack_history(
    random: &mut Random,
    shape: &Shape,
    init: &[ValueId],
    repeats: f64,
) -> History<StackOp, ValueId> {
    let mut next = 1;
    let puts = random.random_range(0.3..0.7);
    let next_op = move |random: &mut Random| match random.random_bool(puts) {
        true => StackOp::Push(fresh(random, &mut next, repeats)),
        false => StackOp::Pop,
    };
    let apply = |stack: &mut Vec<ValueId>, op: &StackOp| match op {
        StackOp::Push(value) => {
            stack.push(*value);
            ValueId::NULL
        }
        StackOp::Pop => stack.pop().unwrap_or(ValueId::NULL),
    };
    history(random, shape, init.to_vec(), next_op, apply)
}

#[test]
fn queues_are_decided_as_by_the_definition() {
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
fn stacks_are_decided_as_by_the_definition() {
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
fn stacks_with_many_repeated_values_are_decided_as_by_the_definition() {
    let tally = compare_many(rounds(20_000), |random| {
        let shape = small_shape(random);
        let init = some_init(random);
        let made = stack_history(random, &shape, &init, 0.6);
        let made =
            mutated(random, &made, |random, op, ret| redraw(random, *op == StackOp::Pop, *ret));
        (Stack { init, ..Stack::default() }, made)
    });
    assert!(tally.right > tally.wrong / 5 && tally.wrong > tally.right / 6, "{tally:?}");
    assert!(tally.undecided < (tally.right + tally.wrong) / 10, "{tally:?}");
}

#[test]
fn queues_with_many_repeated_values_are_decided_as_by_the_definition() {
    let tally = compare_many(rounds(20_000), |random| {
        let shape = small_shape(random);
        let init = some_init(random);
        let made = queue_history(random, &shape, &init, 0.6);
        let made =
            mutated(random, &made, |random, op, ret| redraw(random, *op == QueueOp::Dequeue, *ret));
        (Queue { init: init.into(), ..Queue::default() }, made)
    });
    assert!(tally.right > tally.wrong / 5 && tally.wrong > tally.right / 5, "{tally:?}");
    assert!(tally.undecided < (tally.right + tally.wrong) / 3, "{tally:?}");
    assert!(tally.minimal > tally.wrong * 9 / 10, "{tally:?}");
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
fn correct_queues_are_accepted() {
    let right = assert_none_rejected(rounds(500), |random| {
        let (shape, init) = (middling_shape(random), some_init(random));
        let made = queue_history(random, &shape, &init, 0.0);
        (Queue { init: init.into(), ..Queue::default() }, made)
    });
    assert_eq!(right, rounds(500));
}

#[test]
fn correct_stacks_are_not_rejected() {
    let right = assert_none_rejected(rounds(500), |random| {
        let (shape, init) = (middling_shape(random), some_init(random));
        let made = stack_history(random, &shape, &init, 0.0);
        (Stack { init, ..Stack::default() }, made)
    });
    assert!(right > rounds(500) * 9 / 10, "{right}");
}

#[test]
fn a_lost_value_is_found() {
    let shape = Shape { operations: 2000, clients: 20, ..Shape::default() };
    let made = queue_history(&mut random(1), &shape, &[], 0.0);
    let mut operations = made.operations().to_vec();
    let takes = |operation: &Operation<QueueOp, ValueId>| {
        operation.op == QueueOp::Dequeue && operation.ret().is_some_and(|ret| *ret != ValueId::NULL)
    };
    let place = (1000..).find(|place| takes(&operations[*place])).expect("a dequeue takes it");
    operations.remove(place);
    let lost = History::new(operations).expect("one fewer is a history");
    let verdict = decided(&Queue::default(), &lost);
    assert!(matches!(verdict, Some(Verdict::NotLinearizable(_))), "{verdict:?}");
}

#[test]
fn a_dequeue_that_overtakes_is_shown_by_three_operations() {
    let recorder = Recorder::new();
    for value in [1, 2, 3] {
        recorder.invoke(Client(1), QueueOp::Enqueue(ValueId(value))).returned(ValueId::NULL);
    }
    for value in [1, 3, 2] {
        recorder.invoke(Client(1), QueueOp::Dequeue).returned(ValueId(value));
    }
    let verdict = decided(&Queue::default(), &recorder.history());
    let Some(Verdict::NotLinearizable(counterexample)) = verdict else { panic!("{verdict:?}") };
    assert_eq!(counterexample.operations, [OpId(1), OpId(4), OpId(5)]);
    assert!(counterexample.minimal);
    assert_eq!(
        counterexample.reason,
        "dequeue 4 returned v3 (enqueued by 2), although v2 was enqueued before (by 1) and only \
         dequeue 5, invoked later, returned it"
    );
}
