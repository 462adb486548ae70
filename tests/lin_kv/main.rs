//! `quorate lin-kv`, as a test bench of processes runs it: the bench is the network, which loses,
//! repeats, delays and parts; nodes are killed and stopped; and the history is linearizable.
//!
//! `QUORATE_BENCH_SECONDS` is how long it lasts; a few, unless it is set.

#![expect(clippy::disallowed_methods, reason = "processes and their network are real")]

mod bench;
mod clients;

use std::env;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use quorate_checker::budget::Budget;
use quorate_checker::check::check;
use quorate_checker::models::Kv;
use quorate_checker::verdict::Verdict;
use rand::RngExt;
use serde_json::{Value, json};

use crate::bench::{Bench, SNAPSHOT_ENTRIES, Weather};
use crate::clients::{CLIENTS, Clients};

const NODES: [&str; 3] = ["n1", "n2", "n3"];

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

fn seconds() -> Duration {
    let seconds = env::var("QUORATE_BENCH_SECONDS").map(|text| text.parse().expect("a number"));
    Duration::from_secs(seconds.unwrap_or(8))
}

/// Does something bad to the nodes for a while, and undoes it.
fn hurt(bench: &Bench) {
    let mut rng = rand::rng();
    let node = NODES[rng.random_range(0..NODES.len())];
    let span = Duration::from_millis(rng.random_range(100..1500));
    match rng.random_range(0..5) {
        0 => {
            bench.kill(node);
            sleep(span);
            bench.start(node);
        }
        1 => {
            bench.signal(node, "-STOP");
            sleep(span);
            bench.signal(node, "-CONT");
        }
        2 => bench.weather(Weather { alone: Some(node), ..Weather::default() }, span),
        3 => bench.weather(Weather { mute: Some(node), ..Weather::default() }, span),
        _ => bench.weather(Weather { lost: 0.2, twice: 0.2, ..Weather::default() }, span),
    }
    sleep(Duration::from_millis(rng.random_range(0..1000)));
}

/// Writes so often through this node; to a key that no client asks for.
fn write(bench: &Bench, node: &str, times: u64, number: &mut u64) {
    let (mut written, end) = (0, Instant::now() + PATIENCE);
    while written < times {
        assert!(
            Instant::now() < end,
            "{written} of {times} are written through {node}; {}",
            bench.logs()
        );
        *number += 1;
        let body = json!({ "type": "write", "msg_id": *number, "key": "away", "value": 0 });
        let heard = bench.client("c-away");
        bench.say("c-away", node, body);
        // Whom it was passed on to may be dead.
        let answer = heard.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
        let is_its = answer["body"]["in_reply_to"] == *number;
        written += u64::from(is_its && answer["body"]["type"] == "write_ok");
    }
}

/// Nobody has the entries any more that the last node lacks, and then nobody can write without it:
/// it was given a snapshot.
fn one_is_away_until_the_others_have_forgotten(bench: &Bench) {
    let [one, other, away] = NODES;
    bench.kill(away);
    let last = bench.inspect(away)["last"]["index"].as_u64().expect("it has a log");
    let (mut number, end) = (0, Instant::now() + PATIENCE);
    for name in [one, other] {
        let mut base = 0;
        while base <= last {
            assert!(Instant::now() < end, "{name} keeps its log after {base}, and not {last}");
            write(bench, name, 3 * u64::from(SNAPSHOT_ENTRIES), &mut number);
            bench.kill(name);
            base = bench.inspect(name)["base"].as_u64().expect("its log begins somewhere");
            bench.start(name);
        }
    }
    bench.kill(one);
    bench.start(away);
    write(bench, other, 1, &mut number);
    bench.start(one);
}

#[test]
fn what_clients_see_is_linearizable_whatever_becomes_of_nodes_and_network() {
    let bench = Bench::new();
    NODES.iter().for_each(|node| bench.start(node));
    let clients = Clients::start(&bench, &NODES);
    let end = Instant::now() + seconds();
    while Instant::now() < end {
        hurt(&bench);
    }
    clients.until_all_write();
    one_is_away_until_the_others_have_forgotten(&bench);
    let history = clients.end();
    let done = history.operations().iter().filter(|operation| operation.ret().is_some()).count();
    assert!(done >= CLIENTS, "{done} operations ended");
    let verdict = check(&Kv::default(), &history, &Budget::default());
    assert!(matches!(verdict, Verdict::Linearizable), "{verdict:?}");
}

#[test]
fn one_node_alone_answers_by_the_protocol() {
    let bench = Bench::new();
    bench.members(&["n1"]);
    bench.start("n1");
    let ask = |body: Value| bench.ask("c7", "n1", body);
    let told = |body: Value| {
        let answer = ask(body);
        (answer["type"].as_str().map(str::to_owned), answer["code"].as_u64())
    };
    let said = |kind: &str| (Some(kind.to_owned()), None);
    let no = |code: u64| (Some("error".to_owned()), Some(code));
    assert_eq!(told(json!({ "type": "read", "msg_id": 1, "key": 0 })), no(20));
    assert_eq!(told(json!({ "type": "cas", "msg_id": 2, "key": 0, "from": 1, "to": 2 })), no(20));
    let write = json!({ "type": "write", "msg_id": 3, "key": 0, "value": [1, "x"] });
    assert_eq!(told(write.clone()), said("write_ok"));
    assert_eq!(told(json!({ "type": "cas", "msg_id": 4, "key": 0, "from": 1, "to": 2 })), no(22));
    let swap = json!({ "type": "cas", "msg_id": 5, "key": 0, "from": [1, "x"], "to": 2 });
    assert_eq!(told(swap), said("cas_ok"));
    assert_eq!(told(write), said("write_ok"), "a repeated request is answered again");
    assert_eq!(ask(json!({ "type": "read", "msg_id": 6, "key": 0 }))["value"], 2, "and not done");
    assert_eq!(told(json!({ "type": "write", "msg_id": 7, "key": 0 })), no(12));
    assert_eq!(told(json!({ "type": "write", "key": 0, "value": 1 })), no(12));
    assert_eq!(told(json!({ "type": "txn", "msg_id": 8 })), no(10));
    assert_eq!(ask(json!({ "type": "echo", "msg_id": 9, "echo": "e" }))["echo"], "e");
    bench.kill("n1");
    bench.start("n1");
    assert_eq!(ask(json!({ "type": "read", "msg_id": 10, "key": 0 }))["value"], 2, "it is kept");
}

#[test]
fn it_wants_to_know_where_its_state_is_kept() {
    let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .arg("lin-kv")
        .env_remove("QUORATE_DATA_DIR")
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("QUORATE_DATA_DIR"));
}
