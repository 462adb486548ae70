//! The limits of a search: what counts as memory, and what is not tried again.

use std::sync::atomic::{AtomicU32, Ordering};

use quorate_checker::budget::Budget;
use quorate_checker::check::check_without_decide;
use quorate_checker::history::{Client, EventIndex, History, Operation, Outcome, Subhistory};
use quorate_checker::model::Model;
use quorate_checker::models::{List, Queue, Register, RegisterOp, RegisterRet};
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
