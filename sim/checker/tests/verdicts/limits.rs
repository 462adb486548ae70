//! The limits of a check: what counts as memory, what is not tried again, and where it stops.

use std::sync::atomic::{AtomicU32, Ordering};

use quorate_checker::budget::Budget;
use quorate_checker::check::{check, check_without_decide};
use quorate_checker::history::{Client, EventIndex, History, OpId, Operation, Outcome, Subhistory};
use quorate_checker::model::Model;
use quorate_checker::models::{
    Counter, CounterOp, List, Lock, LockOp, Queue, Register, RegisterOp, RegisterRet, Set, SetOp,
    SetRet, Stack, StackOp,
};
use quorate_checker::search::search;
use quorate_checker::value::ValueId;
use quorate_checker::verdict::{Resource, Verdict};

/// A sequence of numbers to which operations append, and that counts its searches.
#[derive(Default)]
struct Counted {
    searches: AtomicU32,
}

impl Model for Counted {
    type State = Vec<u32>;
    type Op = u32;
    type Ret = bool;

    fn init(&self) -> Vec<u32> {
        self.searches.fetch_add(1, Ordering::Relaxed);
        Vec::new()
    }

    fn step(&self, state: &Vec<u32>, op: &u32, ret: Option<&bool>) -> Option<Vec<u32>> {
        (ret != Some(&false)).then(|| [&state[..], &[*op]].concat())
    }
}

fn resource(verdict: Verdict) -> Resource {
    match verdict {
        Verdict::Unknown(exhausted) => exhausted.resource,
        verdict => panic!("{verdict:?}"),
    }
}

/// Twelve concurrent operations, the last of which returns what is never legal.
fn hard() -> History<u32, bool> {
    let operation = |number: u32| Operation {
        client: Client(number),
        op: number,
        invoked: EventIndex(number),
        outcome: Outcome::Returned { at: EventIndex(100 + number), ret: number < 11 },
    };
    History::new((0..12).map(operation).collect()).expect("a history")
}

#[test]
fn a_search_that_lacks_memory_is_not_repeated() {
    let model = Counted::default();
    let budget = Budget { bytes_max: 1 << 18, ..Budget::default() };
    assert_eq!(resource(check_without_decide(&model, &hard(), &budget)), Resource::Memory);
    assert_eq!(model.searches.load(Ordering::Relaxed), 1);
    let few = Budget { configurations_max: 30_000, ..Budget::default() };
    assert_eq!(resource(check_without_decide(&model, &hard(), &few)), Resource::Configurations);
    assert_eq!(model.searches.load(Ordering::Relaxed), 3, "two rounds");
}

#[test]
fn the_space_of_a_register_is_counted_before_it_is_allocated() {
    let write = |number: u32| Operation {
        client: Client(number),
        op: RegisterOp::Write(ValueId(number + 1)),
        invoked: EventIndex(number),
        outcome: Outcome::Returned { at: EventIndex(10_000 + number), ret: RegisterRet::Written },
    };
    let history = History::new((0..1100).map(write).collect()).expect("a history");
    let ids: Vec<_> = (0..1100).map(quorate_checker::history::OpId).collect();
    let part = Subhistory::new(&history, &ids);
    // Each value has four sets of 8192 bits.
    let budget = Budget { bytes_max: 1100 * 4096, ..Budget::default() };
    let Verdict::Unknown(exhausted) = search(&Register::default(), part, &budget) else {
        panic!("the space is too large")
    };
    assert_eq!((exhausted.resource, exhausted.ordered), (Resource::Memory, (0, 1100)));
}

#[test]
fn the_allocations_of_states_are_counted() {
    let queue = std::collections::VecDeque::with_capacity(100);
    assert!(Queue::default().unhashed_bytes(&queue) >= 400);
    let list = std::collections::BTreeMap::from([(ValueId(1), Vec::with_capacity(100))]);
    assert!(List::default().unhashed_bytes(&list) >= 400 + 11 * 28);
}

/// Returns the history of operations that follow one another. Those without a result have an
/// unknown outcome, and take effect at any time after their invocation.
fn in_sequence<O, R>(operations: impl IntoIterator<Item = (O, Option<R>)>) -> History<O, R> {
    let operation = |(number, (op, ret)): (u32, (O, Option<R>))| Operation {
        client: Client(number),
        op,
        invoked: EventIndex(2 * number),
        outcome: match ret {
            Some(ret) => Outcome::Returned { at: EventIndex(2 * number + 1), ret },
            None => Outcome::Unknown,
        },
    };
    History::new((0..).zip(operations).map(operation).collect()).expect("a history")
}

