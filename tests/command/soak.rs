//! Honest clients of three nodes under attack, for a long time: nothing is lost, and the nodes need
//! no more memory and files than at the beginning.
#![expect(clippy::disallowed_methods, reason = "an attack and a soak last for a real time")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use quorate::runtime::blocking::Client;
use quorate::runtime::{ANY_UNNAMED_CLUSTER, ClientConfig};

use crate::cli::quorate_in;
use crate::nodes::{Nodes, eventually};

/// The number of keys that the honest client overwrites in turn.
const KEYS: u64 = 500;

/// One attacker's next act, on a node with these addresses for clients and for metrics. Returns
/// true if it reached the node.
type Attack = fn(&Held, SocketAddr, SocketAddr) -> bool;

/// The connections that an attacker keeps between its acts.
#[derive(Default)]
struct Held(std::cell::RefCell<Vec<TcpStream>>);

impl Held {
    /// Keeps a connection to this address, and closes the oldest one if there are more than `max`.
    fn keep(&self, address: SocketAddr, max: usize) -> bool {
        let (mut held, connection) = (self.0.borrow_mut(), TcpStream::connect(address));
        let connects = connection.is_ok();
        held.extend(connection);
        if held.len() > max {
            held.remove(0);
        }
        connects
    }

    /// Sends `byte` on every connection, and closes those that the node has closed.
    fn drip(&self, byte: u8) {
        self.0.borrow_mut().retain_mut(|stream| stream.write_all(&[byte]).is_ok());
    }
}

/// The attacks that a remote without a certificate, or a client, can carry out again and again.
const ATTACKS: [(&str, Attack); 6] = [
    ("hellos that arrive byte by byte", |held, node, _| {
        held.drip(b'Q');
        held.keep(node, 200)
    }),
    ("connections that send nothing", |held, node, _| held.keep(node, 400)),
    ("connections that end at once", |_, node, _| TcpStream::connect(node).is_ok()),
    ("garbage", |_, node, _| {
        let Ok(mut stream) = TcpStream::connect(node) else { return false };
        let sent = stream.write_all(&[0xa5; 4096]).is_ok();
        let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
        let _ = stream.read(&mut [0; 64]);
        sent
    }),
    ("HTTP requests that arrive byte by byte", |held, _, metrics| {
        held.drip(b'G');
        held.keep(metrics, 100)
    }),
    ("clients with a session each", |_, node, _| {
        let config = ClientConfig::new(ANY_UNNAMED_CLUSTER, [node.to_string()]);
        let client = Client::new(config).expect("the configuration is valid");
        client.with_deadline(Duration::from_millis(500)).propose(&[0; 20_000]).is_ok()
    }),
];

/// The attackers; they end when this is dropped.
struct Attackers {
    ended: Arc<AtomicBool>,
    acts: Vec<(&'static str, Arc<AtomicU64>)>,
    threads: Vec<JoinHandle<()>>,
}

impl Attackers {
    fn start(targets: Vec<(SocketAddr, SocketAddr)>) -> Attackers {
        let ended = Arc::new(AtomicBool::new(false));
        let (mut acts, mut threads) = (Vec::new(), Vec::new());
        for (name, attack) in ATTACKS {
            let (count, ended) = (Arc::new(AtomicU64::new(0)), Arc::clone(&ended));
            acts.push((name, Arc::clone(&count)));
            let targets = targets.clone();
            threads.push(std::thread::spawn(move || {
                let held: Vec<Held> = targets.iter().map(|_| Held::default()).collect();
                while !ended.load(Ordering::Relaxed) {
                    for (held, (node, metrics)) in held.iter().zip(&targets) {
                        let reached = attack(held, *node, *metrics);
                        count.fetch_add(u64::from(reached), Ordering::Relaxed);
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            }));
        }
        Attackers { ended, acts, threads }
    }
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

impl Nodes {
    /// Returns the resident memory of each node in KiB, and its number of open files.
    fn costs(&self) -> Vec<(u64, usize)> {
        let cost = |id| {
            let process = format!("/proc/{}", self.pid(id));
            let status = std::fs::read_to_string(format!("{process}/status")).expect("it runs");
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
            let files = std::fs::read_dir(format!("{process}/fd")).expect("it runs").count();
            (kib.expect("Linux names the resident memory"), files)
        };
        (1..=3).map(cost).collect()
    }

    /// Puts values for `duration`, and returns the number of the last one and the 99th percentile
    /// of the times.
    fn put_for(&self, duration: Duration, first: u64) -> (u64, Duration) {
        let (start, mut value, mut times) = (Instant::now(), first, Vec::new());
        while start.elapsed() < duration {
            let began = Instant::now();
            let words = ["put", &format!("key{}", value % KEYS), &value.to_string()];
            quorate_in(self.root(), [&words[..], &["--nodes", &self.nodes()]].concat()).ok();
            times.push(began.elapsed());
            value += 1;
        }
        times.sort();
        (value, times[times.len() * 99 / 100])
    }
}

fn soak(quiet: Duration, attacked: Duration) {
    let mut nodes = Nodes::none(3);
    let members = nodes.listed(&[1, 2, 3]);
    nodes.bootstrap_with(3, &["--members", &members, "--metrics", "0"]);
    nodes.leader();
    let metrics = |id| crate::http::address(&nodes, id, "metrics");
    let targets: Vec<_> = (1..=3).map(|id| (nodes.address(id), metrics(id))).collect();
    let (value, before) = nodes.put_for(quiet, 0);
    let files: Vec<usize> = nodes.costs().into_iter().map(|(_, files)| files).collect();

    let attackers = Attackers::start(targets);
    // The attacks have all that they may take after the first quarter.
    let (value, _) = nodes.put_for(attacked / 4, value);
    let early = nodes.costs();
    let (value, during) = nodes.put_for(attacked / 4 * 3, value);
    let late = nodes.costs();
    drop(attackers);

    println!("{value} values; 99th percentile {before:?} before, {during:?} under attack");
    println!("KiB and files per node: {early:?} early, {late:?} late, {files:?} files before");
    for ((early, early_files), (late, late_files)) in early.iter().zip(&late) {
        assert!(*late < early + early / 4 + (16 << 10), "memory grows: {early} to {late} KiB");
        let most = early_files + early_files / 4 + 128;
        assert!(*late_files <= most, "files grow: {early_files} to {late_files}");
    }
    eventually("the files of the attackers are closed", || {
        nodes.costs().iter().zip(&files).all(|((_, now), before)| *now <= before + 16)
    });
    for number in value.saturating_sub(KEYS)..value {
        nodes.ask(&["get", &format!("key{}", number % KEYS)]).prints(0, &number.to_string());
    }
}

#[test]
fn honest_clients_lose_nothing_under_attack() {
    soak(Duration::from_secs(2), Duration::from_secs(12));
}

/// `QUORATE_SOAK` is the number of seconds under attack, 30 minutes without it.
#[test]
#[ignore = "takes half an hour"]
fn long_soak() {
    let seconds = std::env::var("QUORATE_SOAK").ok().and_then(|text| text.parse().ok());
    soak(Duration::from_secs(60), Duration::from_secs(seconds.unwrap_or(1800)));
}
