//! A cluster in use: keys, membership changes and leader changes.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::addresses::free_address;
use crate::cli::CommandOutput;
use crate::nodes::{Nodes, eventually, leader};

impl Nodes {
    /// Runs a client command against the cluster.
    pub(crate) fn ask(&self, words: &[&str]) -> CommandOutput {
        let nodes = self.nodes();
        let all: Vec<&str> = words.iter().copied().chain(["--nodes", &nodes]).collect();
        self.quorate(&all)
    }

    /// Waits for a leader and returns its id.
    pub(crate) fn leader(&self) -> u64 {
        leader(|words| self.ask(words))
    }

    /// Asserts that each of these nodes returns `value` for the key.
    pub(crate) fn has(&self, ids: &[u64], key: &str, value: &str) {
        for id in ids {
            let at = self.address(*id).to_string();
            let output = self.quorate(&["get", key, "--at", &at, "--nodes", &at]);
            assert_eq!(output.ok(), format!("{value}\n"), "at {id}");
        }
    }
}

#[test]
fn keys_are_put_compared_scanned_and_deleted() {
    let nodes = Nodes::start(1);
    assert_eq!(nodes.ask(&["put", "a/1", "one"]).ok(), "ok\n");
    assert_eq!(nodes.ask(&["get", "a/1"]).ok(), "one\n");
    assert_eq!(nodes.ask(&["get", "a/1", "--raw", "--level", "local"]).ok(), "one");
    assert_eq!(nodes.ask(&["get", "b", "--json"]).json()["value"], Value::Null);
    let missing = nodes.ask(&["get", "b"]);
    assert_eq!((missing.out.as_str(), missing.err.as_str()), ("", "error: no such key\n"));
    missing.fails_with(1, "no such key");
    let output = nodes.ask(&["cas", "a/1", "--from", "two", "--to", "three"]);
    assert_eq!((output.code, output.out.as_str()), (1, "one\n"));
    assert_eq!(nodes.ask(&["cas", "a/1", "--from", "one", "--to", "two"]).ok(), "ok\n");
    assert_eq!(nodes.ask(&["cas", "a/2", "--to", "new"]).ok(), "ok\n");
    nodes.ask(&["put", "z", "last"]).ok();
    assert_eq!(nodes.ask(&["scan", "a/"]).ok(), "a/1\ttwo\na/2\tnew\n");
    assert_eq!(nodes.ask(&["scan", "--after", "a/1", "--limit", "1"]).ok(), "a/2\tnew\n");
    assert_eq!(nodes.ask(&["delete", "a/1"]).code, 0);
    assert_eq!(nodes.ask(&["delete", "a/1"]).code, 1);
    only_a_value_is_printed_by_a_failed_compare(&nodes);
    keys_and_values_may_be_any_bytes(&nodes);
    a_result_that_cannot_be_printed_is_reported(&nodes);
}

fn only_a_value_is_printed_by_a_failed_compare(nodes: &Nodes) {
    let compare = |key: &str| nodes.ask(&["cas", key, "--from", "other", "--to", "new"]);
    nodes.ask(&["put", "empty", ""]).ok();
    let empty = compare("empty");
    assert_eq!((empty.code, empty.out.as_str()), (1, "\n"), "as `get` prints it");
    nodes.ask(&["put", "long", &"x".repeat(5000)]).ok();
    for (key, text) in [("none", "the key does not exist"), ("long", "the value has 5000 bytes")] {
        let output = compare(key);
        output.fails_with(11, text);
        assert_eq!(output.out, "", "a script would take any text for the value");
    }
    let json = nodes.ask(&["cas", "none", "--from", "other", "--json"]);
    assert_eq!((json.code, json.json()["value"].clone()), (11, Value::Null));
}

fn keys_and_values_may_be_any_bytes(nodes: &Nodes) {
    let (key, value) = (r"x/\xff\x00", r"C:\\new\t\xc3");
    nodes.ask(&["put", "--escaped", key, value]).ok();
    assert_eq!(nodes.ask(&["scan", "x/"]).ok(), format!("{key}\t{value}\n"));
    assert_eq!(nodes.ask(&["get", "--escaped", key]).ok(), format!("{value}\n"));
    assert_eq!(nodes.ask(&["get", key]).code, 1, "without --escaped a backslash is a backslash");
    let output = nodes.ask(&["scan", "--escaped", r"x/\xff", "--json"]).json();
    assert_eq!(output["key"]["base64"], "eC//AA==");
    let cas = ["cas", "--escaped", key, "--from", value, "--to", r"a\n\\"];
    nodes.ask(&cas).ok();
    let differs = nodes.ask(&cas);
    assert_eq!((differs.code, differs.out.as_str()), (1, "a\\n\\\\\n"));
    assert_eq!(nodes.ask(&["get", "--escaped", key, "--raw"]).ok(), "a\n\\");
    assert_eq!(nodes.ask(&["get", "--escaped", key, "--json"]).json()["value"], "a\n\\");
    nodes.ask(&["delete", "--escaped", key]).ok();
    nodes.ask(&["put", "y", r"a\n"]).ok();
    assert_eq!(nodes.ask(&["scan", "y", "--raw"]).ok(), "y\ta\\n\n");
    nodes.ask(&["put", "--escaped", "y", r"\y"]).fails_with(2, r"`\y` is not an escape");
}

