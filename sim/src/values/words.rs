//! Reads one line of a scenario word by word. An error names its place and what to write instead.

use std::fmt;
use std::time::Duration;

use quorate::types::{NodeId, parse_duration};

use crate::values::duration_range::DurationRange;
use crate::values::time::SimTime;

/// An error in a scenario: its place, the cause and the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// The line number, starting at 1.
    pub line: usize,
    /// The first column of the error, starting at 1; one past the line's end if a word is missing.
    pub column: usize,
    /// The error and what to do about it, separated by a colon.
    pub text: String,
}

/// The unread words of one line. A comma is a word of its own, and a `#` at the start of a word
/// begins a comment.
#[derive(Clone, Debug)]
pub(crate) struct Words<'a> {
    line: &'a str,
    number: usize,
    /// The byte offset of the unread part.
    rest: usize,
    /// The byte offset of the last word that was read.
    last: usize,
}

/// A duration that is printed without loss: `1.85s`, `600ms`, `12.5us`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exact(pub(crate) Duration);

impl Exact {
    /// A time, as the duration from the start of the run.
    pub(crate) fn at(time: SimTime) -> Exact {
        Exact(Duration::from_nanos(time.0))
    }
}

/// The units of time in which durations are printed, with their nanoseconds, longest first.
const UNITS: [(&str, u64); 3] = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)];

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX);
        // The longest unit, up to seconds, in which the value has at most three decimals.
        let suits = |&&(_, unit): &&(&str, u64)| {
            nanos >= unit && (nanos.is_multiple_of(unit / 1_000) || unit == 1_000)
        };
        let Some((name, unit)) = UNITS.iter().find(suits) else {
            return if nanos == 0 { f.write_str("0s") } else { write!(f, "{nanos}ns") };
        };
        let (whole, part) = (nanos / unit, nanos % unit / (unit / 1_000));
        match part {
            0 => write!(f, "{whole}{name}"),
            _ => write!(f, "{whole}.{}{name}", format!("{part:03}").trim_end_matches('0')),
        }
    }
}

/// Parses a word as a node: `n3`.
pub(crate) fn node(word: &str) -> Option<NodeId> {
    number_of(word.strip_prefix('n')?).filter(|number| *number > 0).map(NodeId)
}

/// The nodes that a word names: `n3`, `+n4`, `n1-n2`, `n4@host`.
pub(crate) fn nodes_in(word: &str) -> impl Iterator<Item = NodeId> {
    let named = word.split_once('@').map_or(word, |(named, _)| named);
    named.split(|c: char| !c.is_ascii_alphanumeric()).filter_map(node)
}

/// Parses a word of digits as a whole number.
pub(crate) fn number_of(word: &str) -> Option<u64> {
    let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| word.parse().ok()).flatten()
}

impl<'a> Words<'a> {
    /// Splits the line with this number, starting at 1, into words.
    pub(crate) fn of(line: &'a str, number: usize) -> Words<'a> {
        let starts = |at: usize| at == 0 || line[..at].ends_with(char::is_whitespace);
        let comment = line.match_indices('#').find(|(at, _)| starts(*at));
        let end = comment.map_or(line.len(), |(at, _)| at);
        Words { line: line[..end].trim_end(), number, rest: 0, last: 0 }
    }

    /// The byte offset of the next word and the word, if there is one.
    fn find(&self) -> Option<(usize, &'a str)> {
        let rest = &self.line[self.rest..];
        let start = self.rest + rest.find(|c: char| !c.is_whitespace())?;
        let word = &self.line[start..];
        let end = match word.find(|c: char| c.is_whitespace() || c == ',') {
            Some(0) => 1,
            Some(end) => end,
            None => word.len(),
        };
        Some((start, &word[..end]))
    }

    /// The line number, starting at 1.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// The next word, without reading it.
    pub(crate) fn peek(&self) -> Option<&'a str> {
        self.find().map(|(_, word)| word)
    }

    /// Whether all words are read.
    pub(crate) fn is_empty(&self) -> bool {
        self.find().is_none()
    }

