//! The command `cargo sim`: sweeps, replays, explanations and timelines of runs, scenarios on
//! simulated and on real processes, shrinking, benchmarks, mutation tests and history checks.

mod analysis_arguments;
mod args;
mod auto_arguments;
mod bench;
mod canary;
pub(crate) mod chaos;
mod clock;
mod console;
mod difference;
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
mod recordings;
mod replay;
mod replays;
mod report;
mod run_arguments;
mod scenario;
mod shrink;
mod shrunk_record;
mod sweep;
mod text;
mod tla;
mod tracing;
mod values;
mod view;

use std::env;
use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Arg, CommandFactory};

use crate::cli::args::{Arguments, Command, EarlyExit};
use crate::cli::exit::{CommandError, CommandResult, Exit};
use crate::cli::program::{CARGO_SIM, Program};
use crate::run::RunOptions;
use crate::workload::{AnyWorkload, Workload};

/// Runs the command line of this process as `cargo sim`, over the built-in key-value store.
#[must_use]
pub fn main() -> ExitCode {
    let workload = RunOptions::default().workload;
    let program = Program { name: CARGO_SIM.to_owned(), workload, is_builtin: true };
    run(program, env::args_os().skip(1))
}

/// Runs the command line `words` over the state machine of `workload`; `name` is the command name
/// in help texts and replay lines. Supports everything that `cargo sim` does, except for mutation
/// tests, scenarios on real processes and `--emit-test`, which need the library's own workload.
///
/// ```no_run
/// use quorate_sim::workload::kv::Kv;
///
/// let words = std::env::args_os().skip(1);
/// quorate_sim::cli::main_over("cargo chaos", Kv::new(3, 8), words);
/// ```
#[must_use]
pub fn main_over(
    name: &str,
    workload: impl Workload,
    words: impl IntoIterator<Item = OsString>,
) -> ExitCode {
    let workload = AnyWorkload::new(workload);
    run(Program { name: name.to_owned(), workload, is_builtin: false }, words)
}

fn run(program: Program, words: impl IntoIterator<Item = OsString>) -> ExitCode {
    let result = match args::parse(&program.name, words) {
        Ok(arguments) => reject_flags_as_variables()
            .and_then(|()| panics::guarded(|| execute(&program, arguments))),
        Err(EarlyExit::Print(text)) => {
            console::print_line(text.trim_end());
            Ok(Exit::Success)
        }
        Err(EarlyExit::UsageError(line)) => Err(CommandError(line)),
    };
    let exit = result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        Exit::Usage
    });
    exit.into()
}

fn execute(program: &Program, arguments: Arguments) -> CommandResult {
    match arguments.command {
        None => match &arguments.sweep.scenario {
            Some(file) => scenario::execute(program, file, arguments.sweep.trace),
            None => sweep::execute(program, &arguments.sweep),
        },
        Some(Command::Bench(bench)) => bench::execute(program, &bench),
        Some(Command::Check(check)) => histories::execute(&check),
        Some(Command::Merge(merge)) => merge::execute(program, &merge),
        Some(Command::Mutants(mutants)) => {
            program.require_builtin_workload("mutants")?;
            mutants::execute(&mutants)
        }
        Some(Command::MutantSeeds(seeds)) => mutants::run_seeds(program, &seeds),
        Some(Command::View(view)) => view::execute(program, &view),
        Some(Command::Explain(explain)) => replays::explain(program, &explain),
        Some(Command::At(at)) => replays::at(program, &at),
        Some(Command::WhyNot(why_not)) => replays::why_not(program, &why_not),
        Some(Command::Record(record)) => replays::record(program, &record),
        Some(Command::Replay(replay)) => recordings::execute(&replay),
        Some(Command::Trace(trace)) => tla::execute(program, &trace),
        Some(Command::Diff(diff)) => replays::diff(program, &diff),
        Some(Command::Shrink(arguments)) => shrink::execute(program, &arguments),
        #[cfg(unix)]
        Some(Command::Procs(arguments)) => {
            program.require_builtin_workload("procs")?;
            procs::execute(&arguments)
        }
    }
}

/// Rejects an environment variable that spells a flag of a sweep, `QUORATE_SEED` for `--seed`: it
/// would have no effect. Other variables are those of `quorate` itself, of tests, or of the user.
fn reject_flags_as_variables() -> CommandResult<()> {
    let command = Arguments::command();
    let mut flags = command.get_arguments().filter_map(Arg::get_long);
    match flags.find(|flag| env::var_os(variable_of(flag)).is_some()) {
        None => Ok(()),
        Some(flag) => Err(CommandError(format!(
            "the environment variable {} has no effect: use --{flag}",
            variable_of(flag)
        ))),
    }
}

fn variable_of(flag: &str) -> String {
    format!("QUORATE_{}", flag.to_uppercase().replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::*;
    use crate::cli::args::with_negative_values;

    /// Words of the standard library and of clap, which name neither form nor bounds of a number.
    const TERSE: [&str; 6] = [
        "invalid digit",
        "number too large",
        "number would be zero",
        "cannot parse integer",
        "is not in",
        "out of range",
    ];

    /// Returns the flags of the command and its subcommands that take a value, with the words
    /// before them.
    fn flags_with_values(command: &clap::Command, path: &[String]) -> Vec<Vec<String>> {
        let flag = |argument: &clap::Arg| {
            let flag = argument.get_long().filter(|_| argument.get_action().takes_values())?;
            Some([path, &[format!("--{flag}")]].concat())
        };
        let mut flags: Vec<_> = command.get_arguments().filter_map(flag).collect();
        for subcommand in command.get_subcommands() {
            let path = [path, &[subcommand.get_name().to_owned()]].concat();
            flags.extend(flags_with_values(subcommand, &path));
        }
        flags
    }

    #[test]
    fn an_invalid_number_is_named_with_its_flag_and_the_form_that_is_expected() {
        let command = with_negative_values(Arguments::command());
        let flags = flags_with_values(&command, &[]);
        assert!(flags.len() > 20, "{flags:?}");
        let mut rejected = 0;
        let negative = ["-1", "-1..3", "-1s", "-x"];
        let others = ["x", "1.5", "0", "+1", "18446744073709551616", "5..2", "9s9"];
        for flag in flags {
            let error = |value: Option<&str>| {
                let words = ["program"].into_iter().chain(flag.iter().map(String::as_str));
                command.clone().try_get_matches_from(words.chain(value)).err()
            };
            let fails = |value, kind| error(value).is_some_and(|error| error.kind() == kind);
            let takes_text = !fails(Some("x..y"), ErrorKind::ValueValidation);
            let is_optional = !fails(None, ErrorKind::InvalidValue);
            assert!(error(Some("--x")).is_some(), "{flag:?} takes the flag after it");
            for value in negative.into_iter().chain(others) {
                let Some(error) = error(Some(value)) else { continue };
                if error.kind() != ErrorKind::ValueValidation {
                    let may_be_a_flag = takes_text || is_optional;
                    assert!(may_be_a_flag || !negative.contains(&value), "{error}");
                    continue;
                }
                rejected += 1;
                let text = error.to_string();
                let name = flag.last().expect("a flag");
                assert!(text.contains(name) && text.contains(value), "{text}");
                assert!(!TERSE.iter().any(|terse| text.contains(terse)), "{text}");
            }
        }
        assert!(rejected > 50, "{rejected}");
    }
}
