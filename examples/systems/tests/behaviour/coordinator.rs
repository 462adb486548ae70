//! The coordinator: every live node has what was written, and answers by itself.

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
use quorate_systems::coordinator::message::{Command, Query, Refusal, Reply};
use serde_json::Value;

use crate::processes::{eventually, pause};
use crate::said::Told;
use crate::support::{Caller, Cluster, Setup};

const PROGRAM: &str = env!("CARGO_BIN_EXE_coordinator");

fn coordinator() -> Cluster {
    Cluster::start(PROGRAM, 3)
}

/// One whose leases outlast what a busy machine does to its nodes, all of which have one.
fn patient_coordinator() -> Cluster {
    let serve = &["--lease", "1.5", "--removal", "6"];
    let cluster = Setup { serve, listens: true, ..Setup::of(PROGRAM, 3) }.start();
    all_answer_by_themselves(&cluster);
    cluster
}

/// One that removes children as soon as it may.
fn quick_coordinator() -> Cluster {
    Cluster::start_with(PROGRAM, 3, &["--removal", "1.2"])
}

/// Everybody but the coordinator.
fn children(cluster: &Cluster) -> [u64; 2] {
    let leader = cluster.leader();
    let others: Vec<u64> = cluster.ids().into_iter().filter(|id| *id != leader).collect();
    others.try_into().expect("there are three nodes")
}

/// A client in this process, as the command has one.
fn client(cluster: &Cluster) -> Client {
    let addresses = cluster.addresses(&cluster.ids());
    let mut config = ClientConfig::new(SYSTEM.cluster, addresses.split(','));
    config.acknowledge = Acknowledge::AllLive;
    config.deadline = Duration::from_secs(30);
    config.attempt_max = Duration::from_secs(2);
    Client::new(config).expect("there are threads")
}

/// How often children have asked their coordinator on behalf of a read.
fn reads_passed_on(cluster: &Cluster) -> u64 {
    cluster.wires.heard(|heard| heard.count("ReadIndex"))
}

fn put(client: &Client, key: &str, value: &str) {
    let command = Command::Put { key: key.to_owned(), value: value.to_owned() };
    let told = client.propose(&codec::encode(&command)).expect("it is put");
    assert_eq!(codec::decode(&told), Some(Reply::Put));
}

/// What the node has at the key, as fresh as this.
fn get(client: &Client, (address, level): (&str, ReadLevel), key: &str) -> Option<String> {
    let query = codec::encode(&Query::Get(key.to_owned()));
    let told = client.read_at(address, level, &query).expect("it is answered");
    match codec::decode(&told.answer) {
        Some(Reply::Value(value)) => Some(value),
        Some(Reply::Refused(Refusal::NoValue(_))) => None,
        told => panic!("{told:?} is no answer"),
    }
}

/// Every key and value, as the node tells.
fn pairs_at(cluster: &Cluster, id: u64) -> BTreeSet<(String, String)> {
    let told = cluster.ask(&["list", "--at", &cluster.addresses(&[id]), "--timeout", "20"]).ok();
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ').expect("there are two words");
        (key.to_owned(), value.to_owned())
    };
    told.lines().map(pair).collect()
}

fn all_answer_by_themselves(cluster: &Cluster) {
    let count = cluster.ids().len();
    eventually("all answer by themselves", || {
        let told = cluster.ask(&["status", "--timeout", "3"]);
        told.code == 0 && told.out.matches("answers by itself").count() == count
    });
}

/// What `status` says of the node.
fn status_of(cluster: &Cluster, id: u64) -> String {
    let told = cluster.ask(&["status", "--timeout", "3"]);
    let address = cluster.addresses(&[id]);
    told.out.lines().find(|line| line.contains(&address)).unwrap_or_default().to_owned()
}

