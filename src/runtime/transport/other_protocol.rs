//! The protocols that a remote may speak in place of this one, by the first bytes that it sends.

use std::io;

use crate::runtime::rejected_connections::{ConnectionRejectReason, reject};
use crate::wire::MAGIC;

/// The number of bytes that show which protocol a remote speaks.
const SIGN_BYTES: usize = MAGIC.len();

/// The first byte of TLS records: of an alert, and of a message of the handshake (RFC 8446 §5.1).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

/// The answer to a TLS handshake: the fatal alert `unexpected_message`, by which the other end
/// recognizes why the handshake failed.
pub(super) const NO_TLS_ALERT: [u8; 7] = [ALERT, 3, 3, 0, 2, 2, 10];

/// The answer to a request of HTTP, which a browser or `curl` prints.
const NO_HTTP_RESPONSE: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Connection: close\r\n\
    \r\n\
    This is the address of a quorate node for nodes and clients, which do not speak HTTP.\n\
    The metrics, the health checks and the status page have addresses of their own.\n";

/// The protocol that a remote speaks in place of that of nodes and clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OtherProtocol {
    /// The remote uses TLS, but this end does not.
    Tls,
    /// The remote is a web server or sends a request to one.
    Http,
    /// The remote is an SSH server or client.
    Ssh,
    /// The remote speaks a protocol that is not recognized; it began with these bytes.
    Unknown([u8; SIGN_BYTES]),
}

/// The first bytes that have arrived on a connection, as many as show which protocol the remote
/// speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FirstBytes(Vec<u8>);

impl FirstBytes {
    /// Takes the next bytes of the connection, which may arrive one at a time. Returns true if some
    /// of them are among the first.
    pub(super) fn extend(&mut self, arrived: &[u8]) -> bool {
        let missing = SIGN_BYTES - self.0.len();
        self.0.extend(arrived.iter().take(missing));
        missing > 0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "only TLS hides the bytes"))]
    pub(super) fn is_complete(&self) -> bool {
        self.0.len() == SIGN_BYTES
    }

    /// Returns the protocol that the remote speaks in place of this one, if it does.
    pub(super) fn other_protocol(&self) -> Option<OtherProtocol> {
        OtherProtocol::of(&self.0)
    }
}

impl OtherProtocol {
    /// Returns the other protocol that a connection with these first bytes carries; none if it
    /// carries frames, or if too few bytes have arrived.
    fn of(first: &[u8]) -> Option<OtherProtocol> {
        if let [ALERT | HANDSHAKE, 3, ..] = first {
            return Some(OtherProtocol::Tls);
        }
        let first: &[u8; SIGN_BYTES] = first.first_chunk()?;
        match first {
            &MAGIC => None,
            b"HTTP" | b"<!DO" | b"<!do" | b"<htm" | b"<HTM" => Some(OtherProtocol::Http),
            b"GET " | b"HEAD" | b"POST" | b"PUT " | b"DELE" | b"CONN" | b"OPTI" | b"TRAC"
            | b"PATC" | b"PRI " => Some(OtherProtocol::Http),
            // HTTP/2 begins with a frame of type 4, SETTINGS, which has few bytes.
            [0, 0, _, 4] => Some(OtherProtocol::Http),
            b"SSH-" => Some(OtherProtocol::Ssh),
            _ => Some(OtherProtocol::Unknown(*first)),
        }
    }

    /// Returns the error that ends the connection.
    pub(super) fn error(self) -> io::Error {
        let other = ConnectionRejectReason::OtherProtocol;
        match self {
            OtherProtocol::Tls => reject(
                ConnectionRejectReason::UnexpectedTls,
                "the remote uses TLS, but this end does not: both need certificates, or neither; \
                 if the remote is another service, check the address and the port",
            ),
            OtherProtocol::Http => reject(
                other,
                "the remote speaks HTTP, not the protocol of quorate: check the address and the \
                 port; nodes and clients use the address at which a node listens, not that of its \
                 metrics or status page",
            ),
            OtherProtocol::Ssh => reject(
                other,
                "the remote speaks SSH, not the protocol of quorate: check the address and the \
                 port",
            ),
            OtherProtocol::Unknown(first) => reject(
                other,
                format_args!(
                    "the remote does not speak the protocol of quorate, but begins with \"{}\": \
                     check the address and the port",
                    first.escape_ascii()
                ),
            ),
        }
    }

    /// Returns what a node sends before it closes such a connection, so that the caller sees why.
    pub(super) fn answer(self) -> &'static [u8] {
        match self {
            OtherProtocol::Tls => &NO_TLS_ALERT,
            OtherProtocol::Http => NO_HTTP_RESPONSE,
            OtherProtocol::Ssh | OtherProtocol::Unknown(_) => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;
    use crate::runtime::transport::handshake::ConnectionReader;

    #[tokio::test]
    async fn other_protocols_are_recognized_in_reads_of_any_size() {
        let tls = ConnectionRejectReason::UnexpectedTls;
        let other = ConnectionRejectReason::OtherProtocol;
        // None of these has the 32 bytes of a frame's header.
        let cases: [(&[u8], ConnectionRejectReason, &str); 10] = [
            (&NO_TLS_ALERT, tls, "the remote uses TLS"),
            (&[HANDSHAKE, 3, 1, 2, 0], tls, "the remote uses TLS"),
            (&[HANDSHAKE, b'R', 0, 0], other, r#"begins with "\x16R\x00\x00""#),
            (b"HTTP/1.1 400 Bad Request\r\n", other, "speaks HTTP"),
            (b"<!DOCTYPE html>", other, "speaks HTTP"),
            (b"GET /metrics", other, "speaks HTTP"),
            (&[0, 0, 18, 4, 0, 0, 0, 0, 0], other, "speaks HTTP"),
            (b"SSH-2.0-OpenSSH_9.6\r\n", other, "speaks SSH"),
            (b"QRT?", other, r#"begins with "QRT?""#),
            (b"-ERR unknown command\r\n", other, r#"begins with "-ERR""#),
        ];
        for (begin, reason, text) in cases {
            for first in 1..begin.len() {
                let (now, later) = begin.split_at(first);
                let read = ConnectionReader::new().next(&mut now.chain(later)).await;
                let error = read.expect_err("it is not a frame");
                assert_eq!(ConnectionRejectReason::of(&error), Some(reason), "{first}: {error}");
                assert!(error.to_string().contains(text), "{error}");
                assert!(error.to_string().contains("check the address and the port"), "{error}");
            }
        }
    }
}
