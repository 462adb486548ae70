//! What comes of one command of the log.

use std::fmt;
use std::sync::Arc;

use crate::machine::request::SessionId;

/// What comes of one command of the log; the same on every node that still knows.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The user's machine has carried the command out, now or when it stood in the log for the
    /// first time, and this is its reply.
    Reply(Arc<[u8]>),
    /// The session is open.
    Registered(SessionId),
    /// The session, or what it knew of this request, is forgotten: the command was not carried
    /// out here, and whether it was before nobody can tell. It never will be again.
    SessionExpired,
    /// The sequence number is beyond the session's window: nothing happened. A copy of the
    /// request that comes later in the log may still be carried out.
    OutsideWindow,
    /// The bytes are no request: nothing happened.
    Malformed,
}

impl Outcome {
    /// The outcome as bytes, for hashing: what it is, and what it says.
    pub(crate) fn hashed(&self) -> (u8, &[u8], [u8; 8]) {
        match self {
            Outcome::Reply(reply) => (1, reply, (reply.len() as u64).to_le_bytes()),
            Outcome::Registered(session) => (2, &[], session.0.0.to_le_bytes()),
            Outcome::SessionExpired => (3, &[], [0; 8]),
            Outcome::OutsideWindow => (4, &[], [0; 8]),
            Outcome::Malformed => (5, &[], [0; 8]),
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
        }
    }
}
