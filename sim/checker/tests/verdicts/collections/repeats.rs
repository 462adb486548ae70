//! Collections with repeated values, in histories that need no search of all orders.

use quorate_checker::history::{Client, EventIndex, History, OpId, Operation, Outcome};
use quorate_checker::model::Model;
use quorate_checker::models::{
    Counter, CounterOp, Kv, KvCall, KvOp, KvRet, List, ListOp, ListRet, Queue, QueueOp, Stack,
    StackOp,
};
use quorate_checker::value::ValueId;
use quorate_checker::verdict::{Counterexample, Verdict};

use super::fuzz::decided;

const KEY: ValueId = ValueId(1);

/// Returns a history of the concurrent operations `first`, and then of `later` one by one.
fn timed<O: Clone, R: Clone>(first: &[(O, R)], later: &[(O, R)]) -> History<O, R> {
    let count = first.len() as u32;
    let mut operations = Vec::new();
    for (number, (op, ret)) in (0..).zip(first.iter().chain(later)) {
        let (invoked, at) = match number < count {
            true => (number, number + count),
            false => (2 * number, 2 * number + 1),
        };
        let outcome = Outcome::Returned { at: EventIndex(at), ret: ret.clone() };
        let (client, invoked) = (Client(number), EventIndex(invoked));
        operations.push(Operation { client, op: op.clone(), invoked, outcome });
    }
    History::new(operations).expect("a history")
}

fn violation<M: Model>(model: &M, history: &History<M::Op, M::Ret>) -> Counterexample {
    match decided(model, history) {
        Some(Verdict::NotLinearizable(counterexample)) => counterexample,
        verdict => panic!("{verdict:?}"),
    }
}

/// The values 2 to 15, and 2 again.
fn values() -> Vec<ValueId> {
    (2..16).chain([2]).map(ValueId).collect()
}

fn appends(values: &[ValueId]) -> Vec<(ListOp, ListRet)> {
    let append = |value: &ValueId| ListOp::Append { key: KEY, value: *value };
    values.iter().map(|value| (append(value), ListRet::Appended)).collect()
}

fn read(items: Vec<ValueId>) -> (ListOp, ListRet) {
    (ListOp::Read { key: KEY }, ListRet::Items(items.into()))
}

fn enqueues(values: &[ValueId]) -> Vec<(QueueOp, ValueId)> {
    values.iter().map(|value| (QueueOp::Enqueue(*value), ValueId::NULL)).collect()
}

fn dequeues(values: &[ValueId]) -> Vec<(QueueOp, ValueId)> {
    values.iter().map(|value| (QueueOp::Dequeue, *value)).collect()
}

fn pushes(values: &[ValueId]) -> Vec<(StackOp, ValueId)> {
    values.iter().map(|value| (StackOp::Push(*value), ValueId::NULL)).collect()
}

fn pops(values: &[ValueId]) -> Vec<(StackOp, ValueId)> {
    values.iter().map(|value| (StackOp::Pop, *value)).collect()
}

#[test]
fn a_value_that_was_never_inserted_is_found_beside_repeated_ones() {
    let other = ValueId(99);
    let list = timed(&appends(&values()), &[read(vec![ValueId(2), other])]);
    let found = violation(&List::default(), &list);
    assert_eq!((found.operations.as_slice(), found.minimal), (&[OpId(15)][..], true));
    let queue = timed(&enqueues(&values()), &dequeues(&[other]));
    let found = violation(&Queue::default(), &queue);
    assert_eq!((found.operations.as_slice(), found.minimal), (&[OpId(15)][..], true));
    assert_eq!(found.reason, "dequeue 15 returned v99, which was never enqueued");
    let found = violation(&Stack::default(), &timed(&pushes(&values()), &pops(&[other])));
    assert_eq!((found.operations.as_slice(), found.minimal), (&[OpId(15)][..], true));
}

#[test]
fn more_takes_than_insertions_are_found_beside_repeated_values() {
    let two = ValueId(2);
    let queue = timed(&enqueues(&values()), &dequeues(&[two, two, two]));
    let found = violation(&Queue::default(), &queue);
    assert_eq!(found.operations, [OpId(15), OpId(16), OpId(17)]);
    let list = timed(&appends(&values()), &[read(vec![two, two, two])]);
    assert_eq!(violation(&List::default(), &list).operations, [OpId(15)]);
    // The second insertion came after the second removal.
    let mut later = dequeues(&[two, two]);
    later.extend(enqueues(&[two]));
    let found = violation(&Queue::default(), &timed(&enqueues(&[two]), &later));
    assert_eq!(found.operations, [OpId(1), OpId(2)]);
}

#[test]
fn a_text_that_was_never_appended_is_found_beside_repeated_ones() {
    let kv = Kv::default();
    let key = kv.values.intern("k");
    let text = |text: &str| kv.values.intern(text);
    let put = |value| (KvOp { key, call: KvCall::Put(value) }, KvRet::Written);
    let get = |value| (KvOp { key, call: KvCall::Get }, KvRet::Value(value));
    let append = |value| (KvOp { key, call: KvCall::Append(value) }, KvRet::Written);
    let numbers = (0..14).chain([0]).map(|number| append(text(&format!("{number};"))));
    let first: Vec<(KvOp, KvRet)> = numbers.collect();
    let twice = [put(text("0;")), put(text("0;"))];
    for wrong in ["999;", "0;1", "0;1;99;"] {
        let history = timed(&first, &[&twice[..], &[get(text(wrong))]].concat());
        let found = violation(&kv, &history);
        assert_eq!((found.operations.as_slice(), found.minimal), (&[OpId(17)][..], true));
    }
    // An append comes too late for the first read.
    let late = [&twice[..], &[get(text("0;x;")), append(text("x;"))]].concat();
    assert_eq!(violation(&kv, &timed(&first, &late)).operations, [OpId(17)]);
}

