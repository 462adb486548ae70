//! Lets code that reads a disk synchronously run in a store that waits for completions: the code is
//! run again from its beginning after each read, and takes the results of earlier reads from a
//! cache.

use std::collections::BTreeMap;

use crate::storage::disk::{Disk, DiskError, FileAction, FileName};
use crate::storage::patched_disk::read_sectors;

/// A range of a file: the file, the offset and the length in bytes.
pub(crate) type FileRange = (FileName, u64, usize);

/// The reads that are complete. Each may have failed.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadCache {
    reads: BTreeMap<FileRange, Option<Vec<u8>>>,
    wanted: Option<FileRange>,
}

impl ReadCache {
    /// Runs `read`. Returns its result, or the range that must be read before it can end.
    pub(crate) fn run<T>(
        &mut self,
        read: impl FnOnce(&mut ReadCache) -> T,
    ) -> Result<T, FileRange> {
        self.wanted = None;
        let result = read(self);
        self.wanted.take().map_or(Ok(result), Err)
    }

    /// Adds the result of a read; `None` if it failed.
    pub(crate) fn add(&mut self, range: FileRange, bytes: Option<Vec<u8>>) {
        let before = self.reads.insert(range, bytes);
        assert!(before.is_none(), "a range in the cache is not read again");
    }
}

impl Disk for ReadCache {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        Err(DiskError::Failed("only reads are possible here".to_owned()))
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        let FileAction::Read { file, offset, bytes } = action else {
            return Err(DiskError::Failed("only reads are possible here".to_owned()));
        };
        let (reads, wanted) = (&self.reads, &mut self.wanted);
        read_sectors(*offset, *bytes, &mut |offset, bytes| {
            let range = (*file, offset, bytes);
            reads.get(&range).cloned().ok_or_else(|| {
                wanted.get_or_insert(range);
                DiskError::Failed("not read yet".to_owned())
            })
        })
    }
}
