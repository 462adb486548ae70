//! The monotonic clock of a node, which on Linux keeps running while the machine is suspended, and
//! the time of the system.

use std::time::Duration;

use tokio::time;

use crate::runtime::environment::Environment;
use crate::types::Instant;

/// A clock that counts nanoseconds since its start.
#[derive(Clone, Copy, Debug)]
pub(super) enum Clock {
    /// The clock of this machine.
    System(MonotonicInstant),
    /// The clock of tokio, which a simulation controls.
    Tokio(time::Instant),
}

impl Clock {
    pub(super) fn start(environment: &Environment) -> Clock {
        match environment {
            Environment::System => Clock::System(monotonic_now()),
            Environment::Simulated(_) => Clock::Tokio(time::Instant::now()),
        }
    }

    /// Returns the time since the start. It includes suspension where the system can measure it,
    /// because a lease must expire while the machine sleeps.
    pub(super) fn now(&self) -> Instant {
        let since_start = match self {
            Clock::System(origin) => monotonic_now().saturating_duration_since(*origin),
            Clock::Tokio(origin) => time::Instant::now().saturating_duration_since(*origin),
        };
        Instant(u64::try_from(since_start.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// Returns the time since 1970, by the system clock.
#[expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "certificates have dates, and operators search recordings by time"
)]
pub(super) fn unix_time() -> Duration {
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(not(target_os = "linux"))]
use tokio::time::Instant as MonotonicInstant;

#[cfg(not(target_os = "linux"))]
fn monotonic_now() -> MonotonicInstant {
    MonotonicInstant::now()
}

/// The time since the machine booted, suspension included.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy, Debug)]
pub(super) struct MonotonicInstant(Duration);

#[cfg(target_os = "linux")]
impl MonotonicInstant {
    fn saturating_duration_since(self, origin: MonotonicInstant) -> Duration {
        self.0.saturating_sub(origin.0)
    }
}

#[cfg(target_os = "linux")]
fn monotonic_now() -> MonotonicInstant {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    MonotonicInstant(Duration::try_from(time).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_advances() {
        let clock = Clock::start(&Environment::System);
        let before = clock.now();
        while clock.now() == before {}
        assert!(clock.now() > before);
    }
}
