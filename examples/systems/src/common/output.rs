//! The output of the commands: lines of text, or with `--json` an object for each line.

use std::fmt;
use std::io::{self, Write as _};

use serde_json::Value;

use crate::common::exit::{CommandError, CommandResult, Exit};
use crate::common::printable::printable;

/// The form of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// Lines of text, for people.
    #[default]
    Text,
    /// One JSON object per line, for scripts.
    Json,
}

impl Output {
    /// Returns a line in this form, without its end. Both forms contain the same data. In the text,
    /// characters that control a terminal are escaped, because other clients may have chosen the
    /// data.
    #[must_use]
    pub fn line(self, text: impl fmt::Display, object: Value) -> String {
        match self {
            Output::Text => printable(&text.to_string()),
            Output::Json => object.to_string(),
        }
    }

    /// Prints and flushes a line in this form. It is not an error if nothing reads standard output
    /// any more, as with `list | head -1`.
    ///
    /// # Errors
    /// Standard output fails otherwise.
    pub fn print(self, text: impl fmt::Display, object: Value) -> CommandResult {
        print_text(&self.line(text, object))
    }

    /// Prints the result of a request that was executed, as [`Output::print`] does. Returns false
    /// if nothing reads standard output any more.
    ///
    /// # Errors
    /// Standard output fails otherwise. The exit code is that of an unknown outcome, because a
    /// script must not repeat the request.
    pub fn print_result(self, text: impl fmt::Display, object: Value) -> CommandResult<bool> {
        let is_read = print_if_read(&self.line(text, object));
        is_read.map_err(|error| {
            let text = format!("the request was executed, but its result is lost: {}", error.text);
            CommandError::new(Exit::Unknown, text)
        })
    }
}

/// Prints and flushes the lines of a text. It is not an error if nothing reads standard output any
/// more.
///
/// # Errors
/// Standard output fails otherwise.
pub fn print_text(text: &str) -> CommandResult {
    print_if_read(text.trim_end_matches('\n')).map(|_| Exit::Success)
}

/// Prints and flushes a line. Returns false if nothing reads standard output any more.
fn print_if_read(line: &str) -> CommandResult<bool> {
    match print_line(line) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CommandError::usage(format!("cannot print: {error}"))),
    }
}

/// Prints and flushes a line, so that the caller may acknowledge it.
///
/// # Errors
/// Standard output fails.
pub fn print_line(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes())?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_is_text_or_one_object() {
        assert_eq!(Output::Text.line("ann 7", json!({})), "ann 7");
        let forged = "k\x1b[2J\r\nn1 \u{202e}\u{2066}\u{85} grün";
        let line = r"k\u{1b}[2J\r\nn1 \u{202e}\u{2066}\u{85} grün";
        assert_eq!(Output::Text.line(forged, json!({})), line);
        let object = json!({ "user": "a\nnn", "number": 7 });
        assert_eq!(Output::Json.line("ann 7", object), r#"{"number":7,"user":"a\nnn"}"#);
    }
}
