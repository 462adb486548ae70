//! `quorate lin-kv` in a test harness of processes: the harness is the network, which loses,
//! duplicates, delays and partitions messages; nodes are killed and paused; and the history is
//! linearizable.
//!
//! `QUORATE_BENCH_SECONDS` is the duration of the faults; 8 seconds unless it is set.

#![expect(clippy::disallowed_methods, reason = "processes and their network are real")]

mod bench;
mod clients;

use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use quorate_checker::budget::Budget;
use quorate_checker::check::check;
use quorate_checker::models::Kv;
use quorate_checker::verdict::Verdict;
use rand::RngExt;
use serde_json::{Value, json};

use bench::{NetworkFaults, SNAPSHOT_ENTRIES, TestBench};
use clients::{CLIENTS, Clients};

const NODES: [&str; 3] = ["n1", "n2", "n3"];

/// A timeout that is longer than any operation of this test.
const TIMEOUT: Duration = Duration::from_secs(60);

fn seconds() -> Duration {
    let seconds = env::var("QUORATE_BENCH_SECONDS").map(|text| text.parse().expect("a number"));
    Duration::from_secs(seconds.unwrap_or(8))
}

/// Injects a random fault into a node or the network for a while.
fn inject_fault(bench: &TestBench) {
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
        2 => bench.inject(NetworkFaults { isolated: Some(node), ..NetworkFaults::default() }, span),
        3 => bench.inject(
            NetworkFaults { outbound_blocked: Some(node), ..NetworkFaults::default() },
            span,
        ),
        _ => bench
            .inject(NetworkFaults { lost: 0.2, duplicated: 0.2, ..NetworkFaults::default() }, span),
    }
    sleep(Duration::from_millis(rng.random_range(0..1000)));
}

/// Executes `times` writes through this node, to a key that no client uses.
fn write(bench: &TestBench, node: &str, times: u64, number: &mut u64) {
    let (mut written, end) = (0, Instant::now() + TIMEOUT);
    while written < times {
        assert!(
            Instant::now() < end,
            "only {written} of {times} writes through {node}; {}",
            bench.logs()
        );
        *number += 1;
        let body = json!({ "type": "write", "msg_id": *number, "key": "lagging", "value": 0 });
        let answers = bench.client("c-lagging");
        bench.send("c-lagging", node, body);
        // The node that the request was forwarded to may be dead.
        let answer = answers.recv_timeout(Duration::from_secs(1)).unwrap_or_default();
        let is_answer = answer["body"]["in_reply_to"] == *number;
        written += u64::from(is_answer && answer["body"]["type"] == "write_ok");
    }
}

/// Keeps a node down until the others have compacted the entries that it lacks, then requires it
/// for a quorum, so that it must install a snapshot.
fn a_lagging_node_installs_a_snapshot(bench: &TestBench) {
    let [one, other, lagging] = NODES;
    bench.kill(lagging);
    let last = bench.inspect(lagging)["last"]["index"].as_u64().expect("a last index");
    let (mut number, end) = (0, Instant::now() + TIMEOUT);
    for name in [one, other] {
        let mut base = 0;
        while base <= last {
            assert!(
                Instant::now() < end,
                "{name} has compacted its log through {base}, not through {last}"
            );
            write(bench, name, 3 * u64::from(SNAPSHOT_ENTRIES), &mut number);
            bench.kill(name);
            base = bench.inspect(name)["base"].as_u64().expect("a base index");
            bench.start(name);
        }
    }
    bench.kill(one);
    bench.start(lagging);
    write(bench, other, 1, &mut number);
    bench.start(one);
}

#[test]
fn histories_are_linearizable_under_node_and_network_faults() {
    let bench = TestBench::new();
    NODES.iter().for_each(|node| bench.start(node));
    let clients = Clients::start(&bench, &NODES);
    let end = Instant::now() + seconds();
    while Instant::now() < end {
        inject_fault(&bench);
    }
    clients.until_all_write();
    a_lagging_node_installs_a_snapshot(&bench);
    let history = clients.end();
    let done = history.operations().iter().filter(|operation| operation.ret().is_some()).count();
    assert!(done >= CLIENTS, "{done} operations ended");
    let verdict = check(&Kv::default(), &history, &Budget::default());
    assert!(matches!(verdict, Verdict::Linearizable), "{verdict:?}");
}

