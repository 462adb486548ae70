//! Compares the near-linear checks with the definition, on small histories: the verdicts agree, and
//! every counterexample proves its violation.

use quorate_checker::brute_force;
use quorate_checker::budget::Budget;
use quorate_checker::check::affects_verdict;
use quorate_checker::generate::{Random, Shape, history, random};
use quorate_checker::history::{History, OpId, Outcome, Subhistory};
use quorate_checker::model::Model;
use quorate_checker::models::{Kv, KvCall, KvOp, KvRet, Register, RegisterOp, RegisterRet};
use quorate_checker::value::{Value, ValueId};
use quorate_checker::verdict::{Counterexample, Verdict};
use rand::RngExt;

/// Returns the number of histories of each kind: `QUORATE_CASES`, or 4,000.
fn cases() -> u64 {
    std::env::var("QUORATE_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(4_000)
}

/// Returns the operations that can affect the verdict.
fn relevant<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> Vec<OpId> {
    let operations = (0..).map(OpId).zip(history.operations());
    operations
        .filter(|(_, operation)| affects_verdict(model, operation))
        .map(|(id, _)| id)
        .collect()
}

fn holds<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> bool {
    brute_force::linearizable(model, Subhistory::new(history, &relevant(model, history)))
}

/// Returns `history` in which only the outcomes of `known` are known.
fn only<O: Clone, R: Clone>(history: &History<O, R>, known: &[OpId]) -> History<O, R> {
    history.with_outcomes(|id, operation| match &operation.outcome {
        Outcome::Returned { .. } if !known.contains(&id) => Outcome::Unknown,
        other => other.clone(),
    })
}

/// Checks that `counterexample` proves that `history` is not linearizable, and that it is minimal
/// if it is marked so.
fn assert_proof<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    counterexample: &Counterexample,
) {
    let all = &counterexample.operations;
    assert!(all.is_sorted(), "{counterexample:?}");
    assert!(!holds(model, &only(history, all)), "{counterexample:?} proves nothing of {history:?}");
    for left_out in all.iter().filter(|_| counterexample.minimal) {
        let rest: Vec<OpId> = all.iter().copied().filter(|id| id != left_out).collect();
        let rest = only(history, &rest);
        assert!(
            holds(model, &rest),
            "{counterexample:?} does not need {left_out:?} in {history:?}"
        );
    }
}

/// The numbers of verdicts of the checks.
#[derive(Debug, Default)]
struct Tally {
    right: u64,
    wrong: u64,
    undecided: u64,
    /// The number of counterexamples that are marked as minimal.
    minimal: u64,
    /// The number of operations of the longest counterexample.
    longest: usize,
}

impl Tally {
    fn decide<M: Model>(&mut self, model: &M, history: &History<M::Op, M::Ret>) {
        let ids = relevant(model, history);
        let part = Subhistory::new(history, &ids);
        match model.decide(part, &Budget::default()) {
            None => self.undecided += 1,
            Some(Verdict::Linearizable) => {
                assert!(
                    brute_force::linearizable(model, part),
                    "wrong, but found right: {history:?}"
                );
                self.right += 1;
            }
            Some(Verdict::NotLinearizable(counterexample)) => {
                let holds = brute_force::linearizable(model, part);
                assert!(!holds, "right, but found wrong: {counterexample:?} {history:?}");
                assert_proof(model, history, &counterexample);
                self.wrong += 1;
                self.minimal += u64::from(counterexample.minimal);
                self.longest = self.longest.max(counterexample.operations.len());
            }
            Some(Verdict::Unknown(_)) => panic!("it searches nothing"),
        }
    }
}

/// The parameters of a random history of a register.
#[derive(Clone, Copy)]
struct Workload {
    /// The share of compare-and-sets, and of those that expect an arbitrary value.
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

/// Generates a history of a register, then changes some results.
fn register(random: &mut Random, with: Workload) -> History<RegisterOp, RegisterRet> {
    let shape = shape(random);
    let mut last = 0;
    let next_op = |random: &mut Random| {
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
            return RegisterOp::Cas { from: ValueId(from), to: ValueId(fresh) };
        }
        if random.random_bool(0.5) {
            return RegisterOp::Read;
        }
        last = fresh;
        RegisterOp::Write(ValueId(fresh))
    };
    let made = history(random, &shape, ValueId::NULL, next_op, |state, op| match *op {
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
                RegisterRet::Value(_) => RegisterRet::Value(ValueId(random.random_range(0..5))),
                RegisterRet::Swapped(swapped) => RegisterRet::Swapped(!swapped),
            };
            Outcome::Returned { at, ret }
        }
        other => other,
    })
}

/// Decides many histories of registers with the parameters `with`.
fn tally(seed: u64, with: Workload) -> Tally {
    let mut tally = Tally::default();
    let mut random = random(seed);
    for _ in 0..cases() {
        tally.decide(&Register::default(), &register(&mut random, with));
    }
    println!("{tally:?}");
    tally
}

const PLAIN: Workload = Workload { swaps: 0.0, guesses: 0.0, unique: true, changed: 0.2 };

#[test]
fn registers_with_unique_values_are_always_decided() {
    let tally = tally(1, PLAIN);
    assert_eq!(tally.undecided, 0);
    assert!(tally.right > cases() / 4 && tally.wrong > cases() / 6, "{tally:?}");
    assert_eq!(tally.minimal, tally.wrong);
    assert!(tally.longest <= 5, "{tally:?}");
}

