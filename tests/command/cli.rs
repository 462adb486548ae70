//! Runs of the command `quorate` that end by themselves.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) use crate::command_output::CommandOutput;

/// The file of the command that this test run has built.
pub(crate) const PRESENT: &str = env!("CARGO_BIN_EXE_quorate");

/// Returns the built command, without the QUORATE_ variables of this machine's environment.
pub(crate) fn command() -> Command {
    command_of(PRESENT)
}

/// Returns the command of this file, like [`command`].
pub(crate) fn command_of(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("QUORATE_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Runs the command in `directory` until it ends.
pub(crate) fn quorate_in(
    directory: &Path,
    words: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> CommandOutput {
    CommandOutput::run(command().current_dir(directory).args(words))
}
