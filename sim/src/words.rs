//! One line of a scenario, read word by word: what is found, or one mistake that says where and
//! what to do.

use std::fmt;
use std::time::Duration;

use quorate::types::NodeId;

use crate::span::Span;

/// What is wrong with a scenario, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The first character it is about, from 1; one after the last if something is missing there.
    pub column: usize,
    /// What is wrong; what to do.
    pub text: String,
}

/// The words of one line that are still to be read. A comma is a word of its own, and what follows
/// a `#` at the beginning of a word is a comment.
#[derive(Clone, Debug)]
pub(crate) struct Words<'a> {
    line: &'a str,
    number: usize,
    /// Where the unread rest begins.
    rest: usize,
    /// Where the word that was read last begins.
    last: usize,
}

/// A span of time, written so that nothing of it is lost: `1.85s`, `600ms`, `12.5us`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exact(pub(crate) Duration);

/// The units of time, the longest first, in nanoseconds.
const UNITS: [(&str, u64); 5] =
    [("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX);
        // The longest unit, from seconds on, of which it is a whole number of thousandths.
        let suits = |&&(_, unit): &&(&str, u64)| {
            nanos >= unit && (nanos.is_multiple_of(unit / 1_000) || unit == 1_000)
        };
        let Some((name, unit)) = UNITS[1..4].iter().find(suits) else {
            return if nanos == 0 { f.write_str("0s") } else { write!(f, "{nanos}ns") };
        };
        let (whole, part) = (nanos / unit, nanos % unit / (unit / 1_000));
        match part {
            0 => write!(f, "{whole}{name}"),
            _ => write!(f, "{whole}.{}{name}", format!("{part:03}").trim_end_matches('0')),
        }
    }
}

/// The span of time that a word is.
pub(crate) fn duration(word: &str) -> Option<Duration> {
    let digits_end = word.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = word.split_at(digits_end);
    let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let whole = number_of(whole)?.checked_mul(*nanos)?;
    let scale = 10u64.checked_pow(u32::try_from(part.len()).ok()?)?;
    let part = number_of(part)?.checked_mul(*nanos)?;
    let exact = part.is_multiple_of(scale).then_some(part / scale)?;
    Some(Duration::from_nanos(whole.checked_add(exact)?))
}

/// The node that a word names: `n3`.
pub(crate) fn node(word: &str) -> Option<NodeId> {
    number_of(word.strip_prefix('n')?).filter(|number| *number > 0).map(NodeId)
}

/// The nodes that a word names: `n3`, `+n4`, `n1-n2`, `n4@host`.
pub(crate) fn nodes_in(word: &str) -> impl Iterator<Item = NodeId> {
    let named = word.split_once('@').map_or(word, |(named, _)| named);
    named.split(|c: char| !c.is_ascii_alphanumeric()).filter_map(node)
}

/// The whole number that a word is, of digits alone.
pub(crate) fn number_of(word: &str) -> Option<u64> {
    let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| word.parse().ok()).flatten()
}

impl<'a> Words<'a> {
    /// The words of the line with this number, from 1.
    pub(crate) fn of(line: &'a str, number: usize) -> Words<'a> {
        let starts = |at: usize| at == 0 || line[..at].ends_with(char::is_whitespace);
        let comment = line.match_indices('#').find(|(at, _)| starts(*at));
        let end = comment.map_or(line.len(), |(at, _)| at);
        Words { line: line[..end].trim_end(), number, rest: 0, last: 0 }
    }

    /// Where the next word begins, and the word, if there is one.
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

    /// The number of the line, from 1.
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// The next word, which is still to be read.
    pub(crate) fn peek(&self) -> Option<&'a str> {
        self.find().map(|(_, word)| word)
    }

    /// Whether every word is read.
    pub(crate) fn is_empty(&self) -> bool {
        self.find().is_none()
    }

