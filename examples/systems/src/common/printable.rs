//! Makes the text of other clients safe to print on a terminal.

/// Escapes the characters that control a terminal, end a line, or reorder the text around them.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for letter in text.chars() {
        // The marks and overrides of bidirectional text, and the separators of lines.
        let reorders = matches!(
            letter,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        );
        match letter.is_control() || reorders {
            true => line.extend(letter.escape_default()),
            false => line.push(letter),
        }
    }
    line
}
