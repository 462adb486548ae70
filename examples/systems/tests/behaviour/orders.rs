//! End-to-end tests of the orders system: a replicated map with reads at any node.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::command_output::CommandOutput;
use crate::processes::{Processes, eventually};
use crate::support::{Caller, Cluster};

fn orders(count: u64) -> Cluster {
    Cluster::start(env!("CARGO_BIN_EXE_orders"), count)
}

/// Returns the ids of all followers.
fn followers(cluster: &Cluster) -> Vec<u64> {
    let leader = cluster.leader();
    cluster.ids().into_iter().filter(|id| *id != leader).collect()
}

/// Returns the local map of the node.
fn map_of(cluster: &Cluster, id: u64) -> String {
    let at = cluster.addresses(&[id]);
    let output = cluster.run(&["list", "--at", &at, "--level", "local"]).ok();
    assert!(output.lines().all(|line| line.ends_with(" (local: may be stale)")), "{output}");
    output.replace(" (local: may be stale)", "")
}

/// Waits until every node has this map.
fn wait_until_all_have(cluster: &Cluster, map: &str) {
    for id in cluster.ids() {
        eventually(&format!("node {id} has {map}"), || map_of(cluster, id) == map);
    }
}

#[test]
fn reads_at_any_node_are_linearizable_if_there_is_a_leader() {
    let cluster = orders(3);
    for number in 1..=3 {
        cluster.run(&["place", "ann", "eve", "adam"]).ok();
        for id in cluster.ids() {
            let at = cluster.addresses(&[id]);
            let output = cluster.run(&["last", "ann", "--at", &at, "--level", "linearizable"]);
            assert_eq!(output.ok(), format!("ann {number}\n"), "at node {id}");
            let output = cluster.run(&["show", "ann", "1", "--at", &at]).ok();
            assert_eq!(output, "ann 1 engineer eve admin adam\n", "the answer is marked as stale");
        }
    }
}

#[test]
fn reads_at_a_candidate_are_local_and_marked() {
    let mut cluster = orders(3);
    cluster.run(&["place", "ann", "eve", "adam"]).ok();
    wait_until_all_have(&cluster, "ann 1\n");
    let alone = followers(&cluster)[0];
    cluster.ids().into_iter().filter(|id| *id != alone).for_each(|id| cluster.kill(id));
    let at = cluster.addresses(&[alone]);
    eventually("it is a candidate", || {
        let output = cluster.run(&["status", "--timeout", "1s"]);
        output.out.contains(&format!("{at} candidate,"))
    });
    let run = |words: &[&str]| cluster.run(&[words, &["--at", &at, "--timeout", "2s"]].concat());
    assert_eq!(run(&["last", "ann"]).ok(), "ann 1 (local: may be stale)\n");
    run(&["show", "ann", "2"]).fails_with(1, "the last one is 1 (local: may be stale)");
    run(&["last", "ann", "--level", "linearizable"])
        .fails_with(3, "not executed before the deadline");
    let output = cluster.run(&["last", "ann", "--timeout", "4s"]).ok();
    assert_eq!(output, "ann 1 (local: may be stale)\n", "the answer is not marked");
}

#[test]
fn a_follower_redirects_writes_to_the_leader() {
    let cluster = orders(3);
    let leader = cluster.leader();
    let follower = followers(&cluster)[0];
    let place = ["place", "ann", "eve", "adam", "--timeout", "3s"];
    // Followers do not forward, so nothing happens if the client cannot reach the leader.
    cluster.network.cut(Caller::Client, leader);
    let output = cluster.run_at(&[follower], &place);
    assert!([3, 4].contains(&output.code) && output.out.is_empty(), "{output:?}");
    cluster.network.heal();
    let output = cluster.run_at(&[follower], &place).ok();
    assert_eq!(output, "ann 1 engineer eve admin adam\n");
}

