//! Panics inside a seed: they are that seed's failure, told with its summary and not by
//! themselves.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

use crate::outcome::{Failure, Outcome};
use crate::run::{self, Case, RunOptions};

thread_local! {
    static IN_SEED: Cell<bool> = const { Cell::new(false) };
    static WHERE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From now on a panic inside [`run`] prints nothing by itself.
pub(crate) fn keep_quiet_in_seeds() {
    let loud = panic::take_hook();
    panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
        if IN_SEED.get() {
            WHERE.set(info.location().map(|at| format!("{}:{}", at.file(), at.line())));
        } else {
            loud(info);
        }
    }));
}

/// Runs a seed; a panic in it becomes the outcome's failure, with the place in the sources.
pub(crate) fn run(seed: u64, options: &RunOptions) -> Outcome {
    caught(seed, || run::run(seed, options))
}

/// Runs a case in the same way.
pub(crate) fn run_case(case: &Case, options: &RunOptions) -> Outcome {
    caught(case.seed, || case.run(options))
}

/// Does what is a seed's business: a panic in it prints nothing by itself.
pub(crate) fn quietly<T>(seed: impl FnOnce() -> T) -> T {
    IN_SEED.set(true);
    let done = seed();
    IN_SEED.set(false);
    done
}

fn caught(seed: u64, run: impl FnOnce() -> Outcome) -> Outcome {
    IN_SEED.set(true);
    WHERE.set(None);
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    IN_SEED.set(false);
    let place = WHERE.take();
    let mut outcome = result.unwrap_or_else(|payload| Outcome {
        seed,
        digest: 0,
        tally: Default::default(),
        marks: Vec::new(),
        states: Default::default(),
        sightings: Default::default(),
        failure: Some(Failure::panicked(payload.as_ref())),
    });
    if let (Some(Failure::Panic(message)), Some(place)) = (&mut outcome.failure, place) {
        *message = format!("{message} at {place}");
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_the_failure_of_its_seed_and_says_where() {
        keep_quiet_in_seeds();
        let number = 5;
        let outcome = caught(7, || panic!("no quorum\n  of: {number}\n"));
        assert_eq!(outcome.seed, 7);
        let Some(Failure::Panic(text)) = outcome.failure else { panic!("it did not fail") };
        assert!(text.starts_with("no quorum; of: 5 at sim/src/cli/panics.rs:"), "{text}");
        assert!(!IN_SEED.get(), "a later panic would be quiet");
    }
}
