//! Standard output, which may be a pipe that its reader has closed.

use std::io::{self, Write};
use std::process;

use crate::cli::exit::Exit;

/// Prints `text` and a newline, and flushes.
pub(crate) fn print_line(text: &str) {
    let mut out = io::stdout().lock();
    exit_on_error(writeln!(out, "{text}").and_then(|()| out.flush()));
}

/// Writes a line without a flush, for output of many lines.
pub(crate) fn write_line(out: &mut impl Write, line: &str) {
    exit_on_error(writeln!(out, "{line}"));
}

/// Flushes the lines of [`write_line`].
pub(crate) fn flush(out: &mut impl Write) {
    exit_on_error(out.flush());
}

/// Ends the process if standard output fails: with success for a closed pipe, as in
/// `cargo sim --seed 7 --trace | head`, with an error otherwise, such as a full disk.
fn exit_on_error(result: io::Result<()>) {
    let Err(error) = result else { return };
    if error.kind() == io::ErrorKind::BrokenPipe {
        process::exit(Exit::Success as i32);
    }
    eprintln!("error: standard output: {error}");
    process::exit(Exit::Usage as i32);
}
