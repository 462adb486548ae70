//! The CPU time of a process, from `/proc` on Linux.

use std::fs;
use std::time::Duration;

/// The unit of CPU times in `/proc`, on every architecture.
const TICK: Duration = Duration::from_millis(10);

/// Returns the user and system CPU time of the process `id`, or `None` if it does not exist or the
/// system has no `/proc`.
pub(super) fn of(id: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    Some(TICK * ticks(&stat)?)
}

/// Returns the sum of the fields `utime` and `stime`, the 14th and the 15th. The second field is
/// the program name in parentheses, which may contain any characters.
fn ticks(stat: &str) -> Option<u32> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u32>().ok();
    next()?.checked_add(next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_parsed_after_any_program_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 9 0 99 1 2";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("7 (a) S 1"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_busy_process_uses_cpu_time() {
        let mut busy = 0u64;
        while of(std::process::id()).expect("this process exists").is_zero() {
            (0..1_000_000u64).for_each(|number| busy = busy.wrapping_mul(31) ^ number);
        }
        assert_ne!(busy, 1, "the loop is not optimized away");
    }
}
