//! The disk as recovery sees it: sectors that cannot be read count as damaged, and sectors whose
//! content is known again replace the damaged ones, before anything is written.

use std::collections::BTreeMap;

use crate::storage::disk::{Disk, DiskError, FileAction, FileName, repeat_exhausted};
use crate::storage::error::{OpenError, StorageError};
use crate::storage::sector::{PAGE_BYTES, SECTOR_BYTES, unreadable_sector};

/// A disk on which every sector of a segment can be read, unless something other than the disk
/// prevents it.
pub(crate) struct PatchedDisk<'a> {
    disk: &'a mut dyn Disk,
    /// The content of damaged sectors that is known again, by file and offset.
    patches: BTreeMap<(FileName, u64), Vec<u8>>,
    /// The first error of a read that left a sector without content, which explains some of the
    /// damage.
    failure: Option<StorageError>,
    /// The first error that says nothing about the bytes on the disk. Every later call returns an
    /// error, and what was recovered is not used.
    obstacle: Option<(DiskError, StorageError)>,
}

impl<'a> PatchedDisk<'a> {
    pub(crate) fn new(disk: &'a mut dyn Disk) -> PatchedDisk<'a> {
        PatchedDisk::with_patches(disk, BTreeMap::new())
    }

    /// Begins with patches that an earlier recovery of the same disk made.
    pub(crate) fn with_patches(
        disk: &'a mut dyn Disk,
        patches: BTreeMap<(FileName, u64), Vec<u8>>,
    ) -> PatchedDisk<'a> {
        PatchedDisk { disk, patches, failure: None, obstacle: None }
    }

    /// Replaces the content of a damaged sector; returns false if it was replaced before.
    pub(crate) fn patch(&mut self, file: FileName, offset: u64, sector: Vec<u8>) -> bool {
        assert_eq!(sector.len(), SECTOR_BYTES, "a patch is one sector");
        assert!(offset.is_multiple_of(SECTOR_BYTES as u64), "a patch is at the place of a sector");
        self.patches.insert((file, offset), sector).is_none()
    }

    pub(crate) fn into_patches(self) -> BTreeMap<(FileName, u64), Vec<u8>> {
        self.patches
    }

    /// Returns the first error of a read that left a sector without content.
    pub(crate) fn failure(&self) -> Option<&StorageError> {
        self.failure.as_ref()
    }

    /// Returns the result of reading the disk, unless something other than the disk has prevented
    /// a read: then that error.
    ///
    /// # Errors
    /// That error, or the error in `result`.
    pub(crate) fn checked<T>(&self, result: Result<T, OpenError>) -> Result<T, OpenError> {
        match &self.obstacle {
            Some((_, obstacle)) => Err(obstacle.clone().into()),
            None => result,
        }
    }

    /// Calls the disk, and records an error that says nothing about its bytes.
    fn call<T>(
        &mut self,
        file: Option<FileName>,
        offset: u64,
        mut call: impl FnMut(&mut dyn Disk) -> Result<T, DiskError>,
    ) -> Result<T, DiskError> {
        if let Some((error, _)) = &self.obstacle {
            return Err(error.clone());
        }
        let result = repeat_exhausted(|| call(&mut *self.disk));
        if let Err(error) = &result
            && error.is_obstacle()
        {
            self.obstacle = Some((error.clone(), StorageError::disk(file, offset, error)));
        }
        result
    }

