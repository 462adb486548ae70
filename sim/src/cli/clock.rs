//! The only clocks of the command: wall-clock time for progress and limits, and the CPU time of a
//! thread or of the process. Also the process id, for unique names.

use std::time::{Duration, Instant};

/// Measures wall-clock time since its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts a stopwatch at zero.
    #[expect(clippy::disallowed_methods, reason = "progress and time limits are for people")]
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    /// Returns the time since the start.
    #[expect(clippy::disallowed_methods, reason = "progress and time limits are for people")]
    pub(crate) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Returns the CPU time that the calling thread has used.
#[cfg(unix)]
pub(crate) fn thread_cpu() -> Duration {
    cpu(rustix::time::ClockId::ThreadCPUTime)
}

/// Returns the CPU time that this process has used.
#[cfg(unix)]
pub(crate) fn cpu_of_process() -> Duration {
    cpu(rustix::time::ClockId::ProcessCPUTime)
}

#[cfg(unix)]
fn cpu(clock: rustix::time::ClockId) -> Duration {
    let spent = rustix::time::clock_gettime(clock);
    // The clock starts with the thread or the process, so neither part is negative.
    let seconds = u64::try_from(spent.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(spent.tv_nsec).unwrap_or(0))
}

/// Returns wall-clock time on systems without a CPU clock per thread.
#[cfg(not(unix))]
pub(crate) fn thread_cpu() -> Duration {
    static START: std::sync::LazyLock<Stopwatch> = std::sync::LazyLock::new(Stopwatch::start);
    START.elapsed()
}

/// Returns wall-clock time on systems without a CPU clock per process.
#[cfg(not(unix))]
pub(crate) fn cpu_of_process() -> Duration {
    thread_cpu()
}

/// Sleeps while polling another process.
#[expect(clippy::disallowed_methods, reason = "the end of another process must be polled")]
pub(crate) fn sleep(span: Duration) {
    std::thread::sleep(span);
}

/// Returns the id of this process, which makes names of namespaces and files unique.
pub(crate) fn pid() -> u32 {
    std::process::id()
}
