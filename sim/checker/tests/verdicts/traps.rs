//! Small histories that a search with too much pruning decides wrongly; and large ones that reach
//! the limits of a check.
//!
//! A history is written as its events: `a: w 1` invokes operation `a`, a write of 1; `a = ok` is
//! its response. `r` is a read, `w` a write, and `c 1 2` sets the value to 2 if it is 1; the value
//! is 0 initially. An operation without a response has an unknown outcome.

use std::collections::BTreeMap;

use quorate_checker::brute_force;
use quorate_checker::budget::Budget;
use quorate_checker::check::{check, check_without_decide};
use quorate_checker::history::{Client, EventIndex, History, OpId, Operation, Outcome, Subhistory};
use quorate_checker::models::{
    Kv, KvCall, KvOp, KvRet, Queue, QueueOp, Register, RegisterOp, RegisterRet,
};
use quorate_checker::search::{Traversal, TrustedHints, search_by};
use quorate_checker::value::{Value, ValueId};
use quorate_checker::verdict::{Resource, Verdict};

type Registers = History<RegisterOp, RegisterRet>;

fn history(events: &str) -> Registers {
    let mut operations: Vec<Operation<RegisterOp, RegisterRet>> = Vec::new();
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    for (now, event) in (0..).zip(events.split(',').map(str::trim)) {
        if let Some((name, call)) = event.split_once(": ") {
            let words: Vec<&str> = call.split(' ').collect();
            let value = |place: usize| ValueId(words[place].parse().expect("a number"));
            let op = match words[0] {
                "r" => RegisterOp::Read,
                "w" => RegisterOp::Write(value(1)),
                _ => RegisterOp::Cas { from: value(1), to: value(2) },
            };
            names.insert(name, operations.len());
            let (client, invoked) = (Client(operations.len() as u32), EventIndex(now));
            operations.push(Operation { client, op, invoked, outcome: Outcome::Unknown });
        } else {
            let (name, ret) = event.split_once(" = ").expect("a call or a return");
            let ret = match ret {
                "ok" => RegisterRet::Written,
                "true" => RegisterRet::Swapped(true),
                "false" => RegisterRet::Swapped(false),
                value => RegisterRet::Value(ValueId(value.parse().expect("a number"))),
            };
            operations[names[name]].outcome = Outcome::Returned { at: EventIndex(now), ret };
        }
    }
    History::new(operations).expect("a history")
}

fn all<O, R>(history: &History<O, R>) -> Vec<OpId> {
    (0..history.operations().len() as u32).map(OpId).collect()
}

/// Checks that every search, and brute force, find that the history is linearizable if `good`.
fn assert_verdict(events: &str, good: bool) {
    let history = history(events);
    let model = Register::default();
    let ids = all(&history);
    let part = Subhistory::new(&history, &ids);
    assert_eq!(brute_force::linearizable(&model, part), good, "{events}");
    for trusted in [TrustedHints::All, TrustedHints::Effects, TrustedHints::None] {
        for order in [Traversal::DepthFirst, Traversal::Layered, Traversal::Combined] {
            let verdict = search_by(&model, part, &Budget::default(), trusted, order);
            assert_eq!(verdict == Verdict::Linearizable, good, "{trusted:?} {order:?}: {events}");
        }
    }
}

#[test]
fn a_write_of_the_current_value_is_no_read() {
    assert_verdict("a: w 0, b: w 1, b = ok, d: r, d = 1, e: r, e = 0, a = ok", true);
    assert_verdict("a: w 0, b: w 1, b = ok, d: r, d = 1, a = ok, e: r, e = 0, f: r, f = 1", false);
}

#[test]
fn a_write_that_may_be_hidden_can_still_be_observed() {
    assert_verdict("a: w 2, b: w 1, b = ok, c: r, c = 1, d: r, a = ok, d = 2", true);
    assert_verdict("a: w 2, b: w 1, b = ok, c: r, c = 1, d: r, d = 2, e: r, e = 1, a = ok", false);
}

#[test]
fn a_hidden_write_can_be_observed_just_before_it_returns() {
    assert_verdict("a: w 3, b: w 1, c: r, c = 1, a = ok, d: r, d = 3, b = ok", true);
    assert_verdict("a: w 3, b: w 1, c: r, e: r, c = 1, b = ok, e = 3, d: r, a = ok, d = 3", true);
}

