//! Standard output, which may be a pipe whose reader has gone.

use std::io::{self, Write};
use std::process;

use crate::cli::exit::Exit;

/// Prints `text` and a line end.
pub(crate) fn say(text: &str) {
    let mut out = io::stdout().lock();
    finish_on_error(writeln!(out, "{text}").and_then(|()| out.flush()));
}

/// Prints one line of many; the last ones appear with the next [`say`] or [`flush`].
pub(crate) fn say_buffered(out: &mut impl Write, line: &str) {
    finish_on_error(writeln!(out, "{line}"));
}

/// Brings out what is buffered.
pub(crate) fn flush(out: &mut impl Write) {
    finish_on_error(out.flush());
}

/// `cargo sim --seed 7 --trace | head` is no error: who reads no further wants no more. A full
/// disk is one.
fn finish_on_error(result: io::Result<()>) {
    let Err(error) = result else { return };
    if error.kind() == io::ErrorKind::BrokenPipe {
        process::exit(Exit::Fine as i32);
    }
    eprintln!("error: standard output: {error}");
    process::exit(Exit::Usage as i32);
}
