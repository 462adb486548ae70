//! Times on the command line.

use std::time::Duration;

use quorate::types::parse_duration;

/// Parses the time of a flag: `500ms`, `1.5s`, `5m`.
///
/// # Errors
/// The text is not a number with a unit.
pub fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| format!("`{text}` is not a time like 500ms, 1.5s or 5m"))
}

/// Parses a time that is longer than zero.
///
/// # Errors
/// The text has another form, or the time is zero.
pub fn positive_time(text: &str) -> Result<Duration, String> {
    let time = time(text)?;
    if time.is_zero() { Err(format!("`{text}` is zero: write a longer time")) } else { Ok(time) }
}
