//! The HTTP server: an address, its connections, and their time limits.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{sleep, timeout};
use tracing::debug;

use crate::http::cluster_view::ClusterView;
use crate::http::places::{CONNECTIONS_MAX, Place, Places, Replaced};
use crate::http::routes::{is_health_check, overloaded, route};
use crate::http::site::{RunningNode, Site};
use crate::runtime::{Client, Handle, Listener, RawStream, is_of_connection};

/// The time limit for the headers of a request.
const HEADERS_TIME_MAX: Duration = Duration::from_secs(5);
/// The time limit of a whole connection.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(15);
/// The pause after a failure to accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The maximum number of headers of a request.
const HEADERS_MAX: usize = 64;
/// The maximum number of bytes of the first line and the headers of a request.
const HEADER_BYTES_MAX: usize = 16 << 10;

/// The content that an endpoint serves.
#[derive(Clone, Debug)]
pub enum EndpointContent {
    /// `/metrics` in the OpenMetrics text format, and three health checks, which reply 200 or 503.
    /// `/live` replies 200 while the node runs and its driver is not stuck. `/health` replies 200
    /// if `/live` does, the node knows a leader that accepts its disk, and it has applied all but
    /// the last 10,000 committed entries. `/ready` replies 200 if `/health` does, and the node
    /// knows no `WriteObstacle`. The alarm of a quota affects no health check.
    Metrics,
    /// `/`, a page that shows the running cluster: nodes, roles, terms, logs, links, throughput and
    /// latency; `/api/cluster`, its data as JSON; and the three health checks.
    Page {
        /// The client that requests the reports of the other nodes, as [`ClientConfig::of_node`]
        /// permits. Without it the page shows what this node knows of them.
        ///
        /// [`ClientConfig::of_node`]: crate::runtime::ClientConfig::of_node
        peer_client: Option<Client>,
    },
}

/// The HTTP listener of a node at one address. There is neither TLS nor authentication: every
/// client that reaches the address can read everything that is served there, but no data of the
/// state machine.
#[derive(Debug)]
pub struct Endpoint {
    listener: Listener,
    site: Arc<Site>,
    places: Arc<Places>,
}

impl Endpoint {
    /// The maximum number of connections that are open at one address. A program adds this number
    /// to `ServerConfig::files_reserved` for each endpoint that it serves.
    pub const CONNECTIONS_MAX: usize = CONNECTIONS_MAX;

    /// Listens at the address; [`Endpoint::run`] answers the requests. At a loopback address it
    /// answers only requests whose `Host` is `localhost` or an IP address, so that no page of
    /// another origin can read the responses.
    ///
    /// # Errors
    /// If the operating system cannot listen at the address, for example because it is in use.
    pub async fn bind(
        address: SocketAddr,
        content: EndpointContent,
        handle: Handle,
    ) -> io::Result<Endpoint> {
        let listener = handle.environment().listen(address).await?;
        Ok(Endpoint::serving(listener, address, content, handle))
    }

    /// Does the same as [`Endpoint::bind`], with a listener that the program has bound, for example
    /// before it starts the node, so that a node whose address is in use does not start.
    ///
    /// # Errors
    /// If the operating system cannot use the listener.
    pub fn with_listener(
        listener: std::net::TcpListener,
        content: EndpointContent,
        handle: Handle,
    ) -> io::Result<Endpoint> {
        let (listener, address) = system_listener(listener)?;
        Ok(Endpoint::serving(listener, address, content, handle))
    }

    /// Answers health checks at the listener until the future is dropped, for a node that starts
    /// and may read its log for minutes: `/live` with 200, the others with 503 and the reason. The
    /// program passes a clone of the listener, and the listener itself to
    /// [`Endpoint::with_listener`] after the start.
    ///
    /// # Errors
    /// If the operating system cannot use the listener.
    pub async fn run_before_start(listener: std::net::TcpListener) -> io::Result<Infallible> {
        let (listener, address) = system_listener(listener)?;
        Ok(Endpoint::new(listener, address, None).run().await)
    }

    fn serving(
        listener: Listener,
        address: SocketAddr,
        content: EndpointContent,
        handle: Handle,
    ) -> Endpoint {
        let cluster_view = match content {
            EndpointContent::Metrics => None,
            EndpointContent::Page { peer_client } => {
                Some(ClusterView::new(handle.clone(), peer_client))
            }
        };
        Endpoint::new(listener, address, Some(RunningNode { handle, cluster_view }))
    }

    fn new(listener: Listener, address: SocketAddr, node: Option<RunningNode>) -> Endpoint {
        let loopback = address.ip().to_canonical().is_loopback();
        Endpoint { listener, site: Arc::new(Site { loopback, node }), places: Places::new() }
    }

    /// Returns the address at which the endpoint listens, with the port that the operating system
    /// chose if none was given.
    ///
    /// # Errors
    /// If the operating system cannot return the address.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.address()
    }

    /// Serves requests until the future is dropped, which also closes the open connections.
    pub async fn run(self) -> Infallible {
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            match self.listener.accept().await {
                Ok((stream, from)) => {
                    match stream {
                        RawStream::System(tcp) => {
                            connections.spawn(logged(from, self.serve(tcp)));
                        }
                        RawStream::Simulated(stream) => {
                            connections.spawn(logged(from, self.serve(stream)));
                        }
                    }
                    // Lets the new task read a request that came with its connection before a
                    // further connection can displace it.
                    yield_now().await;
                }
                Err(error) if is_of_connection(&error) => {}
                Err(error) => {
                    // The usual cause is the limit of open files.
                    self.site.log_accept_failure(&error);
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Returns the listener for tokio, and its address.
fn system_listener(listener: std::net::TcpListener) -> io::Result<(Listener, SocketAddr)> {
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    Ok((Listener::System(TcpListener::from_std(listener)?), address))
}

/// Serves a connection, and logs its end.
async fn logged(from: SocketAddr, served: impl Future<Output = ()>) {
    served.await;
    debug!(%from, "an HTTP connection ended");
}

impl Endpoint {
    /// Serves the one request of a connection that the program has accepted itself, for example on
    /// a Unix socket, within the limits of this endpoint.
    pub fn serve<S>(&self, stream: S) -> impl Future<Output = ()> + Send + use<S>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (place, replaced) = self.places.take();
        let served = serve_connection(stream, Arc::clone(&self.site), place, replaced);
        async move {
            if let Err(error) = served.await {
                debug!(%error, "an HTTP connection ended early");
            }
        }
    }
}

/// Serves the one request of a connection, unless a newer connection takes its place before the
/// request has arrived.
async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    site: Arc<Site>,
    place: Place,
    replaced: Replaced,
) -> Result<(), String> {
    let place = Arc::new(place);
    let service = service_fn(move |request| {
        let (site, place) = (Arc::clone(&site), Arc::clone(&place));
        async move {
            Ok::<_, Infallible>(match place.reply(is_health_check(&request)) {
                true => route(&site, &request).await,
                false => overloaded(),
            })
        }
    });
    let connection = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_TIME_MAX)
        .keep_alive(false)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        biased;
        served = timeout(CONNECTION_TIME_MAX, connection) => match served {
            Ok(done) => done.map_err(|error| error.to_string()),
            Err(_) => Err("the connection exceeded its time limit".to_owned()),
        },
        _ = replaced => Err("a newer connection took the place of its request".to_owned()),
    }
}