#[test]
fn a_single_node_follows_the_protocol() {
    let bench = TestBench::new();
    bench.members(&["n1"]);
    bench.start("n1");
    let ask = |body: Value| bench.ask("c7", "n1", body);
    let summary = |body: Value| {
        let answer = ask(body);
        (answer["type"].as_str().map(str::to_owned), answer["code"].as_u64())
    };
    let success = |kind: &str| (Some(kind.to_owned()), None);
    let error = |code: u64| (Some("error".to_owned()), Some(code));
    assert_eq!(summary(json!({ "type": "read", "msg_id": 1, "key": 0 })), error(20));
    assert_eq!(
        summary(json!({ "type": "cas", "msg_id": 2, "key": 0, "from": 1, "to": 2 })),
        error(20)
    );
    let write = json!({ "type": "write", "msg_id": 3, "key": 0, "value": [1, "x"] });
    assert_eq!(summary(write.clone()), success("write_ok"));
    assert_eq!(
        summary(json!({ "type": "cas", "msg_id": 4, "key": 0, "from": 1, "to": 2 })),
        error(22)
    );
    let swap = json!({ "type": "cas", "msg_id": 5, "key": 0, "from": [1, "x"], "to": 2 });
    assert_eq!(summary(swap), success("cas_ok"));
    assert_eq!(summary(write), success("write_ok"), "a duplicate request is answered again");
    assert_eq!(
        ask(json!({ "type": "read", "msg_id": 6, "key": 0 }))["value"],
        2,
        "a duplicate request is not executed again"
    );
    assert_eq!(summary(json!({ "type": "write", "msg_id": 7, "key": 0 })), error(12));
    assert_eq!(summary(json!({ "type": "write", "key": 0, "value": 1 })), error(12));
    assert_eq!(summary(json!({ "type": "txn", "msg_id": 8 })), error(10));
    assert_eq!(ask(json!({ "type": "echo", "msg_id": 9, "echo": "e" }))["echo"], "e");
    bench.kill("n1");
    bench.start("n1");
    assert_eq!(
        ask(json!({ "type": "read", "msg_id": 10, "key": 0 }))["value"],
        2,
        "the value survives a restart"
    );
}

#[test]
fn a_missing_data_directory_is_an_error() {
    let output = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .arg("lin-kv")
        .env_remove("QUORATE_DATA_DIR")
        .stdin(Stdio::null())
        .output()
        .expect("the process runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("QUORATE_DATA_DIR"));
}

#[test]
fn a_node_runs_although_standard_error_cannot_be_written() {
    let Ok(full) = File::options().write(true).open("/dev/full") else { return };
    let root = tempfile::tempdir().expect("a temporary directory can be created");
    let mut node = Command::new(env!("CARGO_BIN_EXE_quorate"))
        .arg("lin-kv")
        .env("QUORATE_DATA_DIR", root.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(full)
        .spawn()
        .expect("the process runs");
    let mut input = node.stdin.take().expect("a pipe");
    let body = json!({ "type": "init", "msg_id": 1, "node_id": "n1", "node_ids": ["n1"] });
    let init = json!({ "src": "c1", "dest": "n1", "body": body });
    // The node logs the first line, which is not text.
    input.write_all(b"\xff\n").expect("the node reads");
    writeln!(input, "{init}").expect("the node reads");
    let output = BufReader::new(node.stdout.take().expect("a pipe"));
    let first = output.lines().map_while(Result::ok).next();
    drop(input);
    let ended = node.wait().expect("the process runs");
    assert!(first.is_some_and(|line| line.contains("init_ok")), "{ended:?}");
    assert_eq!(ended.code(), Some(0));
}