#[test]
fn a_write_of_the_current_value_hides_others() {
    assert_verdict("a: w 0, b: w 2, b = ok, c: r, c = 0, a = ok", true);
    assert_verdict("a: w 0, a = ok, b: w 2, b = ok, c: r, c = 0", false);
}

#[test]
fn a_write_of_the_current_value_lets_a_swap_go_first() {
    assert_verdict("a: w 0, b: c 0 1, b = true, c: r, c = 0, a = ok", true);
    assert_verdict("a: w 0, b: c 0 1, d: w 3, d = ok, b = true, c: r, c = 0, a = ok", true);
}

#[test]
fn a_value_that_nothing_reads_makes_a_swap_fail() {
    assert_verdict("a: w 2, b: c 0 1, b = false, a = ok", true);
    assert_verdict("a: w 2, b: c 0 1, b = false", true);
    assert_verdict("a: c 0 2, b: c 0 1, b = false", true);
    assert_verdict("a: w 0, b: c 0 1, b = false, a = ok", false);
}

#[test]
fn a_value_that_nothing_reads_makes_a_later_swap_fail() {
    assert_verdict("a: w 1, b: w 2, a = ok, b = ok, c: c 1 5, c = false", true);
    assert_verdict(
        "a: w 1, b: w 2, a = ok, b = ok, c: c 1 5, c = false, d: c 2 5, d = false",
        false,
    );
    let gone = "a: w 1, b: w 2, e: w 3, a = ok, b = ok, e = ok, c: c 1 5, c = false";
    assert_verdict(&format!("{gone}, d: c 2 5, d = false"), true);
}

#[test]
fn a_failed_swap_observes_an_intermediate_swap() {
    assert_verdict("a: c 0 1, b: c 0 2, b = false, a = true, c: c 1 0, c = true", true);
    assert_verdict(
        "a: c 0 1, c: c 1 0, b: c 0 2, b = false, d: r, d = 0, a = true, c = true",
        true,
    );
}

#[test]
fn of_equal_operations_the_first_to_return_goes_first() {
    assert_verdict("a: c 0 1, b: c 0 1, b = true, c: w 0, c = ok, a = true", true);
    assert_verdict("a: c 0 1, b: c 0 1, b = true, a = true", false);
    assert_verdict("a: w 1, b: w 1, b = ok, c: w 2, c = ok, d: r, d = 1, a = ok", true);
    assert_verdict("a: w 1, b: w 1, b = ok, a = ok, c: w 2, c = ok, d: r, d = 1", false);
}

#[test]
fn an_early_swap_does_not_dominate() {
    assert_verdict(
        "a: c 0 1, b: r, b = 0, c: w 0, d: r, d = 1, c = ok, e: r, e = 0, a = true",
        true,
    );
    assert_verdict("a: c 0 1, b: w 0, b = ok, c: r, c = 0, d: r, d = 1, a = true", true);
}

#[test]
fn an_operation_of_unknown_outcome_may_take_effect_late() {
    assert_verdict("a: w 5, b: w 1, b = ok, c: r, c = 1, d: r, d = 5", true);
    assert_verdict("a: w 5, c: r, c = 5, b: w 1, b = ok, d: r, d = 5", false);
    assert_verdict("a: c 1 5, b: w 1, b = ok, c: r, c = 1, d: r, d = 5", true);
    assert_verdict("a: c 2 5, b: w 1, b = ok, c: r, c = 1, d: r, d = 5", false);
    assert_verdict("a: c 1 5, e: c 5 6, b: w 1, b = ok, c: r, c = 1, d: r, d = 6", true);
}

#[test]
fn unknown_operations_retire_after_their_last_observer() {
    assert_verdict("a: w 5, b: r, c: w 1, c = ok, b = 5, d: r, d = 1", true);
    assert_verdict("a: w 5, b: r, c: w 1, c = ok, d: r, d = 1, b = 5, e: r, e = 1", true);
    assert_verdict("a: w 5, c: w 1, c = ok, d: r, d = 1, b: r, b = 5, e: r, e = 1", false);
}

