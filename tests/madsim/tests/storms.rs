//! Three nodes as they run for real, killed, cut off, paused and slowed at random: nothing that was
//! acknowledged is lost, nothing is carried out twice, and one seed always tells the same story.
//!
//! `QUORATE_SEEDS=A..B` runs other seeds than the first few.

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
use madsim::rand::{Rng, thread_rng};
use madsim::runtime::{NodeHandle, Runtime};
use madsim::time::{sleep, timeout};
use quorate::machine::StateMachine;
use quorate::runtime::{AskError, Handle, Server, ServerConfig};
use quorate::storage::ClusterId;
use quorate::types::{Index, NodeId, ReadLevel};
use tempfile::TempDir;

const NODES: [u64; 3] = [1, 2, 3];
const CLIENTS: u64 = 3;
const LINES: u64 = 40;
const FAULTS: u32 = 12;

/// Lines, one after the other.
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

/// What a client knows of a line that it asked to add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Added,
    NotAdded,
    Nothing,
}

/// Everybody's handle, as long as the node runs.
type Handles = Arc<Mutex<BTreeMap<u64, Handle>>>;

struct World {
    _root: TempDir,
    handles: Handles,
    nodes: Vec<NodeHandle>,
}

fn address(id: u64) -> SocketAddr {
    format!("10.0.0.{id}:7000").parse().expect("it is one")
}

fn config(root: &TempDir, id: u64) -> ServerConfig {
    let members = NODES.map(|id| (NodeId(id), address(id)));
    let directory = root.path().join(id.to_string());
    let mut config =
        ServerConfig::new(directory, ClusterId(7), NodeId(id), members).expect("it is a member");
    config.plaintext = true;
    config.replica.storage.segment_bytes = 16 << 20;
    config.replica.storage.segments_ahead = 1;
    config.replica.snapshot_entries = 50;
    config
}

impl World {
    fn start() -> World {
        // In a simulation a name drawn by chance is always the same one, and another is drawn where
        // an earlier run has left it.
        static WORLDS: AtomicU64 = AtomicU64::new(0);
        let (process, world) = (std::process::id(), WORLDS.fetch_add(1, Ordering::Relaxed));
        let prefix = format!("quorate-madsim-{process}-{world}-");
        let root = tempfile::Builder::new().prefix(&prefix).tempdir().expect("there is room");
        let handles = Handles::default();
        let runtime = madsim::runtime::Handle::current();
        let start = |id: u64| {
            let (config, handles) = (config(&root, id), Arc::clone(&handles));
            let run = move || {
                let (config, handles) = (config.clone(), Arc::clone(&handles));
                async move {
                    let started = Server::start(config, Lines::default()).await;
                    let mut server = started.expect("the directory is the node's");
                    handles.lock().expect("nobody panics").insert(id, server.handle());
                    server.ended().await.expect("no disk fails");
                }
            };
            runtime.create_node().name(id.to_string()).ip(address(id).ip()).init(run).build()
        };
        let nodes = NODES.into_iter().map(start).collect();
        World { _root: root, handles, nodes }
    }

    fn handle(&self, id: u64) -> Option<Handle> {
        self.handles.lock().expect("nobody panics").get(&id).cloned()
    }

    /// Does something bad for a while, and undoes it.
    async fn hurt(&self) {
        let (runtime, net) = (madsim::runtime::Handle::current(), NetSim::current());
        let mut rng = thread_rng();
        let first = rng.gen_range(0..NODES.len());
        let other = (first + rng.gen_range(1..NODES.len())) % NODES.len();
        let (first, other) = (self.nodes[first].id(), self.nodes[other].id());
        let span = Duration::from_millis(rng.gen_range(10..3000));
        match rng.gen_range(0..6) {
            0 => {
                runtime.kill(first);
                sleep(span).await;
                runtime.restart(first);
            }
            1 => {
                net.clog_node(first);
                sleep(span).await;
                net.unclog_node(first);
            }
            2 => {
                net.clog_link(first, other);
                sleep(span).await;
                net.unclog_link(first, other);
            }
            3 => {
                runtime.pause(first);
                sleep(span).await;
                runtime.resume(first);
            }
            4 => {
                let slow = Duration::from_millis(1)..Duration::from_millis(rng.gen_range(20..300));
                net.update_config(|config| config.send_latency = slow);
                sleep(span).await;
                net.update_config(|config| *config = Config::default().net);
            }
            _ => {
                runtime.kill(first);
                runtime.kill(other);
                sleep(span).await;
                runtime.restart(first);
                runtime.restart(other);
            }
        }
        sleep(Duration::from_millis(rng.gen_range(0..2000))).await;
    }

