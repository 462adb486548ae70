//! A node's simulated disk, in memory, at the level of files and sectors. The caller decides about
//! crashes and faults.
//!
//! The disk draws no random numbers: the caller arms every fault, and decides at a crash about each
//! change and write that is not durable. The disk is sparse, and a clone shares its sectors until
//! they are written.
//!
//! ```
//! use quorate::storage::{FileAction, FileName};
//! use quorate_sim::disk::{ChangeOrder, SimDisk};
//!
//! let file = FileName::Superblock;
//! let mut disk = SimDisk::default();
//! disk.apply(&FileAction::Create { file, bytes: 4 << 20 }).unwrap();
//! disk.apply(&FileAction::SyncDirectory).unwrap();
//! disk.apply(&FileAction::Write { file, offset: 0, bytes: vec![7; 1024] }).unwrap();
//! let mut wanted = [false, true].into_iter();
//! let crash = disk.crash(ChangeOrder::Prefix, |_| wanted.next().unwrap());
//! assert_eq!(crash.to_string(), "kept 1, lost 1: superblock:0");
//! let read = disk.apply(&FileAction::Read { file, offset: 511, bytes: 2 });
//! assert_eq!(read, Ok(vec![0, 7]));
//! ```

mod crash;
mod damage;
mod damaged_sectors;
mod directory;
mod fault;
mod file;
mod log_head;
#[cfg(test)]
mod model;
mod packed;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use quorate::storage::{Disk, DiskError, FileAction, FileName};

use crate::disk::damaged_sectors::DamagedSectors;
use crate::disk::directory::{Directory, FileId};
use crate::disk::fault::Faults;
use crate::disk::file::File;
use crate::disk::log_head::LogHead;

pub use crate::disk::crash::{Crash, Pending};
pub use crate::disk::damaged_sectors::SectorDamage;
pub use crate::disk::directory::{Change, ChangeOrder};
pub use crate::disk::fault::Fault;
pub use crate::disk::packed::SECTOR_BYTES;

/// A node's simulated disk.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    files: BTreeMap<FileId, File>,
    directory: Directory,
    /// The id of the last created file.
    last_file: FileId,
    /// The upper bound of the sizes of all files together, in bytes.
    capacity: Option<u64>,
    faults: Faults,
    head: LogHead,
    damaged: DamagedSectors,
    lies_about_flushes: bool,
    /// Whether the disk has not stored a write, or has stored it at another place, without an
    /// error.
    has_lost_write: bool,
}

impl SimDisk {
    /// Executes one action, and returns the bytes that it read.
    ///
    /// # Errors
    /// [`DiskError::Full`] beyond the capacity; a write is then carried out as far as there is
    /// space, and a file that a creation replaces is removed. [`DiskError::Failed`] because of a
    /// [`Fault`] or an unreadable sector, or for a missing file or too large an offset.
    pub fn apply(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        let fault = self.faults.next(action);
        self.has_lost_write |= fault.is_some_and(|fault| !fault.is_reported());
        match action {
            FileAction::Create { file, bytes } => self.create(*file, *bytes, fault)?,
            FileAction::Write { file, offset, bytes } => {
                self.write(*file, *offset, bytes, fault)?;
            }
            FileAction::Sync { file } => self.sync(*file, fault)?,
            FileAction::Read { file, offset, bytes } => {
                let file = self.find(*file)?;
                fail_if(fault, "read")?;
                if !file.is_readable(*offset, *bytes) {
                    return Err(input_output_error("read"));
                }
                return Ok(file.read(*offset, *bytes));
            }
            FileAction::DropCache { file } => self.find(*file)?.forget_clean(),
            FileAction::Rename { from, to } => {
                let id = self.id_of(*from)?;
                fail_if(fault, "rename")?;
                if from != to {
                    self.directory.change(Change::Rename { from: *from, to: *to }, id);
                    self.find(*to)?.name = *to;
                }
            }
            FileAction::Remove { file } => {
                fail_if(fault, "remove")?;
                if let Some(id) = self.directory.find(*file) {
                    self.directory.change(Change::Remove(*file), id);
                }
            }
            FileAction::SyncDirectory => {
                self.directory.sync(fault.is_none());
                self.drop_unnamed();
                fail_if(fault, "directory sync")?;
            }
        }
        Ok(Vec::new())
    }

