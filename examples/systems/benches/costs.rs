//! What each knob costs that the five systems turn: `cargo bench -p quorate-systems`. Each is
//! measured beside the same cluster, or the same request, without it, in turns, so that what else
//! the machine does meets both alike. The tables that it prints are in `docs/SYSTEMS.md`.
#![expect(clippy::disallowed_methods, reason = "it measures")]

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
use quorate_systems::common::nodes::{LOOK, free_addresses};
use quorate_systems::common::table::markdown;
use quorate_systems::coordinator::machine::Pairs;
use quorate_systems::coordinator::message::{Command, Query};
use quorate_systems::courier::server::SURVIVOR_AFTER;
use tempfile::TempDir;
use tokio::runtime::Runtime;

type Fallible<T> = Result<T, Box<dyn Error>>;
/// One request.
type Ask<'a> = Box<dyn Fn() -> Result<(), ClientError> + 'a>;
/// What is other than usual in each node's configuration.
type Adjust = fn(&mut ServerConfig);

const CLUSTER: ClusterId = ClusterId(0xc057);
/// How often each request is measured, and how many of them nobody looks at.
const ROUNDS: usize = 600;
const WARM: usize = 30;
/// How often a leader is killed.
const KILLS: usize = 5;
/// How long anything may take before something is broken.
const PATIENCE: Duration = Duration::from_secs(60);
/// The lease of the coordinator, and how far its clocks may be off.
const LEASE: Lease = Lease { drift_ppm: 10_000, replicas: true };
const LEASE_TIME: Duration = Duration::from_millis(300);

/// A cluster within this process: each node has threads of its own, and ends with them.
struct Cluster {
    nodes: Vec<(Option<Runtime>, SocketAddr)>,
    certs: Option<Directory>,
    root: TempDir,
}

impl Cluster {
    /// Nodes that are as `adjust` says, once all of them answer and one leads.
    fn start(count: u64, safe: bool, adjust: impl Fn(&mut ServerConfig)) -> Fallible<Cluster> {
        let root = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
        let certs = match safe {
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
        let places = free_addresses(count)?;
        let mut cluster = Cluster { nodes: Vec::new(), certs, root };
        for (id, place) in (1..).zip(&places) {
            let members = (1..).map(NodeId).zip(places.iter().copied());
            let directory = cluster.root.path().join(id.to_string());
            let mut config = ServerConfig::new(directory, CLUSTER, NodeId(id), members)?;
            config.inline_machine = true;
            let storage = &mut config.replica.storage;
            (storage.segment_bytes, storage.segments_ahead) = (16 << 20, 1);
            let principal = Principal::Node(NodeId(id));
            config.tls = cluster.certs.as_ref().map(|certs| certs.config(&principal));
            adjust(&mut config);
            let runtime = Runtime::new()?;
            let mut server = runtime.block_on(Server::start(config, Pairs::default()))?;
            runtime.spawn(async move { server.ended().await });
            cluster.nodes.push((Some(runtime), *place));
        }
        cluster.leader()?;
        Ok(cluster)
    }

    /// A client that was told of these nodes, from 0 on.
    fn client(&self, which: &[usize], adjust: impl Fn(&mut ClientConfig)) -> Fallible<Client> {
        let known = which.iter().map(|place| self.nodes[*place].1.to_string());
        let mut config = ClientConfig::new(CLUSTER, known);
        let user = Principal::Client("user".into());
        config.tls = self.certs.as_ref().map(|certs| certs.config(&user));
        (config.deadline, config.attempt_max) = (PATIENCE, PATIENCE);
        adjust(&mut config);
        Ok(Client::new(config)?)
    }

    fn all(&self) -> Vec<usize> {
        (0..self.nodes.len()).filter(|place| self.nodes[*place].0.is_some()).collect()
    }

    /// The place of the node that leads, once one does, the changes that follow an election are
    /// over, and every node that runs answers.
    fn leader(&self) -> Fallible<usize> {
        let client = self.client(&self.all(), |_| {})?.with_deadline(Duration::from_secs(1));
        let due = Instant::now() + PATIENCE;
        while Instant::now() < due {
            thread::sleep(LOOK);
            let reports = self.all().into_iter().map(|place| (place, self.nodes[place].1));
            let reports = reports.map(|(place, at)| Some((place, client.report(&at.to_string()))));
            let reports: Option<Vec<_>> =
                reports.map(|it| it.and_then(|(place, told)| Some((place, told.ok()?)))).collect();
            let Some(reports) = reports else { continue };
            let mut leads = reports.iter().filter(|(_, it)| it.status.role == RoleName::Leader);
            let settled = |it: &&(usize, quorate::runtime::Report)| {
                let membership = &it.1.membership;
                let even = self.nodes.len().is_multiple_of(2);
                let casting = membership.incoming().casting();
                !membership.is_joint() && (!even || casting == Some(it.1.status.id))
            };
            if let Some((place, _)) = leads.next().filter(settled) {
                return Ok(*place);
            }
        }
        Err("nobody led in a minute".into())
    }

    /// Ends a node at once, in the middle of whatever it does.
    fn kill(&mut self, place: usize) {
        self.nodes[place].0.take().expect("it runs").shutdown_background();
    }

    fn at(&self, place: usize) -> String {
        self.nodes[place].1.to_string()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.all().into_iter().for_each(|place| self.kill(place));
    }
}

fn write() -> Vec<u8> {
    codec::encode(&Command::Put { key: "key".to_owned(), value: "a value".to_owned() })
}

fn put<'a>(client: &'a Client) -> Ask<'a> {
    Box::new(move || client.propose(&write()).map(drop))
}