    /// Once all is well again, every node answers the same.
    async fn settle(&self) -> String {
        let mut answers = Vec::new();
        for id in NODES {
            let answer = loop {
                if let Some(handle) = self.handle(id) {
                    let read = handle.read(ReadLevel::Linearizable, b"");
                    if let Ok(Ok(answered)) = timeout(Duration::from_secs(5), read).await {
                        break answered.answer;
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

/// Adds lines, one after the other, each at some node. Says what became of each.
async fn add_lines(client: u64, handles: Handles) -> Vec<(String, Known)> {
    let mut told = Vec::new();
    for number in 0..LINES {
        let line = format!("{client}-{number}");
        let mut known = Known::NotAdded;
        for _ in 0..20 {
            let node = NODES[thread_rng().gen_range(0..NODES.len())];
            let handle = handles.lock().expect("nobody panics").get(&node).cloned();
            let Some(handle) = handle else {
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            let proposed = timeout(Duration::from_secs(2), handle.propose(line.as_bytes())).await;
            known = match proposed {
                Ok(Ok(_)) => Known::Added,
                Ok(Err(AskError::Rejected(_))) => Known::NotAdded,
                Ok(Err(_)) | Err(_) => Known::Nothing,
            };
            if known != Known::NotAdded {
                break;
            }
            sleep(Duration::from_millis(50)).await;
        }
        told.push((line, known));
    }
    told
}

fn check(told: &[(String, Known)], lines: &str) {
    let mut before = 0;
    for (line, known) in told {
        let places: Vec<usize> =
            lines.lines().enumerate().filter(|(_, one)| one == line).map(|(at, _)| at).collect();
        match (known, places.len()) {
            (Known::Added, 1) => {
                assert!(places[0] >= before, "{line} stands before what was added earlier");
                before = places[0];
            }
            (Known::NotAdded, 0) | (Known::Nothing, 0 | 1) => {}
            (known, count) => panic!("{line}, {known:?}, is there {count} times"),
        }
    }
}

/// The lines at the end, and how many of them were acknowledged.
async fn storm() -> (String, usize) {
    let world = World::start();
    let clients = (0..CLIENTS).map(|client| {
        let handles = Arc::clone(&world.handles);
        madsim::task::spawn(add_lines(client, handles))
    });
    let clients: Vec<_> = clients.collect();
    for _ in 0..FAULTS {
        world.hurt().await;
    }
    let mut added = 0;
    let mut told = Vec::new();
    for client in clients {
        told.push(client.await.expect("no client panics"));
    }
    let lines = world.settle().await;
    for told in &told {
        check(told, &lines);
        added += told.iter().filter(|(_, known)| *known == Known::Added).count();
    }
    (lines, added)
}

fn seeds() -> Range<u64> {
    let Ok(range) = std::env::var("QUORATE_SEEDS") else { return 0..20 };
    let (first, end) = range.split_once("..").expect("QUORATE_SEEDS is A..B");
    first.parse().expect("A is a number")..end.parse().expect("B is a number")
}

fn run(seed: u64) -> (String, usize) {
    let mut runtime = Runtime::with_seed_and_config(seed, Config::default());
    runtime.set_time_limit(Duration::from_secs(600));
    runtime.block_on(storm())
}

#[test]
fn nothing_acknowledged_is_lost_in_a_storm() {
    let mut all = 0;
    for seed in seeds() {
        // The runtime of each seed is a thread's own.
        let ran = std::thread::spawn(move || run(seed)).join();
        let (_, added) = ran.unwrap_or_else(|_| panic!("QUORATE_SEEDS={seed}..{}", seed + 1));
        all += added;
    }
    assert!(all > 0, "every line was refused");
}

#[test]
fn one_seed_tells_one_story() {
    for seed in 0..3 {
        let told = Runtime::check_determinism(seed, Config::default(), storm);
        assert!(told.1 > 0, "seed {seed}: every line was refused");
    }
}
