//! The disk of a node: a term, a vote, a log, a snapshot, named records, and files.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use crate::guest::NodeId;

/// The bytes of a command or of a state.
pub type Bytes = Arc<[u8]>;

/// One entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The term of the leader that created it; 0 if the core keeps no term for each entry.
    pub term: u64,
    /// The command; empty if the entry is one of the core's own.
    pub command: Bytes,
}

/// The state of a state machine after the entry at an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The index of the last applied entry.
    pub index: u64,
    /// The term of that entry.
    pub term: u64,
    /// The state, in the form that the cluster's state machine gave it.
    pub state: Bytes,
}

/// One write. The disk keeps the order of writes: after a crash it has a prefix of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// The term, and the node voted for in it.
    Term(u64, Option<NodeId>),
    /// The commit index, which a restart may read.
    Commit(u64),
    /// Entries after an index, in place of all that the log had there.
    Append(u64, Vec<Entry>),
    /// A snapshot of the node's own, in place of the log up to it.
    Compact(Snapshot),
    /// A received snapshot, in place of the whole log.
    Install(Snapshot),
    /// A record of the core's own, with its name.
    Record(&'static str, Vec<u8>),
    /// A change of the file with this name, for a core with a storage of its own. Such a core also
    /// writes its term, its vote and its log as above, because the checks read no files.
    File(String, FileChange),
    /// Writes that a crash keeps or loses together.
    All(Vec<Write>),
}

/// A change of one file.
#[derive(Clone, PartialEq, Eq)]
pub enum FileChange {
    /// A file of that many zeros, in place of any that has the name.
    Create(u64),
    /// Bytes from an offset on; the file grows as needed.
    Write(u64, Bytes),
    /// Another name, which replaces a file that has it.
    Rename(String),
    /// The file is removed, if it exists.
    Remove,
}

impl FileChange {
    /// Changes the file with this name.
    ///
    /// # Panics
    /// If a file that does not exist is written or renamed.
    pub fn apply(&self, name: &str, files: &mut BTreeMap<String, Vec<u8>>) {
        match self {
            FileChange::Create(bytes) => {
                files.insert(name.to_owned(), vec![0; *bytes as usize]);
            }
            FileChange::Write(offset, bytes) => {
                let file = files.get_mut(name);
                let file =
                    file.unwrap_or_else(|| panic!("a write to {name}, which does not exist"));
                let (from, to) = (*offset as usize, *offset as usize + bytes.len());
                file.resize(file.len().max(to), 0);
                file[from..to].copy_from_slice(bytes);
            }
            FileChange::Rename(to) => {
                let file = files.remove(name);
                let file = file.unwrap_or_else(|| panic!("{name} is renamed and does not exist"));
                files.insert(to.clone(), file);
            }
            FileChange::Remove => {
                files.remove(name);
            }
        }
    }
}

impl fmt::Debug for FileChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileChange::Create(bytes) => write!(f, "create {bytes} bytes"),
            FileChange::Write(offset, bytes) => write!(f, "{} bytes at {offset}", bytes.len()),
            FileChange::Rename(to) => write!(f, "rename to {to}"),
            FileChange::Remove => f.write_str("remove"),
        }
    }
}

/// The content of a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// The term written last; 0 at first.
    pub term: u64,
    /// The node voted for in the term.
    pub vote: Option<NodeId>,
    /// The commit index written last; 0 at first.
    pub commit: u64,
    /// The snapshot before the log, if there is one.
    pub snapshot: Option<Snapshot>,
    /// The entries after the snapshot.
    pub entries: Vec<Entry>,
    /// The core's own records, by name.
    pub records: BTreeMap<&'static str, Vec<u8>>,
    /// The core's own files, by name.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Disk {
    /// Returns the index before the first entry: that of the snapshot, or 0.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.snapshot.as_ref().map_or(0, |snapshot| snapshot.index)
    }

    /// Returns the index of the last entry.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.base() + self.entries.len() as u64
    }

    /// Returns the entry at an index, if the log has it.
    #[must_use]
    pub fn entry(&self, index: u64) -> Option<&Entry> {
        let place = index.checked_sub(self.base() + 1)?;
        self.entries.get(usize::try_from(place).ok()?)
    }

    /// Returns the term of the entry at an index; 0 before the first one.
    #[must_use]
    pub fn term_at(&self, index: u64) -> Option<u64> {
        match &self.snapshot {
            Some(snapshot) if snapshot.index == index => Some(snapshot.term),
            None if index == 0 => Some(0),
            _ => Some(self.entry(index)?.term),
        }
    }

    /// Returns whether the disk has the entry in its log, or a snapshot that covers the index.
    #[must_use]
    pub fn holds(&self, index: u64, entry: &Entry) -> bool {
        index <= self.base() || self.entry(index) == Some(entry)
    }

    /// Carries out a write.
    ///
    /// # Panics
    /// If it would leave a gap in the log or replace entries that the snapshot covers, or if it
    /// writes to or renames a file that does not exist.
    pub fn write(&mut self, write: Write) {
        match write {
            Write::Term(term, vote) => (self.term, self.vote) = (term, vote),
            Write::Commit(index) => self.commit = index,
            Write::Append(after, entries) => {
                let (base, last) = (self.base(), self.last());
                assert!(
                    (base..=last).contains(&after),
                    "a write of entries after {after} does not fit a log from {base} to {last}"
                );
                self.entries.truncate((after - base) as usize);
                self.entries.extend(entries);
            }
            Write::Compact(snapshot) => {
                let dropped = snapshot.index.saturating_sub(self.base());
                self.entries.drain(..(dropped as usize).min(self.entries.len()));
                self.snapshot = Some(snapshot);
            }
            Write::Install(snapshot) => {
                self.entries.clear();
                self.snapshot = Some(snapshot);
            }
            Write::Record(name, bytes) => {
                self.records.insert(name, bytes);
            }
            Write::File(name, change) => change.apply(&name, &mut self.files),
            Write::All(writes) => writes.into_iter().for_each(|write| self.write(write)),
        }
    }
}

