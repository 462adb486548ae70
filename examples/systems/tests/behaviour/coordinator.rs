//! End-to-end tests of the coordinator: acknowledged writes on all live nodes, and local reads.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use quorate::runtime::ClientConfig;
use quorate::runtime::blocking::Client;
use quorate::types::{Acknowledge, ReadLevel};
use quorate_systems::common::codec;
use quorate_systems::coordinator::SYSTEM;
use quorate_systems::coordinator::message::{Command, Query, RejectReason, Reply};
use serde_json::Value;

use crate::command_output::CommandOutput;
use crate::processes::{eventually, pause};
use crate::support::{Caller, Cluster, Setup};

const PROGRAM: &str = env!("CARGO_BIN_EXE_coordinator");

fn coordinator() -> Cluster {
    Cluster::start(PROGRAM, 3)
}

/// Starts a coordinator whose leases are long enough for a busy machine, and waits for all leases.
fn patient_coordinator() -> Cluster {
    let serve = &["--lease", "1.5s", "--suspend-after", "6s"];
    let cluster =
        Setup { server_flags: serve, capture_traffic: true, ..Setup::of(PROGRAM, 3) }.start();
    wait_for_read_leases(&cluster);
    cluster
}

/// Starts a coordinator that suspends silent followers as soon as possible.
fn quick_coordinator() -> Cluster {
    Cluster::start_with(PROGRAM, 3, &["--suspend-after", "1.2s"])
}

/// Returns the ids of both followers.
fn followers(cluster: &Cluster) -> [u64; 2] {
    let leader = cluster.leader();
    let others: Vec<u64> = cluster.ids().into_iter().filter(|id| *id != leader).collect();
    others.try_into().expect("there are three nodes")
}

/// Returns a client in this process, configured as in the command.
fn client(cluster: &Cluster) -> Client {
    let addresses = cluster.addresses(&cluster.ids());
    let mut config = ClientConfig::new(SYSTEM.cluster, addresses.split(','));
    config.acknowledge = Acknowledge::AllLive;
    config.deadline = Duration::from_secs(30);
    config.attempt_max = Duration::from_secs(2);
    Client::new(config).expect("there are threads")
}

/// Returns the number of read index requests that followers have sent to the coordinator.
fn read_index_requests(cluster: &Cluster) -> u64 {
    cluster.network.traffic(|traffic| traffic.count("ReadIndex"))
}

fn put(client: &Client, key: &str, value: &str) {
    let command = Command::Put { key: key.to_owned(), value: value.to_owned() };
    let output = client.propose(&codec::encode(&command)).expect("it is put");
    assert_eq!(codec::decode(&output), Some(Reply::Put));
}

/// Reads a key at a node, at this read level.
fn get(client: &Client, address: &str, level: ReadLevel, key: &str) -> Option<String> {
    let query = codec::encode(&Query::Get(key.to_owned()));
    let output = client.read_at(address, level, &query).expect("it is answered");
    match codec::decode(&output.answer) {
        Some(Reply::Value(value)) => Some(value),
        Some(Reply::Rejected(RejectReason::NoValue(_))) => None,
        output => panic!("unexpected answer {output:?}"),
    }
}

/// Returns all keys and values, read at the node.
fn pairs_at(cluster: &Cluster, id: u64) -> BTreeSet<(String, String)> {
    let output = cluster.run(&["list", "--at", &cluster.addresses(&[id]), "--timeout", "20s"]).ok();
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ').expect("the line is a pair");
        (key.to_owned(), value.to_owned())
    };
    output.lines().map(pair).collect()
}

fn wait_for_read_leases(cluster: &Cluster) {
    let count = cluster.ids().len();
    eventually("all nodes answer reads locally", || {
        let output = cluster.run(&["status", "--timeout", "3s"]);
        output.code == 0 && output.out.matches("answers reads locally").count() == count
    });
}

/// Returns the line of the node in `status`.
fn status_of(cluster: &Cluster, id: u64) -> String {
    let output = cluster.run(&["status", "--timeout", "3s"]);
    let address = cluster.addresses(&[id]);
    output.out.lines().find(|line| line.contains(&address)).unwrap_or_default().to_owned()
}

