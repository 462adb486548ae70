//! The world of one host: its sockets, its entropy, and what the hosts of a run share.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quorate::recording::{Block, Contents, RecorderConfig};
use quorate::runtime::{
    Client, ClientConfig, ClientConfigError, Handle, Simulated, SimulatedListener, Simulation,
    Socket,
};
use quorate::storage::ClusterId;
use quorate::types::NodeId;
use quorate_sim::values::digest::{mix, of_bytes};
use tokio::time::sleep;
use turmoil::net::{TcpListener, TcpStream};

use crate::stream::RecordedStream;
use crate::trail::TrailEvent;

/// The name of the host that runs the check.
pub(crate) const CHECK: &str = "check";

/// The cluster of every run.
pub(crate) const CLUSTER: ClusterId = ClusterId(u128::from_be_bytes(*b"quorate/turmoil!"));
/// The port at which every node listens.
const NODE_PORT: u16 = 7000;
/// The interval at which a task checks whether the faults are over, or the clients have ended.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// The interval at which a host checks whether it is still paused, and a stream whether its link is
/// still clogged.
pub(crate) const HOLD_INTERVAL: Duration = Duration::from_millis(5);
/// The longest time that a batch of a lane takes without a fault, in microseconds.
const LANE_MICROS_MAX: u64 = 3_000;

/// Numbers that a seed determines, one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Draws(u64);

impl Draws {
    /// Returns the numbers of `seed` for one purpose.
    pub(crate) fn new(seed: u64, purpose: &str) -> Draws {
        Draws(mix(seed, of_bytes(purpose.as_bytes())))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0, self.0 >> 32)
    }

    /// Returns a number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Returns a number from `least` to `most`.
    pub(crate) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    pub(crate) fn pick<'o, T>(&mut self, options: &'o [T]) -> &'o T {
        &options[self.below(options.len() as u64) as usize]
    }
}

/// The state that the hosts of a run share.
pub(crate) struct Shared {
    pub(crate) seed: u64,
    pub(crate) nodes: u8,
    /// The rate of written segments that are lost and sent again, in 1,000.
    loss_permille: AtomicU64,
    /// Whether a host is paused, or a link clogged.
    holds_any: AtomicBool,
    state: Mutex<State>,
}

/// The part of [`Shared`] that changes with every event.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) now: Duration,
    pub(crate) digest: u64,
    pub(crate) events: u64,
    /// The lines of events that the report of a failure shows.
    pub(crate) lines: Vec<String>,
    /// All events, to compare them with those of another run of the seed; none if that is not
    /// wanted.
    pub(crate) trail: Option<Vec<TrailEvent>>,
    pub(crate) is_stable: bool,
    /// The clients that have not ended.
    pub(crate) running_clients: Vec<String>,
    pub(crate) nodes: Vec<NodeState>,
    /// The hosts that are paused, by their numbers.
    pub(crate) paused: BTreeSet<u64>,
    /// The directed links that hold segments back, by the numbers of their hosts.
    pub(crate) clogged: BTreeSet<(u64, u64)>,
}

/// The state of a node, as far as the run knows it.
#[derive(Clone, Default)]
pub(crate) struct NodeState {
    /// The handle of the running node; none while it is down.
    pub(crate) handle: Option<Handle>,
    pub(crate) stop_requested: bool,
    pub(crate) has_stopped: bool,
    /// Whether the process cannot go on because of its disk.
    pub(crate) has_failed: bool,
    /// The additional time of each batch of its lanes.
    pub(crate) lane_wait: Duration,
    /// The time that its clock has gained since its start.
    pub(crate) clock_gain: Duration,
    /// Whether it may suspend voters when it leads, or take over as the last survivor.
    pub(crate) may_suspend: bool,
    /// The number of its starts.
    pub(crate) starts: u32,
    /// The number of its processes that have ended.
    pub(crate) ends: u32,
    /// The recording of its core, all starts one after the other.
    pub(crate) recording: Vec<u8>,
}

