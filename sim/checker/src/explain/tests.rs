//! Tests minimised counterexamples against the definition: each is not linearizable by itself, and
//! becomes linearizable without any one of its operations.

use rand::RngExt;

use crate::brute_force;
use crate::budget::Budget;
use crate::check::check;
use crate::explain::longest::{Coverage, longest_linearization};
use crate::explain::minimise::minimise;
use crate::explain::object::with_unknown_outcomes;
use crate::generate::tests::{queues, registers};
use crate::generate::{Random, Shape, history, random};
use crate::history::{Client, History, OpId, Outcome, Recorder, Subhistory};
use crate::model::Model;
use crate::models::{Counter, CounterOp, Queue, Register};
use crate::verdict::{Counterexample, Verdict};

/// Returns true if `history` is not linearizable, by the definition, when only the outcomes of
/// `known` are known.
fn bad<M: Model>(model: &M, history: &History<M::Op, M::Ret>, known: &[OpId]) -> bool {
    let not_failed = |id: &OpId| !matches!(history.operation(*id).outcome, Outcome::Failed);
    let all: Vec<OpId> =
        (0..).map(OpId).take(history.operations().len()).filter(not_failed).collect();
    let less = with_unknown_outcomes(model, history, &all, known);
    let ids: Vec<OpId> = (0..).map(OpId).take(less.operations().len()).collect();
    !brute_force::linearizable(model, Subhistory::new(&less, &ids))
}

/// Minimises the counterexample of `history`, if it has one, and checks it against the definition.
fn minimal_counterexample<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
) -> Option<Counterexample> {
    let budget = Budget::default();
    let Verdict::NotLinearizable(counterexample) = check(model, history, &budget) else {
        return None;
    };
    let whole = Counterexample { minimal: false, ..counterexample };
    let less = minimise(model, history, &whole, &budget);
    assert!(less.minimal, "{history:?}");
    assert!(less.operations.is_sorted());
    assert!(bad(model, history, &less.operations), "not bad: {less:?} of {history:?}");
    for out in &less.operations {
        let fewer: Vec<OpId> = less.operations.iter().copied().filter(|id| id != out).collect();
        assert!(!bad(model, history, &fewer), "not minimal: {less:?} of {history:?}");
    }
    let attempt =
        longest_linearization(model, history, &less).expect("a counterexample has a longest order");
    assert!(
        attempt.coverage == Coverage::Exhaustive && less.operations.contains(&attempt.unexplained)
    );
    assert_legal(model, history, &less, &attempt.order);
    Some(less)
}

/// Checks that `order` is legal.
fn assert_legal<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    counterexample: &Counterexample,
    order: &[OpId],
) {
    let mut state = model.init();
    for id in order {
        let operation = history.operation(*id);
        let ret = operation.ret().filter(|_| counterexample.operations.contains(id));
        state = model.step(&state, &operation.op, ret).expect("the order is legal");
    }
}

const SMALL: Shape = Shape { operations: 9, clients: 3, unknown: 0.1, failed: 0.05, eager: 0.5 };

#[test]
fn counterexample_of_a_register_is_minimal() {
    let count = |seed: &u64| {
        let made = registers(&mut random(*seed), &SMALL);
        minimal_counterexample(&Register::default(), &made).is_some()
    };
    let caught = (0..400).filter(count).count();
    assert!(caught > 60, "{caught}");
}

#[test]
fn counterexample_of_a_counter_is_minimal() {
    let count = |seed: &u64| {
        let next_op = |random: &mut Random| match random.random_bool(0.5) {
            true => CounterOp::Add(random.random_range(-2..3)),
            false => CounterOp::Read,
        };
        let mut errors = random(*seed);
        let apply = |sum: &mut i64, op: &CounterOp| match op {
            CounterOp::Add(more) => {
                *sum += more;
                errors.random_bool(0.5).then_some(*sum)
            }
            CounterOp::Read => Some(*sum + i64::from(errors.random_bool(0.2))),
        };
        let made = history(&mut random(*seed), &SMALL, 0, next_op, apply);
        minimal_counterexample(&Counter::default(), &made).is_some()
    };
    let caught = (0..300).filter(count).count();
    assert!(caught > 60, "{caught}");
}

#[test]
fn counterexample_of_a_queue_is_minimal() {
    let count = |seed: &u64| {
        let last = |errors: &mut Random, count| errors.random_bool(0.3).then_some(count - 1);
        let made = queues(*seed, &SMALL, |errors, count| last(errors, count).unwrap_or(0));
        minimal_counterexample(&Queue::default(), &made).is_some()
    };
    let caught = (0..300).filter(count).count();
    assert!(caught > 20, "{caught}");
}

/// A sum without hints, so that only the search decides on it.
struct Plain;

impl Model for Plain {
    type State = i64;
    type Op = Option<i64>;
    type Ret = i64;

    fn init(&self) -> i64 {
        0
    }

    fn step(&self, state: &i64, more: &Option<i64>, ret: Option<&i64>) -> Option<i64> {
        let after = state + more.unwrap_or(0);
        ret.is_none_or(|returned| *returned == after).then_some(after)
    }
}

#[test]
fn without_a_budget_the_counterexample_stays_unminimised() {
    let recorder = Recorder::new();
    for (more, sum) in [(Some(2), 2), (None, 7), (Some(1), 3), (None, 3)] {
        recorder.invoke(Client(0), more).returned(sum);
    }
    let history = recorder.history();
    let operations = [0, 1, 2, 3].map(OpId).to_vec();
    let whole = Counterexample { operations, reason: "it is so".to_owned(), minimal: false };
    let none = Budget { configurations_max: 0, bytes_max: 0, ..Budget::default() };
    assert_eq!(minimise(&Plain, &history, &whole, &none), whole);
    let stopped = Budget { stop: Some(&|| true), ..Budget::default() };
    let less = minimise(&Plain, &history, &whole, &stopped);
    assert!(less == whole || less.minimal, "the result is unchanged or minimal");
    let less = minimise(&Plain, &history, &whole, &Budget::default());
    assert_eq!((less.operations, less.minimal), (vec![OpId(1)], true), "no sum is 7");
}