#[test]
fn a_write_is_acknowledged_after_every_live_node_has_it() {
    let mut cluster = coordinator();
    let [slow, _] = followers(&cluster);
    cluster.network.delay(slow, Duration::from_millis(100));
    cluster.run(&["put", "key", "what-all-have"]).ok();
    cluster.assert_all_have("what-all-have");
}

#[test]
fn reads_are_local_at_every_node_and_never_stale() {
    let cluster = patient_coordinator();
    let client = client(&cluster);
    let nodes = cluster.ids().into_iter().map(|id| cluster.addresses(&[id]));
    let nodes: Vec<String> = nodes.collect();
    let mut number = 0;
    // A node that briefly received no messages may have lost its read lease, and then sends a read
    // index request. Its answer is not stale in this case either; a later round is local.
    eventually("a round of reads needs no read index request", || {
        let requests_before = read_index_requests(&cluster);
        for _ in 0..20 {
            number += 1;
            let value = number.to_string();
            put(&client, "colour", &value);
            for node in &nodes {
                let output = get(&client, node, ReadLevel::Replica, "colour");
                assert_eq!(output.as_deref(), Some(value.as_str()), "at {node}");
            }
        }
        read_index_requests(&cluster) == requests_before
    });
    // Linearizable reads do send read index requests, so the count works.
    let requests_before = read_index_requests(&cluster);
    for node in &nodes {
        get(&client, node, ReadLevel::Linearizable, "colour");
        let output = cluster.run(&["get", "colour", "--at", node]).ok();
        assert_eq!(output, format!("{number}\n"), "at {node}");
    }
    assert!(
        read_index_requests(&cluster) >= requests_before + 2,
        "linearizable reads sent no requests"
    );
}

/// Delays a write, and meanwhile reads two keys at a follower: the written key, whose value must
/// not be stale, and another key. Returns true if the other key was read while the write and the
/// read of the written key waited.
fn reads_beside_a_write(cluster: &Cluster, client: &Client, value: &str) -> bool {
    let [slow, follower] = followers(cluster);
    let (leader, node) = (cluster.leader(), cluster.addresses(&[follower]));
    put(client, "other", value);
    let report = || client.report(&node).expect("the node answers").status;
    let before = report().last.index;
    // The slow node has a read lease and does not get the write, so the coordinator waits for it.
    cluster.network.split(&[slow], &[leader, follower]);
    thread::scope(|scope| {
        let write = scope.spawn(|| put(client, "key", value));
        eventually("the follower has the write", || report().last.index > before);
        let requests_before = read_index_requests(cluster);
        let reading = scope.spawn(|| get(client, &node, ReadLevel::Replica, "key"));
        eventually("the read has arrived", || report().reads_waiting > 0 || reading.is_finished());
        let other = get(client, &node, ReadLevel::Replica, "other");
        let waits = !write.is_finished() && !reading.is_finished();
        cluster.network.heal();
        assert_eq!(other.as_deref(), Some(value));
        let output = reading.join().expect("the read is answered");
        write.join().expect("the write is acknowledged");
        // Without a read lease, the read may have been linearized before the write.
        let is_local = read_index_requests(cluster) == requests_before;
        if is_local {
            assert_eq!(output.as_deref(), Some(value), "the read did not wait for the write");
        }
        waits && is_local
    })
}

#[test]
fn a_read_waits_only_for_a_conflicting_write() {
    let cluster = patient_coordinator();
    let client = client(&cluster);
    put(&client, "key", "first");
    let mut number = 0;
    // The write waits only until the slow node's read lease expires. On a busy machine that may be
    // before the other key is read, so a round may have to be repeated.
    eventually("a read is answered while another one and a write wait", || {
        number += 1;
        let seen = reads_beside_a_write(&cluster, &client, &number.to_string());
        wait_for_read_leases(&cluster);
        seen
    });
}

