//! The outcome of one command of the log.

use std::fmt;
use std::sync::Arc;

use crate::machine::request::{SessionId, encode_version};
use crate::types::MachineRejectReason;

/// The outcome of one command of the log, equal on every node that knows it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The reply of the user's state machine, which executed the command now, or at an earlier
    /// index of the log. Empty for a request that the library executes:
    /// [`Request::SetBounds`](crate::machine::Request::SetBounds) and
    /// [`Request::RaiseVersion`](crate::machine::Request::RaiseVersion).
    Reply(Arc<[u8]>),
    /// The session with this id is registered.
    Registered(SessionId),
    /// The proposer has no such session, or the session no longer stores this request or its reply.
    /// The command was not executed at this index. It may have been executed before, and will not
    /// be executed later.
    SessionExpired,
    /// The sequence number is beyond the session's window: the command was not executed. A later
    /// copy of the request may be executed, once the window has moved.
    OutsideWindow,
    /// The bytes are not an encoded request: they had no effect.
    Malformed,
    /// The request was declined and not executed. A request in a session that is declined because
    /// of the bound on all stored requests still counts as a use of the session, and acknowledges
    /// earlier requests.
    Rejected(MachineRejectReason),
}

impl Outcome {
    /// Returns the size of the reply of the user's state machine, in bytes; 0 without a reply.
    pub(crate) fn reply_bytes(&self) -> usize {
        if let Outcome::Reply(reply) = self { reply.len() } else { 0 }
    }

    /// Returns the outcome for hashing: its kind, its reply, and eight bytes with the length of the
    /// reply, the session id, the bound that was reached or the version.
    pub(crate) fn hashed(&self) -> (u8, &[u8], [u8; 8]) {
        match self {
            Outcome::Reply(reply) => (1, reply, (reply.len() as u64).to_le_bytes()),
            Outcome::Registered(session) => (2, &[], session.0.0.to_le_bytes()),
            Outcome::SessionExpired => (3, &[], [0; 8]),
            Outcome::OutsideWindow => (4, &[], [0; 8]),
            Outcome::Malformed => (5, &[], [0; 8]),
            Outcome::Rejected(reason) => {
                let bound = |max: &u32| u64::from(*max).to_le_bytes();
                let (kind, bound) = match reason {
                    MachineRejectReason::NotAdministrator => (6, [0; 8]),
                    MachineRejectReason::Sessions { max } => (7, bound(max)),
                    MachineRejectReason::Window { max } => (8, bound(max)),
                    MachineRejectReason::RepliesBytesPerSession { max } => (9, bound(max)),
                    MachineRejectReason::Requests { max } => (10, bound(max)),
                    MachineRejectReason::VersionNotHigher { current } => {
                        (11, encode_version(*current))
                    }
                };
                (kind, &[], bound)
            }
        }
    }
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Reply(reply) => write!(f, "reply \"{}\"", reply.escape_ascii()),
            Outcome::Registered(session) => write!(f, "registered {session}"),
            Outcome::SessionExpired => f.write_str("session expired"),
            Outcome::OutsideWindow => f.write_str("outside the window"),
            Outcome::Malformed => f.write_str("malformed"),
            Outcome::Rejected(reason) => write!(f, "rejected: {reason}"),
        }
    }
}
