//! The only clocks of the command: how long a person waited, and how much CPU time was used; and
//! what tells its process from others.

use std::time::{Duration, Instant};

/// Measures wall time from its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[expect(clippy::disallowed_methods, reason = "progress and time limits are for people")]
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// The time since the start.
    #[expect(clippy::disallowed_methods, reason = "progress and time limits are for people")]
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// The CPU time that the calling thread has used.
#[cfg(unix)]
pub(crate) fn thread_cpu() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    // The clock counts from the thread's start, so neither part is ever negative.
    let seconds = u64::try_from(spent.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(spent.tv_nsec).unwrap_or(0))
}

/// Wall time instead, where the system gives a thread no clock of its own.
#[cfg(not(unix))]
pub(crate) fn thread_cpu() -> Duration {
    static START: std::sync::LazyLock<Stopwatch> = std::sync::LazyLock::new(Stopwatch::start);
    START.elapsed()
}

/// Waits for another process.
#[expect(clippy::disallowed_methods, reason = "a process tells nobody when it ends")]
pub(crate) fn pause(span: Duration) {
    std::thread::sleep(span);
}

/// What names of things outside begin with, so that they are those of no other process.
pub(crate) fn own_number() -> u32 {
    std::process::id()
}
