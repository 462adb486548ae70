//! What a node that does not lead does with a proposal: it passes it on, once, where it may.

use quorate::machine::Request;
use quorate::runtime::{Server, ServerConfig};
use quorate::types::{Acknowledge, NodeId, RejectReason, RoleName};
use quorate::wire::{
    ClientHello, ClientReply, ClientRequest, Frame, FrameReader, Told, Versions, Wanted,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cluster::{CLUSTER, Cluster, Lines, eventually};

/// Three nodes that forward or do not, the leader, and a follower of it.
async fn start(forwards: bool) -> (Cluster, NodeId, NodeId) {
    let mut cluster = Cluster::unstarted(3);
    for id in (1..=3).map(NodeId) {
        let mut config = cluster.config(id);
        config.service.forwards = forwards;
        let server = Server::start(config, Lines::default()).await.expect("the directory is new");
        cluster.servers.insert(id, server);
    }
    let leader = cluster.leader().await;
    let follower = (1..=3).map(NodeId).find(|id| *id != leader).expect("there are three");
    let handle = cluster.handle(follower);
    eventually("the follower knows who leads", async || {
        handle.leadership().borrow().leader == Some(leader)
    })
    .await;
    (cluster, leader, follower)
}

/// What this one node says to a proposal, whoever leads. `node` is the one that the hello means.
async fn told(cluster: &Cluster, at: NodeId, node: Option<NodeId>, line: &[u8]) -> Told {
    let mut stream = TcpStream::connect(cluster.address(at)).await.expect("it listens");
    let hello =
        ClientHello { versions: Versions::SUPPORTED, cluster: CLUSTER.0, node, full: false };
    let acknowledge = Acknowledge::Quorum;
    let wanted = Wanted::Propose { acknowledge, command: Request::Plain(line).encode() };
    let mut bytes = Vec::new();
    hello.encode(&mut bytes);
    ClientRequest { number: 1, wanted }.encode(&mut bytes).expect("it is short");
    stream.write_all(&bytes).await.expect("it is taken");
    let mut frames = FrameReader::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.expect("a reply comes first");
        if let Some(Frame::Reply(ClientReply { told, .. })) =
            frames.read(&mut &byte[..]).expect("a node says what can be read")
        {
            return told;
        }
    }
}

fn is_sent_away(told: &Told, leader: NodeId) -> bool {
    let reason = RejectReason::NotLeader { leader: Some(leader) };
    matches!(told, Told::Rejected { reason: found, .. } if *found == reason)
}

#[tokio::test]
async fn a_follower_forwards_and_relays_where_it_is_told_to() {
    let (cluster, leader, follower) = start(true).await;
    for line in [b"a", b"b"] {
        let told = told(&cluster, follower, None, line).await;
        assert!(matches!(told, Told::Replied { .. }), "{told:?}");
    }
    assert_eq!(cluster.read(leader).await, "a\nb\n", "each is there once");
}

#[tokio::test]
async fn a_follower_that_was_not_told_to_says_who_leads() {
    let (cluster, leader, follower) = start(false).await;
    let told = told(&cluster, follower, None, b"a").await;
    assert!(is_sent_away(&told, leader), "{told:?}");
    assert_eq!(cluster.read(leader).await, "");
}

#[tokio::test]
async fn what_was_passed_on_once_goes_no_further() {
    let (cluster, leader, follower) = start(true).await;
    let told = told(&cluster, follower, Some(follower), b"a").await;
    assert!(is_sent_away(&told, leader), "{told:?}");
    assert_eq!(cluster.read(leader).await, "");
}

#[tokio::test]
async fn whoever_is_preferred_leads_first() {
    let mut cluster = Cluster::unstarted(3);
    for id in (1..=3).map(NodeId) {
        let mut config: ServerConfig = cluster.config(id);
        config.prefer([2, 3].map(NodeId));
        let server = Server::start(config, Lines::default()).await.expect("the directory is new");
        cluster.servers.insert(id, server);
    }
    let leads = async |cluster: &Cluster, id: NodeId| {
        let handle = cluster.handle(id);
        eventually("it leads", async || handle.leadership().borrow().role == RoleName::Leader)
            .await;
    };
    leads(&cluster, NodeId(2)).await;
    cluster.kill(NodeId(2)).await;
    leads(&cluster, NodeId(3)).await;
    cluster.restart(NodeId(2)).await;
    leads(&cluster, NodeId(2)).await;
}
