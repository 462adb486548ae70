//! A cluster in use: keys, members, and leaders that go.

use serde_json::Value;

use crate::nodes::{Nodes, eventually, leader};
use crate::told::Told;

impl Nodes {
    /// Runs a command of a client.
    pub(crate) fn ask(&self, words: &[&str]) -> Told {
        let nodes = self.nodes();
        let all: Vec<&str> = words.iter().copied().chain(["--nodes", &nodes]).collect();
        self.quorate(&all)
    }

    /// Who leads, once somebody does.
    pub(crate) fn leader(&self) -> u64 {
        leader(|words| self.ask(words))
    }

    /// What every one of these nodes has for the key, once it has something.
    pub(crate) fn has(&self, ids: &[u64], key: &str, value: &str) {
        for id in ids {
            let at = self.address(*id).to_string();
            let told = self.quorate(&["get", key, "--at", &at, "--nodes", &at]);
            assert_eq!(told.ok(), format!("{value}\n"), "at {id}");
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
    assert_eq!(nodes.ask(&["get", "b"]).code, 1);
    let told = nodes.ask(&["cas", "a/1", "--from", "two", "--to", "three"]);
    assert_eq!((told.code, told.out.as_str()), (1, "one\n"));
    assert_eq!(nodes.ask(&["cas", "a/1", "--from", "one", "--to", "two"]).ok(), "ok\n");
    assert_eq!(nodes.ask(&["cas", "a/2", "--to", "new"]).ok(), "ok\n");
    nodes.ask(&["put", "z", "last"]).ok();
    assert_eq!(nodes.ask(&["scan", "a/"]).ok(), "a/1\ttwo\na/2\tnew\n");
    assert_eq!(nodes.ask(&["scan", "--after", "a/1", "--limit", "1"]).ok(), "a/2\tnew\n");
    assert_eq!(nodes.ask(&["delete", "a/1"]).code, 0);
    assert_eq!(nodes.ask(&["delete", "a/1"]).code, 1);
    bytes_that_are_no_text_go_in_and_out(&nodes);
    what_cannot_be_printed_is_told(&nodes);
}

fn bytes_that_are_no_text_go_in_and_out(nodes: &Nodes) {
    let (key, value) = (r"x/\xff\x00", r"C:\\new\t\xc3");
    nodes.ask(&["put", "--escaped", key, value]).ok();
    assert_eq!(nodes.ask(&["scan", "x/"]).ok(), format!("{key}\t{value}\n"));
    assert_eq!(nodes.ask(&["get", "--escaped", key]).ok(), format!("{value}\n"));
    assert_eq!(nodes.ask(&["get", key]).code, 1, "without the flag a backslash is one");
    let told = nodes.ask(&["scan", "--escaped", r"x/\xff", "--json"]).json();
    assert_eq!(told["key"]["base64"], "eC//AA==");
    let cas = ["cas", "--escaped", key, "--from", value, "--to", r"a\n\\"];
    nodes.ask(&cas).ok();
    let differs = nodes.ask(&cas);
    assert_eq!((differs.code, differs.out.as_str()), (1, "a\\n\\\\\n"));
    assert_eq!(nodes.ask(&["get", "--escaped", key, "--raw"]).ok(), "a\n\\");
    assert_eq!(nodes.ask(&["get", "--escaped", key, "--json"]).json()["value"], "a\n\\");
    nodes.ask(&["delete", "--escaped", key]).ok();
    nodes.ask(&["put", "y", r"a\n"]).ok();
    assert_eq!(nodes.ask(&["scan", "y", "--raw"]).ok(), "y\ta\\n\n");
    nodes.ask(&["put", "--escaped", "y", r"\y"]).refused(2, r"`\y` is no escape");
}

/// A change stands whether or not that can be written; an answer that cannot is none.
fn what_cannot_be_printed_is_told(nodes: &Nodes) {
    let at = nodes.nodes();
    let to_nowhere = |words: &[&str]| {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let mut command = crate::told::command();
        command.args(words).args(["--nodes", &at]).stdout(full.expect("there is such a device"));
        Told::of(&mut command)
    };
    if std::path::Path::new("/dev/full").exists() {
        let add = ["members", "add", "9=127.0.0.1:1", "--learner"];
        for change in [&["put", "z", "full"][..], &["snapshot", &at], &add] {
            to_nowhere(change).refused(0, "warning: it was done, and cannot be told: the output");
        }
        to_nowhere(&["cas", "z", "--to", "x"]).refused(1, "cannot be told");
        for question in [&["get", "z"][..], &["scan"], &["status"]] {
            to_nowhere(question).refused(2, "error: the output: ");
        }
    }
    assert_eq!(nodes.ask(&["get", "z"]).code, 0);
}

#[test]
fn the_others_go_on_without_the_leader_and_it_comes_back_with_everything() {
    let mut nodes = Nodes::start(3);
    nodes.ask(&["put", "before", "1"]).ok();
    let leader = nodes.leader();
    nodes.kill(leader);
    nodes.ask(&["put", "after", "2"]).ok();
    let told = nodes.ask(&["status"]);
    assert_eq!(told.code, 1, "{told:?}");
    let silent = format!("n{leader}    {}  silent", nodes.address(leader));
    assert!(told.out.contains(&silent), "{silent:?} is not in {told:?}");
    nodes.serve(leader);
    nodes.has(&[1, 2, 3], "before", "1");
    nodes.has(&[1, 2, 3], "after", "2");
    eventually("all are well", || {
        let told = nodes.ask(&["status", "--json"]);
        let lags = |node: &Value| node["lag"] == 0 && node["error"].is_null();
        told.code == 0 && told.json()["nodes"].as_array().is_some_and(|all| all.iter().all(lags))
    });
}

#[test]
fn a_node_that_is_ended_hands_over_and_ends_well() {
    let mut nodes = Nodes::start(3);
    let leader = nodes.leader();
    nodes.ask(&["put", "k", "v"]).ok();
    nodes.signal(leader, "TERM");
    assert!(nodes.ended(leader).success(), "{}", nodes.log(leader));
    let next = nodes.leader();
    assert_ne!(next, leader);
    // Who was handed the leadership did not wait for a silence.
    assert!(!nodes.log(next).contains("role=PreCandidate term=t1"), "{}", nodes.log(next));
    nodes.ask(&["put", "k", "w"]).ok();
    nodes.serve(leader);
    nodes.has(&[leader], "k", "w");
    let other = (1..=3).find(|id| *id != nodes.leader()).expect("there are three");
    let told = nodes.ask(&["transfer", &other.to_string(), "--json"]);
    assert_eq!(told.json()["leader"], other, "{told:?}");
}

#[test]
fn members_come_and_go() {
    let mut nodes = Nodes::start(3);
    nodes.make_room(5);
    nodes.ask(&["put", "k", "v"]).ok();
    let founders = nodes.listed(&[1, 2, 3]);
    for id in [4, 5] {
        let listen = nodes.address(id).to_string();
        nodes.serve_with(id, &["--listen", &listen, "--join", &founders]);
    }
    let text = nodes.ask(&["members", "add", &nodes.listed(&[4])]).ok();
    assert!(text.starts_with("members: {n1") && text.contains("n4"), "{text}");
    nodes.has(&[4], "k", "v");
    let text = nodes.ask(&["members", "add", &nodes.listed(&[5]), "--learner"]).ok();
    assert!(text.contains("learners {n5}"), "{text}");
    let text = nodes.ask(&["members", "promote", "5"]).ok();
    assert!(!text.contains("learners"), "{text}");
    let gone = nodes.leader();
    let text = nodes.ask(&["members", "remove", &gone.to_string()]).ok();
    assert!(!text.contains(&format!("n{gone}")), "{text}");
    nodes.ask(&["put", "k", "w"]).ok();
    nodes.has(&[4, 5], "k", "w");
    nodes.ask(&["members", "promote", "99"]).refused(5, "n99 is no member");
}

#[test]
fn trouble_has_its_exit_code() {
    let mut nodes = Nodes::start(3);
    let large = nodes.root().join("large");
    std::fs::write(&large, vec![b'x'; 2 << 20]).expect("there is room");
    let mut put = crate::told::command();
    put.args(["put", "k", "-", "--nodes", &nodes.nodes()]);
    put.stdin(std::fs::File::open(&large).expect("it was written"));
    Told::of(&mut put).refused(5, "nothing happened");
    let leader = nodes.leader();
    (1..=3).filter(|id| *id != leader).for_each(|id| nodes.kill(id));
    // The leader has it in its log, and nobody can tell whether it will count.
    let other = if leader == 1 { "2" } else { "1" };
    let remove = ["members", "remove", other, "--timeout", "300ms"];
    let told = nodes.ask(&remove);
    told.refused(4, "it may have happened");
    told.refused(4, "until `quorate members give-up`");
    nodes.kill(leader);
    nodes.ask(&["put", "k", "v", "--timeout", "300ms"]).refused(3, "nothing happened");
    nodes.ask(&["get", "k", "--timeout", "300ms"]).refused(3, "was not reached");
    nodes.ask(&["status", "--timeout", "300ms"]).refused(3, "was not reached");
}

#[test]
fn a_load_is_measured() {
    let nodes = Nodes::start(1);
    // Somebody leads before the time runs.
    nodes.ask(&["put", "k", "v"]).ok();
    let told = nodes.ask(&["bench", "--json", "--clients", "2", "--time", "1s", "--reads", "50"]);
    assert_eq!(told.code, 0, "{told:?}");
    let measured = told.json();
    for kind in ["writes", "reads"] {
        let one = &measured[kind];
        assert!(one["answered"].as_u64() > Some(0), "{measured}");
        assert!(one["p50_us"].as_u64() <= one["max_us"].as_u64(), "{measured}");
    }
    assert_eq!(measured["failed"], 0, "{measured}");
    assert!(!nodes.ask(&["scan", "bench/"]).ok().is_empty());
}

#[test]
fn certificates_decide_who_may_do_what() {
    let mut nodes = Nodes::none(1);
    let made = nodes.quorate(&[
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
    assert!(made.ok().contains("certs/node-1.pem"));
    let (certs, members) = (nodes.root().join("certs"), nodes.listed(&[1]));
    let certs = certs.to_string_lossy().into_owned();
    nodes.serve_with(1, &["--members", &members, "--certs", &certs]);
    let at = nodes.address(1).to_string();
    let ask = |words: &[&str], guest: &str| {
        let rest = ["--nodes", &at, "--certs", "certs", "--as", guest];
        nodes.quorate(&words.iter().copied().chain(rest).collect::<Vec<_>>())
    };
    assert_eq!(ask(&["put", "k", "v"], "client/app").ok(), "ok\n");
    assert_eq!(ask(&["get", "k"], "admin/ops").ok(), "v\n");
    ask(&["snapshot", &at], "client/app").refused(5, "only an administrator");
    ask(&["snapshot", &at], "admin/ops").ok();
    nodes.signal(1, "HUP");
    eventually("it reads them", || nodes.log(1).contains("certificates are read anew"));
    assert_eq!(ask(&["get", "k"], "client/app").ok(), "v\n");
    ask(&["get", "k"], "client/nobody").refused(2, "client-nobody.pem");
    // Whoever shows no certificate is not spoken to.
    let told = nodes.quorate(&["get", "k", "--nodes", &at, "--timeout", "500ms"]);
    assert_eq!(told.code, 3, "{told:?}");
}
