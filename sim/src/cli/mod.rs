//! The command `cargo sim`: sweeps, replays, what explains and draws them, scenarios, runs made
//! small, measurements, planted bugs, and verdicts on histories.

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
use std::process::ExitCode;

use crate::cli::args::{Command, Stop};
use crate::cli::exit::{Exit, Trouble};

/// The one environment variable of the project's own: where tests look for more data.
const KNOWN_VARIABLES: [&str; 1] = ["QUORATE_DATA"];

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    let ended = match args::parse(env::args_os()) {
        Ok(arguments) => refuse_unknown_variables().and_then(|()| match arguments.command {
            None => match &arguments.sweep.scenario {
                Some(file) => scenario::go(file, arguments.sweep.trace),
                None => sweep::go(&arguments.sweep),
            },
            Some(Command::Bench(bench)) => bench::go(&bench),
            Some(Command::Check(check)) => histories::go(&check),
            Some(Command::Merge(merge)) => merge::go(&merge),
            Some(Command::Mutants(mutants)) => mutants::go(&mutants),
            Some(Command::View(view)) => view::go(&view),
            Some(Command::Explain(explain)) => replays::explain(&explain),
            Some(Command::At(at)) => replays::at(&at),
            Some(Command::WhyNot(why_not)) => replays::why_not(&why_not),
            Some(Command::Record(record)) => replays::record(&record),
            Some(Command::Diff(diff)) => replays::diff(&diff),
            Some(Command::Shrink(arguments)) => shrink::go(&arguments),
        }),
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
