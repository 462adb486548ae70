//! What a search that leaves out too much gets wrong, one small history for each.
//!
//! A history is written as its events: `a: w 1` invokes operation `a`, a write of 1; `a = ok` is
//! its return. `r` reads, `w` writes, `c 1 2` makes it 2 if it is 1; the value is 0 at first. What
//! never returns has an unknown outcome.

use std::collections::BTreeMap;

use quorate_checker::brute;
use quorate_checker::budget::Budget;
use quorate_checker::check::{check, check_without_decide};
use quorate_checker::history::{Client, History, Moment, OpId, Operation, Outcome, Part};
use quorate_checker::models::{
    Kv, KvCall, KvOp, KvRet, Queue, QueueOp, Register, RegisterOp, RegisterRet,
};
use quorate_checker::search::{Order, Trust, search_by};
use quorate_checker::value::{Datum, Value};
use quorate_checker::verdict::{Resource, Verdict};

type Registers = History<RegisterOp, RegisterRet>;

fn history(events: &str) -> Registers {
    let mut operations: Vec<Operation<RegisterOp, RegisterRet>> = Vec::new();
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (now, event) in (0..).zip(events.split(',').map(str::trim)) {
        if let Some((name, call)) = event.split_once(": ") {
            let words: Vec<&str> = call.split(' ').collect();
            let value = |place: usize| Value(words[place].parse().expect("a number"));
            let op = match words[0] {
                "r" => RegisterOp::Read,
                "w" => RegisterOp::Write(value(1)),
                _ => RegisterOp::Cas { from: value(1), to: value(2) },
            };
            names.insert(name, operations.len());
            let (client, invoked) = (Client(operations.len() as u32), Moment(now));
            operations.push(Operation { client, op, invoked, outcome: Outcome::Unknown });
        } else {
            let (name, ret) = event.split_once(" = ").expect("a call or a return");
            let ret = match ret {
                "ok" => RegisterRet::Written,
                "true" => RegisterRet::Swapped(true),
                "false" => RegisterRet::Swapped(false),
                value => RegisterRet::Value(Value(value.parse().expect("a number"))),
            };
            operations[names[name]].outcome = Outcome::Returned { at: Moment(now), ret };
        }
    }
    History::new(operations).expect("a history")
}

fn all<O, R>(history: &History<O, R>) -> Vec<OpId> {
    (0..history.operations().len() as u32).map(OpId).collect()
}

/// Every way to search comes to `good`, and so does brute force.
fn decided(events: &str, good: bool) {
    let history = history(events);
    let model = Register::default();
    let ids = all(&history);
    let part = Part::new(&history, &ids);
    assert_eq!(brute::linearizable(&model, part), good, "{events}");
    for trust in [Trust::Hints, Trust::Effects, Trust::Nothing] {
        for order in [Order::Depth, Order::Layers, Order::Both] {
            let verdict = search_by(&model, part, &Budget::default(), trust, order);
            assert_eq!(verdict == Verdict::Linearizable, good, "{trust:?} {order:?}: {events}");
        }
    }
}

#[test]
fn a_write_of_the_present_value_is_no_observation() {
    decided("a: w 0, b: w 1, b = ok, d: r, d = 1, e: r, e = 0, a = ok", true);
    decided("a: w 0, b: w 1, b = ok, d: r, d = 1, a = ok, e: r, e = 0, f: r, f = 1", false);
}

#[test]
fn a_write_that_may_have_been_hidden_can_still_show() {
    decided("a: w 2, b: w 1, b = ok, c: r, c = 1, d: r, a = ok, d = 2", true);
    decided("a: w 2, b: w 1, b = ok, c: r, c = 1, d: r, d = 2, e: r, e = 1, a = ok", false);
}

#[test]
fn a_write_that_hides_itself_first_can_show_just_before_it_returns() {
    decided("a: w 3, b: w 1, c: r, c = 1, a = ok, d: r, d = 3, b = ok", true);
    decided("a: w 3, b: w 1, c: r, e: r, c = 1, b = ok, e = 3, d: r, a = ok, d = 3", true);
}

#[test]
fn a_write_of_the_present_value_hides_others() {
    decided("a: w 0, b: w 2, b = ok, c: r, c = 0, a = ok", true);
    decided("a: w 0, a = ok, b: w 2, b = ok, c: r, c = 0", false);
}

#[test]
fn a_write_of_the_present_value_lets_a_swap_go_first() {
    decided("a: w 0, b: c 0 1, b = true, c: r, c = 0, a = ok", true);
    decided("a: w 0, b: c 0 1, d: w 3, d = ok, b = true, c: r, c = 0, a = ok", true);
}

#[test]
fn a_value_that_nothing_reads_makes_a_swap_fail() {
    decided("a: w 2, b: c 0 1, b = false, a = ok", true);
    decided("a: w 2, b: c 0 1, b = false", true);
    decided("a: c 0 2, b: c 0 1, b = false", true);
    decided("a: w 0, b: c 0 1, b = false, a = ok", false);
}