impl Shared {
    pub(crate) fn new(
        seed: u64,
        nodes: u8,
        loss_permille: u64,
        running_clients: Vec<String>,
    ) -> Arc<Shared> {
        let state = State {
            nodes: vec![NodeState::default(); usize::from(nodes)],
            digest: seed,
            running_clients,
            ..State::default()
        };
        Arc::new(Shared {
            seed,
            nodes,
            loss_permille: AtomicU64::new(loss_permille),
            holds_any: AtomicBool::new(false),
            state: Mutex::new(state),
        })
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stabilize(&self) {
        self.loss_permille.store(0, Ordering::Relaxed);
        self.state().is_stable = true;
    }

    pub(crate) fn loss_permille(&self) -> u64 {
        self.loss_permille.load(Ordering::Relaxed)
    }

    /// Pauses these hosts and clogs these links, and no others.
    pub(crate) fn hold(&self, paused: BTreeSet<u64>, clogged: BTreeSet<(u64, u64)>) {
        let holds_any = !paused.is_empty() || !clogged.is_empty();
        if self.holds_any.swap(holds_any, Ordering::Relaxed) || holds_any {
            let mut state = self.state();
            (state.paused, state.clogged) = (paused, clogged);
        }
    }

    pub(crate) fn is_paused(&self, host: u64) -> bool {
        self.holds_any.load(Ordering::Relaxed) && self.state().paused.contains(&host)
    }

    /// Returns true if no segment may leave for the link.
    pub(crate) fn holds_back(&self, link: (u64, u64)) -> bool {
        if !self.holds_any.load(Ordering::Relaxed) {
            return false;
        }
        let state = self.state();
        state.paused.contains(&link.0) || state.clogged.contains(&link)
    }

    /// Records that a client has ended.
    pub(crate) fn client_ended(&self, name: &str) {
        self.state().running_clients.retain(|running| running != name);
    }

    /// Counts an event at a host, and adds it to the digest of the run.
    pub(crate) fn event(&self, host: &str, kind: &str, data: &[u8]) {
        let mut state = self.state();
        state.events += 1;
        let place = mix(of_bytes(host.as_bytes()), of_bytes(kind.as_bytes()));
        let event = mix(mix(state.now.as_nanos() as u64, place), of_bytes(data));
        state.digest = mix(state.digest, event);
        let at = state.now;
        if let Some(trail) = &mut state.trail {
            trail.push(TrailEvent::new(at, event, (host, kind, data)));
        }
    }

    /// Counts an event, and keeps its line for the report of a failure.
    pub(crate) fn line(&self, host: &str, text: &str) {
        self.event(host, "line", text.as_bytes());
        let mut state = self.state();
        let line = format!("{:9.3}s  {host}  {text}", state.now.as_secs_f64());
        state.lines.push(line);
    }
}

/// The world as one host sees it: a service, a client, a check, or a node. Clones share the host.
#[derive(Clone)]
pub struct World {
    shared: Arc<Shared>,
    host: Arc<str>,
    /// The number of the host, from 1 on; the nodes are first.
    number: u64,
    draws: Arc<Mutex<Draws>>,
}

impl World {
    pub(crate) fn new(shared: &Arc<Shared>, host: &str, number: u64) -> World {
        let draws = Arc::new(Mutex::new(Draws::new(shared.seed, host)));
        World { shared: Arc::clone(shared), host: Arc::from(host), number, draws }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.shared.is_paused(self.number)
    }

    /// Returns the place of the node among all nodes, if the host is one.
    fn node(&self) -> Option<usize> {
        let is_node = self.number <= self.shared.nodes.into();
        is_node.then_some(self.number as usize - 1)
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub(crate) fn draws(&self) -> MutexGuard<'_, Draws> {
        self.draws.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the name of the host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns a client of the cluster that runs at this host; `adjust` changes its configuration.
    ///
    /// # Errors
    /// The changed configuration is invalid.
    pub fn client(
        &self,
        adjust: impl FnOnce(&mut ClientConfig),
    ) -> Result<Client, ClientConfigError> {
        let mut config = ClientConfig::new(CLUSTER, (1..=self.shared.nodes).map(node_address));
        config.plaintext = true;
        adjust(&mut config);
        Client::simulated(config, Arc::new(self.clone()))
    }

    /// Returns the address at which a node listens.
    ///
    /// # Panics
    /// If the id exceeds 255.
    #[must_use]
    pub fn node_address(&self, node: NodeId) -> SocketAddr {
        node_address(u8::try_from(node.0).expect("a run has fewer nodes"))
    }

    /// Returns a random number below `bound` that the seed determines.
    ///
    /// # Panics
    /// If `bound` is 0.
    #[must_use]
    pub fn random_below(&self, bound: u64) -> u64 {
        self.draws().below(bound)
    }

    /// Adds the text to the events of the run: to its digest, and to the report of a failure.
    pub fn note(&self, text: &str) {
        self.shared.line(&self.host, text);
    }

    /// Returns the simulated time since the start of the run, which no fault of a clock changes.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.shared.state().now
    }

