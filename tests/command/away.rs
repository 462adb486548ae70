//! A node that was away for longer than the others keep their logs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::nodes::{Nodes, eventually, leader};

/// Longer than an answer takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the node counts under this name, which has labels, in its life of this number.
fn counted(nodes: &Nodes, id: u64, life: usize, name: &str) -> u64 {
    let mut address = None;
    eventually("it says where it counts", || {
        let log = nodes.log(id);
        let lines = log.lines().filter_map(|line| line.strip_prefix("metrics at http://"));
        address = lines.map(|line| line.trim_end_matches('/').to_owned()).nth(life - 1);
        address.is_some()
    });
    let address: SocketAddr = address.and_then(|text| text.parse().ok()).expect("an address");
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("it is open");
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it takes a request");
    let mut told = String::new();
    stream.read_to_string(&mut told).expect("it answers in text");
    let number = told.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    number.unwrap_or_else(|| panic!("{name} is not in {told}"))
}

#[test]
fn a_node_that_was_away_gets_a_snapshot() {
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
    let leads = leader(|words| ask(&nodes, words));
    let away = (1..=3).find(|id| *id != leads).expect("there are three");
    nodes.kill(away);
    let found = nodes.quorate(&["--json", "inspect", &format!("d{away}")]).json();
    let last = found["last"]["index"].as_u64().expect("it has a log");
    for id in (1..=3).filter(|id| *id != away) {
        eventually("what the node lacks is forgotten", || {
            ask(&nodes, &["bench", "--time", "300ms", "--clients", "4"]).ok();
            counted(&nodes, id, 1, "quorate_log_index{point=\"base\"}") > last
        });
    }
    ask(&nodes, &["put", "k", "w"]).ok();
    nodes.serve_with(away, &words);
    let installed = "quorate_snapshots_total{step=\"installed\"}";
    eventually("it is given one", || counted(&nodes, away, 2, installed) > 0);
    nodes.has(&[away], "k", "w");
}
