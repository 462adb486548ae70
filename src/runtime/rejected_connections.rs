//! The reasons for which connections are rejected or closed, and their counters.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use strum::{VariantArray, VariantNames};

/// The reasons for which this end rejects or closes a connection, or gives up establishing one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, VariantArray, VariantNames)]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum ConnectionRejectReason {
    /// The connection was not established, or its handshake was not complete, within
    /// `handshake_timeout`.
    HandshakeTimeout,
    /// The remote closed the connection before it completed the handshake.
    ClosedInHandshake,
    /// The remote closed the connection without sending a byte, as a load balancer does to check a
    /// port.
    ClosedWithoutBytes,
    /// A limit was reached: `handshakes_max`, `connections_max`, `connections_reserved`,
    /// `connections_per_origin_max`, or the open files that `files_reserved` leaves.
    TooManyConnections,
    /// A newer connection of the same node replaced this one. Or another process of that node has
    /// answered at the address of the node, so the process of this connection is a copy.
    Replaced,
    /// The remote speaks another protocol, such as HTTP or SSH.
    OtherProtocol,
    /// The remote sent plaintext, or something else that is not TLS.
    NotTls,
    /// The remote uses TLS, but this end does not.
    UnexpectedTls,
    /// The remote supports no TLS version or algorithm that this end accepts.
    UnsupportedTls,
    /// The remote presented no certificate.
    NoCertificate,
    /// The certificate has expired, or is not valid yet.
    CertificateExpired,
    /// No trusted authority of the certificate's role issued it, it was revoked, or it breaks
    /// another rule, such as the one about key usage.
    CertificateUntrusted,
    /// The remote rejected the certificate of this end.
    CertificateRejected,
    /// The certificate cannot be parsed, or does not name a principal by exactly one URI.
    NoPrincipal,
    /// TLS failed for another reason.
    TlsFailed,
    /// The remote belongs to another cluster.
    OtherCluster,
    /// The role of the remote's certificate does not permit the connection.
    RoleNotAllowed,
    /// The remote is not the node that its certificate names or that was called, or
    /// has the id of this node.
    IdentityMismatch,
    /// The remote is a process of a node, but not the one that answers at the node's address.
    TwoProcesses,
    /// The hello is invalid for another reason.
    InvalidHello,
    /// The remote sent a packet in the name of another node.
    WrongSender,
    /// The remote sent a hello or a packet that is addressed to another node.
    WrongRecipient,
    /// A frame was longer than its kind permits.
    FrameTooLong,
    /// A frame was invalid, or not permitted at its place.
    InvalidFrame,
    /// Nothing arrived, or nothing could be written, within the time limit.
    KeepaliveTimeout,
    /// A frame did not arrive, or replies were not accepted, within the time limit of their size:
    /// the remote sent or accepted bytes, but too slowly.
    TooSlow,
    /// Nothing but keepalives arrived within the time limit.
    Idle,
}

impl ConnectionRejectReason {
    /// Every reason, in the order of the variants.
    pub const ALL: &'static [ConnectionRejectReason] = <Self as VariantArray>::VARIANTS;

    /// Returns the name of the reason, as metrics label it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        <Self as VariantNames>::VARIANTS[self as usize]
    }

    /// Returns true if a retry fails until an operator changes the configuration or the
    /// certificates of one end.
    pub(super) fn needs_operator(self) -> bool {
        matches!(
            self,
            ConnectionRejectReason::OtherProtocol
                | ConnectionRejectReason::NotTls
                | ConnectionRejectReason::UnexpectedTls
                | ConnectionRejectReason::UnsupportedTls
                | ConnectionRejectReason::NoCertificate
                | ConnectionRejectReason::CertificateExpired
                | ConnectionRejectReason::CertificateUntrusted
                | ConnectionRejectReason::CertificateRejected
                | ConnectionRejectReason::NoPrincipal
                | ConnectionRejectReason::OtherCluster
                | ConnectionRejectReason::RoleNotAllowed
                | ConnectionRejectReason::IdentityMismatch
        )
    }

    /// Returns the reason of an error that [`reject`] returned; `None` for any other error.
    pub(super) fn of(error: &io::Error) -> Option<ConnectionRejectReason> {
        error.get_ref()?.downcast_ref::<ConnectionRejected>().map(|rejected| rejected.reason)
    }
}

/// Returns an error that is counted for `reason` and displays `message`.
pub(super) fn reject(reason: ConnectionRejectReason, message: impl fmt::Display) -> io::Error {
    let kind = match reason {
        ConnectionRejectReason::HandshakeTimeout
        | ConnectionRejectReason::KeepaliveTimeout
        | ConnectionRejectReason::TooSlow
        | ConnectionRejectReason::Idle => io::ErrorKind::TimedOut,
        _ => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, ConnectionRejected { reason, message: message.to_string() })
}

#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct ConnectionRejected {
    reason: ConnectionRejectReason,
    message: String,
}

/// The number of connections that were rejected or closed, by reason.
#[derive(Debug, Default)]
pub(super) struct RejectedConnections([AtomicU64; ConnectionRejectReason::ALL.len()]);

impl RejectedConnections {
    /// Counts the error if it has a [`ConnectionRejectReason`].
    pub(super) fn count(&self, error: &io::Error) {
        if let Some(reason) = ConnectionRejectReason::of(error) {
            self.0[reason as usize].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns every reason with its count.
    pub(super) fn counts(&self) -> Vec<(ConnectionRejectReason, u64)> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        ConnectionRejectReason::ALL.iter().copied().zip(counts).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_counter() {
        let rejected = RejectedConnections::default();
        for (index, reason) in ConnectionRejectReason::ALL.iter().copied().enumerate() {
            assert_eq!(reason as usize, index, "{}", reason.name());
            for _ in 0..index {
                rejected.count(&reject(reason, "because"));
            }
        }
        rejected.count(&io::ErrorKind::BrokenPipe.into());
        let counts: Vec<u64> = rejected.counts().into_iter().map(|(_, count)| count).collect();
        assert_eq!(counts, (0..ConnectionRejectReason::ALL.len() as u64).collect::<Vec<_>>());
    }
}