/// Returns [`values`] in a different order.
fn shuffled() -> Vec<ValueId> {
    let values = values();
    (0..values.len()).map(|place| values[place * 7 % values.len()]).collect()
}

#[test]
fn the_order_of_repeated_values_in_a_list_is_that_of_its_longest_read() {
    let good = timed(&appends(&values()), &[read(shuffled())]);
    assert_eq!(decided(&List::default(), &good), Some(Verdict::Linearizable));
    // Only one of the appends of 2 can come before the read, and the last one comes after it.
    let mut later = vec![read(shuffled()), read(shuffled()[..3].to_vec())];
    later.extend(appends(&[ValueId(2)]));
    let bad = timed(&appends(&values()), &later);
    let found = violation(&List::default(), &bad);
    assert!(found.operations.len() <= 3 && found.operations.contains(&OpId(16)), "{found:?}");
}

#[test]
fn the_order_of_repeated_values_in_a_queue_is_that_of_the_dequeues() {
    let good = timed(&enqueues(&values()), &dequeues(&shuffled()));
    assert_eq!(decided(&Queue::default(), &good), Some(Verdict::Linearizable));
    // 77 is enqueued last, but dequeued in the middle.
    let mut later = enqueues(&[ValueId(2), ValueId(77)]);
    let mut order = shuffled();
    order.insert(5, ValueId(77));
    later.extend(dequeues(&order));
    let history = timed(&enqueues(&values()), &later);
    let found = violation(&Queue::default(), &history);
    assert!(found.operations.len() < history.operations().len() - 10, "{found:?}");
}

#[test]
fn the_order_of_repeated_values_in_a_stack_is_that_of_the_pops() {
    let good = timed(&pushes(&values()), &pops(&shuffled()));
    assert_eq!(decided(&Stack::default(), &good), Some(Verdict::Linearizable));
    // The items that stay are below the others, whichever they are.
    let some = timed(&pushes(&values()), &pops(&shuffled()[..9]));
    assert_eq!(decided(&Stack::default(), &some), Some(Verdict::Linearizable));
    let empty = ValueId::NULL;
    let mut rest = shuffled();
    rest.push(empty);
    let emptied = timed(&pushes(&values()), &pops(&rest));
    assert_eq!(decided(&Stack::default(), &emptied), Some(Verdict::Linearizable));
    // 77 is pushed last, but popped in the middle.
    let mut later = pushes(&[ValueId(77)]);
    let mut order = shuffled();
    order.insert(5, ValueId(77));
    later.extend(pops(&order));
    later.extend(pushes(&[ValueId(2), ValueId(3)]));
    let bad = timed(&pushes(&values()), &later);
    let found = violation(&Stack::default(), &bad);
    assert!(found.operations.len() <= bad.operations().len() - 2, "{found:?}");
    // The stack is not empty before the last pop.
    let early = [&pops(&shuffled()[..8])[..], &pops(&[empty])[..], &pops(&shuffled()[8..])[..]];
    let found = violation(&Stack::default(), &timed(&pushes(&values()), &early.concat()));
    assert!(found.operations.len() <= 16 + 9, "{found:?}");
}

#[test]
fn a_push_of_unknown_outcome_may_have_been_popped() {
    let mut operations = timed(&pushes(&values()), &pops(&shuffled())).operations().to_vec();
    operations[15].outcome = Outcome::Unknown;
    let history = History::new(operations).expect("a history");
    assert_eq!(decided(&Stack::default(), &history), Some(Verdict::Linearizable));
}

#[test]
fn a_counter_that_misses_an_addition_is_found_among_many_choices() {
    let add = |amount: i64| (CounterOp::Add(amount), None);
    let get = |number: i64| (CounterOp::Read, Some(number));
    let mut operations: Vec<Operation<CounterOp, Option<i64>>> = Vec::new();
    let count = 4000;
    for (number, amount) in (0..count).zip([2, 1].into_iter().cycle()) {
        let at = EventIndex(count + 10 + number);
        let outcome = Outcome::Returned { at, ret: None };
        let (client, invoked) = (Client(number), EventIndex(number));
        operations.push(Operation { client, op: CounterOp::Add(amount), invoked, outcome });
    }
    for (number, (op, ret)) in (0..).zip([get(3000), add(10), get(3005)]) {
        let invoked = EventIndex(count + 2 * number);
        let outcome = Outcome::Returned { at: EventIndex(invoked.0 + 1), ret };
        operations.push(Operation { client: Client(count), op, invoked, outcome });
    }
    let history = History::new(operations).expect("a history");
    let found = violation(&Counter::default(), &history);
    assert_eq!(found.operations, [OpId(count), OpId(count + 1), OpId(count + 2)]);
}
