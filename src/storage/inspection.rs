//! Reads a directory without changing it: for operators, and for recovery into another directory.

use std::collections::BTreeMap;

use crate::storage::config::StorageConfig;
use crate::storage::directory::Directory;
use crate::storage::disk::{Disk, FileName};
use crate::storage::error::{OpenError, StorageError};
use crate::storage::identity::Identity;
use crate::storage::log::LogStart;
use crate::storage::open::{OpenedStorage, loss_without_snapshot};
use crate::storage::patched_disk::PatchedDisk;
use crate::storage::recovery::{RecoveredLog, recover};
use crate::storage::salvage::salvage;
use crate::storage::snapshots::{OpenedSnapshots, Snapshots, damaged_before};
use crate::storage::spare_segments::SpareSegments;
use crate::storage::store::Storage;
use crate::storage::superblock_updater::SuperblockUpdater;
use crate::storage::torn_flush::TornFlush;
use crate::types::{Entry, Index};

/// The content of damaged sectors, by file and offset.
type Patches = BTreeMap<(FileName, u64), Vec<u8>>;

/// The content of a node's directory, and a reader of its log. Inspecting writes nothing.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The content that a start would recover, except the tail. With `damage`, the content that is
    /// certain: the log as it was after the last complete flush before the damage, and the highest
    /// commit index that the snapshot or these flushes name. That index may be beyond the last
    /// entry.
    pub opened: OpenedStorage,
    /// The damage of the log; `None` if it is intact, or if the snapshot covers every flush that
    /// cannot be read ([`OpenedStorage::covered_loss`]) and every damaged entry
    /// ([`OpenedStorage::damage`]). A start rejects the log, unless peers can repair it. If the end
    /// of the log is lost too, the error is about the end.
    pub damage: Option<StorageError>,
    /// The content that a start would recover in spite of the damage, except the tail, if only the
    /// content of some entries is damaged, or the end of the log is lost. Peers can provide these
    /// entries.
    pub repairable: Option<OpenedStorage>,
    /// The incomplete flushes. A start drops them, because nothing shows that their entries were
    /// acknowledged.
    pub torn: Vec<TornFlush>,
    /// The last index of the newest snapshot, and the reason why it cannot be used. A start that
    /// accepts the directory uses the snapshot before it, which is in `opened`, and loses nothing,
    /// because the log reaches back to that one. If [`OpenedStorage::snapshot_damage`] is set, the
    /// start needs a snapshot of a peer instead.
    pub damaged_snapshot: Option<(Index, StorageError)>,
    /// The highest commit index that the directory names. If the log is damaged or lacks its end,
    /// the entry that is left at this index may never have been committed, or no entry may be left
    /// there.
    pub named_committed: Index,
    /// Errors about the copies of the superblock that do not hold the current superblock, and about
    /// damaged marks of the acknowledged floor. A crash can leave either. A start needs none of
    /// them, unless no two copies are equal; then `damage` is set.
    pub superblock_faults: Vec<StorageError>,
    storage: Storage,
    /// The content of damaged sectors that the rest of the log determines.
    patches: Patches,
}

/// A log that was recovered, and its reader.
struct Recovered {
    opened: OpenedStorage,
    /// The error with which a start rejects the log, if any.
    rejected: Option<StorageError>,
    damaged_snapshot: Option<(Index, StorageError)>,
    storage: Storage,
}

impl Inspection {
    /// Reads a directory that no node has open.
    ///
    /// # Errors
    /// An [`OpenError`] if the configuration is out of its bounds, the directory is not formatted,
    /// its superblock is damaged, a file belongs to another node or has a newer version, or the
    /// disk failed.
    pub fn open(disk: &mut dyn Disk, config: &StorageConfig) -> Result<Inspection, OpenError> {
        let found = Inspection::read(disk, config).map_err(OpenError::of_inspection)?;
        let damage = found.damage.map(StorageError::of_inspection);
        Ok(Inspection { damage, ..found })
    }

    fn read(disk: &mut dyn Disk, config: &StorageConfig) -> Result<Inspection, OpenError> {
        config.check().map_err(|error| OpenError::Config(error.to_string()))?;
        let mut disk = PatchedDisk::new(disk);
        let found = Inspection::read_patched(&mut disk, config);
        // A read that failed for a reason that is not the disk's may look like damage.
        let mut found = disk.checked(found)?;
        let mut patches = disk.into_patches();
        patches.append(&mut found.patches);
        Ok(Inspection { patches, ..found })
    }

