//! The files that a store uses, for checks that the store leaves no other files behind.

use crate::storage::{FileName, Storage};

impl Storage {
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
