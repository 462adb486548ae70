//! What the store asks of a disk: operations out, completions in, and nothing that blocks.
//!
//! A driver carries the operations of one lane out in their order, and reports each one's result;
//! the two lanes do not wait for each other. Before the start, recovery uses the same operations
//! through [`Disk`], one at a time.

use std::fmt;

use crate::types::Index;

/// Numbers the operations of one start of a store, from 1, in the order they were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub u64);

/// One thing to be done to the files of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Comes back with the result.
    pub id: OperationId,
    /// Whom it may wait for.
    pub lane: Lane,
    /// What is to be done.
    pub action: FileAction,
}

/// Operations of one lane are carried out in their order, those of different lanes in any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// What acknowledgements wait for: the superblock and the segments in use.
    Log,
    /// What may take its time: segments to come, snapshots, reads, removals.
    Bulk,
}

/// A file in a node's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileName {
    /// Who the node is, its term and vote, and its snapshot.
    Superblock,
    /// A piece of the log, by its number from 1.
    Segment(u64),
    /// A whole snapshot, by the last index it covers.
    Snapshot(Index),
    /// A snapshot that is being taken or received.
    PartialSnapshot(Index),
}

/// What is to be done to a file.
#[derive(Clone, PartialEq, Eq)]
pub enum FileAction {
    /// Make a file of `bytes` zeros, all of them written and durable; the file's name becomes
    /// durable with [`FileAction::SyncDirectory`]. An existing file of the name is replaced.
    Create {
        /// The file.
        file: FileName,
        /// Its size.
        bytes: u64,
    },
    /// Write `bytes` at `offset`. They may be lost, in any part of whole 512-byte sectors, until a
    /// later sync of the file has returned.
    Write {
        /// The file; it exists.
        file: FileName,
        /// Where the first byte goes; the file grows as needed.
        offset: u64,
        /// What is written.
        bytes: Vec<u8>,
    },
    /// Make every earlier write to the file durable.
    Sync {
        /// The file.
        file: FileName,
    },
    /// Read `bytes` bytes at `offset`, or as many as the file has there.
    Read {
        /// The file.
        file: FileName,
        /// Where to begin.
        offset: u64,
        /// How many.
        bytes: usize,
    },
    /// Give a file another name, in place of a file that has it; durable with
    /// [`FileAction::SyncDirectory`].
    Rename {
        /// The name it has.
        from: FileName,
        /// The name it gets.
        to: FileName,
    },
    /// Remove a file; durable with [`FileAction::SyncDirectory`]. One that does not exist is
    /// removed already.
    Remove {
        /// The file.
        file: FileName,
    },
    /// Make the directory's earlier changes durable: creations, renames, removals.
    SyncDirectory,
}

/// An operation is done, or has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// As in the operation.
    pub id: OperationId,
    /// What was read; empty for everything but a read.
    pub result: Result<Vec<u8>, DiskError>,
}

/// Why an operation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// The file system is full. Nothing of the operation's file may be relied on.
    Full,
    /// Anything else, in the words of the system.
    Failed(String),
}

/// A disk that carries operations out one at a time and waits for each. Recovery needs one, and
/// a driver's thread may be made of one.
pub trait Disk {
    /// The files of the node's directory with their sizes in bytes, in ascending order. Files that
    /// have no [`FileName`] are not the store's and not listed. Where several threads use a
    /// directory, each through a disk of its own, what another makes or removes meanwhile may be
    /// listed or not, and what it renames under either name, both or none.
    ///
    /// # Errors
    /// A [`DiskError`] if the directory cannot be read.
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError>;

    /// Carries one action out, and gives what was read.
    ///
    /// # Errors
    /// A [`DiskError`] in the words of the system. What a failed write or sync left behind is
    /// unknown, and trying again does not make it known.
    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError>;
}

impl FileAction {
    /// The file the action is about, None for the directory, and where in it.
    #[must_use]
    pub fn place(&self) -> (Option<FileName>, u64) {
        match self {
            FileAction::Write { file, offset, .. } | FileAction::Read { file, offset, .. } => {
                (Some(*file), *offset)
            }
            FileAction::Create { file, .. }
            | FileAction::Sync { file }
            | FileAction::Rename { from: file, .. }
            | FileAction::Remove { file } => (Some(*file), 0),
            FileAction::SyncDirectory => (None, 0),
        }
    }
}

impl fmt::Display for FileName {
    /// The file's name in the directory.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileName::Superblock => f.write_str("superblock"),
            FileName::Segment(number) => write!(f, "log-{number:016x}"),
            FileName::Snapshot(index) => write!(f, "snapshot-{:016x}", index.0),
            FileName::PartialSnapshot(index) => write!(f, "snapshot-{:016x}.part", index.0),
        }
    }
}

impl fmt::Debug for FileAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileAction::Create { file, bytes } => write!(f, "create {file} of {bytes}"),
            FileAction::Write { file, offset, bytes } => {
                write!(f, "write {file} at {offset}, {} bytes", bytes.len())
            }
            FileAction::Sync { file } => write!(f, "sync {file}"),
            FileAction::Read { file, offset, bytes } => {
                write!(f, "read {file} at {offset}, {bytes} bytes")
            }
            FileAction::Rename { from, to } => write!(f, "rename {from} to {to}"),
            FileAction::Remove { file } => write!(f, "remove {file}"),
            FileAction::SyncDirectory => f.write_str("sync directory"),
        }
    }
}

impl fmt::Display for DiskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiskError::Full => f.write_str("the file system is full"),
            DiskError::Failed(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for DiskError {}
