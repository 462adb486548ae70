//! The limits of open files and of their sizes: connections never keep the log of a node from
//! opening its files, and a node that exceeds a limit names it.

use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::nodes::{Nodes, eventually};
use crate::skip::skipped;

#[test]
fn a_node_raises_the_soft_limit_of_open_files() {
    let mut nodes = Nodes::unstarted(1);
    nodes.serve_after(1, "ulimit -Sn 256", &[]);
    nodes.ask(&["put", "k", "v"]).ok();
    let limits = format!("/proc/{}/limits", nodes.pid(1));
    let Ok(limits) = std::fs::read_to_string(limits) else {
        let name = "a_node_raises_the_soft_limit_of_open_files";
        return skipped(name, "the limits of a process cannot be read on this system");
    };
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = soft.and_then(|rest| rest.split_whitespace().next());
    assert_eq!(soft, Some("2752"), "{limits}");
}

#[test]
fn a_node_does_not_start_if_it_could_run_out_of_open_files() {
    let mut nodes = Nodes::unstarted(1);
    nodes.serve_after(1, "ulimit -n 1200", &[]);
    assert_eq!(nodes.ended(1).code(), Some(2), "{}", nodes.log(1));
    let text = "--connections-max: the node may need 2752 open files, but this process may open \
                1200";
    assert!(nodes.log(1).contains(text), "{}", nodes.log(1));
    nodes.serve_after(1, "ulimit -n 1200", &["--connections-max", "50"]);
    nodes.ask(&["put", "k", "v"]).ok();
}

#[test]
fn a_flood_of_connections_leaves_files_for_the_log() {
    let nodes = Nodes::start(1);
    nodes.ask(&["put", "k", "v"]).ok();
    let client = nodes.blocking_client(1);
    client.propose(b"connected").expect("the node leads");
    // The node gets fewer files than it counted on.
    let lowered = Command::new("prlimit")
        .args([format!("--pid={}", nodes.pid(1)), "--nofile=280:280".to_owned()])
        .status();
    if !lowered.is_ok_and(|status| status.success()) {
        let name = "a_flood_of_connections_leaves_files_for_the_log";
        return skipped(name, "prlimit is not installed or cannot lower the limit");
    }
    // These would take every file.
    let connect = |_| TcpStream::connect(nodes.address(1)).expect("the backlog has room");
    let held: Vec<TcpStream> = (0..300).map(connect).collect();
    eventually("connections are rejected", || {
        nodes.log(1).contains("the limit of open files leaves no room")
    });
    // The log opens files for snapshots.
    for _ in 0..250 {
        client.propose(b"entry").expect("the node has not stopped");
    }
    let address = nodes.address(1).to_string();
    eventually("the node takes a snapshot", || {
        client.report(&address).expect("it is connected").status.snapshot.0 >= 200
    });
    drop(held);
    nodes.ask(&["put", "k", "w"]).ok();
}

/// Waits until the node has ended by itself, without a signal, and checks that its log has `part`.
fn ends_with(nodes: &mut Nodes, part: &str) {
    let code = nodes.ended(1).code();
    let log = nodes.log(1);
    assert!(matches!(code, Some(2 | 6)), "{code:?}: {log}");
    assert!(log.contains(part) && !log.contains("check the disk"), "{log}");
}

#[test]
fn a_node_that_may_open_no_file_names_the_limit() {
    let mut nodes = Nodes::start(1);
    nodes.ask(&["put", "k", "v"]).ok();
    let client = nodes.blocking_client(1).with_deadline(Duration::from_secs(1));
    client.propose(b"connected").expect("the node leads");
    let lowered = Command::new("prlimit")
        .args([format!("--pid={}", nodes.pid(1)), "--nofile=8:8".to_owned()])
        .status();
    if !lowered.is_ok_and(|status| status.success()) {
        let name = "a_node_that_may_open_no_file_names_the_limit";
        return skipped(name, "prlimit is not installed or cannot lower the limit");
    }
    // The next snapshot needs a file.
    while client.propose(b"entry").is_ok() {}
    ends_with(&mut nodes, "LimitNOFILE");
}

#[test]
fn a_node_whose_files_may_not_grow_names_the_limit() {
    let mut nodes = Nodes::unstarted(1);
    // Enough for the superblock, and not for a segment.
    nodes.serve_after(1, "ulimit -f 20000", &[]);
    ends_with(&mut nodes, "ulimit -f");
}