#[test]
fn most_registers_with_compare_and_set_are_decided() {
    let tally = tally(2, Workload { swaps: 0.5, guesses: 0.1, ..PLAIN });
    assert!(tally.undecided < cases() / 2, "{tally:?}");
    assert!(tally.right > cases() / 10 && tally.wrong > cases() / 10, "{tally:?}");
    assert!(tally.minimal > tally.wrong / 4, "{tally:?}");
    assert!(tally.longest <= 5, "{tally:?}");
}

#[test]
fn registers_with_repeated_values_may_stay_undecided() {
    let tally = tally(3, Workload { swaps: 0.2, guesses: 0.5, unique: false, changed: 0.1 });
    assert!(tally.undecided > cases() / 10, "{tally:?}");
    assert!(tally.right > 0 && tally.wrong > 0, "{tally:?}");
}

/// Distinct texts to put and append, of which none is a prefix of another.
const CLEAR: [&str; 12] =
    ["a;", "b;", "ab;", "ba;", "aab;", "c;", "aaaaaaaa1;", "aaaaaaaa2;", "d;", "e;", "f;", "g;"];
/// Texts that several operations put or append.
const REPEATED: [&str; 12] =
    ["a;", "b;", "a;", "c;", "a;", "c;", "b;", "a;", "d;", "d;", "e;", "a;"];
/// Texts that two operations each put or append.
const PAIRED: [&str; 12] = ["a;", "b;", "b;", "a;", "c;", "d;", "c;", "e;", "f;", "e;", "d;", "f;"];
/// Texts of which some are prefixes of others, so that a concatenation may have several parses.
const BLURRED: [&str; 12] = ["a", "b", "ab", "ba", "c", "cc", "d", "e", "f", "g", "h", "i"];

/// Generates a history of one key with appends, then changes some results.
fn appends(random: &mut Random, kv: &Kv, texts: &[&str]) -> History<KvOp, KvRet> {
    let shape = shape(random);
    let puts = [0.0, 0.2][random.random_range(0..2)];
    let mut left = texts.iter();
    let next_op = |random: &mut Random| {
        let fresh = |text: Option<&&str>| kv.values.intern(*text.unwrap_or(&"z;"));
        let call = match random.random_bool(0.5) {
            true => KvCall::Get,
            false if random.random_bool(puts) => KvCall::Put(fresh(left.next())),
            false => KvCall::Append(fresh(left.next())),
        };
        KvOp { key: ValueId::NULL, call }
    };
    let mut seen = vec![kv.init.others];
    let made = history(random, &shape, kv.init(), next_op, |state, op| {
        let now = kv.value_in(state, op.key);
        seen.push(now);
        let ret = if op.call == KvCall::Get { KvRet::Value(now) } else { KvRet::Written };
        *state = kv.step(state, op, Some(&ret)).expect("the result is the right one");
        ret
    });
    let changed = [0.0, 0.15][random.random_range(0..2)];
    made.with_outcomes(|_, operation| match operation.outcome {
        Outcome::Returned { at, ret: KvRet::Value(value) } if random.random_bool(changed) => {
            let Value::Text(text) = kv.values.resolve(value) else { return Outcome::Unknown };
            let other = texts[random.random_range(0..texts.len() / 2)];
            let value = match random.random_range(0..4) {
                0 => kv.values.intern(Value::Text(text + other)),
                1 => kv.values.intern(other),
                2 => kv.values.intern(&text[..random.random_range(0..=text.len())]),
                _ => seen[random.random_range(0..seen.len())],
            };
            Outcome::Returned { at, ret: KvRet::Value(value) }
        }
        other => other,
    })
}

fn tally_appends(seed: u64, texts: &[&str], init: &Value) -> Tally {
    let mut tally = Tally::default();
    let mut random = random(seed);
    let kv = Kv::default();
    let kv = Kv { init: kv.values.intern(init.clone()).into(), ..kv };
    for _ in 0..cases() / 2 {
        tally.decide(&kv, &appends(&mut random, &kv, texts));
    }
    println!("{tally:?}");
    tally
}

#[test]
fn appends_of_unique_texts_are_always_decided() {
    for init in [Value::Null, Value::from(""), Value::from("bb;")] {
        let tally = tally_appends(4, &CLEAR, &init);
        assert_eq!(tally.undecided, 0);
        assert!(tally.right > cases() / 8 && tally.wrong > cases() / 32, "{tally:?}");
        assert_eq!(tally.minimal, tally.wrong);
        assert!(tally.longest <= 5, "{tally:?}");
    }
}

#[test]
fn most_appends_of_repeated_texts_are_decided() {
    for init in [Value::Null, Value::from("bb;")] {
        let tally = tally_appends(6, &REPEATED, &init);
        assert!(tally.undecided < cases() / 10, "{tally:?}");
        assert!(tally.right > cases() / 8 && tally.wrong > cases() / 64, "{tally:?}");
        assert!(tally.minimal > tally.wrong / 2, "{tally:?}");
    }
}

#[test]
fn most_texts_both_put_and_appended_are_decided() {
    for init in [Value::Null, Value::from(""), Value::from("bb;")] {
        let tally = tally_appends(7, &PAIRED, &init);
        assert!(tally.undecided < cases() / 10, "{tally:?}");
        assert!(tally.right > cases() / 8 && tally.wrong > cases() / 64, "{tally:?}");
        assert!(tally.minimal > tally.wrong / 2, "{tally:?}");
    }
}

#[test]
fn texts_with_several_parses_may_stay_undecided() {
    let tally = tally_appends(5, &BLURRED, &Value::from(""));
    assert!(tally.undecided > cases() / 20, "{tally:?}");
    assert!(tally.right > 0 && tally.wrong > 0, "{tally:?}");
}
