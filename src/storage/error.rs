//! Storage errors: the damaged file, the offset, the cause and the advice for the operator.

use std::fmt;

use crate::storage::disk::{DiskError, FileName};
use crate::types::text::texts;
use crate::types::{EntryId, Index, NodeId};

/// An error of a node's disk, files, log, threads or state machine. It stops the node or prevents
/// its start, unless the value that carries it says otherwise: damage that peers can repair, or
/// that a snapshot covers, is reported as a `StorageError` too. The storage never retries a failed
/// write, because its effect is unknown, and never repairs damage by guessing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageError {
    /// The affected file; `None` for the directory itself, for the log as a whole, or if the error
    /// is in no file.
    pub file: Option<FileName>,
    /// The offset in the file of the damage or of the failed operation, in bytes; 0 without a file.
    pub offset: u64,
    /// The error in a few words, without file, offset and advice.
    pub message: String,
    /// The cause, which decides the advice to the operator.
    pub cause: ErrorCause,
}

/// The cause of a [`StorageError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCause {
    /// The bytes on disk are not the bytes that were written, can no longer be read, or are
    /// rejected by the state machine.
    Damage,
    /// A disk operation of a starting or running node failed, or the superblock that the node read
    /// back differs from the one that it wrote.
    Disk,
    /// A disk operation of a starting or running node failed for a reason that is not the disk's,
    /// such as a missing permission. The message says what to do.
    Environment,
    /// A disk operation of a starting or running node failed because the process or the machine
    /// lacked a resource, such as open files or memory. The message says which, and what to do.
    Exhausted,
    /// While the node ran, another process put another directory or file in place of one of the
    /// node's, or cut, moved or removed it.
    Replaced,
    /// A tool that only inspects a directory cannot read it.
    Unreadable,
    /// The log and a peer's log have an entry with the same index and term, but this entry or one
    /// before it differs. Raft's Log Matching (§5.3) excludes that, so a log is corrupt, or a node
    /// has forgotten a vote or acknowledged entries.
    DivergedLog,
    /// The leader sent a command that is longer than the configuration of this node permits: its
    /// bound is lower than the leader's.
    Bound,
    /// A thread of the node, or the state machine, panicked.
    Panic,
}

/// The reason why a directory cannot be formatted or opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// A value of the configuration is out of its bounds, or too small for the data on the disk or
    /// in an import; the text names the field.
    Config(String),
    /// The directory has neither a superblock nor another file of a node.
    NotFormatted,
    /// The directory has this file of a node, but no superblock: an import into it was interrupted,
    /// or its superblock was removed.
    NoSuperblock(FileName),
    /// The directory to format is not empty: it already has this file.
    NotEmpty(FileName),
    /// A file belongs to another cluster, node or incarnation, is not the segment that its name
    /// says, or has another version.
    Mismatch {
        /// The file with the mismatch.
        file: FileName,
        /// The name of the field that differs.
        field: &'static str,
        /// The value that the file must have.
        expected: String,
        /// The value that the file has.
        found: String,
    },
    /// The disk failed, or a file is damaged.
    Failed(StorageError),
    /// The file system has no room for the writes that formatting, an import or opening requires.
    Full,
}

impl ErrorCause {
    /// Returns the advice to the operator, as a clause that ends the error text.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            ErrorCause::Damage => {
                "nothing was changed; restore the file from a copy, or remove the node from the \
                 cluster and add it again with an empty directory"
            }
            ErrorCause::Disk => "the node has stopped; check the disk, then restart the node",
            ErrorCause::Environment => "the node has stopped; restart it once the cause is removed",
            ErrorCause::Exhausted => "the node has stopped; nothing is damaged: restart it",
            ErrorCause::Replaced => {
                "the node has stopped and has used no other directory or file; find out what \
                 changed it, put the node's own back, then restart the node"
            }
            ErrorCause::Unreadable => "nothing was changed; once it can be read, try again",
            ErrorCause::DivergedLog => {
                "the node has stopped; find out which node's log is correct, then remove the \
                 other nodes and add them again"
            }
            ErrorCause::Bound => "the node has stopped; raise the bound, then restart the node",
            ErrorCause::Panic => {
                "the node has stopped; see its log for the panic message, fix the cause, then \
                 restart the node"
            }
        }
    }
}

impl StorageError {
    /// An error about bytes in `file` at `offset` that differ from those that were written.
    pub(crate) fn damage(file: FileName, offset: u64, message: impl Into<String>) -> StorageError {
        let (file, message) = (Some(file), message.into());
        StorageError { file, offset, message, cause: ErrorCause::Damage }
    }

    /// An error about bytes that cannot be read: damage, unless the error of the disk says nothing
    /// about the bytes.
    pub(crate) fn of_read(file: FileName, offset: u64, error: &DiskError) -> StorageError {
        match error.is_obstacle() {
            true => StorageError::disk(Some(file), offset, error),
            false => StorageError::damage(file, offset, error.to_string()),
        }
    }

