//! Parses JSON (RFC 8259) into forms with positions, for any input and with bounded depth.

use crate::formats::error::{OffsetError, Parsed};
use crate::formats::form::{Forms, Kind};
use crate::formats::scan::{DEPTH_MAX, Scanner};

/// Returns true if a byte is white space.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Parses one value, after optional white space, and stops right after it.
pub(super) fn value<'a>(scanner: &mut Scanner<'a>, forms: &mut Forms<'a>) -> Parsed<()> {
    nested(scanner, forms, 0)
}

/// Skips white space. Fails with `expectation` if anything else is left.
pub(super) fn end(scanner: &mut Scanner<'_>, expectation: &str) -> Parsed<()> {
    scanner.skip(is_space);
    match scanner.peek() {
        Some(_) => Err(scanner.expected(expectation)),
        None => Ok(()),
    }
}

fn nested<'a>(scanner: &mut Scanner<'a>, forms: &mut Forms<'a>, depth: usize) -> Parsed<()> {
    scanner.skip(is_space);
    let at = scanner.at;
    if depth > DEPTH_MAX {
        return Err(OffsetError::new(at, format!("more than {DEPTH_MAX} nested lists")));
    }
    match scanner.peek() {
        Some(b'"') => {
            let text = text(scanner)?;
            forms.push(at, Kind::Text(text));
            Ok(())
        }
        Some(b'-' | b'0'..=b'9') => scanner.number(forms, true),
        Some(b'{') => object(scanner, forms, depth),
        Some(b'[') => array(scanner, forms, depth),
        _ => {
            scanner.skip(|byte| byte.is_ascii_alphanumeric());
            let kind = match scanner.since(at) {
                "null" => Kind::Null,
                "true" => Kind::Bool(true),
                "false" => Kind::Bool(false),
                _ => return Err(scanner.expected_at(at, "a JSON value")),
            };
            forms.push(at, kind);
            Ok(())
        }
    }
}

fn array<'a>(scanner: &mut Scanner<'a>, forms: &mut Forms<'a>, depth: usize) -> Parsed<()> {
    let opened = forms.open(scanner.at);
    scanner.at += 1;
    scanner.skip(is_space);
    if scanner.peek() != Some(b']') {
        loop {
            nested(scanner, forms, depth + 1)?;
            scanner.skip(is_space);
            match scanner.peek() {
                Some(b',') => scanner.at += 1,
                Some(b']') => break,
                _ => return Err(scanner.expected("`,` or `]`")),
            }
        }
    }
    scanner.at += 1;
    forms.close(opened, Kind::List);
    Ok(())
}

fn object<'a>(scanner: &mut Scanner<'a>, forms: &mut Forms<'a>, depth: usize) -> Parsed<()> {
    let opened = forms.open(scanner.at);
    scanner.at += 1;
    scanner.skip(is_space);
    if scanner.peek() != Some(b'}') {
        loop {
            scanner.skip(is_space);
            let at = scanner.at;
            if scanner.peek() != Some(b'"') {
                return Err(scanner.expected("a name in quotes"));
            }
            let name = text(scanner)?;
            forms.push(at, Kind::Text(name));
            scanner.skip(is_space);
            if scanner.peek() != Some(b':') {
                return Err(scanner.expected("`:`"));
            }
            scanner.at += 1;
            nested(scanner, forms, depth + 1)?;
            scanner.skip(is_space);
            match scanner.peek() {
                Some(b',') => scanner.at += 1,
                Some(b'}') => break,
                _ => return Err(scanner.expected("`,` or `}`")),
            }
        }
    }
    scanner.at += 1;
    forms.close(opened, Kind::Map);
    Ok(())
}

