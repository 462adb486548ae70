//! Requests from a client to a node.

use serde::{Deserialize, Serialize};

use crate::types::serial::Bytes;
use crate::types::{Acknowledge, Change, Command, NodeId, ReadLevel};
use crate::wire::codec::{read, write};
use crate::wire::error::{FrameError, WireError};
use crate::wire::frame::{append, read_whole};
use crate::wire::kind::Kind;

/// One request of a client. A connection may have many pending requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRequest {
    /// Identifies the request in its reply; no other pending request of the connection has the same
    /// number.
    pub number: u64,
    /// The content of the request.
    pub body: RequestBody,
}

/// The content of a client's request. Some require the rights of an administrator.
///
/// New variants go last, because their positions are on the wire (`tests/wire/golden.rs`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestBody {
    /// Proposes a command, encoded by `machine::Request::encode`. The node writes the client into
    /// the command, so that no client can claim to be another.
    Propose {
        /// The condition under which the proposal is acknowledged.
        acknowledge: Acknowledge,
        /// The bytes of the command.
        command: Command,
    },
    /// Reads from the state machine.
    Read {
        /// The required freshness of the answer.
        level: ReadLevel,
        /// The bytes of the query.
        #[serde(with = "Bytes")]
        query: Vec<u8>,
    },
    /// Requests the full status of the node.
    Report,
    /// Changes the membership. For administrators.
    ChangeMembership(Change),
    /// Cancels a membership change whose new voters have not caught up yet. For administrators.
    CancelMembershipChange,
    /// Transfers the leadership to the named voter, or to one that the leader chooses. For
    /// administrators.
    TransferLeadership(Option<NodeId>),
    /// Makes the node campaign, as if its election timeout had passed. For administrators.
    Campaign,
    /// Takes a snapshot of the node's state machine. For administrators.
    TakeSnapshot,
    /// Proposes a command of another node's client. For nodes that forward proposals.
    ProposeFor {
        /// The condition under which the proposal is acknowledged.
        acknowledge: Acknowledge,
        /// The bytes of the command, in which the other node has written its client, by
        /// `machine::Proposer::stamp`.
        command: Command,
    },
    /// Reads a part of the node's recording. For administrators.
    ReadRecording {
        /// The number of the file; if it was removed, the next file is read from its beginning.
        file: u64,
        /// The offset of the first byte in that file.
        offset: u64,
    },
}

impl ClientRequest {
    /// Appends the request's frame to `into`.
    ///
    /// # Errors
    /// A [`WireError`] if it is longer than [`Kind::bytes_max`], or its change has more than
    /// [`Change::EDITS_MAX`] edits; `into` is then unchanged.
    pub fn encode(&self, into: &mut Vec<u8>) -> Result<(), WireError> {
        let start = into.len();
        let written = append(Kind::Request, into, |into| write(Kind::Request, self, into));
        assert_eq!(into.len() > start, written.is_ok(), "only a valid request has a frame");
        // It may decode to another request, because a duration beyond 2^64 nanoseconds is
        // shortened.
        debug_assert!(
            written.is_err() || ClientRequest::decode(&into[start..]).is_ok(),
            "an encoded request decodes"
        );
        written.map_err(|error| WireError { offset: 0, error })
    }

    /// Decodes bytes that are exactly one frame with a request.
    ///
    /// # Errors
    /// A [`WireError`] if they are not.
    pub fn decode(bytes: &[u8]) -> Result<ClientRequest, WireError> {
        read_whole(Kind::Request, bytes, ClientRequest::decode_body)
    }

    pub(in crate::wire) fn decode_body(body: &[u8]) -> Result<ClientRequest, FrameError> {
        const MAX: usize = Kind::Request.bytes_max();
        read::<ClientRequest, MAX>(Kind::Request, body)
    }
}
