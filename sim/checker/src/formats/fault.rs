//! What is wrong with a file, and where.

use std::fmt;

/// Why a text is no history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The line, from 1.
    pub line: u64,
    /// The character in the line, from 1.
    pub column: u64,
    /// What was expected there, and what was found: one sentence without an end.
    pub what: String,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.what)
    }
}

impl std::error::Error for Wrong {}

/// What is wrong at one byte of a text whose lines nobody has counted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    at: usize,
    what: String,
}

impl Fault {
    /// `what` is wrong at byte `at`.
    pub(super) fn new(at: usize, what: impl Into<String>) -> Fault {
        Fault { at, what: what.into() }
    }

    /// Counts the lines and characters of `text` before the fault.
    pub(super) fn in_text(self, text: &[u8]) -> Wrong {
        let before = &text[..self.at.min(text.len())];
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let newlines = before[..start].iter().filter(|byte| **byte == b'\n').count();
        // Every byte that does not continue a character begins one.
        let characters = before[start..].iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        Wrong { line: newlines as u64 + 1, column: characters as u64 + 1, what: self.what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_in_lines_and_characters() {
        let text = "ab\ncöd\n";
        let place = |at| {
            let wrong = Fault::new(at, "").in_text(text.as_bytes());
            (wrong.line, wrong.column)
        };
        assert_eq!(place(0), (1, 1));
        assert_eq!(place(2), (1, 3));
        assert_eq!(place(3), (2, 1));
        assert_eq!(place(6), (2, 3), "after the ö, which has two bytes");
        assert_eq!(place(99), (3, 1), "after the end");
    }
}
