//! Parse errors with their positions.

/// The reason why a text is not a history, and its position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: u64,
    /// The column in characters, from 1.
    pub column: u64,
    /// The reason, as a sentence without a full stop: mostly the expected and the found input.
    pub message: String,
}

/// A parse error at a byte offset of a text whose lines have not been counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OffsetError {
    at: usize,
    message: String,
}

/// The result of parsing a part of a text.
pub(super) type Parsed<T> = Result<T, OffsetError>;

impl OffsetError {
    /// Creates the error `message` at the byte offset `at`.
    pub(super) fn new(at: usize, message: impl Into<String>) -> OffsetError {
        OffsetError { at, message: message.into() }
    }

    /// Translates the offset to a line and a column of `text`.
    pub(super) fn in_text(self, text: &[u8]) -> ParseError {
        let before = &text[..self.at.min(text.len())];
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let newlines = before[..start].iter().filter(|byte| **byte == b'\n').count();
        // Every byte that is not a UTF-8 continuation byte begins a character.
        let characters = before[start..].iter().filter(|byte| **byte & 0xC0 != 0x80).count();
        ParseError {
            line: newlines as u64 + 1,
            column: characters as u64 + 1,
            message: self.message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_counted_in_lines_and_characters() {
        let text = "ab\ncöd\n";
        let place = |at| {
            let error = OffsetError::new(at, "").in_text(text.as_bytes());
            (error.line, error.column)
        };
        assert_eq!(place(0), (1, 1));
        assert_eq!(place(2), (1, 3));
        assert_eq!(place(3), (2, 1));
        assert_eq!(place(6), (2, 3), "after the ö, which has two bytes");
        assert_eq!(place(99), (3, 1), "after the end");
    }
}
