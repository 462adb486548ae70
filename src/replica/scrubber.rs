//! The pace of the scrubber, which reads all durable data again and again to find damage while
//! other nodes still have the lost data.

use core::time::Duration;

use crate::storage::{Event, Storage};
use crate::types::Instant;

/// A read ends after this many bytes; its last flush may exceed this size.
const PIECE_BYTES: u64 = 1 << 20;

/// The longest pause between a start and the first read. A node that never runs for long would
/// otherwise read nothing.
const FIRST_PAUSE_MAX: Duration = Duration::from_secs(3600);

/// Decides when to read the next piece: one piece is read at a time, and the pieces of a pass are
/// spread evenly over its period.
#[derive(Clone, Debug)]
pub(crate) struct Scrubber {
    period: Duration,
    /// The time of the next read.
    due: Instant,
    is_reading: bool,
    /// The bytes read and the passes ended since the start.
    counts: (u64, u64),
}

impl Scrubber {
    /// Returns a scrubber whose first pass begins at `now`. The first read follows after the same
    /// pause as between two reads, but after at most an hour.
    pub(crate) fn new(period: Duration, now: Instant, storage: &Storage) -> Scrubber {
        let due = now.after(pause(period, PIECE_BYTES, storage).min(FIRST_PAUSE_MAX));
        Scrubber { period, due, is_reading: false, counts: (0, 0) }
    }

    /// Returns the bytes read and the passes ended since the start.
    pub(crate) fn counts(&self) -> (u64, u64) {
        self.counts
    }

    /// Returns the time of the next read; `Instant::NEVER` during a read.
    pub(crate) fn deadline(&self) -> Instant {
        if self.is_reading { Instant::NEVER } else { self.due }
    }

    /// Whether a read is under way.
    pub(crate) fn is_reading(&self) -> bool {
        self.is_reading
    }

    /// Begins a read if one is due.
    pub(crate) fn advance(&mut self, now: Instant, storage: &mut Storage, events: &mut Vec<Event>) {
        if self.deadline() <= now {
            self.is_reading = true;
            storage.scrub(PIECE_BYTES, events);
        }
    }

    /// Handles the end of a read of `bytes` bytes.
    pub(crate) fn on_scrubbed(
        &mut self,
        now: Instant,
        bytes: u64,
        pass_ended: bool,
        storage: &Storage,
    ) {
        assert!(self.is_reading, "one piece is read at a time");
        self.is_reading = false;
        self.due = now.after(pause(self.period, bytes.max(1), storage));
        assert!(self.due <= now.after(self.period), "a pass takes no longer than its period");
        self.counts.0 += bytes;
        self.counts.1 += u64::from(pass_ended);
    }
}

/// Returns the pause for a read of `bytes` bytes: the period times their share of all bytes of a
/// pass.
fn pause(period: Duration, bytes: u64, storage: &Storage) -> Duration {
    let total = u128::from(storage.durable_bytes().max(bytes));
    let nanos = period.as_nanos() * u128::from(bytes) / total;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)).min(period)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{ClusterId, FileDisk, Identity, StorageConfig};
    use crate::types::{Incarnation, Membership, NodeId};

    #[test]
    fn a_node_that_runs_for_hours_reads_something() {
        let (cluster, node, incarnation) = (ClusterId(1), NodeId(1), Incarnation(1));
        let (identity, config) =
            (Identity { cluster, node, incarnation }, StorageConfig::default());
        let directory = tempfile::tempdir().expect("a directory");
        let mut disk = FileDisk::open(directory.path()).expect("it opens");
        Storage::format(&mut disk, identity, &Membership::new([node]), &config).expect("new");
        let (storage, _) = Storage::open(&mut disk, cluster, node, &config).expect("ready");
        let first_read = |period| Scrubber::new(period, Instant::ZERO, &storage).deadline();
        let (week, minute) = (Duration::from_secs(7 * 24 * 3600), Duration::from_secs(60));
        assert_eq!(first_read(week), Instant::ZERO.after(FIRST_PAUSE_MAX));
        assert_eq!(first_read(minute), Instant::ZERO.after(minute), "one piece is a whole pass");
    }
}