    fn create(
        &mut self,
        name: FileName,
        bytes: u64,
        fault: Option<Fault>,
    ) -> Result<(), DiskError> {
        // The replaced file is lost before the new one exists.
        if let Some(replaced) = self.directory.find(name) {
            self.directory.change(Change::Remove(name), replaced);
        }
        fail_if(fault, "create")?;
        if bytes > self.free_bytes() {
            return Err(DiskError::Full);
        }
        self.last_file = FileId(self.last_file.0 + 1);
        self.files.insert(self.last_file, File::new(name, bytes));
        self.directory.change(Change::Create(name), self.last_file);
        Ok(())
    }

    fn sync(&mut self, name: FileName, fault: Option<Fault>) -> Result<(), DiskError> {
        let lies = self.lies_about_flushes;
        let file = self.find(name)?;
        if let Some(Fault::SyncFails { sectors }) = fault {
            file.sync_first(sectors);
            return Err(input_output_error("sync"));
        }
        if lies {
            return Ok(());
        }
        file.sync();
        if matches!(name, FileName::Segment(_)) {
            self.head.synced(name);
        } else {
            // The storage reads files other than segments back to verify them, so their reads must
            // show the disk.
            file.forget_clean();
        }
        Ok(())
    }

    fn write(
        &mut self,
        name: FileName,
        offset: u64,
        bytes: &[u8],
        fault: Option<Fault>,
    ) -> Result<(), DiskError> {
        let id = self.id_of(name)?;
        let too_large = || DiskError::Failed("file too large".to_owned());
        let end = offset.checked_add(bytes.len() as u64).ok_or_else(too_large)?;
        end.checked_next_multiple_of(SECTOR_BYTES as u64).ok_or_else(too_large)?;
        if let Some(Fault::WriteFails { sectors }) = fault {
            let room = (offset / SECTOR_BYTES as u64).saturating_add(sectors);
            let room = room.saturating_mul(SECTOR_BYTES as u64).saturating_sub(offset);
            let count = usize::try_from(room).map_or(bytes.len(), |room| bytes.len().min(room));
            self.find(name)?.write(offset, &bytes[..count], true);
            return Err(input_output_error("write"));
        }
        let room = self.file(id).bytes().saturating_add(self.free_bytes());
        let sectors = file::sectors(offset, bytes.len());
        let overwrites = self.file(id).was_written(&sectors);
        self.head.written(name, sectors, overwrites, fault.is_none());
        let file = self.find(name)?;
        if end > room {
            let count = room.saturating_sub(offset) as usize;
            file.write(offset, &bytes[..count], true);
            return Err(DiskError::Full);
        }
        file.write(offset, bytes, fault.is_none());
        if let Some(Fault::WriteMisdirected { file: hit, offset: elsewhere }) = fault {
            let sectors = file::sectors(offset, bytes.len());
            let start = sectors.start * SECTOR_BYTES as u64;
            let whole = (sectors.end - sectors.start) as usize * SECTOR_BYTES;
            let mut written = file.read(start, whole);
            written.resize(whole, 0);
            if let Ok(hit) = self.find(hit) {
                hit.overwrite(elsewhere, &written);
            }
        }
        Ok(())
    }

