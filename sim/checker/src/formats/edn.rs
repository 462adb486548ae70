//! Parses EDN (<https://github.com/edn-format/edn>) into forms with positions, for any input and
//! with bounded depth. Tags are dropped, except those that mark an independent key with its value,
//! such as `#jepsen.independent.Tuple`.

use crate::formats::error::{OffsetError, Parsed};
use crate::formats::form::{Children, Forms, Kind};
use crate::formats::scan::{DEPTH_MAX, Scanner};

/// Returns true if a byte is white space.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b',' | 0xC)
}

/// Skips white space and comments. As in Clojure, a carriage return ends a comment too.
pub(super) fn skip_space(scanner: &mut Scanner<'_>) {
    scanner.skip(is_space);
    while scanner.peek() == Some(b';') {
        scanner.skip(|byte| !matches!(byte, b'\n' | b'\r'));
        scanner.skip(is_space);
    }
}

/// Parses the next form, if there is one before the end or a closing bracket, and stops right after
/// it. Returns whether there was one.
pub(super) fn form<'a>(scanner: &mut Scanner<'a>, forms: &mut Forms<'a>) -> Parsed<bool> {
    nested(scanner, forms, 0)
}

fn nested<'a>(scanner: &mut Scanner<'a>, forms: &mut Forms<'a>, depth: usize) -> Parsed<bool> {
    if depth > DEPTH_MAX {
        let message = format!("more than {DEPTH_MAX} nested forms");
        return Err(OffsetError::new(scanner.at, message));
    }
    loop {
        skip_space(scanner);
        match (scanner.peek(), scanner.ahead(1)) {
            (None | Some(b')' | b']' | b'}'), _) => return Ok(false),
            (Some(b'#'), Some(b'_')) => {
                scanner.at += 2;
                let count = forms.count();
                required(scanner, forms, depth)?;
                forms.truncate(count);
            }
            (Some(b'^'), _) => {
                scanner.at += 1;
                let count = forms.count();
                required(scanner, forms, depth)?;
                forms.truncate(count);
            }
            _ => break,
        }
    }
    let at = scanner.at;
    match (scanner.peek(), scanner.ahead(1)) {
        (Some(b'"'), _) => {
            let text = scanner.quoted(|byte| byte != b'"' && byte != b'\\', b"\"\\/'")?;
            forms.push(at, Kind::Text(text));
        }
        (Some(b'['), _) => sequence(scanner, forms, depth, b']', Kind::List)?,
        (Some(b'('), _) => sequence(scanner, forms, depth, b')', Kind::List)?,
        (Some(b'{'), _) => sequence(scanner, forms, depth, b'}', Kind::Map)?,
        (Some(b'#'), Some(b'{')) => {
            scanner.at += 1;
            sequence(scanner, forms, depth, b'}', Kind::Set)?;
        }
        (Some(b'#'), Some(b'#')) => {
            scanner.at += 2;
            scanner.skip(is_symbol);
            forms.push(at, Kind::Number(scanner.since(at)));
        }
        (Some(b'#'), _) => tagged(scanner, forms, depth)?,
        (Some(b'0'..=b'9'), _) | (Some(b'-' | b'+'), Some(b'0'..=b'9')) => {
            scanner.number(forms, false)?;
        }
        (Some(b'\\'), _) => {
            scanner.at += 1;
            let first = scanner.peek();
            // The first character always belongs to the form; the other bytes of a multi-byte
            // character are symbol bytes.
            scanner.at += usize::from(first.is_some_and(|byte| byte.is_ascii()));
            scanner.skip(is_symbol);
            forms.push(at, Kind::Word(scanner.since(at)));
        }
        _ => word(scanner, forms)?,
    }
    Ok(true)
}

/// Parses a form that must be present.
fn required<'a>(scanner: &mut Scanner<'a>, forms: &mut Forms<'a>, depth: usize) -> Parsed<()> {
    match nested(scanner, forms, depth + 1)? {
        true => Ok(()),
        false => Err(scanner.expected("a form")),
    }
}

/// Parses forms up to the closing bracket.
fn sequence<'a>(
    scanner: &mut Scanner<'a>,
    forms: &mut Forms<'a>,
    depth: usize,
    close: u8,
    kind: fn(Children) -> Kind<'a>,
) -> Parsed<()> {
    let start = scanner.at;
    let opened = forms.open(start);
    scanner.at += 1;
    let mut count = 0_usize;
    while nested(scanner, forms, depth + 1)? {
        count += 1;
    }
    if scanner.peek() != Some(close) {
        return Err(scanner.expected(&format!("`{}`", char::from(close))));
    }
    scanner.at += 1;
    let is_map = forms.close(opened, kind);
    if is_map && !count.is_multiple_of(2) {
        return Err(OffsetError::new(start, "expected a value for every key of this map"));
    }
    Ok(())
}

/// Parses a tag and its form.
fn tagged<'a>(scanner: &mut Scanner<'a>, forms: &mut Forms<'a>, depth: usize) -> Parsed<()> {
    let start = scanner.at;
    scanner.at += 1;
    scanner.skip(is_symbol);
    let tag = scanner.since(start);
    if tag.len() == 1 {
        return Err(scanner.expected("a tag"));
    }
    let place = forms.count();
    required(scanner, forms, depth)?;
    let name = tag.rsplit(['.', '/', '#']).next().unwrap_or(tag);
    if matches!(name, "Tuple" | "MapEntry" | "independent-tuple") {
        forms.mark_tuple(place);
    }
    Ok(())
}