fn put_once<'a>(client: &'a Client, acknowledge: Acknowledge) -> Ask<'a> {
    Box::new(move || client.propose_at_most_once(&write(), acknowledge).map(drop))
}

fn get<'a>(client: &'a Client, address: String, level: ReadLevel) -> Ask<'a> {
    let query = codec::encode(&Query::Get("key".to_owned()));
    Box::new(move || client.read_at(&address, level, &query).map(drop))
}

/// The medians of both, in microseconds, measured in turns.
fn both(without: &Ask<'_>, with: &Ask<'_>) -> Fallible<[f64; 2]> {
    let mut took = [Latencies::default(), Latencies::default()];
    for round in 0..WARM + ROUNDS {
        // Whoever comes second finds everybody awake: each does as often.
        let turns: [usize; 2] = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for turn in turns {
            let asked = Instant::now();
            [without, with][turn]()?;
            if round >= WARM {
                took[turn].add(asked.elapsed());
            }
        }
    }
    Ok(took.map(|took| took.milliseconds(0.5) * 1000.0))
}

/// Rows of the first table.
#[derive(Default)]
struct Rows(Vec<[String; 4]>);

impl Rows {
    fn add(&mut self, what: &str, without: &Ask<'_>, with: &Ask<'_>) -> Fallible<()> {
        let [without, with] = both(without, with)?;
        let ratio = format!("{:.2}", with / without);
        eprintln!("{what}: {without:.0} µs, {with:.0} µs");
        self.0.push([what.to_owned(), format!("{without:.0}"), format!("{with:.0}"), ratio]);
        Ok(())
    }
}

/// What is asked of one and the same cluster.
fn requests(rows: &mut Rows, plain: &Cluster) -> Fallible<()> {
    let (all, leader) = (plain.all(), plain.leader()?);
    let follower = (leader + 1) % all.len();
    let client = plain.client(&all, |_| {})?;
    let live = plain.client(&all, |config| config.acknowledge = Acknowledge::AllLive)?;
    let write = put(&client);
    rows.add("a write that all live nodes hold (`AllLive`)", &write, &put(&live))?;
    let once = put_once(&client, Acknowledge::Quorum);
    rows.add("a write in a session, so that it is carried out once", &once, &write)?;
    let fast = put_once(&client, Acknowledge::LeaderOnly);
    rows.add("a write that is only taken (`LeaderOnly`)", &write, &fast)?;
    let local = |place| get(&client, plain.at(place), ReadLevel::Local);
    let sure = |place| get(&client, plain.at(place), ReadLevel::Linearizable);
    rows.add("a linearizable read at the leader, over a local one", &local(leader), &sure(leader))?;
    let here = local(follower);
    rows.add("the same at a follower", &here, &sure(follower))?;
    let bounded = ReadLevel::Bounded(Duration::from_secs(1));
    let bounded = get(&client, plain.at(follower), bounded);
    rows.add("a read within a second (`Bounded`) at a follower", &here, &bounded)
}

