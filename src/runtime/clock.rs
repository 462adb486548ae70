//! The clock of a node: one that counts while the machine is suspended, where the system has such.

use crate::types::Instant;

/// Nanoseconds since the node started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    origin: u64,
}

impl Clock {
    pub(super) fn start() -> Clock {
        Clock { origin: nanoseconds() }
    }

    /// A lease must not outlast its time because the machine slept: what the clock shows grows
    /// meanwhile.
    pub(super) fn now(&self) -> Instant {
        Instant(nanoseconds().saturating_sub(self.origin))
    }
}

#[cfg(all(target_os = "linux", not(madsim)))]
fn nanoseconds() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(not(all(target_os = "linux", not(madsim))))]
fn nanoseconds() -> u64 {
    use std::sync::OnceLock;

    static ORIGIN: OnceLock<tokio::time::Instant> = OnceLock::new();
    let origin = ORIGIN.get_or_init(tokio::time::Instant::now);
    u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows() {
        let clock = Clock::start();
        let before = clock.now();
        while clock.now() == before {}
        assert!(clock.now() > before);
    }
}
