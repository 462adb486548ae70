//! The errors of client calls: the outcome of the request, its cause, and what to do.

use std::fmt;

use crate::types::{MachineRejectReason, RejectReason};
use crate::wire::ServiceRejectReason;

/// The error of a client call, by the outcome of its request.
///
/// Only after [`ClientError::Unknown`] may the request have been executed, or be executed later.
/// After any other error it was not executed and will not be, except that after
/// [`RejectReason::ChangeCancelled`] the nodes that were to become voters stay learners.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The request was not executed before the deadline, and will not be: it is safe to send again.
    #[error("the request was not executed before the deadline: {0}")]
    NotExecuted(AttemptError),
    /// No node accepts the client as it is configured: each reachable address either is not that of
    /// a node, or its node belongs to another cluster, encrypts differently, or does not trust the
    /// certificate. A retry fails again unless the configuration changes.
    #[error("no node accepts this client: {address}: {error}")]
    Mismatch {
        /// The address of the node.
        address: String,
        /// The part of the configuration that differs.
        mismatch: Mismatch,
        /// The difference, and what to do.
        error: String,
    },
    /// The outcome is unknown: the request may have been executed once, or may be executed later.
    /// Before you send it again, find out with a read whether it was executed.
    #[error("the outcome is unknown, the request may have been executed: {0}")]
    Unknown(AttemptError),
    /// The cluster rejected the request. Repeating it helps only once the cause is removed.
    #[error("the request was rejected: {0}")]
    Rejected(RejectCause),
}

/// The error of the attempt that says most about why a call failed: usually the last one, but an
/// error of a node that accepted the client takes precedence over a later one of an unreachable
/// node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// The node is not reachable, or the connection could not be established.
    #[error("{address} is not reachable: {error}")]
    Unreachable {
        /// The address of the node.
        address: String,
        /// The error of the connection attempt.
        error: String,
    },
    /// The node and the client are configured differently, or the address is not that of a node.
    #[error("{address} does not accept this client: {error}")]
    Mismatch {
        /// The address of the node.
        address: String,
        /// The part of the configuration that differs.
        mismatch: Mismatch,
        /// The difference, and what to do.
        error: String,
    },
    /// The connection was lost before the reply arrived.
    #[error("the connection to {address} was lost: {error}")]
    ConnectionLost {
        /// The address of the node.
        address: String,
        /// The error that ended the connection.
        error: String,
    },
    /// The node did not reply before the deadline, or within `attempt_max`.
    #[error("{address} did not reply in time")]
    TimedOut {
        /// The address of the node.
        address: String,
    },
    /// The node temporarily rejected the request.
    #[error("{address} rejected the request: {}", RejectCause::Node(*reason))]
    NotReady {
        /// The address of the node.
        address: String,
        /// The reason that the node gave.
        reason: RejectReason,
    },
    /// The node rejected the request as overload.
    #[error("{address} is overloaded")]
    Overloaded {
        /// The address of the node.
        address: String,
    },
    /// The node replied that it does not know the outcome: it lost its leadership or stopped
    /// before, a limit left no room for the reply, or it forwarded the request and lost the
    /// connection to the leader.
    #[error(
        "{address} does not know the outcome: it lost its leadership, stopped, had no room for the \
         reply, or lost the connection to the leader"
    )]
    OutcomeUnknown {
        /// The address of the node.
        address: String,
    },
    /// The session of the request has expired, or does not store the reply to it any more, because
    /// the principal exceeded one of the [`SessionBounds`](crate::types::SessionBounds), or one was
    /// lowered.
    #[error(
        "the session has expired: its principal exceeded a bound of client sessions, or a bound \
        was lowered; an administrator can raise the bounds"
    )]
    SessionExpired,
    /// The window of the session was full until the deadline.
    #[error("the window of the session is full: raise the window, or send fewer proposals")]
    WindowFull,
    /// The client could not open a session before the deadline.
    #[error("the client could not open a session")]
    NoSession,
    /// The reply does not match the request: the versions of node and client differ.
    #[error("the reply does not match the request: check the versions of node and client")]
    UnexpectedReply,
    /// The attempt was rejected, but the call does not end with [`ClientError::Rejected`]: an
    /// attempt may have been executed, or the rejection was temporary.
    #[error("{0}")]
    Rejected(RejectCause),
}

/// The differences in configuration because of which a client cannot use a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mismatch {
    /// The node does not belong to the cluster that the client expects.
    Cluster,
    /// Only one of the two uses TLS.
    Encryption,
    /// One of the two does not accept the certificate of the other.
    Certificate,
    /// The address is not that of a node: the remote speaks another protocol, such as HTTP.
    Protocol,
}

/// How much the error of an attempt says about the call, the least first. Of the errors since its
/// last wait, a call ends with the latest of those that say most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Significance {
    /// The node is not reachable.
    Unreachable,
    /// The node is reachable, but does not accept the client.
    NotAccepted,
    /// The node has accepted the client.
    Accepted,
}

impl AttemptError {
    pub(super) fn significance(&self) -> Significance {
        match self {
            AttemptError::Unreachable { .. } => Significance::Unreachable,
            AttemptError::Mismatch { .. } => Significance::NotAccepted,
            _ => Significance::Accepted,
        }
    }
}

/// The reasons for which the cluster rejects a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RejectCause {
    /// The replica rejected the request.
    Node(RejectReason),
    /// The client service of the node rejected the request.
    Service(ServiceRejectReason),
    /// The request is larger than the limit of [`crate::wire::Kind::Request`].
    RequestTooLarge,
    /// The command is not an encoded `machine::Request`.
    MalformedCommand,
    /// The state machines of all nodes rejected the command.
    Machine(MachineRejectReason),
}

impl RejectCause {
    /// Returns what the operator or the program can do.
    fn advice(&self) -> Option<&'static str> {
        Some(match self {
            RejectCause::Node(reason) => match reason {
                RejectReason::TooLarge => "send a smaller command, or raise command_bytes_max",
                RejectReason::MembershipChangeInFlight => {
                    "wait until the change is complete, or cancel it"
                }
                RejectReason::NoTransferTarget => "name another voter",
                RejectReason::TransferAborted => "check that the target keeps up, and repeat",
                _ => return None,
            },
            RejectCause::Service(ServiceRejectReason::NotAllowed) => {
                "use an administrator's certificate"
            }
            RejectCause::RequestTooLarge => "split the request",
            RejectCause::Service(_) | RejectCause::MalformedCommand | RejectCause::Machine(_) => {
                return None;
            }
        })
    }
}

impl fmt::Display for RejectCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RejectCause::Node(reason) => reason.fmt(f)?,
            RejectCause::Service(reason) => reason.fmt(f)?,
            RejectCause::Machine(reason) => reason.fmt(f)?,
            RejectCause::RequestTooLarge => f.write_str("the request is larger than a frame")?,
            RejectCause::MalformedCommand => f.write_str("the command is malformed")?,
        }
        match self.advice() {
            Some(advice) => write!(f, ": {advice}"),
            None => Ok(()),
        }
    }
}
