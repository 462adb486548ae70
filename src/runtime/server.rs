//! The server: runs one node from opening its directory until it stops.

use std::convert::Infallible;
use std::future;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::mpsc::{self, Receiver, UnboundedReceiver};
use tokio::sync::{oneshot, watch};
use tracing::{error, info, info_span, warn};

use crate::machine::StateMachine;
use crate::recording::FOLDER;
use crate::replica::{Node, OpenError, Replica};
use crate::runtime::busy_poll::BusyPoll;
use crate::runtime::client::Forwarder;
use crate::runtime::clock::Clock;
use crate::runtime::config::ServerConfig;
use crate::runtime::driver::{Driver, DriverParts, Queues, panic_failure};
use crate::runtime::environment::{Environment, Simulation};
use crate::runtime::handle::Handle;
use crate::runtime::lanes::{Event, LaneStart, LaneWork, Lanes};
use crate::runtime::metrics::Counts;
use crate::runtime::open_files;
use crate::runtime::peer_addresses::{other_process, peer_addresses};
use crate::runtime::recording::{RecordingLane, RecordingRing, recorder_config};
use crate::runtime::recording_reader::RecordingReader;
use crate::runtime::request::DriverRequest;
use crate::runtime::request_queue::RequestQueue;
use crate::runtime::server_error::ServerError;
use crate::runtime::service::{Executor, Service};
use crate::runtime::tasks::Tasks;
#[cfg(feature = "tls")]
use crate::runtime::tls::Tls;
use crate::runtime::transport::connection_registry::ConnectionRegistry;
use crate::runtime::transport::link::{Links, Security};
use crate::runtime::transport::{
    ConnectionHandler, Handshake, InboundQueues, Listener, PacketInbox, Peers, Transport,
};
use crate::storage::{self, Disk, FileDisk, Identity, Storage, StorageError};
use crate::types::{Incarnation, Membership, Packet};

/// The maximum number of inbound packets in each queue for the node. A connection is not read while
/// the queue for its next packet is full.
const INBOUND_PACKETS_MAX: usize = 1024;

/// A node that runs in this process. Dropping it stops the node as a crash would, and loses nothing
/// that was acknowledged. [`Server::shutdown`] stops the node gracefully.
#[derive(Debug)]
pub struct Server {
    handle: Handle,
    address: SocketAddr,
    /// How the node stopped; `None` while it runs.
    stopped: watch::Receiver<Option<Result<(), StorageError>>>,
    _tasks: Tasks,
}

impl Server {
    /// Starts a node on its directory, which is created if it is missing. `machine` is the user's
    /// state machine: empty, or with the state that it made durable itself.
    ///
    /// Must be called within a tokio runtime that has time and IO enabled. Recovery reads the disk
    /// synchronously, and so blocks the calling thread. Without TLS a runtime of one thread has the
    /// highest throughput, because the driver and the connections then wake no thread for one
    /// another. With TLS use several threads, because the computation of a handshake would delay
    /// the driver. The disk and a state machine that is not inline have threads of their own.
    ///
    /// # Errors
    /// A [`ServerError`]. The directory may have been created and formatted by then; another start
    /// uses it.
    pub async fn start<M>(config: ServerConfig, machine: M) -> Result<Server, ServerError>
    where
        M: StateMachine + Send + 'static,
    {
        config.check().map_err(ServerError::Config)?;
        let disk = FileDisk::open(&config.directory).map_err(ServerError::Disk)?;
        let opened = OpenedNode::open(disk, config, machine, Environment::System)?;
        Server::serve(opened.recorded()).await
    }

    /// Starts a node as [`Server::start`] does, on any disk, without a recording: ignores
    /// `ServerConfig::directory` and `ServerConfig::recording_bytes`.
    ///
    /// # Errors
    /// A [`ServerError`].
    pub async fn start_on_disk<M, D>(
        disk: D,
        config: ServerConfig,
        machine: M,
    ) -> Result<Server, ServerError>
    where
        M: StateMachine + Send + 'static,
        D: Disk + Clone + Send + 'static,
    {
        Server::serve(OpenedNode::open(disk, config, machine, Environment::System)?).await
    }

