//! The disk interface of a store: operations go out, completions come in, and no call blocks.
//!
//! A driver executes the operations of one lane in order and reports the result of each; the two
//! lanes do not wait for each other. Before the start, recovery executes the same actions through
//! [`Disk`], one at a time.

use std::fmt;

use crate::types::Index;
use crate::types::text::texts;

/// The number of an operation, counted from 1 for each opened store, in the order of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub u64);

/// A request to the driver: one action on the files of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The number that its [`Completion`] repeats.
    pub id: OperationId,
    /// The lane: the operation is executed after all earlier ones of its lane.
    pub lane: Lane,
    /// The action to execute.
    pub action: FileAction,
}

/// The order of operations: those of one lane are executed in order, the two lanes independently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Operations that acknowledgements wait for: updates and marks of the superblock, flushes, and
    /// writes of repaired sectors.
    Log,
    /// Operations that may take long: creating and removing segments, reading the log, the reads of
    /// a scrub, and everything about snapshots.
    Bulk,
}

/// A file in the directory of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileName {
    /// The four copies of the superblock, and the marks of the acknowledged floor between them.
    Superblock,
    /// A segment of the log, by its number from 1.
    Segment(u64),
    /// A complete snapshot, by the last log index that it covers.
    Snapshot(Index),
    /// A snapshot that is being taken or received, by the last log index that it covers.
    PartialSnapshot(Index),
}

/// An action on a file or on the directory.
#[derive(Clone, PartialEq, Eq)]
pub enum FileAction {
    /// Creates a file of `bytes` zeros, all of them written and durable; its name becomes durable
    /// with [`FileAction::SyncDirectory`]. A file that already has the name is replaced.
    Create {
        /// The name of the new file.
        file: FileName,
        /// The size of the new file, in bytes.
        bytes: u64,
    },
    /// Writes `bytes` at `offset`. Until a later sync of the file has returned, a crash may lose
    /// any of the 512-byte sectors that were written.
    Write {
        /// The file to write; it exists.
        file: FileName,
        /// The offset of the first byte; the file grows as needed.
        offset: u64,
        /// The bytes to write.
        bytes: Vec<u8>,
    },
    /// Makes every earlier write to the file durable.
    Sync {
        /// The file to sync.
        file: FileName,
    },
    /// Reads `bytes` bytes at `offset`, or fewer if the file ends before that.
    Read {
        /// The file to read.
        file: FileName,
        /// The offset of the first byte.
        offset: u64,
        /// The number of bytes to read.
        bytes: usize,
    },
    /// Drops the cached pages of the file that are on the disk, so that a later read returns the
    /// content of the disk. Does nothing on a disk without a cache.
    DropCache {
        /// The file; it exists.
        file: FileName,
    },
    /// Renames a file and replaces a file that already has the new name; durable with
    /// [`FileAction::SyncDirectory`].
    Rename {
        /// The present name of the file.
        from: FileName,
        /// The new name of the file.
        to: FileName,
    },
    /// Removes a file; durable with [`FileAction::SyncDirectory`]. Succeeds if the file does not
    /// exist.
    Remove {
        /// The file to remove.
        file: FileName,
    },
    /// Makes the directory's earlier changes durable: creations, renames, removals.
    SyncDirectory,
}

/// The report that an operation succeeded or failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The number of the [`Operation`].
    pub id: OperationId,
    /// The bytes that a read returned; empty for every other action.
    pub result: Result<Vec<u8>, DiskError>,
}

/// The error of a failed operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// The file system is full. The content of the operation's file is unknown.
    Full,
    /// The process or the machine lacks a resource at present, such as open files or memory. A read
    /// may succeed later; nothing is known about the disk. The text is for an operator, and names
    /// the file, the resource and what to do.
    Exhausted(String),
    /// The operating system does not permit the operation, for a reason that is not the disk's: for
    /// example a permission, a file system that is mounted read-only, or a symbolic link in place
    /// of a file. An operator has to change that. The text names the file, the reason and what to
    /// do.
    Environment(String),
    /// Any other error, such as an error of the device or a missing file: the bytes of the file
    /// are lost as long as it lasts. The text is for an operator, and names the file and the cause.
    Failed(String),
    /// The path no longer names the directory that was opened, or a file of the directory
    /// was replaced, cut, moved or removed by another process. A later start would not find
    /// everything that was synced. The text is for an operator, and names the directory or file.
    Replaced(String),
}

/// The error about a file in a data directory that is neither a regular file nor a symbolic link.
pub(super) const NOT_REGULAR: &str = "it is not a regular file, as those of a node are: put the \
                                      node's own file back, or remove this one";

/// The error about a symbolic link in place of a file of a data directory.
pub(super) const SYMBOLIC_LINK: &str = "it is a symbolic link, but a data directory holds its \
                                        files itself: replace the link by the file that it names";

