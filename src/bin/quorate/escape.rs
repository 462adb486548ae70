//! Keys and values are any bytes. As text each byte string is written in one way only, which can be
//! read again; as JSON it is a string, or an object if no string can hold it.

use data_encoding::BASE64;
use serde_json::{Value, json};

/// As text: letters and signs as they are, a backslash as `\\`, a tab, a line's end and a carriage
/// return as `\t`, `\n` and `\r`, and every other byte as `\xff`.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '\\' => text += r"\\",
                '\t' => text += r"\t",
                '\n' => text += r"\n",
                '\r' => text += r"\r",
                letter if letter.is_control() => {
                    text += &escaped(letter.encode_utf8(&mut [0; 4]).as_bytes());
                }
                letter => text.push(letter),
            }
        }
        text += &escaped(chunk.invalid());
    }
    text
}

/// The bytes that [`shown`] wrote so.
///
/// # Errors
/// What in the text is no escape.
pub(crate) fn read(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(place) = rest.find('\\') {
        bytes.extend(&rest.as_bytes()[..place]);
        let escape = &rest[place..];
        let (byte, length) = one(escape).ok_or_else(|| {
            let begin: String = escape.chars().take(4).collect();
            format!(r"`{begin}` is no escape: there are \\, \t, \n, \r, and \x with two digits")
        })?;
        bytes.push(byte);
        rest = &escape[length..];
    }
    bytes.extend(rest.as_bytes());
    Ok(bytes)
}

/// As JSON: a string, or `{"base64": "…"}` for bytes that are not UTF-8.
pub(crate) fn json_of(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => json!({ "base64": BASE64.encode(bytes) }),
    }
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!(r"\x{byte:02x}")).collect()
}

/// The byte that an escape stands for, and how long the escape is.
fn one(escape: &str) -> Option<(u8, usize)> {
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
    fn what_is_no_plain_text_is_escaped() {
        let cases: [(&[u8], &str); 6] = [
            ("blau, grün".as_bytes(), "blau, grün"),
            (br"C:\new", r"C:\\new"),
            (b"a\tb\r\n", r"a\tb\r\n"),
            (b"\0\x1b[1m\x7f", r"\x00\x1b[1m\x7f"),
            (b"a\xffb\xc3", r"a\xffb\xc3"),
            ("\u{85}".as_bytes(), r"\xc2\x85"),
        ];
        for (bytes, text) in cases {
            assert_eq!(shown(bytes), text);
            assert_eq!(read(text).as_deref(), Ok(bytes));
        }
    }

    #[test]
    fn what_is_no_escape_is_named() {
        for text in ["a\\", r"a\b", r"\x", r"\x1", r"\x+1", r"\xäö", r"\é"] {
            let told = read(text).expect_err(text);
            assert!(told.contains("is no escape"), "{told}");
        }
    }

    #[test]
    fn json_tells_text_from_bytes() {
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
        fn what_is_shown_is_read_back(bytes in any_bytes()) {
            let text = shown(&bytes);
            prop_assert!(!text.chars().any(char::is_control), "{}", text);
            prop_assert_eq!(read(&text), Ok(bytes));
        }

        #[test]
        fn any_text_is_read_or_refused(text in r"(\\|x|[0-9a-f]|n|ä){0,12}") {
            if let Ok(bytes) = read(&text) {
                prop_assert_eq!(read(&shown(&bytes)), Ok(bytes));
            }
        }
    }
}