/// A change is made even if its result cannot be printed; a read whose result cannot be printed
/// fails.
fn a_result_that_cannot_be_printed_is_reported(nodes: &Nodes) {
    let at = nodes.nodes();
    let to_full_disk = |words: &[&str]| {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let mut command = crate::cli::command();
        command.args(words).args(["--nodes", &at]).stdout(full.expect("/dev/full exists"));
        CommandOutput::run(&mut command)
    };
    if std::path::Path::new("/dev/full").exists() {
        let add = ["members", "add", "9=127.0.0.1:1", "--learner"];
        for change in [&["put", "z", "full"][..], &["snapshot", &at], &add] {
            to_full_disk(change).fails_with(
                0,
                "warning: the command was executed, but its result cannot be printed: ",
            );
        }
        to_full_disk(&["cas", "z", "--to", "x"]).fails_with(1, "cannot be printed");
        let dry_run = ["upgrade", "--dry-run"];
        let shown = [&["quota", "show"][..], &["sessions", "show"], &dry_run];
        for read in [&["get", "z"][..], &["scan"], &["status"]].into_iter().chain(shown) {
            to_full_disk(read).fails_with(2, "error: cannot write to standard output: ");
        }
    }
    assert_eq!(nodes.ask(&["get", "z"]).code, 0);
}

#[test]
fn a_killed_leader_is_replaced_and_catches_up_after_its_restart() {
    let mut nodes = Nodes::start(3);
    nodes.ask(&["put", "before", "1"]).ok();
    let leader = nodes.leader();
    nodes.kill(leader);
    nodes.ask(&["put", "after", "2"]).ok();
    let output = nodes.ask(&["status"]);
    assert_eq!(output.code, 1, "{output:?}");
    let row = format!("n{leader}    {}  unreachable", nodes.address(leader));
    assert!(output.out.contains(&row), "{row:?} is not in {output:?}");
    nodes.serve(leader);
    nodes.has(&[1, 2, 3], "before", "1");
    nodes.has(&[1, 2, 3], "after", "2");
    eventually("every member has caught up", || {
        let output = nodes.ask(&["status", "--json"]);
        let has_caught_up = |node: &Value| node["lag"] == 0 && node["error"].is_null();
        output.code == 0
            && output.json()["nodes"].as_array().is_some_and(|all| all.iter().all(has_caught_up))
    });
}

/// Each node has 2 s, an eighth of the timeout, to answer.
#[test]
#[expect(clippy::disallowed_methods, reason = "it measures how long a command takes")]
fn status_asks_all_nodes_at_the_same_time() {
    let nodes = Nodes::start(1);
    nodes.ask(&["put", "k", "v"]).ok();
    let silent = || TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let silent: Vec<TcpListener> = (0..8).map(|_| silent()).collect();
    let address = |listener: &TcpListener| listener.local_addr().expect("it is bound").to_string();
    let all: Vec<String> = silent.iter().map(address).chain([nodes.nodes()]).collect();
    let began_at = Instant::now();
    nodes.quorate(&["status", "--timeout", "16s", "--nodes", &all.join(",")]).ok();
    let elapsed = began_at.elapsed();
    assert!(elapsed < Duration::from_secs(12), "{elapsed:?} for eight silent nodes");
}

/// Returns the last term in which the node of this log led.
fn term_of_leader(log: &str) -> u64 {
    let line = log.lines().rev().find(|line| line.contains("role=Leader "));
    let term = line.and_then(|line| line.split_once("term=t")?.1.split(' ').next()?.parse().ok());
    term.unwrap_or_else(|| panic!("the node did not lead: {log}"))
}