    /// Starts a node as [`Server::start_on_disk`] does, in a simulation.
    ///
    /// # Errors
    /// A [`ServerError`].
    #[cfg(feature = "unstable")]
    pub async fn start_simulated<M, D>(
        disk: D,
        config: ServerConfig,
        machine: M,
        simulation: Arc<dyn Simulation>,
    ) -> Result<Server, ServerError>
    where
        M: StateMachine + Send + 'static,
        D: Disk + Clone + Send + 'static,
    {
        let recorder = simulation.recorder();
        let environment = Environment::Simulated(simulation);
        let mut opened = OpenedNode::open(disk, config, machine, environment)?;
        recorder.into_iter().for_each(|recorder| opened.node.record(recorder));
        Server::serve(opened).await
    }

    /// Starts an opened node, with a listener for other nodes and clients.
    async fn serve(opened: OpenedNode) -> Result<Server, ServerError> {
        let inbound = Inbound::new(&opened.counts);
        let OpenedNode { config, handshake, counts, environment, .. } = &opened;
        let (handshake, listen, network) = (*handshake, config.listen, config.network.clone());
        let (needed, files_reserved) = (config.open_files(), config.files_reserved);
        if environment.simulation().is_none() {
            open_files::raise(needed).map_err(|limit| ServerError::OpenFiles { needed, limit })?;
        }
        let links = Links { environment: environment.clone(), security: security(config)? };
        let registry = Arc::new(ConnectionRegistry::new(links, &network, Arc::clone(counts)));
        let membership = opened.node.raft().log().membership();
        let addresses = match environment.simulation() {
            None => {
                let (addresses, other) = tokio::join!(
                    peer_addresses(config, membership),
                    other_process(config, membership)
                );
                if let Some(address) = other {
                    return Err(ServerError::RunsAlready { node: handshake.node, address });
                }
                addresses
            }
            Some(_) => config.peers.clone(),
        };
        // A leader has at most `inflight_bytes_max` of entries in flight to a peer. If it considers
        // the entries lost, it sends them again, while the first copies may still wait here.
        let queued_bytes_max = config.replica.raft.inflight_bytes_max.saturating_mul(2);
        let peers = Peers::new(
            handshake,
            network.clone(),
            queued_bytes_max,
            Arc::clone(&registry),
            addresses,
        );
        let listener = Listener::bind(environment, listen).await;
        let listener = listener.map_err(|error| ServerError::Listen(listen, error))?;
        let address = listener.address().unwrap_or(listen);
        info!(%address, node = %handshake.node, cluster = %handshake.cluster, "listening");
        let queues = inbound.senders.clone();
        let serve = move |handle, service| {
            listener.run(ConnectionHandler {
                handshake,
                config: network,
                files_reserved,
                queues,
                handle,
                service,
            })
        };
        opened.run(inbound, Box::new(peers), registry, address, serve)
    }

    /// Starts a node with a transport other than TCP sockets. The node does not serve clients. The
    /// fields `directory`, `peers`, `network`, `files_reserved`, `recording_bytes`, `plaintext` and
    /// `tls` of the configuration are not used, but must pass [`ServerConfig::check`]. Of `service`
    /// only `requests_kib_per_origin_max` is used, and `listen` only for [`Server::address`]. The
    /// transport delivers the packets that it receives for this node to the returned
    /// [`PacketInbox`].
    ///
    /// # Errors
    /// A [`ServerError`].
    #[cfg(feature = "unstable")]
    pub fn start_with_transport<M, D>(
        disk: D,
        config: ServerConfig,
        machine: M,
        transport: impl Transport + 'static,
    ) -> Result<(Server, PacketInbox), ServerError>
    where
        M: StateMachine + Send + 'static,
        D: Disk + Clone + Send + 'static,
    {
        let opened = OpenedNode::open(disk, config, machine, Environment::System)?;
        let inbound = Inbound::new(&opened.counts);
        let inbox = PacketInbox::new(inbound.senders.clone(), opened.handshake.node);
        let address = opened.config.listen;
        let counts = Arc::clone(&opened.counts);
        let security = Security::Plaintext { beyond_loopback: false };
        let links = Links { environment: Environment::System, security };
        let registry = Arc::new(ConnectionRegistry::new(links, &opened.config.network, counts));
        let transport = Box::new(transport);
        let server = opened.run(inbound, transport, registry, address, |_, _| future::pending())?;
        Ok((server, inbox))
    }

