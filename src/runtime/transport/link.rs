//! A connection that is ready for frames: in the clear, or through TLS.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout};

use crate::runtime::principal::Principal;
use crate::runtime::refusal::{Refusal, refused};
#[cfg(feature = "tls")]
use crate::runtime::tls::{Checked, Tls};
use crate::types::NodeId;

/// Bytes in both directions.
pub(in crate::runtime) trait Socket:
    AsyncRead + AsyncWrite + Send + Unpin
{
}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// A connection, whatever carries it.
pub(in crate::runtime) type Stream = Box<dyn Socket>;

/// A connection, and who is at its other end.
pub(in crate::runtime) struct Link {
    pub(in crate::runtime) stream: Stream,
    /// None in the clear: nobody knows.
    pub(in crate::runtime) principal: Option<Principal>,
    pub(in crate::runtime) trust: Trust,
}

/// How connections are protected.
#[derive(Clone, Debug)]
pub(in crate::runtime) enum Security {
    /// Not at all.
    Plaintext {
        /// Whether words may leave this machine so.
        leaves: bool,
    },
    /// By TLS, and a certificate at each end.
    #[cfg(feature = "tls")]
    Tls(Tls),
}

impl Security {
    /// Makes a connection that was taken ready.
    pub(in crate::runtime) async fn accept(&self, tcp: TcpStream) -> io::Result<Link> {
        tcp.set_nodelay(true)?;
        match self {
            Security::Plaintext { .. } => Ok(Link::plaintext(tcp)),
            #[cfg(feature = "tls")]
            Security::Tls(tls) => Ok(Link::checked(tls.accept(tcp).await?)),
        }
    }

    /// What `call` makes of the first of the name's addresses where it succeeds, within `max`.
    pub(in crate::runtime) async fn reach<T, F>(
        &self,
        name: &str,
        max: Duration,
        call: impl FnMut(SocketAddr) -> F,
    ) -> io::Result<T>
    where
        F: Future<Output = io::Result<T>>,
    {
        let by = Instant::now() + max;
        let found = timeout(max, lookup_host(name)).await.unwrap_or_else(late)?;
        first(found.collect(), by, call).await
    }

    /// Connects to the node at an address; to `node` if that is known, and then nobody else will
    /// do.
    pub(in crate::runtime) async fn call(
        &self,
        address: SocketAddr,
        node: Option<NodeId>,
    ) -> io::Result<Link> {
        let stays = matches!(self, Security::Plaintext { leaves: false });
        if stays && !address.ip().is_loopback() {
            let what = format!("{address} is not on this machine: use TLS, or allow `plaintext`");
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, what));
        }
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        match (self, node) {
            (Security::Plaintext { .. }, _) => Ok(Link::plaintext(tcp)),
            #[cfg(feature = "tls")]
            (Security::Tls(tls), node) => Ok(Link::checked(tls.call(tcp, node).await?)),
        }
    }
}

/// Calls one address after the other. Each has an equal part of the time that is left: one that is
/// dead takes none of the others'.
async fn first<T, F>(
    addresses: Vec<SocketAddr>,
    by: Instant,
    mut call: impl FnMut(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (tried, address) in addresses.iter().enumerate() {
        let left = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        let part = by.saturating_duration_since(Instant::now()) / left;
        match timeout(part, call(*address)).await.unwrap_or_else(late) {
            Ok(reached) => return Ok(reached),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn late<T>(_: Elapsed) -> io::Result<T> {
    Err(refused(Refusal::Late, "it took too long until it answered"))
}

impl Link {
    fn plaintext(tcp: TcpStream) -> Link {
        Link { stream: Box::new(tcp), principal: None, trust: Trust::Plaintext }
    }

    #[cfg(feature = "tls")]
    fn checked((stream, principal, checked): (impl Socket + 'static, Principal, Checked)) -> Link {
        let (principal, trust) = (Some(principal), Trust::Checked(checked));
        Link { stream: Box::new(stream), principal, trust }
    }
}

/// Whether the other side is still trusted.
pub(in crate::runtime) enum Trust {
    /// Nobody ever asked.
    Plaintext,
    /// It has a certificate.
    #[cfg(feature = "tls")]
    Checked(Checked),
}

impl Trust {
    /// Waits until the other side is not trusted any more, and says why.
    pub(in crate::runtime) async fn lost(&mut self) -> io::Error {
        match self {
            Trust::Plaintext => std::future::pending().await,
            #[cfg(feature = "tls")]
            Trust::Checked(checked) => checked.lost().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses() -> Vec<SocketAddr> {
        [1, 2, 3].map(|port| SocketAddr::from(([127, 0, 0, 1], port))).to_vec()
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_is_dead_leaves_the_others_their_time() {
        let (start, max) = (Instant::now(), Duration::from_secs(3));
        let reached =
            first(addresses(), start + max, async |address: SocketAddr| match address.port() {
                1 => std::future::pending().await,
                2 => Err(io::ErrorKind::ConnectionRefused.into()),
                port => {
                    tokio::time::sleep(Duration::from_millis(1900)).await;
                    Ok(port)
                }
            });
        assert_eq!(reached.await.expect("the last one answers"), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn none_is_waited_for_beyond_the_bound() {
        let (start, max) = (Instant::now(), Duration::from_secs(3));
        let pending = |_| std::future::pending::<io::Result<()>>();
        let error = first(addresses(), start + max, pending).await.expect_err("none answers");
        assert_eq!(Refusal::of(&error), Some(Refusal::Late));
        assert_eq!(start.elapsed(), max);
        let nobody = first(Vec::new(), start + max, pending).await.expect_err("there is none");
        assert_eq!(nobody.kind(), io::ErrorKind::NotFound);
    }
}
