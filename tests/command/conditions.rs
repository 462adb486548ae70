//! Conditions that need an operator are in the log: one line at WARN when a condition lasts, one
//! at INFO when it is over.

use crate::nodes::{Nodes, eventually};

/// Returns the number of lines with this level and this text.
fn lines(nodes: &Nodes, id: u64, level: &str, text: &str) -> usize {
    let log = nodes.log(id);
    log.lines().filter(|line| line.contains(level) && line.contains(text)).count()
}

#[test]
fn a_dead_peer_and_the_loss_of_the_quorum_are_logged_once() {
    let mut nodes = Nodes::start(3);
    eventually("a cluster", || nodes.ask(&["status"]).code == 0);
    let leads = |nodes: &Nodes, id: u64| nodes.ask(&["status", "--json"]).json()["leader"] == id;
    eventually("n1 leads", || {
        leads(&nodes, 1) || nodes.ask(&["transfer", "1"]).code == 0 && leads(&nodes, 1)
    });
    nodes.kill(3);
    let silent = "n3 does not answer its leader";
    eventually("the leader logs it", || lines(&nodes, 1, " WARN ", silent) == 1);
    nodes.kill(2);
    let leaderless = "no leader: this node accepts no writes";
    eventually("the node logs it", || lines(&nodes, 1, " WARN ", leaderless) == 1);
    nodes.serve(2);
    eventually("a leader again", || {
        lines(&nodes, 1, " INFO ", &format!("over: {leaderless}")) == 1
    });
    // Meanwhile the node campaigned several times a second.
    assert_eq!(lines(&nodes, 1, " WARN ", silent), 1);
    assert_eq!(lines(&nodes, 1, " WARN ", leaderless), 1);
}

#[test]
fn a_node_that_waits_for_its_bootstrap_peers_says_so() {
    let mut nodes = Nodes::none(2);
    let members = nodes.listed(&[1, 2]);
    nodes.serve_with(1, &["--members", &members]);
    let text = "the cluster is not bootstrapped yet: all of its initial members must run";
    eventually("the node logs it", || lines(&nodes, 1, " WARN ", text) == 1);
    let status = nodes.quorate(&["status", "--nodes", &nodes.address(1).to_string()]);
    assert!(status.out.contains("no node that answers knows the members"), "{status:?}");
    assert_eq!(status.code, 1);
    nodes.serve_with(2, &["--members", &members]);
    eventually("it is over", || lines(&nodes, 1, " INFO ", &format!("over: {text}")) == 1);
}

#[test]
fn a_removed_node_says_so_while_it_runs_and_when_it_is_started_again() {
    let mut nodes = Nodes::start(3);
    eventually("a cluster", || nodes.ask(&["status"]).code == 0);
    nodes.ask(&["members", "remove", "3"]).ok();
    let removed = "this node was removed from the cluster: stop it";
    eventually("the node logs it", || lines(&nodes, 3, " WARN ", removed) == 1);
    assert_eq!(lines(&nodes, 1, " WARN ", removed), 0);
    nodes.signal(3, "TERM");
    nodes.ended(3);
    let directory = nodes.directory(3).to_string_lossy().into_owned();
    let started = nodes.quorate(&["serve", "--data-dir", &directory]);
    started.fails_with(2, "n3 is not a member of its cluster, {n1");
    started.fails_with(2, "it was removed, or has not been added yet");
}

#[test]
fn a_peer_that_is_configured_differently_is_a_warning() {
    let mut nodes = Nodes::none(2);
    nodes.quorate(&["certs", "certs", "--nodes", "1"]).ok();
    let certs = nodes.root().join("certs").to_string_lossy().into_owned();
    let cluster = std::fs::read_to_string(nodes.root().join("certs/cluster"));
    let cluster = cluster.expect("the file exists");
    let members = nodes.listed(&[1, 2]);
    nodes.serve_with(1, &["--members", &members, "--certs", &certs]);
    nodes.serve_with(2, &["--members", &members, "--cluster", cluster.trim()]);
    for (id, text) in [(1, "the remote does not use TLS"), (2, "the remote uses TLS")] {
        eventually("the node logs it", || lines(&nodes, id, " WARN ", text) > 0);
    }
}

/// A new node needs little memory: the space that it reserves is on its disk.
#[cfg(target_os = "linux")]
#[test]
fn a_new_node_needs_less_than_64_mb() {
    let nodes = Nodes::start(1);
    eventually("a cluster", || nodes.ask(&["status"]).code == 0);
    let status = std::fs::read_to_string(format!("/proc/{}/status", nodes.pid(1)));
    let status = status.expect("the process runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    assert!(peak.expect("the kernel reports it") < 64_000, "{status}");
}
