//! The server: an address, its connections, and how long each may take.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::http::answer::answer;
use crate::http::cluster::Watch;
use crate::http::site::Site;
use crate::runtime::{Client, Handle};

/// The most connections at a time; others wait in the system's queue.
const CONNECTIONS_MAX: usize = 64;
/// How long a request's headers may take to arrive.
const HEADERS_TIME_MAX: Duration = Duration::from_secs(5);
/// How long a connection may last, from its first byte to its last.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(15);
/// How many headers a request may have, and how many bytes.
const HEADERS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 16 << 10;

/// What is served at one address.
#[derive(Clone, Debug)]
pub enum Serves {
    /// `/metrics` in the text format of Prometheus; `/health`, which is 200 where the node knows a
    /// leader and has applied all but the last entries, and 503 elsewhere; `/live`, which is 200 as
    /// long as the node runs.
    Metrics,
    /// `/`, a page that shows the living cluster: nodes, roles, terms, logs, links, throughput and
    /// latency. Also `/health` and `/live`.
    Page {
        /// Asks the other nodes how they are, as [`ClientConfig::of_node`] may; without it the page
        /// shows what this node knows of them.
        ///
        /// [`ClientConfig::of_node`]: crate::runtime::ClientConfig::of_node
        others: Option<Client>,
    },
}

/// An address at which a node is asked over HTTP. There is no TLS, and no question who asks: who
/// reaches the address sees everything that is served there, and no value of the state machine.
#[derive(Debug)]
pub struct Endpoint {
    listener: TcpListener,
    site: Arc<Site>,
}

impl Endpoint {
    /// Listens; nobody is answered before [`Endpoint::run`]. At a loopback address only requests
    /// for `localhost` or an IP address are answered, so that no page of the web can read along.
    ///
    /// # Errors
    /// The address is taken, or not one of this machine.
    pub async fn bind(address: SocketAddr, serves: Serves, handle: Handle) -> io::Result<Endpoint> {
        let listener = TcpListener::bind(address).await?;
        let watch = match serves {
            Serves::Metrics => None,
            Serves::Page { others } => Some(Watch::new(handle.clone(), others)),
        };
        let site =
            Arc::new(Site { loopback: address.ip().to_canonical().is_loopback(), handle, watch });
        Ok(Endpoint { listener, site })
    }

    /// Where it listens, with the port that the system chose.
    ///
    /// # Errors
    /// The system does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until it is dropped, with whatever it has under way.
    pub async fn run(self) -> Infallible {
        let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        loop {
            let permit = Arc::clone(&permits).acquire_owned().await;
            while connections.try_join_next().is_some() {}
            match self.listener.accept().await {
                Ok((stream, from)) => {
                    let site = Arc::clone(&self.site);
                    connections.spawn(async move {
                        if let Err(why) = talk(stream, site).await {
                            debug!(%from, %why, "a connection for HTTP ended early");
                        }
                        drop(permit);
                    });
                }
                Err(error) => {
                    warn!(%error, "no connection for HTTP could be taken");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// One request and its answer.
async fn talk(stream: TcpStream, site: Arc<Site>) -> Result<(), String> {
    let service = service_fn(move |request| {
        let site = Arc::clone(&site);
        async move { Ok::<_, Infallible>(answer(&site, &request).await) }
    });
    let connection = Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_TIME_MAX)
        .keep_alive(false)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(CONNECTION_TIME_MAX, connection).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err("it took too long".to_owned()),
    }
}
