//! Standard output, which may be a pipe that its reader has closed.

use std::io::{self, Write};
use std::process;

use crate::cli::exit::Exit;

/// Prints `text` and a newline, and flushes.
pub(crate) fn print_line(text: &str) {
    let mut out = io::stdout().lock();
    check(writeln!(out, "{text}").and_then(|()| out.flush()));
}

/// Writes a line without a flush, for output of many lines.
pub(crate) fn write_line(out: &mut impl Write, line: &str) {
    check(writeln!(out, "{line}"));
}

/// Flushes the lines of [`write_line`].
pub(crate) fn flush(out: &mut impl Write) {
    check(out.flush());
}

/// Ends the process with an error if standard output fails, for example because the disk is full. A
/// closed pipe is not an error, as in `cargo sim --seed 7 --trace | head`: the command continues
/// without a reader, so that its exit code is the same.
fn check(result: io::Result<()>) {
    let Err(error) = result else { return };
    if error.kind() == io::ErrorKind::BrokenPipe {
        return;
    }
    eprintln!("error: standard output: {error}");
    process::exit(Exit::Usage as i32);
}
