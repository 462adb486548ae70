//! Why a call did not end well: what happened, and what to do.

use std::fmt;

use crate::types::RejectReason;
use crate::wire::Denial;

/// Why a call did not end well.
///
/// What matters first is what became of the request: [`ClientError::NotProposed`] and
/// [`ClientError::Rejected`] say that nothing happened and nothing will; only after
/// [`ClientError::Unknown`] it may have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClientError {
    /// Nothing happened before the deadline, and nothing will: safe to call again.
    NotProposed(Trouble),
    /// It may have happened, once, or happen yet: find out by a read before calling again.
    Unknown(Trouble),
    /// Nothing happened: the cluster does not do this, however often it is asked.
    Rejected(Rejection),
}

/// What went wrong last.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// The node was not reached, or the connection did not come about.
    Unreachable {
        /// Its address.
        address: String,
        /// Why.
        error: String,
    },
    /// The connection broke before the reply.
    Lost {
        /// The node's address.
        address: String,
        /// How.
        error: String,
    },
    /// The node had not replied by the deadline.
    Unanswered {
        /// Its address.
        address: String,
    },
    /// The node could not do it just then.
    Hindered {
        /// Its address.
        address: String,
        /// Why.
        reason: RejectReason,
    },
    /// The node had too much to do.
    Overloaded {
        /// Its address.
        address: String,
    },
    /// The leader gave up its leadership before the request was decided.
    Undecided {
        /// Its address.
        address: String,
    },
    /// The cluster forgot the session in which the request was made: too many others were opened.
    SessionExpired,
    /// As many proposals as the session takes were under way until the deadline.
    WindowFull,
    /// The cluster opened no session for the client before the deadline.
    NoSession,
    /// The node replied to something else than it was asked: its version is not this one.
    Nonsense,
    /// What was asked last was refused, after an attempt that may have been carried out.
    Refused(Rejection),
}

/// Why the cluster does not do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejection {
    /// The cluster's rules are against it.
    Reason(RejectReason),
    /// The node does not do it for this client.
    Denied(Denial),
    /// The request is longer than a request may be: [`crate::wire::Kind::Request`] has the bound.
    RequestTooLarge,
    /// The command is no request that a state machine's sessions know.
    Malformed,
}

impl Rejection {
    /// What to do about it.
    fn advice(&self) -> Option<&'static str> {
        Some(match self {
            Rejection::Reason(reason) => match reason {
                RejectReason::TooLarge => "send a smaller one, or raise command_bytes_max",
                RejectReason::MembershipChangeInFlight => {
                    "wait until it is complete, or give it up"
                }
                RejectReason::NoSuccessor => "name a voter that is up to date",
                RejectReason::TransferAborted => "see whether the other node keeps up, and repeat",
                _ => return None,
            },
            Rejection::Denied(Denial::NotAllowed) => "use an administrator's certificate",
            Rejection::RequestTooLarge => "split it",
            Rejection::Denied(_) | Rejection::Malformed => return None,
        })
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::NotProposed(trouble) => {
                write!(f, "nothing happened before the deadline: {trouble}")
            }
            ClientError::Unknown(trouble) => {
                write!(f, "it may have happened, or happen yet: {trouble}")
            }
            ClientError::Rejected(rejection) => write!(f, "nothing happened: {rejection}"),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Unreachable { address, error } => {
                write!(f, "{address} was not reached: {error}")
            }
            Trouble::Lost { address, error } => {
                write!(f, "the connection to {address} broke: {error}")
            }
            Trouble::Unanswered { address } => write!(f, "{address} did not reply in time"),
            Trouble::Hindered { address, reason } => write!(f, "{address} says: {reason}"),
            Trouble::Overloaded { address } => write!(f, "{address} has too much to do"),
            Trouble::Undecided { address } => {
                write!(f, "{address} ceased to lead before it was decided")
            }
            Trouble::SessionExpired => f.write_str(
                "the cluster forgot the client's session: raise sessions_max if there are so many",
            ),
            Trouble::WindowFull => f.write_str(
                "as many proposals as the session takes were under way: raise its window",
            ),
            Trouble::NoSession => f.write_str("the cluster opened no session for the client"),
            Trouble::Nonsense => f.write_str("the node replied to something else"),
            Trouble::Refused(rejection) => rejection.fmt(f),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rejection::Reason(reason) => reason.fmt(f)?,
            Rejection::Denied(denial) => denial.fmt(f)?,
            Rejection::RequestTooLarge => f.write_str("the request is too long for a frame")?,
            Rejection::Malformed => f.write_str("the command is no request")?,
        }
        match self.advice() {
            Some(advice) => write!(f, ": {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ClientError {}
