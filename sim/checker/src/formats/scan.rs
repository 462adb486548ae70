//! Steps through a text, byte by byte: what the readers of every notation share.

use std::borrow::Cow;

use crate::formats::fault::Fault;
use crate::formats::form::{Forms, Kind, shortened};

/// How deep forms may stand inside each other.
pub(super) const DEPTH_MAX: usize = 64;

/// A place in a text.
#[derive(Clone, Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    /// The byte that comes next.
    pub(super) at: usize,
    /// The byte before which everything must end.
    end: usize,
}

impl<'a> Scanner<'a> {
    /// At `at`, in the part of `text` that ends before `end`.
    pub(super) fn new(text: &'a str, at: usize, end: usize) -> Scanner<'a> {
        Scanner { text, at, end: end.min(text.len()) }
    }

    /// At `at` in `text`, to read something of at most `bytes_max`.
    pub(super) fn limited(text: &'a str, at: usize, bytes_max: usize) -> Scanner<'a> {
        Scanner::new(text, at, at.saturating_add(bytes_max))
    }

    /// What is wrong, unless it is that what is read is too long.
    pub(super) fn unless_too_long(&self, start: usize, fault: Fault) -> Fault {
        if self.at < self.end || self.end >= self.text.len() {
            return fault;
        }
        Fault::new(start, format!("this is longer than {} bytes", self.end - start))
    }

    /// The byte that comes next.
    #[inline]
    pub(super) fn peek(&self) -> Option<u8> {
        self.ahead(0)
    }

    /// The byte that comes after so many others.
    #[inline]
    pub(super) fn ahead(&self, bytes: usize) -> Option<u8> {
        let at = self.at + bytes;
        if at < self.end { self.text.as_bytes().get(at).copied() } else { None }
    }

    /// Passes over the bytes that are as `passes` says.
    #[inline]
    pub(super) fn skip(&mut self, passes: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&passes) {
            self.at += 1;
        }
    }

    /// The text from `start` up to here. Both must be borders of characters.
    pub(super) fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or("")
    }

    /// That something else was expected here.
    pub(super) fn expected(&self, what: &str) -> Fault {
        self.expected_at(self.at, what)
    }

    /// That something else was expected at `at`.
    pub(super) fn expected_at(&self, at: usize, what: &str) -> Fault {
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
        Fault::new(at, format!("expected {what}, found {found}"))
    }

    /// A number, which begins here.
    pub(super) fn number(&mut self, forms: &mut Forms<'a>, strict: bool) -> Result<(), Fault> {
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
            // Negative ones reach one further.
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

    /// A text in quotes, which begins here. `escape` reads what comes after a backslash.
    pub(super) fn quoted(
        &mut self,
        plain: impl Fn(u8) -> bool,
        mut escape: impl FnMut(&mut Scanner<'a>) -> Result<char, Fault>,
    ) -> Result<Cow<'a, str>, Fault> {
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
                    let character = escape(self)?;
                    let text = unescaped.get_or_insert_default();
                    text.push_str(before);
                    text.push(character);
                    start = self.at;
                }
                Some(_) => return Err(self.expected("a character of a text")),
                None => {
                    return Err(Fault::new(quote, "expected an end of this text, found none"));
                }
            }
        }
    }

    /// The character of `\uXXXX`, of which the `u` is passed; a pair of surrogates is one.
    pub(super) fn code_point(&mut self) -> Result<char, Fault> {
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
            _ => Err(Fault::new(at, "half a pair of surrogates is no character")),
        }
    }

    /// The four digits of `\uXXXX`.
    fn code_unit(&mut self) -> Result<u16, Fault> {
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

/// Whether this follows the digits of a JSON number: `.5`, `e+9`, `.5E9`.
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
