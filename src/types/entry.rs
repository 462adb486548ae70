//! Log entries and their payloads.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use crate::types::id::{EntryId, Index};
use crate::types::membership::Membership;

/// The bytes of one command of the user's state machine. The core does not interpret them; a clone
/// shares them.
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Command(
    #[cfg_attr(feature = "std", serde(with = "crate::types::serial::Bytes"))] Arc<[u8]>,
);

/// The content of a log entry.
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum Payload {
    /// No content. A leader begins its term with such an entry, because its commit also commits the
    /// entries before it (Raft §8). It may append more of them later, as for `Input::AppendNoop`.
    Noop,
    /// A command of the user's state machine.
    Command(Command),
    /// The active membership from this entry on, committed or not (Raft §6).
    Membership(Membership),
}

/// One log entry: its term and index, and its payload.
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Entry {
    /// The term in which the entry was appended, and its index.
    pub id: EntryId,
    /// The content of the entry.
    pub payload: Payload,
}

impl Payload {
    /// Returns the size of the payload in bytes.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> usize {
        match self {
            Payload::Noop => 0,
            Payload::Command(command) => command.len(),
            Payload::Membership(membership) => membership.bytes(),
        }
    }
}

impl Entry {
    /// The bytes added to the payload of each entry in every bound on the size of entries.
    pub const OVERHEAD_BYTES: usize = 32;

    /// Returns the size of the entry in bytes, as every bound in bytes counts it.
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> usize {
        Self::OVERHEAD_BYTES + self.payload.bytes()
    }

    /// Returns the membership in the entry, with the index from which it is active.
    #[must_use]
    pub fn membership(&self) -> Option<(Index, Membership)> {
        match &self.payload {
            Payload::Membership(membership) => Some((self.id.index, membership.clone())),
            Payload::Noop | Payload::Command(_) => None,
        }
    }
}

/// Formats entries for a trace: up to four entries one by one, more than four as the first and the
/// last.
pub(crate) struct EntryList<'a>(pub(crate) &'a [Entry]);

impl Deref for Command {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Command {
    fn from(bytes: &[u8]) -> Command {
        Command(Arc::from(bytes))
    }
}

impl From<&str> for Command {
    fn from(text: &str) -> Command {
        Command(Arc::from(text.as_bytes()))
    }
}

impl From<Vec<u8>> for Command {
    fn from(bytes: Vec<u8>) -> Command {
        Command(Arc::from(bytes))
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Payload::Noop => f.write_str("noop"),
            Payload::Command(command) => command.fmt(f),
            Payload::Membership(membership) => membership.fmt(f),
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.id, self.payload)
    }
}

impl fmt::Display for EntryList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const EACH_MAX: usize = 4;
        match self.0 {
            [first, .., last] if self.0.len() > EACH_MAX => {
                write!(f, "[{}..={}]", first.id, last.id)
            }
            few => {
                f.write_str("[")?;
                for (position, entry) in few.iter().enumerate() {
                    let comma = if position == 0 { "" } else { ", " };
                    write!(f, "{comma}{entry}")?;
                }
                f.write_str("]")
            }
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.payload {
            Payload::Noop => write!(f, "{} noop", self.id),
            Payload::Command(command) => write!(f, "{} {command}", self.id),
            Payload::Membership(membership) => write!(f, "{} {membership}", self.id),
        }
    }
}

impl fmt::Display for Command {
    /// Formats like [`fmt::Debug`], but prints the size in place of more than 16 bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_BYTES_MAX: usize = 16;
        if self.len() <= SHOWN_BYTES_MAX {
            write!(f, "{self:?}")
        } else {
            write!(f, "{} bytes", self.len())
        }
    }
}
