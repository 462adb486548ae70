//! Forwarding of proposals, which a follower sends on to the leader once, if it is configured to;
//! and preferred leaders.

use quorate::machine::Request;
use quorate::runtime::{Server, ServerConfig};
use quorate::types::{Acknowledge, NodeId, RejectReason, RoleName};
use quorate::wire::{
    ClientHello, ClientReply, ClientRequest, Frame, FrameReader, ReplyBody, RequestBody, Versions,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cluster::{CLUSTER, Cluster, Lines, eventually};

/// Starts three nodes, and returns the cluster, the leader and a follower.
async fn start(forwards: bool) -> (Cluster, NodeId, NodeId) {
    start_each(|_| forwards).await
}

/// Starts three nodes. Those for which `forwards` returns true forward proposals. Node 3 is the
/// preferred leader.
async fn start_each(forwards: impl Fn(NodeId) -> bool) -> (Cluster, NodeId, NodeId) {
    let mut cluster = Cluster::unstarted(3);
    for id in (1..=3).map(NodeId) {
        let mut config = cluster.config(id);
        config.service.forwards = forwards(id);
        config.prefer_leaders([NodeId(3)]);
        let server = Server::start(config, Lines::default()).await.expect("the directory is new");
        cluster.servers.insert(id, server);
    }
    let leader = NodeId(3);
    let handle = cluster.handle(leader);
    eventually("node 3 leads", async || handle.leadership().borrow().role == RoleName::Leader)
        .await;
    let follower = (1..=3).map(NodeId).find(|id| *id != leader).expect("there are three nodes");
    let handle = cluster.handle(follower);
    eventually("the follower knows who leads", async || {
        handle.leadership().borrow().leader == Some(leader)
    })
    .await;
    (cluster, leader, follower)
}

/// Proposes a line to one node, and returns its reply. `node` is the node id in the client hello.
async fn propose_to(cluster: &Cluster, at: NodeId, node: Option<NodeId>, line: &[u8]) -> ReplyBody {
    let mut stream = TcpStream::connect(cluster.address(at)).await.expect("the node listens");
    let hello =
        ClientHello { versions: Versions::SUPPORTED, cluster: CLUSTER.0, node, full: false };
    let acknowledge = Acknowledge::Quorum;
    let body = RequestBody::Propose { acknowledge, command: Request::Plain(line).encode() };
    let mut bytes = Vec::new();
    hello.encode(&mut bytes);
    ClientRequest { number: 1, body }.encode(&mut bytes).expect("the value is short");
    stream.write_all(&bytes).await.expect("the connection is open");
    let mut frames = FrameReader::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).await.expect("the node replies");
        if let Some(Frame::Reply(ClientReply { body, .. })) =
            frames.read(&mut &byte[..]).expect("the node sends valid frames")
        {
            return body;
        }
    }
}

fn is_redirected(reply: &ReplyBody, leader: NodeId) -> bool {
    let reason = RejectReason::NotLeader { leader: Some(leader) };
    matches!(reply, ReplyBody::Rejected { reason: found, .. } if *found == reason)
}

#[tokio::test]
async fn a_follower_forwards_proposals_if_configured() {
    let (cluster, leader, follower) = start(true).await;
    for line in [b"a", b"b"] {
        let reply = propose_to(&cluster, follower, None, line).await;
        assert!(matches!(reply, ReplyBody::Replied { .. }), "{reply:?}");
    }
    assert_eq!(cluster.read(leader).await, "a\nb\n", "each proposal is applied once");
}

#[tokio::test]
async fn a_follower_redirects_proposals_that_the_leader_does_not_accept_from_nodes() {
    let (cluster, leader, follower) = start_each(|id| id != NodeId(3)).await;
    let reply = propose_to(&cluster, follower, None, b"a").await;
    assert!(is_redirected(&reply, leader), "{reply:?}");
    assert_eq!(cluster.read(leader).await, "");
}

#[tokio::test]
async fn a_follower_redirects_proposals_unless_it_is_configured_to_forward() {
    let (cluster, leader, follower) = start(false).await;
    let reply = propose_to(&cluster, follower, None, b"a").await;
    assert!(is_redirected(&reply, leader), "{reply:?}");
    assert_eq!(cluster.read(leader).await, "");
}

#[tokio::test]
async fn a_forwarded_proposal_is_not_forwarded_again() {
    let (cluster, leader, follower) = start(true).await;
    let reply = propose_to(&cluster, follower, Some(follower), b"a").await;
    assert!(is_redirected(&reply, leader), "{reply:?}");
    assert_eq!(cluster.read(leader).await, "");
}

#[tokio::test]
async fn the_most_preferred_running_node_leads() {
    let mut cluster = Cluster::unstarted(3);
    for id in (1..=3).map(NodeId) {
        let mut config: ServerConfig = cluster.config(id);
        config.prefer_leaders([2, 3].map(NodeId));
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
