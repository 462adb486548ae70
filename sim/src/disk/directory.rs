//! The directory of a disk: the visible names, the durable names, and the changes between them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::mem;

use quorate::storage::FileName;

/// The identity of a file, independent of its names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId(pub(super) u64);

/// The unsynced directory changes that may survive a crash together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeOrder {
    /// The changes before the first lost one, as on a file system with a journal.
    Prefix,
    /// Every change, except a change after a lost one with which it shares a name.
    PerFile,
}

/// A change to the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new file gets this name.
    Create(FileName),
    /// A file gets another name, and replaces the file that had it.
    Rename {
        /// The old name of the file.
        from: FileName,
        /// The new name of the file.
        to: FileName,
    },
    /// The file with this name is removed.
    Remove(FileName),
}

/// The directory of a disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    shown: BTreeMap<FileName, FileId>,
    durable: BTreeMap<FileName, FileId>,
    /// The changes since the last sync, in order, each with its file.
    unsynced: Vec<(Change, FileId)>,
}

impl Directory {
    /// Returns the file with this name.
    pub(super) fn find(&self, name: FileName) -> Option<FileId> {
        self.shown.get(&name).copied()
    }

    /// Returns every visible name with its file.
    pub(super) fn shown(&self) -> impl ExactSizeIterator<Item = (FileName, FileId)> {
        self.shown.iter().map(|(&name, &file)| (name, file))
    }

    /// Returns the changes since the last sync, in order.
    pub(super) fn unsynced(&self) -> impl Iterator<Item = Change> {
        self.unsynced.iter().map(|&(change, _)| change)
    }

    /// Applies a change: to the visible names at once, to the durable ones with the next sync.
    pub(super) fn change(&mut self, change: Change, file: FileId) {
        apply(&mut self.shown, change, file);
        self.unsynced.push((change, file));
    }

    /// Makes the changes durable; if not `stored`, they count as durable, but a crash loses them.
    pub(super) fn sync(&mut self, stored: bool) {
        for (change, file) in mem::take(&mut self.unsynced) {
            if stored {
                apply(&mut self.durable, change, file);
            }
        }
    }

    /// Simulates a power failure: `keep` is asked about each change that `order` allows to be kept.
    /// Returns the lost changes.
    pub(super) fn crash(
        &mut self,
        order: ChangeOrder,
        mut keep: impl FnMut(Change) -> bool,
    ) -> Vec<Change> {
        let mut lost: Vec<Change> = Vec::new();
        for (change, file) in mem::take(&mut self.unsynced) {
            let may_be_kept = match order {
                ChangeOrder::Prefix => lost.is_empty(),
                ChangeOrder::PerFile => !lost.iter().any(|earlier| earlier.shares_name(change)),
            };
            if may_be_kept && keep(change) {
                apply(&mut self.durable, change, file);
            } else {
                lost.push(change);
            }
        }
        self.shown.clone_from(&self.durable);
        lost
    }

    /// Shows the durable names, with the unsynced changes applied.
    pub(super) fn forget_clean(&mut self) {
        self.shown.clone_from(&self.durable);
        for &(change, file) in &self.unsynced {
            apply(&mut self.shown, change, file);
        }
    }

    /// Returns the files that have a name, or had one that a crash could restore.
    pub(super) fn named(&self) -> BTreeSet<FileId> {
        let unsynced = self.unsynced.iter().map(|(_, file)| file);
        self.shown.values().chain(self.durable.values()).chain(unsynced).copied().collect()
    }
}

impl Change {
    fn names(self) -> [FileName; 2] {
        match self {
            Change::Create(name) | Change::Remove(name) => [name, name],
            Change::Rename { from, to } => [from, to],
        }
    }

    fn shares_name(self, other: Change) -> bool {
        self.names().iter().any(|name| other.names().contains(name))
    }
}

fn apply(names: &mut BTreeMap<FileName, FileId>, change: Change, file: FileId) {
    match change {
        Change::Create(name) => {
            names.insert(name, file);
        }
        Change::Rename { from, to } => {
            // After a failed sync the file may be missing from the durable names.
            if names.remove(&from).is_some() {
                names.insert(to, file);
            }
        }
        Change::Remove(name) => {
            names.remove(&name);
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Create(name) => write!(f, "create {name}"),
            Change::Rename { from, to } => write!(f, "rename {from} to {to}"),
            Change::Remove(name) => write!(f, "remove {name}"),
        }
    }
}
