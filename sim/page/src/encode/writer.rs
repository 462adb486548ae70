//! Encodes numbers and texts in few bytes.

use std::collections::BTreeMap;

use crate::document::NUMBER_MAX;

/// The most digits of a number that JavaScript represents exactly.
const DIGITS_MAX: usize = 15;

/// The encoded bytes, and the patterns of the texts.
///
/// Most texts of a run differ only in their numbers: `-> n3 AppendEntries t4 last=12@t3`. The rest
/// of such a text is a pattern, which is written once. Each text is then the number of its pattern
/// and, for each of its numbers, the difference from the previous text of that pattern.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    patterns: BTreeMap<Vec<String>, usize>,
    /// The numbers in the last text of each pattern.
    lasts: Vec<Vec<i64>>,
}

impl Writer {
    /// Returns all bytes, with the patterns first.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut patterns: Vec<(&Vec<String>, usize)> =
            self.patterns.iter().map(|(pieces, place)| (pieces, *place)).collect();
        patterns.sort_by_key(|(_, place)| *place);
        let mut head = Writer::default();
        head.number(patterns.len() as u64);
        for (pieces, _) in patterns {
            head.number(pieces.len() as u64);
            for piece in pieces {
                head.number(piece.len() as u64);
                head.bytes.extend_from_slice(piece.as_bytes());
            }
        }
        head.bytes.extend(self.bytes);
        head.bytes
    }

    /// Writes a number with 7 bits per byte; a number above [`NUMBER_MAX`] becomes [`NUMBER_MAX`].
    pub(crate) fn number(&mut self, number: u64) {
        let mut rest = number.min(NUMBER_MAX);
        while rest >= 0x80 {
            self.bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.bytes.push(rest as u8);
    }

    /// Writes the difference from `was` to `is`, both limited to [`NUMBER_MAX`].
    pub(crate) fn difference(&mut self, is: u64, was: u64) {
        self.signed(is.min(NUMBER_MAX) as i64 - was.min(NUMBER_MAX) as i64);
    }

    fn signed(&mut self, number: i64) {
        // Zigzag encoding: the sign is the lowest bit.
        let folded = (number.unsigned_abs() << 1) - u64::from(number < 0);
        let mut rest = folded;
        while rest >= 0x80 {
            self.bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.bytes.push(rest as u8);
    }

    /// Writes a number that may be missing.
    pub(crate) fn option(&mut self, number: Option<u64>) {
        self.number(number.map_or(0, |number| number.min(NUMBER_MAX - 1) + 1));
    }

    /// Writes a text as its pattern and its numbers.
    pub(crate) fn text(&mut self, text: &str) {
        let (pieces, numbers) = split(text);
        let next = self.patterns.len();
        let place = *self.patterns.entry(pieces).or_insert(next);
        if place == next {
            self.lasts.push(vec![0; numbers.len()]);
        }
        self.number(place as u64);
        let lasts = std::mem::replace(&mut self.lasts[place], numbers.clone());
        for (is, was) in numbers.into_iter().zip(lasts) {
            self.signed(is - was);
        }
    }
}

/// Splits a text into pieces with one number between every two.
fn split(text: &str) -> (Vec<String>, Vec<i64>) {
    let (mut pieces, mut numbers) = (vec![String::new()], Vec::new());
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let words = rest.bytes().take_while(|byte| !byte.is_ascii_digit()).count();
        let (run, after) = rest.split_at(digits.max(words));
        let exact = run.len() <= DIGITS_MAX && (run == "0" || !run.starts_with('0'));
        match run.parse() {
            Ok(number) if digits > 0 && exact => {
                numbers.push(number);
                pieces.push(String::new());
            }
            _ => pieces.last_mut().expect("the list starts with one piece").push_str(run),
        }
        rest = after;
    }
    (pieces, numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_split_into_pattern_and_numbers() {
        let pieces = |text: &str| split(text).0.join("#");
        assert_eq!(pieces("-> n3 4@t2"), "-> n# #@t#");
        assert_eq!(split("-> n3 4@t2").1, [3, 4, 2]);
        assert_eq!(pieces("007 and 0"), "007 and #");
        assert_eq!(pieces("1234567890123456 7"), "1234567890123456 #");
        assert_eq!(pieces(""), "");
        assert_eq!(pieces("9"), "#");
    }

    #[test]
    fn a_text_with_a_known_pattern_takes_one_byte_and_one_for_each_number() {
        let mut writer = Writer::default();
        writer.text("-> n3 AppendEntries t4 last=1200@t3");
        let before = writer.bytes.len();
        writer.text("-> n2 AppendEntries t4 last=1207@t3");
        assert_eq!(writer.bytes.len() - before, 5);
    }
}
