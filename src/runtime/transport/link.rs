//! A connection that is ready for frames: in the clear, or through TLS.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};

use crate::runtime::principal::Principal;
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

    /// A connection to the first of the name's addresses that takes one, and may be called.
    async fn connect(&self, address: &str) -> io::Result<TcpStream> {
        let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for found in lookup_host(address).await? {
            let stays = matches!(self, Security::Plaintext { leaves: false });
            if stays && !found.ip().is_loopback() {
                let what = format!("{found} is not on this machine: use TLS, or allow `plaintext`");
                failed = io::Error::new(io::ErrorKind::PermissionDenied, what);
                continue;
            }
            match TcpStream::connect(found).await {
                Ok(tcp) => return Ok(tcp),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Connects to a node; to `node` if that is known, and then nobody else will do.
    pub(in crate::runtime) async fn call(
        &self,
        address: &str,
        node: Option<NodeId>,
    ) -> io::Result<Link> {
        let tcp = self.connect(address).await?;
        tcp.set_nodelay(true)?;
        match (self, node) {
            (Security::Plaintext { .. }, _) => Ok(Link::plaintext(tcp)),
            #[cfg(feature = "tls")]
            (Security::Tls(tls), node) => Ok(Link::checked(tls.call(tcp, node).await?)),
        }
    }
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
