//! What a client wants of a node.

use serde::{Deserialize, Serialize};

use crate::types::{Acknowledge, Change, Command, NodeId, ReadLevel};
use crate::wire::client::form::{AcknowledgeForm, ReadLevelForm, change, node};
use crate::wire::codec::{read, write};
use crate::wire::error::{Flaw, WireError};
use crate::wire::form::bytes;
use crate::wire::frame::{append, read_whole};
use crate::wire::kind::Kind;

/// One request. Many may wait for their replies on one connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientRequest {
    /// Comes back with the reply; no other request of the connection that waits has it.
    pub number: u64,
    /// What is wanted.
    pub wanted: Wanted,
}

/// What a client wants. What only an administrator may ask for says so.
///
/// A new variant goes last: `tests/wire/golden.rs` holds what each one's bytes are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wanted {
    /// To have a command carried out: a request as `machine::Request::encode` gives it.
    Propose {
        /// When it counts as done.
        #[serde(with = "AcknowledgeForm")]
        acknowledge: Acknowledge,
        /// The request.
        #[serde(with = "bytes")]
        command: Command,
    },
    /// To have the state machine answer.
    Read {
        /// How fresh the answer has to be.
        #[serde(with = "ReadLevelForm")]
        level: ReadLevel,
        /// What is asked.
        #[serde(with = "bytes")]
        query: Vec<u8>,
    },
    /// To know how the node is doing.
    Report,
    /// To change who counts. For administrators.
    ChangeMembership(#[serde(with = "change")] Change),
    /// To give up a change whose voters to come still lack the log. For administrators.
    GiveUpChange,
    /// To have the leader hand over: to the voter named, or to the best. For administrators.
    Transfer(#[serde(with = "node")] Option<NodeId>),
    /// To have the node campaign. For administrators.
    Campaign,
    /// To have the node take a snapshot of its state machine. For administrators.
    Snapshot,
}

impl ClientRequest {
    /// Appends the request's frame to `into`.
    ///
    /// # Errors
    /// A [`WireError`] if it is longer than [`Kind::Request`] may be, or its change names more
    /// than [`Change::EDITS_MAX`] differences: then `into` is as it was.
    pub fn encode(&self, into: &mut Vec<u8>) -> Result<(), WireError> {
        let written = append(Kind::Request, into, |into| write(Kind::Request, self, into));
        written.map_err(|flaw| WireError { offset: 0, flaw })
    }

    /// Reads bytes that are one frame with a request.
    ///
    /// # Errors
    /// A [`WireError`] if they are anything else.
    pub fn decode(bytes: &[u8]) -> Result<ClientRequest, WireError> {
        read_whole(Kind::Request, bytes, ClientRequest::decode_body)
    }

    pub(in crate::wire) fn decode_body(body: &[u8]) -> Result<ClientRequest, Flaw> {
        const MAX: usize = Kind::Request.bytes_max();
        read::<ClientRequest, MAX>(Kind::Request, body)
    }
}