/// What is asked of a cluster with the knob, beside one without it.
fn knobs(rows: &mut Rows, plain: &Cluster) -> Fallible<()> {
    let base = plain.client(&plain.all(), |_| {})?;
    let knobs: [(&str, u64, bool, Adjust); 4] = [
        ("a write where every voter holds it (`survivor`)", 3, false, survive),
        ("a write while states are compared (`validate_states`)", 3, false, |config| {
            config.replica.validate_states = true;
            config.replica.validation_entries = 128;
        }),
        ("a write of four nodes, one with the casting vote", 4, false, |_| {}),
        ("a write through TLS", 3, true, |_| {}),
    ];
    for (what, count, safe, adjust) in knobs {
        let other = Cluster::start(count, safe, adjust)?;
        let client = other.client(&other.all(), |_| {})?;
        rows.add(what, &put(&base), &put(&client))?;
    }
    let forwarding = Cluster::start(3, false, |config| config.service.forwards = true)?;
    let leader = forwarding.leader()?;
    let [to_leader, to_follower] = [leader, (leader + 1) % 3].map(|place| [place]);
    let direct = forwarding.client(&to_leader, |_| {})?;
    let passed = forwarding.client(&to_follower, |_| {})?;
    rows.add("a write that a follower passes on (`forwards`)", &put(&direct), &put(&passed))?;
    let lending = Cluster::start(3, false, lend)?;
    let child = lending.at((lending.leader()? + 1) % 3);
    let client = lending.client(&lending.all(), |_| {})?;
    put(&client)()?;
    let local = get(&client, child.clone(), ReadLevel::Local);
    let lent = get(&client, child, ReadLevel::Replica);
    rows.add("a read by a loan of the lease (`Replica`) at a follower", &local, &lent)?;
    rows.add("a write where followers hold loans", &put(&base), &put(&client))
}

fn survive(config: &mut ServerConfig) {
    config.replica.raft.survivor = Some(Survivor { after: SURVIVOR_AFTER });
}

fn lend(config: &mut ServerConfig) {
    let raft = &mut config.replica.raft;
    raft.lease = Some(LEASE);
    (raft.election_timeout_min, raft.election_timeout_max) = (LEASE_TIME, 2 * LEASE_TIME);
}

/// For how long nobody answers a write after the leader was killed: the median, in milliseconds.
fn outages() -> Fallible<Vec<[String; 2]>> {
    let kinds: [(&str, u64, Acknowledge, Adjust); 6] = [
        ("three nodes", 3, Acknowledge::Quorum, |_| {}),
        ("three nodes, asked with `AllLive`", 3, Acknowledge::AllLive, |_| {}),
        ("four nodes, asked with `AllLive`", 4, Acknowledge::AllLive, |_| {}),
        ("three nodes in survivor mode", 3, Acknowledge::Quorum, survive),
        ("three nodes with leases and loans", 3, Acknowledge::Quorum, lend),
        ("the same, asked with `AllLive`", 3, Acknowledge::AllLive, lend),
    ];
    let mut rows = vec![["a leader of".to_owned(), "ms without an answer".to_owned()]];
    for (what, count, acknowledge, adjust) in kinds {
        let mut took = Latencies::default();
        for _ in 0..KILLS {
            let mut cluster = Cluster::start(count, false, adjust)?;
            let leader = cluster.leader()?;
            let rest: Vec<usize> = cluster.all().into_iter().filter(|it| *it != leader).collect();
            let client = cluster.client(&rest, |config| config.acknowledge = acknowledge)?;
            put(&client)()?;
            cluster.kill(leader);
            let asked = Instant::now();
            put(&client)()?;
            took.add(asked.elapsed());
        }
        eprintln!("{what}: {:.0} ms", took.milliseconds(0.5));
        rows.push([what.to_owned(), format!("{:.0}", took.milliseconds(0.5))]);
    }
    Ok(rows)
}

fn main() -> Fallible<()> {
    let titles = ["what it costs", "without, p50 µs", "with, p50 µs", "ratio"];
    let mut rows = Rows(vec![titles.map(str::to_owned)]);
    let plain = Cluster::start(3, false, |_| {})?;
    requests(&mut rows, &plain)?;
    knobs(&mut rows, &plain)?;
    drop(plain);
    println!("{}\n{}", markdown(&rows.0), markdown(&outages()?));
    Ok(())
}