/// Returns a history of `count` writes of unknown outcome, each of its own value, and then reads of
/// the values with the numbers `reads`, in that order.
fn many_unknown(count: u32, reads: &[u32]) -> Registers {
    let mut operations = Vec::new();
    for number in 0..count {
        let (client, invoked) = (Client(number), EventIndex(number));
        let op = RegisterOp::Write(ValueId(number + 1));
        operations.push(Operation { client, op, invoked, outcome: Outcome::Unknown });
    }
    for (place, read) in (0..).zip(reads) {
        let (client, invoked) = (Client(count), EventIndex(count + 2 * place));
        let ret = RegisterRet::Value(ValueId(read + 1));
        let outcome = Outcome::Returned { at: EventIndex(count + 2 * place + 1), ret };
        operations.push(Operation { client, op: RegisterOp::Read, invoked, outcome });
    }
    History::new(operations).expect("a history")
}

#[test]
fn hundreds_of_operations_may_be_pending() {
    for count in [60, 64, 65, 130, 200, 300] {
        let reads: Vec<u32> = (count - 20..count).rev().collect();
        let good = many_unknown(count, &reads);
        let twice = many_unknown(count, &[&reads[..], &[count - 1]].concat());
        let model = Register::default();
        for history in [&good, &twice] {
            let ids = all(history);
            for trusted in [TrustedHints::All, TrustedHints::Effects] {
                let part = Subhistory::new(history, &ids);
                let verdict =
                    search_by(&model, part, &Budget::default(), trusted, Traversal::DepthFirst);
                let expected = std::ptr::eq(history, &good);
                assert_eq!(verdict == Verdict::Linearizable, expected, "{count} {trusted:?}");
            }
        }
    }
}

/// Returns a history in which all clients enqueue, and then dequeue in the order that a search
/// finds last. The last dequeue returns a value that was never enqueued.
fn hard_queue(count: u32) -> History<QueueOp, ValueId> {
    let mut operations = Vec::new();
    for number in 0..count {
        let (client, invoked) = (Client(number), EventIndex(number));
        let outcome = Outcome::Returned { at: EventIndex(count + number), ret: ValueId::NULL };
        let op = QueueOp::Enqueue(ValueId(number + 1));
        operations.push(Operation { client, op, invoked, outcome });
    }
    for number in 0..count {
        let (client, invoked) = (Client(number), EventIndex(2 * count + 2 * number));
        let ret = ValueId(if number == count - 1 { 99 } else { count - number });
        let outcome = Outcome::Returned { at: EventIndex(2 * count + 2 * number + 1), ret };
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
            exhausted.resource
        }
        verdict => panic!("{verdict:?}"),
    }
}

#[test]
fn a_search_stops_when_its_budget_is_exhausted() {
    let few = Budget { configurations_max: 10_000, ..Budget::default() };
    assert_eq!(exhausted(&few), Resource::Configurations);
    let small = Budget { bytes_max: 1 << 20, ..Budget::default() };
    assert_eq!(exhausted(&small), Resource::Memory);
    let stop = || true;
    let stopped = Budget { stop: Some(&stop), ..Budget::default() };
    assert_eq!(exhausted(&stopped), Resource::Stopped);
}

/// Returns a history with a write and a read of each of `count` keys. The reads of the keys in
/// `stale` return too small a value.
fn keys(count: u32, stale: &[u32]) -> History<KvOp, KvRet> {
    let mut operations = Vec::new();
    for number in 0..count {
        // A different order than that of the keys.
        let key = number * 7 % count;
        let mut add = |call, ret| {
            let now = 2 * operations.len() as u32;
            let outcome = Outcome::Returned { at: EventIndex(now + 1), ret };
            let op = KvOp { key: ValueId(key), call };
            operations.push(Operation { client: Client(0), op, invoked: EventIndex(now), outcome });
        };
        add(KvCall::Put(ValueId(1)), KvRet::Written);
        let seen = ValueId(u32::from(!stale.contains(&key)));
        add(KvCall::Get, KvRet::Value(seen));
    }
    History::new(operations).expect("a history")
}

