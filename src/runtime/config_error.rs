//! The reasons for which the configuration of a server is invalid.

use std::net::SocketAddr;
use std::time::Duration;

use crate::types::NodeId;

/// The reasons for which a [`ServerConfig`](crate::runtime::ServerConfig) is invalid. Their texts
/// name fields by their paths; `raft` stands for `replica.raft`.
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
        "raft.election_timeout_min and raft.election_timeout_max are both {0:?}: raise the latter, \
        for example to twice the former"
    )]
    FixedElectionTimeout(Duration),
    /// The named field is zero, although it must be positive.
    #[error("{0} is zero: it must be positive")]
    Zero(&'static str),
    /// `recording_bytes` is not 0, and less than `min`.
    #[error("recording_bytes is {bytes}: it must be 0, for no recording, or at least {min} bytes")]
    RecordingTooSmall {
        /// The configured number of bytes.
        bytes: u64,
        /// The least number of bytes other than 0.
        min: u64,
    },
    /// The named field is longer than a year.
    #[error("{0} is {1:?}, longer than a year: lower it")]
    TooLong(&'static str, Duration),
    /// The named bound of `raft` is less than the requests that the service and the handle admit,
    /// so some clients, or the program, could use up the whole bound.
    #[error(
        "{field} is {bound}, less than requests_max, service.requests_max and \
        service.requests_reserved together, which are {requests}: raise it"
    )]
    BelowRequests {
        /// The name of the bound.
        field: &'static str,
        /// The value of the bound.
        bound: usize,
        /// The least value of the bound.
        requests: usize,
    },
    /// The named bound of the service is less than the longest command that the node accepts, or,
    /// with `service.forwards`, than four of them: such a command would always be rejected as
    /// overload.
    #[error(
        "{field} is {bound}, less than the {kib} KiB that the longest command needs (four of them \
        with service.forwards): raise it, or lower raft.command_bytes_max"
    )]
    BelowCommand {
        /// The name of the bound.
        field: &'static str,
        /// The value of the bound, in KiB.
        bound: u32,
        /// The least value of the bound, in KiB.
        kib: usize,
    },
    /// The named bound is more than one message between nodes can carry.
    #[error(
        "{field} is {bound}, more than the {max} that one message between nodes can carry: lower it"
    )]
    AboveWire {
        /// The name of the bound.
        field: &'static str,
        /// The value of the bound.
        bound: usize,
        /// The highest value of the bound.
        max: usize,
    },
    /// `network.keepalive_timeout` is less than two keepalive intervals.
    #[error(
        "network.keepalive_timeout is {keepalive_timeout:?}: it must be at least twice \
        network.keepalive_interval, which is {keepalive_interval:?}"
    )]
    KeepaliveTimeoutTooShort {
        /// The time without a received byte after which a connection is closed.
        keepalive_timeout: Duration,
        /// The interval at which an idle side of a connection sends a keepalive.
        keepalive_interval: Duration,
    },
    /// `network.retry_max` is less than `network.retry_min`.
    #[error(
        "network.retry_max is {retry_max:?}: it must be at least network.retry_min, which is \
        {retry_min:?}"
    )]
    RetryMaxBelowMin {
        /// The configured longest wait.
        retry_max: Duration,
        /// The configured first wait.
        retry_min: Duration,
    },
}
