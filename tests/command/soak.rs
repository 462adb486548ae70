//! Honest clients of three nodes under attack, for a long time: nothing is lost, and the nodes need
//! no more memory and files than at the beginning.
#![expect(clippy::disallowed_methods, reason = "an attack and a soak last for a real time")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use quorate::runtime::blocking::Client;
use quorate::runtime::certs::Directory;
use quorate::runtime::{
    ANY_UNNAMED_CLUSTER, AttemptError, ClientConfig, ClientError, Principal, TlsConfig,
};
use quorate::types::ReadLevel;
use quorate::wire::{ClientHello, ClientRequest, RequestBody, Versions};
use tokio::task::JoinSet;

use crate::cli::{CommandOutput, command};
use crate::nodes::{Nodes, eventually};

/// The number of keys that the honest client overwrites in turn.
const KEYS: u64 = 500;

/// The key whose value the floods of reads ask for, and the size of the value in bytes.
const LARGE: (&str, usize) = ("large", 900_000);

/// The number of requests that a flood sends at once.
const FLOOD: u64 = 4096;

/// The node that is attacked.
struct Target {
    node: SocketAddr,
    metrics: SocketAddr,
    /// The certificate of the attacker; none if the node uses no TLS.
    tls: Option<TlsConfig>,
}

impl Target {
    /// Returns a client with a new connection, whose calls end soon.
    fn client(&self) -> Client {
        let named = self.tls.as_ref().map(|tls| tls.principal().expect("it names its cluster"));
        let cluster = named.map_or(ANY_UNNAMED_CLUSTER, |(cluster, _)| cluster);
        let mut config = ClientConfig::new(cluster, [self.node]);
        config.tls.clone_from(&self.tls);
        let client = Client::new(config).expect("the configuration is valid");
        client.with_deadline(Duration::from_millis(500))
    }

