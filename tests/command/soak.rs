//! Honest clients of three nodes under attack, for a long time: nothing is lost, and the nodes need
//! no more memory and files than at the beginning.
#![expect(clippy::disallowed_methods, reason = "an attack and a soak last for a real time")]

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate::runtime::blocking::Client;
use quorate::runtime::certs::Directory;
use quorate::runtime::{ANY_UNNAMED_CLUSTER, ClientConfig, Principal};

use crate::attacks::{ATTACKS, Attackers, LARGE, LONG_WRITES, Target};
use crate::cli::{CommandOutput, command};
use crate::nodes::{Nodes, eventually};

/// The number of keys that the honest client overwrites in turn.
const KEYS: u64 = 500;

/// The nodes, and the flags of an honest client.
struct Service {
    nodes: Nodes,
    flags: Vec<String>,
    /// A client that keeps its connection.
    client: Client,
    targets: Arc<Vec<Target>>,
}

/// The times of the writes of the honest client, and the processor time of the nodes meanwhile.
#[derive(Default)]
struct Times {
    /// Those of commands: a process, a connection, a session and a write each.
    commands: Vec<Duration>,
    /// Those of writes on one connection.
    writes: Vec<Duration>,
    duration: Duration,
    nodes: [Duration; 3],
}

impl Service {
    /// Starts three nodes, with certificates or without.
    fn start(has_certs: bool) -> Service {
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
        let files_of = |name| {
            let client = Principal::client(name).expect("the name is valid");
            has_certs.then(|| Directory::open(&certs).expect("it is there").config(&client))
        };
        let target = |id| Target {
            node: nodes.address(id),
            metrics: crate::http::address(&nodes, id, "metrics"),
            tls: files_of("mallory"),
        };
        let targets = Arc::new((1..=3).map(target).collect());
        let tls = files_of("app");
        let named = tls.as_ref().map(|tls| tls.principal().expect("it names its cluster"));
        let cluster = named.map_or(ANY_UNNAMED_CLUSTER, |(cluster, _)| cluster);
        let mut config = ClientConfig::new(cluster, (1..=3).map(|id| nodes.address(id)));
        config.tls = tls;
        let client = Client::new(config).expect("the configuration is valid");
        let service = Service { nodes, flags, client, targets };
        eventually("a leader is elected", || {
            service.ask(&["put", LARGE.0, "-"], &vec![b'x'; LARGE.1]).code == 0
        });
        service
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

    /// Returns the processor time of each node so far.
    fn processor_times(&self) -> [Duration; 3] {
        [1, 2, 3].map(|id| {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.nodes.pid(id)));
            let stat = stat.expect("it runs");
            let (_, fields) = stat.rsplit_once(") ").expect("the name is in parentheses");
            let ticks = fields.split(' ').skip(11).take(2).map(|it| it.parse::<u64>().unwrap_or(0));
            Duration::from_millis(10 * ticks.sum::<u64>())
        })
    }

    /// Puts values for `duration` from `*value` on, each by a command and as a write of the client
    /// that keeps its connection.
    fn put_for(&self, duration: Duration, value: &mut u64) -> Times {
        let (start, mut times, before) = (Instant::now(), Times::default(), self.processor_times());
        while start.elapsed() < duration {
            let began = Instant::now();
            let words = ["put", &format!("key{}", *value % KEYS), &value.to_string()];
            self.ask(&words, b"").ok();
            times.commands.push(began.elapsed());
            let began = Instant::now();
            self.client.propose(&put("kept", &value.to_string())).expect("a leader answers");
            times.writes.push(began.elapsed());
            *value += 1;
        }
        times.duration = start.elapsed();
        let after = self.processor_times();
        times.nodes = std::array::from_fn(|node| after[node] - before[node]);
        times.commands.sort();
        times.writes.sort();
        times
    }
}

