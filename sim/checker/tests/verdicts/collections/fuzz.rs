//! Small histories, correct and changed, and the properties of every verdict on them.

use quorate_checker::brute_force;
use quorate_checker::budget::Budget;
use quorate_checker::check::affects_verdict;
use quorate_checker::generate::{Random, Shape, random};
use quorate_checker::history::{Client, EventIndex, History, OpId, Operation, Outcome, Subhistory};
use quorate_checker::model::Model;
use quorate_checker::verdict::{Counterexample, Verdict};
use rand::RngExt;
use rand::seq::IndexedRandom;

/// The number of times that each verdict occurred.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) right: u32,
    pub(crate) wrong: u32,
    pub(crate) minimal: u32,
    pub(crate) undecided: u32,
}

/// Returns the number of histories to try: `CHECKER_FUZZ_ROUNDS`, or `usual` if that is not set.
pub(crate) fn rounds(usual: u64) -> u64 {
    let rounds = std::env::var("CHECKER_FUZZ_ROUNDS").ok();
    rounds.map_or(usual, |rounds| rounds.parse().expect("CHECKER_FUZZ_ROUNDS is a number"))
}

/// Returns the operations of `history` that `check` uses.
fn relevant<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> Vec<OpId> {
    let operations = (0..).map(OpId).zip(history.operations());
    operations
        .filter(|(_, operation)| affects_verdict(model, operation))
        .map(|(id, _)| id)
        .collect()
}

/// Returns the verdict of the model's own check of `history`.
pub(crate) fn decided<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> Option<Verdict> {
    let ids = relevant(model, history);
    model.decide(Subhistory::new(history, &ids), &Budget::default())
}

fn holds<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> bool {
    let ids = relevant(model, history);
    brute_force::linearizable(model, Subhistory::new(history, &ids))
}

/// Asserts that the model's own check of `history` is right, and that a counterexample proves the
/// violation.
pub(crate) fn compare<M: Model>(model: &M, history: &History<M::Op, M::Ret>, tally: &mut Tally) {
    match decided(model, history) {
        None => tally.undecided += 1,
        Some(Verdict::Linearizable) => {
            assert!(holds(model, history), "not linearizable: {}", shown(model, history));
            tally.right += 1;
        }
        Some(Verdict::NotLinearizable(counterexample)) => {
            assert!(!holds(model, history), "{counterexample:?} {}", shown(model, history));
            assert_evidence(model, history, &counterexample);
            tally.wrong += 1;
            tally.minimal += u32::from(counterexample.minimal);
        }
        Some(Verdict::Unknown(exhausted)) => panic!("{exhausted:?}"),
    }
}

fn assert_evidence<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    counterexample: &Counterexample,
) {
    let holds_without = |left_out: Option<OpId>| {
        let weaker = history.with_outcomes(|id, operation| {
            let kept = counterexample.operations.contains(&id) && left_out != Some(id);
            match &operation.outcome {
                Outcome::Returned { at, ret } if kept => {
                    Outcome::Returned { at: *at, ret: ret.clone() }
                }
                Outcome::Failed => Outcome::Failed,
                _ => Outcome::Unknown,
            }
        });
        holds(model, &weaker)
    };
    assert!(counterexample.operations.is_sorted());
    assert!(!counterexample.reason.is_empty());
    assert!(!holds_without(None), "no proof: {counterexample:?} {}", shown(model, history));
    if counterexample.minimal {
        for id in &counterexample.operations {
            let less = holds_without(Some(*id));
            assert!(less, "not minimal: {id:?} of {counterexample:?} {}", shown(model, history));
        }
    }
}

/// Formats `history`, one operation a line.
fn shown<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> String {
    let mut words = String::new();
    for (id, operation) in history.operations().iter().enumerate() {
        let ret = operation.ret().map(|ret| model.describe_ret(&operation.op, ret));
        let (call, invoked) = (model.describe_op(&operation.op), operation.invoked.0);
        words += &format!("\n{id}: {call} -> {ret:?} [{invoked}, {:?}]", operation.returned());
    }
    words
}

/// Draws the shape of a small history.
pub(crate) fn small_shape(random: &mut Random) -> Shape {
    Shape {
        operations: random.random_range(3..=9),
        clients: random.random_range(2..=5),
        unknown: *[0.0, 0.0, 0.05, 0.2].choose(random).expect("there are some"),
        failed: *[0.0, 0.0, 0.1].choose(random).expect("there are some"),
        eager: *[0.2, 0.5, 0.9].choose(random).expect("there are some"),
    }
}

