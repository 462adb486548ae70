//! A node that was down until the others had compacted the entries that it lacks.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::nodes::{Nodes, eventually, leader};

/// A timeout that is longer than any reply takes.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);

/// Returns the metric with this name and labels, of the node's `start`-th start (1 is the first).
fn counted(nodes: &Nodes, id: u64, start: usize, name: &str) -> u64 {
    let mut address = None;
    eventually("the node logs its metrics address", || {
        let log = nodes.log(id);
        let lines = log.lines().filter_map(|line| line.strip_prefix("metrics at http://"));
        address = lines.map(|line| line.trim_end_matches('/').to_owned()).nth(start - 1);
        address.is_some()
    });
    let address: SocketAddr = address.and_then(|text| text.parse().ok()).expect("an address");
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(REPLY_TIMEOUT)).expect("it is open");
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it takes a request");
    let mut output = String::new();
    stream.read_to_string(&mut output).expect("it answers in text");
    let number = output.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    number.unwrap_or_else(|| panic!("{name} is not in {output}"))
}

#[test]
fn a_node_that_missed_compacted_entries_installs_a_snapshot() {
    let mut nodes = Nodes::none(3);
    let members = nodes.listed(&[1, 2, 3]);
    let words = ["--members", &members, "--metrics", "0"];
    (1..=3).for_each(|id| nodes.serve_with(id, &words));
    let all: Vec<String> = (1..=3).map(|id| nodes.address(id).to_string()).collect();
    let all = all.join(",");
    let ask = |nodes: &Nodes, words: &[&str]| {
        nodes.quorate(&[words, &["--nodes", all.as_str()]].concat())
    };
    ask(&nodes, &["put", "k", "v"]).ok();
    let leader = leader(|words| ask(&nodes, words));
    let down = (1..=3).find(|id| *id != leader).expect("two other nodes");
    nodes.kill(down);
    let found = nodes.quorate(&["--json", "inspect", &format!("d{down}")]).json();
    let last = found["last"]["index"].as_u64().expect("it has a log");
    for id in (1..=3).filter(|id| *id != down) {
        eventually("the log is compacted", || {
            ask(&nodes, &["bench", "--time", "300ms", "--clients", "4"]).ok();
            counted(&nodes, id, 1, "quorate_log_index{point=\"base\"}") > last
        });
    }
    ask(&nodes, &["put", "k", "w"]).ok();
    nodes.serve_with(down, &words);
    let installed = "quorate_snapshots_total{step=\"installed\"}";
    eventually("the node installs a snapshot", || counted(&nodes, down, 2, installed) > 0);
    nodes.has(&[down], "k", "w");
}
