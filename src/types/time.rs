//! Instants: the core receives the time as an argument and never reads a clock.

use core::fmt;
use core::time::Duration;

use crate::types::text::debug_as_display;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// A point on one node's own clock, in nanoseconds since an origin that the driver chooses.
///
/// Instants of different nodes are never compared. The driver's clock must be monotonic.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Instant(pub u64);

impl Instant {
    /// The origin of the clock.
    pub const ZERO: Instant = Instant(0);
    /// The deadline that is never reached.
    pub const NEVER: Instant = Instant(u64::MAX);

    /// Returns the instant `span` later, or [`Instant::NEVER`] if that is beyond the range.
    #[must_use]
    #[inline]
    pub fn after(self, span: Duration) -> Instant {
        let nanos = span.as_secs().saturating_mul(NANOS_PER_SECOND);
        Instant(self.0.saturating_add(nanos).saturating_add(u64::from(span.subsec_nanos())))
    }

    /// Returns the time from `earlier` to this instant, or zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Instant {
    /// Writes seconds with six decimals, as traces print them: `1.204310`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.0 / 1_000;
        f.pad(&alloc::format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000))
    }
}

debug_as_display!(Instant);
