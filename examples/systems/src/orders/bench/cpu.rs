//! How long the processors were busy with a process, as Linux tells it.

use std::fs;
use std::time::Duration;

/// What Linux counts such time in, whatever the machine: a hundredth of a second.
const TICK: Duration = Duration::from_millis(10);

/// The time of process `id` so far, its own and what the system did for it; none if there is no
/// such process, or the system does not tell.
pub(super) fn of(id: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    Some(TICK * ticks(&stat)?)
}

/// The fields `utime` and `stime` together: the 14th and the 15th. The second one is the program's
/// name in brackets, which may have anything in it.
fn ticks(stat: &str) -> Option<u32> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u32>().ok();
    next()?.checked_add(next()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 9 0 99 1 2";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("7 (a) S 1"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_that_works_takes_time() {
        let mut busy = 0u64;
        while of(std::process::id()).expect("it runs").is_zero() {
            (0..1_000_000u64).for_each(|number| busy = busy.wrapping_mul(31) ^ number);
        }
        assert_ne!(busy, 1, "it is not left out");
    }
}
