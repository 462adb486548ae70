//! Runs of the command that end by themselves.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

pub(crate) use crate::said::Told;

/// The command as it was built, without what this machine's environment may say to it.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("QUORATE_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Runs it in `directory` until it ends.
pub(crate) fn quorate_in(
    directory: &Path,
    words: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Told {
    Told::of(command().current_dir(directory).args(words))
}
