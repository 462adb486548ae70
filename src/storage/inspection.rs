//! A directory that is looked at and not changed: for people, and for those who make another
//! directory of it.

use crate::storage::ahead::Ahead;
use crate::storage::config::StorageConfig;
use crate::storage::disk::Disk;
use crate::storage::failure::{Failure, OpenError};
use crate::storage::identity::Identity;
use crate::storage::keeper::Keeper;
use crate::storage::log::LogStart;
use crate::storage::open::{Directory, Opened, snapshots};
use crate::storage::recovery::recover;
use crate::storage::salvage::salvage;
use crate::storage::snapshots::OpenedSnapshots;
use crate::storage::store::Storage;
use crate::types::{Entry, Index};

/// What a directory holds, whosever it is, and a reader of its log. Nothing is written.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// What a start would find, but for the tail. With damage, what is certain: the log as it was
    /// after its last whole flush before the damage, and the commit index that was written, which
    /// may lie beyond.
    pub opened: Opened,
    /// Why a start would refuse the log.
    pub damage: Option<Failure>,
    /// Where the newest snapshot ends, and why it cannot be used. A start would begin with the one
    /// before it, which `opened` names, and lose nothing: the log reaches back to that.
    pub damaged_snapshot: Option<(Index, Failure)>,
    storage: Storage,
}

impl Inspection {
    /// Looks at a directory that no node has open.
    ///
    /// # Errors
    /// It is not formatted, its superblock or its snapshots are damaged, a file is another's, or
    /// the disk failed.
    pub fn of(disk: &mut impl Disk, config: &StorageConfig) -> Result<Inspection, OpenError> {
        config.check().map_err(OpenError::Config)?;
        let directory = Directory::read(disk)?;
        let (superblock, segments) = (&directory.superblock, &directory.segments);
        let (recovered, damage) = match recover(disk, superblock, segments, config.segment_bytes, 0)
        {
            Ok(recovered) => (recovered, None),
            Err(OpenError::Failed(damage)) => (salvage(disk, superblock, segments), Some(damage)),
            Err(error) => return Err(error),
        };
        let base = recovered.index.base().id.index;
        let OpenedSnapshots { snapshots, damage: unusable } =
            snapshots(disk, superblock, base, config)?;
        let newest = superblock.snapshot.last.index;
        let damaged_snapshot = unusable.map(|failure| (newest, failure));
        let start = LogStart {
            index: recovered.index,
            next_seq: recovered.last_seq.next(),
            acknowledged: recovered.last_seq,
            ahead: Ahead::new(Vec::new(), recovered.next_segment, config.segment_bytes),
        };
        let keeper = Keeper::new(superblock.clone(), &[]);
        let mut storage = Storage::assemble(config.clone(), keeper, snapshots, start);
        let (runs, memberships) = (recovered.runs, recovered.memberships);
        let opened = storage.describe(disk, recovered.committed, runs, memberships)?;
        Ok(Inspection { opened, damage, damaged_snapshot, storage })
    }

    /// Whose directory it is, which the superblock alone says.
    ///
    /// # Errors
    /// It is not formatted, its superblock is damaged or of a newer version, or the disk failed.
    pub fn identity(disk: &mut impl Disk) -> Result<Identity, OpenError> {
        Ok(Directory::read(disk)?.superblock.identity)
    }

    /// Entries from `first` on, at least one and none after `last`: as many as the configuration's
    /// `read_bytes_max` allows. Both are after the base and at most the log's last.
    ///
    /// # Errors
    /// They cannot be read.
    ///
    /// # Panics
    /// If the log does not have the first.
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
