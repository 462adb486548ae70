//! The HTTP endpoints of a node: metrics, health and the status page.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::addresses::free_address;
use crate::http_client::{connect, get, send};
use crate::nodes::{Nodes, eventually, pause};

/// Waits until the node has logged the address of the endpoint, and returns it.
pub(crate) fn address(nodes: &Nodes, id: u64, field: &str) -> SocketAddr {
    let mut address = None;
    eventually("the node logs the endpoint's address", || {
        let log = nodes.log(id);
        let line = log.lines().find_map(|line| line.strip_prefix(&format!("{field} at http://")));
        address = line.and_then(|line| line.strip_suffix('/')?.parse().ok());
        address.is_some()
    });
    address.expect("the address was logged")
}

/// Starts only the first of `count` nodes, with both endpoints, and returns the endpoints'
/// addresses.
pub(crate) fn first_of(count: u64) -> (Nodes, SocketAddr, SocketAddr) {
    let mut nodes = Nodes::none(count);
    let members = nodes.listed(&(1..=count).collect::<Vec<_>>());
    nodes.serve_with(1, &["--members", &members, "--metrics", "0", "--ui", "0"]);
    let (metrics, page) = (address(&nodes, 1, "metrics"), address(&nodes, 1, "ui"));
    (nodes, metrics, page)
}

