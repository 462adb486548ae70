//! A connection that is ready for frames, in plaintext or over TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
#[cfg(feature = "tls")]
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};

use crate::runtime::environment::{Environment, RawStream, Socket};
use crate::runtime::principal::Principal;
use crate::runtime::rejected_connections::{ConnectionRejectReason, reject};
#[cfg(feature = "tls")]
use crate::runtime::tls::{self, CertificateWatch, Tls};
#[cfg(feature = "tls")]
use crate::runtime::transport::other_protocol::{FirstBytes, OtherProtocol};
#[cfg(feature = "tls")]
use crate::runtime::transport::received_bytes::CountedStream;
use crate::types::NodeId;

/// The stream of a connection, plaintext or TLS.
pub(in crate::runtime) type Stream = Box<dyn Socket>;

/// A connection, with the principal at its other end.
pub(in crate::runtime) struct Link {
    pub(in crate::runtime) stream: Stream,
    /// `None` on a plaintext connection, which proves no identity.
    pub(in crate::runtime) principal: Option<Principal>,
    pub(in crate::runtime) trust: Trust,
    /// The bytes that were received below TLS; `None` on a plaintext connection, whose stream shows
    /// every byte.
    pub(in crate::runtime) received: Option<Arc<AtomicU64>>,
}

/// The protection of connections: plaintext or TLS.
#[derive(Clone, Debug)]
pub(in crate::runtime) enum Security {
    /// A plaintext connection without authentication.
    Plaintext {
        /// Whether this end may connect to addresses beyond loopback. `ServerConfig::check`
        /// restricts the address at which a node listens.
        beyond_loopback: bool,
    },
    /// TLS, with a certificate at each end.
    #[cfg(feature = "tls")]
    Tls(Tls),
}

/// The connections of a node or a client: where they are made, and how they are protected.
#[derive(Clone, Debug)]
pub(in crate::runtime) struct Links {
    pub(in crate::runtime) environment: Environment,
    pub(in crate::runtime) security: Security,
}

impl Links {
    /// Prepares an accepted connection; performs the TLS handshake.
    pub(in crate::runtime) async fn accept(&self, stream: RawStream) -> io::Result<Link> {
        match stream {
            RawStream::System(tcp) => {
                tcp.set_nodelay(true)?;
                self.security.accept(tcp).await
            }
            RawStream::Simulated(stream) => self.security.accept(stream).await,
        }
    }

    /// Resolves `name`, and returns the result of `connect` for the first address at which it
    /// succeeds. Takes at most `max` in all.
    pub(in crate::runtime) async fn connect_any<T, F>(
        &self,
        name: &str,
        max: Duration,
        connect: impl FnMut(SocketAddr) -> F,
    ) -> io::Result<T>
    where
        F: Future<Output = io::Result<T>>,
    {
        let deadline = Instant::now() + max;
        let resolved = timeout(max, self.environment.resolve(name)).await;
        first_reachable(resolved.unwrap_or_else(connect_timed_out)?, deadline, connect).await
    }

    /// Connects to the node at an address. With TLS, the node's certificate must name `node`,
    /// if it is given.
    pub(in crate::runtime) async fn connect(
        &self,
        address: SocketAddr,
        node: Option<NodeId>,
    ) -> io::Result<Link> {
        let loopback_only = matches!(self.security, Security::Plaintext { beyond_loopback: false });
        if loopback_only && !address.ip().is_loopback() {
            let message = format!(
                "plaintext connections beyond loopback are not allowed, and {address} is not a \
                 loopback address: use TLS, or set `plaintext`"
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
        }
        match self.environment.connect(address).await? {
            RawStream::System(tcp) => {
                tcp.set_nodelay(true)?;
                self.security.connect(tcp, node).await
            }
            RawStream::Simulated(stream) => self.security.connect(stream, node).await,
        }
    }
}

impl Security {
    async fn accept<S: Socket + 'static>(&self, stream: S) -> io::Result<Link> {
        match self {
            Security::Plaintext { .. } => Ok(Link::plaintext(stream)),
            #[cfg(feature = "tls")]
            Security::Tls(tls) => {
                let (stream, received) = CountedStream::new(stream);
                let first = stream.first_bytes();
                let accepted = tls.accept(stream).await;
                let (stream, principal, watch) =
                    accepted.map_err(|error| match received.load(Ordering::Relaxed) {
                        0 => closed_without_bytes(error),
                        _ => with_protocol(error, first.get()),
                    })?;
                Ok(Link::tls(stream, principal, watch, received))
            }
        }
    }

    async fn connect<S>(&self, stream: S, node: Option<NodeId>) -> io::Result<Link>
    where
        S: Socket + 'static,
    {
        match (self, node) {
            (Security::Plaintext { .. }, _) => Ok(Link::plaintext(stream)),
            #[cfg(feature = "tls")]
            (Security::Tls(tls), node) => {
                let (stream, received) = CountedStream::new(stream);
                let first = stream.first_bytes();
                let connected = tls.connect(stream, node).await;
                let (stream, principal, watch) =
                    connected.map_err(|error| with_protocol(error, first.get()))?;
                Ok(Link::tls(stream, principal, watch, received))
            }
        }
    }
}

