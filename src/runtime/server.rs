//! A node that runs: from its directory to its end.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tracing::{Instrument, info, info_span};

use crate::machine::StateMachine;
use crate::replica::{Node, OpenError, Replica};
use crate::runtime::ask::Ask;
use crate::runtime::clock::Clock;
use crate::runtime::config::{ServerConfig, ServerConfigError};
use crate::runtime::driver::{Driver, Queues};
use crate::runtime::handle::Handle;
use crate::runtime::lanes::Lanes;
use crate::runtime::metrics::Counts;
use crate::runtime::tasks::Tasks;
use crate::runtime::transport::{Arrivals, Greeting, Listener, Peers};
use crate::storage::{self, Disk, DiskError, Failure, FileDisk, Identity, Storage};
use crate::types::{Incarnation, Membership};

/// How many packets wait to be taken: beyond it a connection is not read on.
const ARRIVALS_MAX: usize = 1024;

/// A node that runs in this process. Dropping it ends it as a crash would, and loses nothing that
/// was acknowledged; [`Server::shutdown`] ends it in good order.
#[derive(Debug)]
pub struct Server {
    handle: Handle,
    address: SocketAddr,
    ended: Option<oneshot::Receiver<Result<(), Failure>>>,
    _tasks: Tasks,
}

/// Why a server does not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerError {
    /// The configuration makes no sense.
    Config(ServerConfigError),
    /// The directory cannot be used.
    Disk(DiskError),
    /// The node cannot start on it.
    Open(OpenError),
    /// Nobody can be heard at the address.
    Listen(SocketAddr, io::Error),
    /// The system gives no threads.
    Threads(io::Error),
}

impl Server {
    /// Starts a node on its directory, which is made if it is missing. `machine` is the user's
    /// state machine: empty, or as far as it made itself durable.
    ///
    /// Must be called within a tokio runtime that has time and IO enabled. Recovery reads the disk
    /// at once.
    ///
    /// # Errors
    /// A [`ServerError`]; the directory is left as it is.
    pub async fn start<M>(config: ServerConfig, machine: M) -> Result<Server, ServerError>
    where
        M: StateMachine + Send + 'static,
    {
        config.check().map_err(ServerError::Config)?;
        let disk = FileDisk::open(&config.directory).map_err(ServerError::Disk)?;
        Server::start_on(disk, config, machine).await
    }

    /// The same on any disk; `ServerConfig::directory` is not looked at.
    ///
    /// # Errors
    /// A [`ServerError`].
    pub async fn start_on<M, D>(
        disk: D,
        config: ServerConfig,
        machine: M,
    ) -> Result<Server, ServerError>
    where
        M: StateMachine + Send + 'static,
        D: Disk + Clone + Send + 'static,
    {
        config.check().map_err(ServerError::Config)?;
        // All that the node says, on whichever thread, says whose it is.
        let span = info_span!("node", id = %config.replica.raft.id, cluster = %config.cluster);
        Server::open(disk, config, machine).instrument(span).await
    }

