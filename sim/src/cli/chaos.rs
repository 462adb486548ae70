//! A failed chaos run of a user's test: shrunk, explained, and written as a scenario and a page.

use std::env;
use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::thread;

use crate::cli::panics;
use crate::cli::program::Program;
pub(crate) use crate::cli::progress::RunProgress;
use crate::cli::replay::Replay;
use crate::cli::run_arguments::SeedOptions;
use crate::cli::shrink;
use crate::cli::text::quantity;
use crate::cli::view;
use crate::explain;
use crate::observe::outcome::Outcome;
use crate::record::RecordUntil;
use crate::run::RunOptions;
use crate::workload::AnyWorkload;

/// The maximum number of client operations that are listed.
const OPERATIONS_MAX: usize = 20;

/// The command in the replay lines: an example, because the user chooses the real name.
const COMMAND: &str = "cargo run --example chaos --";

/// The explanation of a failed run, and the files about it.
#[derive(Clone, Debug, Default)]
pub(crate) struct FailedRun {
    /// The cause in one sentence.
    pub(crate) cause: String,
    /// The lines of the smallest scenario that was found to fail in the same way.
    pub(crate) scenario: Vec<String>,
    /// The clients' operations of the shrunk run, in the words of the workload.
    pub(crate) operations: Vec<String>,
    /// The files that were written: the scenario and the page.
    pub(crate) files: Vec<PathBuf>,
    /// The commands that trace and explain the shrunk run; empty if no files were written.
    pub(crate) next: Vec<String>,
}

/// Runs a seed; its panic is the failure of its outcome, and is not printed.
pub(crate) fn run_seed(seed: u64, options: &RunOptions) -> Outcome {
    panics::silence_in_seeds();
    panics::run(seed, options)
}

/// Shrinks the failed run of a seed of the default profile, explains it, and writes its scenario
/// and its page to `chaos/` in the target directory. If it cannot write them, it returns the rest;
/// if the seed passes this time, it returns nothing.
pub(crate) fn failed_run(workload: &AnyWorkload, seed: u64) -> FailedRun {
    let program =
        Program { name: COMMAND.to_owned(), workload: workload.clone(), is_builtin: false };
    let replay = Replay::of_seed(&program, seed, SeedOptions::default());
    let jobs = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let Some((shrunk, _)) = shrink::in_limits(&replay.case, &replay.options, jobs) else {
        return FailedRun::default();
    };
    let recording =
        panics::silenced(|| shrunk.scenario.case.record(&replay.options, RecordUntil::End));
    let cause = explain::explain(&recording.record).map_or(String::new(), |it| it.cause);
    let document = view::page_document(&program, &replay.name, &recording);
    let operation = |operation: &quorate_page::document::Operation| {
        let client = operation.client;
        let result = match operation.result.as_str() {
            "" => "no outcome",
            result => result,
        };
        format!("client {client}: {} ({result})", operation.call)
    };
    let mut operations: Vec<String> =
        document.operations.iter().take(OPERATIONS_MAX).map(operation).collect();
    let more = document.operations.len().saturating_sub(OPERATIONS_MAX);
    if more > 0 {
        operations.push(format!("and {} more, on the page", quantity(more as u64, "operation")));
    }
    let mut failed =
        FailedRun { cause, operations, scenario: shrunk.scenario.lines(), ..Default::default() };
    let folder = folder();
    if shrink::write_files(&program, &folder, &replay, &shrunk).is_ok() {
        failed.files = shrink::files_of(&folder, &replay, &shrunk).into();
        let scenario = failed.files[0].display();
        failed.next = vec![
            format!("{COMMAND} --scenario {scenario} --trace"),
            format!("{COMMAND} explain --scenario {scenario}"),
        ];
    }
    failed
}

/// The directory for the files: `chaos` in the target directory of the running test, or else in the
/// directory for temporary files.
fn folder() -> PathBuf {
    let program = env::current_exe().unwrap_or_default();
    let mut above = program.ancestors();
    let target = above.find(|folder| folder.join("CACHEDIR.TAG").exists());
    let folder = target.map_or_else(env::temp_dir, PathBuf::from).join("chaos");
    fs::canonicalize(&folder).unwrap_or(folder)
}
