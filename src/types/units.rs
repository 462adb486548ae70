//! Times and sizes as people write them: one grammar for every command and every file.

use alloc::format;
use alloc::string::String;
use core::ops::RangeInclusive;
use core::time::Duration;

/// The units of time with their nanoseconds.
const TIMES: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("min", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
    ("d", 86_400 * 1_000_000_000),
];

/// The units of size with their bytes.
const SIZES: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("K", 1 << 10),
    ("MiB", 1 << 20),
    ("M", 1 << 20),
    ("GiB", 1 << 30),
    ("G", 1 << 30),
];

const _: () = {
    let mut place = 0;
    while place < TIMES.len() && place < SIZES.len() {
        assert!(TIMES[place].1 > 0, "a unit of time is not zero");
        assert!(SIZES[place].1 > 0, "a unit of size is not zero");
        place += 1;
    }
    assert!(TIMES.len() == SIZES.len(), "every unit was checked");
};

/// Parses a time: a number, which may have a fraction, and a unit, such as `200us`, `300ms`,
/// `1.5s`, `5m`, `5min`, `12h` and `7d`. Returns `None` for any other text, for a fraction of a
/// nanosecond, and for a time that is too long.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    number_of_units(text, &TIMES).map(Duration::from_nanos)
}

/// Parses a size in bytes: a number, which may have a fraction, and a unit, such as `4096`,
/// `64KiB`, `1.5MiB` and `1GiB`; `K`, `M` and `G` are short for these units. Returns `None` for any
/// other text, for a fraction of a byte, and for a size that is too large.
#[must_use]
pub fn parse_bytes(text: &str) -> Option<u64> {
    number_of_units(text, &SIZES)
}

/// Parses a whole number within these bounds: digits only.
///
/// # Errors
/// A text that quotes the invalid number, and names the bounds.
pub fn parse_number(text: &str, bounds: RangeInclusive<u64>) -> Result<u64, String> {
    let number = digits(text).filter(|number| bounds.contains(number));
    number.ok_or_else(|| {
        format!("`{text}` is not a whole number from {} to {}", bounds.start(), bounds.end())
    })
}

/// Parses a number, spaces and the name of a unit, and returns their product if it is whole.
fn number_of_units(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, name) = text.split_at(end);
    let (_, unit) = units.iter().find(|(unit, _)| *unit == name.trim_start())?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let scale = 10u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let parts = digits(fraction)?.checked_mul(*unit)?;
    let fraction = parts.is_multiple_of(scale).then_some(parts / scale)?;
    assert!(fraction < *unit, "a fraction is less than one unit");
    digits(whole)?.checked_mul(*unit)?.checked_add(fraction)
}

/// Parses a text of at least one digit and nothing else; a parser of numbers also accepts signs.
fn digits(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_only_digits_and_is_within_its_bounds() {
        assert_eq!(parse_number("0", 0..=u64::MAX), Ok(0));
        assert_eq!(parse_number("007", 1..=7), Ok(7));
        for text in ["", "x", "-1", "+1", "1.5", "1e3", "8", "0", "18446744073709551616"] {
            let expected = format!("`{text}` is not a whole number from 1 to 7");
            assert_eq!(parse_number(text, 1..=7), Err(expected));
        }
    }

    #[test]
    fn times_are_parsed_without_loss() {
        for (text, nanoseconds) in [
            ("0s", 0),
            ("12.5us", 12_500),
            ("500ms", 500_000_000),
            ("1.85s", 1_850_000_000),
            ("5m", 300_000_000_000),
            ("5 min", 300_000_000_000),
            ("7d", 7 * 86_400_000_000_000),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_nanos(nanoseconds)), "{text}");
        }
        let invalid =
            ["", "ms", "3", "3w", "-1s", "+1s", ".5s", "5.s", "1.2.3s", "0.5ns", "s5", "1e3s"];
        for text in invalid.into_iter().chain(["99999999999999999999s", "999999999d"]) {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_parsed_without_loss() {
        let cases = [
            ("4096", 4096),
            ("64KiB", 65_536),
            ("64 K", 65_536),
            ("1.5MiB", 3 << 19),
            ("2G", 2 << 30),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_bytes(text), Some(bytes), "{text}");
        }
        for text in ["", "KiB", "3MB", "3kB", "-1", "0.3K", "99999999999GiB"] {
            assert_eq!(parse_bytes(text), None, "{text}");
        }
    }
}