    /// Simulates a power failure. `keep` returns true for each change or write that the disk keeps.
    /// It is called first for the changes of the directory, in their order, except those that
    /// `order` no longer allows to be kept; then for the writes to every file that still has a
    /// name, sector by sector and the oldest first. The disk has the last kept write of each
    /// sector. Afterwards the cache is empty and everything is durable.
    pub fn crash(&mut self, order: ChangeOrder, mut keep: impl FnMut(Pending) -> bool) -> Crash {
        let mut crash = Crash::default();
        self.head.crashed();
        let lost = self.directory.crash(order, |change| {
            let kept = keep(Pending::Change(change));
            crash.kept.extend(kept.then_some(Pending::Change(change)));
            kept
        });
        crash.lost.extend(lost.into_iter().map(Pending::Change));
        for (name, id) in self.directory.shown() {
            self.files.get_mut(&id).expect("a name has a file").name = name;
        }
        self.drop_unnamed();
        for file in self.files.values_mut() {
            let name = file.name;
            file.crash(|sector, place| {
                let pending = Pending::Sector { file: name, sector, place };
                let kept = keep(pending);
                let into = if kept { &mut crash.kept } else { &mut crash.lost };
                into.push(pending);
                kept
            });
        }
        crash
    }

    /// Drops the clean part of the cache, as an operating system does when it needs memory: from
    /// now on reads return the content of the disk. Unsynced writes stay.
    pub fn forget_cache(&mut self) {
        self.directory.forget_clean();
        self.files.values_mut().for_each(File::forget_clean);
        self.drop_unnamed();
    }

    /// Returns a copy of the durable state, without pending writes, armed faults and the capacity.
    #[must_use]
    pub fn durable_copy(&self) -> SimDisk {
        let mut image = self.clone();
        image.crash(ChangeOrder::Prefix, |_| false);
        image.faults.disarm();
        image.capacity = None;
        image
    }

    /// Durably replaces the log with the log of `older`, a durable copy of this disk: later
    /// segments are removed, and the others have their older contents. Segments that were removed
    /// since the copy stay removed. Neither disk may have pending writes.
    pub fn restore_log(&mut self, older: &SimDisk) {
        let is_segment = |name: &FileName| matches!(name, FileName::Segment(_));
        let names: Vec<(FileName, FileId)> = self.directory.shown().collect();
        for (name, id) in names.into_iter().filter(|(name, _)| is_segment(name)) {
            match older.directory.find(name) {
                None => self.directory.change(Change::Remove(name), id),
                Some(before) => _ = self.files.insert(id, older.file(before).clone()),
            }
            self.damaged.restore(id, &older.damaged, older.directory.find(name));
        }
        self.directory.sync(true);
        self.drop_unnamed();
        self.head = older.head.clone();
    }

    /// Makes the disk report every sync of a file as done from now on, without storing the writes.
    pub fn lie_about_flushes(&mut self) {
        self.lies_about_flushes = true;
    }

    /// Removes all files durably. The capacity and armed faults stay.
    pub fn wipe(&mut self) {
        self.files.clear();
        self.directory = Directory::default();
        self.head = LogHead::default();
        self.damaged = DamagedSectors::default();
        self.has_lost_write = false;
    }

    /// Bounds the sizes of all files together, in bytes; `None` removes the bound. Existing files
    /// stay.
    pub fn set_capacity(&mut self, bytes: Option<u64>) {
        self.capacity = bytes;
    }

    pub(crate) fn capacity(&self) -> Option<u64> {
        self.capacity
    }

