//! Chaos runs of three production nodes under madsim: nodes are killed, partitioned and paused, and
//! messages are delayed, all at random. No acknowledged line is lost, no line is applied twice, and
//! a seed always replays the same run.
//!
//! `QUORATE_SEEDS=A..B` chooses the seeds.

#![cfg(madsim)]

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use madsim::Config;
use madsim::net::NetSim;
use madsim::net::{TcpListener, TcpStream, lookup_host};
use madsim::rand::{Rng, random, thread_rng};
use madsim::runtime::{NodeHandle, Runtime};
use madsim::time::{sleep, timeout};
use quorate::machine::StateMachine;
use quorate::runtime::{
    Handle, RequestError, Server, ServerConfig, Simulated, SimulatedListener, Simulation, Socket,
};
use quorate::storage::{ClusterId, FileDisk};
use quorate::types::{Index, NodeId, ReadLevel};
use tempfile::TempDir;

const NODES: [u64; 3] = [1, 2, 3];
const CLIENTS: u64 = 3;
const LINES: u64 = 40;
const FAULTS: u32 = 12;

/// The sockets and the entropy of madsim.
struct Madsim;

impl Simulation for Madsim {
    fn resolve<'a>(&'a self, name: &'a str) -> Simulated<'a, Vec<SocketAddr>> {
        Box::pin(async move { Ok(lookup_host(name).await?.collect()) })
    }

    fn connect(&self, address: SocketAddr) -> Simulated<'_, Box<dyn Socket>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            Ok(Box::new(stream) as Box<dyn Socket>)
        })
    }

    fn listen(&self, address: SocketAddr) -> Simulated<'_, Box<dyn SimulatedListener>> {
        Box::pin(async move {
            let listener = MadsimListener(TcpListener::bind(address).await?);
            Ok(Box::new(listener) as Box<dyn SimulatedListener>)
        })
    }

    fn entropy(&self) -> u128 {
        random()
    }

    fn lane_wait(&self) -> Duration {
        Duration::from_micros(thread_rng().gen_range(0..500))
    }
}

struct MadsimListener(TcpListener);

impl SimulatedListener for MadsimListener {
    fn accept(&self) -> Simulated<'_, (Box<dyn Socket>, SocketAddr)> {
        Box::pin(async move {
            let (stream, from) = self.0.accept().await?;
            Ok((Box::new(stream) as Box<dyn Socket>, from))
        })
    }

    fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A state machine that stores lines.
#[derive(Default)]
struct Lines(String);

impl StateMachine for Lines {
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        self.0.push_str(&String::from_utf8_lossy(command));
        self.0.push('\n');
        Vec::new()
    }
    fn query(&self, _: &[u8]) -> Vec<u8> {
        self.0.clone().into_bytes()
    }
    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(Cursor::new(self.0.clone()))
    }
    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        self.0 = io::read_to_string(snapshot)?;
        Ok(())
    }
}

/// The outcome of a line, as its client knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineOutcome {
    Committed,
    NotExecuted,
    Unknown,
}

/// The handles of all started nodes.
type Handles = Arc<Mutex<BTreeMap<u64, Handle>>>;

struct World {
    _root: TempDir,
    handles: Handles,
    nodes: Vec<NodeHandle>,
}

fn address(id: u64) -> SocketAddr {
    format!("10.0.0.{id}:7000").parse().expect("the address is valid")
}

fn config(root: &TempDir, id: u64) -> ServerConfig {
    let members = NODES.map(|id| (NodeId(id), address(id)));
    let directory = root.path().join(id.to_string());
    let mut config = ServerConfig::new(directory, ClusterId(7), NodeId(id), members)
        .expect("the node is a member");
    config.plaintext = true;
    config.replica.storage.segment_bytes = 16 << 20;
    config.replica.storage.spare_segments = 1;
    config.replica.snapshot_entries = 50;
    config
}

impl World {
    fn start() -> World {
        // In the simulation a random name is the same in every run, and the directory of an earlier
        // run may still exist.
        static WORLDS: AtomicU64 = AtomicU64::new(0);
        let (process, world) = (std::process::id(), WORLDS.fetch_add(1, Ordering::Relaxed));
        let prefix = format!("quorate-madsim-{process}-{world}-");
        let root =
            tempfile::Builder::new().prefix(&prefix).tempdir().expect("the directory is writable");
        let handles = Handles::default();
        let runtime = madsim::runtime::Handle::current();
        let start = |id: u64| {
            let (config, handles) = (config(&root, id), Arc::clone(&handles));
            let run = move || {
                let (config, handles) = (config.clone(), Arc::clone(&handles));
                async move {
                    let disk = FileDisk::open(&config.directory).expect("nothing else uses it");
                    let world = Arc::new(Madsim);
                    let started =
                        Server::start_simulated(disk, config, Lines::default(), world).await;
                    let mut server = started.expect("the directory belongs to the node");
                    handles.lock().expect("no panic").insert(id, server.handle());
                    server.stopped().await.expect("no failure");
                }
            };
            runtime.create_node().name(id.to_string()).ip(address(id).ip()).init(run).build()
        };
        let nodes = NODES.into_iter().map(start).collect();
        World { _root: root, handles, nodes }
    }

    fn handle(&self, id: u64) -> Option<Handle> {
        self.handles.lock().expect("no panic").get(&id).cloned()
    }

