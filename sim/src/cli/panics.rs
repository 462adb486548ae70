//! Panics inside a seed, reported as the failure of that seed instead of by the panic hook.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

use crate::cli::exit::{CommandResult, Exit};
use crate::observe::outcome::{Failure, Outcome};
use crate::run::{self, Case, RunOptions};

thread_local! {
    static IN_SEED: Cell<bool> = const { Cell::new(false) };
    static PANIC_LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs a command. A panic, which was printed already, ends it with the exit code of a panic of the
/// simulator, or of the node or the state machine.
pub(crate) fn guarded(command: impl FnOnce() -> CommandResult) -> CommandResult {
    silence_in_seeds();
    PANIC_LOCATION.set(None);
    panic::catch_unwind(AssertUnwindSafe(command)).unwrap_or_else(|_| {
        let place = PANIC_LOCATION.take();
        let is_of_node = place.is_some_and(|place| !is_of_simulator(&place));
        Ok(if is_of_node { Exit::Panic } else { Exit::Simulator })
    })
}

/// Installs a panic hook, once in this process. It keeps the place of each panic, and prints
/// nothing for panics inside [`run`], [`run_case`] and [`silenced`].
pub(crate) fn silence_in_seeds() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let default_hook = panic::take_hook();
        panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            PANIC_LOCATION.set(info.location().map(|at| format!("{}:{}", at.file(), at.line())));
            if !IN_SEED.get() {
                default_hook(info);
            }
        }));
    });
}

/// Runs a seed. A panic becomes the failure of the outcome, with its source location.
pub(crate) fn run(seed: u64, options: &RunOptions) -> Outcome {
    caught(seed, || run::run(seed, options))
}

/// Runs a case. A panic becomes the failure of the outcome, with its source location.
pub(crate) fn run_case(case: &Case, options: &RunOptions) -> Outcome {
    caught(case.seed, || case.run(options))
}

/// Calls `work` with the panic hook silenced for the panics that `work` itself catches. Any other
/// panic is printed and propagates.
pub(crate) fn silenced<T>(work: impl FnOnce() -> T) -> T {
    IN_SEED.set(true);
    PANIC_LOCATION.set(None);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    IN_SEED.set(false);
    result.unwrap_or_else(|payload| {
        let place = PANIC_LOCATION.with_borrow(|place| place.clone().unwrap_or_default());
        let failure = Failure::panicked(payload.as_ref());
        eprintln!("panicked at {place}: {failure}");
        panic::resume_unwind(payload)
    })
}

fn caught(seed: u64, run: impl FnOnce() -> Outcome) -> Outcome {
    IN_SEED.set(true);
    PANIC_LOCATION.set(None);
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    IN_SEED.set(false);
    let place = PANIC_LOCATION.take();
    let mut outcome = result.unwrap_or_else(|payload| Outcome {
        seed,
        digest: 0,
        tally: Default::default(),
        marks: Vec::new(),
        states: Default::default(),
        scripted: Default::default(),
        failure: Some(Failure::panicked(payload.as_ref())),
    });
    if let (Some(Failure::Panic(message)), Some(place)) = (&outcome.failure, place) {
        let text = format!("{message} at {place}");
        let simulator = is_of_simulator(&place);
        outcome.failure =
            Some(if simulator { Failure::Simulator(text) } else { Failure::Panic(text) });
    }
    outcome
}

/// Whether a source location is in the simulator, and not in a state machine of its workloads.
fn is_of_simulator(place: &str) -> bool {
    let sources = file!().strip_suffix("cli/panics.rs");
    let file = sources.and_then(|sources| place.strip_prefix(sources));
    file.is_some_and(|file| !file.starts_with("workload/"))
}

#[cfg(test)]
mod tests {
    use quorate::types::{Membership, NodeId};

    use super::*;

    #[test]
    fn a_panic_is_the_failure_of_its_seed_with_its_location() {
        silence_in_seeds();
        let number = 5;
        let outcome = caught(7, || panic!("no quorum\n  of: {number}\n"));
        assert_eq!(outcome.seed, 7);
        let Some(Failure::Simulator(text)) = outcome.failure else { panic!("no failure") };
        assert!(text.starts_with("no quorum; of: 5 at sim/src/cli/panics.rs:"), "{text}");
        assert!(!IN_SEED.get(), "a later panic would be silenced");
    }

    #[test]
    fn a_panic_ends_a_command_with_the_exit_code_of_its_place() {
        assert_eq!(guarded(|| panic!("while a page is written")), Ok(Exit::Simulator));
        assert_eq!(
            guarded(|| silenced(|| panic!("while a run is explained"))),
            Ok(Exit::Simulator)
        );
        let settled = Membership::new([NodeId(1)]);
        let outside = guarded(|| panic!("nothing staged: {:?}", settled.enter_joint(None)));
        assert_eq!(outside, Ok(Exit::Panic), "the library panics before");
        assert_eq!(guarded(|| Ok(Exit::Safety)), Ok(Exit::Safety));
    }

    #[test]
    fn only_the_simulators_own_sources_make_an_error_of_the_simulator() {
        assert!(is_of_simulator("sim/src/world/members.rs:41"));
        for other in ["sim/src/workload/kv.rs:7", "src/raft/mod.rs:5", "examples/own.rs:9"] {
            assert!(!is_of_simulator(other), "{other}");
        }
    }
}
