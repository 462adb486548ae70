//! Faults of single disk operations, and their selection.

use quorate::storage::{FileAction, FileName};

/// A fault of one disk operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A creation fails; a file that it would have replaced is removed.
    CreateFails,
    /// A write fails after its first `sectors` sectors are in the cache.
    WriteFails {
        /// The number of sectors written before the failure.
        sectors: u64,
    },
    /// A write, and the sync after it, are reported as done, but the disk does not store the write.
    /// The cache still shows the write: in a segment file until the cache is dropped, in any other
    /// file only until the sync.
    WriteLost,
    /// Like [`Fault::WriteLost`], but the disk stores the sectors at another place instead, up to
    /// the end of the file there.
    WriteMisdirected {
        /// The file that is overwritten; if it does not exist, no file is overwritten.
        file: FileName,
        /// The offset of a byte in the first sector that is overwritten.
        offset: u64,
    },
    /// A sync fails after the first `sectors` unsynced sectors are stored. The others count as
    /// clean: the cache shows them, the disk does not have them, and the next sync succeeds without
    /// storing them.
    SyncFails {
        /// The number of sectors stored before the failure.
        sectors: usize,
    },
    /// A read from a file fails.
    ReadFails,
    /// A renaming fails and changes nothing.
    RenameFails,
    /// A removal fails and changes nothing.
    RemoveFails,
    /// A sync of the directory fails: its changes are visible, but not durable even after the next
    /// sync.
    SyncDirectoryFails,
}

/// The armed faults, in the order in which they were armed.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    armed: Vec<Armed>,
    hits: Vec<(Fault, Option<FileName>)>,
}

#[derive(Clone, Copy, Debug)]
struct Armed {
    fault: Fault,
    /// The number of matching operations that pass before the fault hits.
    after: u64,
}

impl Fault {
    /// Returns true if the operation that the fault hits reports an error.
    #[must_use]
    pub fn is_reported(self) -> bool {
        !matches!(self, Fault::WriteLost | Fault::WriteMisdirected { .. })
    }

    fn may_hit(self, action: &FileAction) -> bool {
        match action {
            FileAction::Create { .. } => self == Fault::CreateFails,
            FileAction::Write { .. } => matches!(
                self,
                Fault::WriteFails { .. } | Fault::WriteLost | Fault::WriteMisdirected { .. }
            ),
            FileAction::Sync { .. } => matches!(self, Fault::SyncFails { .. }),
            FileAction::Read { .. } => self == Fault::ReadFails,
            FileAction::DropCache { .. } => false,
            FileAction::Rename { .. } => self == Fault::RenameFails,
            FileAction::Remove { .. } => self == Fault::RemoveFails,
            FileAction::SyncDirectory => self == Fault::SyncDirectoryFails,
        }
    }
}

impl Faults {
    /// Arms a fault that hits after `after` matching operations.
    pub(super) fn arm(&mut self, fault: Fault, after: u64) {
        self.armed.push(Armed { fault, after });
    }

    /// Removes the faults that have not hit yet.
    pub(super) fn disarm(&mut self) {
        self.armed.clear();
    }

    /// Returns the faults that have hit since the last call.
    pub(super) fn take_hits(&mut self) -> Vec<(Fault, Option<FileName>)> {
        std::mem::take(&mut self.hits)
    }

    /// Returns the number of faults that have not hit yet.
    pub(super) fn len(&self) -> usize {
        self.armed.len()
    }

    /// Returns true if a fault that reports no error has not hit yet.
    pub(super) fn has_unreported(&self) -> bool {
        self.armed.iter().any(|armed| !armed.fault.is_reported())
    }

    /// Returns the fault that hits this operation. At most one fault hits an operation; other
    /// faults that are due hit later operations.
    pub(super) fn next(&mut self, action: &FileAction) -> Option<Fault> {
        let mut due = None;
        for (place, armed) in self.armed.iter_mut().enumerate() {
            if armed.fault.may_hit(action) {
                if armed.after > 0 {
                    armed.after -= 1;
                } else if due.is_none() {
                    due = Some(place);
                }
            }
        }
        let fault = due.map(|place| self.armed.remove(place).fault);
        self.hits.extend(fault.map(|fault| (fault, action.place().0)));
        fault
    }
}