/// The end of the text of an error about a directory that another process has open.
pub(crate) const IN_USE: &str =
    "in use by another process: stop that process, or choose another directory";

impl DiskError {
    /// Returns true if the directory cannot be opened because another process has it open, or
    /// another [`FileDisk`](crate::storage::FileDisk) of this process.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        matches!(self, DiskError::Failed(text) if text.ends_with(IN_USE))
    }

    /// Returns true if the error says nothing about the bytes on the disk: a failed read does not
    /// count as damage.
    pub(crate) fn is_obstacle(&self) -> bool {
        match self {
            DiskError::Exhausted(_) | DiskError::Environment(_) | DiskError::Replaced(_) => true,
            DiskError::Full | DiskError::Failed(_) => false,
        }
    }

    /// Returns true if the error says nothing about the bytes on the disk, and does not pass. It is
    /// neither damage nor a reason to go on without the file.
    pub(crate) fn is_lasting_obstacle(&self) -> bool {
        self.is_obstacle() && !matches!(self, DiskError::Exhausted(_))
    }
}

/// The number of times that [`read`] and [`repeat_exhausted`] try the same read.
const READ_ATTEMPTS_MAX: usize = 3;

/// Reads `bytes` bytes of the file at `offset`. A read that fails is repeated, because the failure
/// of a single read may pass, and a start treats bytes that it cannot read as damaged.
pub(crate) fn read(
    disk: &mut dyn Disk,
    file: FileName,
    offset: u64,
    bytes: usize,
) -> Result<Vec<u8>, DiskError> {
    let action = FileAction::Read { file, offset, bytes };
    let mut read = disk.execute(&action);
    for _ in 1..READ_ATTEMPTS_MAX {
        if read.is_ok() {
            break;
        }
        read = disk.execute(&action);
    }
    read
}

/// Calls a disk for a read, a few times if the process or the machine lacks a resource: that may
/// pass at once.
pub(crate) fn repeat_exhausted<T>(
    mut call: impl FnMut() -> Result<T, DiskError>,
) -> Result<T, DiskError> {
    let mut result = call();
    for _ in 1..READ_ATTEMPTS_MAX {
        if !matches!(result, Err(DiskError::Exhausted(_))) {
            break;
        }
        result = call();
    }
    result
}

/// A disk that executes one action at a time and blocks until it is done. Recovery needs one, and a
/// driver may run one on a thread of its own.
pub trait Disk {
    /// Lists the files of the node's directory with their sizes in bytes, in ascending order. Files
    /// whose name is not a [`FileName`] do not belong to the store and are not listed. Several
    /// threads may use a directory, each through its own disk. Then a file that another thread
    /// creates or removes during the call may or may not be listed. A file that it renames may be
    /// listed under either name, under both, or not at all.
    ///
    /// # Errors
    /// A [`DiskError`] if the directory cannot be read.
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError>;

    /// Executes one action, and returns the bytes that it read.
    ///
    /// # Errors
    /// A [`DiskError`]. After a failed write or sync the content of the file is unknown, and
    /// repeating the action does not make it known.
    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError>;

    /// Checks that the directory and each file are still those that a later start will open. A
    /// driver calls it about once a second. A disk without paths need not override it.
    ///
    /// # Errors
    /// [`DiskError::Replaced`] if they are not, or another [`DiskError`] if they cannot be looked
    /// up.
    fn verify(&mut self) -> Result<(), DiskError> {
        Ok(())
    }
}

impl FileAction {
    /// Returns the file of the action, `None` for the directory, and the offset in it.
    #[must_use]
    pub fn place(&self) -> (Option<FileName>, u64) {
        match self {
            FileAction::Write { file, offset, .. } | FileAction::Read { file, offset, .. } => {
                (Some(*file), *offset)
            }
            FileAction::Create { file, .. }
            | FileAction::Sync { file }
            | FileAction::Rename { from: file, .. }
            | FileAction::Remove { file }
            | FileAction::DropCache { file } => (Some(*file), 0),
            FileAction::SyncDirectory => (None, 0),
        }
    }
}

texts! {
    /// Writes the name of the file in the directory.
    FileName:
    Self::Superblock => "superblock";
    Self::Segment(number) => "log-{number:016x}";
    Self::Snapshot(index) => "snapshot-{:016x}", index.0;
    Self::PartialSnapshot(index) => "snapshot-{:016x}.part", index.0;
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
            FileAction::DropCache { file } => write!(f, "drop the cache of {file}"),
            FileAction::Rename { from, to } => write!(f, "rename {from} to {to}"),
            FileAction::Remove { file } => write!(f, "remove {file}"),
            FileAction::SyncDirectory => f.write_str("sync directory"),
        }
    }
}

texts! {
    DiskError:
    Self::Full => "the file system is full, or the quota of this user on it is used up";
    Self::Exhausted(text) | Self::Environment(text) | Self::Failed(text) | Self::Replaced(text) =>
        "{text}";
}

impl std::error::Error for DiskError {}
