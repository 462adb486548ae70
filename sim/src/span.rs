//! A time that is not fixed but bounded.

use std::time::Duration;

/// A time between two bounds; the least is the benign one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The least.
    pub least: Duration,
    /// The most.
    pub most: Duration,
}

impl Span {
    /// Between so many and so many microseconds.
    #[must_use]
    pub const fn micros(least: u64, most: u64) -> Span {
        Span { least: Duration::from_micros(least), most: Duration::from_micros(most) }
    }

    /// The length of the span, in nanoseconds.
    #[must_use]
    pub(crate) fn width(self) -> u64 {
        (self.most - self.least).as_nanos() as u64
    }
}
