//! Compares the search and the whole check with brute force, on many small histories, correct and
//! with changed results.
//!
//! `cargo test` tries some thousands of seeds. The long run takes its seeds from the environment:
//! `DIFFERENTIAL_SEEDS=0..1000000 cargo test --release -p quorate-checker differential --
//! --ignored`.

mod edges;
mod objects;

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use quorate_checker::brute_force;
use quorate_checker::budget::Budget;
use quorate_checker::check::{check, check_without_decide};
use quorate_checker::generate::Shape;
use quorate_checker::generate::{Random, random};
use quorate_checker::history::{Client, History, OpId, Operation, Outcome, Subhistory};
use quorate_checker::model::Model;
use quorate_checker::search::{Traversal, TrustedHints, search_by};
use quorate_checker::verdict::{Counterexample, Verdict};
use rand::RngExt;

/// A model with generators of operations and results.
pub(crate) trait Subject: Model {
    /// Draws an operation, with the number of distinct values that `mix` allows.
    fn draw_op(&self, random: &mut Random, mix: &Mix) -> Self::Op;

    /// Returns the correct result of `op` in `state`.
    fn result(&self, state: &Self::State, op: &Self::Op) -> Self::Ret;

    /// Draws a result of `op` that may be wrong.
    fn wrong_result(&self, random: &mut Random, mix: &Mix, op: &Self::Op) -> Self::Ret;
}

/// The parameters of a random history.
#[derive(Debug)]
pub(crate) struct Mix {
    pub(crate) shape: Shape,
    /// The number of distinct values, or `None` if every written value is new.
    pub(crate) values: Option<u32>,
    pub(crate) cas: f64,
    pub(crate) reads: f64,
    pub(crate) changed: f64,
    /// The next new value.
    pub(crate) next: std::cell::Cell<u32>,
}

impl Mix {
    fn new(random: &mut Random, operations: Range<u32>) -> Mix {
        let clients = random.random_range(2..9);
        let share = |random: &mut Random, of: f64| match random.random_bool(0.4) {
            true => 0.0,
            false => random.random_range(0.0..of),
        };
        let shape = Shape {
            operations: random.random_range(operations),
            clients,
            unknown: share(random, 0.5),
            failed: share(random, 0.1),
            eager: [0.1, 0.5, 0.9][random.random_range(0..3)],
        };
        Mix {
            shape,
            values: random.random_bool(0.7).then(|| random.random_range(2..6)),
            cas: share(random, 0.7),
            reads: random.random_range(0.1..0.7),
            changed: share(random, 0.2),
            next: std::cell::Cell::new(1),
        }
    }

    /// Draws a value to write.
    pub(crate) fn fresh(&self, random: &mut Random) -> u32 {
        let next = self.next.get();
        self.next.set(next + 1);
        self.values.map_or(next, |values| random.random_range(0..values))
    }

    /// Draws a value that may have been written.
    pub(crate) fn stale(&self, random: &mut Random) -> u32 {
        let values = self.values.unwrap_or(self.next.get() + 1);
        random.random_range(values.saturating_sub(6)..values)
    }
}

fn history_of<S: Subject>(model: &S, random: &mut Random, mix: &Mix) -> History<S::Op, S::Ret> {
    let apply = |state: &mut S::State, op: &S::Op| {
        let ret = model.result(state, op);
        if let Some(after) = model.step(state, op, Some(&ret)) {
            *state = after;
        }
        ret
    };
    let next_op = |random: &mut Random| model.draw_op(random, mix);
    let made = quorate_checker::generate::history(random, &mix.shape, model.init(), next_op, apply);
    made.with_outcomes(|_, operation| match &operation.outcome {
        Outcome::Returned { at, .. } if random.random_bool(mix.changed) => {
            Outcome::Returned { at: *at, ret: model.wrong_result(random, mix, &operation.op) }
        }
        other => other.clone(),
    })
}

fn not_failed<O, R>(history: &History<O, R>) -> Vec<OpId> {
    let has_effect = |(id, operation): (u32, &Operation<O, R>)| {
        (!matches!(operation.outcome, Outcome::Failed)).then_some(OpId(id))
    };
    (0..).zip(history.operations()).filter_map(has_effect).collect()
}

fn brute_force<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> bool {
    brute_force::linearizable(model, Subhistory::new(history, &not_failed(history)))
}

/// An algorithm that decides a history.
#[derive(Clone, Copy)]
enum Algorithm {
    Check,
    SearchOfKeys,
    Search(TrustedHints, Traversal),
}

impl Algorithm {
    fn name(self) -> String {
        match self {
            Algorithm::Check => "check".to_owned(),
            Algorithm::SearchOfKeys => "search of keys".to_owned(),
            Algorithm::Search(trusted, order) => format!("search {trusted:?} {order:?}"),
        }
    }
}

