//! The orders: a replicated map, read at any node and written at its leader.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::processes::{Processes, eventually};
use crate::said::Told;
use crate::support::{Caller, Cluster};

fn orders(count: u64) -> Cluster {
    Cluster::start(env!("CARGO_BIN_EXE_orders"), count)
}

/// Everybody but the leader.
fn followers(cluster: &Cluster) -> Vec<u64> {
    let leader = cluster.leader();
    cluster.ids().into_iter().filter(|id| *id != leader).collect()
}

/// What the node itself has, whatever the others do.
fn map_of(cluster: &Cluster, id: u64) -> String {
    let at = cluster.addresses(&[id]);
    let told = cluster.ask(&["list", "--at", &at, "--level", "local"]).ok();
    assert!(told.lines().all(|line| line.ends_with(" (local: it may be old)")), "{told}");
    told.replace(" (local: it may be old)", "")
}

/// Waits until every node has this map.
fn all_have(cluster: &Cluster, map: &str) {
    for id in cluster.ids() {
        eventually(&format!("node {id} has {map}"), || map_of(cluster, id) == map);
    }
}

#[test]
fn reads_at_any_node_are_linearizable_where_a_leader_is_known() {
    let cluster = orders(3);
    for number in 1..=3 {
        cluster.ask(&["place", "ann", "eve", "adam"]).ok();
        for id in cluster.ids() {
            let at = cluster.addresses(&[id]);
            let told = cluster.ask(&["last", "ann", "--at", &at, "--level", "linearizable"]);
            assert_eq!(told.ok(), format!("ann {number}\n"), "at node {id}");
            let told = cluster.ask(&["show", "ann", "1", "--at", &at]).ok();
            assert_eq!(told, "ann 1 engineer eve admin adam\n", "it is not marked");
        }
    }
}

#[test]
fn reads_at_a_candidate_are_local_and_marked() {
    let mut cluster = orders(3);
    cluster.ask(&["place", "ann", "eve", "adam"]).ok();
    all_have(&cluster, "ann 1\n");
    let alone = followers(&cluster)[0];
    cluster.ids().into_iter().filter(|id| *id != alone).for_each(|id| cluster.kill(id));
    let at = cluster.addresses(&[alone]);
    eventually("it looks for a leader", || {
        let told = cluster.ask(&["status", "--timeout", "1"]);
        told.out.contains(&format!("{at} looks for a leader"))
    });
    let ask = |words: &[&str]| cluster.ask(&[words, &["--at", &at, "--timeout", "2"]].concat());
    assert_eq!(ask(&["last", "ann"]).ok(), "ann 1 (local: it may be old)\n");
    ask(&["show", "ann", "2"]).refused(1, "the last one is 1 (local: it may be old)");
    ask(&["last", "ann", "--level", "linearizable"]).refused(3, "nothing happened");
    let told = cluster.ask(&["last", "ann", "--timeout", "4"]).ok();
    assert_eq!(told, "ann 1 (local: it may be old)\n", "nor is it any other that answers");
}

#[test]
fn writes_go_to_the_leader_and_a_follower_says_who_that_is() {
    let cluster = orders(3);
    let leader = cluster.leader();
    let follower = followers(&cluster)[0];
    let place = ["place", "ann", "eve", "adam", "--timeout", "3"];
    // Followers pass nothing on: where the leader is not reached, nothing happens.
    cluster.wires.cut(Caller::Client, leader);
    let told = cluster.ask_of(&[follower], &place);
    assert!([3, 4].contains(&told.code) && told.out.is_empty(), "{told:?}");
    cluster.wires.mend();
    let told = cluster.ask_of(&[follower], &place).ok();
    assert_eq!(told, "ann 1 engineer eve admin adam\n");
}

