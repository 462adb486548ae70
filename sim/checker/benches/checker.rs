//! Measures checks against their goals and against Porcupine on histories of the same kind: one
//! thread, with the history in memory.
//!
//! `cargo bench -p quorate-checker` prints a table. Porcupine's figures were measured on another
//! machine (commit 55508eb, Go 1.19), so the ratio is an order of magnitude. The peak is the heap
//! beyond the heap before the check, so the history is not counted.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use quorate_checker::budget::Budget;
use quorate_checker::check::check;
use quorate_checker::generate::{Random, Shape, history, random};
use quorate_checker::history::{EventIndex, History, OpId, Outcome};
use quorate_checker::model::Model;
use quorate_checker::models::{Kv, KvCall, KvOp, KvRet, Register, RegisterOp, RegisterRet};
use quorate_checker::value::{Value, ValueId};
use quorate_checker::verdict::Verdict;
use rand::RngExt;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// The minimum number of checks of one history, and the minimum time that they take in total.
const ROUNDS: usize = 9;
const ENOUGH: Duration = Duration::from_millis(300);

/// The goal of one row of the table.
struct Goal {
    /// The row of the table of goals.
    row: &'static str,
    /// The longest time that the check should take.
    goal: Duration,
    /// The time that Porcupine takes, or `None` if 8 GB of memory are not enough for it.
    porcupine: Option<Duration>,
}

fn main() {
    // `cargo test --benches` only checks that the bench still works.
    let measures = std::env::args().any(|argument| argument == "--bench");
    let share = if measures { 1 } else { 50 };
    let rounds = if measures { ROUNDS } else { 1 };
    println!(
        "{:<44}{:>10}{:>10}{:>6}{:>11}{:>9}{:>10}",
        "one check, median", "measured", "goal", "", "Porcupine", "ratio", "peak"
    );
    registers(rounds, share);
    keys(rounds, share);
    texts(rounds, share);
    streams_table(rounds, share);
}

fn streams_table(rounds: usize, share: u32) {
    println!("\n{:<44}{:>10}{:>10}", "one event of a stream, median", "measured", "goal");
    streams(rounds, share);
}

/// Returns the events of `made` in order: the position of an operation, and whether it ends.
fn events<O, R>(made: &History<O, R>) -> Vec<(usize, bool)> {
    let mut events = Vec::new();
    for (place, operation) in made.operations().iter().enumerate() {
        events.push((operation.invoked, place, false));
        // A client without a response gives up after a while.
        let end = match operation.returned() {
            EventIndex::NEVER => EventIndex(operation.invoked.0 + 200),
            returned => returned,
        };
        events.push((end, place, true));
    }
    events.sort_unstable();
    events.into_iter().map(|(_, place, ends)| (place, ends)).collect()
}

fn streams(rounds: usize, share: u32) {
    let cases = [(1, 10, 0.0), (1, 50, 0.0), (1, 50, 0.001), (1_000, 50, 0.0), (1_000, 50, 0.001)];
    for (keys, clients, unknown) in cases {
        let shape = Shape { operations: 200_000 / share, clients, unknown, ..Shape::default() };
        let made = key_values(&shape, keys);
        let events = events(&made);
        let kv = Arc::new(Kv::default());
        let mut times = Vec::new();
        let (mut peak, mut remembered) = (0, 0);
        for _ in 0..rounds {
            HEAP.reset_peak_usage();
            let before = HEAP.current_usage();
            let start = now();
            let mut stream = Arc::clone(&kv).stream().expect("maps have one");
            for (place, ends) in &events {
                let operation = &made.operations()[*place];
                let id = OpId(u32::try_from(*place).expect("there are few"));
                match (ends, operation.ret()) {
                    (true, Some(ret)) => assert_eq!(stream.returned(id, ret), None),
                    (true, None) => stream.unknown(id),
                    (false, _) => assert_eq!(stream.invoke(operation.op), id),
                }
            }
            times.push((now() - start) / u32::try_from(events.len()).expect("there are few"));
            remembered = stream.remembered();
            peak = HEAP.peak_usage().saturating_sub(before);
            assert!(stream.is_decided());
        }
        times.sort_unstable();
        let median = times[times.len() / 2].as_nanos();
        let met = if median <= 200 { "" } else { "over" };
        println!(
            "{:<44}{median:>7} ns    200 ns{met:>6} {:>10} remembered {:>7} KB",
            format!("12 200 k, {keys} keys, {clients} clients, {unknown} unknown"),
            remembered,
            peak / 1024,
        );
    }
}

