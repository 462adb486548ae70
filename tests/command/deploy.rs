//! The files of `examples/deploy/`: the dashboard, the alerts and the unit; and how a node notifies
//! its service manager.

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use serde_json::Value;

use crate::http::address;
use crate::http_client::get;
use crate::nodes::{Nodes, eventually};

const ALERTS: &str = include_str!("../../examples/deploy/alerts.yml");
const DASHBOARD: &str = include_str!("../../examples/deploy/dashboard.json");
const UNIT: &str = include_str!("../../examples/deploy/quorate.service");
const METRICS: &str = include_str!("../../docs/METRICS.md");
const OPERATIONS: &str = include_str!("../../docs/OPERATIONS.md");

/// Returns the names of metrics in expressions, without the endings of a histogram's series.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit();
    let words = text.split(|c: char| !is_name(c)).filter(|word| word.starts_with("quorate_"));
    let series = ["_bucket", "_sum", "_count"];
    words.map(|word| series.iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word)).collect()
}

/// Returns the expressions of the dashboard's panels.
fn expressions(panels: &Value) -> Vec<&str> {
    let panels = panels.as_array().expect("a list of panels");
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.map(|target| target["expr"].as_str().expect("an expression")).collect()
}

#[test]
fn every_metric_of_the_alerts_and_the_dashboard_exists() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).expect("the dashboard is JSON");
    let expressions = expressions(&dashboard["panels"]);
    assert!(expressions.len() > 20, "{expressions:?}");
    let (dashboard, alerts) = (expressions.join("\n"), metrics_in(ALERTS));
    assert!(alerts.len() > 10, "{alerts:?}");
    let named = alerts.into_iter().chain(metrics_in(&dashboard)).chain(metrics_in(OPERATIONS));

    let mut nodes = Nodes::none(2);
    let members = nodes.listed(&[1, 2]);
    (1..=2).for_each(|id| nodes.serve_with(id, &["--members", &members, "--metrics", "0"]));
    let endpoints = [1, 2].map(|id| address(&nodes, id, "metrics"));
    eventually("the nodes have a leader", || {
        endpoints.iter().all(|endpoint| get(*endpoint, "/ready").status == 200)
    });
    let output = endpoints.map(|endpoint| get(endpoint, "/metrics").body).concat();
    for name in named {
        // The name of a counter's family lacks the ending.
        let family = name.strip_suffix("_total").unwrap_or(name);
        assert!(output.contains(&format!("# TYPE {family} ")), "no node has {name}");
        let documented = [format!("`{name}`"), format!("`{name}{{")];
        assert!(documented.iter().any(|text| METRICS.contains(text)), "METRICS.md lacks {name}");
    }
}

#[test]
fn every_alert_of_the_page_is_in_the_file() {
    let rows = OPERATIONS.lines().filter(|line| line.contains("quorate_") && line.contains("` | "));
    let expressions = rows.filter_map(|row| row.split('`').nth(1));
    let expressions: Vec<String> = expressions
        .filter(|text| text.contains(['=', '<', '>']))
        .map(|text| text.replace("\\|", "|"))
        .collect();
    assert!(expressions.len() >= 8, "{expressions:?}");
    for expression in expressions {
        assert!(ALERTS.contains(&format!("expr: {expression}\n")), "{expression}");
    }
}

/// Returns the value of a time or a number in the unit, in seconds.
fn unit_value(name: &str) -> u64 {
    let line = UNIT.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let text = line.unwrap_or_else(|| panic!("the unit has no {name}"));
    let (digits, unit) = text.split_at(text.find(char::is_alphabetic).unwrap_or(text.len()));
    let seconds = match unit {
        "" | "s" => 1,
        "min" => 60,
        "h" => 3600,
        other => panic!("{name} has the unit {other}"),
    };
    digits.parse::<u64>().expect("a number") * seconds
}

/// A start that fails at once may succeed later, for example once the network is up.
#[test]
fn the_unit_repeats_starts_for_ten_minutes() {
    let (pause, starts) = (unit_value("RestartSec"), unit_value("StartLimitBurst"));
    assert!(pause * starts >= 600, "only {} s", pause * starts);
    assert!(unit_value("StartLimitIntervalSec") > pause * starts, "the limit is never reached");
}

/// A node whose disk fails again and again after some minutes needs an operator.
#[test]
fn the_unit_does_not_restart_a_node_forever_that_runs_for_minutes_before_each_failure() {
    let (pause, starts) = (unit_value("RestartSec"), unit_value("StartLimitBurst"));
    let run = 20 * 60;
    assert!(
        unit_value("StartLimitIntervalSec") > (pause + run) * starts,
        "the limit is never reached"
    );
}

#[test]
fn a_node_notifies_its_service_manager() {
    let mut nodes = Nodes::unstarted(3);
    let path = nodes.root().join("notify");
    let socket = UnixDatagram::bind(&path).expect("the socket can be bound");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a valid time");
    nodes.serve_after(1, &format!("export NOTIFY_SOCKET={}", path.display()), &[]);
    let mut bytes = [0; 1024];
    let mut next = || {
        let count = socket.recv(&mut bytes).expect("the node notifies the socket");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    };
    // The node is ready although it has no leader: the other nodes do not run.
    let ready = next();
    assert!(ready.starts_with("READY=1\nSTATUS=n1 of cluster "), "{ready}");
    nodes.signal(1, "TERM");
    assert_eq!(next(), "STOPPING=1");
    assert!(nodes.ended(1).success());
}
