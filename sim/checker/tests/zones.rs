//! The near-linear checks against the definition, on small histories of every kind: the same
//! verdict, and evidence that is what it says it is.

use quorate_checker::brute;
use quorate_checker::budget::Budget;
use quorate_checker::check::tells;
use quorate_checker::generate::{Random, Shape, history, random};
use quorate_checker::history::{History, OpId, Outcome, Part};
use quorate_checker::model::Model;
use quorate_checker::models::{Kv, KvCall, KvOp, KvRet, Register, RegisterOp, RegisterRet};
use quorate_checker::value::{Datum, Value};
use quorate_checker::verdict::{Evidence, Verdict};
use rand::RngExt;

/// How many histories of each kind: `QUORATE_CASES`, or few.
fn cases() -> u64 {
    std::env::var("QUORATE_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(4_000)
}

/// The operations that say something.
fn telling<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> Vec<OpId> {
    let operations = (0..).map(OpId).zip(history.operations());
    operations.filter(|(_, operation)| tells(model, operation)).map(|(id, _)| id).collect()
}

fn holds<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> bool {
    brute::linearizable(model, Part::new(history, &telling(model, history)))
}

/// `history`, where only the outcomes of `known` are known.
fn only<O: Clone, R: Clone>(history: &History<O, R>, known: &[OpId]) -> History<O, R> {
    history.with_outcomes(|id, operation| match &operation.outcome {
        Outcome::Returned { .. } if !known.contains(&id) => Outcome::Unknown,
        other => other.clone(),
    })
}

/// That `evidence` proves `history` wrong, and that all of it is needed if it says so.
fn assert_proof<M: Model>(model: &M, history: &History<M::Op, M::Ret>, evidence: &Evidence) {
    let all = &evidence.operations;
    assert!(all.is_sorted(), "{evidence:?}");
    assert!(!holds(model, &only(history, all)), "{evidence:?} proves nothing of {history:?}");
    for left_out in all.iter().filter(|_| evidence.minimal) {
        let rest: Vec<OpId> = all.iter().copied().filter(|id| id != left_out).collect();
        let rest = only(history, &rest);
        assert!(holds(model, &rest), "{evidence:?} does not need {left_out:?} in {history:?}");
    }
}

/// What the checks said.
#[derive(Debug, Default)]
struct Tally {
    right: u64,
    wrong: u64,
    silent: u64,
    minimal: u64,
    longest: usize,
}

impl Tally {
    fn decide<M: Model>(&mut self, model: &M, history: &History<M::Op, M::Ret>) {
        let ids = telling(model, history);
        let part = Part::new(history, &ids);
        match model.decide(part, &Budget::default()) {
            None => self.silent += 1,
            Some(Verdict::Linearizable) => {
                assert!(brute::linearizable(model, part), "wrong, but found right: {history:?}");
                self.right += 1;
            }
            Some(Verdict::NotLinearizable(evidence)) => {
                let holds = brute::linearizable(model, part);
                assert!(!holds, "right, but found wrong: {evidence:?} {history:?}");
                assert_proof(model, history, &evidence);
                self.wrong += 1;
                self.minimal += u64::from(evidence.minimal);
                self.longest = self.longest.max(evidence.operations.len());
            }
            Some(Verdict::Unknown(_)) => panic!("it searches nothing"),
        }
    }
}

/// How a random register is used.
#[derive(Clone, Copy)]
struct Use {
    /// The share of compare-and-sets, and of those that look for any value at all.
    swaps: f64,
    guesses: f64,
    /// Whether every value is written once.
    unique: bool,
    /// The share of results that are changed.
    changed: f64,
}

fn shape(random: &mut Random) -> Shape {
    Shape {
        operations: random.random_range(2..11),
        clients: random.random_range(1..6),
        unknown: [0.0, 0.1, 0.4][random.random_range(0..3)],
        failed: 0.02,
        eager: [0.9, 0.5, 0.2][random.random_range(0..3)],
    }
}

/// A history of a register, and then some results changed.
fn register(random: &mut Random, with: Use) -> History<RegisterOp, RegisterRet> {
    let shape = shape(random);
    let mut last = 0;
    let ask = |random: &mut Random| {
        let fresh = match with.unique {
            true => last + 1,
            false => random.random_range(0..4),
        };
        if random.random_bool(with.swaps) {
            let from = match random.random_bool(with.guesses) {
                true => random.random_range(0..=last + 1),
                false => last,
            };
            last = fresh;
            return RegisterOp::Cas { from: Value(from), to: Value(fresh) };
        }
        if random.random_bool(0.5) {
            return RegisterOp::Read;
        }
        last = fresh;
        RegisterOp::Write(Value(fresh))
    };
    let made = history(random, &shape, Value::NULL, ask, |state, op| match *op {
        RegisterOp::Read => RegisterRet::Value(*state),
        RegisterOp::Write(value) => {
            *state = value;
            RegisterRet::Written
        }
        RegisterOp::Cas { from, to } => {
            let swapped = *state == from;
            *state = if swapped { to } else { *state };
            RegisterRet::Swapped(swapped)
        }
    });
    made.with_outcomes(|_, operation| match operation.outcome {
        Outcome::Returned { at, ret } if random.random_bool(with.changed) => {
            let ret = match ret {
                RegisterRet::Written => ret,
                RegisterRet::Value(_) => RegisterRet::Value(Value(random.random_range(0..5))),
                RegisterRet::Swapped(swapped) => RegisterRet::Swapped(!swapped),
            };
            Outcome::Returned { at, ret }
        }
        other => other,
    })
}

/// Decides many histories of registers used like this.
fn tally(seed: u64, with: Use) -> Tally {
    let mut tally = Tally::default();
    let mut random = random(seed);
    for _ in 0..cases() {
        tally.decide(&Register::default(), &register(&mut random, with));
    }
    println!("{tally:?}");
    tally
}

const PLAIN: Use = Use { swaps: 0.0, guesses: 0.0, unique: true, changed: 0.2 };

#[test]
fn registers_with_unique_values() {
    let tally = tally(1, PLAIN);
    assert_eq!(tally.silent, 0);
    assert!(tally.right > cases() / 4 && tally.wrong > cases() / 6, "{tally:?}");
    assert_eq!(tally.minimal, tally.wrong);
    assert!(tally.longest <= 5, "{tally:?}");
}

#[test]
fn registers_that_compare_and_set() {
    let tally = tally(2, Use { swaps: 0.5, guesses: 0.1, ..PLAIN });
    assert!(tally.silent < cases() / 2, "{tally:?}");
    assert!(tally.right > cases() / 10 && tally.wrong > cases() / 10, "{tally:?}");
    assert!(tally.minimal > tally.wrong / 4, "{tally:?}");
    assert!(tally.longest <= 5, "{tally:?}");
}

#[test]
fn registers_whose_values_repeat() {
    let tally = tally(3, Use { swaps: 0.2, guesses: 0.5, unique: false, changed: 0.1 });
    assert!(tally.silent > cases() / 10, "{tally:?}");
    assert!(tally.right > 0 && tally.wrong > 0, "{tally:?}");
}

/// What is put and appended: texts none of which begins another, or any.
const CLEAR: [&str; 12] =
    ["a;", "b;", "ab;", "ba;", "aab;", "c;", "aaaaaaaa1;", "aaaaaaaa2;", "d;", "e;", "f;", "g;"];
const REPEATED: [&str; 12] =
    ["a;", "b;", "a;", "c;", "a;", "c;", "b;", "a;", "d;", "d;", "e;", "a;"];
const PAIRED: [&str; 12] = ["a;", "b;", "b;", "a;", "c;", "d;", "c;", "e;", "f;", "e;", "d;", "f;"];
const BLURRED: [&str; 12] = ["a", "b", "ab", "ba", "c", "cc", "d", "e", "f", "g", "h", "i"];

/// A history of one key to which texts are appended, and then some results changed.
fn appends(random: &mut Random, kv: &Kv, texts: &[&str]) -> History<KvOp, KvRet> {
    let shape = shape(random);
    let puts = [0.0, 0.2][random.random_range(0..2)];
    let mut left = texts.iter();
    let ask = |random: &mut Random| {
        let fresh = |text: Option<&&str>| kv.values.of(*text.unwrap_or(&"z;"));
        let call = match random.random_bool(0.5) {
            true => KvCall::Get,
            false if random.random_bool(puts) => KvCall::Put(fresh(left.next())),
            false => KvCall::Append(fresh(left.next())),
        };
        KvOp { key: Value::NULL, call }
    };
    let mut seen = vec![kv.init];
    let made = history(random, &shape, kv.init(), ask, |state, op| {
        let now = state.get(&op.key).copied().unwrap_or(kv.init);
        seen.push(now);
        let ret = if op.call == KvCall::Get { KvRet::Value(now) } else { KvRet::Written };
        *state = kv.step(state, op, Some(&ret)).expect("it returns what it has");
        ret
    });
    let changed = [0.0, 0.15][random.random_range(0..2)];
    made.with_outcomes(|_, operation| match operation.outcome {
        Outcome::Returned { at, ret: KvRet::Value(value) } if random.random_bool(changed) => {
            let Datum::Text(text) = kv.values.datum(value) else { return Outcome::Unknown };
            let other = texts[random.random_range(0..texts.len() / 2)];
            let value = match random.random_range(0..4) {
                0 => kv.values.of(Datum::Text(text + other)),
                1 => kv.values.of(other),
                2 => kv.values.of(&text[..random.random_range(0..=text.len())]),
                _ => seen[random.random_range(0..seen.len())],
            };
            Outcome::Returned { at, ret: KvRet::Value(value) }
        }
        other => other,
    })
}

fn tally_appends(seed: u64, texts: &[&str], init: &Datum) -> Tally {
    let mut tally = Tally::default();
    let mut random = random(seed);
    let kv = Kv::default();
    let kv = Kv { init: kv.values.of(init.clone()), ..kv };
    for _ in 0..cases() / 2 {
        tally.decide(&kv, &appends(&mut random, &kv, texts));
    }
    println!("{tally:?}");
    tally
}

#[test]
fn texts_that_grow() {
    for init in [Datum::Null, Datum::from(""), Datum::from("bb;")] {
        let tally = tally_appends(4, &CLEAR, &init);
        assert_eq!(tally.silent, 0);
        assert!(tally.right > cases() / 8 && tally.wrong > cases() / 32, "{tally:?}");
        assert_eq!(tally.minimal, tally.wrong);
        assert!(tally.longest <= 5, "{tally:?}");
    }
}

#[test]
fn texts_that_grow_by_the_same_more_than_once() {
    for init in [Datum::Null, Datum::from("bb;")] {
        let tally = tally_appends(6, &REPEATED, &init);
        assert!(tally.silent < cases() / 10, "{tally:?}");
        assert!(tally.right > cases() / 8 && tally.wrong > cases() / 64, "{tally:?}");
        assert!(tally.minimal > tally.wrong / 2, "{tally:?}");
    }
}

#[test]
fn texts_that_are_put_and_appended() {
    for init in [Datum::Null, Datum::from(""), Datum::from("bb;")] {
        let tally = tally_appends(7, &PAIRED, &init);
        assert!(tally.silent < cases() / 10, "{tally:?}");
        assert!(tally.right > cases() / 8 && tally.wrong > cases() / 64, "{tally:?}");
        assert!(tally.minimal > tally.wrong / 2, "{tally:?}");
    }
}

#[test]
fn texts_that_may_be_taken_apart_in_several_ways() {
    let tally = tally_appends(5, &BLURRED, &Datum::from(""));
    assert!(tally.silent > cases() / 20, "{tally:?}");
    assert!(tally.right > 0 && tally.wrong > 0, "{tally:?}");
}