#[test]
fn all_followers_die_and_the_leader_waits() {
    let mut cluster = orders(3);
    let place = |cluster: &Cluster, number, timeout| {
        let words = ["place", "ann", "eve", "adam", "--number", number, "--timeout", timeout];
        cluster.ask(&words)
    };
    place(&cluster, "1", "10").ok();
    let leader = cluster.leader();
    let dead = followers(&cluster);
    dead.iter().for_each(|id| cluster.kill(*id));
    let told = place(&cluster, "2", "3");
    assert!([3, 4].contains(&told.code) && told.out.is_empty(), "nobody else has it: {told:?}");
    let at = cluster.addresses(&[leader]);
    let told = cluster.ask(&["last", "ann", "--at", &at, "--timeout", "2"]).ok();
    assert_eq!(told, "ann 1 (local: it may be old)\n", "it carries nothing out meanwhile");
    // Whoever ordered repeats it: it is placed once, whatever became of it before.
    cluster.serve(dead[0]);
    assert_eq!(place(&cluster, "2", "20").ok(), "ann 2 engineer eve admin adam\n");
    cluster.serve(dead[1]);
    all_have(&cluster, "ann 2\n");
}

#[test]
fn a_follower_rejoins_and_its_log_is_recovered() {
    let mut cluster = orders(3);
    cluster.ask(&["place", "ann", "eve", "adam"]).ok();
    let follower = followers(&cluster)[0];
    cluster.kill(follower);
    let lines = "place ann eve adam\nplace bob tim adam\n".repeat(20);
    assert_eq!(cluster.type_in(&lines).ok().lines().count(), 40);
    cluster.serve(follower);
    eventually("it has everything", || map_of(&cluster, follower) == "ann 21\nbob 20\n");
    // It has its log, and not only the map: with it alone and one more, nothing is lost.
    let leader = cluster.leader();
    cluster.kill(leader);
    let told = cluster.ask(&["list", "--level", "linearizable", "--timeout", "20"]).ok();
    assert_eq!(told, "ann 21\nbob 20\n");
    cluster.serve(leader);
    all_have(&cluster, "ann 21\nbob 20\n");
}

#[test]
fn maps_are_equal_everywhere_at_the_end() {
    let mut cluster = orders(5);
    let customers = ["ann", "bob", "cat"];
    for _ in 0..2 {
        let leader = cluster.leader();
        let other = followers(&cluster)[0];
        std::thread::scope(|scope| {
            let cluster = &cluster;
            let order = |customer| {
                let place = ["place", customer, "eve", "adam", "--timeout", "20"];
                move || (0..10).for_each(|_| drop(cluster.ask(&place).ok()))
            };
            let running = customers.map(|customer| scope.spawn(order(customer)));
            cluster.ask(&["place", "dan", "eve", "adam"]).ok();
            cluster.signal(leader, "KILL");
            cluster.signal(other, "KILL");
            running.into_iter().for_each(|customer| customer.join().expect("all were placed"));
        });
        for id in [leader, other] {
            cluster.ended(id);
            cluster.serve(id);
        }
        cluster.is_well();
    }
    all_have(&cluster, "ann 20\nbob 20\ncat 20\ndan 2\n");
}

#[test]
fn one_order_is_one_entry_of_every_log() {
    let cluster = orders(3);
    let lines = "place the-one-that-counts eve adam\n".repeat(20);
    assert_eq!(cluster.type_in(&lines).ok().lines().count(), 20);
    all_have(&cluster, "the-one-that-counts 20\n");
    for id in cluster.ids() {
        let files = fs::read_dir(cluster.directory(id)).expect("it is there");
        let count = |file: std::io::Result<fs::DirEntry>| {
            let bytes = fs::read(file.expect("it is there").path()).unwrap_or_default();
            bytes.windows(19).filter(|window| window == b"the-one-that-counts").count()
        };
        assert_eq!(files.map(count).sum::<usize>(), 20, "in the directory of node {id}");
    }
}

