//! The reasons for which the configuration of a server is invalid.

use std::net::SocketAddr;
use std::time::Duration;

use crate::types::NodeId;

/// The reasons for which a [`ServerConfig`](crate::runtime::ServerConfig) is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerConfigError {
    /// The node is not among the members that bootstrap the cluster.
    #[error("{0} is not in the member list: add it with its own address")]
    NotMember(NodeId),
    /// The member is listed twice.
    #[error("{0} is listed twice in the member list: remove one of the two")]
    DuplicateMember(NodeId),
    /// The listen address is not a loopback address, and neither TLS nor `plaintext` is set.
    #[error(
        "plaintext connections at {0}, beyond loopback, are not allowed: set `tls`, \
        listen on a loopback address, or set `plaintext`"
    )]
    PlaintextNotAllowed(SocketAddr),
    /// The shortest and the longest election timeout are equal, so nodes may campaign at the
    /// same time without end.
    #[error(
        "election_timeout_min and election_timeout_max are both {0:?}: raise the latter, for \
        example to twice the former"
    )]
    FixedElectionTimeout(Duration),
    /// The named field is zero, although it must be positive.
    #[error("{0} is zero: it must be positive")]
    Zero(&'static str),
    /// `recording_bytes` is not 0, and less than this number of bytes.
    #[error("recording_bytes must be 0, for no recording, or at least {0} bytes")]
    RecordingTooSmall(u64),
    /// The named field is longer than a year.
    #[error("{0} is longer than a year: lower it")]
    TooLong(&'static str),
    /// The named bound of `raft` is less than the requests that the service and the handle admit,
    /// so some clients, or the program, could take all of it.
    #[error(
        "{field} is less than requests_max, service.requests_max and service.requests_reserved \
        together, which are {requests}: raise it"
    )]
    BelowRequests {
        /// The name of the bound.
        field: &'static str,
        /// The least value of the bound.
        requests: usize,
    },
    /// The named bound of the service is less than the longest command that the node accepts, or,
    /// with `service.forwards`, than four of them: such a command would always be rejected as
    /// overload.
    #[error(
        "{field} is less than {kib} KiB, which the longest command needs (four of them with \
        service.forwards): raise it, or lower command_bytes_max"
    )]
    BelowCommand {
        /// The name of the bound.
        field: &'static str,
        /// The least value of the bound, in KiB.
        kib: usize,
    },
    /// The named bound is more than one message between nodes can carry.
    #[error(
        "{field} is more than {max}, the most that one message between nodes can carry: lower it"
    )]
    AboveWire {
        /// The name of the bound.
        field: &'static str,
        /// The highest value of the bound.
        max: usize,
    },
    /// `keepalive_timeout` is less than two keepalive intervals.
    #[error("keepalive_timeout must be at least twice keepalive_interval")]
    KeepaliveTimeoutTooShort,
    /// `retry_max` is less than `retry_min`.
    #[error("retry_max must be at least retry_min")]
    RetryMaxBelowMin,
}