    /// Reads all words, so that an error is at the last one.
    pub(crate) fn last_word(mut self) -> Words<'a> {
        while self.word("a word").is_ok() {}
        self
    }

    /// Reads the next word; `expected` names the missing word at the end of the line.
    pub(crate) fn word(&mut self, expected: &str) -> Result<&'a str, SyntaxError> {
        let Some((start, word)) = self.find() else {
            let column = self.line.chars().count() + 1;
            let text = format!("the line ends here: {expected} is missing");
            return Err(SyntaxError { line: self.number, column, text });
        };
        (self.last, self.rest) = (start, start + word.len());
        Ok(word)
    }

    /// Reads the words of `phrase` if they come next.
    pub(crate) fn accept(&mut self, phrase: &str) -> bool {
        let mut ahead = self.clone();
        for expected in phrase.split(' ') {
            if ahead.word(expected) != Ok(expected) {
                return false;
            }
        }
        *self = ahead;
        true
    }

    /// Reads the words of `phrase`, or reports that they are missing.
    pub(crate) fn need(&mut self, phrase: &str) -> Result<(), SyntaxError> {
        if self.accept(phrase) {
            return Ok(());
        }
        let found = self.word(&format!("`{phrase}`"))?.to_owned();
        Err(self.error(format!("unexpected `{found}`: write `{phrase}`")))
    }

    /// Reads the longest name that comes next and returns its position in `names`; `expected` is
    /// the kind of the names.
    pub(crate) fn name(&mut self, expected: &str, names: &[&str]) -> Result<usize, SyntaxError> {
        let fits = |name: &&str| self.clone().accept(name);
        let found = (0..names.len()).filter(|at| fits(&names[*at]));
        if let Some(at) = found.max_by_key(|at| names[*at].len()) {
            self.accept(names[at]);
            return Ok(at);
        }
        let from = self.clone();
        let word = self.word(expected)?.to_owned();
        let near = |name: &str| {
            let length = name.split(' ').count();
            let mut ahead = from.clone();
            let found = (0..length).map_while(|_| ahead.word(expected).ok());
            distance(&found.collect::<Vec<_>>().join(" "), name)
        };
        let nearest = names.iter().map(|name| (near(name), *name)).min();
        let tip = match nearest {
            Some((steps, name)) if steps <= 1 + name.len() / 4 => format!("did you mean `{name}`?"),
            _ if names.len() <= 12 => format!("expected one of: {}", names.join(", ")),
            _ => "see docs/SCENARIOS.md".to_owned(),
        };
        Err(self.error(format!("`{word}` is not a known {expected}: {tip}")))
    }

    /// Creates an error at the last word that was read.
    pub(crate) fn error(&self, text: impl Into<String>) -> SyntaxError {
        let column = self.line[..self.last].chars().count() + 1;
        SyntaxError { line: self.number, column, text: text.into() }
    }

    /// Reports an error unless all words are read.
    pub(crate) fn end(&mut self) -> Result<(), SyntaxError> {
        if self.is_empty() {
            return Ok(());
        }
        let word = self.word("nothing")?.to_owned();
        Err(self.error(format!("unexpected `{word}`: end the line before it")))
    }

    /// Reads the next word with `read`; `expected` describes the word in the error.
    pub(crate) fn read<T>(
        &mut self,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<T, SyntaxError> {
        let word = self.word(expected)?;
        read(word).ok_or_else(|| self.error(format!("`{word}` is not {expected}")))
    }

    /// Reads a duration with its unit.
    pub(crate) fn duration(&mut self) -> Result<Duration, SyntaxError> {
        self.read("a duration with its unit, like 1.5s, 20ms or 300us", parse_duration)
    }

    /// Reads a range of durations: `1ms..2ms`, or `1ms` if both ends are equal.
    pub(crate) fn span(&mut self) -> Result<DurationRange, SyntaxError> {
        let read = |word: &str| {
            let (least, most) = word.split_once("..").unwrap_or((word, word));
            let span = DurationRange { min: parse_duration(least)?, max: parse_duration(most)? };
            (span.min <= span.max).then_some(span)
        };
        self.read("a duration, like 2ms, or two in order, like 1ms..3ms", read)
    }

    /// Reads a whole number from `least` to `most`.
    pub(crate) fn count(&mut self, least: u64, most: u64) -> Result<u64, SyntaxError> {
        let expected = match most {
            u64::MAX => format!("a whole number from {least} on"),
            _ => format!("a whole number from {least} to {most}"),
        };
        self.read(&expected, |word| number_of(word).filter(|n| (least..=most).contains(n)))
    }

    /// Reads `on` or `off`.
    pub(crate) fn switch(&mut self) -> Result<bool, SyntaxError> {
        Ok(self.name("switch", &["off", "on"])? == 1)
    }

    /// Reads a node: `n3`.
    pub(crate) fn node(&mut self) -> Result<NodeId, SyntaxError> {
        self.read("a node, like n3", node)
    }

    /// Reads the number after `name=`, if that comes next.
    pub(crate) fn given(&mut self, name: &str) -> Result<Option<u32>, SyntaxError> {
        let value = |word: &'a str| word.strip_prefix(name)?.strip_prefix('=');
        if self.peek().and_then(value).is_none() {
            return Ok(None);
        }
        let expected = format!("`{name}=` and a whole number below 4294967296");
        let read = |word: &str| {
            let number = number_of(word.strip_prefix(name)?.strip_prefix('=')?)?;
            u32::try_from(number).ok()
        };
        self.read(&expected, read).map(Some)
    }
}