    fn read_segment(
        &mut self,
        file: FileName,
        offset: u64,
        bytes: usize,
    ) -> Result<Vec<u8>, DiskError> {
        let mut is_first = true;
        let mut read = |offset, bytes| {
            let action = FileAction::Read { file, offset, bytes };
            let read = self.call(Some(file), offset, |disk| disk.execute(&action));
            if let Err(error) = &read
                && error.is_obstacle()
            {
                return Err(error.clone());
            }
            // The whole range, and then a page, is read again in parts; a sector is not.
            let is_final = !std::mem::take(&mut is_first) && bytes <= SECTOR_BYTES;
            if let Err(error) = &read
                && is_final
            {
                let failure = || StorageError::disk(Some(file), offset, error);
                self.failure.get_or_insert_with(failure);
            }
            Ok(read.ok())
        };
        let mut content = read_sectors(offset, bytes, &mut read)?;
        let end = offset + content.len() as u64;
        let first = offset.saturating_sub(SECTOR_BYTES as u64 - 1);
        for ((_, at), sector) in self.patches.range((file, first)..(file, end)) {
            let (from, until) = (offset.max(*at), end.min(at + SECTOR_BYTES as u64));
            let within = |start: u64, place: u64| usize::try_from(place - start);
            if let (Ok(to), Ok(start), Ok(end)) =
                (within(offset, from), within(*at, from), within(*at, until))
            {
                content[to..to + end - start].copy_from_slice(&sector[start..end]);
            }
        }
        Ok(content)
    }
}

impl Disk for PatchedDisk<'_> {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        self.call(None, 0, |disk| disk.list())
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        match action {
            FileAction::Read { file: file @ FileName::Segment(_), offset, bytes } => {
                self.read_segment(*file, *offset, *bytes)
            }
            _ => {
                let (file, offset) = action.place();
                self.call(file, offset, |disk| disk.execute(action))
            }
        }
    }
}

/// Reads `bytes` bytes at `offset`: all at once, or by page and by sector where `read` returns
/// nothing. A sector that cannot be read is replaced by [`unreadable_sector`].
pub(crate) fn read_sectors<E>(
    offset: u64,
    bytes: usize,
    read: &mut impl FnMut(u64, usize) -> Result<Option<Vec<u8>>, E>,
) -> Result<Vec<u8>, E> {
    if let Some(all) = read(offset, bytes)? {
        return Ok(all);
    }
    let end = offset.saturating_add(bytes as u64);
    let mut content = Vec::new();
    let mut is_page = true;
    while content.len() < bytes {
        let at = offset + content.len() as u64;
        let unit = if is_page { PAGE_BYTES } else { SECTOR_BYTES } as u64;
        let length = (end - at).min(unit - at % unit);
        let length = usize::try_from(length).expect("a sector or a page fits into memory");
        match read(at, length)? {
            Some(piece) => {
                let is_short = piece.len() < length;
                content.extend(piece);
                if is_short {
                    break;
                }
            }
            None if is_page && length > SECTOR_BYTES => {
                is_page = false;
                continue;
            }
            None => content.extend(&unreadable_sector()[..length]),
        }
        is_page |= (offset + content.len() as u64).is_multiple_of(PAGE_BYTES as u64);
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that reads at most this many bytes at once, and fails the first read.
    struct Limited {
        bytes_max: usize,
        reads: u32,
    }

    impl Disk for Limited {
        fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
            Ok(Vec::new())
        }

        fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
            let FileAction::Read { bytes, .. } = action else { return Ok(Vec::new()) };
            self.reads += 1;
            match self.reads > 1 && *bytes <= self.bytes_max {
                true => Ok(vec![7; *bytes]),
                false => Err(DiskError::Failed("Input/output error".to_owned())),
            }
        }
    }

    #[test]
    fn only_a_sector_that_cannot_be_read_is_a_failure() {
        let (sector, page) = (SECTOR_BYTES, PAGE_BYTES);
        for bytes in [sector, page, 3 * page] {
            for (bytes_max, fails) in [(page, false), (sector, false), (sector - 1, true)] {
                let mut limited = Limited { bytes_max, reads: 0 };
                let mut disk = PatchedDisk::new(&mut limited);
                let content = disk.read_segment(FileName::Segment(1), 0, bytes);
                let content = content.expect("the disk is at fault");
                assert_eq!(content == vec![7; bytes], !fails, "{bytes} {bytes_max}");
                assert_eq!(disk.failure().is_some(), fails, "{bytes} {bytes_max}");
            }
        }
    }
}
