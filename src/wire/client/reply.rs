//! What a node tells a client.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::types::{Address, EntryId, Freshness, Index, NodeId, RejectReason, Report};
use crate::wire::client::form::{FreshnessForm, RejectReasonForm, address, report};
use crate::wire::codec::{read, write};
use crate::wire::error::{Flaw, WireError};
use crate::wire::form::{EntryIdForm, IndexForm, NodeIdForm, bytes};
use crate::wire::frame::{append, read_whole};
use crate::wire::kind::Kind;

/// The one reply to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientReply {
    /// That of the request.
    pub number: u64,
    /// What came of it.
    pub told: Told,
}

/// What came of a request.
///
/// A new variant goes last: `tests/wire/golden.rs` holds what each one's bytes are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// The command was carried out: the state machine's reply.
    Replied {
        /// Where it stands in the log.
        #[serde(with = "EntryIdForm")]
        id: EntryId,
        /// The reply.
        #[serde(with = "bytes")]
        reply: Arc<[u8]>,
    },
    /// A session is open.
    Registered {
        /// Where the request stands in the log.
        #[serde(with = "EntryIdForm")]
        id: EntryId,
        /// The session: the index of the entry that opened it.
        #[serde(with = "IndexForm")]
        session: Index,
    },
    /// The session, or what it knew of the request, is forgotten.
    SessionExpired {
        /// Where the request stands in the log.
        #[serde(with = "EntryIdForm")]
        id: EntryId,
    },
    /// The number of the request is beyond its session's window.
    OutsideWindow {
        /// Where the request stands in the log.
        #[serde(with = "EntryIdForm")]
        id: EntryId,
    },
    /// The command is no request.
    Malformed {
        /// Where it stands in the log.
        #[serde(with = "EntryIdForm")]
        id: EntryId,
    },
    /// The command is in the leader's memory, and may be lost.
    MayBeLost {
        /// Where it was appended.
        #[serde(with = "EntryIdForm")]
        id: EntryId,
    },
    /// The state machine's answer to a read.
    Answered {
        /// How fresh it is.
        #[serde(with = "FreshnessForm")]
        freshness: Freshness,
        /// The index that the read waited for.
        #[serde(with = "IndexForm")]
        index: Index,
        /// How far the state machine had applied the log.
        #[serde(with = "IndexForm")]
        applied: Index,
        /// The answer.
        #[serde(with = "bytes")]
        answer: Vec<u8>,
    },
    /// The change of the membership is complete.
    Changed {
        /// Where the last membership of the change stands.
        #[serde(with = "EntryIdForm")]
        id: EntryId,
    },
    /// The leadership was handed over.
    Resigned,
    /// The node has begun to do it; a report tells how far it is.
    Begun,
    /// How the node is doing.
    Report(#[serde(with = "report")] Box<Report>),
    /// Nothing happened, and nothing will.
    Rejected {
        /// Why.
        #[serde(with = "RejectReasonForm")]
        reason: RejectReason,
        /// Who leads, if the node knows it.
        leader: Option<LeaderHint>,
    },
    /// It may have happened, or happen yet.
    Unknown,
    /// This node does not do it for this client now.
    Refused(Denial),
}

/// Who leads, as a node knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaderHint {
    /// Its id.
    #[serde(with = "NodeIdForm")]
    pub id: NodeId,
    /// Where it is reached; empty if the membership does not say.
    #[serde(with = "address")]
    pub address: Address,
}

/// Why a node does not do something for a client. Nothing happened, save for an answer that is too
/// large: what it answers was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Denial {
    /// Only an administrator may ask for this.
    NotAllowed,
    /// The answer is longer than a reply may be: ask for less.
    AnswerTooLarge,
    /// As many requests wait as the node takes: try again later.
    Overloaded,
}

impl ClientReply {
    /// Appends the reply's frame to `into`.
    ///
    /// # Errors
    /// A [`WireError`] if it is longer than [`Kind::Reply`] may be: then `into` is as it was.
    pub fn encode(&self, into: &mut Vec<u8>) -> Result<(), WireError> {
        let written = append(Kind::Reply, into, |into| write(Kind::Reply, self, into));
        written.map_err(|flaw| WireError { offset: 0, flaw })
    }

    /// Reads bytes that are one frame with a reply.
    ///
    /// # Errors
    /// A [`WireError`] if they are anything else.
    pub fn decode(bytes: &[u8]) -> Result<ClientReply, WireError> {
        read_whole(Kind::Reply, bytes, ClientReply::decode_body)
    }

    pub(in crate::wire) fn decode_body(body: &[u8]) -> Result<ClientReply, Flaw> {
        const MAX: usize = Kind::Reply.bytes_max();
        read::<ClientReply, MAX>(Kind::Reply, body)
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Denial::NotAllowed => "only an administrator may ask for this",
            Denial::AnswerTooLarge => "the answer is longer than a reply may be: ask for less",
            Denial::Overloaded => "the node has as many requests as it takes: try again later",
        })
    }
}