/// The disk of a node: its durable content, and the writes that a crash may lose.
#[derive(Clone, Debug, Default)]
pub(crate) struct CachedDisk {
    durable: Disk,
    /// The durable content with all later writes.
    latest: Disk,
    unsynced: VecDeque<Write>,
}

impl CachedDisk {
    pub(crate) fn durable(&self) -> &Disk {
        &self.durable
    }

    pub(crate) fn latest(&self) -> &Disk {
        &self.latest
    }

    pub(crate) fn write(&mut self, write: Write) {
        self.latest.write(write.clone());
        self.unsynced.push_back(write);
    }

    /// Returns the number of writes that a crash may lose.
    pub(crate) fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// Makes the first `count` writes durable.
    pub(crate) fn sync(&mut self, count: usize) {
        self.unsynced.drain(..count).for_each(|write| self.durable.write(write));
    }

    /// Loses all writes except the first `kept`.
    pub(crate) fn crash(&mut self, kept: usize) {
        self.sync(kept);
        self.unsynced.clear();
        self.latest = self.durable.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(term: u64) -> Entry {
        Entry { term, command: Bytes::from([]) }
    }

    fn snapshot(index: u64) -> Snapshot {
        Snapshot { index, term: 1, state: Bytes::from([]) }
    }

    #[test]
    fn a_crash_keeps_a_prefix_of_the_writes() {
        let mut disk = CachedDisk::default();
        disk.write(Write::Term(3, Some(NodeId(1))));
        disk.sync(1);
        disk.write(Write::Append(0, vec![entry(3)]));
        disk.write(Write::Term(4, None));
        assert_eq!((disk.latest().term, disk.durable().term), (4, 3));
        disk.crash(1);
        assert_eq!((disk.latest().term, disk.latest().last()), (3, 1));
    }

    #[test]
    fn a_snapshot_replaces_the_log_up_to_it_or_all_of_it() {
        let mut disk = Disk::default();
        disk.write(Write::Append(0, vec![entry(1), entry(1), entry(2)]));
        disk.write(Write::Compact(snapshot(2)));
        assert_eq!((disk.base(), disk.last(), disk.term_at(3)), (2, 3, Some(2)));
        assert!(disk.holds(1, &entry(9)) && !disk.holds(3, &entry(1)));
        disk.write(Write::Install(snapshot(7)));
        assert_eq!((disk.base(), disk.last(), disk.term_at(7)), (7, 7, Some(1)));
    }

    #[test]
    fn a_crash_keeps_a_prefix_of_the_changes_of_files() {
        let mut disk = CachedDisk::default();
        let file = |change| Write::File("one".to_owned(), change);
        disk.write(file(FileChange::Create(2)));
        disk.write(file(FileChange::Write(1, Bytes::from([7, 8]))));
        disk.sync(2);
        disk.write(file(FileChange::Rename("two".to_owned())));
        disk.write(Write::File("two".to_owned(), FileChange::Remove));
        assert!(disk.latest().files.is_empty());
        assert_eq!(disk.durable().files["one"], [0, 7, 8]);
        disk.crash(1);
        assert_eq!(disk.latest().files["two"], [0, 7, 8]);
        assert_eq!(disk.latest().files.len(), 1);
    }

    #[test]
    #[should_panic(expected = "does not fit")]
    fn a_gap_in_the_log_is_noticed() {
        Disk::default().write(Write::Append(1, vec![entry(1)]));
    }
}
