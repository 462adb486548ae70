//! Counters, compared with the definition, and large ones.

use quorate_checker::generate::{Random, Shape, history, random};
use quorate_checker::history::{History, Outcome};
use quorate_checker::models::{Counter, CounterOp};
use quorate_checker::verdict::Verdict;
use rand::RngExt;

use super::fuzz::{
    assert_none_rejected, compare_many, decided, middling_shape, mutated, rounds, small_shape,
};

/// The parameters of a random history of a counter.
#[derive(Clone, Copy, Debug)]
struct Usage {
    least: i64,
    most: i64,
    reads: f64,
    /// The probability that an addition returns the number after it.
    sum_known: f64,
}

fn counter_history(
    random: &mut Random,
    shape: &Shape,
    usage: Usage,
    init: i64,
) -> History<CounterOp, Option<i64>> {
    let next_op = |random: &mut Random| match random.random_bool(usage.reads) {
        true => CounterOp::Read,
        false => CounterOp::Add(random.random_range(usage.least..=usage.most)),
    };
    let apply = |sum: &mut i64, op: &CounterOp| {
        if let CounterOp::Add(more) = op {
            *sum += more;
        }
        Some(*sum)
    };
    let made = history(random, shape, init, next_op, apply);
    made.with_outcomes(|_, operation| match (&operation.op, &operation.outcome) {
        (CounterOp::Add(_), Outcome::Returned { at, .. })
            if !random.random_bool(usage.sum_known) =>
        {
            Outcome::Returned { at: *at, ret: None }
        }
        (_, outcome) => *outcome,
    })
}

fn small_usage(random: &mut Random) -> Usage {
    let ranges = [(1, 1), (1, 1), (0, 2), (1, 3), (1, 3), (-1, -1), (-3, 0), (1, 9), (-2, 2)];
    let (least, most) = ranges[random.random_range(0..ranges.len())];
    Usage {
        least,
        most,
        reads: random.random_range(0.2..0.6),
        sum_known: [0.0, 0.0, 0.3][random.random_range(0..3_usize)],
    }
}

#[test]
fn counters_are_decided_as_by_the_definition() {
    let tally = compare_many(rounds(20_000), |random| {
        let (shape, usage) = (small_shape(random), small_usage(random));
        let init = random.random_range(-1..=1);
        let made = counter_history(random, &shape, usage, init);
        let made = mutated(random, &made, |random, _, ret| {
            ret.map(|number| number + random.random_range(-2..=2))
        });
        (Counter { init }, made)
    });
    assert!(tally.right > tally.wrong / 5 && tally.wrong > tally.right / 5, "{tally:?}");
    assert!(tally.undecided < (tally.right + tally.wrong) / 5, "{tally:?}");
    assert!(tally.minimal > tally.wrong * 9 / 10, "{tally:?}");
}

#[test]
fn large_counters_are_decided() {
    let ones = Usage { least: 1, most: 1, reads: 0.3, sum_known: 0.0 };
    let many = Usage { most: 9, ..ones };
    let with_sums = Usage { sum_known: 1.0, ..many };
    for (seed, usage, unknown) in [(1, ones, 0.02), (2, many, 0.0), (3, with_sums, 0.0)] {
        let shape = Shape { operations: 2000, clients: 10, unknown, failed: 0.05, eager: 0.5 };
        let made = counter_history(&mut random(seed), &shape, usage, 0);
        let verdict = decided(&Counter::default(), &made);
        assert_eq!(verdict, Some(Verdict::Linearizable), "{usage:?}");
    }
}

#[test]
fn correct_counters_are_not_rejected() {
    let right = assert_none_rejected(rounds(500), |random| {
        let (shape, usage) = (middling_shape(random), small_usage(random));
        (Counter::default(), counter_history(random, &shape, usage, 0))
    });
    assert!(right > rounds(500) * 3 / 4, "{right}");
}
