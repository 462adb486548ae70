//! Attackers of running nodes: threads that repeat one attack each, from an address of their own.
#![expect(clippy::disallowed_methods, reason = "an attack lasts for a real time")]

use std::cell::RefCell;
use std::future::ready;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use quorate::runtime::{
    ANY_UNNAMED_CLUSTER, AttemptError, Client, ClientConfig, ClientError, Simulated,
    SimulatedListener, Simulation, Socket, TlsConfig,
};
use quorate::types::{Acknowledge, ReadLevel};
use quorate::wire::{ClientHello, ClientRequest, RequestBody, Versions};
use tokio::net::TcpSocket;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

/// The address of the attackers: another host than that of the honest client.
const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// The key whose value the floods of reads ask for, and the size of the value in bytes.
pub(crate) const LARGE: (&str, usize) = ("large", 900_000);

/// The number of requests that a flood sends at once.
const FLOOD: u64 = 4096;

/// The number of writes that a flood of writes sends at once, and the size of each in bytes.
const WRITES: usize = 256;
const LONG: usize = 64 << 10;

/// The node that is attacked.
pub(crate) struct Target {
    pub(crate) node: SocketAddr,
    pub(crate) metrics: SocketAddr,
    /// The certificate of the attacker; none if the node uses no TLS.
    pub(crate) tls: Option<TlsConfig>,
}

/// The network of the attackers, which connect from [`ATTACKER`].
struct AttackersNetwork;

impl Simulation for AttackersNetwork {
    fn resolve<'a>(&'a self, name: &'a str) -> Simulated<'a, Vec<SocketAddr>> {
        let address = name.parse().map_err(io::Error::other);
        Box::pin(ready(address.map(|address| vec![address])))
    }

    fn connect(&self, address: SocketAddr) -> Simulated<'_, Box<dyn Socket>> {
        Box::pin(async move { Ok(Box::new(connect(address).await?) as Box<dyn Socket>) })
    }

    fn listen(&self, _: SocketAddr) -> Simulated<'_, Box<dyn SimulatedListener>> {
        Box::pin(ready(Err(io::ErrorKind::Unsupported.into())))
    }

    fn entropy(&self) -> u128 {
        rand::random()
    }

    fn lane_wait(&self) -> Duration {
        Duration::ZERO
    }
}

/// Connects to this address from [`ATTACKER`].
async fn connect(address: SocketAddr) -> io::Result<tokio::net::TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((ATTACKER, 0).into())?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Target {
    /// Returns a client with a new connection, whose calls end after this time.
    fn client(&self, deadline: Duration) -> Client {
        let named = self.tls.as_ref().map(|tls| tls.principal().expect("it names its cluster"));
        let cluster = named.map_or(ANY_UNNAMED_CLUSTER, |(cluster, _)| cluster);
        let mut config = ClientConfig::new(cluster, [self.node]);
        config.tls.clone_from(&self.tls);
        config.deadline = deadline;
        Client::simulated(config, Arc::new(AttackersNetwork)).expect("the configuration is valid")
    }

    /// Reads the key [`FLOOD`] times at once, and returns true if a read reached the node. All
    /// attackers share one limit, so the node may reject all these reads.
    async fn flood(&self, key: &str) -> bool {
        let (address, client) = (self.node.to_string(), self.client(Duration::from_secs(2)));
        let mut reads = JoinSet::new();
        for _ in 0..FLOOD {
            let (client, address, query) = (client.clone(), address.clone(), get(key));
            let read =
                async move { client.read_at(&address, ReadLevel::Linearizable, &query).await };
            reads.spawn(read);
        }
        let mut reached = false;
        while let Some(read) = reads.join_next().await {
            reached |= match read.expect("no read panics") {
                Ok(_) => true,
                Err(ClientError::NotExecuted(error)) => {
                    !matches!(error, AttemptError::Unreachable { .. })
                }
                Err(_) => false,
            };
        }
        reached
    }

    /// Writes [`LONG`] bytes [`WRITES`] times at once, and returns true if a write was executed.
    async fn flood_of_writes(&self) -> bool {
        let client = self.client(Duration::from_secs(2));
        let mut writes = JoinSet::new();
        for _ in 0..WRITES {
            let client = client.clone();
            let write = async move {
                let acknowledge = Acknowledge::Default;
                client.propose_at_most_once(&[0; LONG], acknowledge).await.is_ok()
            };
            writes.spawn(write);
        }
        writes.join_all().await.into_iter().any(|is_executed| is_executed)
    }
}

/// Returns the query for the value of the key.
fn get(key: &str) -> Vec<u8> {
    let length = u32::try_from(key.len()).expect("the key is short");
    [&[1], &length.to_le_bytes()[..], key.as_bytes()].concat()
}

/// Returns the bytes of a client that reads the large value [`FLOOD`] times.
fn pipelined_reads() -> Vec<u8> {
    let (versions, cluster) = (Versions::SUPPORTED, ANY_UNNAMED_CLUSTER.0);
    let mut bytes = Vec::new();
    ClientHello { versions, cluster, node: None, full: false }.encode(&mut bytes);
    for number in 0..FLOOD {
        let body = RequestBody::Read { level: ReadLevel::Linearizable, query: get(LARGE.0) };
        ClientRequest { number, body }.encode(&mut bytes).expect("the request is short");
    }
    bytes
}

/// One attacker's next act. Returns true if it reached the node.
pub(crate) type Attack = fn(&Held, &Target) -> bool;

/// The connections that an attacker keeps between its acts.
pub(crate) struct Held {
    runtime: Runtime,
    connections: RefCell<Vec<TcpStream>>,
}

impl Held {
    fn new() -> Held {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("the process may open further files");
        Held { runtime, connections: RefCell::default() }
    }

    fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = self.runtime.block_on(async { connect(address).await?.into_std() })?;
        stream.set_nonblocking(false)?;
        Ok(stream)
    }

    /// Keeps a connection to this address, and closes the oldest one if there are more than `max`.
    fn keep(&self, address: SocketAddr, max: usize) -> bool {
        let (mut held, connection) = (self.connections.borrow_mut(), self.connect(address));
        let connects = connection.is_ok();
        held.extend(connection);
        if held.len() > max {
            held.remove(0);
        }
        connects
    }

    /// Sends the bytes on the newest connection, as far as the node receives them at once.
    fn send(&self, bytes: &[u8]) {
        if let Some(newest) = self.connections.borrow_mut().last_mut() {
            let _ = newest.set_write_timeout(Some(Duration::from_millis(50)));
            let _ = newest.write_all(bytes);
        }
    }

    /// Sends `byte` on every connection, and closes those that the node has closed.
    fn drip(&self, byte: u8) {
        self.connections.borrow_mut().retain_mut(|stream| stream.write_all(&[byte]).is_ok());
    }
}

/// The attacks that a remote without a certificate, or a client, can carry out again and again.
pub(crate) const ATTACKS: [(&str, Attack); 9] = [
    ("hellos that arrive byte by byte", |held, target| {
        held.drip(b'Q');
        held.keep(target.node, 200)
    }),
    ("connections that send nothing", |held, target| held.keep(target.node, 400)),
    ("connections that end at once", |held, target| held.connect(target.node).is_ok()),
    ("garbage", |held, target| {
        let Ok(mut stream) = held.connect(target.node) else { return false };
        let sent = stream.write_all(&[0xa5; 4096]).is_ok();
        let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
        let _ = stream.read(&mut [0; 64]);
        sent
    }),
    ("HTTP requests that arrive byte by byte", |held, target| {
        held.drip(b'G');
        held.keep(target.metrics, 100)
    }),
    ("clients with a session each", |held, target| {
        let put =
            async { target.client(Duration::from_millis(500)).propose(&[0; 20_000]).await.is_ok() };
        held.runtime.block_on(put)
    }),
    ("floods of short requests", |held, target| held.runtime.block_on(target.flood("missing"))),
    ("floods of reads of a large value", |held, target| {
        held.runtime.block_on(target.flood(LARGE.0))
    }),
    ("pipelined reads of a large value, without reading the answers", |held, target| {
        let connects = held.keep(target.node, 8);
        held.send(&pipelined_reads());
        connects
    }),
];

/// An attack of a client that only [`each_attack_alone`](crate::soak) carries out: in half an hour
/// it would write hundreds of GB.
pub(crate) const LONG_WRITES: (&str, Attack) =
    ("floods of long writes", |held, target| held.runtime.block_on(target.flood_of_writes()));

/// The attackers; they end when this is dropped.
pub(crate) struct Attackers {
    ended: Arc<AtomicBool>,
    acts: Vec<(&'static str, Arc<AtomicU64>)>,
    threads: Vec<JoinHandle<()>>,
}

impl Attackers {
    /// Starts a thread for each of these attacks on the targets.
    pub(crate) fn start(
        attacks: &[(&'static str, Attack)],
        targets: &Arc<Vec<Target>>,
    ) -> Attackers {
        let ended = Arc::new(AtomicBool::new(false));
        let (mut acts, mut threads) = (Vec::new(), Vec::new());
        for &(name, attack) in attacks {
            let (count, ended) = (Arc::new(AtomicU64::new(0)), Arc::clone(&ended));
            acts.push((name, Arc::clone(&count)));
            let targets = Arc::clone(targets);
            threads.push(spawn_background(move || {
                let held: Vec<Held> = targets.iter().map(|_| Held::new()).collect();
                while !ended.load(Ordering::Relaxed) {
                    for (held, target) in held.iter().zip(&*targets) {
                        let reached = attack(held, target);
                        count.fetch_add(u64::from(reached), Ordering::Relaxed);
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            }));
        }
        Attackers { ended, acts, threads }
    }

    /// Starts `count` threads that only compute. They show how much of the honest client's latency
    /// under attack is due to the processor time of the attackers themselves.
    pub(crate) fn busy(count: usize) -> Attackers {
        let ended = Arc::new(AtomicBool::new(false));
        let threads = (0..count).map(|_| {
            let ended = Arc::clone(&ended);
            spawn_background(move || {
                while !ended.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        });
        Attackers { acts: Vec::new(), threads: threads.collect(), ended }
    }
}

/// Starts a thread that leaves the nodes and the honest client as much processor time as possible,
/// because attackers have other machines: it has the lowest priority, and may use one processor.
fn spawn_background(run: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    std::thread::spawn(move || {
        #[cfg(target_os = "linux")]
        confine_this_thread();
        run();
    })
}

/// Lowers the priority of this thread, and confines it to the last processor of those that it may
/// use. On Linux both calls affect only this thread and those that it starts.
#[cfg(target_os = "linux")]
fn confine_this_thread() {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    rustix::process::nice(19).expect("a thread may lower its own priority");
    let allowed = sched_getaffinity(None).expect("a thread may read its own processors");
    let last = (0..CpuSet::MAX_CPU).rfind(|&processor| allowed.is_set(processor));
    let mut processors = CpuSet::new();
    processors.set(last.expect("it runs on one"));
    sched_setaffinity(None, &processors).expect("a thread may give up processors");
}

impl Drop for Attackers {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("an attacker does not panic");
        }
        for (name, count) in &self.acts {
            let count = count.load(Ordering::Relaxed);
            println!("{count:>8} {name}");
            assert!(count > 0 || std::thread::panicking(), "no attack reached a node: {name}");
        }
    }
}
