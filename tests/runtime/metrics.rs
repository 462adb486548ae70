//! The metrics of running nodes, and their export.

use std::collections::{BTreeMap, BTreeSet};

use quorate::runtime::{LatencyMetric, Metrics};
use quorate::types::{NodeId, ReadLevel};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::cluster::{Cluster, eventually};

/// Every sample by its name and labels, and the type of every family.
struct Parsed {
    samples: BTreeMap<String, f64>,
    families: BTreeMap<String, String>,
}

/// Parses the OpenMetrics text; panics if it is invalid.
fn parse(text: &str) -> Parsed {
    let mut parsed = Parsed { samples: BTreeMap::new(), families: BTreeMap::new() };
    let mut family = String::new();
    let body = text.strip_suffix("# EOF\n").expect("the text ends with EOF");
    for line in body.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let [keyword, name, rest] = [(); 3].map(|()| words.next().expect("three words"));
            match keyword {
                "HELP" => name.clone_into(&mut family),
                "TYPE" => {
                    let twice = parsed.families.insert(name.to_owned(), rest.to_owned());
                    assert!(twice.is_none(), "{name} occurs twice");
                }
                "UNIT" => assert!(name.ends_with(&format!("_{rest}")), "{line}"),
                _ => panic!("no such comment: {line}"),
            }
            assert_eq!(name, family, "a family is contiguous");
        } else {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            assert!(name.starts_with(&*family), "{name} is not in the family {family}");
            let value = value.parse().unwrap_or_else(|_| panic!("{line}: not a number"));
            assert!(parsed.samples.insert(name.to_owned(), value).is_none(), "{name} occurs twice");
        }
    }
    parsed
}

fn sample(metrics: &Metrics, name: &str) -> f64 {
    let parsed = parse(&metrics.text());
    *parsed.samples.get(name).unwrap_or_else(|| panic!("{name} is not exported"))
}

#[tokio::test]
async fn events_are_counted() {
    let mut cluster = Cluster::start(3).await;
    for count in 1..=70 {
        assert_eq!(cluster.add(&format!("line {count}")).await, count);
    }
    let leader = cluster.leader().await;
    cluster.read(leader).await;
    let follower =
        [1, 2, 3].map(NodeId).into_iter().find(|id| *id != leader).expect("there are three nodes");
    cluster.handle(follower).propose(b"x").await.expect_err("the node does not lead");
    cluster
        .handle(follower)
        .read(ReadLevel::Local, b"")
        .await
        .expect("local reads need no other node");

    let metrics = cluster.handle(leader).metrics();
    let of = |name: &str| sample(&metrics, &format!("quorate_{name}"));
    eventually("every entry is applied, and a snapshot taken", async || {
        of("log_index{point=\"applied\"}") >= 70.0 && of("snapshots_total{step=\"taken\"}") >= 1.0
    })
    .await;
    assert!(of("proposals_total{outcome=\"done\"}") >= 70.0);
    assert_eq!(of("proposal_seconds_count"), of("proposals_total{outcome=\"done\"}"));
    assert!(of("reads_total{level=\"linearizable\",outcome=\"answered\"}") >= 1.0);
    assert_eq!(of("role{role=\"leader\"}"), 1.0);
    assert_eq!(of("leader"), leader.0 as f64);
    assert!(of("term") >= 1.0);
    assert_eq!(of("members{kind=\"voter\"}"), 3.0);
    assert!(of("leader_changes_total") >= 1.0);
    assert!(of("elections_total{kind=\"vote\"}") >= 1.0);
    assert!(of("flush_seconds_count") >= 1.0);
    assert_eq!(of("flush_seconds_bucket{le=\"+Inf\"}"), of("flush_seconds_count"));
    assert!(of("apply_seconds_count") >= 1.0);
    assert!(of("disk_operations_total{operation=\"sync\"}") >= of("flush_seconds_count"));
    assert!(of("sent_packets_total{kind=\"append\"}") >= 1.0);
    assert!(of("sent_bytes_total{kind=\"append\"}") > of("sent_packets_total{kind=\"append\"}"));
    assert!(of("received_packets_total{kind=\"append_reply\"}") >= 1.0);
    assert!(of("received_bytes_total{kind=\"append_reply\"}") >= 32.0);
    assert_eq!(of("disk_errors_total{error=\"failed\"}"), 0.0);
    let peer = format!("{{peer=\"{}\"}}", follower.0);
    eventually("a peer is up to date", async || of(&format!("peer_lag_entries{peer}")) == 0.0)
        .await;
    assert!(of(&format!("peer_matched_index{peer}")) >= 70.0);

    let metrics = cluster.handle(follower).metrics();
    let of = |name: &str| sample(&metrics, &format!("quorate_{name}"));
    assert_eq!(of("proposals_total{outcome=\"rejected\"}"), 1.0);
    assert_eq!(of("rejected_requests_total{reason=\"not_leader\"}"), 1.0);
    assert_eq!(of("reads_total{level=\"local\",outcome=\"answered\"}"), 1.0);
    assert!(!metrics.text().contains("peer_lag_entries{"), "only a leader records it");
    assert_eq!(metrics.summary().leader, Some(leader));
    let link = metrics.peer_links().into_iter().find(|link| link.peer == leader);
    assert!(link.expect("the nodes are connected").silence.is_some());
    assert!(metrics.latency(LatencyMetric::Read).buckets.iter().any(|bucket| bucket.count > 0));

    let server = cluster.servers.remove(&follower).expect("the node runs");
    server.shutdown().await.expect("no failure");
    assert!(metrics.summary().stopped, "metrics stay readable after the stop");
}

