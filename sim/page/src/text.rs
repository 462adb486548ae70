//! Converts bytes and text to printable text and to HTML.

/// Formats the bytes as text: anything but printable UTF-8 is written as `\x` and two digits for
/// each byte, including line breaks and characters that change the direction of writing. A
/// backslash is doubled.
#[must_use]
pub fn printable(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            push_printable(&mut text, letter);
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

fn push_printable(text: &mut String, letter: char) {
    let changes_line_or_direction = matches!(letter,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    match letter {
        '\\' => text.push_str("\\\\"),
        _ if letter.is_control() || changes_line_or_direction => {
            let mut bytes = [0; 4];
            for byte in letter.encode_utf8(&mut bytes).bytes() {
                text.push_str(&format!("\\x{byte:02x}"));
            }
        }
        _ => text.push(letter),
    }
}

/// Escapes text for HTML elements and for attributes in double quotes.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ if letter.is_control() => safe.push('\u{fffd}'),
            _ => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_are_printable_and_distinguishable() {
        assert_eq!(printable(b"key"), "key");
        assert_eq!(printable("schlüssel".as_bytes()), "schlüssel");
        assert_eq!(printable(b"a\xffb\0\n"), "a\\xffb\\x00\\x0a");
        assert_eq!(printable(b"\\xff"), "\\\\xff");
        assert_eq!(printable("\u{202e}".as_bytes()), "\\xe2\\x80\\xae");
        assert_eq!(printable("\u{2028}\u{61c}".as_bytes()), "\\xe2\\x80\\xa8\\xd8\\x9c");
    }

    #[test]
    fn markup_is_escaped() {
        assert_eq!(
            escaped("</title><b a=\"'&\0"),
            "&lt;/title&gt;&lt;b a=&quot;&#39;&amp;\u{fffd}"
        );
    }
}
