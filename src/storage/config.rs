//! The limits of the storage: sizes of segments, flushes, reads and commands.

use crate::storage::block::{BLOCK_BYTES, ENTRIES_MAX, RECORD_BYTES};
use crate::storage::sector::{PAGE_BYTES, framed_bytes};
use crate::storage::snapshots::SnapshotConfig;

/// The limits of a [`Storage`](crate::storage::Storage). The defaults suit a real disk; a
/// simulation uses smaller segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageConfig {
    /// The size of a log segment, in bytes: a multiple of 4096, at most 4 GiB. It may change
    /// between restarts.
    pub segment_bytes: u64,
    /// The number of empty segments that are created in advance, from 1 to 65536. The log continues
    /// in them while the file system is full.
    pub spare_segments: usize,
    /// The maximum size of a command, in bytes.
    pub command_bytes_max: usize,
    /// The maximum size of the entries and their headers in one flush, in bytes. It must hold a
    /// command of `command_bytes_max`, and a segment must hold a flush of this size. A larger
    /// membership gets a flush of its own.
    pub flush_bytes_max: usize,
    /// The maximum size of one disk read of entries by a fetch, in bytes; it must hold a command of
    /// `command_bytes_max`. A larger membership is read alone. It does not limit reads of headers.
    pub read_bytes_max: usize,
    /// The maximum size of the entries in `OpenedStorage::tail`, in bytes, counted like
    /// `Entry::bytes`.
    pub tail_bytes_max: usize,
    /// The limits of snapshots.
    pub snapshots: SnapshotConfig,
}

impl Default for StorageConfig {
    fn default() -> StorageConfig {
        StorageConfig {
            segment_bytes: 64 << 20,
            spare_segments: 3,
            command_bytes_max: 1 << 20,
            flush_bytes_max: 4 << 20,
            read_bytes_max: 4 << 20,
            tail_bytes_max: 16 << 20,
            snapshots: SnapshotConfig::default(),
        }
    }
}

impl StorageConfig {
    /// The bytes that one entry adds to a flush besides its command: its header, once in each zone.
    pub const ENTRY_BYTES: usize = 2 * RECORD_BYTES;

    /// Returns the size of the smallest segment that holds a flush of `flush_bytes_max` bytes. It
    /// also holds a flush of one membership of the largest size, which takes one page in each zone:
    /// no more than the two pages that are added here for padding.
    #[must_use]
    pub fn segment_bytes_min(&self) -> u64 {
        // The payload is padded twice, however it is split over the two zones.
        let payload = framed_bytes(BLOCK_BYTES + self.flush_bytes_max);
        (payload + 2 * PAGE_BYTES) as u64
    }

    /// Checks every limit.
    ///
    /// # Errors
    /// A text that names the field that is out of its bounds.
    pub fn check(&self) -> Result<(), &'static str> {
        const BYTES_MAX: u64 = 1 << 32;
        const COUNT_MAX: usize = 1 << 16;
        let record = self.command_bytes_max.saturating_add(Self::ENTRY_BYTES);
        if !self.segment_bytes.is_multiple_of(PAGE_BYTES as u64) || self.segment_bytes > BYTES_MAX {
            return Err("segment_bytes must be a multiple of 4096 and at most 4 GiB");
        }
        if self.spare_segments == 0 || self.spare_segments > COUNT_MAX {
            return Err("spare_segments must be from 1 to 65536");
        }
        if self.flush_bytes_max < record {
            return Err("flush_bytes_max must be at least command_bytes_max plus 112 bytes");
        }
        if self.flush_bytes_max as u64 > self.segment_bytes
            || self.segment_bytes_min() > self.segment_bytes
        {
            return Err("segment_bytes must hold flush_bytes_max bytes and their padding");
        }
        if self.read_bytes_max < framed_bytes(record) + PAGE_BYTES {
            return Err("read_bytes_max must hold command_bytes_max bytes and their padding");
        }
        self.snapshots.check()
    }

    /// Returns how many of the next entries one flush takes, at least one; `commands` are the sizes
    /// of their commands or memberships in bytes.
    pub(crate) fn entries_per_flush(&self, commands: impl Iterator<Item = usize>) -> usize {
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

    fn error_after(change: impl Fn(&mut StorageConfig)) -> &'static str {
        let mut config = StorageConfig::default();
        change(&mut config);
        config.check().expect_err("out of its bounds")
    }

    #[test]
    fn each_bound_names_its_field() {
        assert_eq!(StorageConfig::default().check(), Ok(()));
        assert!(error_after(|c| c.segment_bytes = 4097).starts_with("segment_bytes"));
        assert!(error_after(|c| c.segment_bytes = 1 << 40).starts_with("segment_bytes"));
        assert!(error_after(|c| c.segment_bytes = 4 << 20).starts_with("segment_bytes"));
        assert!(error_after(|c| c.spare_segments = 0).starts_with("spare_segments"));
        assert!(error_after(|c| c.flush_bytes_max = 1 << 20).starts_with("flush_bytes_max"));
        assert!(error_after(|c| c.command_bytes_max = usize::MAX).starts_with("flush_bytes_max"));
        assert!(error_after(|c| c.read_bytes_max = 1 << 20).starts_with("read_bytes_max"));
        assert!(
            error_after(|c| c.snapshots.chunk_bytes = 511).starts_with("snapshots.chunk_bytes")
        );
        assert!(
            error_after(|c| c.snapshots.chunk_bytes = (1 << 20) + 1)
                .starts_with("snapshots.chunk_bytes")
        );
        assert!(
            error_after(|c| c.snapshots.manifest_bytes_max = 1)
                .starts_with("snapshots.manifest_bytes_max")
        );
        assert!(error_after(|c| c.snapshots.window = 0).starts_with("snapshots.window"));
        assert!(error_after(|c| c.snapshots.sync_chunks = 0).starts_with("snapshots.window"));
        assert!(error_after(|c| c.snapshots.serving_max = 0).starts_with("snapshots.window"));
    }

    #[test]
    fn a_flush_takes_entries_up_to_its_limit_and_at_least_one() {
        let config = StorageConfig { flush_bytes_max: 1000, ..StorageConfig::default() };
        assert_eq!(config.entries_per_flush([388, 388, 0].into_iter()), 2);
        assert_eq!(config.entries_per_flush([388, 389, 0].into_iter()), 1);
        assert_eq!(config.entries_per_flush([5000, 0].into_iter()), 1);
        let config = StorageConfig::default();
        assert_eq!(config.entries_per_flush([0; 20_000].into_iter()), ENTRIES_MAX);
    }

    #[test]
    fn a_segment_of_32_kib_suits_a_simulation() {
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
