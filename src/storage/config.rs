//! The store's bounds.

use crate::storage::block::{BLOCK_BYTES, ENTRIES_MAX, RECORD_BYTES};
use crate::storage::sector::{PAGE_BYTES, framed_bytes};
use crate::storage::snapshots::SnapshotConfig;

/// The bounds of a [`Storage`](crate::storage::Storage). The defaults suit a real disk; a
/// simulation takes smaller segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageConfig {
    /// The size of a segment of the log, in bytes; a multiple of 4096. It may change from start to
    /// start.
    pub segment_bytes: u64,
    /// How many empty segments are kept ready: the next one, and those that serve when the file
    /// system is full.
    pub segments_ahead: usize,
    /// The largest command, in bytes.
    pub command_bytes_max: usize,
    /// The most bytes of entries and their headers in one flush; a larger membership still goes,
    /// alone. At least one largest command must fit, and a segment must have room for one largest
    /// flush.
    pub flush_bytes_max: usize,
    /// The most bytes read at once for a fetch; at least one largest command must fit.
    pub read_bytes_max: usize,
    /// The most bytes of entries that opening hands over, as `Entry::bytes` counts them.
    pub tail_bytes_max: usize,
    /// The bounds of snapshots.
    pub snapshots: SnapshotConfig,
}

impl Default for StorageConfig {
    fn default() -> StorageConfig {
        StorageConfig {
            segment_bytes: 64 << 20,
            segments_ahead: 3,
            command_bytes_max: 1 << 20,
            flush_bytes_max: 4 << 20,
            read_bytes_max: 4 << 20,
            tail_bytes_max: 16 << 20,
            snapshots: SnapshotConfig::default(),
        }
    }
}

impl StorageConfig {
    /// What one entry costs in a flush beside its command: its header, once in each zone.
    pub const ENTRY_BYTES: usize = 2 * RECORD_BYTES;

    /// The smallest segment whose flushes hold `flush_bytes_max` bytes. There is always room for a
    /// largest membership: with its headers it is as large as the padding.
    fn segment_bytes_min(&self) -> u64 {
        // Split in any way over the two zones, the payload is padded twice.
        let payload = framed_bytes(BLOCK_BYTES + self.flush_bytes_max);
        (payload + 2 * PAGE_BYTES) as u64
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// A sentence that names the field that is out of its bounds.
    pub fn check(&self) -> Result<(), &'static str> {
        const BYTES_MAX: u64 = 1 << 32;
        const COUNT_MAX: usize = 1 << 16;
        let record = self.command_bytes_max.saturating_add(Self::ENTRY_BYTES);
        if !self.segment_bytes.is_multiple_of(PAGE_BYTES as u64) || self.segment_bytes > BYTES_MAX {
            return Err("segment_bytes must be a multiple of 4096 and at most 4 GiB");
        }
        if self.segments_ahead == 0 || self.segments_ahead > COUNT_MAX {
            return Err("segments_ahead must be from 1 to 65536");
        }
        if self.flush_bytes_max < record {
            return Err("flush_bytes_max must have room for command_bytes_max and 112 bytes");
        }
        if self.flush_bytes_max as u64 > self.segment_bytes
            || self.segment_bytes_min() > self.segment_bytes
        {
            return Err("segment_bytes must have room for flush_bytes_max and its padding");
        }
        if self.read_bytes_max < framed_bytes(record) + PAGE_BYTES {
            return Err("read_bytes_max must have room for command_bytes_max and its padding");
        }
        self.snapshots.check()
    }

    /// How many of entries that carry `commands` bytes each go into one flush: at least one.
    pub(crate) fn flush_takes(&self, commands: impl Iterator<Item = usize>) -> usize {
        let mut bytes = 0;
        let within = commands.take(ENTRIES_MAX).take_while(|command| {
            bytes += Self::ENTRY_BYTES + command;
            bytes <= self.flush_bytes_max
        });
        within.count().max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl Fn(&mut StorageConfig)) -> &'static str {
        let mut config = StorageConfig::default();
        change(&mut config);
        config.check().expect_err("out of its bounds")
    }

    #[test]
    fn each_bound_names_its_field() {
        assert_eq!(StorageConfig::default().check(), Ok(()));
        assert!(refused(|c| c.segment_bytes = 4097).starts_with("segment_bytes"));
        assert!(refused(|c| c.segment_bytes = 1 << 40).starts_with("segment_bytes"));
        assert!(refused(|c| c.segment_bytes = 4 << 20).starts_with("segment_bytes"));
        assert!(refused(|c| c.segments_ahead = 0).starts_with("segments_ahead"));
        assert!(refused(|c| c.flush_bytes_max = 1 << 20).starts_with("flush_bytes_max"));
        assert!(refused(|c| c.command_bytes_max = usize::MAX).starts_with("flush_bytes_max"));
        assert!(refused(|c| c.read_bytes_max = 1 << 20).starts_with("read_bytes_max"));
        assert!(refused(|c| c.snapshots.chunk_bytes = 511).starts_with("chunk_bytes"));
        assert!(refused(|c| c.snapshots.chunk_bytes = (1 << 20) + 1).starts_with("chunk_bytes"));
        assert!(refused(|c| c.snapshots.manifest_bytes_max = 1).starts_with("manifest_bytes_max"));
        assert!(refused(|c| c.snapshots.window = 0).starts_with("window"));
        assert!(refused(|c| c.snapshots.sync_chunks = 0).starts_with("window"));
        assert!(refused(|c| c.snapshots.serving_max = 0).starts_with("window"));
    }

    #[test]
    fn a_flush_takes_what_its_bound_allows_and_always_one() {
        let config = StorageConfig { flush_bytes_max: 1000, ..StorageConfig::default() };
        assert_eq!(config.flush_takes([388, 388, 0].into_iter()), 2);
        assert_eq!(config.flush_takes([388, 389, 0].into_iter()), 1);
        assert_eq!(config.flush_takes([5000, 0].into_iter()), 1);
        let config = StorageConfig::default();
        assert_eq!(config.flush_takes([0; 20_000].into_iter()), ENTRIES_MAX);
    }

    #[test]
    fn a_segment_of_32_kib_is_enough_for_a_simulation() {
        let config = StorageConfig {
            segment_bytes: 32 << 10,
            command_bytes_max: 4 << 10,
            flush_bytes_max: 16 << 10,
            read_bytes_max: 16 << 10,
            ..StorageConfig::default()
        };
        assert_eq!(config.check(), Ok(()));
    }
}