const TRUSTS: [TrustedHints; 3] = [TrustedHints::All, TrustedHints::Effects, TrustedHints::None];
const ORDERS: [Traversal; 3] = [Traversal::DepthFirst, Traversal::Layered, Traversal::Combined];

/// Returns the verdicts of all algorithms on `history`. If a search covers several keys, it uses no
/// hints.
fn verdicts<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> Vec<(Algorithm, Verdict)> {
    let budget = Budget::default();
    let ids = not_failed(history);
    let part = Subhistory::new(history, &ids);
    let keys = |id: &OpId| model.key(&history.operation(*id).op);
    let one_key = ids.windows(2).all(|two| keys(&two[0]) == keys(&two[1]));
    let mut verdicts = vec![
        (Algorithm::Check, check(model, history, &budget)),
        (Algorithm::SearchOfKeys, check_without_decide(model, history, &budget)),
    ];
    for trusted in TRUSTS {
        for order in ORDERS {
            if one_key || trusted == TrustedHints::None {
                let verdict = search_by(model, part, &budget, trusted, order);
                verdicts.push((Algorithm::Search(trusted, order), verdict));
            }
        }
    }
    verdicts
}

/// Returns `history` in which only the outcomes of `known`, of all operations that returned, are
/// known.
fn only<O: Clone, R: Clone>(history: &History<O, R>, known: &[OpId]) -> History<O, R> {
    history.with_outcomes(|id, operation| match &operation.outcome {
        Outcome::Returned { .. } if !known.contains(&id) => Outcome::Unknown,
        other => other.clone(),
    })
}

fn without(ids: &[OpId], out: OpId) -> Vec<OpId> {
    ids.iter().copied().filter(|id| *id != out).collect()
}

fn compare<S: Subject>(model: &S, seed: u64, operations: Range<u32>) -> bool {
    let mut random = random(seed);
    let mix = Mix::new(&mut random, operations);
    let history = history_of(model, &mut random, &mix);
    let context = || format!("seed {seed}: {mix:?}");
    agree(model, &history, &context)
}

/// Asserts that all algorithms agree with brute force on `history`, and that their counterexamples
/// prove the violation. Returns true if the history is linearizable.
fn agree<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    about: &dyn Fn() -> String,
) -> bool {
    let expected = brute_force(model, history);
    // Most algorithms find the same counterexample.
    let mut checked: BTreeMap<Vec<OpId>, bool> = BTreeMap::new();
    let mut is_good = |known: Vec<OpId>| {
        let tries = |known: &Vec<OpId>| brute_force(model, &only(history, known));
        *checked.entry(known).or_insert_with_key(tries)
    };
    for (algorithm, verdict) in verdicts(model, history) {
        let context = || format!("{}, {}:\n{}", about(), algorithm.name(), print(model, history));
        match &verdict {
            Verdict::Linearizable => assert!(expected, "a bad one is missed: {}", context()),
            Verdict::NotLinearizable(counterexample) => {
                assert!(!expected, "a linearizable history is rejected: {}", context());
                let Counterexample { operations, minimal, .. } = counterexample;
                let proves = !is_good(operations.clone());
                assert!(proves, "no proof: {counterexample:?} {}", context());
                let needed = |id: &OpId| {
                    let less = is_good(without(operations, *id));
                    assert!(less, "not minimal: {id:?} of {counterexample:?} {}", context());
                };
                let returned = |id: &&OpId| history.operation(**id).returned();
                match algorithm {
                    _ if *minimal => operations.iter().for_each(needed),
                    // The operations are all that returned in the shortest prefix that no order
                    // explains, so only the last of them is certainly needed.
                    Algorithm::Search(TrustedHints::All, _) => {
                        operations.iter().max_by_key(returned).into_iter().for_each(needed);
                    }
                    _ => {}
                }
            }
            Verdict::Unknown(exhausted) => panic!("{exhausted:?}: {}", context()),
        }
    }
    expected
}

fn print<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> String {
    let line = |(id, operation): (u32, &Operation<M::Op, M::Ret>)| {
        let call = model.describe_op(&operation.op);
        let Client(client) = operation.client;
        format!("{id} c{client} {call} {:?} {:?}\n", operation.invoked, operation.outcome)
    };
    (0..).zip(history.operations()).map(line).collect()
}

/// Compares the algorithms on the histories of `seeds`.
fn try_seeds<S: Subject>(model: &S, seeds: Range<u64>, operations: Range<u32>) {
    let count = seeds.end - seeds.start;
    let good = seeds.filter(|seed| compare(model, *seed, operations.clone())).count() as u64;
    assert_fair(good, count);
}