#[test]
fn a_write_is_answered_after_every_live_node_holds_it() {
    let mut cluster = coordinator();
    let [slow, _] = children(&cluster);
    cluster.wires.delay(slow, Duration::from_millis(100));
    cluster.ask(&["put", "key", "what-all-have"]).ok();
    cluster.ids().into_iter().for_each(|id| cluster.kill(id));
    for id in cluster.ids() {
        let files = fs::read_dir(cluster.directory(id)).expect("it is there");
        let holds = |file: fs::DirEntry| {
            let bytes = fs::read(file.path()).expect("it can be read");
            bytes.windows(13).any(|window| window == b"what-all-have")
        };
        let mut files = files.map(|file| file.expect("it is there"));
        assert!(files.any(holds), "node {id} does not hold it");
    }
}

#[test]
fn reads_are_local_at_every_node_and_never_old() {
    let cluster = patient_coordinator();
    let client = client(&cluster);
    let nodes = cluster.ids().into_iter().map(|id| cluster.addresses(&[id]));
    let nodes: Vec<String> = nodes.collect();
    let mut number = 0;
    // A node that was left alone for a moment may have lost its loan, and asks. It is not old then
    // either, and local in another round.
    eventually("nobody asks in a whole round of reads", || {
        let asked = reads_passed_on(&cluster);
        for _ in 0..20 {
            number += 1;
            let value = number.to_string();
            put(&client, "colour", &value);
            for node in &nodes {
                let told = get(&client, (node, ReadLevel::Replica), "colour");
                assert_eq!(told.as_deref(), Some(value.as_str()), "at {node}");
            }
        }
        reads_passed_on(&cluster) == asked
    });
    // What is counted would have shown.
    let asked = reads_passed_on(&cluster);
    for node in &nodes {
        get(&client, (node, ReadLevel::Linearizable), "colour");
        let told = cluster.ask(&["get", "colour", "--at", node]).ok();
        assert_eq!(told, format!("{number}\n"), "at {node}");
    }
    assert!(reads_passed_on(&cluster) >= asked + 2, "children ask for these");
}

/// Holds a write back and reads at a child meanwhile: its key, which must not be old, and another.
/// Whether the other one was read while the write and the read of its key waited.
fn reads_beside_a_write(cluster: &Cluster, client: &Client, value: &str) -> bool {
    let [slow, child] = children(cluster);
    let (leader, node) = (cluster.leader(), cluster.addresses(&[child]));
    put(client, "other", value);
    let report = || client.report(&node).expect("it answers").status;
    let before = report().last.index;
    // It has a loan, and lacks what is written from now on: the coordinator waits for it.
    cluster.wires.split(&[slow], &[leader, child]);
    thread::scope(|scope| {
        let write = scope.spawn(|| put(client, "key", value));
        eventually("the child has what is written", || report().last.index > before);
        let asked = reads_passed_on(cluster);
        let reading = scope.spawn(|| get(client, (&node, ReadLevel::Replica), "key"));
        eventually("the read has come", || report().reads_waiting > 0 || reading.is_finished());
        let other = get(client, (&node, ReadLevel::Replica), "other");
        let waits = !write.is_finished() && !reading.is_finished();
        cluster.wires.mend();
        assert_eq!(other.as_deref(), Some(value));
        let told = reading.join().expect("it is answered");
        write.join().expect("it is done");
        // Where the child had no loan it may have been answered from before the write.
        let by_itself = reads_passed_on(cluster) == asked;
        if by_itself {
            assert_eq!(told.as_deref(), Some(value), "it waited for the write");
        }
        waits && by_itself
    })
}

#[test]
fn a_read_waits_only_for_a_conflicting_write() {
    let cluster = patient_coordinator();
    let client = client(&cluster);
    put(&client, "key", "first");
    let mut number = 0;
    // The write waits for a loan to end: on a busy machine that may be over too soon.
    eventually("a read is answered while another one and a write wait", || {
        number += 1;
        let seen = reads_beside_a_write(&cluster, &client, &number.to_string());
        all_answer_by_themselves(&cluster);
        seen
    });
}

