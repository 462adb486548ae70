//! A limit on the log lines that peers and clients cause, so that they cannot fill the disk with
//! log output.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tracing::warn;

use crate::runtime::lock::lock;

/// The maximum number of lines of one kind in each [`INTERVAL`].
const LINES_MAX: u32 = 10;
/// The interval after which lines of a kind are written again.
pub(super) const INTERVAL: Duration = Duration::from_secs(60);

/// The numbers of lines that were written and left out, by kind.
#[derive(Debug, Default)]
pub(super) struct LogLimit(Mutex<BTreeMap<&'static str, Lines>>);

/// The numbers of lines of one kind in the current interval.
#[derive(Debug)]
struct Lines {
    since: Instant,
    written: u32,
    left_out: u64,
}

impl LogLimit {
    /// Counts one more line of this kind, and returns true if it may be written.
    pub(super) fn admit(&self, kind: &'static str) -> bool {
        let (now, mut kinds) = (Instant::now(), lock(&self.0));
        let new = || Lines { since: now, written: 0, left_out: 0 };
        let lines = kinds.entry(kind).or_insert_with(new);
        // Lines that were left out are reported by `take_left_out` before the next interval begins.
        if lines.left_out == 0 && now >= lines.since + INTERVAL {
            *lines = new();
        }
        if lines.written < LINES_MAX {
            lines.written += 1;
            return true;
        }
        lines.left_out += 1;
        false
    }

    /// Returns the kinds whose lines were left out in an interval that has ended, each with the
    /// number of those lines.
    pub(super) fn take_left_out(&self) -> Vec<(&'static str, u64)> {
        let (now, mut left_out) = (Instant::now(), Vec::new());
        lock(&self.0).retain(|kind, lines| {
            let ended = now >= lines.since + INTERVAL;
            if ended && lines.left_out > 0 {
                left_out.push((*kind, lines.left_out));
            }
            !ended
        });
        left_out
    }

    /// Logs how many lines were left out, until the future is dropped.
    pub(super) async fn log_left_out(&self) -> Infallible {
        loop {
            sleep(INTERVAL).await;
            for (kind, lines) in self.take_left_out() {
                warn!(kind, lines, "left out further log lines that remotes caused");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_lines_is_counted_and_hides_no_other_kind() {
        let limit = LogLimit::default();
        let admitted = |kind| (0..1000).filter(|_| limit.admit(kind)).count();
        assert_eq!((admitted("flood"), limit.admit("other")), (10, true));
        assert_eq!(limit.take_left_out(), []);
        tokio::time::advance(INTERVAL).await;
        assert_eq!(admitted("flood"), 0, "what was left out is reported first");
        assert_eq!(limit.take_left_out(), [("flood", 1990)]);
        assert_eq!((admitted("flood"), limit.take_left_out()), (10, Vec::new()));
    }
}
