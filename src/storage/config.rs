//! The limits of the storage: sizes of segments, flushes, reads and commands.

use crate::storage::block::{BLOCK_BYTES, ENTRIES_MAX, RECORD_BYTES};
use crate::storage::config_error::StorageConfigError;
use crate::storage::sector::{PAGE_BYTES, framed_bytes};
use crate::storage::snapshots::SnapshotConfig;

/// The maximum of `segment_bytes`, 4 GiB.
const SEGMENT_BYTES_MAX: u64 = 1 << 32;
/// The maximum of `flush_bytes_max`: the largest segment has room for it and its padding.
const FLUSH_BYTES_MAX: u64 = 1 << 31;
/// The maximum of `spare_segments`, which a start creates one after the other.
const SPARE_SEGMENTS_MAX: u64 = 1 << 16;

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
    /// The maximum size of the entries and their headers in one flush, in bytes, at most 2 GiB. It
    /// must hold a command of `command_bytes_max`, and a segment must hold a flush of this size. A
    /// larger membership gets a flush of its own.
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
    /// A [`StorageConfigError`] that names the field that is out of its bounds.
    pub fn check(&self) -> Result<(), StorageConfigError> {
        let check = StorageConfigError::check;
        let commands = 0..=FLUSH_BYTES_MAX - Self::ENTRY_BYTES as u64;
        let reason = "to fit in a flush with its headers";
        check("command_bytes_max", self.command_bytes_max as u64, commands, reason)?;
        let record = self.command_bytes_max + Self::ENTRY_BYTES;
        let flush = record as u64..=FLUSH_BYTES_MAX;
        let reason = "to hold a command of command_bytes_max bytes and its headers";
        check("flush_bytes_max", self.flush_bytes_max as u64, flush, reason)?;
        let (min, max) = (self.segment_bytes_min(), SEGMENT_BYTES_MAX);
        let reason = "to hold a flush of flush_bytes_max bytes and its padding, and a multiple of \
                      4096";
        check("segment_bytes", self.segment_bytes, min..=max, reason)?;
        if !self.segment_bytes.is_multiple_of(PAGE_BYTES as u64) {
            let (field, value) = ("segment_bytes", self.segment_bytes);
            return Err(StorageConfigError { field, value, min, max, reason });
        }
        check("spare_segments", self.spare_segments as u64, 1..=SPARE_SEGMENTS_MAX, "")?;
        let read = (framed_bytes(record) + PAGE_BYTES) as u64..=u64::MAX;
        let reason = "to hold a command of command_bytes_max bytes and its padding";
        check("read_bytes_max", self.read_bytes_max as u64, read, reason)?;
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

    #[test]
    fn each_error_names_the_field_its_value_and_its_bounds() {
        const MIB: u64 = 1 << 20;
        type Change = fn(&mut StorageConfig);
        let cases: [(Change, &str, u64, u64, u64); 13] = [
            (
                |c| c.segment_bytes = (64 << 20) + 1,
                "segment_bytes",
                64 * MIB + 1,
                4_239_360,
                1 << 32,
            ),
            (|c| c.segment_bytes = 1 << 40, "segment_bytes", 1 << 40, 4_239_360, 1 << 32),
            (|c| c.segment_bytes = 4 << 20, "segment_bytes", 4 * MIB, 4_239_360, 1 << 32),
            (|c| c.spare_segments = 0, "spare_segments", 0, 1, 65_536),
            (|c| c.spare_segments = 65_537, "spare_segments", 65_537, 1, 65_536),
            (|c| c.flush_bytes_max = 1 << 20, "flush_bytes_max", MIB, MIB + 112, 1 << 31),
            (|c| c.read_bytes_max = 1 << 20, "read_bytes_max", MIB, 1_064_960, u64::MAX),
            (|c| c.snapshots.chunk_bytes = 511, "snapshots.chunk_bytes", 511, 512, MIB),
            (|c| c.snapshots.chunk_bytes = 1 << 21, "snapshots.chunk_bytes", 2 * MIB, 512, MIB),
            (
                |c| c.snapshots.manifest_bytes_max = 1,
                "snapshots.manifest_bytes_max",
                1,
                MIB,
                u64::MAX,
            ),
            (|c| c.snapshots.window = 0, "snapshots.window", 0, 1, u64::MAX),
            (|c| c.snapshots.sync_chunks = 0, "snapshots.sync_chunks", 0, 1, u64::MAX),
            (|c| c.snapshots.serving_max = 0, "snapshots.serving_max", 0, 1, u64::MAX),
        ];
        assert_eq!(StorageConfig::default().check(), Ok(()));
        for (change, field, value, min, max) in cases {
            let mut config = StorageConfig::default();
            change(&mut config);
            let error = config.check().expect_err(field);
            assert_eq!((error.field, error.value), (field, value), "{error}");
            assert_eq!((error.min, error.max), (min, max), "{error}");
            assert!(error.to_string().starts_with(&format!("{field} is {value}: ")), "{error}");
        }
        let config = StorageConfig { command_bytes_max: usize::MAX, ..StorageConfig::default() };
        assert_eq!(config.check().expect_err("no flush holds it").field, "command_bytes_max");
        let config = StorageConfig { spare_segments: 0, ..StorageConfig::default() };
        let error = config.check().expect_err("none is spare").to_string();
        assert_eq!(error, "spare_segments is 0: it must be from 1 to 65536");
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