impl fmt::Display for DurationRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.min == self.max {
            true => write!(f, "{}", Exact(self.min)),
            false => write!(f, "{}..{}", Exact(self.min), Exact(self.max)),
        }
    }
}

impl fmt::Display for SyntaxError {
    /// Writes `line:column: error: remedy`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.text)
    }
}

impl std::error::Error for SyntaxError {}

/// The edit distance: the number of characters to insert, delete or replace.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut corner = row[0];
        row[0] = at + 1;
        for (place, against) in other.iter().enumerate() {
            let replaced = corner + usize::from(letter != *against);
            corner = row[place + 1];
            row[place + 1] = replaced.min(corner + 1).min(row[place] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_without_loss() {
        let cases = [
            (0, "0s"),
            (1, "1ns"),
            (999, "999ns"),
            (12_500, "12.5us"),
            (12_501, "12.501us"),
            (600_000_000, "600ms"),
            (1_850_000_000, "1.85s"),
            (1_850_250_000, "1850.25ms"),
            (1_850_250_001, "1850250.001us"),
            (90_000_000_000, "90s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(Exact(Duration::from_nanos(nanos)).to_string(), text);
            assert_eq!(parse_duration(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
        assert_eq!(parse_duration("1.5m"), Some(Duration::from_secs(90)));
        for wrong in ["", "5", "s", "1.s", ".5s", "1.2.3s", "5y", "-1s", "1e3s", "0.5ns"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn words_end_at_spaces_commas_and_comments() {
        let mut words = Words::of("  when n3 restarts,stop it  # and why", 1);
        let mut read = Vec::new();
        while !words.is_empty() {
            read.push(words.word("a word").expect("there is a word"));
        }
        assert_eq!(read, ["when", "n3", "restarts", ",", "stop", "it"]);
        assert!(Words::of("# nothing", 1).is_empty());
    }

    #[test]
    fn an_error_names_its_place_and_the_remedy() {
        let mut words = Words::of("corrupt haeders n1", 4);
        assert!(words.accept("corrupt"));
        let error =
            words.name("region", &["superblock", "headers"]).expect_err("the name is unknown");
        assert_eq!(
            error.to_string(),
            "4:9: `haeders` is not a known region: did you mean `headers`?"
        );
        let mut words = Words::of("fail directry flush n1", 1);
        assert!(words.accept("fail"));
        let error =
            words.name("call", &["flush", "directory flush"]).expect_err("the name is unknown");
        assert!(error.text.contains("`directory flush`"), "{error}");
        let mut words = Words::of("crash", 2);
        assert!(words.accept("crash"));
        let error = words.node().expect_err("the node is missing");
        assert_eq!((error.line, error.column), (2, 6));
        let error = Words::of("n1 n2", 1).end().expect_err("a word is left");
        assert!(error.text.contains("end the line before it"), "{error}");
    }
}
