//! The limits of a search: what is not tried again.

use std::sync::atomic::{AtomicU32, Ordering};

use quorate_checker::budget::Budget;
use quorate_checker::check::check_without_decide;
use quorate_checker::history::{Client, EventIndex, History, Operation, Outcome};
use quorate_checker::model::Model;
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
