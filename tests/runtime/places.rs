//! The places of connections: one client cannot take those of others, and clients cannot take those
//! of administrators and nodes.

use std::time::Duration;

use quorate::runtime::{Client, ClientConfig, ClientError, Principal, Server};
use quorate::types::NodeId;

use crate::clients::config_of;
use crate::cluster::{CLUSTER, Cluster, Lines};

/// A single node with TLS and few places.
async fn start(connections_max: usize, per_origin_max: usize) -> Cluster {
    let mut cluster = Cluster::unstarted_with_tls(1);
    let mut config = cluster.config(NodeId(1));
    config.network.connections_max = connections_max;
    config.network.connections_per_origin_max = per_origin_max;
    let server = Server::start(config, Lines::default()).await.expect("the directory is new");
    cluster.servers.insert(NodeId(1), server);
    cluster.add("the node leads").await;
    cluster
}

/// Returns a client with connections of its own.
fn client(cluster: &Cluster, principal: Option<Principal>) -> Client {
    let principal = principal.expect("the name is valid");
    let issued = cluster.certs().issue(CLUSTER, &principal, 1).expect("the directory is writable");
    let config = ClientConfig { tls: Some(issued), ..config_of(cluster, [1]) };
    Client::new(config).expect("the configuration is valid")
}

/// Asserts that the node has no place for this client.
async fn expect_full(client: &Client) {
    let full = client.with_deadline(Duration::from_millis(500)).propose(b"full").await;
    assert!(matches!(full, Err(ClientError::NotExecuted(_))), "{full:?}");
}

#[tokio::test]
async fn clients_cannot_take_the_places_of_administrators() {
    let cluster = start(2, 10).await;
    let clients = ["a", "b", "c"].map(|name| client(&cluster, Principal::client(name)));
    for held in &clients[..2] {
        held.propose(b"held").await.expect("there is a place");
    }
    expect_full(&clients[2]).await;
    let admin = client(&cluster, Principal::admin("ops"));
    let address = cluster.address(NodeId(1)).to_string();
    admin.snapshot(&address).await.expect("an administrator has a place");
    let node = client(&cluster, Some(Principal::Node(NodeId(1))));
    node.report(&address).await.expect("the status page of a node has a place");
    clients[0].propose(b"still").await.expect("the client is still connected");
}

#[tokio::test]
async fn one_client_cannot_take_the_places_of_others() {
    let cluster = start(10, 2).await;
    let held = [(); 3].map(|()| client(&cluster, Principal::client("greedy")));
    for client in &held[..2] {
        client.propose(b"held").await.expect("there is a place");
    }
    expect_full(&held[2]).await;
    let other = client(&cluster, Principal::client("other"));
    other.propose(b"other").await.expect("another client has a place");
}
