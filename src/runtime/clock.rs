//! The clock of a node: one that counts while the machine is suspended, where the system has such.

#[cfg(all(target_os = "linux", not(madsim)))]
use std::time::Duration;

use crate::types::Instant;

/// Nanoseconds since the node started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    origin: Moment,
}

impl Clock {
    pub(super) fn start() -> Clock {
        Clock { origin: moment() }
    }

    /// A lease must not outlast its time because the machine slept: what the clock shows grows
    /// meanwhile.
    pub(super) fn now(&self) -> Instant {
        let nanoseconds = moment().saturating_duration_since(self.origin).as_nanos();
        Instant(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

#[cfg(not(all(target_os = "linux", not(madsim))))]
use tokio::time::Instant as Moment;

#[cfg(not(all(target_os = "linux", not(madsim))))]
fn moment() -> Moment {
    Moment::now()
}

/// Since the machine started.
#[cfg(all(target_os = "linux", not(madsim)))]
#[derive(Clone, Copy, Debug)]
struct Moment(Duration);

#[cfg(all(target_os = "linux", not(madsim)))]
impl Moment {
    fn saturating_duration_since(self, origin: Moment) -> Duration {
        self.0.saturating_sub(origin.0)
    }
}

#[cfg(all(target_os = "linux", not(madsim)))]
fn moment() -> Moment {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Moment(Duration::try_from(time).unwrap_or_default())
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
