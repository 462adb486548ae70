//! Reads what a directory contains besides the log and the snapshots: the superblock, the marks of
//! the acknowledged floor and the list of files.

use crate::storage::disk::{Disk, DiskError, FileAction, FileName, read};
use crate::storage::error::{OpenError, StorageError};
use crate::storage::floor::{self, Floor};
use crate::storage::segment::NodeSegment;
use crate::storage::superblock::{
    COPIES, COPY_BYTES, COPY_STRIDE, Superblock, SuperblockCopy, choose,
};

/// The superblock, the acknowledged floor and the list of segments of a directory, before any of
/// the log is read.
pub(crate) struct Directory {
    pub(crate) copies: Vec<SuperblockCopy>,
    pub(crate) superblock: Superblock,
    /// The error about the other copies, if no two are equal: the node is uncertain.
    pub(crate) lone_copy: Option<StorageError>,
    pub(crate) floor: Floor,
    /// The number and the size in bytes of each segment, in ascending order.
    pub(crate) segments: Vec<(u64, u64)>,
}

impl Directory {
    /// Reads the superblock and the acknowledged floor, and lists the segments.
    ///
    /// # Errors
    /// [`OpenError::NotFormatted`] or [`OpenError::NoSuperblock`] without a superblock; another
    /// [`OpenError`] if no copy of it can be used, copies contradict each other, a copy that may
    /// decide cannot be read, the directory cannot be listed, or a segment number is out of range.
    pub(crate) fn read(disk: &mut dyn Disk) -> Result<Directory, OpenError> {
        let files = list(disk)?;
        if !files.iter().any(|(file, _)| *file == FileName::Superblock) {
            let other = files.first().map(|(file, _)| OpenError::NoSuperblock(*file));
            return Err(other.unwrap_or(OpenError::NotFormatted));
        }
        let reads = read_each_copy(disk);
        let failure = reads.iter().find_map(|read| read.as_ref().err().cloned());
        // A copy that cannot be read counts as damaged.
        let copies: Vec<SuperblockCopy> =
            reads.into_iter().map(|read| read.unwrap_or(SuperblockCopy::Bad)).collect();
        let (superblock, lone_copy) = match (choose(&copies), failure) {
            // A copy that cannot be read now may be the one that decides.
            (Err(_) | Ok((_, Some(_))), Some(failure)) => return Err(failure),
            (chosen, _) => chosen?,
        };
        let superblock = superblock.clone();
        let segment = |(file, bytes): &(FileName, u64)| match file {
            FileName::Segment(number) => Some((*number, *bytes)),
            _ => None,
        };
        let segments: Vec<(u64, u64)> = files.iter().filter_map(segment).collect();
        if let Some((number, _)) =
            segments.last().filter(|(number, _)| *number > NodeSegment::RECOVERED_MAX)
        {
            let message = "the segment number is out of range";
            return Err(StorageError::damage(FileName::Segment(*number), 0, message).into());
        }
        let ascends = segments.is_sorted_by(|(one, _), (next, _)| one < next);
        assert!(ascends, "contract: a disk lists its files in ascending order");
        let floor = Floor::read(disk, &superblock);
        assert!(floor.seq >= superblock.ack_floor, "a mark does not lower the floor");
        Ok(Directory { copies, superblock, lone_copy, floor, segments })
    }

    /// Returns an error for each copy of the superblock that does not hold the current superblock,
    /// and for each damaged mark of the acknowledged floor. A start needs none of these copies and
    /// marks if two copies hold the current superblock.
    pub(crate) fn superblock_faults(&self, disk: &mut dyn Disk) -> Vec<StorageError> {
        let fault = |offset, message| StorageError::damage(FileName::Superblock, offset, message);
        let copies = self.copies.iter().enumerate().filter_map(|(number, copy)| {
            let message = match copy {
                SuperblockCopy::Valid(found, _) if **found == self.superblock => return None,
                SuperblockCopy::Valid(..) => "this copy is of an interrupted update",
                SuperblockCopy::Zero | SuperblockCopy::Newer(_) | SuperblockCopy::Bad => {
                    "this copy is damaged, or an update of it was interrupted"
                }
            };
            Some(fault(number as u64 * COPY_STRIDE, message))
        });
        let marks = floor::damaged_marks(disk, &self.superblock.identity).into_iter();
        let marks = marks.map(|offset| fault(offset, "this mark of the last flush is damaged"));
        copies.chain(marks).collect()
    }
}

/// Reads the copies of the superblock; a copy beyond the end of the file reads as never written.
///
/// # Errors
/// An [`OpenError`] if a copy cannot be read.
pub(crate) fn read_copies(disk: &mut dyn Disk) -> Result<Vec<SuperblockCopy>, OpenError> {
    read_each_copy(disk).into_iter().collect()
}

fn read_each_copy(disk: &mut dyn Disk) -> Vec<Result<SuperblockCopy, OpenError>> {
    let read_copy = |copy: usize| {
        let offset = copy as u64 * COPY_STRIDE;
        let file = FileName::Superblock;
        let action = FileAction::Read { file, offset, bytes: COPY_BYTES };
        let bytes = read(disk, file, offset, COPY_BYTES);
        let bytes = bytes.map_err(|error| storage_error(&action, error))?;
        Ok(SuperblockCopy::read(&bytes))
    };
    (0..COPIES).map(read_copy).collect()
}

pub(crate) fn list(disk: &mut dyn Disk) -> Result<Vec<(FileName, u64)>, OpenError> {
    disk.list().map_err(|error| StorageError::disk(None, 0, &error).into())
}

pub(crate) fn storage_error(action: &FileAction, error: DiskError) -> OpenError {
    let (file, offset) = action.place();
    match error {
        DiskError::Full => OpenError::Full,
        error => StorageError::disk(file, offset, &error).into(),
    }
}
