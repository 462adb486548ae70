//! What a cluster that runs does for its users.

use quorate::raft::RejectReason;
use quorate::runtime::{AskError, Server};
use quorate::types::{Address, Change, NodeId, ReadLevel};

use crate::cluster::{Cluster, Lines, eventually};

#[tokio::test]
async fn one_node_alone_serves() {
    let cluster = Cluster::start(1).await;
    assert_eq!(cluster.add("alone").await, 1);
    assert_eq!(cluster.read(NodeId(1)).await, "alone\n");
}

#[tokio::test]
async fn three_nodes_carry_out_commands_and_every_one_of_them_reads() {
    let cluster = Cluster::start_safe(3).await;
    for count in 1..=100 {
        assert_eq!(cluster.add(&format!("line {count}")).await, count);
    }
    let lines = cluster.read(cluster.leader().await).await;
    assert_eq!(lines.lines().count(), 100);
    for id in [1, 2, 3].map(NodeId) {
        assert_eq!(cluster.read(id).await, lines);
    }
}

#[tokio::test]
async fn a_follower_says_who_leads() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let follower = [1, 2, 3].map(NodeId).into_iter().find(|id| *id != leader);
    let told = cluster.handle(follower.expect("there are three")).propose(b"x").await;
    let reason = RejectReason::NotLeader { leader: Some(leader) };
    assert_eq!(told, Err(AskError::Rejected(reason)));
}

#[tokio::test]
async fn a_local_read_needs_nobody() {
    let mut cluster = Cluster::start(3).await;
    cluster.add("known").await;
    let last = cluster.leader().await;
    for id in [1, 2, 3].map(NodeId).into_iter().filter(|id| *id != last) {
        cluster.kill(id).await;
    }
    let answered = cluster.handle(last).read(ReadLevel::Local, b"").await;
    assert_eq!(answered.expect("it is answered at once").answer, b"known\n");
}

#[tokio::test]
async fn leadership_is_handed_over() {
    let cluster = Cluster::start_safe(3).await;
    let before = cluster.leader().await;
    cluster.add("one").await;
    cluster.handle(before).transfer(None).await.expect("the others keep up");
    eventually("another leads", async || cluster.leader().await != before).await;
    assert_eq!(cluster.add("two").await, 2);
}

#[tokio::test]
async fn a_node_joins_and_another_leaves() {
    let mut cluster = Cluster::start_safe(3).await;
    for count in 1..=120 {
        cluster.add(&format!("line {count}")).await;
    }
    let config = cluster.joining(NodeId(4));
    let address = Address::new(&config.listen.to_string()).expect("it is short");
    let server = Server::start(config, Lines::default()).await.expect("the directory is new");
    cluster.servers.insert(NodeId(4), server);
    let leader = cluster.leader_of(&[1, 2, 3]).await;
    let change = Change::new().voter(NodeId(4)).address(NodeId(4), address);
    cluster.handle(leader).change_membership(change).await.expect("it gets the log");
    assert_eq!(cluster.read(NodeId(4)).await.lines().count(), 120);

    let leader = cluster.leader().await;
    let leaves = [1, 2, 3].map(NodeId).into_iter().find(|id| *id != leader).expect("two are left");
    let change = Change::new().remove(leaves);
    cluster.handle(leader).change_membership(change).await.expect("the others agree");
    let members = cluster.handle(leader).membership();
    assert!(!members.borrow().is_member(leaves));
}
