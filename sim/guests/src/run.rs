//! Runs a case with a guest, from its first choice to its outcome.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

use quorate_sim::observe::outcome::{Failure, Outcome};
use quorate_sim::run::{Case, RunOptions};
use quorate_sim::scenario::Scenario;

use crate::case;
use crate::cluster::Cluster;
use crate::guest::Guest;

thread_local! {
    static IN_RUN: Cell<bool> = const { Cell::new(false) };
    static PANIC_LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs a case to its end, or to the first failure. The same case has the same outcome. Of the
/// options it uses the trace and the largest number of events.
#[must_use]
pub fn run<G: Guest>(case: &Case, options: &RunOptions) -> Outcome {
    silence_panics();
    let mut outcome = Outcome {
        seed: case.seed,
        digest: 0,
        tally: Default::default(),
        marks: Vec::new(),
        states: Default::default(),
        scripted: Default::default(),
        failure: None,
    };
    let scenario = Scenario::of(case.clone(), Vec::new(), &options.workload);
    if case::check::<G>(&scenario).is_err() {
        // Shrinking may try a case that no guest can run; such a run does not fail.
        return outcome;
    }
    let mut cluster = Cluster::<G>::new(case, options.trace.clone());
    IN_RUN.set(true);
    PANIC_LOCATION.set(None);
    let end = panic::catch_unwind(AssertUnwindSafe(|| cluster.run(options.events_max)));
    IN_RUN.set(false);
    outcome.failure = match end {
        Ok(result) => result.err(),
        Err(payload) => Some(located(Failure::panicked(payload.as_ref()))),
    };
    // A core that panicked may panic again when it is dropped.
    (outcome.digest, outcome.tally) = (cluster.digest, std::mem::take(&mut cluster.tally));
    outcome
}

/// Adds the source position to the failure of a run that panicked.
fn located(failure: Failure) -> Failure {
    match (failure, PANIC_LOCATION.take()) {
        (Failure::Panic(text), Some(place)) => Failure::Panic(format!("{text} at {place}")),
        (failure, _) => failure,
    }
}

/// Installs a panic hook that prints nothing for panics inside a run.
fn silence_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let default_hook = panic::take_hook();
        panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            if IN_RUN.get() {
                PANIC_LOCATION
                    .set(info.location().map(|at| format!("{}:{}", at.file(), at.line())));
            } else {
                default_hook(info);
            }
        }));
    });
}
