//! The coordinator of `examples/systems` in chaos runs: its nodes with read leases and suspended
//! followers, clients that write and read at every node, and workers that claim keys which only one
//! worker may own. The histories are linearizable, and each key has one owner.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use quorate::runtime::Client;
use quorate::types::{NodeId, ReadLevel};
use quorate_checker::history::{Client as ClientId, Recorder};
use quorate_checker::models::{Kv, KvOp, KvRet};
use quorate_sim::workload::RequestBytes;
use quorate_systems::common::calls::{ATTEMPT_MAX, Calls};
use quorate_systems::common::codec;
use quorate_systems::common::exit::{CommandError, Exit};
use quorate_systems::coordinator::chaos::{operation, result};
use quorate_systems::coordinator::keys::{self, Keys};
use quorate_systems::coordinator::machine::Pairs;
use quorate_systems::coordinator::message::{Command, Query, RejectReason, Reply};
use quorate_systems::coordinator::node;
use quorate_turmoil::{ChaosRun, Outcome, World, linearizable, sweep};
use tokio::time::sleep;

const NODES: u8 = 3;
/// The default of the flag `--timeout`.
const COMMAND_MAX: Duration = Duration::from_secs(10);
/// The time limit of a worker's claim.
const CLAIM_MAX: Duration = Duration::from_secs(1);
/// The defaults of the flags `--lease` and `--suspend-after`.
const LEASE: Duration = Duration::from_millis(300);
const SUSPEND_AFTER: Duration = Duration::from_secs(2);
/// The drift of clocks in a run, below what the coordinator assumes, because a drift shows in steps
/// of up to two milliseconds.
const DRIFT_PPM: u32 = node::DRIFT_PPM / 2;
/// The number of keys that clients put, read and delete.
const KEYS: u64 = 4;
/// The time for which workers claim one key.
const ROUND: Duration = Duration::from_secs(1);

/// The records of the hosts of a run, which the check reads at the end.
#[derive(Clone, Default)]
struct Records {
    kv: Rc<Kv>,
    history: Recorder<KvOp, KvRet>,
    /// The number of clients in the history. A client that does not know an outcome continues as
    /// another client.
    clients: Rc<Cell<u32>>,
    /// The number of values that clients have begun to write.
    values: Rc<Cell<u64>>,
    /// The workers that know that they own a key.
    owners: Rc<RefCell<BTreeMap<String, Vec<String>>>>,
}

/// A bug of the service.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bug {
    None,
    /// Clients read the state of a node, which may be stale.
    LocalReads,
    /// A worker that does not know whether its claim succeeded takes the key.
    TakesUnknown,
}

/// A client of the coordinator that records its operations.
struct RecordedClient {
    world: World,
    client: Client,
    id: ClientId,
    level: Option<ReadLevel>,
    records: Records,
}

impl RecordedClient {
    fn new(
        world: &World,
        records: &Records,
        deadline: Duration,
        bug: Bug,
    ) -> Result<RecordedClient, Box<dyn std::error::Error>> {
        let client = world.client(|config| {
            keys::configure(config);
            (config.deadline, config.attempt_max) = (deadline, ATTEMPT_MAX);
        })?;
        let level = (bug == Bug::LocalReads).then_some(ReadLevel::Local);
        let (world, records) = (world.clone(), records.clone());
        let mut client = RecordedClient { world, client, id: ClientId(0), level, records };
        client.become_another();
        Ok(client)
    }

    fn become_another(&mut self) {
        self.id = ClientId(self.records.clients.get());
        self.records.clients.set(self.id.0 + 1);
    }

    fn keys<'a>(&self, calls: Calls<'a>) -> Keys<'a> {
        let keys = Keys::new(calls);
        self.level.map_or(keys, |level| keys.at_level(level))
    }

    async fn propose(&mut self, command: &Command) -> Result<Reply, CommandError> {
        let bytes = codec::encode(command);
        let op = operation(&self.records.kv, RequestBytes::Command(&bytes));
        let op = op.expect("a command has one key");
        let pending = self.records.history.invoke(self.id, op);
        let reply = self.keys(Calls::new(&self.client, &|| {})).propose(command).await;
        self.returned(pending, op, &reply);
        reply
    }

    async fn get(&mut self, at: Option<String>, key: String) -> Result<Reply, CommandError> {
        let query = Query::Get(key);
        let bytes = codec::encode(&query);
        let op = operation(&self.records.kv, RequestBytes::Query(&bytes));
        let op = op.expect("the query has one key");
        let pending = self.records.history.invoke(self.id, op);
        let keys = self.keys(Calls::new(&self.client, &|| {}));
        let reply = keys.read(at.as_deref(), &query).await;
        self.returned(pending, op, &reply);
        reply
    }

    /// Records the outcome that the exit code of the command reports.
    fn returned(
        &mut self,
        pending: quorate_checker::history::Pending<KvOp, KvRet>,
        op: KvOp,
        reply: &Result<Reply, CommandError>,
    ) {
        match reply {
            Ok(reply) => match result(&self.records.kv, &op, &codec::encode(reply)) {
                Some(ret) => pending.returned(ret),
                None => pending.failed(),
            },
            Err(error) if error.exit == Exit::Unknown => {
                pending.unknown();
                self.become_another();
            }
            Err(_) => pending.failed(),
        }
    }

    fn new_value(&self) -> String {
        let value = self.records.values.get();
        self.records.values.set(value + 1);
        format!("v{value}")
    }

    /// Returns the value of one of the last writes, or none.
    fn recent_value(&self) -> Option<String> {
        let back = self.world.random_below(4);
        let last = self.records.values.get();
        // The last value is that of the present command.
        last.checked_sub(back + 1).filter(|_| back > 0).map(|value| format!("v{value}"))
    }

    /// Returns the address of a node, or none.
    fn any_node(&self) -> Option<String> {
        let node = self.world.random_below(u64::from(NODES) + 1);
        (node > 0).then(|| self.world.node_address(NodeId(node)).to_string())
    }
}