#[test]
fn what_is_refused_is_explained() {
    let cluster = orders(3);
    cluster.ask(&["last", "ann"]).refused(1, "`ann` has never ordered");
    cluster.ask(&["place", "ann", "eve", "adam"]).ok();
    cluster.ask(&["show", "ann", "2"]).refused(1, "no order 2: the last one is 1");
    let place =
        |engineer, number| cluster.ask(&["place", "ann", engineer, "adam", "--number", number]);
    place("eve", "3").refused(1, "3 is not the next order of `ann`: that is 2");
    place("tim", "1").refused(1, "order 1 of `ann` is another one, of engineer eve");
    assert_eq!(place("eve", "1").ok(), "ann 1 engineer eve admin adam\n", "it is the same one");
    cluster.ask(&["place", "ann", "", "adam"]).refused(1, "is no name");
    cluster.ask(&["show", "ann", "first"]).refused(2, "invalid");
    assert_eq!(cluster.ask(&["list"]).ok(), "ann 1\n", "nothing happened");
}

#[test]
fn the_prompt_takes_the_same_orders_and_helps() {
    let cluster = orders(3);
    let told = cluster.type_in("place ann eve adam\nlast ann\nlist\nlast\nhelp\n");
    told.says(0, "ann 1 engineer eve admin adam\nann 1\nann 1\n");
    assert!(told.out.contains("Print the number of a customer's last order"), "{told:?}");
    assert!(told.err.contains("<CUSTOMER>"), "{told:?}");
}

/// The experiment, which leaves everything in this directory.
fn bench(out: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orders"));
    command.args(["bench", "--out"]).arg(out).arg("--scratch").arg(out).args(words);
    command
}

#[test]
fn the_experiment_measures_every_size_with_batching_and_without() {
    let out = tempfile::TempDir::new().expect("there is room");
    let words = ["--orders", "42", "--sizes", "1,3", "--repetitions", "1"];
    let table = Told::of(&mut bench(out.path(), &words)).ok();
    let file = |name| fs::read_to_string(out.path().join(name)).expect("it was written");
    assert_eq!(file("table.md"), table);
    let rows: Value = serde_json::from_str(&file("table.json")).expect("it is JSON");
    let rows = rows.as_array().expect("it is a list");
    let setups: Vec<(u64, bool)> = rows.iter().filter_map(setup).collect();
    assert_eq!(setups, [(1, true), (1, false), (3, true), (3, false)]);
    for row in rows {
        assert_eq!(row["runs"][0]["orders"], 42);
        assert!(row["p99_ms"].as_f64() >= row["p50_ms"].as_f64(), "{row}");
        assert!(row["p50_ms"].as_f64() > Some(0.0), "{row}");
    }
    assert!(file("plot.svg").contains("with batching"));
    let left = fs::read_dir(out.path()).expect("it is there").count();
    assert_eq!(left, 3, "directories of nodes are left");
}

fn setup(row: &Value) -> Option<(u64, bool)> {
    Some((row["nodes"].as_u64()?, row["batching"].as_bool()?))
}

#[test]
#[cfg(target_os = "linux")]
fn the_experiment_leaves_no_node_behind_when_it_is_killed() {
    let out = tempfile::TempDir::new().expect("there is room");
    let mut processes = Processes::default();
    let words = ["--sizes", "3"];
    processes.spawn("bench", &mut bench(out.path(), &words), &out.path().join("log"));
    eventually("its nodes run", || nodes_in(out.path()) == 3);
    processes.kill("bench");
    eventually("they have ended", || nodes_in(out.path()) == 0);
}

/// How many nodes have their directories in this one.
#[cfg(target_os = "linux")]
fn nodes_in(root: &Path) -> usize {
    let root = root.to_str().expect("it is text");
    let is_one = |process: &fs::DirEntry| {
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words);
        words.contains("\0serve\0") && words.contains(root)
    };
    fs::read_dir("/proc").expect("it is there").flatten().filter(is_one).count()
}