    /// Returns a handle through which the program sends requests to the node.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Returns the address at which the node listens: `ServerConfig::listen`, with the port that
    /// the operating system chose if that was 0. A node with another transport listens nowhere, and
    /// this is `ServerConfig::listen` unchanged.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the node has stopped, by [`Server::shutdown`] or after a failure.
    ///
    /// # Errors
    /// The storage failure or panic for which the node stopped.
    pub async fn stopped(&mut self) -> Result<(), StorageError> {
        let end = self.stopped.wait_for(Option::is_some).await.ok();
        let end = end.and_then(|end| end.clone());
        end.unwrap_or_else(|| Err(panic_failure("the driver loop of the node")))
    }

    /// Stops the node gracefully: a leader transfers its leadership, pending writes become durable,
    /// clients receive their replies, and the directory is unlocked. The transfer takes at most
    /// `election_timeout_max` plus a heartbeat interval, and the replies take at most
    /// `ServiceConfig::drain_max`. Pending disk operations, and calls of the state machine, have no
    /// time limit: with a disk that hangs, the future does not complete.
    ///
    /// # Errors
    /// The storage failure or panic for which the node stopped.
    pub async fn shutdown(mut self) -> Result<(), StorageError> {
        // A node that has already stopped accepts no requests.
        self.handle.requests.send(DriverRequest::Close).await;
        self.stopped().await
    }
}

#[cfg(feature = "tls")]
fn security(config: &ServerConfig) -> Result<Security, ServerError> {
    let Some(files) = &config.tls else {
        return Ok(Security::Plaintext { beyond_loopback: config.plaintext });
    };
    let tls = Tls::for_node(files.clone(), config.cluster, config.replica.raft.id);
    Ok(Security::Tls(tls.map_err(ServerError::Tls)?))
}

#[cfg(not(feature = "tls"))]
#[expect(clippy::unnecessary_wraps, reason = "files of certificates may be wrong")]
fn security(config: &ServerConfig) -> Result<Security, ServerError> {
    Ok(Security::Plaintext { beyond_loopback: config.plaintext })
}

/// A node that was opened and does not run yet.
struct OpenedNode {
    config: ServerConfig,
    node: Node,
    /// The functions that the lanes execute. They own the disk and the state machine.
    work: LaneWork,
    clock: Clock,
    environment: Environment,
    handshake: Handshake,
    counts: Arc<Counts>,
    /// The files of the recording; `None` if the inputs of the node are not recorded.
    recording: Option<RecordingRing>,
}

impl OpenedNode {
    fn open<M, D>(
        mut disk: D,
        config: ServerConfig,
        machine: M,
        environment: Environment,
    ) -> Result<OpenedNode, ServerError>
    where
        M: StateMachine + Send + 'static,
        D: Disk + Clone + Send + 'static,
    {
        config.check().map_err(ServerError::Config)?;
        let clock = Clock::start(&environment);
        format_if_empty(&mut disk, &config, Incarnation(environment.entropy()))?;
        // Peers learn the id of the start, and must not learn the seed from it.
        let entropy = environment.entropy();
        let (seed, start_id) = (entropy as u64, ((entropy >> 64) as u64).max(1));
        let (cluster, replica) = (config.cluster, config.replica.clone());
        let opened = Replica::open(&mut disk, cluster, machine, replica, seed, clock.now());
        let Replica { node, worker } = opened.map_err(ServerError::Open)?;
        let (identity, origin) = (node.storage().identity(), node.storage().origin());
        let handshake = Handshake {
            cluster,
            origin: origin.map(|origin| origin.cluster),
            node: identity.node,
            incarnation: identity.incarnation,
            start_id,
        };
        let counts = Arc::new(Counts::new(identity.node, cluster));
        let work = LaneWork::new(disk, worker, &counts);
        Ok(OpenedNode {
            config,
            node,
            work,
            clock,
            environment,
            handshake,
            counts,
            recording: None,
        })
    }

