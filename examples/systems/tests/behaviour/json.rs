//! `--json`: each line of the output of every system is an object with the data of the text.

use std::slice;

use serde_json::{Value, json};

use crate::support::{Cluster, Setup};

/// Runs a client command with `--json` and returns the objects that it prints.
fn objects(cluster: &Cluster, words: &[&str]) -> Vec<Value> {
    let output = cluster.run(&[words, &["--json"]].concat()).ok();
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    output.lines().map(parse).collect()
}

/// Asserts that the status has an object for each member, and that exactly one of them leads.
fn assert_status(status: &[Value], members: usize) {
    let members: Vec<&Value> = status[..members].iter().collect();
    let leaders = members.iter().filter(|member| member["role"] == "leader").count();
    assert_eq!(leaders, 1, "{status:?}");
    for (member, id) in members.iter().zip(1..) {
        assert_eq!((&member["node"], &member["is_well"]), (&json!(id), &json!(true)), "{status:?}");
        assert!(member["address"].is_string() && member["term"].is_u64(), "{status:?}");
    }
}

#[test]
fn the_directory_prints_objects() {
    let cluster = Cluster::start(env!("CARGO_BIN_EXE_directory"), 2);
    assert!(objects(&cluster, &["connect", "ann", "10.0.0.1:1"]).is_empty());
    assert_eq!(
        objects(&cluster, &["lookup", "ann"]),
        [json!({ "user": "ann", "address": "10.0.0.1:1" })]
    );
    let unknown = cluster.run(&["lookup", "bob", "--json"]);
    assert_eq!(unknown.json(), json!({ "user": "bob", "address": null }));
    unknown.fails_with(1, "error: ");
    assert_eq!(objects(&cluster, &["next"]), [json!({ "number": 1 })]);
    assert_eq!(objects(&cluster, &["disconnect", "ann"]), [json!({ "was_at": "10.0.0.1:1" })]);
    cluster.wait_until_healthy();
    assert_status(&objects(&cluster, &["status"]), 2);
}

#[test]
fn the_coordinator_prints_objects() {
    let cluster = Cluster::start(env!("CARGO_BIN_EXE_coordinator"), 3);
    cluster.run(&["put", "k", "a \"b\""]).ok();
    assert_eq!(objects(&cluster, &["get", "k"]), [json!({ "value": "a \"b\"" })]);
    assert_eq!(objects(&cluster, &["list"]), [json!({ "key": "k", "value": "a \"b\"" })]);
    assert_eq!(objects(&cluster, &["delete", "k"]), [json!({ "value": "a \"b\"" })]);
    cluster.wait_until_healthy();
    assert_status(&objects(&cluster, &["status"]), 3);
}

#[test]
fn the_orders_system_prints_objects() {
    let cluster = Cluster::start(env!("CARGO_BIN_EXE_orders"), 3);
    let mut record = json!({ "customer": "ann", "number": 1, "engineer": "eve", "admin": "adam" });
    assert_eq!(objects(&cluster, &["place", "ann", "eve", "adam"]), [record.clone()]);
    record["may_be_stale"] = json!(false);
    let linearizable = ["--level", "linearizable"];
    assert_eq!(objects(&cluster, &[&["show", "ann", "1"], &linearizable[..]].concat()), [record]);
    let last = json!({ "customer": "ann", "last": 1, "may_be_stale": false });
    assert_eq!(
        objects(&cluster, &[&["last", "ann"], &linearizable[..]].concat()),
        slice::from_ref(&last)
    );
    assert_eq!(objects(&cluster, &[&["list"], &linearizable[..]].concat()), [last]);
    let local = objects(&cluster, &["last", "ann", "--level", "local", "--at", &leader(&cluster)]);
    assert_eq!(local, [json!({ "customer": "ann", "last": 1, "may_be_stale": true })]);
}

/// Returns the address of the leader.
fn leader(cluster: &Cluster) -> String {
    cluster.addresses(&[cluster.leader()])
}

#[test]
fn the_chat_prints_objects() {
    let cluster = Cluster::start(env!("CARGO_BIN_EXE_chat"), 3);
    for words in [&["create", "ann"], &["create", "bob"], &["login", "ann"]] {
        assert!(objects(&cluster, words).is_empty());
    }
    assert_eq!(objects(&cluster, &["send", "bob", "hello", "bob"]), [json!({ "number": 1 })]);
    let users = ["ann", "bob"].map(|user| json!({ "user": user }));
    assert_eq!(objects(&cluster, &["list"]), users);
    let accounts = [
        json!({ "user": "ann", "is_logged_in": true, "waiting": [], "history": 1 }),
        json!({ "user": "bob", "is_logged_in": false, "waiting": [1], "history": 0 }),
    ];
    assert_eq!(objects(&cluster, &["dump"]), accounts);
    let message = json!({ "number": 1, "from": "ann", "to": "bob", "text": "hello bob" });
    assert_eq!(objects(&cluster, &["history"]), slice::from_ref(&message));
    cluster.run(&["login", "bob"]).ok();
    assert_eq!(objects(&cluster, &["receive"]), [message]);
    cluster.wait_until_healthy();
    let status = objects(&cluster, &["status"]);
    assert_status(&status, 3);
    assert_eq!(status[3..], [json!({ "mode": "majority" })]);
}

#[test]
fn the_courier_prints_objects() {
    let cluster = Setup { certs: true, ..Setup::of(env!("CARGO_BIN_EXE_courier"), 3) }.start();
    for words in [&["create", "ann"], &["create", "bob"], &["login", "ann"]] {
        cluster.run(words).ok();
    }
    let fast = &objects(&cluster, &["send", "bob", "--fast", "hello"])[0];
    assert_eq!(fast["may_be_lost"], json!(true), "{fast}");
    let leader = cluster.leader().to_string();
    let users = objects(&cluster, &["list", "--at", &leader]);
    assert_eq!(users[0]["at"], json!(leader), "{users:?}");
    assert!(users[0]["age_max_ms"].is_u64(), "{users:?}");
    assert_eq!(users[1..], ["ann", "bob"].map(|user| json!({ "user": user })));
}
