//! Runs the processes of mutation tests: simulator binaries and cargo, with or without a bug.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::cli::clock::{self, Stopwatch};
use crate::cli::exit::{CommandError, CommandResult, Exit};

/// The environment variable that names the active bug of a combined build.
pub(crate) const ACTIVE_BUG_VARIABLE: &str = "PLANTED_BUG";

/// The time limit of one process, after which it counts as hung.
const PROCESS_TIME_MAX: Duration = Duration::from_secs(900);

/// A simulator binary, and the bug in it that is active.
#[derive(Clone, Debug)]
pub(crate) struct MutantBinary {
    pub(crate) command: PathBuf,
    /// The value of [`ACTIVE_BUG_VARIABLE`]; `None` if no bug is active or the binary has no
    /// switch.
    pub(crate) active_bug: Option<String>,
}

impl MutantBinary {
    /// Returns a binary without a switch, or in which no bug is active.
    pub(crate) fn without_switch(command: PathBuf) -> MutantBinary {
        MutantBinary { command, active_bug: None }
    }

    /// Returns the command, to which arguments can be added.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.command);
        set_active_bug(&mut command, self.active_bug.as_deref());
        command
    }
}

/// Sets the active bug of a combined build, or none.
pub(crate) fn set_active_bug(command: &mut Command, on: Option<&str>) {
    match on {
        Some(id) => command.env(ACTIVE_BUG_VARIABLE, id),
        None => command.env_remove(ACTIVE_BUG_VARIABLE),
    };
}

/// Runs cargo without a time limit.
pub(crate) fn run_cargo(cargo: &mut Command) -> CommandResult<Output> {
    let output = cargo.stdin(Stdio::null()).output();
    output.map_err(|error| CommandError(format!("mutants: cargo cannot be run: {error}")))
}

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProcessEnd {
    /// It ended with exit code 0.
    Succeeded,
    /// It ended with the exit code of a usage error: it refused to do anything.
    Refused,
    /// It ended with another exit code, or by a signal.
    Failed,
    /// It reached the time limit.
    TimeLimit,
}

/// Runs a command. Returns whether it succeeded and its standard output, or `None` if it reached
/// the time limit.
pub(crate) fn run_with_timeout(command: &mut Command) -> CommandResult<Option<(bool, String)>> {
    let (end, text) = run_until_timeout(command)?;
    let ended = end != ProcessEnd::TimeLimit;
    Ok(ended.then_some((end == ProcessEnd::Succeeded, text)))
}

/// Runs a command. Returns its end, and its standard output until then.
pub(crate) fn run_until_timeout(command: &mut Command) -> CommandResult<(ProcessEnd, String)> {
    let program = command.get_program().to_owned();
    let failed = |error| CommandError::file("mutants", Path::new(&program), &error);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    // A thread reads the output, because it could fill the pipe.
    let mut pipe = child.stdout.take().expect("it is piped");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut pipe, &mut text).map(|_| text)
    });
    let watch = Stopwatch::start();
    let ended = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            let is_refusal = status.code() == Some(Exit::Usage as i32);
            break match status.success() {
                true => ProcessEnd::Succeeded,
                false if is_refusal => ProcessEnd::Refused,
                false => ProcessEnd::Failed,
            };
        }
        if watch.elapsed() > PROCESS_TIME_MAX {
            child.kill().and_then(|()| child.wait()).map_err(failed)?;
            break ProcessEnd::TimeLimit;
        }
        clock::sleep(Duration::from_millis(5));
    };
    let text = reader.join().expect("reading does not panic").map_err(failed)?;
    Ok((ended, text))
}
