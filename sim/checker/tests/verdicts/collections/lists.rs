//! Lists, compared with the definition, and large ones.

use quorate_checker::generate::{Random, Shape, history, random};
use quorate_checker::history::History;
use quorate_checker::models::{List, ListOp, ListRet};
use quorate_checker::value::ValueId;
use quorate_checker::verdict::Verdict;
use rand::RngExt;

use super::fuzz::{
    assert_none_rejected, compare_many, decided, middling_shape, mutated, rounds, small_shape,
};

const KEY: ValueId = ValueId(1);

fn list_history(
    random: &mut Random,
    shape: &Shape,
    reads: f64,
    repeats: f64,
) -> History<ListOp, ListRet> {
    let mut next = 1;
    let next_op = move |random: &mut Random| {
        if random.random_bool(reads) {
            return ListOp::Read { key: KEY };
        }
        if random.random_bool(repeats) {
            return ListOp::Append { key: KEY, value: ValueId(random.random_range(1..=next)) };
        }
        next += 1;
        ListOp::Append { key: KEY, value: ValueId(next - 1) }
    };
    let apply = |list: &mut Vec<ValueId>, op: &ListOp| match op {
        ListOp::Append { value, .. } => {
            list.push(*value);
            ListRet::Appended
        }
        ListOp::Read { .. } => ListRet::Items(list.clone().into_boxed_slice()),
    };
    history(random, shape, Vec::new(), next_op, apply)
}

fn redraw(random: &mut Random, _: &ListOp, ret: &ListRet) -> ListRet {
    let ListRet::Items(items) = ret else { return ret.clone() };
    let mut items = items.to_vec();
    let place = random.random_range(0..=items.len());
    match random.random_range(0..4) {
        0 => items.truncate(place),
        1 => items.insert(place, ValueId(random.random_range(1..6))),
        2 if place > 1 => items.swap(place - 1, place - 2),
        _ if place > 0 => drop(items.remove(place - 1)),
        _ => {}
    }
    ListRet::Items(items.into_boxed_slice())
}

#[test]
fn lists_are_decided_as_by_the_definition() {
    let tally = compare_many(rounds(20_000), |random| {
        let shape = small_shape(random);
        let repeats = if random.random_bool(0.2) { 0.2 } else { 0.0 };
        let made = list_history(random, &shape, 0.4, repeats);
        (List::default(), mutated(random, &made, redraw))
    });
    assert!(tally.right > tally.wrong / 5 && tally.wrong > tally.right / 10, "{tally:?}");
    assert!(tally.undecided < (tally.right + tally.wrong) / 5, "{tally:?}");
    assert!(tally.minimal == tally.wrong, "{tally:?}");
}

#[test]
fn large_lists_are_decided() {
    for (seed, clients, unknown) in [(1, 2, 0.0), (2, 20, 0.02), (3, 100, 0.1)] {
        let shape = Shape { operations: 2000, clients, unknown, failed: 0.05, eager: 0.5 };
        let made = list_history(&mut random(seed), &shape, 0.2, 0.0);
        assert_eq!(decided(&List::default(), &made), Some(Verdict::Linearizable), "{shape:?}");
    }
}

#[test]
fn correct_lists_are_accepted() {
    let right = assert_none_rejected(rounds(500), |random| {
        let shape = middling_shape(random);
        (List::default(), list_history(random, &shape, 0.3, 0.0))
    });
    assert_eq!(right, rounds(500));
}