    /// Injects a random fault for a random time, and heals it.
    async fn inject_fault(&self) {
        let (runtime, net) = (madsim::runtime::Handle::current(), NetSim::current());
        let mut rng = thread_rng();
        let first = rng.gen_range(0..NODES.len());
        let other = (first + rng.gen_range(1..NODES.len())) % NODES.len();
        let (first, other) = (self.nodes[first].id(), self.nodes[other].id());
        let duration = Duration::from_millis(rng.gen_range(10..3000));
        match rng.gen_range(0..6) {
            0 => {
                runtime.kill(first);
                sleep(duration).await;
                runtime.restart(first);
            }
            1 => {
                net.clog_node(first);
                sleep(duration).await;
                net.unclog_node(first);
            }
            2 => {
                net.clog_link(first, other);
                sleep(duration).await;
                net.unclog_link(first, other);
            }
            3 => {
                runtime.pause(first);
                sleep(duration).await;
                runtime.resume(first);
            }
            4 => {
                let slow = Duration::from_millis(1)..Duration::from_millis(rng.gen_range(20..300));
                net.update_config(|config| config.send_latency = slow);
                sleep(duration).await;
                net.update_config(|config| *config = Config::default().net);
            }
            _ => {
                runtime.kill(first);
                runtime.kill(other);
                sleep(duration).await;
                runtime.restart(first);
                runtime.restart(other);
            }
        }
        sleep(Duration::from_millis(rng.gen_range(0..2000))).await;
    }

    /// Waits until every node answers a linearizable read, and checks that the answers are equal.
    async fn stabilize(&self) -> String {
        let mut answers = Vec::new();
        for id in NODES {
            let answer = loop {
                if let Some(handle) = self.handle(id) {
                    let read = handle.read(ReadLevel::Linearizable, b"");
                    if let Ok(Ok(reply)) = timeout(Duration::from_secs(5), read).await {
                        break reply.answer;
                    }
                }
                sleep(Duration::from_millis(100)).await;
            };
            answers.push(String::from_utf8(answer).expect("lines are text"));
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        answers.remove(0)
    }
}

/// Adds lines in order, each at a random node, and returns their outcomes.
async fn add_lines(client: u64, handles: Handles) -> Vec<(String, LineOutcome)> {
    let mut results = Vec::new();
    for number in 0..LINES {
        let line = format!("{client}-{number}");
        let mut outcome = LineOutcome::NotExecuted;
        for _ in 0..20 {
            let node = NODES[thread_rng().gen_range(0..NODES.len())];
            let handle = handles.lock().expect("no panic").get(&node).cloned();
            let Some(handle) = handle else {
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            let result = timeout(Duration::from_secs(2), handle.propose(line.as_bytes())).await;
            outcome = match result {
                Ok(Ok(_)) => LineOutcome::Committed,
                Ok(Err(RequestError::Rejected(_))) => LineOutcome::NotExecuted,
                Ok(Err(_)) | Err(_) => LineOutcome::Unknown,
            };
            if outcome != LineOutcome::NotExecuted {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
        results.push((line, outcome));
    }
    results
}

fn check(results: &[(String, LineOutcome)], lines: &str) {
    let mut previous = 0;
    for (line, outcome) in results {
        let positions: Vec<usize> =
            lines.lines().enumerate().filter(|(_, one)| one == line).map(|(at, _)| at).collect();
        match (outcome, positions.len()) {
            (LineOutcome::Committed, 1) => {
                assert!(
                    positions[0] >= previous,
                    "{line} is before a line that was acknowledged earlier"
                );
                previous = positions[0];
            }
            (LineOutcome::NotExecuted, 0) | (LineOutcome::Unknown, 0 | 1) => {}
            (outcome, count) => panic!("{line}, {outcome:?}, occurs {count} times"),
        }
    }
}

/// Performs one chaos run, and returns the final lines and the number of acknowledged ones.
async fn chaos_run() -> (String, usize) {
    let world = World::start();
    let clients = (0..CLIENTS).map(|client| {
        let handles = Arc::clone(&world.handles);
        madsim::task::spawn(add_lines(client, handles))
    });
    let clients: Vec<_> = clients.collect();
    for _ in 0..FAULTS {
        world.inject_fault().await;
    }
    let mut acknowledged = 0;
    let mut results = Vec::new();
    for client in clients {
        results.push(client.await.expect("no client panics"));
    }
    let lines = world.stabilize().await;
    for results in &results {
        check(results, &lines);
        acknowledged +=
            results.iter().filter(|(_, outcome)| *outcome == LineOutcome::Committed).count();
    }
    (lines, acknowledged)
}

fn seeds() -> Range<u64> {
    let Ok(range) = std::env::var("QUORATE_SEEDS") else { return 0..20 };
    let (first, end) = range.split_once("..").expect("QUORATE_SEEDS is A..B");
    first.parse().expect("A is a number")..end.parse().expect("B is a number")
}

fn run(seed: u64) -> (String, usize) {
    let mut runtime = Runtime::with_seed_and_config(seed, Config::default());
    runtime.set_time_limit(Duration::from_secs(600));
    runtime.block_on(chaos_run())
}

#[test]
fn no_acknowledged_line_is_lost_in_a_chaos_run() {
    let mut all = 0;
    for seed in seeds() {
        // Each madsim runtime needs a thread of its own.
        let ran = std::thread::spawn(move || run(seed)).join();
        let (_, acknowledged) =
            ran.unwrap_or_else(|_| panic!("QUORATE_SEEDS={seed}..{}", seed + 1));
        all += acknowledged;
    }
    assert!(all > 0, "no line was acknowledged");
}

#[test]
fn a_seed_replays_the_same_run() {
    // A killed node fails every request at once, so the clients of one run may be done before
    // a line is acknowledged.
    let runs = (0..3).map(|seed| Runtime::check_determinism(seed, Config::default(), chaos_run));
    let acknowledged: usize = runs.map(|(_, acknowledged)| acknowledged).sum();
    assert!(acknowledged > 0, "no line was acknowledged");
}