    async fn open<M, D>(
        mut disk: D,
        config: ServerConfig,
        machine: M,
    ) -> Result<Server, ServerError>
    where
        M: StateMachine + Send + 'static,
        D: Disk + Clone + Send + 'static,
    {
        let clock = Clock::start();
        found(&mut disk, &config)?;
        let seed = entropy() as u64;
        let (cluster, replica) = (config.cluster, config.replica.clone());
        let opened = Replica::open(&mut disk, cluster, machine, replica, seed, clock.now());
        let Replica { node, worker } = opened.map_err(ServerError::Open)?;

        let (identity, origin) = (node.storage().identity(), node.storage().origin());
        let greeting = Greeting {
            cluster,
            origin: origin.map(|origin| origin.cluster),
            node: identity.node,
            incarnation: identity.incarnation,
        };
        let (urgent, urgent_queue) = mpsc::channel(ARRIVALS_MAX);
        let (bulk, bulk_queue) = mpsc::channel(ARRIVALS_MAX);
        let counts = Arc::new(Counts::new(identity.node, cluster));
        counts.network.watch("urgent", &urgent);
        counts.network.watch("bulk", &bulk);
        let arrivals = Arrivals { urgent, bulk, counts: Arc::clone(&counts) };
        let network = config.network.clone();
        let listener = Listener::bind(config.listen, greeting, network.clone(), arrivals.clone());
        let listener = listener.await.map_err(|error| ServerError::Listen(config.listen, error))?;
        let address = listener.address().unwrap_or(config.listen);

        let (done, done_queue) = mpsc::unbounded_channel();
        let lanes = Lanes::start(&disk, worker, &done, &counts);
        let lanes = lanes.map_err(ServerError::Threads)?;
        drop((done, disk));
        let peers = peers(&config, greeting, &node, &counts);
        let (asks, asks_queue) = mpsc::channel(config.requests_max);
        counts.network.watch("asks", &asks);
        let queues = Queues {
            done: done_queue,
            urgent: urgent_queue,
            bulk: bulk_queue,
            asks: asks_queue,
            _arrivals: arrivals,
            _asks: asks.clone(),
        };
        let (driver, handle) = Driver::new(node, clock, (lanes, peers), queues, (asks, counts));
        let (tell, ended) = oneshot::channel();
        let mut tasks = Tasks::default();
        tasks.spawn(async move {
            let (end, mut lanes) = tokio::select! {
                ended = driver.run() => ended,
                never = listener.run() => match never {},
            };
            // The directory is free once every lane has let go of it.
            while lanes.recv().await.is_some() {}
            let _ = tell.send(end);
        });
        info!(%address, "listening");
        Ok(Server { handle, address, ended: Some(ended), _tasks: tasks })
    }

    /// A way to talk to the node.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Where peers connect: `ServerConfig::listen`, with the port that the system chose if that
    /// was 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the node has stopped: because somebody shut it down, or by itself.
    ///
    /// # Errors
    /// The failure it stopped for.
    pub async fn ended(&mut self) -> Result<(), Failure> {
        match &mut self.ended {
            None => Ok(()),
            Some(ended) => {
                let end = ended.await;
                self.ended = None;
                end.unwrap_or(Ok(()))
            }
        }
    }

    /// Ends the node in good order: it hands its leadership over, what waits for the disk becomes
    /// durable, and the directory is free. Takes up to an election timeout.
    ///
    /// # Errors
    /// The failure it stopped for.
    pub async fn shutdown(mut self) -> Result<(), Failure> {
        // A node that has stopped already takes nothing any more.
        let _ = self.handle.asks.send(Ask::Close).await;
        self.ended().await
    }
}

/// Everybody who is known from the start.
fn peers(config: &ServerConfig, greeting: Greeting, node: &Node, counts: &Arc<Counts>) -> Peers {
    let known = config.peers.clone();
    let mut peers = Peers::new(greeting, config.network.clone(), known, Arc::clone(counts));
    if let Some(founders) = &config.replica.raft.founders {
        peers.meet(founders);
    }
    peers.meet(node.raft().log().membership());
    peers
}

/// An empty directory becomes the node's. What is in any other, opening it tells.
fn found(disk: &mut impl Disk, config: &ServerConfig) -> Result<(), ServerError> {
    let (cluster, node) = (config.cluster, config.replica.raft.id);
    let identity = Identity { cluster, node, incarnation: Incarnation(entropy()) };
    let nobody = Membership::default();
    match Storage::format(disk, identity, &nobody, &config.replica.storage) {
        Ok(()) | Err(storage::OpenError::NotEmpty(_)) => Ok(()),
        Err(error) => Err(ServerError::Open(OpenError::Storage(error))),
    }
}

#[expect(clippy::disallowed_methods, reason = "no two starts of a node draw the same")]
fn entropy() -> u128 {
    rand::random()
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerError::Config(error) => error.fmt(f),
            ServerError::Disk(error) => error.fmt(f),
            ServerError::Open(error) => error.fmt(f),
            ServerError::Listen(address, error) => {
                write!(f, "cannot listen at {address}: {error}")
            }
            ServerError::Threads(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for ServerError {}