fn text<'a>(scanner: &mut Scanner<'a>) -> Parsed<std::borrow::Cow<'a, str>> {
    scanner.quoted(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\', b"\"\\/")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::formats::form::Form;

    fn parse(text: &str) -> Parsed<Forms<'_>> {
        let mut forms = Forms::default();
        let mut scanner = Scanner::new(text, 0, text.len());
        value(&mut scanner, &mut forms)?;
        scanner.skip(is_space);
        match scanner.peek() {
            None => Ok(forms),
            Some(_) => Err(scanner.expected("the end")),
        }
    }

    fn same(form: Form<'_, '_>, value: &serde_json::Value) -> bool {
        use serde_json::Value;
        match (form.kind(), value) {
            (Kind::Null, Value::Null) => true,
            (Kind::Bool(ours), Value::Bool(theirs)) => ours == theirs,
            (Kind::Integer(ours), Value::Number(theirs)) => theirs.as_i64() == Some(*ours),
            (Kind::Number(ours), Value::Number(theirs)) => {
                theirs.as_i64().is_none() && ours.parse() == Ok(theirs.as_f64().unwrap())
            }
            (Kind::Text(ours), Value::String(theirs)) => ours == theirs,
            (Kind::List(_), Value::Array(theirs)) => {
                let items: Vec<_> = form.items("").unwrap().collect();
                items.len() == theirs.len()
                    && items.iter().zip(theirs).all(|(ours, theirs)| same(*ours, theirs))
            }
            (Kind::Map(_), Value::Object(theirs)) => form
                .members("")
                .unwrap()
                .all(|(key, ours)| theirs.get(key.name().unwrap()).is_some_and(|t| same(ours, t))),
            _ => false,
        }
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            (-1000i32..1000).prop_map(|n| (f64::from(n) / 8.0).into()),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                proptest::collection::btree_map(any::<String>(), inner, 0..5)
                    .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn valid_json_parses_as_in_serde_json(value in json(), pretty: bool) {
            let text = match pretty {
                true => serde_json::to_string_pretty(&value).unwrap(),
                false => value.to_string(),
            };
            let forms = parse(&text).unwrap();
            prop_assert!(same(forms.at(0).unwrap(), &value), "{text}");
        }

        #[test]
        fn invalid_json_is_rejected_as_in_serde_json(
            value in json(),
            cut in any::<prop::sample::Index>(),
            byte in "[\\[\\]{}:,\"\\\\0-9a-fntu. -]"
        ) {
            let mut text: Vec<char> = value.to_string().chars().collect();
            let place = cut.index(text.len());
            text[place] = byte.chars().next().unwrap();
            let text: String = text.into_iter().collect();
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            let ours = parse(&text);
            // serde_json rejects numbers that are too large for its types.
            if !theirs.as_ref().is_err_and(|error| error.to_string().contains("out of range")) {
                prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{}: {:?} {:?}", text, ours, theirs);
            }
        }
    }

    #[test]
    fn errors_have_their_position() {
        let cases = [
            ("", 1, "expected a JSON value, found the end"),
            ("{\"a\":1,}", 8, "expected a name in quotes, found '}'"),
            ("{\"a\" 1}", 6, "expected `:`, found `1`"),
            ("[1 2]", 4, "expected `,` or `]`, found `2`"),
            ("[nul]", 2, "expected a JSON value, found `nul`"),
            ("[01]", 2, "expected a number, found `01`"),
            ("[1.]", 2, "expected a number, found `1`"),
            ("\"abc", 1, "this string has no closing quote"),
            ("\"a\\q\"", 4, "expected an escape, found `q`"),
            ("\"\\u12g4\"", 4, "expected four hexadecimal digits, found `12g4`"),
            ("\"\\ud800\"", 4, "half of a surrogate pair is not a character"),
            ("\"a\nb\"", 3, "expected a character of a string, found the end of the line"),
        ];
        for (text, column, message) in cases {
            let error = parse(text).unwrap_err().in_text(text.as_bytes());
            assert_eq!((error.column, error.message.as_str()), (column, message), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(&nested(DEPTH_MAX + 1)).is_ok());
        let error = parse(&nested(DEPTH_MAX + 2)).unwrap_err();
        assert_eq!(error, OffsetError::new(DEPTH_MAX + 1, "more than 64 nested lists"));
        assert!(parse(&nested(1_000_000)).is_err());
    }
}