/// Returns `history` with up to two changes: results swapped, repeated or replaced by `redraw`, or
/// an operation dropped. Some events may also be reordered.
pub(crate) fn mutated<O: Clone, R: Clone>(
    random: &mut Random,
    history: &History<O, R>,
    redraw: impl Fn(&mut Random, &O, &R) -> R,
) -> History<O, R> {
    let mut operations: Vec<Operation<O, R>> = history.operations().to_vec();
    for _ in 0..random.random_range(0..=2) {
        let (a, b) = (pick(random, &operations), pick(random, &operations));
        match random.random_range(0..6) {
            0 => swap_rets(&mut operations, a, b),
            1 => {
                if let Some(ret) = operations[b].ret().cloned() {
                    set_ret(&mut operations[a], ret);
                }
            }
            2 | 3 => {
                if let Some(ret) = operations[a].ret().cloned() {
                    let ret = redraw(random, &operations[a].op, &ret);
                    set_ret(&mut operations[a], ret);
                }
            }
            4 if operations.len() > 1 => drop(operations.remove(a)),
            _ => {}
        }
    }
    let disorder = *[0, 0, 1, 2, 5, 20].choose(random).expect("there are some");
    reordered(random, operations, disorder)
}

fn pick<T>(random: &mut Random, operations: &[T]) -> usize {
    random.random_range(0..operations.len())
}

fn swap_rets<O, R: Clone>(operations: &mut [Operation<O, R>], a: usize, b: usize) {
    if let (Some(of_a), Some(of_b)) = (operations[a].ret().cloned(), operations[b].ret().cloned()) {
        set_ret(&mut operations[a], of_b);
        set_ret(&mut operations[b], of_a);
    }
}

fn set_ret<O, R>(operation: &mut Operation<O, R>, to: R) {
    if let Outcome::Returned { ret, .. } = &mut operation.outcome {
        *ret = to;
    }
}

/// Returns `operations` after swapping `swaps` events with their neighbours. Each operation has a
/// client of its own.
fn reordered<O: Clone, R: Clone>(
    random: &mut Random,
    operations: Vec<Operation<O, R>>,
    swaps: u32,
) -> History<O, R> {
    let mut events: Vec<(EventIndex, usize)> = Vec::new();
    for (place, operation) in operations.iter().enumerate() {
        events.push((operation.invoked, place));
        if matches!(operation.outcome, Outcome::Returned { .. }) {
            events.push((operation.returned(), place));
        }
    }
    events.sort();
    for _ in 0..swaps {
        let place = random.random_range(0..events.len());
        if place > 0 && events[place - 1].1 != events[place].1 {
            events.swap(place - 1, place);
        }
    }
    let mut again: Vec<Operation<O, R>> = Vec::new();
    let mut places = vec![None; operations.len()];
    for (event_index, (_, of)) in (0..).map(EventIndex).zip(events) {
        match places[of] {
            None => {
                places[of] = Some(again.len());
                let client = Client(u32::try_from(again.len()).expect("few"));
                again.push(Operation { client, invoked: event_index, ..operations[of].clone() });
            }
            Some(place) => {
                if let Outcome::Returned { at, .. } = &mut again[place].outcome {
                    *at = event_index;
                }
            }
        }
    }
    History::new(again).expect("events in any order are a history")
}

/// Compares the verdicts on `rounds` histories from `make`, and prints the numbers of verdicts.
pub(crate) fn compare_many<M: Model>(
    rounds: u64,
    mut make: impl FnMut(&mut Random) -> (M, History<M::Op, M::Ret>),
) -> Tally {
    let mut tally = Tally::default();
    for seed in 0..rounds {
        let (model, history) = make(&mut random(seed));
        compare(&model, &history, &mut tally);
    }
    println!("{rounds} histories: {tally:?}");
    tally
}

/// Draws the shape of a history that is too large for brute force.
pub(crate) fn middling_shape(random: &mut Random) -> Shape {
    Shape {
        operations: random.random_range(20..=300),
        clients: random.random_range(2..=30),
        unknown: *[0.0, 0.01, 0.1].choose(random).expect("there are some"),
        failed: *[0.0, 0.1].choose(random).expect("there are some"),
        eager: *[0.1, 0.5, 0.9].choose(random).expect("there are some"),
    }
}

/// Asserts that none of `rounds` correct histories from `make` is rejected. Returns how many were
/// accepted.
pub(crate) fn assert_none_rejected<M: Model>(
    rounds: u64,
    mut make: impl FnMut(&mut Random) -> (M, History<M::Op, M::Ret>),
) -> u64 {
    let mut right = 0;
    for seed in 0..rounds {
        let (model, history) = make(&mut random(seed));
        match decided(&model, &history) {
            Some(Verdict::Linearizable) => right += 1,
            None => {}
            Some(wrong) => panic!("seed {seed}: {wrong:?} {}", shown(&model, &history)),
        }
    }
    right
}
