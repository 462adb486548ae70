//! A node's disk in memory, at the level of files and sectors: what a crash leaves of it, and
//! what else disks do, is up to whoever holds it.
//!
//! The disk draws nothing: every fault is asked for, and a crash asks about each thing that is
//! not durable. It is sparse, and a clone shares its sectors until they are written.
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
mod directory;
mod fault;
mod file;
mod head;
#[cfg(test)]
mod model;
mod packed;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use quorate::storage::{Disk, DiskError, FileAction, FileName};

use crate::disk::directory::{Directory, FileId};
use crate::disk::fault::Faults;
use crate::disk::file::File;
use crate::disk::head::Head;

pub use crate::disk::crash::{Crash, Pending};
pub use crate::disk::directory::{Change, ChangeOrder};
pub use crate::disk::fault::Fault;
pub use crate::disk::packed::SECTOR_BYTES;

/// A node's disk.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    files: BTreeMap<FileId, File>,
    directory: Directory,
    /// The last file made.
    last: FileId,
    /// Bounds the sizes of all files together.
    capacity: Option<u64>,
    faults: Faults,
    head: Head,
    lies: bool,
}

impl SimDisk {
    /// Carries one action out, and gives what was read.
    ///
    /// # Errors
    /// [`DiskError::Full`] beyond the capacity; a write then got as far as there was room, and a
    /// file that was to be replaced is gone. [`DiskError::Failed`] by a [`Fault`], or for a file
    /// that does not exist.
    pub fn apply(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        let fault = self.faults.next(action);
        match action {
            FileAction::Create { file, bytes } => self.create(*file, *bytes, fault)?,
            FileAction::Write { file, offset, bytes } => {
                self.write(*file, *offset, bytes, fault)?;
            }
            FileAction::Sync { file } => self.sync(*file, fault)?,
            FileAction::Read { file, offset, bytes } => {
                let file = self.find(*file)?;
                refuse_if(fault, "read")?;
                return Ok(file.read(*offset, *bytes));
            }
            FileAction::Rename { from, to } => {
                let id = self.id_of(*from)?;
                refuse_if(fault, "rename")?;
                if from != to {
                    self.directory.change(Change::Rename { from: *from, to: *to }, id);
                    self.find(*to)?.name = *to;
                }
            }
            FileAction::Remove { file } => {
                refuse_if(fault, "remove")?;
                if let Some(id) = self.directory.find(*file) {
                    self.directory.change(Change::Remove(*file), id);
                }
            }
            FileAction::SyncDirectory => {
                self.directory.sync(fault.is_none());
                self.drop_unnamed();
                refuse_if(fault, "directory sync")?;
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
        // The old file is lost before the new one is there.
        if let Some(replaced) = self.directory.find(name) {
            self.directory.change(Change::Remove(name), replaced);
        }
        refuse_if(fault, "create")?;
        if bytes > self.free_bytes() {
            return Err(DiskError::Full);
        }
        self.last = FileId(self.last.0 + 1);
        self.files.insert(self.last, File::new(name, bytes));
        self.directory.change(Change::Create(name), self.last);
        Ok(())
    }

    fn sync(&mut self, name: FileName, fault: Option<Fault>) -> Result<(), DiskError> {
        let lies = self.lies;
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
            // What is not a segment is read back to see what the disk has.
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
        self.head.written(name, file::sectors(offset, bytes.len()), fault.is_none());
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

    /// The power fails. `keep` is asked about each thing that is not durable: first about the
    /// directory's changes, in their order, save those that can no longer be kept by `order`; then
    /// about the writes to every file that still has a name, sector by sector and the oldest
    /// first, of which the last one it wants is what the sector has. After that the cache is empty
    /// and all there is is durable.
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

    /// Drops what the cache takes for clean, as a machine does that needs the memory: from now on
    /// reads show what the disk has. What is unsynced stays.
    pub fn forget_cache(&mut self) {
        self.directory.forget_clean();
        self.files.values_mut().for_each(File::forget_clean);
        self.drop_unnamed();
    }

    /// What is durable, without what is pending and without faults: an image to be put in place
    /// of this disk later.
    #[must_use]
    pub fn image(&self) -> SimDisk {
        let mut image = self.clone();
        image.crash(ChangeOrder::Prefix, |_| false);
        image.faults.disarm();
        image
    }

    /// From now on it says of every flush that it is done, and does none.
    pub fn lie(&mut self) {
        self.lies = true;
    }

    /// Removes everything, durably. Capacity and faults to come stay.
    pub fn wipe(&mut self) {
        self.files.clear();
        self.directory = Directory::default();
        self.head = Head::default();
    }

    /// Bounds the sizes of all files together, in bytes; none means no bound. Files that are
    /// there already stay.
    pub fn set_capacity(&mut self, bytes: Option<u64>) {
        self.capacity = bytes;
    }

    /// How many bytes files may still grow.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        let Some(capacity) = self.capacity else { return u64::MAX };
        let sizes = self.directory.shown().map(|(_, id)| self.file(id).bytes());
        capacity.saturating_sub(sizes.fold(0, u64::saturating_add))
    }

    /// Lets `fault` hit an operation of its kind, after `after` others of the kind.
    pub fn arm(&mut self, fault: Fault, after: u64) {
        self.faults.arm(fault, after);
    }

    /// Drops the faults that have not hit yet.
    pub fn disarm(&mut self) {
        self.faults.disarm();
    }

    /// The faults that have hit since this was last asked, each with the file whose operation it
    /// hit; none for one of the directory.
    pub fn take_hits(&mut self) -> Vec<(Fault, Option<FileName>)> {
        self.faults.take_hits()
    }

    /// How many faults have not hit yet.
    #[must_use]
    pub fn faults_armed(&self) -> usize {
        self.faults.len()
    }

    /// Flips `bits` of the byte at `offset` as the disk has it; false if it has no such byte.
    /// What the cache shows stays while it shows it.
    pub fn rot(&mut self, file: FileName, offset: u64, bits: u8) -> bool {
        self.find(file).is_ok_and(|file| file.flip(offset, bits))
    }

    /// The sectors of a file that the disk has and that are not zeros, in order.
    #[must_use]
    pub fn stored(&self, file: FileName) -> Vec<u64> {
        let id = self.directory.find(file);
        id.map_or_else(Vec::new, |id| self.file(id).stored().collect())
    }

    /// Whether a sector of a segment belongs to the last flush that was completed, or to one that
    /// was not: nothing on the disk shows later whether it ever stood there.
    #[must_use]
    pub fn is_at_head(&self, file: FileName, sector: u64) -> bool {
        self.head.has(file, sector)
    }

    /// Something durable says that the last flush of a segment was completed: what becomes of it
    /// from now on can be told.
    pub fn acknowledge_head(&mut self) {
        self.head.acknowledged();
    }

    /// Stores what a [`Fault::WriteLost`] or [`Fault::WriteMisdirected`] left out of the last flush
    /// that was completed.
    pub fn store_head(&mut self) {
        for (name, sectors) in self.head.take_lost() {
            if let Ok(file) = self.find(name) {
                file.store_shown(sectors);
            }
        }
    }

    /// Everything that is not durable, in the order in which a crash asks about it. Of files that
    /// have no name any more a crash asks only if it has brought the name back.
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

    /// How many sectors of all files have something unsynced.
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
        // No two names show the same file, so what is as many as they are is what they show.
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

fn refuse_if(fault: Option<Fault>, what: &str) -> Result<(), DiskError> {
    if fault.is_some() { Err(input_output_error(what)) } else { Ok(()) }
}

fn input_output_error(what: &str) -> DiskError {
    DiskError::Failed(format!("{what}: Input/output error (os error 5)"))
}
