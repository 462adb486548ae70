//! The command `cargo sim`: sweeps, replays, what explains and draws them, scenarios, also on real
//! processes, runs made small, measurements, planted bugs, and verdicts on histories.

mod args;
mod bench;
mod canary;
mod clock;
mod console;
mod exit;
mod histories;
mod interrupt;
mod merge;
mod mutants;
mod panics;
#[cfg(unix)]
mod procs;
mod program;
mod progress;
mod replay;
mod replays;
mod report;
mod scenario;
mod shrink;
mod sweep;
mod text;
mod tracing;
mod values;
mod view;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use crate::cli::args::{Arguments, Command, Stop};
use crate::cli::exit::{Exit, Trouble};
use crate::cli::program::{OURS, Program};
use crate::run::RunOptions;
use crate::workload::{AnyWorkload, Workload};

/// The one environment variable of the project's own: where tests look for more data.
const KNOWN_VARIABLES: [&str; 1] = ["QUORATE_DATA"];

/// Runs the command line of this process, as `cargo sim`: over the key-value store at hand.
#[must_use]
pub fn main() -> ExitCode {
    let workload = RunOptions::default().workload;
    run(Program { name: OURS.to_owned(), workload }, env::args_os().skip(1))
}

/// Runs a command line over somebody's own state machine: the words after `name`, which is what a
/// person types before them. Everything that `cargo sim` can do it does for `workload`, save what
/// is about the library itself: planted bugs, and tests made of failures.
///
/// ```no_run
/// use quorate_sim::workload::kv::Kv;
///
/// let words = std::env::args_os().skip(1);
/// quorate_sim::cli::main_over("cargo storm", Kv::new(3, 8), words);
/// ```
#[must_use]
pub fn main_over(
    name: &str,
    workload: impl Workload,
    words: impl IntoIterator<Item = OsString>,
) -> ExitCode {
    run(Program { name: name.to_owned(), workload: AnyWorkload::new(workload) }, words)
}

fn run(program: Program, words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let ended = match args::parse(&program.name, words) {
        Ok(arguments) => refuse_unknown_variables().and_then(|()| go(&program, arguments)),
        Err(Stop::Told(text)) => {
            console::say(text.trim_end());
            Ok(Exit::Fine)
        }
        Err(Stop::Wrong(line)) => Err(Trouble(line)),
    };
    let exit = ended.unwrap_or_else(|trouble| {
        eprintln!("error: {trouble}");
        Exit::Usage
    });
    exit.into()
}

fn go(program: &Program, arguments: Arguments) -> Result<Exit, Trouble> {
    match arguments.command {
        None => match &arguments.sweep.scenario {
            Some(file) => scenario::go(program, file, arguments.sweep.trace),
            None => sweep::go(program, &arguments.sweep),
        },
        Some(Command::Bench(bench)) => bench::go(program, &bench),
        Some(Command::Check(check)) => histories::go(&check),
        Some(Command::Merge(merge)) => merge::go(program, &merge),
        Some(Command::Mutants(mutants)) => {
            program.must_be_ours("mutants")?;
            mutants::go(&mutants)
        }
        Some(Command::View(view)) => view::go(program, &view),
        Some(Command::Explain(explain)) => replays::explain(program, &explain),
        Some(Command::At(at)) => replays::at(program, &at),
        Some(Command::WhyNot(why_not)) => replays::why_not(program, &why_not),
        Some(Command::Record(record)) => replays::record(program, &record),
        Some(Command::Diff(diff)) => replays::diff(program, &diff),
        Some(Command::Shrink(arguments)) => shrink::go(program, &arguments),
        #[cfg(unix)]
        Some(Command::Procs(arguments)) => {
            program.must_be_ours("procs")?;
            procs::go(&arguments)
        }
    }
}

/// A misspelt variable would silently change nothing, so one that nobody reads is an error.
fn refuse_unknown_variables() -> Result<(), Trouble> {
    let names = env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
    let mut unknown: Vec<String> = names
        .filter(|name| name.starts_with("QUORATE_") && !KNOWN_VARIABLES.contains(&name.as_str()))
        .collect();
    unknown.sort_unstable();
    match unknown.as_slice() {
        [] => Ok(()),
        names => Err(Trouble(format!(
            "environment: {} means nothing here; options are flags, see --help",
            names.join(", ")
        ))),
    }
}
