//! The work of the store that a node waits for, and the files that the store uses, for checks of
//! the node's invariants, and that no other files are left behind.

use crate::storage::disk::FileName;
use crate::storage::store::Storage;

impl Storage {
    /// Whether a write is queued, or is being written.
    pub(crate) fn is_writing(&self) -> bool {
        !self.log.is_idle()
    }

    /// The number of fetches that have not returned.
    pub(crate) fn fetches(&self) -> usize {
        self.log.reads.fetches()
    }

    /// Whether a snapshot waits until the superblock names it.
    pub(crate) fn is_recording(&self) -> bool {
        !self.pending_snapshots.is_empty()
    }

    /// Whether the last report was that the file system has no room for spare segments.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    /// Whether a read or the creation of a segment waits for a resource.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// Whether the store uses the file, or still has to remove it. The store may answer true for
    /// every file of a kind while it removes one of them.
    #[must_use]
    pub fn uses(&self, file: FileName) -> bool {
        match file {
            FileName::Superblock => true,
            FileName::Segment(number) => self.log.uses(number),
            FileName::Snapshot(_) | FileName::PartialSnapshot(_) => self.snapshots.uses(file),
        }
    }
}
