//! Writes to standard output.

use std::io;

use crate::exit::{CommandError, CommandResult, warn};
use crate::patient_write::write_patiently;

/// Prints the result of a command that may have changed something. If the result cannot be printed,
/// that is only a warning, because the command was executed.
pub(crate) fn report(json: bool, text: &str) {
    if let Err(error) = print(text) {
        warn(
            json,
            format!("the command was executed, but its result cannot be printed: {}", error.text),
        );
    }
}

/// Prints `text`, and a line end if it lacks one. A closed pipe is not an error.
pub(crate) fn print(text: &str) -> CommandResult<()> {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    print_bytes(format!("{text}{end}").as_bytes()).map(|_| ())
}

/// Prints the bytes unchanged. A closed pipe is not an error; the function then returns false,
/// because nothing reads what is printed later.
pub(crate) fn print_bytes(bytes: &[u8]) -> CommandResult<bool> {
    match write_patiently(&mut io::stdout().lock(), bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => {
            Err(CommandError::invalid_input(format!("cannot write to standard output: {error}")))
        }
    }
}
