//! What a node tells over HTTP, and to whom it stops listening.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use crate::asked::{connect, get, say};
use crate::nodes::{Nodes, eventually, pause};

/// Where the node serves it, as the node says itself.
fn address(nodes: &Nodes, id: u64, field: &str) -> SocketAddr {
    let mut address = None;
    eventually("it says where it serves", || {
        let log = nodes.log(id);
        let line = log.lines().find_map(|line| line.strip_prefix(&format!("{field} at http://")));
        address = line.and_then(|line| line.strip_suffix('/')?.parse().ok());
        address.is_some()
    });
    address.expect("it was waited for")
}

/// The first of `count` nodes, alone, with both of its addresses.
fn first_of(count: u64) -> (Nodes, SocketAddr, SocketAddr) {
    let mut nodes = Nodes::none(count);
    let members = nodes.listed(&(1..=count).collect::<Vec<_>>());
    nodes.serve_with(1, &["--members", &members, "--metrics", "0", "--ui", "0"]);
    let (metrics, page) = (address(&nodes, 1, "metrics"), address(&nodes, 1, "ui"));
    (nodes, metrics, page)
}

#[test]
fn a_node_that_leads_is_healthy_and_tells_what_it_counts() {
    let (_nodes, metrics, page) = first_of(1);
    eventually("it leads", || get(metrics, "/health").status == 200);
    let health = get(page, "/health").json();
    assert_eq!((health["ready"].as_bool(), health["leader"].as_u64()), (Some(true), Some(1)));
    assert_eq!(health["role"], "leader");
    let told = get(metrics, "/metrics");
    assert_eq!(
        (told.status, told.header("content-type")),
        (200, "application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(told.body.contains("\nquorate_role{role=\"leader\"} 1\n"), "{}", told.body);
    assert!(told.body.ends_with("# EOF\n"), "{}", told.body);
}

#[test]
fn a_node_without_a_leader_lives_and_is_not_ready() {
    let (_nodes, metrics, _) = first_of(3);
    let health = get(metrics, "/health");
    assert_eq!(health.status, 503, "{health:?}");
    let health = health.json();
    assert_eq!((health["live"].as_bool(), health["ready"].as_bool()), (Some(true), Some(false)));
    assert_eq!(health["leader"], Value::Null);
    assert_eq!(get(metrics, "/live").status, 200);
}

#[test]
fn health_follows_the_leader() {
    let (mut nodes, metrics, _) = first_of(3);
    let members = nodes.listed(&[1, 2, 3]);
    (2..=3).for_each(|id| nodes.serve_with(id, &["--members", &members]));
    eventually("somebody leads", || get(metrics, "/health").status == 200);
    (2..=3).for_each(|id| nodes.kill(id));
    eventually("nobody can lead any more", || get(metrics, "/health").status == 503);
    assert_eq!(get(metrics, "/live").status, 200);
}

#[test]
fn the_page_may_do_nothing_but_ask_its_own_node() {
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
    assert!(!get(address, "/").body.contains(nonce), "each answer has another one");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    // Nothing from elsewhere, and what nodes say is never taken for markup.
    for word in [" src=", " href=", "@import", "url(", "innerHTML", "outerHTML", "eval("] {
        assert!(!page.body.contains(word), "the page has {word}");
    }
    for word in ["insertAdjacentHTML", "document.write", "{{nonce}}"] {
        assert!(!page.body.contains(word), "the page has {word}");
    }
    let seen = get(address, "/api/cluster").json();
    assert_eq!(seen["node"], 1);
    assert_eq!(seen["nodes"][0]["id"], 1);
    assert_eq!(seen["membership"]["members"].as_array().map(Vec::len), Some(1));
    assert_eq!(get(address, "/metrics").status, 404);
    assert_eq!(get(metrics, "/").status, 404);
}

#[test]
fn the_page_shows_the_others_by_the_nodes_own_certificates() {
    let mut nodes = Nodes::none(2);
    nodes.quorate(&["certs", "certs", "--nodes", "1,2", "--days", "1"]).ok();
    let (certs, members) = (nodes.root().join("certs"), nodes.listed(&[1, 2]));
    let certs = certs.to_string_lossy().into_owned();
    for id in [1, 2] {
        nodes.serve_with(id, &["--members", &members, "--certs", &certs, "--ui", "0"]);
    }
    for id in [1, 2] {
        let page = address(&nodes, id, "ui");
        eventually("it has asked the other one", || {
            let seen = get(page, "/api/cluster").json();
            let ids = seen["nodes"].as_array().expect("a list").iter().map(|node| &node["id"]);
            ids.filter_map(Value::as_u64).eq([id, 3 - id])
        });
    }
}

#[test]
fn what_nobody_should_ask_is_refused() {
    let (_nodes, metrics, _) = first_of(1);
    let told =
        say(metrics, "POST /health HTTP/1.1\r\nHost: localhost\r\ncontent-length: 0\r\n\r\n");
    assert_eq!((told.status, told.header("allow")), (405, "GET, HEAD"));
    // As if a page of a foreign name had been led here.
    let told = say(metrics, "GET /metrics HTTP/1.1\r\nHost: evil.example:80\r\n\r\n");
    assert_eq!(told.status, 421);
    assert_eq!(say(metrics, "GET /live HTTP/1.1\r\nHost: localhost:1\r\n\r\n").status, 200);
    assert_eq!(say(metrics, "GET /live HTTP/1.1\r\nHost: [::1]\r\n\r\n").status, 200);
    let long = "x".repeat(1 << 10);
    let headers: String = (0..64).map(|number| format!("h{number}: {long}\r\n")).collect();
    let mut stream = connect(metrics);
    // It may be cut off before it has said everything.
    let _ = stream.write_all(format!("GET /live HTTP/1.1\r\nHost: a\r\n{headers}\r\n").as_bytes());
    let mut told = Vec::new();
    match stream.read_to_end(&mut told) {
        Ok(_) => assert!(told.is_empty() || told.starts_with(b"HTTP/1.1 431 "), "{told:?}"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

#[test]
fn whoever_drips_is_cut_off_and_holds_nobody_up() {
    let (_nodes, metrics, _) = first_of(1);
    let mut slow = connect(metrics);
    slow.write_all(b"GET /live HTTP/1.1\r\nHost: localhost\r\nx: ").expect("it listens");
    slow.set_read_timeout(Some(Duration::from_millis(50))).expect("it is open");
    let mut cut_off = false;
    // A letter now and then, for half a minute: more than anybody gets.
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
    assert!(cut_off, "it may drip for ever");
}
