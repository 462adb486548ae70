//! Measures the cost of each option that the example systems use: `cargo bench -p quorate-systems`.
//! Each option is compared with the same cluster or request without it. The two alternate, so that
//! other load on the machine affects both equally. `docs/SYSTEMS.md` has the printed tables.
#![expect(clippy::disallowed_methods, reason = "it measures real time")]

use std::error::Error;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use quorate::raft::{Lease, RoleName, Survivor};
use quorate::runtime::blocking::Client;
use quorate::runtime::certs::Directory;
use quorate::runtime::{ClientConfig, ClientError, Principal, Server, ServerConfig};
use quorate::storage::ClusterId;
use quorate::types::{Acknowledge, NodeId, ReadLevel};
use quorate_systems::common::codec;
use quorate_systems::common::latencies::Latencies;
use quorate_systems::common::local_cluster::{POLL_INTERVAL, free_addresses};
use quorate_systems::common::table::markdown;
use quorate_systems::coordinator::machine::Pairs;
use quorate_systems::coordinator::message::{Command, Query};
use quorate_systems::courier::server::SURVIVOR_AFTER;
use tempfile::TempDir;
use tokio::runtime::Runtime;

type Fallible<T> = Result<T, Box<dyn Error>>;
/// A request to measure.
type BenchRequest<'a> = Box<dyn Fn() -> Result<(), ClientError> + 'a>;
/// A change to the configuration of each node.
type Adjust = fn(&mut ServerConfig);

const CLUSTER: ClusterId = ClusterId(0xc057);
/// The number of measurements of each request, and of warm-up requests.
const ROUNDS: usize = 600;
const WARM: usize = 30;
/// The number of leaders that are killed for each kind of cluster.
const KILLS: usize = 5;
/// The time limit of every step, after which the benchmark fails.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// The leases of the coordinator, with its maximum clock drift.
const LEASE: Lease = Lease { drift_ppm: 10_000, read_leases: true };
const LEASE_TIME: Duration = Duration::from_millis(300);

/// A cluster within this process; each node has its own runtime.
struct Cluster {
    nodes: Vec<(Option<Runtime>, SocketAddr)>,
    certs: Option<Directory>,
    root: TempDir,
}

impl Cluster {
    /// Starts `count` nodes, whose configuration `adjust` changes. Waits until there is a leader,
    /// and all nodes answer.
    fn start(count: u64, has_tls: bool, adjust: impl Fn(&mut ServerConfig)) -> Fallible<Cluster> {
        let root = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
        let certs = match has_tls {
            true => Some(Directory::open(root.path().join("certs"))?),
            false => None,
        };
        if let Some(certs) = &certs {
            for id in 1..=count {
                certs.issue(CLUSTER, &Principal::Node(NodeId(id)), 1)?;
            }
            certs.issue(CLUSTER, &Principal::Admin("ops".into()), 1)?;
            certs.issue(CLUSTER, &Principal::Client("user".into()), 1)?;
        }
        let addresses = free_addresses(count)?;
        let mut cluster = Cluster { nodes: Vec::new(), certs, root };
        for (id, address) in (1..).zip(&addresses) {
            let members = (1..).map(NodeId).zip(addresses.iter().copied());
            let directory = cluster.root.path().join(id.to_string());
            let mut config = ServerConfig::new(directory, CLUSTER, NodeId(id), members)?;
            config.inline_machine = true;
            let storage = &mut config.replica.storage;
            (storage.segment_bytes, storage.spare_segments) = (16 << 20, 1);
            let principal = Principal::Node(NodeId(id));
            config.tls = cluster.certs.as_ref().map(|certs| certs.config(&principal));
            adjust(&mut config);
            let runtime = Runtime::new()?;
            let mut server = runtime.block_on(Server::start(config, Pairs::default()))?;
            runtime.spawn(async move { server.stopped().await });
            cluster.nodes.push((Some(runtime), *address));
        }
        cluster.leader()?;
        Ok(cluster)
    }

    /// Returns a client with the addresses of these nodes, by index.
    fn client(&self, nodes: &[usize], adjust: impl Fn(&mut ClientConfig)) -> Fallible<Client> {
        let known = nodes.iter().map(|index| self.nodes[*index].1.to_string());
        let mut config = ClientConfig::new(CLUSTER, known);
        let user = Principal::Client("user".into());
        config.tls = self.certs.as_ref().map(|certs| certs.config(&user));
        (config.deadline, config.attempt_max) = (TIME_LIMIT, TIME_LIMIT);
        adjust(&mut config);
        Ok(Client::new(config)?)
    }