/// Returns the error of a TLS handshake. If the remote does not use TLS, and is no node or client
/// of quorate either, the error names its protocol.
#[cfg(feature = "tls")]
fn with_protocol(error: io::Error, first: Option<&FirstBytes>) -> io::Error {
    if ConnectionRejectReason::of(&error) != Some(ConnectionRejectReason::NotTls) {
        return error;
    }
    match first.and_then(FirstBytes::other_protocol) {
        None | Some(OtherProtocol::Tls) => error,
        Some(other) => other.error(),
    }
}

/// Gives the error of a connection on which no byte has arrived a reason of its own if the remote
/// closed that connection.
pub(super) fn closed_without_bytes(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => reject(
            ConnectionRejectReason::ClosedWithoutBytes,
            "the remote closed the connection without sending a byte, as a load balancer does to \
             check a port",
        ),
        _ => error,
    }
}

/// Tries the addresses in turn. Each has an equal part of the remaining time, so that an
/// unreachable address leaves time for the others.
async fn first_reachable<T, F>(
    addresses: Vec<SocketAddr>,
    deadline: Instant,
    mut connect: impl FnMut(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    for (attempted, address) in addresses.iter().enumerate() {
        let remaining = u32::try_from(addresses.len() - attempted).unwrap_or(u32::MAX);
        let part = deadline.saturating_duration_since(Instant::now()) / remaining;
        match timeout(part, connect(*address)).await.unwrap_or_else(connect_timed_out) {
            Ok(connection) => return Ok(connection),
            Err(error) => last_error = error,
        }
    }
    Err(last_error)
}

/// Adds to the error of a connection the reason for which TLS failed, if TLS failed. The remote
/// checks a certificate after the handshake of this end, so its answer is an error of a later read.
pub(in crate::runtime) fn classified(error: io::Error) -> io::Error {
    #[cfg(feature = "tls")]
    let error = tls::classified(error);
    error
}

fn connect_timed_out<T>(_: Elapsed) -> io::Result<T> {
    let message = "the connection and its handshake did not complete within the time limit";
    Err(reject(ConnectionRejectReason::HandshakeTimeout, message))
}

impl Link {
    fn plaintext(stream: impl Socket + 'static) -> Link {
        let trust = Trust::Plaintext;
        Link { stream: Box::new(stream), principal: None, trust, received: None }
    }

    #[cfg(feature = "tls")]
    fn tls(
        stream: impl Socket + 'static,
        principal: Principal,
        watch: CertificateWatch,
        received: Arc<AtomicU64>,
    ) -> Link {
        let (principal, trust) = (Some(principal), Trust::Certificate(watch));
        Link { stream: Box::new(stream), principal, trust, received: Some(received) }
    }
}

/// The trust in the other end of a connection.
pub(in crate::runtime) enum Trust {
    /// The other end has not proved its identity.
    Plaintext,
    /// The other end has proved its identity by a certificate, which may be revoked or expire.
    #[cfg(feature = "tls")]
    Certificate(CertificateWatch),
}

impl Trust {
    /// Waits until the certificate is no longer trusted, and returns the reason as an error.
    pub(in crate::runtime) async fn revoked(&mut self) -> io::Error {
        match self {
            Trust::Plaintext => std::future::pending().await,
            #[cfg(feature = "tls")]
            Trust::Certificate(watch) => watch.revoked().await,
        }
    }
}

#[cfg(test)]
impl Links {
    /// Returns plaintext connections on this machine.
    pub(in crate::runtime) fn for_test() -> Links {
        let security = Security::Plaintext { beyond_loopback: false };
        Links { environment: Environment::System, security }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Vec<SocketAddr> {
        [1, 2, 3].map(|port| SocketAddr::from(([127, 0, 0, 1], port))).to_vec()
    }

    #[tokio::test(start_paused = true)]
    async fn an_unreachable_address_leaves_time_for_the_others() {
        let (start, max) = (Instant::now(), Duration::from_secs(3));
        let connection = first_reachable(addresses(), start + max, async |address: SocketAddr| {
            match address.port() {
                1 => std::future::pending().await,
                2 => Err(io::ErrorKind::ConnectionRefused.into()),
                port => {
                    tokio::time::sleep(Duration::from_millis(1900)).await;
                    Ok(port)
                }
            }
        });
        assert_eq!(connection.await.expect("the last one answers"), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn unreachable_addresses_take_no_longer_than_the_limit() {
        let (start, max) = (Instant::now(), Duration::from_secs(3));
        let pending = |_| std::future::pending::<io::Result<()>>();
        let error =
            first_reachable(addresses(), start + max, pending).await.expect_err("none answers");
        assert_eq!(
            ConnectionRejectReason::of(&error),
            Some(ConnectionRejectReason::HandshakeTimeout)
        );
        assert_eq!(start.elapsed(), max);
        let no_address = first_reachable(Vec::new(), start + max, pending)
            .await
            .expect_err("there is no address");
        assert_eq!(no_address.kind(), io::ErrorKind::NotFound);
    }
}