#[test]
fn threads_change_no_verdict_and_the_smallest_violated_key_is_reported() {
    let model = Kv::default();
    for stale in [&[][..], &[40], &[30, 99, 31]] {
        let history = keys(100, stale);
        for threads in [1, 2, 8] {
            let budget = Budget { threads, ..Budget::default() };
            for verdict in
                [check(&model, &history, &budget), check_without_decide(&model, &history, &budget)]
            {
                let Verdict::NotLinearizable(counterexample) = verdict else {
                    assert_eq!((verdict, stale.len()), (Verdict::Linearizable, 0));
                    continue;
                };
                let key = history.operation(counterexample.operations[0]).op.key;
                assert_eq!(Some(&key.0), stale.iter().min());
            }
        }
    }
}

#[test]
fn appended_texts_count_as_memory() {
    let kv = Kv::default();
    let key = kv.values.intern("k");
    let mut operations = Vec::new();
    let mut add = |now: u32, call: KvCall, outcome: Outcome<KvRet>| {
        let (client, invoked) = (Client(now), EventIndex(now));
        operations.push(Operation { client, op: KvOp { key, call }, invoked, outcome });
    };
    // The read returns each of them, but begins with a text that was never appended.
    let mut read = "z".to_owned();
    for (now, letter) in (0..).zip("aabcdefghijklmn".chars()) {
        let more = letter.to_string().repeat(1000);
        read.push_str(&more);
        add(now, KvCall::Append(kv.values.intern(more.as_str())), Outcome::Unknown);
    }
    let ret = KvRet::Value(kv.values.intern(read.as_str()));
    add(100, KvCall::Get, Outcome::Returned { at: EventIndex(101), ret });
    let history = History::new(operations).expect("the text is a history");
    let budget = Budget { bytes_max: 1 << 20, ..Budget::default() };
    let verdict = check_without_decide(&kv, &history, &budget);
    assert!(matches!(&verdict, Verdict::Unknown(why) if why.resource == Resource::Memory));
    let text = |value: &Value| if let Value::Text(text) = value { text.len() } else { 0 };
    let bytes: usize = kv.values.with(|data| data.iter().map(text).sum());
    assert!(bytes < 2 << 20, "{bytes} bytes of text");
}

#[test]
fn null_is_no_item_of_a_queue() {
    let at = |at| EventIndex(at);
    let one = |client, op, invoked, returned, ret| Operation {
        client: Client(client),
        op,
        invoked: at(invoked),
        outcome: Outcome::Returned { at: at(returned), ret },
    };
    let (null, item) = (ValueId::NULL, ValueId(1));
    let enqueue = |value| QueueOp::Enqueue(value);
    // A dequeue of null shows an empty queue, not the item null.
    let operations = vec![one(0, enqueue(null), 0, 1, null), one(0, QueueOp::Dequeue, 2, 3, null)];
    let history = History::new(operations).expect("a history");
    let budget = Budget::default();
    for verdict in
        [check, check_without_decide].map(|check| check(&Queue::default(), &history, &budget))
    {
        let Verdict::NotLinearizable(found) = verdict else { panic!("{verdict:?}") };
        assert_eq!(found.operations, [OpId(0)]);
    }
    let found = decided_reason(&history);
    assert_eq!(found, "enqueue 0 inserted null, which is no item");
    // An insertion of unknown outcome had none, and null in the initial queue is no item.
    let unknown = Operation { outcome: Outcome::Unknown, ..one(0, enqueue(null), 0, 1, null) };
    let operations = vec![
        unknown,
        one(1, enqueue(item), 2, 3, null),
        one(1, QueueOp::Dequeue, 4, 5, item),
        one(1, QueueOp::Dequeue, 6, 7, null),
    ];
    let history = History::new(operations).expect("a history");
    let queue = Queue { init: [null].into(), ..Queue::default() };
    assert_eq!(check(&queue, &history, &budget), Verdict::Linearizable);
    assert_eq!(check_without_decide(&queue, &history, &budget), Verdict::Linearizable);
}

fn decided_reason(history: &History<QueueOp, ValueId>) -> String {
    match check(&Queue::default(), history, &Budget::default()) {
        Verdict::NotLinearizable(found) => found.reason,
        verdict => panic!("{verdict:?}"),
    }
}