fn registers(rounds: usize, share: u32) {
    let millisecond = Duration::from_millis;
    let micro = Duration::from_micros;
    let cases = [
        ("4  10 k, 1 key, 10 clients", 10_000, 10, 0.0, micro(400), Some(millisecond(463))),
        ("5  10 k, 1 key, 20 clients", 10_000, 20, 0.0, millisecond(1), None),
        ("5  10 k, 1 key, 50 clients", 10_000, 50, 0.0, millisecond(1), None),
        ("5  10 k, 1 key, 10 clients, 1 % unknown", 10_000, 10, 0.01, millisecond(1), None),
        ("5  10 k, 1 key, 10 clients, 10 % unknown", 10_000, 10, 0.1, millisecond(1), None),
        ("5  100 k, 1 key, 10 clients", 100_000, 10, 0.0, millisecond(10), None),
        ("5  100 k, 1 key, 50 clients", 100_000, 50, 0.0, millisecond(10), None),
    ];
    for (row, operations, clients, unknown, goal, porcupine) in cases {
        let shape = Shape { operations: operations / share, clients, unknown, ..Shape::default() };
        let made = register(&shape);
        let goal = Goal { row, goal, porcupine };
        measure(rounds, &goal, "", &Register::default(), &made, true);
        let mut stale = goal;
        stale.porcupine = stale.porcupine.map(|_| Duration::from_millis(1_340));
        measure(rounds, &stale, ", stale", &Register::default(), &aged(&made), false);
    }
}

fn keys(rounds: usize, share: u32) {
    let shape = Shape { operations: 1_000_000 / share, clients: 50, ..Shape::default() };
    let kv = Kv::default();
    let goal = Goal {
        row: "6  1 M, 1,000 keys, 50 clients",
        goal: Duration::from_millis(60),
        porcupine: Some(Duration::from_millis(2_160)),
    };
    measure(rounds, &goal, "", &kv, &key_values(&shape, 1_000), true);
}

fn texts(rounds: usize, share: u32) {
    let shape = Shape { operations: 1_700 / share, clients: 50, ..Shape::default() };
    let kv = Kv::default();
    let kv = Kv { init: kv.values.intern("").into(), ..kv };
    let made = appends(&kv, &shape);
    let of = |goal, porcupine| Goal {
        row: "3  appends, 1.7 k, 10 keys, 50 clients",
        goal: Duration::from_micros(goal),
        porcupine: Some(Duration::from_micros(porcupine)),
    };
    measure(rounds, &of(300, 187_000), "", &kv, &made, true);
    measure(rounds, &of(100, 15_000), ", stale", &kv, &stale_text(&kv, &made), false);
}

/// Measures and prints the time of checks of `history`.
fn measure<M: Model>(
    rounds: usize,
    goal: &Goal,
    label: &str,
    model: &M,
    history: &History<M::Op, M::Ret>,
    is_right: bool,
) {
    let budget = Budget::default();
    let mut times = Vec::new();
    let mut peak = 0;
    while times.len() < rounds || rounds > 1 && times.iter().sum::<Duration>() < ENOUGH {
        HEAP.reset_peak_usage();
        let before = HEAP.current_usage();
        let start = now();
        let verdict = check(model, history, &budget);
        times.push(now() - start);
        peak = HEAP.peak_usage().saturating_sub(before);
        assert_eq!(matches!(verdict, Verdict::Linearizable), is_right, "{}{label}", goal.row);
    }
    times.sort_unstable();
    let median = times[times.len() / 2];
    let met = if median <= goal.goal { "" } else { "over" };
    let ratio = |time: Duration| format!("{}x", time.as_nanos() / median.as_nanos().max(1));
    println!(
        "{:<44}{:>7} us{:>7} us{met:>6}{:>11}{:>9}{:>7} KB",
        format!("{}{label}", goal.row),
        median.as_micros(),
        goal.goal.as_micros(),
        goal.porcupine.map_or("dies".to_owned(), |time| format!("{} us", time.as_micros())),
        goal.porcupine.map_or(String::new(), ratio),
        peak / 1024,
    );
}

