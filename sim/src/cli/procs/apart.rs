//! Processes that Ctrl-C does not reach: when they end is up to the one that starts them.

use std::ffi::OsStr;
use std::process::Command;

/// A command that will run in a process group of its own. A terminal sends Ctrl-C to the group that
/// it shows, which stays that of this process.
pub(super) fn apart(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}
