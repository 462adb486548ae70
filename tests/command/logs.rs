//! The log of a node: the requests of administrators, and the few lines about remotes without
//! rights.

use std::io::{Read, Write};
use std::net::TcpStream;

use quorate::runtime::Role;
use quorate::runtime::certs::Directory;

use crate::nodes::{Nodes, eventually};

/// Returns the lines of the node's log that contain each of these parts.
fn lines(nodes: &Nodes, parts: &[&str]) -> Vec<String> {
    let log = nodes.log(1);
    let has_all = |line: &&str| parts.iter().all(|part| line.contains(part));
    log.lines().filter(has_all).map(str::to_owned).collect()
}

#[test]
fn every_request_of_an_administrator_is_logged_with_its_outcome() {
    let mut nodes = Nodes::unstarted(1);
    nodes.quorate(&["certs", "certs", "--nodes", "1", "--admins", "ops", "--clients", "app"]).ok();
    let certs = nodes.root().join("certs").to_string_lossy().into_owned();
    nodes.serve_after(1, "true", &["--certs", &certs, "--log", "error"]);
    let admin = ["--certs", &certs, "--as", "admin/ops"];
    let ask = |words: &[&str]| nodes.ask(&[words, &admin[..]].concat());
    ask(&["put", "k", "v"]).ok();
    let address = nodes.address(1).to_string();
    ask(&["snapshot", &address]).ok();
    let lost = ["members", "add", "9=127.0.0.1:1", "--timeout", "300ms"];
    assert_eq!(ask(&lost).code, 4);
    assert_eq!(ask(&["members", "cancel"]).code, 0);
    let client = ["transfer", "--certs", &certs, "--as", "client/app"];
    assert_eq!(nodes.ask(&client).code, 10);
    let of_ops = "principal=admin ops address=127.0.0.1:";
    for parts in [
        [of_ops, "request=\"take a snapshot\" outcome=\"started\""],
        [of_ops, "request=\"cancel the membership change\" outcome=\"done: committed at "],
        [
            of_ops,
            "outcome=\"not known: the connection ended before the reply, or the node stopped\"",
        ],
        ["principal=client app address=127.0.0.1:", "outcome=\"rejected: "],
    ] {
        eventually(&format!("a line has {parts:?}"), || {
            let parts = [&["quorate::audit"], &parts[..]].concat();
            lines(&nodes, &parts).len() == 1
        });
    }
}

#[test]
fn a_node_with_a_status_page_logs_once_that_it_uses_revocation_lists() {
    let mut nodes = Nodes::unstarted(1);
    nodes.quorate(&["certs", "certs", "--nodes", "1"]).ok();
    let certs = nodes.root().join("certs");
    nodes.serve_after(1, "true", &["--certs", &certs.to_string_lossy(), "--ui", "0"]);
    eventually("the node leads", || nodes.log(1).contains("role=Leader"));
    let authority = Directory::open(&certs).and_then(|certs| certs.authority(Role::Node));
    let list = authority.and_then(|authority| authority.revoke(&[])).expect("the keys are there");
    std::fs::write(certs.join("revoked.pem"), list).expect("the disk has space");
    // The client of the page reloads its certificates after the node, so it has done so once the
    // node reloads them again.
    for reloads in 1..=2 {
        nodes.signal(1, "HUP");
        eventually("the node reloads its certificates", || {
            lines(&nodes, &["certificates reloaded"]).len() == reloads
        });
    }
    assert_eq!(lines(&nodes, &["revocation lists are used from now on"]).len(), 1);
}

#[test]
fn remotes_without_rights_cannot_fill_the_disk_with_log_lines() {
    let nodes = Nodes::start(1);
    eventually("the node leads", || nodes.log(1).contains("role=Leader"));
    for _ in 0..300 {
        let mut stream = TcpStream::connect(nodes.address(1)).expect("it listens");
        // The node may have closed the connection.
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: quorate.example\r\nAccept: */*\r\n\r\n");
        let _ = stream.read(&mut [0; 64]);
    }
    nodes.ask(&["put", "k", "v"]).ok();
    let lines = lines(&nodes, &["rejected a connection"]).len();
    assert!((1..=20).contains(&lines), "{lines} lines about 300 connections");
}

#[test]
fn the_log_says_in_words_why_a_certificate_is_rejected() {
    let mut nodes = Nodes::unstarted(1);
    nodes.quorate(&["certs", "certs", "--nodes", "1"]).ok();
    nodes.quorate(&["certs", "foreign", "--nodes", "1", "--admins", "ops"]).ok();
    let root = nodes.root().to_string_lossy().into_owned();
    let (certs, foreign) = (format!("{root}/certs"), format!("{root}/foreign"));
    nodes.serve_after(1, "true", &["--certs", &certs]);
    eventually("the node leads", || nodes.log(1).contains("role=Leader"));
    let as_foreign = ["--certs", &foreign, "--as", "admin/ops", "--timeout", "500ms"];
    let refused = nodes.ask(&[&["status"], &as_foreign[..]].concat());
    assert_eq!(refused.code, 9, "{refused:?}");
    let of_node = || lines(&nodes, &["rejected a connection"]);
    eventually("the node logs the rejected connection", || !of_node().is_empty());
    let text = format!("{}{}", refused.err, of_node().concat());
    for word in ["UnknownIssuer", "UnknownCA", "CertificateUnknown", "OtherError", "Other("] {
        assert!(!text.contains(word), "{word} is not a word: {text}");
    }
    let remedy = "no trusted authority of its role has issued the certificate";
    assert!(refused.err.contains(remedy), "{refused:?}");
}
