//! A node that runs: from its directory to its end.

use std::convert::Infallible;
use std::fmt;
use std::future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc::{self, Receiver};
use tokio::sync::oneshot;
use tracing::{info, info_span};

use crate::machine::StateMachine;
use crate::replica::{Node, OpenError, Replica, Worker};
use crate::runtime::ask::Ask;
use crate::runtime::client::Relay;
use crate::runtime::clock::Clock;
use crate::runtime::config::{ServerConfig, ServerConfigError};
use crate::runtime::driver::{Driver, Queues, broken};
use crate::runtime::entropy::entropy;
use crate::runtime::handle::Handle;
use crate::runtime::lanes::Lanes;
use crate::runtime::lookout::Lookout;
use crate::runtime::metrics::Counts;
use crate::runtime::service::Service;
use crate::runtime::tasks::Tasks;
#[cfg(feature = "tls")]
use crate::runtime::tls::{Tls, TlsError};
use crate::runtime::transport::gate::Gate;
use crate::runtime::transport::link::Security;
use crate::runtime::transport::{Arrivals, Door, Greeting, Inlet, Listener, Peers, Transport};
use crate::storage::{self, Disk, DiskError, Failure, FileDisk, Identity, Storage};
use crate::types::{Incarnation, Membership, Packet};

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
    /// A file of its certificates cannot be used.
    #[cfg(feature = "tls")]
    Tls(TlsError),
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
        let opened = Opened::open(disk, config, machine)?;
        let (arrivals, arrived) = queues(&opened.counts);
        let Opened { config, greeting, counts, .. } = &opened;
        let (greeting, listen, network) = (*greeting, config.listen, config.network.clone());
        let gate = Arc::new(Gate::new(security(config)?, &network, Arc::clone(counts)));
        let known = config.peers.clone();
        let peers = Peers::new(greeting, network.clone(), Arc::clone(&gate), known);
        let listener = Listener::bind(listen).await;
        let listener = listener.map_err(|error| ServerError::Listen(listen, error))?;
        let address = listener.address().unwrap_or(listen);
        info!(%address, node = %greeting.node, cluster = %greeting.cluster, "listening");
        let inside = arrivals.clone();
        let listening = move |handle, service| {
            listener.run(Door { greeting, config: network, arrivals: inside, handle, service })
        };
        opened.run((arrivals, arrived), (Box::new(peers), gate), address, listening)
    }

    /// The same with another transport than sockets. `ServerConfig::listen`, `peers` and `network`
    /// are not looked at. What the transport brings to this node goes into the [`Inlet`].
    ///
    /// # Errors
    /// A [`ServerError`].
    pub fn start_over<M, D>(
        disk: D,
        config: ServerConfig,
        machine: M,
        transport: impl Transport + 'static,
    ) -> Result<(Server, Inlet), ServerError>
    where
        M: StateMachine + Send + 'static,
        D: Disk + Clone + Send + 'static,
    {
        let opened = Opened::open(disk, config, machine)?;
        let (arrivals, arrived) = queues(&opened.counts);
        let inlet = Inlet::new(arrivals.clone(), opened.greeting.node);
        let address = opened.config.listen;
        let counts = Arc::clone(&opened.counts);
        let gate = Arc::new(Gate::new(
            Security::Plaintext { leaves: false },
            &opened.config.network,
            counts,
        ));
        let transport = (Box::new(transport) as Box<_>, gate);
        let server =
            opened.run((arrivals, arrived), transport, address, |_, _| future::pending())?;
        Ok((server, inlet))
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
                end.unwrap_or_else(|_| Err(broken("the loop around the node")))
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

#[cfg(feature = "tls")]
fn security(config: &ServerConfig) -> Result<Security, ServerError> {
    let Some(files) = &config.tls else {
        return Ok(Security::Plaintext { leaves: config.plaintext });
    };
    let tls = Tls::of_node(files.clone(), config.cluster, config.replica.raft.id);
    Ok(Security::Tls(tls.map_err(ServerError::Tls)?))
}

#[cfg(not(feature = "tls"))]
#[expect(clippy::unnecessary_wraps, reason = "files of certificates may be wrong")]
fn security(config: &ServerConfig) -> Result<Security, ServerError> {
    Ok(Security::Plaintext { leaves: config.plaintext })
}

/// A node that was opened, and does not run yet.
struct Opened<M, D> {
    config: ServerConfig,
    disk: D,
    node: Node,
    worker: Worker<M>,
    clock: Clock,
    greeting: Greeting,
    counts: Arc<Counts>,
}

impl<M, D> Opened<M, D>
where
    M: StateMachine + Send + 'static,
    D: Disk + Clone + Send + 'static,
{
    fn open(mut disk: D, config: ServerConfig, machine: M) -> Result<Self, ServerError> {
        config.check().map_err(ServerError::Config)?;
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
        let counts = Arc::new(Counts::new(identity.node, cluster));
        Ok(Opened { config, disk, node, worker, clock, greeting, counts })
    }

    /// Runs the node, and `listening` as long as it does.
    fn run<L>(
        self,
        (arrivals, arrived): (Arrivals, Arrived),
        (mut transport, gate): (Box<dyn Transport>, Arc<Gate>),
        address: SocketAddr,
        listening: impl FnOnce(Handle, Service) -> L,
    ) -> Result<Server, ServerError>
    where
        L: Future<Output = Infallible> + Send + 'static,
    {
        let Opened { config, disk, node, worker, clock, greeting, counts } = self;
        // All that the node says, on whichever thread, says whose it is.
        let span = info_span!("node", id = %greeting.node, cluster = %greeting.cluster);
        let _within = span.enter();
        let (done, done_queue) = mpsc::unbounded_channel();
        let lookout = Lookout::new(config.poll_max);
        let lanes = Lanes::start(&disk, (worker, config.inline_machine), lookout, &done, &counts);
        let lanes = lanes.map_err(ServerError::Threads)?;
        drop((done, disk));
        if let Some(founders) = &config.replica.raft.founders {
            transport.meet(founders);
        }
        transport.meet(node.raft().log().membership());
        let (asks, asks_queue) = mpsc::channel(config.requests_max);
        counts.network.watch("asks", &asks);
        let queues = Queues {
            done: done_queue,
            urgent: arrived.urgent,
            bulk: arrived.bulk,
            asks: asks_queue,
            _arrivals: arrivals,
            _asks: asks.clone(),
        };
        let relay = Relay::new(greeting.cluster, gate.security.clone());
        let (queues, around) = ((queues, lookout), (lanes, transport));
        let (driver, handle) = Driver::new(node, clock, around, queues, (asks, gate));
        let who = (greeting.cluster, greeting.node);
        let service = Service::new(who, config.network, config.service, (handle.clone(), relay));
        let listening = listening(handle.clone(), service.clone());
        let (tell, ended) = oneshot::channel();
        let mut tasks = Tasks::default();
        tasks.spawn(async move {
            let mut listening = std::pin::pin!(listening);
            let (end, mut lanes) = tokio::select! {
                biased;
                ended = driver.run() => ended,
                never = &mut listening => match never {},
            };
            service.drain().await;
            // The directory is free once every lane has let go of it.
            while lanes.recv().await.is_some() {}
            let _ = tell.send(end);
        });
        Ok(Server { handle, address, ended: Some(ended), _tasks: tasks })
    }
}

/// What has arrived from peers.
struct Arrived {
    urgent: Receiver<Packet>,
    bulk: Receiver<Packet>,
}

fn queues(counts: &Counts) -> (Arrivals, Arrived) {
    let (urgent, urgent_queue) = mpsc::channel(ARRIVALS_MAX);
    let (bulk, bulk_queue) = mpsc::channel(ARRIVALS_MAX);
    counts.network.watch("urgent", &urgent);
    counts.network.watch("bulk", &bulk);
    (Arrivals { urgent, bulk }, Arrived { urgent: urgent_queue, bulk: bulk_queue })
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

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerError::Config(error) => error.fmt(f),
            ServerError::Disk(error) => error.fmt(f),
            ServerError::Open(error) => error.fmt(f),
            #[cfg(feature = "tls")]
            ServerError::Tls(error) => error.fmt(f),
            ServerError::Listen(address, error) => {
                write!(f, "cannot listen at {address}: {error}")
            }
            ServerError::Threads(error) => write!(f, "cannot start a thread: {error}"),
        }
    }
}

impl std::error::Error for ServerError {}