/// Returns the command that puts the value.
fn put(key: &str, value: &str) -> Vec<u8> {
    let part = |part: &str| {
        let length = u32::try_from(part.len()).expect("the part is short");
        [&length.to_le_bytes()[..], part.as_bytes()].concat()
    };
    [vec![1], part(key), part(value)].concat()
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for times in [&self.commands, &self.writes] {
            let of = |percent: usize| times[times.len() * percent / 100].as_secs_f64() * 1e3;
            write!(f, "{:>7.1} {:>7.1} |", of(50), of(99))?;
        }
        for node in self.nodes {
            write!(f, " {:>3.0}%", 100.0 * node.as_secs_f64() / self.duration.as_secs_f64())?;
        }
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        write!(f, " | {:>5} | {}", self.commands.len(), load.split(' ').next().unwrap_or_default())
    }
}

/// The columns of [`Times`].
const COLUMNS: &str = "ms of commands: p50, p99 | of writes: p50, p99 | processor time of each \
                       node | commands | load of the machine";

/// The memory that the floods may take in a node at one time and not at another, in KiB: the
/// answers to one client, both as values and as encoded bytes.
const ANSWERS_KIB: u64 = 64 << 10;

fn soak(has_certs: bool, quiet: Duration, attacked: Duration) {
    let service = Service::start(has_certs);
    let mut value = 0;
    let before = service.put_for(quiet, &mut value);
    let files: Vec<usize> = service.costs().into_iter().map(|(_, files)| files).collect();
    let attackers = Attackers::busy(ATTACKS.len());
    let busy = service.put_for(quiet, &mut value);
    drop(attackers);

    let attackers = Attackers::start(&ATTACKS, &service.targets);
    // The attacks have all that they may take after the first quarter.
    service.put_for(attacked / 4, &mut value);
    let early = service.costs();
    let during = service.put_for(attacked / 4 * 3, &mut value);
    let late = service.costs();
    drop(attackers);

    println!("{COLUMNS}\n{before} | quiet\n{busy} | busy threads\n{during} | under attack");
    println!("KiB and files per node: {early:?} early, {late:?} late, {files:?} files before");
    for ((early, early_files), (late, late_files)) in early.iter().zip(&late) {
        let most = early + early / 4 + ANSWERS_KIB;
        assert!(*late < most, "memory grows: {early} to {late} KiB");
        let most = early_files + early_files / 4 + 128;
        assert!(*late_files <= most, "files grow: {early_files} to {late_files}");
    }
    eventually("the files of the attackers are closed", || {
        service.costs().iter().zip(&files).all(|((_, now), before)| *now <= before + 16)
    });
    for number in value.saturating_sub(KEYS)..value {
        let get = ["get", &format!("key{}", number % KEYS)];
        service.ask(&get, b"").prints(0, &number.to_string());
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

/// Prints the times of the honest client under each attack alone and, for comparison, in quiet
/// times and beside busy threads. `QUORATE_SOAK` is the number of seconds of each, by default 20.
#[test]
#[ignore = "measures for minutes"]
fn each_attack_alone() {
    let seconds = std::env::var("QUORATE_SOAK").ok().and_then(|text| text.parse().ok());
    let time = Duration::from_secs(seconds.unwrap_or(20));
    println!("{COLUMNS}");
    for has_certs in [false, true] {
        println!("with certificates: {has_certs}");
        let (service, mut value) = (Service::start(has_certs), 0);
        let mut measure = |name: &str, attackers: Option<Attackers>| {
            let times = service.put_for(time, &mut value);
            drop(attackers);
            println!("{times} | {name}");
        };
        measure("quiet", None);
        for count in [1, 3, ATTACKS.len()] {
            measure(&format!("{count} busy threads"), Some(Attackers::busy(count)));
        }
        for attack in ATTACKS.into_iter().chain([LONG_WRITES]) {
            measure("quiet", None);
            measure(attack.0, Some(Attackers::start(&[attack], &service.targets)));
        }
        measure("all", Some(Attackers::start(&ATTACKS, &service.targets)));
    }
}
