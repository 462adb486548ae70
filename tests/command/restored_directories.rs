//! A data directory that an operator replaces by an older copy of itself, and marks.

use std::fs;
use std::path::Path;

use crate::nodes::{Nodes, eventually};

/// Copies the files of a directory into a new one.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("the disk has space");
    for entry in fs::read_dir(from).expect("the directory exists") {
        let entry = entry.expect("it can be listed");
        if entry.path().is_dir() {
            continue;
        }
        fs::copy(entry.path(), to.join(entry.file_name())).expect("the disk has space");
    }
}

#[test]
fn a_node_on_an_older_copy_that_is_marked_counts_only_once_it_has_everything() {
    let mut nodes = Nodes::start(3);
    nodes.leader();
    (0..5).for_each(|value| nodes.put(value));
    nodes.kill(3);
    let (directory, older) = (nodes.directory(3), nodes.root().join("older"));
    copy(&directory, &older);
    nodes.serve(3);
    (5..20).for_each(|value| nodes.put(value));
    nodes.assert_has(0..20);
    let running = nodes.quorate(&["mark-restored", "d3"]);
    running.fails_with(3, "in use by another process: stop that process");

    // All nodes stop, so that no leader knows what node 3 acknowledged.
    (1..=3).for_each(|id| nodes.kill(id));
    fs::remove_dir_all(&directory).expect("it can be removed");
    copy(&older, &directory);
    let marked = nodes.quorate(&["mark-restored", "d3"]).ok();
    assert!(marked.contains("n3 is marked as uncertain"), "{marked}");
    nodes.quorate(&["inspect", "d3"]).prints(0, "uncertain    the log may lack");
    let again = nodes.quorate(&["--json", "mark-restored", "d3"]).json();
    assert_eq!((again["node"].as_u64(), again["is_uncertain"].as_bool()), (Some(3), Some(true)));

    // Node 3 and one other node elect no leader, although the two are a majority.
    nodes.serve(1);
    nodes.serve(3);
    eventually("the node says so", || nodes.log(3).contains("the log may lack entries that"));
    assert_ne!(nodes.ask(&["get", "key0", "--timeout", "3s"]).code, 0, "no leader is elected");
    nodes.serve(2);
    nodes.await_certain(3, 1, 20);
    nodes.kill(2);
    nodes.put(20);
    nodes.assert_has(0..21);
}

#[test]
fn only_a_directory_whose_node_others_can_check_is_marked() {
    let mut nodes = Nodes::start(1);
    eventually("the node leads", || nodes.log(1).contains("role=Leader"));
    nodes.signal(1, "TERM");
    assert!(nodes.ended(1).success(), "{}", nodes.log(1));
    let alone = nodes.quorate(&["mark-restored", "d1"]);
    alone.fails_with(5, "d1: nothing was changed: in this copy the node alone is a quorum");
    nodes.quorate(&["inspect", "d1"]).prints(0, "no damage");
    let found = nodes.quorate(&["--json", "inspect", "d1"]).json();
    assert_eq!(found["is_uncertain"].as_bool(), Some(false));

    nodes.quorate(&["mark-restored", "none"]).fails_with(2, "none: no such directory");
    fs::create_dir(nodes.root().join("empty")).expect("the disk has space");
    let empty = nodes.quorate(&["mark-restored", "empty"]);
    empty.fails_with(2, "empty: the directory is not formatted: it has no superblock");
    let left = fs::read_dir(nodes.root().join("empty")).expect("it exists").count();
    assert_eq!(left, 0, "nothing is created");
}