#[test]
fn a_leader_that_is_stopped_transfers_its_leadership() {
    let mut nodes = Nodes::start(3);
    let leader = nodes.leader();
    nodes.ask(&["put", "k", "v"]).ok();
    nodes.signal(leader, "TERM");
    assert!(nodes.ended(leader).success(), "{}", nodes.log(leader));
    let next = nodes.leader();
    assert_ne!(next, leader);
    // The new leader did not wait for an election timeout.
    let log = nodes.log(next);
    let (before, after) = (term_of_leader(&nodes.log(leader)), term_of_leader(&log));
    assert!(after > before, "term {before}: {log}");
    assert!(!log.contains(&format!("role=PreCandidate term=t{before} ")), "{log}");
    nodes.ask(&["put", "k", "w"]).ok();
    nodes.serve(leader);
    nodes.has(&[leader], "k", "w");
    let other = (1..=3).find(|id| *id != nodes.leader()).expect("there are three");
    let output = nodes.ask(&["transfer", &other.to_string(), "--json"]);
    assert_eq!(output.json()["leader"], other, "{output:?}");
}

/// The node answers the leader, although no flag names the leader's address.
#[test]
fn a_node_joins_through_a_member_that_does_not_lead() {
    let mut nodes = Nodes::start(3);
    nodes.make_room(4);
    nodes.ask(&["put", "k", "v"]).ok();
    let leader = nodes.leader();
    let other = (1..=3).find(|id| *id != leader).expect("there are three");
    let (listen, member) = (nodes.address(4).to_string(), nodes.listed(&[other]));
    nodes.serve_with(4, &["--listen", &listen, "--join", &member]);
    nodes.ask(&["members", "add", &nodes.listed(&[4])]).ok();
    assert_eq!(nodes.leader(), leader, "the leader did not change");
    nodes.has(&[4], "k", "v");
}

#[test]
fn an_address_that_would_cut_off_a_member_is_rejected() {
    let nodes = Nodes::start(3);
    nodes.ask(&["put", "k", "v"]).ok();
    let taken = format!("4={}", nodes.address(2));
    nodes.ask(&["members", "add", &taken]).fails_with(5, "is the address of n2");
    nodes.ask(&["members", "replace", "3", &taken]).fails_with(5, "is the address of n2");
    let mapped = format!("4=[::ffff:127.0.0.1]:{}", nodes.address(2).port());
    nodes.ask(&["members", "add", &mapped]).fails_with(5, "is the address of n2");
    let same = ["members", "replace", "2", "2=127.0.0.1:1"];
    nodes.ask(&same).fails_with(2, "the new node has the id of the one that it replaces, 2: ");
    let wrong = ["members", "add", "2=127.0.0.1:1"];
    nodes.ask(&wrong).fails_with(5, "use another id for another node");
    assert_eq!(nodes.ask(&["status"]).code, 0);
}

#[test]
fn members_are_added_promoted_and_removed() {
    let mut nodes = Nodes::start(3);
    nodes.make_room(5);
    nodes.ask(&["put", "k", "v"]).ok();
    let members = nodes.listed(&[1, 2, 3]);
    for id in [4, 5] {
        let listen = nodes.address(id).to_string();
        nodes.serve_with(id, &["--listen", &listen, "--join", &members]);
    }
    let text = nodes.ask(&["members", "add", &nodes.listed(&[4])]).ok();
    assert!(text.starts_with("members: {n1") && text.contains("n4"), "{text}");
    nodes.has(&[4], "k", "v");
    let text = nodes.ask(&["members", "add", &nodes.listed(&[5]), "--learner"]).ok();
    assert!(text.contains("learners {n5}"), "{text}");
    let text = nodes.ask(&["members", "promote", "5"]).ok();
    assert!(!text.contains("learners"), "{text}");
    let removed = nodes.leader();
    let text = nodes.ask(&["members", "remove", &removed.to_string()]).ok();
    assert!(!text.contains(&format!("n{removed}")), "{text}");
    nodes.ask(&["put", "k", "w"]).ok();
    nodes.has(&[4, 5], "k", "w");
    nodes.ask(&["members", "promote", "99"]).fails_with(5, "n99 is not a member");
    // Nothing listens there, so the change waits until it is cancelled.
    let absent = format!("6={}", free_address());
    nodes.ask(&["members", "add", &absent, "--timeout", "300ms"]).fails_with(4, "members cancel");
    let text = nodes.ask(&["members", "cancel"]).ok();
    assert!(text.contains("learners {n6}"), "{text}");
}

