//! What can go wrong with one operation of a disk, and which operation it will be.

use quorate::storage::{FileAction, FileName};

/// A fault of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A creation fails; a file that was to be replaced is gone.
    CreateFails,
    /// A write fails after its first `sectors` sectors went into the cache.
    WriteFails {
        /// How many sectors.
        sectors: u64,
    },
    /// A write seems to succeed, and so does the sync after it, but the disk stores nothing. The
    /// cache of a segment goes on to show it; of another file, until the sync.
    WriteLost,
    /// As [`Fault::WriteLost`], and at once the disk has the sectors in another place, as far as
    /// the file goes there.
    WriteMisdirected {
        /// The file that is hit; nothing is if there is none.
        file: FileName,
        /// A byte of the first sector that is hit.
        offset: u64,
    },
    /// A sync fails after the first `sectors` of the unsynced sectors were stored. The others
    /// count as clean: the cache shows them, the disk does not have them, and the next sync
    /// succeeds without storing them.
    SyncFails {
        /// How many sectors.
        sectors: usize,
    },
    /// A read fails.
    ReadFails,
    /// A renaming fails and changes nothing.
    RenameFails,
    /// A removal fails and changes nothing.
    RemoveFails,
    /// A sync of the directory fails: its changes are shown, and not durable even after the next
    /// sync.
    SyncDirectoryFails,
}

/// Faults to come, in the order they were asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults {
    armed: Vec<Armed>,
    hits: Vec<(Fault, Option<FileName>)>,
}

#[derive(Clone, Copy, Debug)]
struct Armed {
    fault: Fault,
    /// How many operations it could hit and lets pass.
    after: u64,
}

impl Fault {
    /// Whether an operation that it hits fails, rather than seems to succeed.
    #[must_use]
    pub fn is_seen(self) -> bool {
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
            FileAction::Rename { .. } => self == Fault::RenameFails,
            FileAction::Remove { .. } => self == Fault::RemoveFails,
            FileAction::SyncDirectory => self == Fault::SyncDirectoryFails,
        }
    }
}

impl Faults {
    /// Hits an operation after `after` others that it could have hit.
    pub(super) fn arm(&mut self, fault: Fault, after: u64) {
        self.armed.push(Armed { fault, after });
    }

    /// Drops what has not hit yet.
    pub(super) fn disarm(&mut self) {
        self.armed.clear();
    }

    /// Those that have hit since the last call.
    pub(super) fn take_hits(&mut self) -> Vec<(Fault, Option<FileName>)> {
        std::mem::take(&mut self.hits)
    }

    /// How many have not hit yet.
    pub(super) fn len(&self) -> usize {
        self.armed.len()
    }

    /// What hits this operation; one fault at most, another one that is due waits for the next.
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
