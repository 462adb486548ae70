//! Real processes whose disks lose the content of entries: each node gets the content from the
//! others.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::nodes::{Nodes, eventually};

/// The size of a log file, in bytes.
const SEGMENT: u64 = 16 << 20;
/// The size of a page, in bytes: each small write is one flush, with one page of bodies.
const PAGE: u64 = 4096;

/// Starts three nodes and writes `count` values, each in a flush of its own.
fn started(count: u64) -> Nodes {
    let nodes = Nodes::start(3);
    nodes.leader();
    (0..count).for_each(|value| nodes.put(value));
    nodes
}

impl Nodes {
    /// Puts this value under its own key.
    pub(crate) fn put(&self, value: u64) {
        self.ask(&["put", &format!("key{value}"), &format!("value{value}")]).ok();
    }

    /// Asserts that these values are readable.
    pub(crate) fn assert_has(&self, values: impl Iterator<Item = u64>) {
        for value in values {
            self.ask(&["get", &format!("key{value}")]).prints(0, &format!("value{value}"));
        }
    }

    /// Waits until every node has applied the whole log, and no entry of its log is damaged.
    fn await_whole(&self, count: usize) {
        eventually("every node is repaired", || {
            let status = serde_json::from_str(&self.ask(&["status", "--json"]).out);
            let status: Value = status.unwrap_or_default();
            let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
            let last = nodes.iter().filter_map(|node| node["last"].as_u64()).max();
            let is_whole = |node: &Value| {
                node["damaged_entries"] == 0 && node["applied"].as_u64() == last && last.is_some()
            };
            nodes.len() == count && nodes.iter().all(is_whole)
        });
    }
}

#[test]
fn the_scrubber_finds_damage_that_no_client_reads() {
    let mut nodes = Nodes::none(3);
    let members = nodes.listed(&[1, 2, 3]);
    nodes.bootstrap_with(3, &["--members", &members, "--scrub-period", "2s"]);
    nodes.leader();
    (0..40).for_each(|value| nodes.put(value));
    flip(&nodes.directory(2), 5..12);
    eventually("the scrubber finds the damage", || {
        nodes.log(2).contains("lost the content of entries")
    });
    eventually("it is repaired", || nodes.log(2).contains("every damaged entry of the log"));
    nodes.kill(2);
    nodes.quorate(&["inspect", "d2"]).prints(0, "no damage");
}

/// Flips one bit in the bodies of each of these flushes of the first log file, counted from 0.
fn flip(directory: &Path, flushes: impl Iterator<Item = u64>) {
    let path = directory.join(format!("log-{:016x}", 1));
    let file = File::options().read(true).write(true).open(path).expect("it exists");
    for flush in flushes {
        let offset = SEGMENT - (flush + 1) * PAGE + 100;
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).expect("the flush is in the file");
        file.write_all_at(&[byte[0] ^ 4], offset).expect("the disk has space");
    }
}

#[test]
fn killed_nodes_with_damaged_entries_repair_one_another() {
    let mut nodes = started(40);
    (1..=3).for_each(|id| nodes.kill(id));
    // Each node loses different entries. Each of them is the last one of its flush.
    for id in 1..=3 {
        flip(&nodes.directory(id), (3 + 10 * (id - 1)..).take(8));
        let found = nodes.quorate(&["inspect", &format!("d{id}")]);
        assert_eq!(found.code, 1, "{found:?}");
        assert!(found.out.contains("are damaged"), "{}", found.out);
    }
    (1..=3).for_each(|id| nodes.serve(id));
    nodes.await_whole(3);
    nodes.put(40);
    nodes.assert_has(0..=40);
    for id in 1..=3 {
        assert!(nodes.log(id).contains("lost the content of entries"), "{}", nodes.log(id));
        nodes.kill(id);
        nodes.quorate(&["inspect", &format!("d{id}")]).prints(0, "no damage");
    }
}

#[test]
fn damage_under_running_nodes_stops_no_node_while_a_member_is_added() {
    let mut nodes = started(40);
    // The leader and a follower lose different entries, and do not know it yet.
    let leads = nodes.leader();
    flip(&nodes.directory(leads), 3..9);
    flip(&nodes.directory(leads % 3 + 1), 12..20);
    nodes.make_room(4);
    let (listen, members) = (nodes.address(4).to_string(), nodes.listed(&[1, 2, 3]));
    nodes.serve_with(4, &["--listen", &listen, "--join", &members]);
    let fourth = nodes.listed(&[4]);
    eventually("a fourth member is added", || nodes.ask(&["members", "add", &fourth]).code == 0);
    (40..60).for_each(|value| nodes.put(value));
    nodes.await_whole(4);
    // The new member has every entry, and so has every restarted one.
    for id in 1..=4 {
        nodes.kill(id);
    }
    (1..=3).for_each(|id| nodes.serve(id));
    nodes.serve_with(4, &["--listen", &listen, "--join", &members]);
    nodes.await_whole(4);
    nodes.assert_has(0..60);
}

#[test]
fn nodes_without_a_readable_snapshot_rebuild_their_state_from_the_third() {
    let mut nodes = started(20);
    for id in 1..=3 {
        nodes.ask(&["snapshot", &nodes.address(id).to_string()]).ok();
    }
    let snapshots = |nodes: &Nodes, id: u64| -> Vec<PathBuf> {
        let files = fs::read_dir(nodes.directory(id)).expect("it exists");
        let paths = files.map(|file| file.expect("it can be listed").path());
        paths.filter(|path| path.file_name().is_some_and(is_snapshot)).collect()
    };
    for id in 1..=3 {
        eventually("each node has a snapshot", || snapshots(&nodes, id).len() == 1);
    }
    (1..=3).for_each(|id| nodes.kill(id));
    // One node has lost a byte of its snapshot, and another node the whole file.
    let file = File::options().write(true).open(&snapshots(&nodes, 1)[0]).expect("it exists");
    file.write_all_at(&[0xff], 4100).expect("the disk has space");
    fs::remove_file(&snapshots(&nodes, 2)[0]).expect("it exists");
    for id in 1..=2 {
        let found = nodes.quorate(&["inspect", &format!("d{id}")]);
        assert_eq!(found.code, 1, "{found:?}");
        assert!(found.out.contains("from the snapshot of another member"), "{}", found.out);
        assert!(found.out.contains("next: start the node"), "{}", found.out);
    }
    (1..=3).for_each(|id| nodes.serve(id));
    for id in 1..=2 {
        eventually("the state is rebuilt", || {
            nodes.log(id).contains("rebuilt") && nodes.log(id).contains("snapshot on the disk")
        });
    }
    nodes.put(20);
    nodes.await_whole(3);
    nodes.kill(3);
    nodes.assert_has(0..=20);
}

fn is_snapshot(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with("snapshot-")
}
