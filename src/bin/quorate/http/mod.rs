//! What a node tells a browser and a Prometheus server, over a small HTTP server that trusts
//! nobody: one request a connection, and little time for it.

mod answer;
mod cluster;
mod health;
mod others;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use quorate::runtime::{Client, Handle};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::http::answer::answer;
use crate::http::cluster::Watch;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serves {
    /// `/metrics`, `/health` and `/live`.
    Metrics,
    /// The page, and what it asks for.
    Page,
}

/// One address that is served.
#[derive(Debug)]
pub(crate) struct Endpoint {
    listener: TcpListener,
    site: Arc<Site>,
}

/// What an answer is made of.
#[derive(Debug)]
struct Site {
    serves: Serves,
    /// Whether only this machine should get here.
    loopback: bool,
    handle: Handle,
    watch: Watch,
}

impl Endpoint {
    /// Listens; nobody is answered before [`Endpoint::run`]. `client` is how the page learns of the
    /// other nodes, if it may.
    pub(crate) async fn bind(
        address: SocketAddr,
        serves: Serves,
        handle: Handle,
        client: Option<Client>,
    ) -> io::Result<Endpoint> {
        let listener = TcpListener::bind(address).await?;
        let (loopback, watch) = (address.ip().is_loopback(), Watch::new(handle.clone(), client));
        let site = Arc::new(Site { serves, loopback, handle, watch });
        Ok(Endpoint { listener, site })
    }

    /// Where it listens, with the port that the system chose.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until it is dropped.
    pub(crate) async fn run(self) -> Infallible {
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let permit = Arc::clone(&connections).acquire_owned().await;
            match self.listener.accept().await {
                Ok((stream, from)) => {
                    let site = Arc::clone(&self.site);
                    tokio::spawn(async move {
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
