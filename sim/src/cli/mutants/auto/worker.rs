//! Runs seeds in a process of their own, in which a mutant may be active: it may panic, use all
//! memory or never end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cli::args::MutantSeedsArguments;
use crate::cli::clock;
use crate::cli::console;
use crate::cli::exit::{CommandError, CommandResult, Exit};
use crate::cli::panics;
use crate::cli::program::Program;
use crate::cli::text::Finding;

/// The largest address space of the process, in bytes; a mutant that needs more is stopped.
#[cfg(unix)]
const MEMORY_MAX: u64 = 6 << 30;
/// The interval at which the CPU time of the running seed is compared with its limit.
const WATCH_EVERY: Duration = Duration::from_millis(100);

/// The result of one seed, a line of the output after the word `seed`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct SeedRecord {
    pub(crate) seed: u64,
    /// The digest of the run, in hexadecimal.
    pub(crate) digest: String,
    pub(crate) cpu_seconds: f64,
    /// Why the run failed, if it did.
    pub(crate) failure: Option<SeedFailure>,
}

/// Why a seed failed.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct SeedFailure {
    /// `safety`, `liveness`, `panic`, `simulator` or `stalled`; `hang` or `abort` if the process
    /// did not finish the seed.
    pub(crate) kind: String,
    /// The check by id and name, or the kind.
    pub(crate) check: String,
    /// The observed violation, or the panic message.
    pub(crate) detail: String,
}

/// Runs the seeds up to the first that fails.
pub(crate) fn execute(program: &Program, arguments: &MutantSeedsArguments) -> CommandResult {
    limit_memory()?;
    let started = Arc::new(AtomicU64::new(micros()));
    watch(Arc::clone(&started), arguments.of.cpu);
    let options = program.options(arguments.seed_options);
    for seed in arguments.of.seeds.clone() {
        let before = micros();
        started.store(before, Ordering::Relaxed);
        let outcome = panics::run(seed, &options);
        let failure = outcome.failure.as_ref().map(Finding::of).map(|finding| SeedFailure {
            kind: finding.kind.to_owned(),
            check: finding.check,
            detail: finding.detail,
        });
        let record = SeedRecord {
            seed,
            digest: format!("{:016x}", outcome.digest),
            cpu_seconds: Duration::from_micros(micros() - before).as_secs_f64(),
            failure,
        };
        let json = serde_json::to_string(&record).expect("a record is always valid JSON");
        console::print_line(&format!("seed {json}"));
        if record.failure.is_some() {
            break;
        }
    }
    Ok(Exit::Success)
}

/// Ends the process when the running seed has used more CPU time than `limit`.
fn watch(started: Arc<AtomicU64>, limit: Duration) {
    thread::spawn(move || {
        loop {
            clock::sleep(WATCH_EVERY);
            let spent = micros().saturating_sub(started.load(Ordering::Relaxed));
            if Duration::from_micros(spent) > limit {
                console::print_line("hang");
                std::process::exit(Exit::Liveness as i32);
            }
        }
    });
}

fn micros() -> u64 {
    u64::try_from(clock::cpu_of_process().as_micros()).unwrap_or(u64::MAX)
}

#[cfg(unix)]
fn limit_memory() -> CommandResult<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = Rlimit { current: Some(MEMORY_MAX), ..getrlimit(Resource::As) };
    setrlimit(Resource::As, limit)
        .map_err(|error| CommandError(format!("mutants: the memory cannot be limited: {error}")))
}

#[cfg(not(unix))]
fn limit_memory() -> CommandResult<()> {
    Ok(())
}
