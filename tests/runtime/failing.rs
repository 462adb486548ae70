//! What a cluster that runs goes through.

use quorate::runtime::{Server, ServerConfig, ServerConfigError, ServerError};
use quorate::types::NodeId;

use crate::cluster::{CLUSTER, Cluster, Lines, eventually};

#[tokio::test]
async fn the_others_go_on_when_the_leader_dies_and_it_comes_back() {
    let mut cluster = Cluster::start_safe(3).await;
    let mut count = 0;
    for _ in 0..3 {
        for _ in 0..20 {
            count += 1;
            assert_eq!(cluster.add(&format!("line {count}")).await, count);
        }
        let leader = cluster.leader().await;
        cluster.kill(leader).await;
        count += 1;
        assert_eq!(cluster.add(&format!("line {count}")).await, count);
        cluster.restart(leader).await;
        assert_eq!(cluster.read(leader).await.lines().count() as u64, count);
    }
}

#[tokio::test]
async fn all_die_and_nothing_is_lost() {
    let mut cluster = Cluster::start(3).await;
    for count in 1..=130 {
        cluster.add(&format!("line {count}")).await;
    }
    for id in [1, 2, 3].map(NodeId) {
        cluster.kill(id).await;
    }
    for id in [1, 2, 3].map(NodeId) {
        cluster.restart(id).await;
    }
    assert_eq!(cluster.read(NodeId(2)).await.lines().count(), 130);
    assert_eq!(cluster.add("one more").await, 131);
}

#[tokio::test]
async fn a_leader_that_is_shut_down_hands_over_first() {
    let mut cluster = Cluster::start_safe(3).await;
    cluster.add("one").await;
    let leader = cluster.leader().await;
    let server = cluster.servers.remove(&leader).expect("it runs");
    let others = cluster.handle(*cluster.servers.keys().next().expect("two are left"));
    let term = others.leadership().borrow().term;
    server.shutdown().await.expect("nothing failed");
    eventually("another leads, of the very next term", async || {
        let leadership = *others.leadership().borrow();
        leadership.leader.is_some_and(|other| other != leader) && leadership.term == term.next()
    })
    .await;
    // The directory is free at once.
    cluster.restart(leader).await;
    assert_eq!(cluster.read(leader).await, "one\n");
}

#[tokio::test]
async fn a_state_machine_that_panics_stops_its_node() {
    for inline_machine in [false, true] {
        let mut cluster = Cluster::unstarted(1);
        let config = ServerConfig { inline_machine, ..cluster.config(NodeId(1)) };
        let server = Server::start(config, Lines::default()).await.expect("it is empty");
        cluster.servers.insert(NodeId(1), server);
        cluster.leader().await;
        let told = cluster.handle(NodeId(1)).propose(b"panic").await;
        assert!(told.is_err(), "{told:?}");
        let server = cluster.servers.get_mut(&NodeId(1)).expect("it was started");
        let failure = server.ended().await.expect_err("it panicked");
        assert!(failure.to_string().contains("quorate-machine panicked"), "{failure}");
    }
}

#[tokio::test]
async fn a_directory_serves_one_node_of_one_cluster_at_a_time() {
    let mut cluster = Cluster::start(1).await;
    let id = NodeId(1);
    let error =
        Server::start(cluster.config(id), Lines::default()).await.expect_err("it is in use");
    assert!(error.to_string().contains("in use by another process"), "{error}");
    cluster.kill(id).await;
    let mut config = cluster.config(id);
    config.cluster.0 += 1;
    let error = Server::start(config, Lines::default()).await.expect_err("it is another's");
    assert!(error.to_string().contains(&CLUSTER.to_string()), "{error}");
}

#[tokio::test]
async fn nothing_leaves_the_machine_in_the_clear_unless_allowed() {
    let cluster = Cluster::start(1).await;
    let mut config = cluster.joining(NodeId(2));
    config.listen.set_ip([0, 0, 0, 0].into());
    let error = Server::start(config, Lines::default()).await.expect_err("it is not allowed");
    assert!(matches!(error, ServerError::Config(ServerConfigError::Plaintext(_))), "{error}");
}