    /// Returns true if all faults are over.
    #[must_use]
    pub fn is_stable(&self) -> bool {
        self.shared.state().is_stable
    }

    /// Waits until all faults are over.
    pub async fn stable(&self) {
        while !self.is_stable() {
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits until every client has ended.
    pub(crate) async fn clients_ended(&self) {
        while !self.shared.state().running_clients.is_empty() {
            sleep(POLL_INTERVAL).await;
        }
    }
}

/// Returns the address of a node, which turmoil gives to the hosts in their order.
pub(crate) fn node_address(node: u8) -> SocketAddr {
    SocketAddr::from(([192, 168, 0, node], NODE_PORT))
}

impl Simulation for World {
    fn resolve<'a>(&'a self, name: &'a str) -> Simulated<'a, Vec<SocketAddr>> {
        Box::pin(async move {
            if let Ok(address) = name.parse() {
                return Ok(vec![address]);
            }
            let parts =
                name.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
            let (host, port): (&str, u16) = parts.ok_or(io::ErrorKind::InvalidInput)?;
            Ok(vec![SocketAddr::new(turmoil::lookup(host), port)])
        })
    }

    fn connect(&self, address: SocketAddr) -> Simulated<'_, Box<dyn Socket>> {
        Box::pin(async move {
            self.shared.event(&self.host, "connect", address.to_string().as_bytes());
            let stream = TcpStream::connect(address).await?;
            Ok(Box::new(RecordedStream::new(stream, self.clone())) as Box<dyn Socket>)
        })
    }

    fn listen(&self, address: SocketAddr) -> Simulated<'_, Box<dyn SimulatedListener>> {
        Box::pin(async move {
            // A host of turmoil listens at all its addresses.
            let listener = TcpListener::bind(("0.0.0.0", address.port())).await?;
            let address = SocketAddr::new(address.ip(), listener.local_addr()?.port());
            let listener = WorldListener { listener, address, world: self.clone() };
            Ok(Box::new(listener) as Box<dyn SimulatedListener>)
        })
    }

    fn entropy(&self) -> u128 {
        let mut draws = self.draws();
        u128::from(draws.next()) << 64 | u128::from(draws.next())
    }

    fn lane_wait(&self) -> Duration {
        let by_fault = self.node().map(|at| self.shared.state().nodes[at].lane_wait);
        Duration::from_micros(self.draws().below(LANE_MICROS_MAX)) + by_fault.unwrap_or_default()
    }

    fn resumed(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            while self.is_paused() {
                sleep(HOLD_INTERVAL).await;
            }
        })
    }

    fn recorder(&self) -> Option<RecorderConfig> {
        self.node()?;
        Some(RecorderConfig {
            cluster: CLUSTER.0,
            start: self.draws().next(),
            contents: Contents::Kept,
            unix_time: Some(self.now()),
            // A crash loses no step, and one checkpoint for each start is enough.
            block_bytes: 1,
            segment_bytes: usize::MAX,
            ..RecorderConfig::default()
        })
    }

    fn record(&self, block: &Block) {
        let at = self.node().expect("only nodes record");
        self.shared.state().nodes[at].recording.extend_from_slice(block.bytes());
    }
}

/// A listener of turmoil.
struct WorldListener {
    listener: TcpListener,
    address: SocketAddr,
    world: World,
}

impl SimulatedListener for WorldListener {
    fn accept(&self) -> Simulated<'_, (Box<dyn Socket>, SocketAddr)> {
        Box::pin(async move {
            let (stream, from) = self.listener.accept().await?;
            let stream = RecordedStream::new(stream, self.world.clone());
            Ok((Box::new(stream) as Box<dyn Socket>, from))
        })
    }

    fn address(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
