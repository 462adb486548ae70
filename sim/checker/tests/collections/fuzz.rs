//! Small histories, right and wrong, and what must hold of every verdict on them.

use quorate_checker::brute;
use quorate_checker::budget::Budget;
use quorate_checker::check::tells;
use quorate_checker::generate::{Random, Shape, random};
use quorate_checker::history::{Client, History, Moment, OpId, Operation, Outcome, Part};
use quorate_checker::model::Model;
use quorate_checker::verdict::{Evidence, Verdict};
use rand::RngExt;
use rand::seq::IndexedRandom;

/// How often each verdict was come to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) right: u32,
    pub(crate) wrong: u32,
    pub(crate) minimal: u32,
    pub(crate) undecided: u32,
}

/// How many histories to try, if `usual` is what every run of the tests tries.
pub(crate) fn rounds(usual: u64) -> u64 {
    let asked = std::env::var("CHECKER_FUZZ_ROUNDS").ok();
    asked.map_or(usual, |asked| asked.parse().expect("CHECKER_FUZZ_ROUNDS is a number"))
}

/// The operations of `history` that a check looks at: as `check` chooses them.
fn told<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> Vec<OpId> {
    let operations = (0..).map(OpId).zip(history.operations());
    operations.filter(|(_, operation)| tells(model, operation)).map(|(id, _)| id).collect()
}

/// What the model's own check says of `history`.
pub(crate) fn decided<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> Option<Verdict> {
    let ids = told(model, history);
    model.decide(Part::new(history, &ids), &Budget::default())
}

fn holds<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> bool {
    let ids = told(model, history);
    brute::linearizable(model, Part::new(history, &ids))
}

/// Asserts that the model's own check is right about `history`, and its evidence is evidence.
pub(crate) fn compare<M: Model>(model: &M, history: &History<M::Op, M::Ret>, tally: &mut Tally) {
    match decided(model, history) {
        None => tally.undecided += 1,
        Some(Verdict::Linearizable) => {
            assert!(holds(model, history), "not linearizable: {}", shown(model, history));
            tally.right += 1;
        }
        Some(Verdict::NotLinearizable(evidence)) => {
            assert!(!holds(model, history), "{evidence:?} {}", shown(model, history));
            assert_evidence(model, history, &evidence);
            tally.wrong += 1;
            tally.minimal += u32::from(evidence.minimal);
        }
        Some(Verdict::Unknown(exhausted)) => panic!("{exhausted:?}"),
    }
}

fn assert_evidence<M: Model>(model: &M, history: &History<M::Op, M::Ret>, evidence: &Evidence) {
    let told_without = |left_out: Option<OpId>| {
        let weaker = history.with_outcomes(|id, operation| {
            let kept = evidence.operations.contains(&id) && left_out != Some(id);
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
    assert!(evidence.operations.is_sorted());
    assert!(!evidence.because.is_empty());
    assert!(!told_without(None), "no evidence: {evidence:?} {}", shown(model, history));
    if evidence.minimal {
        for id in &evidence.operations {
            let less = told_without(Some(*id));
            assert!(less, "not minimal: {id:?} of {evidence:?} {}", shown(model, history));
        }
    }
}

/// `history` in words, one operation a line.
fn shown<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> String {
    let mut words = String::new();
    for (id, operation) in history.operations().iter().enumerate() {
        let ret = operation.ret().map(|ret| model.ret_words(&operation.op, ret));
        let (call, span) = (model.call_words(&operation.op), operation.invoked.0);
        words += &format!("\n{id}: {call} -> {ret:?} [{span}, {:?}]", operation.returned());
    }
    words
}

/// Shapes of small histories, every kind of them.
pub(crate) fn small_shape(random: &mut Random) -> Shape {
    Shape {
        operations: random.random_range(3..=9),
        clients: random.random_range(2..=5),
        unknown: *[0.0, 0.0, 0.05, 0.2].choose(random).expect("there are some"),
        failed: *[0.0, 0.0, 0.1].choose(random).expect("there are some"),
        eager: *[0.2, 0.5, 0.9].choose(random).expect("there are some"),
    }
}

/// `history` with something changed: results swapped, repeated or `redrawn`, an operation dropped,
/// events in another order.
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

/// `operations` with `swaps` events swapped with their neighbours; each has a client of its own.
fn reordered<O: Clone, R: Clone>(
    random: &mut Random,
    operations: Vec<Operation<O, R>>,
    swaps: u32,
) -> History<O, R> {
    let mut events: Vec<(Moment, usize)> = Vec::new();
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
    for (moment, (_, of)) in (0..).map(Moment).zip(events) {
        match places[of] {
            None => {
                places[of] = Some(again.len());
                let client = Client(u32::try_from(again.len()).expect("few"));
                again.push(Operation { client, invoked: moment, ..operations[of].clone() });
            }
            Some(place) => {
                if let Outcome::Returned { at, .. } = &mut again[place].outcome {
                    *at = moment;
                }
            }
        }
    }
    History::new(again).expect("events in any order are a history")
}

/// Compares on `rounds` histories that `make` makes, and says what came of it.
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

/// Shapes of histories too large for the definition.
pub(crate) fn middling_shape(random: &mut Random) -> Shape {
    Shape {
        operations: random.random_range(20..=300),
        clients: random.random_range(2..=30),
        unknown: *[0.0, 0.01, 0.1].choose(random).expect("there are some"),
        failed: *[0.0, 0.1].choose(random).expect("there are some"),
        eager: *[0.1, 0.5, 0.9].choose(random).expect("there are some"),
    }
}

/// Asserts that none of `rounds` histories that `make` makes, all right, is called wrong, and says
/// how many were called right.
pub(crate) fn none_called_wrong<M: Model>(
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
