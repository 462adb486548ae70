//! Writes to standard output.

use std::io::{self, Write};

use crate::exit::{CommandError, warn};

/// Prints the result of a change. A failed write is only a warning, because the change was made.
pub(crate) fn report(json: bool, text: &str) {
    if let Err(error) = print(text) {
        warn(
            json,
            format!("the change was made, but its result cannot be printed: {}", error.text),
        );
    }
}

/// Prints `text`, and a line end if it lacks one. A closed pipe is not an error.
pub(crate) fn print(text: &str) -> Result<(), CommandError> {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    print_bytes(format!("{text}{end}").as_bytes()).map(|_| ())
}

/// Prints the bytes unchanged. A closed pipe is not an error; the function then returns false,
/// because nothing reads what is printed later.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<bool, CommandError> {
    let mut output = io::stdout().lock();
    let written = output.write_all(bytes).and_then(|()| output.flush());
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => {
            Err(CommandError::invalid_input(format!("cannot write to standard output: {error}")))
        }
    }
}