    /// The next word; a line that ends lacks `what`.
    pub(crate) fn word(&mut self, what: &str) -> Result<&'a str, Mistake> {
        let Some((start, word)) = self.find() else {
            let column = self.line.chars().count() + 1;
            let text = format!("the line ends here: {what} is missing");
            return Err(Mistake { line: self.number, column, text });
        };
        (self.last, self.rest) = (start, start + word.len());
        Ok(word)
    }

    /// Reads these words if they come next.
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

    /// Reads these words, which must come next.
    pub(crate) fn need(&mut self, phrase: &str) -> Result<(), Mistake> {
        if self.accept(phrase) {
            return Ok(());
        }
        let found = self.word(&format!("`{phrase}`"))?.to_owned();
        Err(self.wrong(format!("`{found}` stands where `{phrase}` belongs: write `{phrase}`")))
    }

    /// The place in `names` of the words that come next, the longest that fit; `what` they name.
    pub(crate) fn name(&mut self, what: &str, names: &[&str]) -> Result<usize, Mistake> {
        let fits = |name: &&str| self.clone().accept(name);
        let found = (0..names.len()).filter(|at| fits(&names[*at]));
        if let Some(at) = found.max_by_key(|at| names[*at].len()) {
            self.accept(names[at]);
            return Ok(at);
        }
        let from = self.clone();
        let word = self.word(what)?.to_owned();
        let near = |name: &str| {
            let length = name.split(' ').count();
            let mut ahead = from.clone();
            let said = (0..length).map_while(|_| ahead.word(what).ok());
            distance(&said.collect::<Vec<_>>().join(" "), name)
        };
        let nearest = names.iter().map(|name| (near(name), *name)).min();
        let tip = match nearest {
            Some((steps, name)) if steps <= 1 + name.len() / 4 => format!("did you mean `{name}`?"),
            _ if names.len() <= 12 => format!("there are: {}", names.join(", ")),
            _ => "see docs/SCENARIOS.md".to_owned(),
        };
        Err(self.wrong(format!("`{word}` is no {what}: {tip}")))
    }

    /// A mistake about the word that was read last.
    pub(crate) fn wrong(&self, text: impl Into<String>) -> Mistake {
        let column = self.line[..self.last].chars().count() + 1;
        Mistake { line: self.number, column, text: text.into() }
    }

    /// Nothing may be left.
    pub(crate) fn end(&mut self) -> Result<(), Mistake> {
        if self.is_empty() {
            return Ok(());
        }
        let word = self.word("nothing")?.to_owned();
        Err(self.wrong(format!("`{word}` is too much here: end the line before it")))
    }

    /// The next word, if `read` makes something of it; else a mistake that says what belongs there.
    pub(crate) fn read<T>(
        &mut self,
        what: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<T, Mistake> {
        let word = self.word(what)?;
        read(word).ok_or_else(|| self.wrong(format!("`{word}` is not {what}")))
    }

    /// A span of time.
    pub(crate) fn duration(&mut self) -> Result<Duration, Mistake> {
        self.read("a span of time with its unit, like 1.5s, 20ms or 300us", duration)
    }

    /// From the least to the most: `1ms..2ms`, or `1ms` if they are the same.
    pub(crate) fn span(&mut self) -> Result<Span, Mistake> {
        let read = |word: &str| {
            let (least, most) = word.split_once("..").unwrap_or((word, word));
            let span = Span { least: duration(least)?, most: duration(most)? };
            (span.least <= span.most).then_some(span)
        };
        self.read("a span of time, like 2ms, or two in order, like 1ms..3ms", read)
    }

    /// A whole number from `least` to `most`.
    pub(crate) fn count(&mut self, least: u64, most: u64) -> Result<u64, Mistake> {
        let what = match most {
            u64::MAX => format!("a whole number from {least} on"),
            _ => format!("a whole number from {least} to {most}"),
        };
        self.read(&what, |word| number_of(word).filter(|n| (least..=most).contains(n)))
    }

    /// `on` or `off`.
    pub(crate) fn switch(&mut self) -> Result<bool, Mistake> {
        Ok(self.name("switch", &["off", "on"])? == 1)
    }

    /// A node: `n3`.
    pub(crate) fn node(&mut self) -> Result<NodeId, Mistake> {
        self.read("a node, like n3", node)
    }

    /// The number after `name=`, if that comes next.
    pub(crate) fn given(&mut self, name: &str) -> Result<Option<u32>, Mistake> {
        let value = |word: &'a str| word.strip_prefix(name)?.strip_prefix('=');
        if self.peek().and_then(value).is_none() {
            return Ok(None);
        }
        let what = format!("`{name}=` and a whole number below 4294967296");
        let read = |word: &str| {
            let number = number_of(word.strip_prefix(name)?.strip_prefix('=')?)?;
            u32::try_from(number).ok()
        };
        self.read(&what, read).map(Some)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.least == self.most {
            true => write!(f, "{}", Exact(self.least)),
            false => write!(f, "{}..{}", Exact(self.least), Exact(self.most)),
        }
    }
}

impl fmt::Display for Mistake {
    /// `line:column: what; what to do`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.text)
    }
}

impl std::error::Error for Mistake {}

/// How many letters must be put in, left out or replaced to make one word of the other.
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
    fn times_lose_nothing() {
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
            assert_eq!(duration(text), Some(Duration::from_nanos(nanos)), "{text}");
        }
        assert_eq!(duration("1.5m"), Some(Duration::from_secs(90)));
        for wrong in ["", "5", "s", "1.s", ".5s", "1.2.3s", "5d", "-1s", "1e3s", "0.5ns"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn words_end_at_spaces_commas_and_comments() {
        let mut words = Words::of("  when n3 falls,stop it  # and why", 1);
        let mut read = Vec::new();
        while !words.is_empty() {
            read.push(words.word("a word").expect("there is one"));
        }
        assert_eq!(read, ["when", "n3", "falls", ",", "stop", "it"]);
        assert!(Words::of("# nothing", 1).is_empty());
    }

    #[test]
    fn a_mistake_names_its_place_and_what_to_do() {
        let mut words = Words::of("rot haeders n1", 4);
        assert!(words.accept("rot"));
        let mistake = words.name("region", &["superblock", "headers"]).expect_err("no such");
        assert_eq!(mistake.to_string(), "4:5: `haeders` is no region: did you mean `headers`?");
        let mut words = Words::of("fail directry flush n1", 1);
        assert!(words.accept("fail"));
        let mistake = words.name("call", &["flush", "directory flush"]).expect_err("no such");
        assert!(mistake.text.contains("`directory flush`"), "{mistake}");
        let mut words = Words::of("crash", 2);
        assert!(words.accept("crash"));
        let mistake = words.node().expect_err("nothing is there");
        assert_eq!((mistake.line, mistake.column), (2, 6));
        let mistake = Words::of("n1 n2", 1).end().expect_err("too much");
        assert!(mistake.text.contains("end the line before it"), "{mistake}");
    }
}