    fn read_patched(
        disk: &mut PatchedDisk<'_>,
        config: &StorageConfig,
    ) -> Result<Inspection, OpenError> {
        let directory = Directory::read(disk)?;
        let superblock_faults = directory.superblock_faults(disk);
        let (mut damage, mut repairable, mut torn) = (None, None, Vec::new());
        let mut known = Patches::new();
        let recovered = match recover(disk, &directory, config.segment_bytes, 0) {
            Ok(mut recovered) => {
                torn = std::mem::take(&mut recovered.torn);
                known = std::mem::take(&mut recovered.damage.known);
                recovered.lost_end = recovered.lost_end.or(directory.lone_copy.clone());
                let whole = Recovered::of(disk, &directory, config, recovered)?;
                let opened = &whole.opened;
                if whole.rejected.is_some() {
                    damage = whole.rejected;
                    Recovered::salvaged(disk, &directory, config, &mut known)?
                } else if opened.lost_end.is_none() && opened.needed_entries().next().is_none() {
                    whole
                } else {
                    damage = opened.lost_end.clone().or(opened.damage.clone());
                    repairable = Some(whole.opened);
                    Recovered::salvaged(disk, &directory, config, &mut known)?
                }
            }
            Err(OpenError::Failed(error)) => {
                damage = Some(error);
                Recovered::salvaged(disk, &directory, config, &mut known)?
            }
            Err(error) => return Err(error),
        };
        let Recovered { opened, damaged_snapshot, storage, .. } = recovered;
        assert!(repairable.is_none() || damage.is_some(), "only damage needs a repair");
        let named_committed = directory.superblock.committed.max(opened.committed);
        Ok(Inspection {
            opened,
            damage,
            repairable,
            torn,
            damaged_snapshot,
            named_committed,
            superblock_faults,
            storage,
            patches: known,
        })
    }

    /// Returns the inspection of a directory whose state can be restored without a peer.
    ///
    /// # Errors
    /// [`OpenedStorage::snapshot_damage`], if it is set.
    pub fn with_snapshot(self) -> Result<Inspection, OpenError> {
        match &self.opened.snapshot_damage {
            Some(damage) => Err(damage.clone().into()),
            None => Ok(self),
        }
    }

    /// Returns the damaged sectors whose content the rest of the log determines, by file and
    /// offset. A start writes them again.
    pub fn known_sectors(&self) -> impl Iterator<Item = (FileName, u64)> + '_ {
        self.patches.keys().copied()
    }

    /// Reads the snapshots before the one in `opened`, and returns the damage of each damaged one.
    /// A start needs none of them.
    ///
    /// # Errors
    /// A [`StorageError`] if the directory cannot be listed, or if a file cannot be read for a
    /// reason that is not the disk's.
    pub fn damaged_older_snapshots(
        &self,
        disk: &mut dyn Disk,
    ) -> Result<Vec<StorageError>, StorageError> {
        let OpenedStorage { identity, snapshot, .. } = &self.opened;
        damaged_before(disk, identity.cluster, snapshot.last.index)
            .map_err(StorageError::of_inspection)
    }

    /// Reads the identity of the directory from its superblock, without the log.
    ///
    /// # Errors
    /// An [`OpenError`] if the directory is not formatted, its superblock is damaged or of a newer
    /// version, or the disk failed.
    pub fn identity(disk: &mut dyn Disk) -> Result<Identity, OpenError> {
        let directory = Directory::read(disk).map_err(OpenError::of_inspection)?;
        Ok(directory.superblock.identity)
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
        disk: &mut dyn Disk,
        first: Index,
        last: Index,
    ) -> Result<Vec<Entry>, OpenError> {
        let mut disk = PatchedDisk::with_patches(disk, self.patches.clone());
        let entries = self.storage.fetch_some(&mut disk, first, last)?;
        assert!(!entries.is_empty(), "contract: the log has the first entry");
        Ok(entries)
    }
}

impl Recovered {
    /// Describes the content that is certain in a damaged directory, and adds the damaged sectors
    /// of the log whose content is known again. The snapshot to start from covers some of the
    /// damage.
    fn salvaged(
        disk: &mut dyn Disk,
        directory: &Directory,
        config: &StorageConfig,
        known: &mut Patches,
    ) -> Result<Recovered, OpenError> {
        let Directory { superblock, segments, .. } = directory;
        let (cluster, newest) = (superblock.identity.cluster, &superblock.snapshot);
        let mut covered = Index::ZERO;
        // Without a log there is nothing to salvage, and snapshots may be large.
        if !segments.is_empty() {
            let found = Snapshots::open(disk, cluster, newest, covered, config.snapshots)?;
            covered = found.snapshots.current().map_or(covered, |meta| meta.last.index);
        }
        let mut log = salvage(disk, superblock, segments, covered);
        known.append(&mut log.damage.known);
        Recovered::of(disk, directory, config, log)
    }

    /// Describes the content of a directory with this log.
    fn of(
        disk: &mut dyn Disk,
        directory: &Directory,
        config: &StorageConfig,
        recovered: RecoveredLog,
    ) -> Result<Recovered, OpenError> {
        let superblock = &directory.superblock;
        let base = recovered.index.base().id.index;
        let (cluster, newest) = (superblock.identity.cluster, &superblock.snapshot);
        let found = Snapshots::open(disk, cluster, newest, base, config.snapshots)?;
        let rejected = loss_without_snapshot(&recovered, superblock.log_start, &found).cloned();
        let snapshot_damage = found.damage_if_none_usable();
        let OpenedSnapshots { snapshots, damage } = found;
        let damaged_snapshot = damage.map(|failure| (newest.last.index, failure));
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
        let (covered_loss, damage) = (recovered.covered_loss, recovered.damage);
        let (damaged, damage) = (damage.entries, damage.error);
        let opened = OpenedStorage { damaged, damage, snapshot_damage, covered_loss, ..opened };
        let opened = opened.with_lost_end(recovered.lost_end);
        Ok(Recovered { opened, rejected, damaged_snapshot, storage })
    }
}