#[test]
fn a_crashed_follower_is_suspended_and_readmitted_with_fresh_data() {
    let mut cluster = quick_coordinator();
    let client = client(&cluster);
    for (key, is_wiped) in [("old disk", false), ("empty disk", true)] {
        let [follower, _] = followers(&cluster);
        put(&client, "key", &format!("before {key}"));
        cluster.kill(follower);
        eventually("it is suspended", || {
            status_of(&cluster, follower).contains("suspended, does not")
        });
        put(&client, "key", key);
        put(&client, key, "while it was down");
        if is_wiped {
            fs::remove_dir_all(cluster.directory(follower)).expect("the directory exists");
        }
        cluster.serve(follower);
        cluster.wait_until_healthy();
        assert!(!status_of(&cluster, follower).contains("suspended"), "it was not readmitted");
        let node = cluster.addresses(&[follower]);
        assert_eq!(cluster.run(&["get", "key", "--at", &node]).ok(), format!("{key}\n"));
        let has = |key| get(&client, &node, ReadLevel::Local, key);
        eventually("its local state has the write", || {
            has(key).as_deref() == Some("while it was down")
        });
    }
    // A node with a new disk answers reads itself once an entry is committed after its first read.
    put(&client, "key", "after both");
    wait_for_read_leases(&cluster);
}

#[test]
fn a_partitioned_coordinator_stops_serving() {
    let cluster = quick_coordinator();
    cluster.run(&["put", "colour", "red"]).ok();
    let others = followers(&cluster);
    let leader = cluster.leader();
    let alone = cluster.addresses(&[leader]);
    cluster.network.split(&[leader], &others);
    // Clients reach both sides.
    cluster.run_at(&others, &["put", "colour", "blue", "--timeout", "20s"]).ok();
    let get = ["get", "colour", "--at", &alone, "--timeout", "1s"];
    cluster.run(&get).fails_with(3, "not executed before the deadline");
    assert_eq!(cluster.run_at(&others, &["get", "colour"]).ok(), "blue\n");
    // The client must not reach the other nodes.
    others.iter().for_each(|id| cluster.network.cut(Caller::Client, *id));
    let output = cluster.run_at(&[leader], &["put", "shape", "round", "--timeout", "1s"]);
    assert!([3, 4].contains(&output.code), "{output:?}");
    cluster.network.heal();
    cluster.wait_until_healthy();
    assert_eq!(cluster.run(&["get", "colour", "--at", &alone]).ok(), "blue\n");
}

#[test]
fn a_coordinator_that_crashes_during_writes_loses_no_acknowledged_write() {
    const ROUNDS: usize = 6;
    const CLIENTS: usize = 4;
    let mut cluster = coordinator();
    let clients: Vec<Client> = (0..CLIENTS).map(|_| client(&cluster)).collect();
    let (stopped, done) = (AtomicBool::new(false), [const { AtomicUsize::new(0) }; CLIENTS]);
    thread::scope(|scope| {
        let write = |(number, client): (usize, Client)| {
            let (stopped, done) = (&stopped, &done[number]);
            scope.spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    let count = done.load(Ordering::Relaxed);
                    put(&client, &format!("{number}.{count}"), "it is there");
                    done.store(count + 1, Ordering::Relaxed);
                    // Leave processor time for the nodes.
                    pause(Duration::from_millis(2));
                }
            })
        };
        let writers: Vec<_> = clients.into_iter().enumerate().map(write).collect();
        for _ in 0..ROUNDS {
            let so_far = || done.iter().map(|count| count.load(Ordering::Relaxed));
            let before: Vec<usize> = so_far().collect();
            let go_on = || so_far().zip(&before).all(|(count, before)| count > before + 3);
            eventually("every client writes", go_on);
            let leader = cluster.leader();
            cluster.kill(leader);
            cluster.serve(leader);
            cluster.wait_until_healthy();
        }
        stopped.store(true, Ordering::Relaxed);
        writers.into_iter().for_each(|writer| writer.join().expect("every write is acknowledged"));
    });
    let acknowledged = done.map(AtomicUsize::into_inner);
    let keys = |(client, count): (usize, usize)| {
        (0..count).map(move |number| (format!("{client}.{number}"), "it is there".to_owned()))
    };
    let expected: BTreeSet<_> = acknowledged.into_iter().enumerate().flat_map(keys).collect();
    for id in cluster.ids() {
        assert_eq!(pairs_at(&cluster, id), expected, "at node {id}");
    }
}

#[test]
fn a_follower_forwards_writes() {
    let cluster = coordinator();
    let [follower, _] = followers(&cluster);
    cluster.network.cut(Caller::Client, cluster.leader());
    cluster.run_at(&[follower], &["put", "colour", "red"]).ok();
    assert_eq!(cluster.run_at(&[follower], &["get", "colour"]).ok(), "red\n");
}