/// Writes and reads until all faults are over.
async fn use_keys(world: World, records: Records, bug: Bug) -> Outcome {
    let mut client = RecordedClient::new(&world, &records, COMMAND_MAX, bug)?;
    while !world.is_stable() {
        let number = world.random_below(KEYS);
        // Keys that are never deleted have unique values, which are quick to check.
        let (key, is_deleted) = (format!("key{number}"), number % 2 == 1);
        let value = client.new_value();
        let _ = match world.random_below(10) {
            0 | 1 => client.propose(&Command::Put { key, value }).await,
            2 if is_deleted => client.propose(&Command::Delete { key }).await,
            2 | 3 => {
                let expected = client.recent_value();
                client.propose(&Command::PutIf { key, expected, value }).await
            }
            _ => client.get(client.any_node(), key).await,
        };
        sleep(Duration::from_millis(world.random_below(150))).await;
    }
    Ok(())
}

/// Claims the key of each round, as `coordinator put owner NAME --if-absent` does, until the host
/// crashes.
async fn claim(world: World, records: Records, bug: Bug) -> Outcome {
    let mut client = RecordedClient::new(&world, &records, CLAIM_MAX, bug)?;
    loop {
        let round = world.now().as_millis() / ROUND.as_millis();
        let key = format!("owner{round}");
        let name = world.host().to_owned();
        let claim = Command::PutIf { key: key.clone(), expected: None, value: name.clone() };
        let mut is_owner = match client.propose(&claim).await {
            Ok(Reply::Put) => true,
            // A worker that claimed the key before a crash still owns it.
            Ok(Reply::Rejected(RejectReason::ValueDiffers { value, .. })) => {
                value.as_deref() == Some(name.as_str())
            }
            Err(error) if error.exit == Exit::Unknown && bug == Bug::TakesUnknown => true,
            _ => false,
        };
        if is_owner {
            let mut owners = records.owners.borrow_mut();
            let owners = owners.entry(key).or_default();
            is_owner = !owners.contains(&name);
            if is_owner {
                owners.push(name);
            }
        }
        sleep(ROUND / 4 + Duration::from_millis(world.random_below(ROUND.as_millis() as u64)))
            .await;
    }
}

/// Checks the histories and the owners, and that all nodes have equal pairs.
async fn check(world: World, records: Records) -> Outcome {
    let client = RecordedClient::new(&world, &records, COMMAND_MAX, Bug::None)?;
    let mut all = Vec::new();
    for node in 0..=NODES {
        let at = (node > 0).then(|| world.node_address(NodeId(node.into())).to_string());
        let mut pairs = Vec::new();
        let keys = Keys::new(Calls::new(&client.client, &|| {}));
        let read = keys.pages(at.as_deref(), |page| {
            if let Reply::Pairs(page) = page {
                pairs.extend(page);
            }
            Ok(())
        });
        read.await.map_err(|error| error.text)?;
        all.push(pairs);
    }
    // The workers still claim keys.
    all.iter_mut().for_each(|pairs| pairs.retain(|(key, _)| key.starts_with("key")));
    if !all.iter().all(|pairs| *pairs == all[0]) {
        return Err(format!("the nodes answer differently: {all:?}").into());
    }
    let owners = records.owners.borrow().clone();
    if let Some((key, owners)) = owners.iter().find(|(_, owners)| owners.len() > 1) {
        return Err(format!("{key} has several owners: {owners:?}").into());
    }
    linearizable(&*records.kv, &records.history)
}

fn chaos_run(seed: u64, bug: Bug) -> ChaosRun {
    let records = Records::default();
    let mut run = ChaosRun::new(seed)
        .nodes(NODES, |_| Pairs::default())
        .drift_max(DRIFT_PPM)
        .configure(|config| {
            node::configure(config, LEASE, SUSPEND_AFTER);
            config.replica.snapshot_entries = 50;
        });
    for name in ["worker1", "worker2"] {
        let records = records.clone();
        run = run.service(name, move |world| claim(world, records.clone(), bug));
    }
    for name in ["client1", "client2", "client3"] {
        let records = records.clone();
        run = run.client(name, move |world| use_keys(world, records.clone(), bug));
    }
    run.check(move |world| check(world, records.clone()))
}

fn faults(scenario: &str) -> usize {
    scenario.lines().filter(|line| line.starts_with("at ") || line.contains("when ")).count()
}

#[test]
fn every_read_is_up_to_date_and_every_key_has_one_owner_in_a_chaos_run() {
    let reports = sweep(0..5, |seed| chaos_run(seed, Bug::None))
        .unwrap_or_else(|failure| panic!("{failure}"));
    assert!(reports.iter().all(|report| report.events > 1_000 && report.core_facts > 100));
}

#[test]
fn a_client_that_reads_what_a_node_knows_is_found() {
    let failure =
        sweep(0..100, |seed| chaos_run(seed, Bug::LocalReads)).expect_err("the bug is planted");
    assert!(failure.sentence.contains("not linearizable"), "{failure}");
    assert!(faults(&failure.scenario) <= 2, "{failure}");
}

#[test]
fn a_worker_that_takes_a_key_without_knowing_is_found() {
    let failure =
        sweep(0..200, |seed| chaos_run(seed, Bug::TakesUnknown)).expect_err("the bug is planted");
    assert!(failure.sentence.contains("several owners"), "{failure}");
    assert!(faults(&failure.scenario) <= 3, "{failure}");
}