    /// Returns the number of bytes by which files may still grow; `u64::MAX` without a capacity.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        let Some(capacity) = self.capacity else { return u64::MAX };
        let sizes = self.directory.shown().map(|(_, id)| self.file(id).bytes());
        capacity.saturating_sub(sizes.fold(0, u64::saturating_add))
    }

    /// Arms `fault` for an operation of its kind, after `after` other operations of the kind.
    pub fn arm(&mut self, fault: Fault, after: u64) {
        self.faults.arm(fault, after);
    }

    /// Removes the faults that have not hit yet.
    pub fn disarm(&mut self) {
        self.faults.disarm();
    }

    /// Returns the faults that have hit since the last call, each with the file of the operation;
    /// `None` for an operation on the directory.
    pub fn take_hits(&mut self) -> Vec<(Fault, Option<FileName>)> {
        self.faults.take_hits()
    }

    /// Returns the number of faults that have not hit yet.
    #[must_use]
    pub fn faults_armed(&self) -> usize {
        self.faults.len()
    }

    /// Returns true if [`Fault::WriteLost`] or [`Fault::WriteMisdirected`] has hit a write since
    /// the last [`SimDisk::wipe`]. A copy of the disk counts the hits up to the copy.
    #[must_use]
    pub fn has_lost_write(&self) -> bool {
        self.has_lost_write
    }

    /// Returns true if an armed [`Fault::WriteLost`] or [`Fault::WriteMisdirected`] has not hit
    /// yet: a later write will be lost.
    #[must_use]
    pub fn will_lose_write(&self) -> bool {
        self.faults.has_unreported()
    }

    /// Flips `bits` of the byte at `offset` on the disk; returns false if there is no such byte.
    /// The cached content stays while it is cached.
    pub fn flip_bits(&mut self, file: FileName, offset: u64, bits: u8) -> bool {
        self.find(file).is_ok_and(|file| file.flip(offset, bits))
    }

    /// Returns the stored sectors of a file that are not zeros, in order.
    #[must_use]
    pub fn stored(&self, file: FileName) -> Vec<u64> {
        let id = self.directory.find(file);
        id.map_or_else(Vec::new, |id| self.file(id).stored().collect())
    }

    /// Returns true if a sector of a segment belongs to the last completed flush, or to an
    /// incomplete one: nothing on the disk shows later whether it was ever stored.
    #[must_use]
    pub fn is_at_head(&self, file: FileName, sector: u64) -> bool {
        self.head.has(file, sector)
    }

    /// Records that durable data proves the completion of the last flush of a segment, so that a
    /// later loss of it is detectable.
    pub fn acknowledge_head(&mut self) {
        self.head.acknowledged();
    }

    /// Stores the writes of the last completed flush that [`Fault::WriteLost`] or
    /// [`Fault::WriteMisdirected`] did not store.
    pub fn store_head(&mut self) {
        for (name, sectors) in self.head.take_lost() {
            if let Ok(file) = self.find(name) {
                file.store_cached(sectors);
            }
        }
    }

    /// Returns every change and write that is not durable, in the order of [`SimDisk::crash`]. The
    /// writes to a file without a name matter only to a crash that restores the name.
    #[must_use]
    pub fn pending(&self) -> Vec<Pending> {
        let changes = self.directory.unsynced().map(Pending::Change);
        let sectors = self.files.values().flat_map(|file| {
            let name = file.name;
            let pending = move |(sector, place)| Pending::Sector { file: name, sector, place };
            file.unsynced().map(pending)
        });
        changes.chain(sectors).collect()
    }

    /// Returns the number of sectors of all files with unsynced writes.
    #[must_use]
    pub fn unsynced_sectors(&self) -> usize {
        self.files.values().map(File::unsynced_sectors).sum()
    }

    fn id_of(&self, name: FileName) -> Result<FileId, DiskError> {
        let missing = || DiskError::Failed(format!("{name}: no such file (os error 2)"));
        self.directory.find(name).ok_or_else(missing)
    }

    fn file(&self, id: FileId) -> &File {
        self.files.get(&id).expect("a name has a file")
    }

    fn find(&mut self, name: FileName) -> Result<&mut File, DiskError> {
        let id = self.id_of(name)?;
        Ok(self.files.get_mut(&id).expect("a name has a file"))
    }

    fn drop_unnamed(&mut self) {
        // Names refer to different files, so equal counts mean that every file has a name.
        if self.files.len() > self.directory.shown().len() {
            let named = self.directory.named();
            self.files.retain(|id, _| named.contains(id));
        }
    }
}

impl Disk for SimDisk {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        Ok(self.directory.shown().map(|(name, id)| (name, self.file(id).bytes())).collect())
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        self.apply(action)
    }
}

fn fail_if(fault: Option<Fault>, call: &str) -> Result<(), DiskError> {
    if fault.is_some() { Err(input_output_error(call)) } else { Ok(()) }
}

fn input_output_error(call: &str) -> DiskError {
    DiskError::Failed(format!("{call}: Input/output error (os error 5)"))
}