#[test]
fn dead_child_is_removed_and_readmitted_with_fresh_data() {
    let mut cluster = quick_coordinator();
    let client = client(&cluster);
    for (key, is_wiped) in [("old disk", false), ("empty disk", true)] {
        let [child, _] = children(&cluster);
        put(&client, "key", &format!("before {key}"));
        cluster.kill(child);
        eventually("it is removed", || status_of(&cluster, child).contains("removed, does not"));
        put(&client, "key", key);
        put(&client, key, "while it was away");
        if is_wiped {
            fs::remove_dir_all(cluster.directory(child)).expect("it is there");
        }
        cluster.serve(child);
        cluster.is_well();
        assert!(!status_of(&cluster, child).contains("removed"), "it is in the set");
        let node = cluster.addresses(&[child]);
        assert_eq!(cluster.ask(&["get", "key", "--at", &node]).ok(), format!("{key}\n"));
        let has = |key| get(&client, (&node, ReadLevel::Local), key);
        eventually("it has it itself", || has(key).as_deref() == Some("while it was away"));
    }
    all_answer_by_themselves(&cluster);
}

#[test]
fn a_cut_off_coordinator_stops_serving() {
    let cluster = quick_coordinator();
    cluster.ask(&["put", "colour", "red"]).ok();
    let others = children(&cluster);
    let leader = cluster.leader();
    let alone = cluster.addresses(&[leader]);
    cluster.wires.split(&[leader], &others);
    // Clients reach both sides.
    cluster.ask_of(&others, &["put", "colour", "blue", "--timeout", "20"]).ok();
    let get = ["get", "colour", "--at", &alone, "--timeout", "1"];
    cluster.ask(&get).refused(3, "nothing happened");
    assert_eq!(cluster.ask_of(&others, &["get", "colour"]).ok(), "blue\n");
    // Who puts by it would find the others, and so they are out of reach.
    others.iter().for_each(|id| cluster.wires.cut(Caller::Client, *id));
    let told = cluster.ask_of(&[leader], &["put", "shape", "round", "--timeout", "1"]);
    assert!([3, 4].contains(&told.code), "{told:?}");
    cluster.wires.mend();
    cluster.is_well();
    assert_eq!(cluster.ask(&["get", "colour", "--at", &alone]).ok(), "blue\n");
}

