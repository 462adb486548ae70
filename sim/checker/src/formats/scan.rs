//! A scanner over the bytes of a text, shared by the parsers of all notations.

use std::borrow::Cow;

use crate::formats::error::{OffsetError, Parsed};
use crate::formats::form::{Forms, Kind, shortened};

/// The maximum nesting depth of forms.
pub(super) const DEPTH_MAX: usize = 64;

/// A position in a text.
#[derive(Clone, Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    /// The offset of the next byte.
    pub(super) at: usize,
    /// The offset at which the scanned part ends.
    end: usize,
}

impl<'a> Scanner<'a> {
    /// Creates a scanner at `at`, in the part of `text` that ends before `end`.
    pub(super) fn new(text: &'a str, at: usize, end: usize) -> Scanner<'a> {
        Scanner { text, at, end: end.min(text.len()) }
    }

    /// Creates a scanner at `at` in `text` for something of at most `bytes_max` bytes.
    pub(super) fn limited(text: &'a str, at: usize, bytes_max: usize) -> Scanner<'a> {
        Scanner::new(text, at, at.saturating_add(bytes_max))
    }

    /// Returns `error`, or that the scanned part is too long if the scanner reached its limit.
    pub(super) fn unless_too_long(&self, start: usize, error: OffsetError) -> OffsetError {
        if self.at < self.end || self.end >= self.text.len() {
            return error;
        }
        OffsetError::new(start, format!("this value is longer than {} bytes", self.end - start))
    }

    /// Returns the next byte.
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.ahead(0)
    }

    /// Returns the byte that is `bytes` bytes after the next one.
    #[inline]
    pub(super) fn ahead(&self, bytes: usize) -> Option<u8> {
        let at = self.at + bytes;
        if at < self.end { self.text.as_bytes().get(at).copied() } else { None }
    }

    /// Skips the bytes for which `passes` returns true.
    #[inline]
    pub(super) fn skip(&mut self, passes: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&passes) {
            self.at += 1;
        }
    }

    /// Returns the text from `start` to the current position. Both must be character boundaries.
    pub(super) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or("")
    }

    /// Returns the error that something else was expected at the current position.
    pub(super) fn expected(&self, expectation: &str) -> OffsetError {
        self.expected_at(self.at, expectation)
    }

    /// Returns the error that something else was expected at `at`.
    pub(super) fn expected_at(&self, at: usize, expectation: &str) -> OffsetError {
        let rest = self.text.get(at..self.end).unwrap_or("");
        let found = match rest.chars().next() {
            None => "the end".to_owned(),
            Some('\n') => "the end of the line".to_owned(),
            Some(character) if !is_word(character) => format!("{character:?}"),
            Some(_) => {
                let end = rest.find(|character| !is_word(character)).unwrap_or(rest.len());
                format!("`{}`", shortened(&rest[..end]))
            }
        };
        OffsetError::new(at, format!("expected {expectation}, found {found}"))
    }

    /// Parses a number, which begins at the current position.
    pub(super) fn number(&mut self, forms: &mut Forms<'a>, strict: bool) -> Parsed<()> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        if matches!(self.peek(), Some(b'-' | b'+')) {
            self.at += 1;
        }
        let digits = self.at;
        let mut number: Option<i64> = Some(0);
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            let digit = i64::from(digit - b'0');
            let next = number.and_then(|number| number.checked_mul(10));
            // The range of negative numbers is larger by one.
            number = next.and_then(|next| match negative {
                true => next.checked_sub(digit),
                false => next.checked_add(digit),
            });
            self.at += 1;
        }
        let leading_zero = self.at > digits + 1 && self.text.as_bytes()[digits] == b'0';
        if self.at == digits || strict && leading_zero {
            return Err(self.expected_at(start, "a number"));
        }
        let whole = self.at;
        let more = |byte: u8| byte.is_ascii_alphanumeric() || b".+-/".contains(&byte);
        self.skip(more);
        if self.at == whole {
            let kind = number.map_or_else(|| Kind::Number(self.since(start)), Kind::Integer);
            forms.push(start, kind);
            return Ok(());
        }
        let rest = &self.text[whole..self.at];
        if strict && !is_fraction(rest) {
            return Err(self.expected_at(start, "a number"));
        }
        match (rest, number) {
            ("N", Some(number)) if !strict => forms.push(start, Kind::Integer(number)),
            _ => forms.push(start, Kind::Number(self.since(start))),
        }
        Ok(())
    }

    /// Parses a string in quotes, which begins at the current position. After a backslash, the
    /// characters `literal` stand for themselves.
    pub(super) fn quoted(
        &mut self,
        plain: impl Fn(u8) -> bool,
        literal: &[u8],
    ) -> Parsed<Cow<'a, str>> {
        let quote = self.at;
        self.at += 1;
        let mut start = self.at;
        let mut unescaped: Option<String> = None;
        loop {
            self.skip(&plain);
            match self.peek() {
                Some(b'"') => {
                    let last = self.since(start);
                    self.at += 1;
                    return Ok(match unescaped {
                        None => Cow::Borrowed(last),
                        Some(text) => Cow::Owned(text + last),
                    });
                }
                Some(b'\\') => {
                    let before = self.since(start);
                    self.at += 1;
                    let character = self.escaped(literal)?;
                    let text = unescaped.get_or_insert_default();
                    text.push_str(before);
                    text.push(character);
                    start = self.at;
                }
                Some(_) => return Err(self.expected("a character of a string")),
                None => {
                    return Err(OffsetError::new(quote, "this string has no closing quote"));
                }
            }
        }
    }

    /// Parses an escape sequence after its backslash.
    fn escaped(&mut self, literal: &[u8]) -> Parsed<char> {
        let character = match self.peek() {
            Some(byte) if literal.contains(&byte) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.code_point();
            }
            _ => return Err(self.expected("an escape")),
        };
        self.at += 1;
        Ok(character)
    }

    /// Parses the character of `\uXXXX` after the `u`. A pair of surrogates is one character.
    fn code_point(&mut self) -> Parsed<char> {
        let at = self.at;
        let first = self.code_unit()?;
        let second = if (0xD800..0xDC00).contains(&first)
            && (self.peek(), self.ahead(1)) == (Some(b'\\'), Some(b'u'))
        {
            self.at += 2;
            Some(self.code_unit()?)
        } else {
            None
        };
        let mut decoded = char::decode_utf16([first].into_iter().chain(second));
        match (decoded.next(), decoded.next()) {
            (Some(Ok(character)), None) => Ok(character),
            _ => Err(OffsetError::new(at, "half of a surrogate pair is not a character")),
        }
    }

    /// Parses the four digits of `\uXXXX`.
    fn code_unit(&mut self) -> Parsed<u16> {
        let start = self.at;
        let mut unit: u16 = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            let digit = digit.and_then(|digit| u16::try_from(digit).ok());
            let Some(digit) = digit else {
                return Err(self.expected_at(start, "four hexadecimal digits"));
            };
            unit = unit << 4 | digit;
            self.at += 1;
        }
        Ok(unit)
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Returns true if `text` can follow the digits of a JSON number: `.5`, `e+9`, `.5E9`.
fn is_fraction(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (fraction, exponent) = match text.split_once(['e', 'E']) {
        Some((fraction, exponent)) => (fraction, Some(exponent)),
        None => (text, None),
    };
    let unsigned = |text: &str| text.strip_prefix(['+', '-']).map_or(digits(text), digits);
    (fraction.is_empty() || fraction.strip_prefix('.').is_some_and(digits))
        && exponent.is_none_or(unsigned)
}