#[test]
fn each_error_has_its_exit_code() {
    let mut nodes = Nodes::start(3);
    let large = nodes.root().join("large");
    std::fs::write(&large, vec![b'x'; 2 << 20]).expect("the disk has space");
    let mut put = crate::cli::command();
    put.args(["put", "k", "-", "--nodes", &nodes.nodes()]);
    put.stdin(std::fs::File::open(&large).expect("it was written"));
    CommandOutput::run(&mut put).fails_with(5, "the request was rejected");
    let leader = nodes.leader();
    (1..=3).filter(|id| *id != leader).for_each(|id| nodes.kill(id));
    // The leader has appended the entry, and it is unknown whether it will be committed.
    let other = if leader == 1 { "2" } else { "1" };
    let remove = ["members", "remove", other, "--timeout", "300ms"];
    let output = nodes.ask(&remove);
    output.fails_with(4, "the outcome is unknown");
    output.fails_with(4, "`quorate members cancel`");
    nodes.kill(leader);
    nodes.ask(&["put", "k", "v", "--timeout", "300ms"]).fails_with(3, "was not executed");
    nodes.ask(&["get", "k", "--timeout", "300ms"]).fails_with(3, "is not reachable");
    nodes.ask(&["status", "--timeout", "300ms"]).fails_with(3, "is not reachable");
}

#[test]
fn a_benchmark_reports_latencies() {
    let mut nodes = Nodes::none(1);
    let members = nodes.listed(&[1]);
    nodes.bootstrap_with(1, &["--members", &members, "--busy-poll-max", "100us"]);
    // A leader is elected before the time of the benchmark starts.
    nodes.ask(&["put", "k", "v"]).ok();
    let load = ["--clients", "2", "--time", "1s", "--reads", "50", "--keys", "3", "--size", "7"];
    let output = nodes.ask(&[&["bench", "--json"], &load[..]].concat());
    assert_eq!(output.code, 0, "{output:?}");
    let results = output.json();
    for kind in ["writes", "reads"] {
        let one = &results[kind];
        assert!(one["answered"].as_u64() > Some(0), "{results}");
        assert!(one["p50_us"].as_u64() <= one["max_us"].as_u64(), "{results}");
    }
    assert_eq!(results["failed"], 0, "{results}");
    let at = nodes.address(1).to_string();
    let pairs = nodes.quorate(&["scan", "bench/", "--at", &at, "--nodes", &at]).ok();
    let values: Vec<usize> =
        pairs.lines().filter_map(|pair| Some(pair.split_once('\t')?.1.len())).collect();
    assert!((1..=3).contains(&values.len()) && values.iter().all(|bytes| *bytes == 7), "{pairs}");
    let status = nodes.ask(&["status", "--changes"]).ok();
    let (_, changes) = status.split_once("\nrole changes, the latest first\n").expect("the title");
    assert!(changes.contains("  leader "), "{changes}");
    assert!(!nodes.ask(&["status"]).ok().contains("role changes"));
}

#[test]
fn certificates_decide_the_permissions() {
    let mut nodes = Nodes::none(1);
    let issued = nodes.quorate(&[
        "certs",
        "certs",
        "--nodes",
        "1",
        "--clients",
        "app",
        "--admins",
        "ops",
        "--days",
        "1",
    ]);
    assert!(issued.ok().contains("certs/node-1.pem"));
    for (flag, name) in [("--clients", "../app"), ("--admins", "the ops")] {
        let rejected = nodes.quorate(&["certs", "certs", flag, name]);
        rejected.fails_with(2, "ASCII letters, digits, `-`, `_` and `.`");
        rejected.fails_with(2, flag);
    }
    let expired = nodes.quorate(&["certs", "certs", "--nodes", "9", "--days", "0"]);
    expired.fails_with(2, "'--days <N>'");
    let (certs, members) = (nodes.root().join("certs"), nodes.listed(&[1]));
    let certs = certs.to_string_lossy().into_owned();
    nodes.serve_with(1, &["--members", &members, "--certs", &certs]);
    let at = nodes.address(1).to_string();
    let ask = |words: &[&str], principal: &str| {
        let rest = ["--nodes", &at, "--certs", "certs", "--as", principal];
        nodes.quorate(&words.iter().copied().chain(rest).collect::<Vec<_>>())
    };
    assert_eq!(ask(&["put", "k", "v"], "client/app").ok(), "ok\n");
    assert_eq!(ask(&["get", "k"], "admin/ops").ok(), "v\n");
    ask(&["snapshot", &at], "client/app").fails_with(10, "requires an administrator");
    ask(&["snapshot", &at], "admin/ops").ok();
    nodes.signal(1, "HUP");
    eventually("the node reloads its certificates", || {
        nodes.log(1).contains("certificates reloaded")
    });
    assert_eq!(ask(&["get", "k"], "client/app").ok(), "v\n");
    ask(&["get", "k"], "client/outsider").fails_with(2, "client-outsider.pem");
    // A client without a certificate is rejected.
    let output = nodes.quorate(&["get", "k", "--nodes", &at, "--timeout", "500ms"]);
    assert_eq!(output.code, 8, "{output:?}");
}