#[test]
fn a_leader_is_ready_and_serves_metrics() {
    let (_nodes, metrics, page) = first_of(1);
    eventually("the node leads", || get(metrics, "/health").status == 200);
    let health = get(page, "/health").json();
    assert_eq!((health["ready"].as_bool(), health["leader"].as_u64()), (Some(true), Some(1)));
    assert_eq!(health["role"], "leader");
    let output = get(metrics, "/metrics");
    assert_eq!(
        (output.status, output.header("content-type")),
        (200, "application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(output.body.contains("\nquorate_role{role=\"leader\"} 1\n"), "{}", output.body);
    assert!(output.body.ends_with("# EOF\n"), "{}", output.body);
}

#[test]
fn a_node_whose_endpoint_cannot_listen_does_not_start() {
    let nodes = Nodes::none(1);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let taken = taken.local_addr().map(|address| (taken, address)).expect("it is bound");
    let (members, address) = (nodes.listed(&[1]), taken.1.to_string());
    let serve = ["serve", "--id", "1", "--data-dir", "d1", "--members", &members];
    for flag in ["--metrics", "--ui"] {
        let output = nodes.quorate(&[&serve[..], &[flag, &address]].concat());
        output.fails_with(3, &format!("{flag}: cannot listen at {address}: "));
        assert!(!nodes.directory(1).exists(), "the node was not started");
    }
}

#[test]
fn a_node_without_a_leader_is_live_but_not_ready() {
    let (_nodes, metrics, _) = first_of(3);
    let health = get(metrics, "/health");
    assert_eq!(health.status, 503, "{health:?}");
    let health = health.json();
    assert_eq!((health["live"].as_bool(), health["ready"].as_bool()), (Some(true), Some(false)));
    assert_eq!(health["leader"], Value::Null);
    assert_eq!(get(metrics, "/live").status, 200);
}

/// The obstacle that a node reports while it starts.
const STARTING: &str = "the node is starting: it opens its data directory, or asks other members";

/// Starts a node of the cluster with this name, whose start takes seconds, because a member that it
/// asks does not answer. Without a name it takes as long as no member answers. Returns the address
/// of its metrics.
fn start_slowly(nodes: &mut Nodes, silent: &TcpListener, cluster: Option<&str>) -> SocketAddr {
    let metrics = free_address();
    let join = format!("1={}", silent.local_addr().expect("it is bound"));
    let (listen, at) = (nodes.address(4).to_string(), metrics.to_string());
    let mut start = vec!["--listen", &listen, "--join", &join, "--metrics", &at];
    start.extend(cluster.into_iter().flat_map(|name| ["--cluster", name]));
    nodes.serve_with(4, &start);
    eventually("the port is open", || TcpStream::connect(metrics).is_ok());
    metrics
}

#[test]
fn a_node_that_starts_is_live_and_says_why_it_is_not_ready() {
    let mut nodes = Nodes::none(4);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    eventually("the start lasts as long as the requests", || {
        let metrics = start_slowly(&mut nodes, &silent, Some("orders"));
        let replies = ["/live", "/ready", "/health"].map(|path| get(metrics, path));
        let other = get(metrics, "/metrics").status;
        let has_started = nodes.log(4).contains(" is listening on ");
        if !has_started {
            for (reply, status) in replies.into_iter().zip([200, 503, 503]) {
                assert_eq!(reply.status, status, "{reply:?}");
                assert_eq!(reply.json()["obstacle"], STARTING);
            }
            assert_eq!(other, 503);
            address(&nodes, 4, "metrics");
            assert_eq!(get(metrics, "/ready").json()["node"], 4);
            assert_eq!(get(metrics, "/metrics").status, 200);
        }
        nodes.kill(4);
        std::fs::remove_file(nodes.root().join("d4.log")).expect("the node has a log");
        !has_started
    });
}

#[test]
fn a_node_that_is_stopped_while_it_starts_ends_cleanly() {
    let mut nodes = Nodes::none(4);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    start_slowly(&mut nodes, &silent, Some("orders"));
    nodes.signal(4, "TERM");
    assert!(nodes.ended(4).success(), "{}", nodes.log(4));
    assert!(nodes.log(4).contains("the node ends before it has started"), "{}", nodes.log(4));
}

#[test]
fn a_node_that_does_not_know_its_cluster_yet_is_live() {
    let mut nodes = Nodes::none(4);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let metrics = start_slowly(&mut nodes, &silent, None);
    let asks = "the node asks them for the id of their cluster";
    eventually("no member answers", || nodes.log(4).contains(asks));
    for (path, status) in [("/live", 200), ("/ready", 503), ("/metrics", 503)] {
        assert_eq!(get(metrics, path).status, status, "{path}");
    }
    assert_eq!(get(metrics, "/ready").json()["obstacle"], STARTING);
    nodes.signal(4, "TERM");
    assert!(nodes.ended(4).success(), "{}", nodes.log(4));
}

/// A member that is not reachable at first may answer later: the node then starts without a
/// restart.
#[test]
fn a_node_starts_once_a_member_names_the_cluster() {
    let mut nodes = Nodes::none(2);
    let (members, listen) = (nodes.listed(&[1]), nodes.address(2).to_string());
    nodes.serve_with(2, &["--listen", &listen, "--join", &members, "--metrics", "0", "--ui", "0"]);
    eventually("no member answers", || nodes.log(2).contains("no member of --join answers yet"));
    let reason = format!("{members} is not reachable");
    let reason = reason.strip_prefix("1=").expect("the list has the id");
    eventually("a warning", || nodes.log(2).contains("no member of --join answers: check"));
    assert!(nodes.log(2).contains(reason), "{}", nodes.log(2));
    nodes.serve_with(1, &["--members", &members]);
    let metrics = address(&nodes, 2, "metrics");
    assert_eq!(get(metrics, "/ready").json()["node"], 2);
    let named = |id| nodes.log(id).split_once("of cluster ").map(|(_, rest)| rest[..32].to_owned());
    assert_eq!(named(1), named(2));
}

#[test]
fn readiness_follows_the_leader() {
    let (mut nodes, metrics, _) = first_of(3);
    let members = nodes.listed(&[1, 2, 3]);
    (2..=3).for_each(|id| nodes.serve_with(id, &["--members", &members]));
    eventually("a leader is elected", || get(metrics, "/health").status == 200);
    eventually("writes can succeed", || get(metrics, "/ready").status == 200);
    (2..=3).for_each(|id| nodes.kill(id));
    eventually("the node is not ready", || get(metrics, "/health").status == 503);
    eventually("no write can succeed", || get(metrics, "/ready").status == 503);
    assert_eq!(get(metrics, "/ready").json()["obstacle"], "there is no leader");
    assert_eq!(get(metrics, "/live").status, 200);
}

/// A node whose volume was emptied must not let a rolling restart go on to the next node.
#[test]
fn a_node_with_an_emptied_disk_is_not_ready_and_status_names_it() {
    let mut nodes = Nodes::start(3);
    eventually("every member answers", || nodes.ask(&["status"]).code == 0);
    nodes.ask(&["put", "colour", "blue"]).ok();
    nodes.kill(3);
    std::fs::remove_dir_all(nodes.directory(3)).expect("the directory exists");
    let members = nodes.listed(&[1, 2, 3]);
    nodes.serve_with(3, &["--members", &members, "--metrics", "0"]);
    let metrics = address(&nodes, 3, "metrics");
    eventually("the node does not serve", || {
        get(metrics, "/ready").json()["obstacle"].as_str().is_some_and(|text| {
            text == "the cluster knows another disk for this node: remove and add the node"
        })
    });
    assert_eq!((get(metrics, "/health").status, get(metrics, "/ready").status), (503, 503));
    assert_eq!(get(metrics, "/live").status, 200);
    eventually("the leader misses the node", || {
        let status = nodes.ask(&["status"]);
        status.code == 1 && status.out.contains("n3: does not answer its leader")
    });
    nodes.ask(&["members", "remove", "3"]).ok();
    nodes.ask(&["members", "add", &nodes.listed(&[3])]).ok();
    eventually("the node is ready", || get(metrics, "/ready").status == 200);
    eventually("every member answers", || nodes.ask(&["status"]).code == 0);
}

#[test]
fn the_status_page_may_only_call_its_own_node() {
    let (_nodes, metrics, address) = first_of(1);
    let page = get(address, "/");
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; script-src 'nonce-"), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next());
    let nonce = nonce.expect("it is there");
    assert_eq!(nonce.len(), 32, "{policy}");
    assert!(page.body.contains(&format!("<script nonce=\"{nonce}\">")), "the page's own script");
    assert!(!get(address, "/").body.contains(nonce), "every response has another nonce");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    // The page loads nothing from elsewhere, and never inserts data of nodes as markup.
    for word in [" src=", " href=", "@import", "url(", "innerHTML", "outerHTML", "eval("] {
        assert!(!page.body.contains(word), "the page has {word}");
    }
    for word in ["insertAdjacentHTML", "document.write", "{{nonce}}"] {
        assert!(!page.body.contains(word), "the page has {word}");
    }
    let members = |cluster: &Value| {
        cluster["membership"]["members"].as_array().map(Vec::len).unwrap_or_default()
    };
    eventually("the node has its membership", || {
        members(&get(address, "/api/cluster").json()) == 1
    });
    let cluster = get(address, "/api/cluster").json();
    assert_eq!(cluster["node"], 1);
    assert_eq!(cluster["nodes"][0]["id"], 1);
    assert_eq!(get(address, "/metrics").status, 404);
    assert_eq!(get(metrics, "/").status, 404);
}

#[test]
fn the_status_page_reaches_peers_with_the_nodes_certificate() {
    let mut nodes = Nodes::none(2);
    nodes.quorate(&["certs", "certs", "--nodes", "1,2", "--days", "1"]).ok();
    let (certs, members) = (nodes.root().join("certs"), nodes.listed(&[1, 2]));
    let certs = certs.to_string_lossy().into_owned();
    for id in [1, 2] {
        nodes.serve_with(id, &["--members", &members, "--certs", &certs, "--ui", "0"]);
    }
    for id in [1, 2] {
        let page = address(&nodes, id, "ui");
        eventually("the page lists both nodes", || {
            let cluster = get(page, "/api/cluster").json();
            let ids = cluster["nodes"].as_array().expect("a list").iter().map(|node| &node["id"]);
            ids.filter_map(Value::as_u64).eq([id, 3 - id])
        });
    }
}

#[test]
fn invalid_http_requests_are_rejected() {
    let (_nodes, metrics, _) = first_of(1);
    let output =
        send(metrics, "POST /health HTTP/1.1\r\nHost: localhost\r\ncontent-length: 0\r\n\r\n");
    assert_eq!((output.status, output.header("allow")), (405, "GET, HEAD"));
    // A DNS rebinding attack sends a foreign host name.
    let output = send(metrics, "GET /metrics HTTP/1.1\r\nHost: evil.example:80\r\n\r\n");
    assert_eq!(output.status, 421);
    assert_eq!(send(metrics, "GET /live HTTP/1.1\r\nHost: localhost:1\r\n\r\n").status, 200);
    assert_eq!(send(metrics, "GET /live HTTP/1.1\r\nHost: [::1]\r\n\r\n").status, 200);
    let long = "x".repeat(1 << 10);
    let headers: String = (0..64).map(|number| format!("h{number}: {long}\r\n")).collect();
    let mut stream = connect(metrics);
    // The connection may be closed before the request is sent.
    let _ = stream.write_all(format!("GET /live HTTP/1.1\r\nHost: a\r\n{headers}\r\n").as_bytes());
    let mut output = Vec::new();
    match stream.read_to_end(&mut output) {
        Ok(_) => assert!(output.is_empty() || output.starts_with(b"HTTP/1.1 431 "), "{output:?}"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

#[test]
fn slow_requests_and_slow_readers_take_no_place_of_a_liveness_check() {
    let (_nodes, metrics, _) = first_of(1);
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = connect(metrics);
        stream.write_all(b"GET /live HTTP/1.1\r\nHost: ").expect("it listens");
        slow.push(stream);
    }
    let mut readers = Vec::new();
    for _ in 0..100 {
        let mut stream = connect(metrics);
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it listens");
        readers.push(stream);
    }
    for _ in 0..20 {
        let mut stream = connect(metrics);
        stream.set_read_timeout(Some(Duration::from_secs(2))).expect("it is open");
        let mut output = String::new();
        stream.write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it listens");
        let read = stream.read_to_string(&mut output);
        assert!(read.is_ok() && output.starts_with("HTTP/1.1 200 "), "{read:?} {output}");
    }
}

#[test]
fn a_slow_http_client_is_disconnected_and_delays_no_other() {
    let (_nodes, metrics, _) = first_of(1);
    let mut slow = connect(metrics);
    slow.write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\nx: ").expect("it listens");
    slow.set_read_timeout(Some(Duration::from_millis(50))).expect("it is open");
    let mut cut_off = false;
    // It sends one byte at a time for half a minute, which is longer than the timeout of a request.
    for _ in 0..600 {
        let written = slow.write_all(b"x");
        let read = slow.read(&mut [0; 64]);
        let waits = matches!(&read, Err(error)
            if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
        if written.is_err() || !waits {
            cut_off = true;
            break;
        }
        assert_eq!(get(metrics, "/live").status, 200);
        pause(Duration::from_millis(1));
    }
    assert!(cut_off, "the slow client stays connected");
}