#[test]
fn one_of_several_conditional_puts_succeeds() {
    let cluster = coordinator();
    let names = ["ann", "bob", "cat", "dan"];
    let output: Vec<CommandOutput> = thread::scope(|scope| {
        let cluster = &cluster;
        let put = |name| scope.spawn(move || cluster.run(&["put", "owner", name, "--if-absent"]));
        let running: Vec<_> = names.into_iter().map(put).collect();
        running.into_iter().map(|client| client.join().expect("no panic")).collect()
    });
    let winner = output.iter().position(|output| output.code == 0).expect("one put succeeds");
    for (number, output) in output.into_iter().enumerate() {
        match number == winner {
            true => assert_eq!(output.ok(), ""),
            false => output.fails_with(1, &format!("is `{}`, not the expected one", names[winner])),
        }
    }
    assert_eq!(cluster.run(&["get", "owner"]).ok(), format!("{}\n", names[winner]));
}

#[test]
fn rejections_are_explained() {
    let cluster = coordinator();
    cluster.run(&["get", "colour"]).fails_with(1, "`colour` has no value");
    cluster.run(&["delete", "colour"]).fails_with(1, "`colour` has no value");
    cluster.run(&["put", "colour", "red", "--if", "blue"]).fails_with(1, "one was expected");
    cluster.run(&["put", "colour", "red"]).ok();
    cluster
        .run(&["put", "colour", "blue", "--if", "green"])
        .fails_with(1, "is `red`, not the expected one");
    cluster.run(&["put", &"k".repeat(65), "red"]).fails_with(1, "invalid key");
    cluster.run(&["put", "colour", &"v".repeat(1025)]).fails_with(1, "the value has 1025 bytes");
    cluster.run(&["put", "colour"]).fails_with(2, "<VALUE>");
    assert_eq!(cluster.run(&["list"]).ok(), "colour red\n", "the state is unchanged");
    assert_eq!(cluster.run(&["delete", "colour"]).ok(), "red\n");
    assert_eq!(cluster.run(&["list"]).ok(), "");
}

#[test]
fn a_node_explains_invalid_flags() {
    let directory = tempfile::TempDir::new().expect("there is room");
    let serve = |flags: &[&str]| {
        let mut command = std::process::Command::new(PROGRAM);
        command.args(["serve", "--id", "1", "--members", "1=127.0.0.1:1"]);
        CommandOutput::run(command.arg("--data-dir").arg(directory.path()).args(flags))
    };
    serve(&["--lease=-1"]).fails_with(2, "is not a time like 500ms, 1.5s or 5m");
    serve(&["--lease", "1s"]).fails_with(2, "suspension.after");
}

#[test]
fn the_benchmark_measures_reads_at_every_node_with_every_load() {
    let out = tempfile::TempDir::new().expect("there is room");
    let mut command = std::process::Command::new(PROGRAM);
    command.args(["bench", "--rounds", "3", "--size", "2", "--out"]).arg(out.path());
    let table = CommandOutput::run(command.arg("--scratch").arg(out.path())).ok();
    let file = |name| fs::read_to_string(out.path().join(name)).expect("it was written");
    assert_eq!(file("table.md"), table);
    let loads: Value = serde_json::from_str(&file("table.json")).expect("the text is JSON");
    let loads = loads.as_array().expect("the value is a list");
    let names: Vec<&str> = loads.iter().filter_map(|load| load["writes"].as_str()).collect();
    assert_eq!(names, ["none", "other keys", "the same key"]);
    for load in loads {
        let nodes = load["nodes"].as_array().expect("the value is a list");
        assert_eq!(nodes.len(), 2);
        for time in nodes.iter().flat_map(|node| [&node["nothing"], &node["replica"]]) {
            assert!(time["p50_ms"].as_f64() > Some(0.0), "{load}");
        }
    }
    assert_eq!(
        fs::read_dir(out.path()).expect("the directory exists").count(),
        2,
        "files of nodes are left"
    );
}

#[test]
fn the_prompt_runs_the_same_commands_and_has_help() {
    let cluster = coordinator();
    let output = cluster.run_prompt("put colour red\nget colour\nlist\ndelete colour\nget\nhelp\n");
    output.prints(0, "red\ncolour red\nred\n");
    assert!(output.out.contains("Print the value of a key"), "{output:?}");
    assert!(output.err.contains("<KEY>"), "{output:?}");
}