fn word<'a>(scanner: &mut Scanner<'a>, forms: &mut Forms<'a>) -> Parsed<()> {
    let at = scanner.at;
    scanner.skip(is_symbol);
    let kind = match scanner.since(at) {
        "" | ":" => return Err(scanner.expected_at(at, "a form")),
        "nil" => Kind::Null,
        "true" => Kind::Bool(true),
        "false" => Kind::Bool(false),
        word => Kind::Word(word),
    };
    forms.push(at, kind);
    Ok(())
}

/// Returns true if a byte may be part of a symbol or a keyword.
fn is_symbol(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".*+!-_?$%&=<>:#/'|@".contains(&byte) || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::formats::form::Form;

    fn parse(text: &str) -> Parsed<Forms<'_>> {
        let mut forms = Forms::default();
        let mut scanner = Scanner::new(text, 0, text.len());
        while form(&mut scanner, &mut forms)? {}
        match scanner.peek() {
            None => Ok(forms),
            Some(_) => Err(scanner.expected("the end")),
        }
    }

    /// Formats a form with a distinct notation for each kind.
    fn shown(form: Form<'_, '_>) -> String {
        let all = |forms: &mut dyn Iterator<Item = Form<'_, '_>>| {
            forms.map(shown).collect::<Vec<_>>().join(" ")
        };
        match form.kind() {
            Kind::Null => "nil".to_owned(),
            Kind::Bool(truth) => truth.to_string(),
            Kind::Integer(number) => number.to_string(),
            Kind::Number(text) => format!("n{text}"),
            Kind::Text(text) => format!("{text:?}"),
            Kind::Word(word) => format!("w{word}"),
            Kind::List(_) => format!("[{}]", all(&mut form.items("").unwrap())),
            Kind::Tuple(_) => format!("t[{}]", all(&mut form.items("").unwrap())),
            Kind::Set(_) => format!("s[{}]", all(&mut form.elements("").unwrap())),
            Kind::Map(_) => {
                let pairs = form.members("").unwrap();
                let pair = |(key, value)| format!("{}={}", shown(key), shown(value));
                format!("m[{}]", pairs.map(pair).collect::<Vec<_>>().join(" "))
            }
        }
    }

    #[test]
    fn every_kind_of_form_is_read() {
        let cases = [
            ("nil", "nil"),
            (" ,true ; what\n", "true"),
            ("-12", "-12"),
            ("+7N", "7"),
            ("9223372036854775808", "n9223372036854775808"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("1.5e3", "n1.5e3"),
            ("1/2", "n1/2"),
            ("##NaN", "n##NaN"),
            ("\"a\\\"\\u00e9\nb\"", "\"a\\\"é\\nb\""),
            (":f/g", "w:f/g"),
            ("sym-bol", "wsym-bol"),
            ("\\a", "w\\a"),
            ("\\é", "w\\é"),
            ("\\{", "w\\{"),
            ("[1 (2 :a) #{3}]", "[1 [2 w:a] s[3]]"),
            ("{:a 1, \"b\" [2]}", "m[w:a=1 \"b\"=[2]]"),
            ("[1 #_ 2 #_ #_ 3 4 5 #_6]", "[1 5]"),
            ("^{:doc \"x\"} [1]", "[1]"),
            ("#jepsen.independent.Tuple[1 nil]", "t[1 nil]"),
            ("#clojure.lang.MapEntry [1 2]", "t[1 2]"),
            ("#jepsen.history.Op{:index 0}", "m[w:index=0]"),
            ("#inst \"2020\"", "\"2020\""),
        ];
        for (text, expected) in cases {
            let forms = parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            assert_eq!(shown(forms.at(0).unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn errors_have_their_position() {
        let cases = [
            ("[1 2", 5, "expected `]`, found the end"),
            ("{:a [1 2}", 9, "expected `]`, found '}'"),
            ("{:a 1 :b}", 1, "expected a value for every key of this map"),
            ("[# 1]", 3, "expected a tag, found ' '"),
            ("[#a]", 4, "expected a form, found ']'"),
            ("[#_]", 4, "expected a form, found ']'"),
            ("[: 1]", 2, "expected a form, found ':'"),
            ("\"\\q\"", 3, "expected an escape, found `q`"),
            ("1]", 2, "expected the end, found ']'"),
        ];
        for (text, column, message) in cases {
            let error = parse(text).unwrap_err().in_text(text.as_bytes());
            assert_eq!((error.column, error.message.as_str()), (column, message), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        for opening in ["[", "{", "#{", "#_", "#a ", "^", "("] {
            let error = parse(&opening.repeat(200_000)).unwrap_err();
            assert!(format!("{error:?}").contains("more than 64"), "{opening}: {error:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "[\\[\\](){}#_^:;\"\\\\a-cé0-9.,+/ \n-]{0,40}") {
            let _ = parse(&text);
        }
    }
}