    /// Records the inputs of the node in its directory, if `recording_bytes` is not zero. If the
    /// recording cannot be opened, the node runs without it.
    fn recorded(mut self) -> OpenedNode {
        let bytes = self.config.recording_bytes;
        if bytes == 0 {
            return self;
        }
        match RecordingRing::open(self.config.directory.join(FOLDER), bytes) {
            Ok(ring) => {
                let now = self.clock.now();
                self.node.record(recorder_config(self.config.cluster, bytes, now));
                self.recording = Some(ring);
            }
            Err(error) => warn!(%error, "the node runs without a recording"),
        }
        self
    }

    /// Starts a task that runs the node, and alongside it the future that `serve` returns, until
    /// the node stops.
    fn run<L>(
        self,
        inbound: Inbound,
        mut transport: Box<dyn Transport>,
        registry: Arc<ConnectionRegistry>,
        address: SocketAddr,
        serve: impl FnOnce(Handle, Service) -> L,
    ) -> Result<Server, ServerError>
    where
        L: Future<Output = Infallible> + Send + 'static,
    {
        let OpenedNode { config, node, work, clock, handshake, counts, .. } = self;
        let (environment, recording) = (self.environment, self.recording);
        // Every log line of the node carries its id, on whichever thread it is written.
        let span = info_span!("node", id = %handshake.node, cluster = %handshake.cluster);
        let _within = span.enter();
        let (lane_events, lane_event_queue) = mpsc::unbounded_channel();
        let busy_poll = BusyPoll::new(&environment, config.busy_poll_max);
        let lane = LaneStart { environment, busy_poll, events: lane_events, counts };
        let lanes = Lanes::start(work, config.inline_machine, &lane);
        let lanes = lanes.map_err(ServerError::Threads)?;
        let LaneStart { environment, events: lane_events, counts, .. } = lane;
        let reader = recording.as_ref().map(|ring| RecordingReader::of(ring.directory()));
        let recording = match recording {
            Some(ring) => RecordingLane::start(ring, Arc::clone(&counts), lane_events.clone()),
            None => Ok(RecordingLane::without_files(&environment, Arc::clone(&counts))),
        };
        let recording = recording.map_err(ServerError::Threads)?;
        drop(lane_events);
        if let Some(bootstrap_peers) = &config.replica.raft.bootstrap_peers {
            transport.update_membership(bootstrap_peers);
        }
        transport.update_membership(node.raft().log().membership());
        let queues = inbound.queues(lane_event_queue, &config, &counts);
        let (network, limits) = (config.network, config.service);
        let Handshake { cluster, node: id, .. } = handshake;
        let forwarder = Forwarder::new(cluster, registry.links.clone(), &network, &limits);
        let parts = DriverParts {
            node,
            clock,
            environment,
            lanes,
            recording,
            transport,
            queues,
            busy_poll,
        };
        let (driver, handle) = Driver::new(parts, registry);
        let (forwarder, recording) = (Some(forwarder), reader.map(Arc::new));
        let executor = Executor { handle: handle.clone(), forwarder, recording };
        let command_bytes_max = config.replica.raft.command_bytes_max;
        let service = Service::new(cluster, id, network, limits, command_bytes_max, executor);
        let serve = serve(handle.clone(), service.clone());
        let (stopped_sender, stopped) = watch::channel(None);
        let mut tasks = Tasks::default();
        // Its limit applies without a listener, too: an HTTP endpoint uses it.
        let registry = Arc::clone(&handle.registry);
        tasks.spawn(async move { match registry.log_limit.log_left_out().await {} });
        tasks.spawn(async move {
            let end = run_with_listener(driver, &service, serve).await;
            let _ = stopped_sender.send(Some(end));
        });
        Ok(Server { handle, address, stopped, _tasks: tasks })
    }
}

