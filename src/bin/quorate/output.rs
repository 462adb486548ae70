//! What goes to the standard output.

use std::io::{self, Write};

use crate::exit::{Trouble, warn};

/// Prints what came of a change. It stands, and the command has done what it was told, whether or
/// not that can be written.
pub(crate) fn report(json: bool, text: &str) {
    if let Err(trouble) = print(text) {
        warn(json, format!("it was done, and cannot be told: {}", trouble.text));
    }
}

/// Prints `text`, and a line's end if it lacks one. Whoever stops reading has seen enough.
pub(crate) fn print(text: &str) -> Result<(), Trouble> {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    print_bytes(format!("{text}{end}").as_bytes())
}

/// Prints the bytes as they are. Whoever stops reading has seen enough.
pub(crate) fn print_bytes(bytes: &[u8]) -> Result<(), Trouble> {
    let mut output = io::stdout().lock();
    let written = output.write_all(bytes).and_then(|()| output.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Trouble::wrong(format!("the output: {error}")))
        }
        _ => Ok(()),
    }
}
