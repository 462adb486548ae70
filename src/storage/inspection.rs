//! Reads a directory without changing it: for operators, and for recovery into another directory.

use crate::storage::config::StorageConfig;
use crate::storage::disk::Disk;
use crate::storage::error::{OpenError, StorageError};
use crate::storage::identity::Identity;
use crate::storage::log::LogStart;
use crate::storage::open::{Directory, OpenedStorage, open_snapshots};
use crate::storage::recovery::recover;
use crate::storage::salvage::salvage;
use crate::storage::snapshots::OpenedSnapshots;
use crate::storage::spare_segments::SpareSegments;
use crate::storage::store::Storage;
use crate::storage::superblock_updater::SuperblockUpdater;
use crate::types::{Entry, Index};

/// The content of a node's directory, and a reader of its log. Inspecting writes nothing.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The content that a start would recover, except the tail. With `damage`, the content that is
    /// certain: the log as it was after the last complete flush before the damage, and the commit
    /// index on disk, which may be beyond the end of that log.
    pub opened: OpenedStorage,
    /// The reason why a start would reject the log; `None` if it would not.
    pub damage: Option<StorageError>,
    /// The last index of the newest snapshot, and why it cannot be used. A start would use the
    /// snapshot before it, which is in `opened`, and lose nothing, because the log reaches back to
    /// it.
    pub damaged_snapshot: Option<(Index, StorageError)>,
    storage: Storage,
}

impl Inspection {
    /// Reads a directory that no node has open.
    ///
    /// # Errors
    /// An [`OpenError`] if the directory is not formatted, its superblock or its snapshots are
    /// damaged, a file belongs to another node, or the disk failed.
    pub fn open(disk: &mut impl Disk, config: &StorageConfig) -> Result<Inspection, OpenError> {
        config.check().map_err(OpenError::Config)?;
        let directory = Directory::read(disk)?;
        let (superblock, segments) = (&directory.superblock, &directory.segments);
        let (floor, bytes) = (directory.floor, config.segment_bytes);
        let (recovered, damage) = match recover(disk, superblock, floor, segments, bytes, 0) {
            Ok(recovered) => (recovered, None),
            Err(OpenError::Failed(damage)) => (salvage(disk, superblock, segments), Some(damage)),
            Err(error) => return Err(error),
        };
        let base = recovered.index.base().id.index;
        let OpenedSnapshots { snapshots, damage: unusable } =
            open_snapshots(disk, superblock, base, config)?;
        let newest = superblock.snapshot.last.index;
        let damaged_snapshot = unusable.map(|failure| (newest, failure));
        let start = LogStart {
            index: recovered.index,
            next_seq: recovered.last_seq.next(),
            acknowledged: recovered.last_seq,
            spare_segments: SpareSegments::new(
                Vec::new(),
                recovered.next_segment,
                config.segment_bytes,
            ),
        };
        let updater = SuperblockUpdater::new(superblock.clone(), &[]);
        let mut storage = Storage::assemble(config.clone(), updater, snapshots, start);
        let (runs, memberships) = (recovered.runs, recovered.memberships);
        let opened = storage.describe(disk, recovered.committed, runs, memberships)?;
        Ok(Inspection { opened, damage, damaged_snapshot, storage })
    }

    /// Reads the identity of the directory from its superblock alone.
    ///
    /// # Errors
    /// An [`OpenError`] if the directory is not formatted, its superblock is damaged or of a newer
    /// version, or the disk failed.
    pub fn identity(disk: &mut impl Disk) -> Result<Identity, OpenError> {
        Ok(Directory::read(disk)?.superblock.identity)
    }

    /// Reads entries from `first` on, at least one and none after `last`: as many as the
    /// configuration's `read_bytes_max` allows. Both indices must be after the base of the log and
    /// not after its last entry.
    ///
    /// # Errors
    /// An [`OpenError`] if the entries cannot be read.
    ///
    /// # Panics
    /// If the log does not hold the first entry.
    pub fn entries(
        &mut self,
        disk: &mut impl Disk,
        first: Index,
        last: Index,
    ) -> Result<Vec<Entry>, OpenError> {
        let entries = self.storage.fetch_some(disk, first, last)?;
        assert!(!entries.is_empty(), "contract: the log has the first entry");
        Ok(entries)
    }
}