#[tokio::test]
async fn a_node_is_idle_until_its_driver_runs_again() {
    let cluster = Cluster::start(1).await;
    let metrics = cluster.handle(NodeId(1)).metrics();
    let mut before = metrics.summary().idle;
    eventually("the driver runs again", async || {
        let idle = metrics.summary().idle;
        idle < std::mem::replace(&mut before, idle)
    })
    .await;
}

#[tokio::test]
async fn an_unreachable_peer_is_visible() {
    let mut cluster = Cluster::start(3).await;
    cluster.add("one").await;
    let leader = cluster.leader().await;
    let killed =
        [1, 2, 3].map(NodeId).into_iter().find(|id| *id != leader).expect("there are three nodes");
    cluster.kill(killed).await;
    let metrics = cluster.handle(leader).metrics();
    let of = |name: &str| sample(&metrics, &format!("quorate_{name}{{peer=\"{}\"}}", killed.0));
    eventually("the peer is suspected", async || of("peer_suspected") == 1.0).await;
    assert!(of("peer_connection_failures_total") >= 1.0);
    cluster.add("two").await;
    eventually("the peer lags", async || of("peer_lag_entries") >= 1.0).await;
    cluster.restart(killed).await;
    eventually("the peer is up to date", async || {
        of("peer_suspected") == 0.0 && of("peer_lag_entries") == 0.0
    })
    .await;
}

#[tokio::test]
async fn an_invalid_connection_is_counted() {
    let cluster = Cluster::start(1).await;
    let metrics = cluster.handle(NodeId(1)).metrics();
    let address = cluster.servers[&NodeId(1)].address();
    let mut stream = TcpStream::connect(address).await.expect("the node listens");
    stream.write_all(&[0; 64]).await.expect("the connection is open");
    eventually("the connection is rejected", async || {
        sample(&metrics, "quorate_rejected_connections_total{reason=\"other_protocol\"}") == 1.0
    })
    .await;
    assert_eq!(sample(&metrics, "quorate_connections_accepted_total{caller=\"node\"}"), 0.0);
}

#[tokio::test]
async fn the_document_lists_exactly_the_exported_metrics() {
    let cluster = Cluster::start(1).await;
    let parsed = parse(&cluster.handle(NodeId(1)).metrics().text());
    let exported: BTreeSet<(String, String)> = parsed
        .families
        .into_iter()
        .map(|(name, kind)| if kind == "counter" { (name + "_total", kind) } else { (name, kind) })
        .collect();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/METRICS.md");
    let document = std::fs::read_to_string(path).expect("the document exists");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `quorate_"));
    let documented: BTreeSet<(String, String)> = rows
        .map(|row| {
            let (name, rest) = row.split_once('`').expect("the name is quoted");
            let kind = rest.split('|').nth(1).expect("the type comes next").trim();
            let name = name.split('{').next().unwrap_or(name);
            (format!("quorate_{name}"), kind.to_owned())
        })
        .collect();
    assert_eq!(exported, documented);
}

#[tokio::test]
async fn metrics_can_be_registered_in_another_registry() {
    use prometheus_client::registry::Registry;

    let cluster = Cluster::start(1).await;
    cluster.leader().await;
    let mut registry = Registry::with_prefix("shop");
    registry.register_collector(Box::new(cluster.handle(NodeId(1)).metrics()));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).expect("it is a string");
    assert_eq!(parse(&text).samples["shop_quorate_role{role=\"leader\"}"], 1.0);
}
