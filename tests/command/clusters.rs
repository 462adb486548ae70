//! Clusters without a name: each has an id of its own, which its nodes and clients agree on.

use std::fs;

use serde_json::Value;

use crate::nodes::{Nodes, eventually};

/// Returns the cluster that the node at this address belongs to.
fn cluster(nodes: &Nodes, id: u64) -> Value {
    let address = nodes.address(id).to_string();
    let status = nodes.quorate(&["status", "--json", "--nodes", &address]);
    assert_eq!(status.code, 0, "{status:?}");
    status.json()["cluster"].clone()
}

/// Starts n1 and n2, each as a cluster of its own.
fn two_clusters() -> Nodes {
    let mut nodes = Nodes::none(4);
    for id in [1, 2] {
        let members = nodes.listed(&[id]);
        nodes.serve_with(id, &["--members", &members]);
        eventually("the node leads", || nodes.log(id).contains("role=Leader"));
    }
    nodes
}

#[test]
fn two_clusters_without_names_have_two_ids() {
    let mut nodes = two_clusters();
    assert_ne!(cluster(&nodes, 1), cluster(&nodes, 2));
    // Node 3 is connected to the first cluster by mistake.
    let members = nodes.listed(&[1, 3]);
    nodes.serve_with(3, &["--members", &members]);
    eventually("the nodes name both clusters", || {
        nodes.log(3).contains("the peer belongs to cluster")
            && nodes.log(1).contains("the peer belongs to cluster")
    });
    let join = format!("{},{}", nodes.listed(&[1]), nodes.listed(&[2]));
    let listen = nodes.address(4).to_string();
    let words = ["serve", "--id", "4", "--data-dir", "d4", "--listen", &listen, "--join", &join];
    nodes.quorate(&words).fails_with(2, "list members of one cluster");
    // A client uses only the first cluster that it reaches.
    let both = format!("{},{}", nodes.address(1), nodes.address(2));
    let other = nodes.address(2).to_string();
    let read = ["get", "k", "--nodes", &nodes.address(1).to_string()];
    assert_eq!(nodes.quorate(&read).code, 1);
    let words = ["scan", "--nodes", &both, "--timeout", "1s"];
    assert_eq!(nodes.quorate(&words).code, 0);
    assert_eq!(nodes.quorate(&["get", "k", "--nodes", &other]).code, 1);
}

#[test]
fn a_cluster_with_a_name_rejects_those_that_name_none() {
    let mut nodes = Nodes::none(2);
    let members = nodes.listed(&[1]);
    nodes.serve_with(1, &["--members", &members, "--cluster", "orders"]);
    let address = nodes.address(1).to_string();
    let named = ["put", "k", "v", "--nodes", &address, "--cluster", "orders"];
    nodes.quorate(&named).ok();
    let unnamed = ["put", "k", "w", "--nodes", &address, "--timeout", "500ms"];
    nodes.quorate(&unnamed).fails_with(7, "which has a name, but the client names none");
    let listen = nodes.address(2).to_string();
    let words = ["serve", "--id", "2", "--data-dir", "d2", "--listen", &listen, "--join", &members];
    nodes.quorate(&words).fails_with(2, "--cluster: the cluster of n1 has a name");
}

#[test]
fn the_first_run_of_certs_draws_the_id_of_the_cluster() {
    let mut nodes = Nodes::unstarted(1);
    let issue = |directory: &str, words: &[&str]| {
        let words = [&["certs", directory, "--json"], words].concat();
        nodes.quorate(&words).json()["cluster"].clone()
    };
    let drawn = issue("certs", &["--nodes", "1"]);
    assert_eq!(issue("certs", &["--clients", "app"]), drawn, "the directory keeps it");
    assert_ne!(issue("other", &["--nodes", "1"]), drawn);
    let certs = nodes.root().join("certs");
    let kept = fs::read_to_string(certs.join("cluster")).expect("the file exists");
    assert_eq!(drawn, kept.trim());
    let other = ["certs", "certs", "--clients", "app", "--cluster", "other"];
    let part = format!(
        "certs/cluster: the certificates in this directory are for cluster {}",
        kept.trim()
    );
    nodes.quorate(&other).fails_with(2, &part);
    assert_eq!(fs::read_to_string(certs.join("cluster")).expect("the file exists"), kept);
    assert_eq!(issue("certs", &["--clients", "app", "--cluster", kept.trim()]), drawn);
    let certs = certs.to_string_lossy().into_owned();
    nodes.serve_after(1, "true", &["--certs", &certs]);
    let client = ["--certs", &certs, "--as", "client/app"];
    nodes.ask(&[&["put", "k", "v"], &client[..]].concat()).ok();
    let status = nodes.ask(&[&["status", "--json"], &client[..]].concat());
    assert_eq!(status.json()["cluster"], drawn);
}