/// Returns the CPU time of this thread, or the elapsed time where that is not available.
fn now() -> Duration {
    // The kernel updates the CPU time when it schedules.
    std::thread::yield_now();
    let account = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = account.and_then(|account| account.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(wall_time, Duration::from_nanos)
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn wall_time() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// Generates a history of half reads, half writes of unique values.
fn register(shape: &Shape) -> History<RegisterOp, RegisterRet> {
    let mut last = 0;
    let next_op = |random: &mut Random| match random.random_bool(0.5) {
        true => RegisterOp::Read,
        false => {
            last += 1;
            RegisterOp::Write(ValueId(last))
        }
    };
    history(&mut random(1), shape, ValueId::NULL, next_op, |state, op| match *op {
        RegisterOp::Write(value) => {
            *state = value;
            RegisterRet::Written
        }
        _ => RegisterRet::Value(*state),
    })
}

/// Returns `made` in which a read in its second half returns a value overwritten long before.
fn aged(made: &History<RegisterOp, RegisterRet>) -> History<RegisterOp, RegisterRet> {
    let half = made.operations().len() / 2;
    let mut seen =
        made.operations()[half / 2..half].iter().filter_map(|operation| match operation.ret() {
            Some(RegisterRet::Value(value)) => Some(*value),
            _ => None,
        });
    let old = seen.next().expect("something was read");
    let mut done = false;
    made.with_outcomes(|id, operation| match &operation.outcome {
        Outcome::Returned { at, ret: RegisterRet::Value(_) } if !done && id.0 as usize >= half => {
            done = true;
            Outcome::Returned { at: *at, ret: RegisterRet::Value(old) }
        }
        other => *other,
    })
}

/// Generates a history of half gets, half puts of unique values.
fn key_values(shape: &Shape, keys: u32) -> History<KvOp, KvRet> {
    let mut last = keys;
    let next_op = |random: &mut Random| {
        let key = ValueId(random.random_range(0..keys));
        if random.random_bool(0.5) {
            return KvOp { key, call: KvCall::Get };
        }
        last += 1;
        KvOp { key, call: KvCall::Put(ValueId(last)) }
    };
    let state = vec![ValueId::NULL; keys as usize];
    history(&mut random(2), shape, state, next_op, |state, op| match op.call {
        KvCall::Put(value) => {
            state[op.key.0 as usize] = value;
            KvRet::Written
        }
        _ => KvRet::Value(state[op.key.0 as usize]),
    })
}

/// Generates a history of half gets, half appends.
fn appends(kv: &Kv, shape: &Shape) -> History<KvOp, KvRet> {
    let keys: Vec<ValueId> =
        (0..10).map(|key| kv.values.intern(format!("k{key}").as_str())).collect();
    let mut last = 0;
    let next_op = |random: &mut Random| {
        let key = keys[random.random_range(0..keys.len())];
        if random.random_bool(0.5) {
            return KvOp { key, call: KvCall::Get };
        }
        last += 1;
        KvOp {
            key,
            call: KvCall::Append(kv.values.intern(format!("x {} {last} y", last % 50).as_str())),
        }
    };
    history(&mut random(3), shape, kv.init(), next_op, |state, op| {
        let now = kv.value_in(state, op.key);
        let ret = if op.call == KvCall::Get { KvRet::Value(now) } else { KvRet::Written };
        *state = kv.step(state, op, Some(&ret)).expect("the result is the right one");
        ret
    })
}

/// Returns `made` in which a get returns the initial value.
fn stale_text(kv: &Kv, made: &History<KvOp, KvRet>) -> History<KvOp, KvRet> {
    let mut done = false;
    let half = made.operations().len() / 2;
    made.with_outcomes(|id, operation| match &operation.outcome {
        Outcome::Returned { at, ret: KvRet::Value(value) }
            if !done && id.0 as usize >= half && kv.values.resolve(*value) != Value::from("") =>
        {
            done = true;
            Outcome::Returned { at: *at, ret: KvRet::Value(kv.init.others) }
        }
        other => *other,
    })
}
