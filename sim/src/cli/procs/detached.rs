//! Child processes in their own process group, which a Ctrl-C in the terminal does not reach.

use std::ffi::OsStr;
use std::process::Command;

/// Returns a command that runs in its own process group. The terminal sends Ctrl-C only to the
/// foreground group, so this process decides when the child ends.
pub(super) fn detached_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}