    fn all(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|index| self.nodes[*index].0.is_some()).collect()
    }

    /// Waits until there is a leader, the membership changes after its election are complete, and
    /// every running node answers; returns the index of the leader.
    fn leader(&self) -> Fallible<usize> {
        let client = self.client(&self.all(), |_| {})?.with_deadline(Duration::from_secs(1));
        let due = Instant::now() + TIME_LIMIT;
        while Instant::now() < due {
            thread::sleep(POLL_INTERVAL);
            let reports = self.all().into_iter().map(|index| (index, self.nodes[index].1));
            let reports =
                reports.map(|(index, at)| Some((index, client.report(&at.to_string()).ok()?)));
            let reports: Option<Vec<_>> = reports.collect();
            let Some(reports) = reports else { continue };
            let mut leads = reports.iter().filter(|(_, it)| it.status.role == RoleName::Leader);
            let settled = |it: &&(usize, quorate::runtime::Report)| {
                let membership = &it.1.membership;
                let even = self.nodes.len().is_multiple_of(2);
                let casting = membership.incoming().casting();
                !membership.is_joint() && (!even || casting == Some(it.1.status.id))
            };
            if let Some((index, _)) = leads.next().filter(settled) {
                return Ok(*index);
            }
        }
        Err("within a minute no leader completed its changes, or a node did not answer".into())
    }

    /// Stops a node immediately.
    fn kill(&mut self, index: usize) {
        self.nodes[index].0.take().expect("the node runs").shutdown_background();
    }

    fn at(&self, index: usize) -> String {
        self.nodes[index].1.to_string()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.all().into_iter().for_each(|index| self.kill(index));
    }
}

fn write() -> Vec<u8> {
    codec::encode(&Command::Put { key: "key".to_owned(), value: "a value".to_owned() })
}

fn put<'a>(client: &'a Client) -> BenchRequest<'a> {
    Box::new(move || client.propose(&write()).map(drop))
}

fn put_once<'a>(client: &'a Client, acknowledge: Acknowledge) -> BenchRequest<'a> {
    Box::new(move || client.propose_at_most_once(&write(), acknowledge).map(drop))
}

fn get<'a>(client: &'a Client, address: String, level: ReadLevel) -> BenchRequest<'a> {
    let query = codec::encode(&Query::Get("key".to_owned()));
    Box::new(move || client.read_at(&address, level, &query).map(drop))
}

/// Returns the medians of both requests in microseconds, measured alternately.
fn measure_pair(without: &BenchRequest<'_>, with: &BenchRequest<'_>) -> Fallible<[f64; 2]> {
    let mut took = [Latencies::default(), Latencies::default()];
    for round in 0..WARM + ROUNDS {
        // The order alternates, because the threads are still awake for the second request.
        let turns: [usize; 2] = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for turn in turns {
            let started = Instant::now();
            [without, with][turn]()?;
            if round >= WARM {
                took[turn].add(started.elapsed());
            }
        }
    }
    Ok(took.map(|took| took.milliseconds(0.5) * 1000.0))
}

/// The rows of the first table.
#[derive(Default)]
struct Rows(Vec<[String; 4]>);

impl Rows {
    fn add(
        &mut self,
        name: &str,
        without: &BenchRequest<'_>,
        with: &BenchRequest<'_>,
    ) -> Fallible<()> {
        let [without, with] = measure_pair(without, with)?;
        let ratio = format!("{:.2}", with / without);
        eprintln!("{name}: {without:.0} µs, {with:.0} µs");
        self.0.push([name.to_owned(), format!("{without:.0}"), format!("{with:.0}"), ratio]);
        Ok(())
    }
}

/// Measures pairs of requests to the same cluster.
fn measure_requests(rows: &mut Rows, plain: &Cluster) -> Fallible<()> {
    let (all, leader) = (plain.all(), plain.leader()?);
    let follower = (leader + 1) % all.len();
    let client = plain.client(&all, |_| {})?;
    let live = plain.client(&all, |config| config.acknowledge = Acknowledge::AllLive)?;
    let write = put(&client);
    rows.add("a write acknowledged by all live nodes (`AllLive`)", &write, &put(&live))?;
    let once = put_once(&client, Acknowledge::Quorum);
    rows.add("a write in a session (exactly once)", &once, &write)?;
    let fast = put_once(&client, Acknowledge::LeaderOnly);
    rows.add("a write acknowledged by the leader only (`LeaderOnly`)", &write, &fast)?;
    let local = |index| get(&client, plain.at(index), ReadLevel::Local);
    let linearizable = |index| get(&client, plain.at(index), ReadLevel::Linearizable);
    rows.add(
        "a linearizable read at the leader, compared with a local one",
        &local(leader),
        &linearizable(leader),
    )?;
    let local_read = local(follower);
    rows.add(
        "a linearizable read at a follower, compared with a local one",
        &local_read,
        &linearizable(follower),
    )?;
    let bounded = ReadLevel::Bounded(Duration::from_secs(1));
    let bounded = get(&client, plain.at(follower), bounded);
    rows.add("a read at most one second stale (`Bounded`) at a follower", &local_read, &bounded)
}