/// Runs the driver, and alongside it the listener `serve`, until the driver has ended, all clients
/// are disconnected, and the directory is unlocked.
async fn run_with_listener(
    mut driver: Driver,
    service: &Service,
    serve: impl Future<Output = Infallible> + Send + 'static,
) -> Result<(), StorageError> {
    let (running, ended) = oneshot::channel();
    let (listening, listener_ended) = oneshot::channel();
    // The listener has a task of its own, because a driver that always has work uses up the budget
    // that tokio gives a task.
    let mut listener = Tasks::default();
    listener.spawn(accept_until(ended, serve, listening));
    let end = tokio::select! {
        biased;
        end = driver.run() => end,
        // The listener ends before the driver only if it panics. The node then stops as in a crash,
        // because no other node can reach it.
        _ = listener_ended => {
            let failure = panic_failure("the listener of the node");
            error!(error = %failure, "the node stops");
            Err(failure)
        }
    };
    let mut lanes = driver.into_lane_events();
    drop(running);
    service.drain().await;
    // The directory is unlocked once every lane has dropped its disk handle.
    while lanes.recv().await.is_some() {}
    // The address is free again once the listener is dropped, which aborts the connections that the
    // drain has left. The process may exit after this, so their requests must be in the audit log.
    listener.end().await;
    service.all_ended().await;
    end
}

/// Accepts connections until the driver has ended. The accepted ones are served until the task is
/// aborted. Holds `_listening` until then.
async fn accept_until(
    ended: oneshot::Receiver<Infallible>,
    serve: impl Future<Output = Infallible>,
    _listening: oneshot::Sender<Infallible>,
) {
    let mut serve = std::pin::pin!(serve);
    tokio::select! {
        biased;
        _ = ended => future::pending().await,
        never = &mut serve => match never {},
    }
}

/// Both ends of the queues for packets from peers.
struct Inbound {
    senders: InboundQueues,
    urgent: Receiver<Packet>,
    bulk: Receiver<Packet>,
}

impl Inbound {
    fn new(counts: &Counts) -> Inbound {
        let (urgent_sender, urgent) = mpsc::channel(INBOUND_PACKETS_MAX);
        let (bulk_sender, bulk) = mpsc::channel(INBOUND_PACKETS_MAX);
        counts.network.watch("urgent", &urgent_sender);
        counts.network.watch("bulk", &bulk_sender);
        let senders = InboundQueues { urgent: urgent_sender, bulk: bulk_sender };
        Inbound { senders, urgent, bulk }
    }

    /// Returns the driver's ends of all queues.
    fn queues(
        self,
        lane_events: UnboundedReceiver<Vec<Event>>,
        config: &ServerConfig,
        counts: &Arc<Counts>,
    ) -> Queues {
        let kib_max = config.service.requests_kib_per_origin_max;
        let (request_sender, requests) = RequestQueue::new(config.requests_max, kib_max, counts);
        let Inbound { senders, urgent, bulk } = self;
        Queues { lane_events, urgent, bulk, requests, request_sender, _inbound: senders }
    }
}

/// Formats an empty disk for this node. Leaves any other disk as it is: opening it checks its
/// identity.
fn format_if_empty(
    disk: &mut impl Disk,
    config: &ServerConfig,
    incarnation: Incarnation,
) -> Result<(), ServerError> {
    let (cluster, node) = (config.cluster, config.replica.raft.id);
    let identity = Identity { cluster, node, incarnation };
    let no_members = Membership::default();
    match Storage::format(disk, identity, &no_members, &config.replica.storage) {
        Ok(()) | Err(storage::OpenError::NotEmpty(_)) => Ok(()),
        Err(error) => Err(ServerError::Open(OpenError::Storage(error))),
    }
}
