//! The monotonic clock of a node. On Linux it keeps running while the machine is suspended.

#[cfg(all(target_os = "linux", not(madsim)))]
use std::time::Duration;

use crate::types::Instant;

/// A clock that counts nanoseconds since its start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    origin: MonotonicInstant,
}

impl Clock {
    pub(super) fn start() -> Clock {
        Clock { origin: monotonic_now() }
    }

    /// Returns the time since the start. It includes suspension where the system can measure it,
    /// because a lease must expire while the machine sleeps.
    pub(super) fn now(&self) -> Instant {
        let nanoseconds = monotonic_now().saturating_duration_since(self.origin).as_nanos();
        Instant(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

#[cfg(not(all(target_os = "linux", not(madsim))))]
use tokio::time::Instant as MonotonicInstant;

#[cfg(not(all(target_os = "linux", not(madsim))))]
fn monotonic_now() -> MonotonicInstant {
    MonotonicInstant::now()
}

/// The time since the machine booted, suspension included.
#[cfg(all(target_os = "linux", not(madsim)))]
#[derive(Clone, Copy, Debug)]
struct MonotonicInstant(Duration);

#[cfg(all(target_os = "linux", not(madsim)))]
impl MonotonicInstant {
    fn saturating_duration_since(self, origin: MonotonicInstant) -> Duration {
        self.0.saturating_sub(origin.0)
    }
}

#[cfg(all(target_os = "linux", not(madsim)))]
fn monotonic_now() -> MonotonicInstant {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    MonotonicInstant(Duration::try_from(time).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_advances() {
        let clock = Clock::start();
        let before = clock.now();
        while clock.now() == before {}
        assert!(clock.now() > before);
    }
}
