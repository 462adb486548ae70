//! Replies from a node to a client.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::types::serial::Bytes;
use crate::types::text::texts;
use crate::types::{
    Address, EntryId, Freshness, Index, MachineRejectReason, NodeId, RejectReason, Report,
};
use crate::wire::codec::{read, write};
use crate::wire::error::{FrameError, WireError};
use crate::wire::frame::{append, read_whole};
use crate::wire::kind::Kind;

/// The reply to one request of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientReply {
    /// The `number` of the request.
    pub number: u64,
    /// The outcome of the request.
    pub body: ReplyBody,
}

/// The outcome of a client's request.
///
/// New variants go last, because their positions are on the wire (`tests/wire/golden.rs`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplyBody {
    /// The state machine applied the command and replied.
    Replied {
        /// The id of the command's log entry.
        id: EntryId,
        /// The reply of the state machine.
        #[serde(with = "Bytes")]
        reply: Arc<[u8]>,
    },
    /// A client session was registered.
    Registered {
        /// The id of the request's log entry.
        id: EntryId,
        /// The session id: the index of the entry that registered it.
        session: Index,
    },
    /// The client has no such session, or the session no longer stores this request or its reply:
    /// the command was not executed now, may have been executed before, and will not be later.
    SessionExpired {
        /// The id of the request's log entry.
        id: EntryId,
    },
    /// The sequence number of the request is beyond the session's window.
    OutsideWindow {
        /// The id of the request's log entry.
        id: EntryId,
    },
    /// The command is not an encoded request.
    Malformed {
        /// The id of the command's log entry.
        id: EntryId,
    },
    /// The command is in the leader's memory only, and may be lost.
    MayBeLost {
        /// The id of the command's entry in the leader's log.
        id: EntryId,
    },
    /// The state machine's answer to a read.
    Answered {
        /// The guaranteed freshness of the answer.
        freshness: Freshness,
        /// The read index that the read waited for.
        index: Index,
        /// The last index that the state machine had applied.
        applied: Index,
        /// The answer of the state machine.
        #[serde(with = "Bytes")]
        answer: Vec<u8>,
    },
    /// The membership change is complete and committed.
    MembershipChangeCommitted {
        /// The id of the entry with the last membership of the change.
        id: EntryId,
    },
    /// The leader transferred its leadership.
    LeadershipTransferred,
    /// The node has started the requested work; later reports show its progress.
    Started,
    /// The full status of the node.
    Report(Box<Report>),
    /// The request had no effect and will have none, with two exceptions: after
    /// `RejectReason::TransferAborted` the target may still take over the leadership; after
    /// `RejectReason::ChangeCancelled` the nodes that were to become voters stay learners.
    Rejected {
        /// The reason for the rejection.
        reason: RejectReason,
        /// The leader, if the node knows it.
        leader: Option<LeaderHint>,
    },
    /// The outcome is unknown: the request may have been applied, or may be applied later.
    Unknown,
    /// The service of this node rejects the request.
    ServiceRejected(ServiceRejectReason),
    /// The state machines of all nodes reject the command.
    MachineRejected {
        /// The id of the command's log entry.
        id: EntryId,
        /// The reason for the rejection, with the bound that the command exceeds, if any.
        reason: MachineRejectReason,
    },
    /// A part of the node's recording.
    RecordingPart {
        /// The number of the file.
        file: u64,
        /// The offset of the first byte in the file.
        offset: u64,
        /// The number of the newest file.
        newest: u64,
        /// The bytes from there on, as many as a part has; empty at the end of the file.
        #[serde(with = "Bytes")]
        bytes: Vec<u8>,
    },
}

/// The leader, as a node knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderHint {
    /// The id of the leader.
    pub id: NodeId,
    /// The leader's address; empty if the membership has none.
    pub address: Address,
}

/// The reason for which a node's client service rejects a request. The request had no effect,
/// except that a request whose answer is too large was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ServiceRejectReason {
    /// The request requires the rights of an administrator.
    NotAllowed,
    /// The answer exceeds the maximum size of a reply: request less.
    AnswerTooLarge,
    /// The node has the maximum number of pending requests: retry later.
    Overloaded,
    /// The node has no recording that can be read.
    NoRecording,
}

impl ClientReply {
    /// Appends the reply's frame to `into`.
    ///
    /// # Errors
    /// A [`WireError`] if it is longer than [`Kind::bytes_max`]; `into` is then unchanged.
    pub fn encode(&self, into: &mut Vec<u8>) -> Result<(), WireError> {
        let start = into.len();
        let written = append(Kind::Reply, into, |into| write(Kind::Reply, self, into));
        assert_eq!(into.len() > start, written.is_ok(), "only a valid reply has a frame");
        debug_assert!(
            written.is_err() || ClientReply::decode(&into[start..]).as_ref() == Ok(self),
            "an encoded reply decodes to itself"
        );
        written.map_err(|error| WireError { offset: 0, error })
    }

    /// Decodes bytes that are exactly one frame with a reply.
    ///
    /// # Errors
    /// A [`WireError`] if they are not.
    pub fn decode(bytes: &[u8]) -> Result<ClientReply, WireError> {
        read_whole(Kind::Reply, bytes, ClientReply::decode_body)
    }

    pub(in crate::wire) fn decode_body(body: &[u8]) -> Result<ClientReply, FrameError> {
        const MAX: usize = Kind::Reply.bytes_max();
        read::<ClientReply, MAX>(Kind::Reply, body)
    }
}

texts! { ServiceRejectReason:
    Self::NotAllowed => "the request requires an administrator";
    Self::AnswerTooLarge => "the answer exceeds the maximum size of a reply: request less";
    Self::Overloaded => "the node has too many pending requests: retry later";
    Self::NoRecording => "the node has no recording that can be read";
}