/// Checks that a fair share of the histories is linearizable, and a fair share is not.
fn assert_fair(good: u64, count: u64) {
    assert!(count < 100 || good * 20 > count && good * 20 < count * 19, "{good} of {count}");
}

#[test]
fn registers_are_decided_as_by_brute_force() {
    try_seeds(&objects::register(), 0..4000, 4..15);
}

#[test]
fn keys_and_values_are_decided_as_by_brute_force() {
    try_seeds(&objects::kv(), 0..2000, 4..18);
    try_seeds(&objects::appending(), 0..500, 4..14);
}

#[test]
fn collections_are_decided_as_by_brute_force() {
    try_seeds(&objects::queue(), 0..1000, 4..10);
    try_seeds(&objects::stack(), 0..1000, 4..10);
    try_seeds(&objects::set(), 0..1000, 4..16);
    try_seeds(&objects::list(), 0..1000, 4..10);
}

#[test]
fn other_objects_are_decided_as_by_brute_force() {
    try_seeds(&objects::counter(), 0..1000, 4..14);
    try_seeds(&objects::lock(), 0..1000, 4..14);
    try_seeds(&objects::bank(), 0..500, 4..14);
    try_seeds(&objects::transactions(), 0..1000, 4..14);
}

/// Checks changes after which a linearizable history is still linearizable, or that change no
/// verdict.
fn laws<S: Subject>(model: &S, seed: u64) {
    let mut random = random(seed);
    let mix = Mix::new(&mut random, 20..60);
    let history = history_of(model, &mut random, &mix);
    let budget = Budget { configurations_max: 100_000, ..Budget::default() };
    let is_good = |history: &History<S::Op, S::Ret>| match check(model, history, &budget) {
        Verdict::Linearizable => Some(true),
        Verdict::NotLinearizable(_) => Some(false),
        Verdict::Unknown(_) => None,
    };
    let good = is_good(&history);
    let context = || format!("seed {seed}:\n{}", print(model, &history));
    let weaker = history.with_outcomes(|_, operation| match &operation.outcome {
        Outcome::Returned { .. } if random.random_bool(0.2) => Outcome::Unknown,
        other => other.clone(),
    });
    let end = history.operations().len() as u32 * 2;
    let last = random.random_range(0..end);
    let prefix: Vec<Operation<S::Op, S::Ret>> = (history.operations().iter())
        .filter(|operation| operation.invoked.0 <= last)
        .map(|operation| match operation.outcome {
            Outcome::Returned { at, .. } if at.0 > last => {
                Operation { outcome: Outcome::Unknown, ..operation.clone() }
            }
            _ => operation.clone(),
        })
        .collect();
    let prefix = History::new(prefix).expect("the start of a history is one");
    let key = history.operations().first().and_then(|first| model.key(&first.op));
    let of_key: Vec<Operation<S::Op, S::Ret>> = (history.operations().iter())
        .filter(|operation| model.key(&operation.op) == key)
        .cloned()
        .collect();
    let of_key = History::new(of_key).expect("the operations of one key are a history");
    for (law, other) in [("weaker", &weaker), ("prefix", &prefix), ("key", &of_key)] {
        let broken = good == Some(true) && is_good(other) == Some(false);
        assert!(!broken, "{law} is rejected: {}", context());
    }
    let renamed = |operation: &Operation<S::Op, S::Ret>| {
        let Client(client) = operation.client;
        let invoked = quorate_checker::history::EventIndex(operation.invoked.0 * 3 + 7);
        let outcome = match &operation.outcome {
            Outcome::Returned { at, ret } => Outcome::Returned {
                at: quorate_checker::history::EventIndex(at.0 * 3 + 7),
                ret: ret.clone(),
            },
            other => other.clone(),
        };
        Operation { client: Client(1000 - client), op: operation.op.clone(), invoked, outcome }
    };
    let renamed = History::new(history.operations().iter().map(renamed).collect());
    let renamed = renamed.expect("names do not matter");
    assert_eq!(check(model, &renamed, &budget), check(model, &history, &budget), "{}", context());
}

#[test]
fn weakening_keeps_histories_linearizable_and_names_do_not_matter() {
    for seed in 0..400 {
        laws(&objects::register(), seed);
        laws(&objects::kv(), seed);
        laws(&objects::set(), seed);
        laws(&objects::counter(), seed);
        laws(&objects::transactions(), seed);
    }
}

