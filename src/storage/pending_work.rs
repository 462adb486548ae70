//! The work of the store that a node waits for, for the checks of the node's invariants.

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
}