#[test]
fn a_value_that_nothing_reads_makes_a_later_swap_fail() {
    decided("a: w 1, b: w 2, a = ok, b = ok, c: c 1 5, c = false", true);
    decided("a: w 1, b: w 2, a = ok, b = ok, c: c 1 5, c = false, d: c 2 5, d = false", false);
    let gone = "a: w 1, b: w 2, e: w 3, a = ok, b = ok, e = ok, c: c 1 5, c = false";
    decided(&format!("{gone}, d: c 2 5, d = false"), true);
}

#[test]
fn a_swap_in_between_is_seen_by_a_swap_that_fails() {
    decided("a: c 0 1, b: c 0 2, b = false, a = true, c: c 1 0, c = true", true);
    decided("a: c 0 1, c: c 1 0, b: c 0 2, b = false, d: r, d = 0, a = true, c = true", true);
}

#[test]
fn of_two_alike_the_one_that_returns_first_goes_first() {
    decided("a: c 0 1, b: c 0 1, b = true, c: w 0, c = ok, a = true", true);
    decided("a: c 0 1, b: c 0 1, b = true, a = true", false);
    decided("a: w 1, b: w 1, b = ok, c: w 2, c = ok, d: r, d = 1, a = ok", true);
    decided("a: w 1, b: w 1, b = ok, a = ok, c: w 2, c = ok, d: r, d = 1", false);
}

#[test]
fn a_swap_done_too_early_is_no_gain() {
    decided("a: c 0 1, b: r, b = 0, c: w 0, d: r, d = 1, c = ok, e: r, e = 0, a = true", true);
    decided("a: c 0 1, b: w 0, b = ok, c: r, c = 0, d: r, d = 1, a = true", true);
}

#[test]
fn what_nobody_learned_of_may_take_effect_long_after() {
    decided("a: w 5, b: w 1, b = ok, c: r, c = 1, d: r, d = 5", true);
    decided("a: w 5, c: r, c = 5, b: w 1, b = ok, d: r, d = 5", false);
    decided("a: c 1 5, b: w 1, b = ok, c: r, c = 1, d: r, d = 5", true);
    decided("a: c 2 5, b: w 1, b = ok, c: r, c = 1, d: r, d = 5", false);
    decided("a: c 1 5, e: c 5 6, b: w 1, b = ok, c: r, c = 1, d: r, d = 6", true);
}

#[test]
fn what_does_not_matter_any_more_goes_after_the_last_that_it_matters_to() {
    decided("a: w 5, b: r, c: w 1, c = ok, b = 5, d: r, d = 1", true);
    decided("a: w 5, b: r, c: w 1, c = ok, d: r, d = 1, b = 5, e: r, e = 1", true);
    decided("a: w 5, c: w 1, c = ok, d: r, d = 1, b: r, b = 5, e: r, e = 1", false);
}

/// `count` writes whose outcome is unknown, each of a value of its own, and then reads of some of
/// them, last first.
fn many_unknown(count: u32, reads: &[u32]) -> Registers {
    let mut operations = Vec::new();
    for number in 0..count {
        let (client, invoked) = (Client(number), Moment(number));
        let op = RegisterOp::Write(Value(number + 1));
        operations.push(Operation { client, op, invoked, outcome: Outcome::Unknown });
    }
    for (place, read) in (0..).zip(reads) {
        let (client, invoked) = (Client(count), Moment(count + 2 * place));
        let ret = RegisterRet::Value(Value(read + 1));
        let outcome = Outcome::Returned { at: Moment(count + 2 * place + 1), ret };
        operations.push(Operation { client, op: RegisterOp::Read, invoked, outcome });
    }
    History::new(operations).expect("a history")
}

#[test]
fn hundreds_of_operations_may_be_open() {
    for count in [60, 64, 65, 130, 200, 300] {
        let reads: Vec<u32> = (count - 20..count).rev().collect();
        let good = many_unknown(count, &reads);
        let twice = many_unknown(count, &[&reads[..], &[count - 1]].concat());
        let model = Register::default();
        for history in [&good, &twice] {
            let ids = all(history);
            for trust in [Trust::Hints, Trust::Effects] {
                let part = Part::new(history, &ids);
                let verdict = search_by(&model, part, &Budget::default(), trust, Order::Depth);
                let expected = std::ptr::eq(history, &good);
                assert_eq!(verdict == Verdict::Linearizable, expected, "{count} {trust:?}");
            }
        }
    }
}

