//! What clients in other processes get, over sockets: the same process here, and loopback.

use quorate::runtime::{Client, ClientConfig};
use quorate::types::{NodeId, ReadLevel};

use crate::cluster::{CLUSTER, Cluster};

/// A client that knows these nodes.
fn client_of(cluster: &Cluster, ids: impl IntoIterator<Item = u64>) -> Client {
    let addresses = ids.into_iter().map(|id| cluster.address(NodeId(id)).to_string());
    Client::new(ClientConfig::new(CLUSTER, addresses)).expect("the configuration makes sense")
}

fn text(reply: &[u8]) -> &str {
    std::str::from_utf8(reply).expect("it is text")
}

#[tokio::test]
async fn a_client_that_knows_a_follower_finds_the_leader() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    for id in 1..=3 {
        let client = client_of(&cluster, [id]);
        let reply =
            client.propose(format!("line {id}").as_bytes()).await.expect("it is carried out");
        assert_eq!(text(&reply), id.to_string());
    }
    let read = client_of(&cluster, 1..=3).read(ReadLevel::Linearizable, b"").await;
    let answered = read.expect("it is answered");
    assert_eq!(text(&answered.answer), "line 1\nline 2\nline 3\n");
    let report = client_of(&cluster, [1]).report_of_leader().await.expect("it reports");
    assert_eq!(report.status.id, leader);
}
