//! Escapes for keys and values, which are any bytes. Each byte string has exactly one text form,
//! which can be parsed back; as JSON it is a string, or an object if it is not UTF-8.

use data_encoding::BASE64;
use serde_json::{Value, json};

/// Escapes bytes as text: printable characters unchanged, a backslash as `\\`, a tab, line feed and
/// carriage return as `\t`, `\n` and `\r`, and every other byte in hexadecimal, like `\xff`. The
/// bytes of a character that reorders the text around it, or ends a line on some terminals, are
/// escaped in hexadecimal, too.
pub(crate) fn escape_text(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\\' => text += r"\\",
                '\t' => text += r"\t",
                '\n' => text += r"\n",
                '\r' => text += r"\r",
                letter if letter.is_control() || is_layout_control(letter) => {
                    text += &hex_escapes(letter.encode_utf8(&mut [0; 4]).as_bytes());
                }
                letter => text.push(letter),
            }
        }
        text += &hex_escapes(chunk.invalid());
    }
    text
}

/// Returns true for the marks and overrides of bidirectional text, and for line separators.
fn is_layout_control(letter: char) -> bool {
    matches!(
        letter,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

/// Parses text that [`escape_text`] wrote.
///
/// # Errors
/// A message that quotes the invalid escape.
pub(crate) fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(place) = rest.find('\\') {
        bytes.extend(&rest.as_bytes()[..place]);
        let escape = &rest[place..];
        let (byte, length) = decode_escape(escape).ok_or_else(|| {
            let begin: String = escape.chars().take(4).collect();
            format!(r"`{begin}` is not an escape: use \\, \t, \n, \r, or \x with two digits")
        })?;
        bytes.push(byte);
        rest = &escape[length..];
    }
    bytes.extend(rest.as_bytes());
    Ok(bytes)
}

/// Returns a JSON string, or `{"base64": "…"}` for bytes that are not UTF-8.
pub(crate) fn json_of(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": BASE64.encode(bytes) }),
    }
}

fn hex_escapes(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!(r"\x{byte:02x}")).collect()
}

/// Parses the escape at the start of `escape`: returns its byte and its length.
fn decode_escape(escape: &str) -> Option<(u8, usize)> {
    match escape.as_bytes() {
        [_, b'\\', ..] => Some((b'\\', 2)),
        [_, b't', ..] => Some((b'\t', 2)),
        [_, b'n', ..] => Some((b'\n', 2)),
        [_, b'r', ..] => Some((b'\r', 2)),
        [_, b'x', high, low, ..] => Some((digit(*high)? << 4 | digit(*low)?, 4)),
        _ => None,
    }
}

fn digit(letter: u8) -> Option<u8> {
    char::from(letter).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn special_bytes_are_escaped() {
        let cases: [(&[u8], &str); 7] = [
            ("blau, grün".as_bytes(), "blau, grün"),
            (br"C:\new", r"C:\\new"),
            (b"a\tb\r\n", r"a\tb\r\n"),
            (b"\0\x1b[1m\x7f", r"\x00\x1b[1m\x7f"),
            (b"a\xffb\xc3", r"a\xffb\xc3"),
            ("\u{85}".as_bytes(), r"\xc2\x85"),
            ("a\u{202e}b".as_bytes(), r"a\xe2\x80\xaeb"),
        ];
        for (bytes, text) in cases {
            assert_eq!(escape_text(bytes), text);
            assert_eq!(unescape(text).as_deref(), Ok(bytes));
        }
    }

    #[test]
    fn an_invalid_escape_is_quoted() {
        for text in ["a\\", r"a\b", r"\x", r"\x1", r"\x+1", r"\xäö", r"\é"] {
            let error = unescape(text).expect_err(text);
            assert!(error.contains("is not an escape"), "{error}");
        }
    }

    #[test]
    fn json_encodes_text_and_other_bytes_differently() {
        assert_eq!(json_of(b"a\0\\"), json!("a\0\\"));
        assert_eq!(json_of(b"\xff\0"), json!({ "base64": "/wA=" }));
    }

    fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            vec(any::<u8>(), 0..40),
            r"(\\|x|[0-9a-f]|[\t\n\r]|\PC|\u{85}){0,20}".prop_map(String::into_bytes),
        ]
    }

    proptest! {
        #[test]
        fn escaped_text_is_parsed_back(bytes in any_bytes()) {
            let text = escape_text(&bytes);
            prop_assert!(!text.chars().any(char::is_control), "{}", text);
            prop_assert_eq!(unescape(&text), Ok(bytes));
        }

        #[test]
        fn any_text_is_parsed_or_rejected(text in r"(\\|x|[0-9a-f]|n|ä){0,12}") {
            if let Ok(bytes) = unescape(&text) {
                prop_assert_eq!(unescape(&escape_text(&bytes)), Ok(bytes));
            }
        }
    }
}
