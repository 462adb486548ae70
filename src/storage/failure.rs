//! What ends a store, said so that whoever reads it knows the file, the place and what to do.

use std::fmt;

use crate::storage::disk::{DiskError, FileName};
use crate::types::{EntryId, Index, NodeId};

/// Why a node does nothing more, or why what is in a directory cannot be gone by: what a failed
/// write left behind is unknown, and damage is never repaired by guessing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The file; None for the directory itself, the log as a whole, or what is in no file.
    pub file: Option<FileName>,
    /// Where in the file.
    pub offset: u64,
    /// What is the matter, in a few words.
    pub what: String,
    /// What it comes from, and so what a person can do about it.
    pub cause: Cause,
}

/// What a failure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// What is on the disk is not what was written, or cannot be read any more, or the state
    /// machine does not take it.
    Damage,
    /// The disk would not do what a node asked of it.
    Disk,
    /// What somebody wants to look at cannot be read.
    Unreadable,
    /// The log contradicts that of a peer: one of the two is not what was agreed on.
    Contradiction,
    /// A part of the node panicked.
    Panic,
}

/// Why a directory cannot be formatted or opened. Nothing in it has been changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// A number of the configuration is out of its bounds.
    Config(&'static str),
    /// There is no store in the directory.
    NotFormatted,
    /// There is a store, or something else, in the directory to be formatted.
    NotEmpty(FileName),
    /// A file is another's: of another cluster or node, of another life, or of a newer version.
    Foreign {
        /// The file.
        file: FileName,
        /// What differs.
        what: &'static str,
        /// What it has to be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The disk failed, or holds damage.
    Failed(Failure),
    /// The file system has no room for what must be written before the start.
    Full,
}

impl Cause {
    /// What a person can do about it.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Cause::Damage => {
                "nothing was changed; restore the file, or remove the node and add it anew"
            }
            Cause::Disk => "the node has stopped; look after the disk, then start it again",
            Cause::Unreadable => "nothing was changed; see that it can be read, then look again",
            Cause::Contradiction => {
                "the node has stopped; find out whose log is right, and add the others anew"
            }
            Cause::Panic => {
                "the node has stopped; its log has the place: mend what panicked, then start it \
                 again"
            }
        }
    }
}

impl Failure {
    /// What is in the file at `offset` cannot be what was written.
    pub(crate) fn damage(file: FileName, offset: u64, what: impl Into<String>) -> Failure {
        Failure { file: Some(file), offset, what: what.into(), cause: Cause::Damage }
    }

    /// The state machine does not start over from the snapshot that ends at `last`.
    pub(crate) fn of_machine(last: Index, error: &dyn fmt::Display) -> Failure {
        let what = format!("the state machine does not take it: {error}");
        Failure { file: Some(FileName::Snapshot(last)), offset: 0, what, cause: Cause::Damage }
    }

    /// The log and that of `peer` have the same entry after different ones.
    pub(crate) fn of_chain(id: EntryId, peer: NodeId) -> Failure {
        let what = format!("the log contradicts that of {peer} at entry {id}, which both have");
        Failure { file: None, offset: 0, what, cause: Cause::Contradiction }
    }

    /// The disk would not do what it was asked for.
    pub(crate) fn disk(file: Option<FileName>, offset: u64, error: &DiskError) -> Failure {
        let what = match file {
            Some(_) => error.to_string(),
            None => format!("the directory: {error}"),
        };
        Failure { file, offset, what, cause: Cause::Disk }
    }
}

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> OpenError {
        OpenError::Failed(failure)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let advice = self.cause.advice();
        match self.file {
            Some(file) => write!(f, "{file} at {}: {}; {advice}", self.offset, self.what),
            None => write!(f, "{}; {advice}", self.what),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Config(text) => f.write_str(text),
            OpenError::NotFormatted => f.write_str("the directory holds no store: format it first"),
            OpenError::NotEmpty(file) => {
                write!(f, "{file}: the directory is in use and is not formatted again")
            }
            OpenError::Foreign { file, what, expected, found } => {
                write!(f, "{file}: its {what} is {found}, and here it must be {expected}")
            }
            OpenError::Failed(failure) => failure.fmt(f),
            OpenError::Full => {
                f.write_str("the file system is full: make room for a segment and start again")
            }
        }
    }
}

impl std::error::Error for Failure {}
impl std::error::Error for OpenError {}
