//! Snapshot transfer messages: each request names one part. The root verifies the manifest, and the
//! hashes in the manifest verify the chunks, so that any node that has the snapshot may reply.

use alloc::sync::Arc;
use core::fmt;

use crate::types::hash_chain::HashChain;
use crate::types::id::NodeId;
use crate::types::message::Message;
use crate::types::text::{debug_as_display, texts};
use crate::types::validation::Comparison;
use crate::types::write::Root;

/// One packet from one node to another, of any kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Packet {
    /// A message of the consensus algorithm.
    Message(Message),
    /// A [`Body::AppendEntries`](crate::types::Body::AppendEntries) message, with the hash chain of
    /// its `prev` entry in the sender's log.
    Chained(Message, HashChain),
    /// A message of a snapshot transfer.
    SnapshotTransfer(SnapshotTransfer),
    /// A message of a state comparison.
    Comparison(Comparison),
}

/// One message of a snapshot transfer. The network may lose, duplicate, delay or reorder it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct SnapshotTransfer {
    /// The node that sent it.
    pub from: NodeId,
    /// The node that it is for.
    pub to: NodeId,
    /// The root hash that identifies the snapshot.
    pub root: Root,
    /// The content of the message.
    pub body: SnapshotTransferBody,
}

/// The content of a snapshot transfer message.
#[derive(Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum SnapshotTransferBody {
    /// Requests this part from a node that has the snapshot.
    Request(SnapshotPart),
    /// The bytes of a requested part.
    Bytes(
        SnapshotPart,
        #[cfg_attr(feature = "std", serde(with = "crate::types::serial::Bytes"))] Arc<[u8]>,
    ),
    /// The sender cannot serve the snapshot to the receiver: it does not have it, its state machine
    /// is not usable, or the receiver is not a member.
    Gone,
}

/// A part of a snapshot. All parts of a kind have the same size, but the last one may be shorter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum SnapshotPart {
    /// A piece of the manifest, by number from 0. The manifest has the hashes of all chunks, and
    /// the root is its hash.
    Manifest(u32),
    /// A chunk of the content, by number from 0.
    Chunk(u32),
}

impl Packet {
    /// Returns the consensus message, if the packet has one.
    #[must_use]
    pub fn message(&self) -> Option<&Message> {
        match self {
            Packet::Message(message) | Packet::Chained(message, _) => Some(message),
            Packet::SnapshotTransfer(_) | Packet::Comparison(_) => None,
        }
    }

    /// Returns the sending node.
    #[must_use]
    pub fn from(&self) -> NodeId {
        match self {
            Packet::Message(message) | Packet::Chained(message, _) => message.from,
            Packet::SnapshotTransfer(transfer) => transfer.from,
            Packet::Comparison(comparison) => comparison.from,
        }
    }

    /// Returns the receiving node.
    #[must_use]
    pub fn to(&self) -> NodeId {
        match self {
            Packet::Message(message) | Packet::Chained(message, _) => message.to,
            Packet::SnapshotTransfer(transfer) => transfer.to,
            Packet::Comparison(comparison) => comparison.to,
        }
    }
}

texts! {
    /// Writes the content, without the addresses.
    SnapshotTransfer:
    Self { root, body, .. } => "{body:?} of {root}";
}

impl fmt::Debug for SnapshotTransferBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotTransferBody::Request(part) => write!(f, "requests {part}"),
            SnapshotTransferBody::Bytes(part, bytes) => write!(f, "{part}, {} bytes", bytes.len()),
            SnapshotTransferBody::Gone => f.write_str("gone"),
        }
    }
}

texts! { SnapshotPart:
    Self::Manifest(number) => "manifest {number}";
    Self::Chunk(number) => "chunk {number}";
}

debug_as_display!(SnapshotPart);