#[test]
fn a_coordinator_that_dies_mid_write_loses_nothing_acknowledged() {
    const ROUNDS: usize = 6;
    const CLIENTS: usize = 4;
    let mut cluster = coordinator();
    let clients: Vec<Client> = (0..CLIENTS).map(|_| client(&cluster)).collect();
    let (ended, done) = (AtomicBool::new(false), [const { AtomicUsize::new(0) }; CLIENTS]);
    thread::scope(|scope| {
        let write = |(number, client): (usize, Client)| {
            let (ended, done) = (&ended, &done[number]);
            scope.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    let count = done.load(Ordering::Relaxed);
                    put(&client, &format!("{number}.{count}"), "it is there");
                    done.store(count + 1, Ordering::Relaxed);
                    // Others want the machine, too.
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
            cluster.is_well();
        }
        ended.store(true, Ordering::Relaxed);
        writers.into_iter().for_each(|writer| writer.join().expect("all is acknowledged"));
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
fn a_child_passes_writes_on() {
    let cluster = coordinator();
    let [child, _] = children(&cluster);
    cluster.wires.cut(Caller::Client, cluster.leader());
    cluster.ask_of(&[child], &["put", "colour", "red"]).ok();
    assert_eq!(cluster.ask_of(&[child], &["get", "colour"]).ok(), "red\n");
}

#[test]
fn of_several_that_put_if_absent_one_does() {
    let cluster = coordinator();
    let names = ["ann", "bob", "cat", "dan"];
    let told: Vec<Told> = thread::scope(|scope| {
        let cluster = &cluster;
        let put = |name| scope.spawn(move || cluster.ask(&["put", "owner", name, "--if-absent"]));
        let running: Vec<_> = names.into_iter().map(put).collect();
        running.into_iter().map(|client| client.join().expect("no panic")).collect()
    });
    let winner = told.iter().position(|told| told.code == 0).expect("one does");
    for (number, told) in told.into_iter().enumerate() {
        match number == winner {
            true => assert_eq!(told.ok(), ""),
            false => told.refused(1, &format!("another value, `{}`", names[winner])),
        }
    }
    assert_eq!(cluster.ask(&["get", "owner"]).ok(), format!("{}\n", names[winner]));
}

#[test]
fn what_is_refused_is_explained() {
    let cluster = coordinator();
    cluster.ask(&["get", "colour"]).refused(1, "`colour` has no value");
    cluster.ask(&["delete", "colour"]).refused(1, "`colour` has no value");
    cluster.ask(&["put", "colour", "red", "--if", "blue"]).refused(1, "one was expected");
    cluster.ask(&["put", "colour", "red"]).ok();
    cluster.ask(&["put", "colour", "blue", "--if", "green"]).refused(1, "another value, `red`");
    cluster.ask(&["put", &"k".repeat(65), "red"]).refused(1, "is no key");
    cluster.ask(&["put", "colour", &"v".repeat(1025)]).refused(1, "a value of 1025 bytes");
    cluster.ask(&["put", "colour"]).refused(2, "<VALUE>");
    assert_eq!(cluster.ask(&["list"]).ok(), "colour red\n", "nothing happened");
    assert_eq!(cluster.ask(&["delete", "colour"]).ok(), "red\n");
    assert_eq!(cluster.ask(&["list"]).ok(), "");
}

#[test]
fn a_node_says_what_is_wrong_with_its_flags() {
    let directory = tempfile::TempDir::new().expect("there is room");
    let serve = |flags: &[&str]| {
        let mut command = std::process::Command::new(PROGRAM);
        command.args(["serve", "--id", "1", "--members", "1=127.0.0.1:1"]);
        Told::of(command.arg("--data-dir").arg(directory.path()).args(flags))
    };
    serve(&["--lease=-1"]).refused(2, "--lease");
    serve(&["--lease", "1"]).refused(2, "removal.after");
}

#[test]
fn reads_are_measured_at_every_node_beside_every_load() {
    let out = tempfile::TempDir::new().expect("there is room");
    let mut command = std::process::Command::new(PROGRAM);
    command.args(["bench", "--rounds", "3", "--out"]).arg(out.path());
    let table = Told::of(command.arg("--scratch").arg(out.path())).ok();
    let file = |name| fs::read_to_string(out.path().join(name)).expect("it was written");
    assert_eq!(file("table.md"), table);
    let loads: Value = serde_json::from_str(&file("table.json")).expect("it is JSON");
    let loads = loads.as_array().expect("it is a list");
    let names: Vec<&str> = loads.iter().filter_map(|load| load["writes"].as_str()).collect();
    assert_eq!(names, ["none", "other keys", "the same key"]);
    for load in loads {
        let nodes = load["nodes"].as_array().expect("it is a list");
        assert_eq!(nodes.len(), 3);
        for time in nodes.iter().flat_map(|node| [&node["nothing"], &node["replica"]]) {
            assert!(time["p50_ms"].as_f64() > Some(0.0), "{load}");
        }
    }
    assert_eq!(fs::read_dir(out.path()).expect("it is there").count(), 2, "nodes left something");
}

#[test]
fn the_prompt_takes_the_same_orders_and_helps() {
    let cluster = coordinator();
    let told = cluster.type_in("put colour red\nget colour\nlist\ndelete colour\nget\nhelp\n");
    told.says(0, "red\ncolour red\nred\n");
    assert!(told.out.contains("Print the value of a key"), "{told:?}");
    assert!(told.err.contains("<KEY>"), "{told:?}");
}