/// Measures requests to a cluster with an option, compared with one without it.
fn measure_options(rows: &mut Rows, plain: &Cluster) -> Fallible<()> {
    let base = plain.client(&plain.all(), |_| {})?;
    let options: [(&str, u64, bool, Adjust); 4] = [
        ("a write in survivor mode (`survivor`)", 3, false, enable_survivor),
        ("a write with state validation (`validate_states`)", 3, false, |config| {
            config.replica.validate_states = true;
            config.replica.validation_entries = 128;
        }),
        ("a write on four nodes with a casting vote", 4, false, |_| {}),
        ("a write over TLS", 3, true, |_| {}),
    ];
    for (name, count, has_tls, adjust) in options {
        let other = Cluster::start(count, has_tls, adjust)?;
        let client = other.client(&other.all(), |_| {})?;
        rows.add(name, &put(&base), &put(&client))?;
    }
    let forwarding = Cluster::start(3, false, |config| config.service.forwards = true)?;
    let leader = forwarding.leader()?;
    let [to_leader, to_follower] = [leader, (leader + 1) % 3].map(|index| [index]);
    let direct = forwarding.client(&to_leader, |_| {})?;
    let forwarded = forwarding.client(&to_follower, |_| {})?;
    rows.add("a write forwarded by a follower (`forwards`)", &put(&direct), &put(&forwarded))?;
    let leased = Cluster::start(3, false, enable_read_leases)?;
    let follower = leased.at((leased.leader()? + 1) % 3);
    let client = leased.client(&leased.all(), |_| {})?;
    put(&client)()?;
    let local = get(&client, follower.clone(), ReadLevel::Local);
    let lease_read = get(&client, follower, ReadLevel::Replica);
    rows.add("a read with a read lease (`Replica`) at a follower", &local, &lease_read)?;
    rows.add("a write with read leases on followers", &put(&base), &put(&client))
}

fn enable_survivor(config: &mut ServerConfig) {
    config.replica.raft.survivor = Some(Survivor { after: SURVIVOR_AFTER });
}

fn enable_read_leases(config: &mut ServerConfig) {
    let raft = &mut config.replica.raft;
    raft.lease = Some(LEASE);
    (raft.election_timeout_min, raft.election_timeout_max) = (LEASE_TIME, 2 * LEASE_TIME);
}

/// Measures the time without an acknowledged write after the leader was killed: medians in
/// milliseconds.
fn measure_outages() -> Fallible<Vec<[String; 2]>> {
    let kinds: [(&str, u64, Acknowledge, Adjust); 6] = [
        ("three nodes", 3, Acknowledge::Quorum, |_| {}),
        ("three nodes, writes with `AllLive`", 3, Acknowledge::AllLive, |_| {}),
        ("four nodes, writes with `AllLive`", 4, Acknowledge::AllLive, |_| {}),
        ("three nodes in survivor mode", 3, Acknowledge::Quorum, enable_survivor),
        ("three nodes with leader and read leases", 3, Acknowledge::Quorum, enable_read_leases),
        (
            "three nodes with leader and read leases, writes with `AllLive`",
            3,
            Acknowledge::AllLive,
            enable_read_leases,
        ),
    ];
    let mut rows = vec![["crash of the leader of".to_owned(), "unavailable for ms".to_owned()]];
    for (name, count, acknowledge, adjust) in kinds {
        let mut took = Latencies::default();
        for _ in 0..KILLS {
            let mut cluster = Cluster::start(count, false, adjust)?;
            let leader = cluster.leader()?;
            let rest: Vec<usize> = cluster.all().into_iter().filter(|it| *it != leader).collect();
            let client = cluster.client(&rest, |config| config.acknowledge = acknowledge)?;
            put(&client)()?;
            cluster.kill(leader);
            let started = Instant::now();
            put(&client)()?;
            took.add(started.elapsed());
        }
        eprintln!("{name}: {:.0} ms", took.milliseconds(0.5));
        rows.push([name.to_owned(), format!("{:.0}", took.milliseconds(0.5))]);
    }
    Ok(rows)
}

fn main() -> Fallible<()> {
    let titles = ["request", "without, p50 µs", "with, p50 µs", "ratio"];
    let mut rows = Rows(vec![titles.map(str::to_owned)]);
    let plain = Cluster::start(3, false, |_| {})?;
    measure_requests(&mut rows, &plain)?;
    measure_options(&mut rows, &plain)?;
    drop(plain);
    println!("{}\n{}", markdown(&rows.0), markdown(&measure_outages()?));
    Ok(())
}