#[test]
fn a_leader_without_followers_does_not_commit() {
    let mut cluster = orders(3);
    let place = |cluster: &Cluster, number, timeout| {
        let words = ["place", "ann", "eve", "adam", "--number", number, "--timeout", timeout];
        cluster.run(&words)
    };
    place(&cluster, "1", "10s").ok();
    let leader = cluster.leader();
    let dead = followers(&cluster);
    dead.iter().for_each(|id| cluster.kill(*id));
    let output = place(&cluster, "2", "3s");
    assert!(
        [3, 4].contains(&output.code) && output.out.is_empty(),
        "the order was placed without a quorum: {output:?}"
    );
    let at = cluster.addresses(&[leader]);
    let output = cluster.run(&["last", "ann", "--at", &at, "--timeout", "2s"]).ok();
    assert_eq!(output, "ann 1 (local: may be stale)\n", "an uncommitted order was applied");
    // The customer repeats the order with its number; it is placed once.
    cluster.serve(dead[0]);
    assert_eq!(place(&cluster, "2", "20s").ok(), "ann 2 engineer eve admin adam\n");
    cluster.serve(dead[1]);
    wait_until_all_have(&cluster, "ann 2\n");
}

#[test]
fn a_restarted_follower_catches_up_its_log() {
    let mut cluster = orders(3);
    cluster.run(&["place", "ann", "eve", "adam"]).ok();
    let follower = followers(&cluster)[0];
    cluster.kill(follower);
    let lines = "place ann eve adam\nplace bob tim adam\n".repeat(20);
    assert_eq!(cluster.run_prompt(&lines).ok().lines().count(), 40);
    cluster.serve(follower);
    eventually("it has all orders", || map_of(&cluster, follower) == "ann 21\nbob 20\n");
    // The follower has the log, not only the map: with one other node it has a quorum, and nothing
    // is lost.
    let leader = cluster.leader();
    cluster.kill(leader);
    let output = cluster.run(&["list", "--level", "linearizable", "--timeout", "20s"]).ok();
    assert_eq!(output, "ann 21\nbob 20\n");
    cluster.serve(leader);
    wait_until_all_have(&cluster, "ann 21\nbob 20\n");
}

#[test]
fn the_maps_of_all_nodes_are_equal_at_the_end() {
    let mut cluster = orders(5);
    let customers = ["ann", "bob", "cat"];
    for _ in 0..2 {
        let leader = cluster.leader();
        let other = followers(&cluster)[0];
        std::thread::scope(|scope| {
            let cluster = &cluster;
            let order = |customer| {
                let place = ["place", customer, "eve", "adam", "--timeout", "20s"];
                move || (0..10).for_each(|_| drop(cluster.run(&place).ok()))
            };
            let running = customers.map(|customer| scope.spawn(order(customer)));
            cluster.run(&["place", "dan", "eve", "adam"]).ok();
            cluster.signal(leader, "KILL");
            cluster.signal(other, "KILL");
            running
                .into_iter()
                .for_each(|customer| customer.join().expect("all orders were placed"));
        });
        for id in [leader, other] {
            cluster.wait_for_exit(id);
            cluster.serve(id);
        }
        cluster.wait_until_healthy();
    }
    wait_until_all_have(&cluster, "ann 20\nbob 20\ncat 20\ndan 2\n");
}

#[test]
fn every_log_has_one_entry_per_order() {
    let cluster = orders(3);
    let lines = "place the-one-that-counts eve adam\n".repeat(20);
    assert_eq!(cluster.run_prompt(&lines).ok().lines().count(), 20);
    wait_until_all_have(&cluster, "the-one-that-counts 20\n");
    for id in cluster.ids() {
        let count = |file: std::io::Result<fs::DirEntry>| {
            let bytes = fs::read(file.expect("the file exists").path()).unwrap_or_default();
            bytes.windows(19).filter(|window| window == b"the-one-that-counts").count()
        };
        let count_all = || {
            let files = fs::read_dir(cluster.directory(id)).expect("the directory exists");
            files.map(count).sum::<usize>()
        };
        // A node may apply entries that a majority has on disk before its own disk has them.
        eventually(&format!("node {id} has written every order"), || count_all() >= 20);
        assert_eq!(count_all(), 20, "in the directory of node {id}");
        let recording = fs::read(cluster.directory(id).join("recording/0000000001.qrec"));
        let recording = recording.expect("the node records its inputs");
        assert!(!recording.windows(19).any(|window| window == b"the-one-that-counts"));
    }
}

