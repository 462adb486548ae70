//! Ranges of durations, from which runs draw.

use std::time::Duration;

/// A range from which a duration is drawn; the minimum is the benign choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationRange {
    /// The shortest duration, inclusive.
    pub min: Duration,
    /// The longest duration, inclusive.
    pub max: Duration,
}

impl DurationRange {
    /// Returns the range from `least` to `most` microseconds, inclusive.
    #[must_use]
    pub const fn micros(least: u64, most: u64) -> DurationRange {
        DurationRange { min: Duration::from_micros(least), max: Duration::from_micros(most) }
    }

    /// Returns the width of the range, in nanoseconds.
    #[must_use]
    pub(crate) fn width(self) -> u64 {
        (self.max - self.min).as_nanos() as u64
    }
}