    /// Reads the key [`FLOOD`] times at once, and returns true if a read reached the node. Without
    /// certificates all attackers share one limit, so the node may reject all these reads.
    fn flood(&self, key: &str) -> bool {
        let (address, client) = (self.node.to_string(), self.client());
        client.with_deadline(Duration::from_secs(2)).run(async |client| {
            let mut reads = JoinSet::new();
            for _ in 0..FLOOD {
                let (client, address, query) = (client.clone(), address.clone(), get(key));
                reads.spawn(async move {
                    client.read_at(&address, ReadLevel::Linearizable, &query).await
                });
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
        })
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
type Attack = fn(&Held, &Target) -> bool;

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

    /// Sends the bytes on the newest connection, as far as the node receives them at once.
    fn send(&self, bytes: &[u8]) {
        if let Some(newest) = self.0.borrow_mut().last_mut() {
            let _ = newest.set_write_timeout(Some(Duration::from_millis(50)));
            let _ = newest.write_all(bytes);
        }
    }

    /// Sends `byte` on every connection, and closes those that the node has closed.
    fn drip(&self, byte: u8) {
        self.0.borrow_mut().retain_mut(|stream| stream.write_all(&[byte]).is_ok());
    }
}

/// The attacks that a remote without a certificate, or a client, can carry out again and again.
const ATTACKS: [(&str, Attack); 9] = [
    ("hellos that arrive byte by byte", |held, target| {
        held.drip(b'Q');
        held.keep(target.node, 200)
    }),
    ("connections that send nothing", |held, target| held.keep(target.node, 400)),
    ("connections that end at once", |_, target| TcpStream::connect(target.node).is_ok()),
    ("garbage", |_, target| {
        let Ok(mut stream) = TcpStream::connect(target.node) else { return false };
        let sent = stream.write_all(&[0xa5; 4096]).is_ok();
        let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
        let _ = stream.read(&mut [0; 64]);
        sent
    }),
    ("HTTP requests that arrive byte by byte", |held, target| {
        held.drip(b'G');
        held.keep(target.metrics, 100)
    }),
    ("clients with a session each", |_, target| target.client().propose(&[0; 20_000]).is_ok()),
    ("floods of short requests", |_, target| target.flood("missing")),
    ("floods of reads of a large value", |_, target| target.flood(LARGE.0)),
    ("pipelined reads of a large value, without reading the answers", |held, target| {
        let connects = held.keep(target.node, 8);
        held.send(&pipelined_reads());
        connects
    }),
];

/// The attackers; they end when this is dropped.
struct Attackers {
    ended: Arc<AtomicBool>,
    acts: Vec<(&'static str, Arc<AtomicU64>)>,
    threads: Vec<JoinHandle<()>>,
}

impl Attackers {
    fn start(targets: Vec<Target>) -> Attackers {
        let targets = Arc::new(targets);
        let ended = Arc::new(AtomicBool::new(false));
        let (mut acts, mut threads) = (Vec::new(), Vec::new());
        for (name, attack) in ATTACKS {
            let (count, ended) = (Arc::new(AtomicU64::new(0)), Arc::clone(&ended));
            acts.push((name, Arc::clone(&count)));
            let targets = Arc::clone(&targets);
            threads.push(std::thread::spawn(move || {
                // Attackers have other machines. Here they take only the processor time that the
                // nodes and the honest client leave. On Linux the call affects only this thread.
                #[cfg(target_os = "linux")]
                rustix::process::nice(19).expect("a thread may lower its own priority");
                let held: Vec<Held> = targets.iter().map(|_| Held::default()).collect();
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

/// The nodes, and the flags of an honest client.
struct Service {
    nodes: Nodes,
    flags: Vec<String>,
}

impl Service {
    /// Starts three nodes, with certificates or without, and returns them as targets, too.
    fn start(has_certs: bool) -> (Service, Vec<Target>) {
        let mut nodes = Nodes::none(3);
        let members = nodes.listed(&[1, 2, 3]);
        let certs = nodes.root().join("certs").to_string_lossy().into_owned();
        let mut serve = vec!["--members", &members, "--metrics", "0"];
        let mut flags = Vec::new();
        if has_certs {
            let words = ["certs", &certs, "--nodes", "1,2,3", "--clients", "app,mallory"];
            nodes.quorate(&words).ok();
            serve.extend(["--certs", &certs]);
            flags = ["--certs", &certs, "--as", "client/app"].map(str::to_owned).into();
        }
        nodes.bootstrap_with(3, &serve);
        let mallory = Principal::client("mallory").expect("the name is valid");
        let target = |id| Target {
            node: nodes.address(id),
            metrics: crate::http::address(&nodes, id, "metrics"),
            tls: has_certs.then(|| Directory::open(&certs).expect("it is there").config(&mallory)),
        };
        let targets = (1..=3).map(target).collect();
        (Service { nodes, flags }, targets)
    }

    /// Runs the command of an honest client, with this value on its standard input.
    fn ask(&self, words: &[&str], input: &[u8]) -> CommandOutput {
        let file = self.nodes.root().join("input");
        std::fs::write(&file, input).expect("the disk has space");
        let mut asking = command();
        asking.current_dir(self.nodes.root()).args(words).args(["--nodes", &self.nodes.nodes()]);
        asking.args(&self.flags).stdin(File::open(&file).expect("it was written"));
        CommandOutput::run(&mut asking)
    }

    /// Returns the resident memory of each node in KiB, and its number of open files.
    fn costs(&self) -> Vec<(u64, usize)> {
        let cost = |id| {
            let process = format!("/proc/{}", self.nodes.pid(id));
            let status = std::fs::read_to_string(format!("{process}/status")).expect("it runs");
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
            let files = std::fs::read_dir(format!("{process}/fd")).expect("it runs").count();
            (kib.expect("Linux names the resident memory"), files)
        };
        (1..=3).map(cost).collect()
    }

    /// Puts the numbers from `first` on for `duration`, and returns the next number and the 99th
    /// percentile of the times.
    fn put_for(&self, duration: Duration, first: u64) -> (u64, Duration) {
        let (start, mut value, mut times) = (Instant::now(), first, Vec::new());
        while start.elapsed() < duration {
            let began = Instant::now();
            let words = ["put", &format!("key{}", value % KEYS), &value.to_string()];
            self.ask(&words, b"").ok();
            times.push(began.elapsed());
            value += 1;
        }
        times.sort();
        (value, times[times.len() * 99 / 100])
    }
}

/// The memory that the floods may take in a node at one time and not at another, in KiB: the
/// answers to one client, both as values and as encoded bytes.
const ANSWERS_KIB: u64 = 64 << 10;

fn soak(has_certs: bool, quiet: Duration, attacked: Duration) {
    let (nodes, targets) = Service::start(has_certs);
    eventually("a leader is elected", || {
        nodes.ask(&["put", LARGE.0, "-"], &vec![b'x'; LARGE.1]).code == 0
    });
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
        let most = early + early / 4 + ANSWERS_KIB;
        assert!(*late < most, "memory grows: {early} to {late} KiB");
        let most = early_files + early_files / 4 + 128;
        assert!(*late_files <= most, "files grow: {early_files} to {late_files}");
    }
    eventually("the files of the attackers are closed", || {
        nodes.costs().iter().zip(&files).all(|((_, now), before)| *now <= before + 16)
    });
    for number in value.saturating_sub(KEYS)..value {
        let get = ["get", &format!("key{}", number % KEYS)];
        nodes.ask(&get, b"").prints(0, &number.to_string());
    }
}

#[test]
fn honest_clients_lose_nothing_under_attack() {
    soak(false, Duration::from_secs(2), Duration::from_secs(12));
}

#[test]
fn honest_clients_lose_nothing_under_attack_by_clients_with_certificates() {
    soak(true, Duration::from_secs(2), Duration::from_secs(12));
}

/// `QUORATE_SOAK` is the number of seconds under attack, by default 30 minutes: one half without
/// certificates, and one half with them.
#[test]
#[ignore = "takes half an hour"]
fn long_soak() {
    let seconds = std::env::var("QUORATE_SOAK").ok().and_then(|text| text.parse().ok());
    for has_certs in [false, true] {
        soak(has_certs, Duration::from_secs(60), Duration::from_secs(seconds.unwrap_or(1800) / 2));
    }
}
