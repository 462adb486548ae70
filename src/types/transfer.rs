//! How the bytes of a snapshot travel: the receiver asks for one part at a time, and knows each by
//! its hash. Any node that has the snapshot may answer.

use alloc::sync::Arc;
use core::fmt;

use crate::types::chain::Chain;
use crate::types::id::NodeId;
use crate::types::message::Message;
use crate::types::validation::Comparison;
use crate::types::write::Root;

/// Anything one node says to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Packet {
    /// The algorithm's.
    Message(Message),
    /// The algorithm's entries, with the chain that their predecessor ends in their sender's log.
    Chained(Message, Chain),
    /// A snapshot's.
    Transfer(Transfer),
    /// The state machines'.
    Comparison(Comparison),
}

/// One step of a snapshot's way from one node to another. It may be lost, repeated, delayed or
/// overtaken.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Transfer {
    /// The node that says it.
    pub from: NodeId,
    /// The node it is meant for.
    pub to: NodeId,
    /// The snapshot.
    pub root: Root,
    /// What it says.
    pub body: TransferBody,
}

/// What a step says.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum TransferBody {
    /// The receiver wants this part.
    Request(Part),
    /// Here it is.
    Bytes(Part, Arc<[u8]>),
    /// The sender has no such snapshot, or no longer.
    Gone,
}

/// A part of a snapshot: each has a fixed size, save that the last of its kind may be shorter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// A piece of the manifest, from 0: the hashes of all chunks, itself named by the root.
    Manifest(u32),
    /// A chunk of the content, from 0.
    Chunk(u32),
}

impl Packet {
    /// The algorithm's message, if it is one.
    #[must_use]
    pub fn message(&self) -> Option<&Message> {
        match self {
            Packet::Message(message) | Packet::Chained(message, _) => Some(message),
            Packet::Transfer(_) | Packet::Comparison(_) => None,
        }
    }

    /// The node that says it.
    #[must_use]
    pub fn from(&self) -> NodeId {
        match self {
            Packet::Message(message) | Packet::Chained(message, _) => message.from,
            Packet::Transfer(transfer) => transfer.from,
            Packet::Comparison(comparison) => comparison.from,
        }
    }

    /// The node it is meant for.
    #[must_use]
    pub fn to(&self) -> NodeId {
        match self {
            Packet::Message(message) | Packet::Chained(message, _) => message.to,
            Packet::Transfer(transfer) => transfer.to,
            Packet::Comparison(comparison) => comparison.to,
        }
    }
}

impl fmt::Display for Transfer {
    /// What is said, without the addresses.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {}", self.body, self.root)
    }
}

impl fmt::Debug for TransferBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransferBody::Request(part) => write!(f, "wants {part}"),
            TransferBody::Bytes(part, bytes) => write!(f, "{part}, {} bytes", bytes.len()),
            TransferBody::Gone => f.write_str("gone"),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Manifest(number) => write!(f, "manifest {number}"),
            Part::Chunk(number) => write!(f, "chunk {number}"),
        }
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