#[test]
fn the_ids_of_values_do_not_matter() {
    use quorate_checker::models::{RegisterOp, RegisterRet};
    use quorate_checker::value::ValueId;
    let model = objects::register();
    let name = |value: ValueId| ValueId(if value == ValueId::NULL { 0 } else { 997 - value.0 });
    for seed in 0..1000 {
        let mut random = random(seed);
        let mix = Mix::new(&mut random, 20..60);
        let history = history_of(&model, &mut random, &mix);
        let renamed = |operation: &Operation<RegisterOp, RegisterRet>| {
            let mut operation = *operation;
            operation.op = match operation.op {
                RegisterOp::Read => RegisterOp::Read,
                RegisterOp::Write(value) => RegisterOp::Write(name(value)),
                RegisterOp::Cas { from, to } => RegisterOp::Cas { from: name(from), to: name(to) },
            };
            if let Outcome::Returned { ret: RegisterRet::Value(value), .. } = &mut operation.outcome
            {
                *value = name(*value);
            }
            operation
        };
        let other = History::new(history.operations().iter().map(renamed).collect());
        let other = other.expect("names do not matter");
        let verdict = |history| {
            let verdict = check_without_decide(&model, history, &Budget::default());
            matches!(verdict, Verdict::Linearizable)
        };
        assert_eq!(verdict(&history), verdict(&other), "seed {seed}");
    }
}

/// Returns the seeds from the environment, or the first ten million.
fn seeds() -> Range<u64> {
    let text = std::env::var("DIFFERENTIAL_SEEDS").unwrap_or_else(|_| "0..10000000".to_owned());
    let (start, end) = text.split_once("..").expect("seeds are given as `from..to`");
    start.parse().expect("a number")..end.parse().expect("a number")
}

/// Compares the algorithms on a history of an object that the seed chooses. Returns the object, and
/// whether the history is linearizable.
fn compare_any(seed: u64) -> (&'static str, bool) {
    let (seed, one) = (1_000_000 + seed, seed % 16);
    match one {
        0 => ("kv", compare(&objects::kv(), seed, 4..18)),
        1 => ("appending", compare(&objects::appending(), seed, 4..14)),
        2 => ("queue", compare(&objects::queue(), seed, 4..10)),
        3 => ("stack", compare(&objects::stack(), seed, 4..10)),
        4 => ("set", compare(&objects::set(), seed, 4..16)),
        5 => ("list", compare(&objects::list(), seed, 4..10)),
        6 => ("counter", compare(&objects::counter(), seed, 4..14)),
        7 => ("transactions", compare(&objects::transactions(), seed, 4..14)),
        8 => ("lock", compare(&objects::lock(), seed, 4..14)),
        9 => ("bank", compare(&objects::bank(), seed, 4..14)),
        _ => ("register", compare(&objects::register(), seed, 4..23)),
    }
}

/// For each object, the number of linearizable histories, and of all histories.
type Tally = BTreeMap<&'static str, (u64, u64)>;

/// The number of seeds that a thread takes at a time.
const CHUNK: u64 = 10_000;
/// The number of histories between two progress reports.
const REPORT_EVERY: u64 = 100_000;

fn compare_chunk(seeds: Range<u64>) -> Tally {
    let mut tally = Tally::new();
    for seed in seeds {
        let (object, is_good) = compare_any(seed);
        let (good, count) = tally.entry(object).or_default();
        *good += u64::from(is_good);
        *count += 1;
    }
    tally
}

/// Prints a line at once, because the usual output of a test is held back until it ends.
fn print_now(report: &str) {
    writeln!(std::io::stderr(), "{report}").expect("standard error is open");
}

#[test]
#[ignore = "ten million histories take long"]
fn long_run_is_decided_as_by_brute_force() {
    let seeds = seeds();
    let next = AtomicU64::new(seeds.start);
    let all = Mutex::new(Tally::new());
    let work = || {
        loop {
            let start = next.fetch_add(CHUNK, Ordering::Relaxed);
            if start >= seeds.end {
                return;
            }
            let chunk = || compare_chunk(start..seeds.end.min(start + CHUNK));
            let tally = std::panic::catch_unwind(chunk).unwrap_or_else(|why| {
                next.store(seeds.end, Ordering::Relaxed);
                std::panic::resume_unwind(why)
            });
            let mut all = all.lock().expect("no thread panics while it holds the lock");
            for (object, (good, count)) in tally {
                let of = all.entry(object).or_default();
                *of = (of.0 + good, of.1 + count);
            }
            let done: u64 = all.values().map(|(_, count)| count).sum();
            if done.is_multiple_of(REPORT_EVERY) {
                print_now(&format!("{done} histories compared"));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let all = all.into_inner().expect("no thread panicked");
    for (object, (good, count)) in &all {
        print_now(&format!("{object}: {count} compared, {good} of them good"));
        assert_fair(*good, *count);
    }
}