#[test]
fn rejections_are_explained() {
    let cluster = orders(3);
    cluster.run(&["last", "ann"]).fails_with(1, "customer `ann` has no orders");
    cluster.run(&["place", "ann", "eve", "adam"]).ok();
    cluster.run(&["show", "ann", "2"]).fails_with(1, "no order 2: the last one is 1");
    let place =
        |engineer, number| cluster.run(&["place", "ann", engineer, "adam", "--number", number]);
    place("eve", "3").fails_with(1, "3 is not the next order number of `ann`, which is 2");
    place("tim", "1").fails_with(1, "order 1 of `ann` exists with engineer eve");
    assert_eq!(place("eve", "1").ok(), "ann 1 engineer eve admin adam\n", "the order is repeated");
    cluster.run(&["place", "ann", "", "adam"]).fails_with(1, "invalid name");
    cluster.run(&["show", "ann", "first"]).fails_with(2, "invalid");
    assert_eq!(cluster.run(&["list"]).ok(), "ann 1\n", "the state is unchanged");
}

#[test]
fn the_prompt_runs_the_same_commands_and_has_help() {
    let cluster = orders(3);
    let output = cluster.run_prompt("place ann eve adam\nlast ann\nlist\nlast\nhelp\n");
    output.prints(0, "ann 1 engineer eve admin adam\nann 1\nann 1\n");
    assert!(output.out.contains("Print the number of the last order of a customer"), "{output:?}");
    assert!(output.err.contains("<CUSTOMER>"), "{output:?}");
}

/// Returns the benchmark command with its results and data in this directory.
fn bench(out: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orders"));
    command.args(["bench", "--out"]).arg(out).arg("--scratch").arg(out).args(words);
    command
}

#[test]
fn the_benchmark_measures_every_size_with_and_without_batching() {
    let out = tempfile::TempDir::new().expect("there is room");
    let words = ["--orders", "42", "--sizes", "1,3", "--repetitions", "1", "--threads", "2"];
    let table = CommandOutput::run(&mut bench(out.path(), &words)).ok();
    assert!(table.contains("\n42 orders by 2 clients, "), "{table}");
    let file = |name| fs::read_to_string(out.path().join(name)).expect("the file was written");
    assert_eq!(file("table.md"), table);
    let rows: Value = serde_json::from_str(&file("table.json")).expect("the text is JSON");
    let rows = rows.as_array().expect("the value is a list");
    let setups: Vec<(u64, bool)> = rows.iter().filter_map(setup).collect();
    assert_eq!(setups, [(1, true), (1, false), (3, true), (3, false)]);
    for row in rows {
        assert_eq!(row["runs"][0]["orders"], 42);
        assert!(row["p99_ms"].as_f64() >= row["p50_ms"].as_f64(), "{row}");
        assert!(row["p50_ms"].as_f64() > Some(0.0), "{row}");
    }
    assert!(file("plot.svg").contains("with batching"));
    let left = fs::read_dir(out.path()).expect("the directory exists").count();
    assert_eq!(left, 3, "directories of nodes are left");
}

fn setup(row: &Value) -> Option<(u64, bool)> {
    Some((row["nodes"].as_u64()?, row["batching"].as_bool()?))
}

#[test]
#[cfg(target_os = "linux")]
fn a_killed_benchmark_leaves_no_node_behind() {
    let out = tempfile::TempDir::new().expect("there is room");
    let mut processes = Processes::default();
    let words = ["--sizes", "3"];
    processes.spawn("bench", &mut bench(out.path(), &words), &out.path().join("log"));
    eventually("its nodes run", || nodes_in(out.path()) == 3);
    processes.kill("bench");
    eventually("its nodes have exited", || nodes_in(out.path()) == 0);
}

/// Returns the number of nodes with directories below `root`.
#[cfg(target_os = "linux")]
fn nodes_in(root: &Path) -> usize {
    let root = root.to_str().expect("the path is text");
    let is_one = |process: &fs::DirEntry| {
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words);
        words.contains("\0serve\0") && words.contains(root)
    };
    fs::read_dir("/proc").expect("the directory exists").flatten().filter(is_one).count()
}