/// Everybody enqueues, then everybody dequeues in the order that is found last.
fn hard_queue(count: u32) -> History<QueueOp, Value> {
    let mut operations = Vec::new();
    for number in 0..count {
        let (client, invoked) = (Client(number), Moment(number));
        let outcome = Outcome::Returned { at: Moment(count + number), ret: Value::NULL };
        let op = QueueOp::Enqueue(Value(number + 1));
        operations.push(Operation { client, op, invoked, outcome });
    }
    for number in 0..count {
        let (client, invoked) = (Client(number), Moment(2 * count + 2 * number));
        let ret = Value(if number == count - 1 { 1 } else { count - number });
        let outcome = Outcome::Returned { at: Moment(2 * count + 2 * number + 1), ret };
        let bad = Outcome::Returned { at: Moment(2 * count + 2 * number + 1), ret: Value(99) };
        let outcome = if number == count - 1 { bad } else { outcome };
        operations.push(Operation { client, op: QueueOp::Dequeue, invoked, outcome });
    }
    History::new(operations).expect("a history")
}

fn exhausted(budget: &Budget<'_>) -> Resource {
    let history = hard_queue(10);
    match check_without_decide(&Queue::default(), &history, budget) {
        Verdict::Unknown(exhausted) => {
            assert!(exhausted.ordered.0 < exhausted.ordered.1);
            assert_eq!(exhausted.key, None);
            exhausted.what
        }
        verdict => panic!("{verdict:?}"),
    }
}

#[test]
fn a_search_gives_in_when_its_budget_is_used_up() {
    let few = Budget { configurations_max: 10_000, ..Budget::default() };
    assert_eq!(exhausted(&few), Resource::Configurations);
    let small = Budget { bytes_max: 1 << 20, ..Budget::default() };
    assert_eq!(exhausted(&small), Resource::Memory);
    let stop = || true;
    let stopped = Budget { stop: Some(&stop), ..Budget::default() };
    assert_eq!(exhausted(&stopped), Resource::Stopped);
}

/// A write and a read of each of `count` keys; of the keys `stale`, the read returns too little.
fn keys(count: u32, stale: &[u32]) -> History<KvOp, KvRet> {
    let mut operations = Vec::new();
    for number in 0..count {
        // Another order than that of the keys.
        let key = number * 7 % count;
        let mut told = |call, ret| {
            let now = 2 * operations.len() as u32;
            let outcome = Outcome::Returned { at: Moment(now + 1), ret };
            let op = KvOp { key: Value(key), call };
            operations.push(Operation { client: Client(0), op, invoked: Moment(now), outcome });
        };
        told(KvCall::Put(Value(1)), KvRet::Written);
        let seen = Value(u32::from(!stale.contains(&key)));
        told(KvCall::Get, KvRet::Value(seen));
    }
    History::new(operations).expect("a history")
}

#[test]
fn threads_change_no_verdict_and_the_smallest_bad_key_is_shown() {
    let model = Kv::default();
    for stale in [&[][..], &[40], &[30, 99, 31]] {
        let history = keys(100, stale);
        for threads in [1, 2, 8] {
            let budget = Budget { threads, ..Budget::default() };
            for verdict in
                [check(&model, &history, &budget), check_without_decide(&model, &history, &budget)]
            {
                let Verdict::NotLinearizable(evidence) = verdict else {
                    assert_eq!((verdict, stale.len()), (Verdict::Linearizable, 0));
                    continue;
                };
                let key = history.operation(evidence.operations[0]).op.key;
                assert_eq!(Some(&key.0), stale.iter().min());
            }
        }
    }
}

#[test]
fn texts_that_appending_makes_count_as_memory() {
    let kv = Kv::default();
    let key = kv.values.of("k");
    let mut operations = Vec::new();
    let mut ask = |now: u32, call: KvCall, outcome: Outcome<KvRet>| {
        let (client, invoked) = (Client(now), Moment(now));
        operations.push(Operation { client, op: KvOp { key, call }, invoked, outcome });
    };
    // Each of them is seen, but in no order of them.
    let mut read = "z".to_owned();
    for (now, letter) in (0..).zip("aabcdefghijklmn".chars()) {
        let more = letter.to_string().repeat(1000);
        read.push_str(&more);
        ask(now, KvCall::Append(kv.values.of(more.as_str())), Outcome::Unknown);
    }
    let ret = KvRet::Value(kv.values.of(read.as_str()));
    ask(100, KvCall::Get, Outcome::Returned { at: Moment(101), ret });
    let history = History::new(operations).expect("it is a history");
    let budget = Budget { bytes_max: 1 << 20, ..Budget::default() };
    let verdict = check_without_decide(&kv, &history, &budget);
    assert!(matches!(&verdict, Verdict::Unknown(why) if why.what == Resource::Memory));
    let text = |datum: &Datum| if let Datum::Text(text) = datum { text.len() } else { 0 };
    let bytes: usize = kv.values.with(|data| data.iter().map(text).sum());
    assert!(bytes < 2 << 20, "{bytes} bytes of text");
}