fn decided<M: Model>(
    model: &M,
    history: &History<M::Op, M::Ret>,
    budget: &Budget<'_>,
) -> Option<Verdict> {
    let ids: Vec<OpId> = (0..).map(OpId).take(history.operations().len()).collect();
    model.decide(Subhistory::new(history, &ids), budget)
}

/// Checks that the algorithm of `model` decides `history`, but not once it is stopped.
fn assert_stops<M: Model>(model: &M, history: &History<M::Op, M::Ret>) {
    let free = Budget::default();
    assert!(decided(model, history, &free).is_some());
    let stop = || true;
    let stopped = Budget { stop: Some(&stop), ..free };
    assert_eq!(decided(model, history, &stopped), None);
    assert_eq!(resource(check(model, history, &stopped)), Resource::Stopped);
}

/// Twenty additions that may take effect at any time, and a thousand that are counted.
fn counted() -> History<CounterOp, Option<i64>> {
    let unknown = (0..20).map(|_| (CounterOp::Add(1), None));
    let known = (1..1_000).flat_map(|number| {
        [(CounterOp::Add(1), Some(None)), (CounterOp::Read, Some(Some(number)))]
    });
    in_sequence(unknown.chain(known))
}

#[test]
fn the_algorithms_of_objects_stop() {
    assert_stops(&Counter::default(), &counted());
    let turns = (0..40_000).flat_map(|_| [LockOp::Acquire, LockOp::Release]);
    assert_stops(&Lock::default(), &in_sequence(turns.map(|op| (op, Some(())))));
    let adds = (1..400).map(|value| (SetOp::Add(ValueId(value)), Some(SetRet::Done)));
    let all: Vec<ValueId> = (1..400).map(ValueId).collect();
    let reads = (0..400).map(|_| (SetOp::Read, Some(SetRet::Members(all[..].into()))));
    assert_stops(&Set::default(), &in_sequence(adds.chain(reads)));
    // Each pop of unknown outcome must take the item on top, and not the first item of all.
    let push = |value| (StackOp::Push(ValueId(value)), Some(ValueId::NULL));
    let pop = |value| (StackOp::Pop, Some(ValueId(value)));
    let four = |value| [push(value), push(value + 1), (StackOp::Pop, None), pop(value)];
    let pushed_and_popped = (2..500).step_by(2).flat_map(four);
    assert_stops(&Stack::default(), &in_sequence([push(1)].into_iter().chain(pushed_and_popped)));
}

#[test]
fn the_choices_of_a_counter_are_counted_as_memory() {
    let budget = Budget { bytes_max: 1 << 14, ..Budget::default() };
    assert_eq!(decided(&Counter::default(), &counted(), &budget), None);
}

#[test]
fn a_search_stops_although_it_never_branches() {
    let reads = (0..100_000).map(|_| (RegisterOp::Read, Some(RegisterRet::Value(ValueId::NULL))));
    let history = in_sequence(reads);
    let calls = AtomicU32::new(0);
    let stop = || calls.fetch_add(1, Ordering::Relaxed) > 0;
    let budget = Budget { stop: Some(&stop), ..Budget::default() };
    let verdict = check_without_decide(&Register::default(), &history, &budget);
    assert_eq!(resource(verdict), Resource::Stopped);
}

#[test]
fn the_search_for_a_smaller_counterexample_can_be_stopped() {
    let cas = RegisterOp::Cas { from: ValueId(1), to: ValueId(2) };
    let failed = (0..2_000).map(|_| (cas, Some(RegisterRet::Swapped(false))));
    let read = (RegisterOp::Read, Some(RegisterRet::Value(ValueId(2))));
    let history = in_sequence(failed.chain([read]));
    let calls = AtomicU32::new(0);
    let stop = || calls.fetch_add(1, Ordering::Relaxed) > 0;
    let budget = Budget { stop: Some(&stop), ..Budget::default() };
    let verdict = decided(&Register::default(), &history, &budget);
    assert!(matches!(verdict, Some(Verdict::NotLinearizable(_))), "{verdict:?}");
    assert_eq!(calls.load(Ordering::Relaxed), 2, "it goes on once, and then stops");
}
