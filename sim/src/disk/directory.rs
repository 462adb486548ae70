//! The names of files: those that are shown, those that are durable, and the changes between.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::mem;

use quorate::storage::FileName;

/// Tells files apart, whatever they are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId(pub(super) u64);

/// Which directory changes may outlive a crash that came before they were synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeOrder {
    /// Those before the first that is lost, as with a journal.
    Prefix,
    /// Any, save those after a lost change to a name they share.
    PerFile,
}

/// A change to the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new file has this name.
    Create(FileName),
    /// A file has another name, in place of one that had it.
    Rename {
        /// The name it had.
        from: FileName,
        /// The name it has.
        to: FileName,
    },
    /// No file has this name.
    Remove(FileName),
}

/// A directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Directory {
    shown: BTreeMap<FileName, FileId>,
    durable: BTreeMap<FileName, FileId>,
    /// Changes since the last sync, in order, with the file that each is about.
    unsynced: Vec<(Change, FileId)>,
}

impl Directory {
    /// The file that has a name.
    pub(super) fn find(&self, name: FileName) -> Option<FileId> {
        self.shown.get(&name).copied()
    }

    /// Every name with its file.
    pub(super) fn shown(&self) -> impl ExactSizeIterator<Item = (FileName, FileId)> {
        self.shown.iter().map(|(&name, &file)| (name, file))
    }

    /// Changes since the last sync, in order.
    pub(super) fn unsynced(&self) -> impl Iterator<Item = Change> {
        self.unsynced.iter().map(|&(change, _)| change)
    }

    /// Makes a change: to what is shown at once, to what is durable with a sync.
    pub(super) fn change(&mut self, change: Change, file: FileId) {
        apply(&mut self.shown, change, file);
        self.unsynced.push((change, file));
    }

    /// Makes the changes durable; if not `stored`, they count as durable and are not.
    pub(super) fn sync(&mut self, stored: bool) {
        for (change, file) in mem::take(&mut self.unsynced) {
            if stored {
                apply(&mut self.durable, change, file);
            }
        }
    }

    /// The power fails: `keep` is asked about each change that `order` allows to be kept. Gives
    /// the changes that are lost.
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

    /// Shows the names that are durable, and the changes that will be.
    pub(super) fn forget_clean(&mut self) {
        self.shown.clone_from(&self.durable);
        for &(change, file) in &self.unsynced {
            apply(&mut self.shown, change, file);
        }
    }

    /// The files that have a name, or had one that a crash might bring back.
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
            // After a failed sync the durable names may lack the file.
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