    /// Returns true if the error says nothing about the bytes on the disk.
    pub(crate) fn is_obstacle(&self) -> bool {
        match self.cause {
            ErrorCause::Environment | ErrorCause::Exhausted | ErrorCause::Replaced => true,
            ErrorCause::Damage
            | ErrorCause::Disk
            | ErrorCause::Unreadable
            | ErrorCause::DivergedLog
            | ErrorCause::Bound
            | ErrorCause::Panic => false,
        }
    }

    /// An error about a state machine that cannot be restored from the snapshot through `last`.
    pub(crate) fn state_machine(last: Index, error: &dyn fmt::Display) -> StorageError {
        let message = format!("the state machine cannot be restored from the snapshot: {error}");
        let file = Some(FileName::Snapshot(last));
        StorageError { file, offset: 0, message, cause: ErrorCause::Damage }
    }

    /// An error about a log that has an entry with this id, as the log of `peer` does, but in which
    /// this entry or one before it differs.
    pub(crate) fn diverged_log(id: EntryId, peer: NodeId) -> StorageError {
        let message = format!(
            "this log and the log of {peer} both have an entry {id}, but differ in it or before it"
        );
        StorageError { file: None, offset: 0, message, cause: ErrorCause::DivergedLog }
    }

    /// An error about a command of `bytes` bytes that `leader` sent, and that is longer than this
    /// node stores.
    pub(crate) fn long_command(id: EntryId, leader: NodeId, bytes: usize) -> StorageError {
        let message = format!(
            "entry {id} of {leader} has a command of {bytes} bytes, more than \
             storage.command_bytes_max of this node"
        );
        StorageError { file: None, offset: 0, message, cause: ErrorCause::Bound }
    }

    /// An error about a failed disk operation of a starting or running node.
    pub(crate) fn disk(file: Option<FileName>, offset: u64, error: &DiskError) -> StorageError {
        let cause = match error {
            DiskError::Full | DiskError::Failed(_) => ErrorCause::Disk,
            DiskError::Exhausted(_) => ErrorCause::Exhausted,
            DiskError::Environment(_) => ErrorCause::Environment,
            DiskError::Replaced(message) => {
                // The message names the directory or the file.
                let (message, cause) = (message.clone(), ErrorCause::Replaced);
                return StorageError { file: None, offset: 0, message, cause };
            }
        };
        let message = match file {
            Some(_) => error.to_string(),
            None => format!("the directory: {error}"),
        };
        StorageError { file, offset, message, cause }
    }
}

impl StorageError {
    /// Returns the error as a tool that only inspects the directory reports it: the advice must not
    /// say that a node has stopped.
    pub(crate) fn of_inspection(self) -> StorageError {
        match self.cause {
            ErrorCause::Disk
            | ErrorCause::Environment
            | ErrorCause::Exhausted
            | ErrorCause::Replaced => StorageError { cause: ErrorCause::Unreadable, ..self },
            _ => self,
        }
    }
}

impl OpenError {
    /// Returns the error as a tool that only inspects the directory reports it.
    pub(crate) fn of_inspection(self) -> OpenError {
        match self {
            OpenError::Failed(error) => OpenError::Failed(error.of_inspection()),
            other => other,
        }
    }
}

impl From<StorageError> for OpenError {
    fn from(failure: StorageError) -> OpenError {
        OpenError::Failed(failure)
    }
}

impl StorageError {
    /// Returns the advice to the operator, as a clause that ends the error text. The cause decides
    /// it. For a superblock it also says what the operator must do after restoring the file from a
    /// copy, because the copy may lack the last vote.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match (self.cause, self.file) {
            (ErrorCause::Damage, Some(FileName::Superblock)) => {
                "nothing was changed; restore the file from a copy and run `quorate \
                 mark-restored`, because the copy may lack the last vote, or remove the node from \
                 the cluster and add it again with an empty directory"
            }
            (cause, _) => cause.advice(),
        }
    }

    /// Returns the file, the offset and the message. The text of [`fmt::Display`] also has advice.
    #[must_use]
    pub fn without_advice(&self) -> String {
        match self.file {
            Some(file) => format!("{file} at {}: {}", self.offset, self.message),
            None => self.message.clone(),
        }
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.without_advice(), self.advice())
    }
}

texts! {
    OpenError:
    Self::Config(text) => "{text}";
    Self::NotFormatted => "the directory is not formatted: it has no superblock";
    Self::NoSuperblock(file) =>
        "{file}: the directory has this file of a node, but no superblock; if `quorate restore` or \
         `quorate recover` was interrupted here, the directory is incomplete: remove it, and run \
         that command again; otherwise the superblock was removed: restore it from a copy and run \
         `quorate mark-restored`, or remove the node from the cluster and add it again with an \
         empty directory";
    Self::NotEmpty(file) =>
        "{file}: the directory already has this file; use an empty directory";
    Self::Mismatch { file, field, expected, found } =>
        "{file}: {field} is {found}, expected {expected}";
    Self::Failed(failure) => "{failure}";
    Self::Full =>
        "the file system is full, or the quota of this user on it is used up: free space for a log \
         segment, then try again";
}

impl std::error::Error for StorageError {}
impl std::error::Error for OpenError {}
