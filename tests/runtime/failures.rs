//! Crashes, shutdowns and panics of nodes, and starts that are rejected.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quorate::runtime::{
    Server, ServerConfig, ServerConfigError, ServerError, Simulated, SimulatedListener, Simulation,
    Socket,
};
use quorate::storage::FileDisk;
use quorate::types::NodeId;

use crate::cluster::{CLUSTER, Cluster, Lines, eventually};

#[tokio::test]
async fn a_cluster_continues_when_the_leader_crashes_and_restarts() {
    let mut cluster = Cluster::start_with_tls(3).await;
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
async fn nothing_is_lost_when_all_nodes_crash() {
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
async fn a_leader_transfers_its_leadership_before_it_shuts_down() {
    let mut cluster = Cluster::start_with_tls(3).await;
    cluster.add("one").await;
    let leader = cluster.leader().await;
    let server = cluster.servers.remove(&leader).expect("the node runs");
    let others = cluster.handle(*cluster.servers.keys().next().expect("two nodes are left"));
    let term = others.leadership().borrow().term;
    server.shutdown().await.expect("no failure");
    eventually("another node leads in the next term", async || {
        let leadership = *others.leadership().borrow();
        leadership.leader.is_some_and(|other| other != leader) && leadership.term == term.next()
    })
    .await;
    // The directory is unlocked immediately.
    cluster.restart(leader).await;
    assert_eq!(cluster.read(leader).await, "one\n");
}

#[tokio::test]
async fn a_state_machine_that_panics_stops_its_node() {
    for inline_machine in [false, true] {
        let mut cluster = Cluster::unstarted(1);
        let config = ServerConfig { inline_machine, ..cluster.config(NodeId(1)) };
        let server = Server::start(config, Lines::default()).await.expect("the directory is empty");
        cluster.servers.insert(NodeId(1), server);
        cluster.leader().await;
        let reply = cluster.handle(NodeId(1)).propose(b"panic").await;
        assert!(reply.is_err(), "{reply:?}");
        let server = cluster.servers.get_mut(&NodeId(1)).expect("the node was started");
        let failure = server.stopped().await.expect_err("the node has failed");
        assert!(failure.to_string().contains("quorate-machine panicked"), "{failure}");
        assert_eq!(server.stopped().await, Err(failure), "a later call returns it again");
    }
}

#[tokio::test]
async fn a_directory_serves_one_node_of_one_cluster_at_a_time() {
    let mut cluster = Cluster::start(1).await;
    let id = NodeId(1);
    let error = Server::start(cluster.config(id), Lines::default())
        .await
        .expect_err("the directory is in use");
    assert!(error.to_string().contains("in use by another process"), "{error}");
    cluster.kill(id).await;
    let mut config = cluster.config(id);
    config.cluster.0 += 1;
    let error = Server::start(config, Lines::default())
        .await
        .expect_err("the directory belongs to another cluster");
    assert!(error.to_string().contains(&CLUSTER.to_string()), "{error}");
}

#[tokio::test]
async fn plaintext_beyond_loopback_must_be_allowed() {
    let cluster = Cluster::start(1).await;
    let mut config = cluster.joining(NodeId(2));
    config.listen.set_ip([0, 0, 0, 0].into());
    let error =
        Server::start(config, Lines::default()).await.expect_err("plaintext is not allowed");
    assert!(
        matches!(error, ServerError::Config(ServerConfigError::PlaintextNotAllowed(_))),
        "{error}"
    );
}

#[tokio::test]
async fn fixed_election_timeouts_are_rejected() {
    let cluster = Cluster::start(1).await;
    let mut config = cluster.joining(NodeId(2));
    config.replica.raft.election_timeout_max = config.replica.raft.election_timeout_min;
    let error = Server::start(config, Lines::default()).await.expect_err("the timeouts are fixed");
    assert!(
        matches!(error, ServerError::Config(ServerConfigError::FixedElectionTimeout(_))),
        "{error}"
    );
}

/// A network whose listener panics.
struct PanickingNetwork;

impl Simulation for PanickingNetwork {
    fn resolve<'a>(&'a self, _: &'a str) -> Simulated<'a, Vec<SocketAddr>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }

    fn connect(&self, _: SocketAddr) -> Simulated<'_, Box<dyn Socket>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }

    fn listen(&self, _: SocketAddr) -> Simulated<'_, Box<dyn SimulatedListener>> {
        Box::pin(async { Ok(Box::new(PanickingNetwork) as Box<dyn SimulatedListener>) })
    }

    fn entropy(&self) -> u128 {
        7
    }

    fn lane_wait(&self) -> Duration {
        Duration::ZERO
    }
}

impl SimulatedListener for PanickingNetwork {
    fn accept(&self) -> Simulated<'_, (Box<dyn Socket>, SocketAddr)> {
        panic!("this listener accepts nothing")
    }

    fn address(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[tokio::test]
async fn a_node_whose_listener_panics_stops() {
    let root = tempfile::tempdir().expect("a temporary file can be created");
    let disk = FileDisk::open(root.path()).expect("the directory is empty");
    let members = [(NodeId(1), SocketAddr::from(([127, 0, 0, 1], 1)))];
    let config = ServerConfig::new(root.path(), CLUSTER, NodeId(1), members);
    let config = config.expect("the configuration is valid");
    let network = Arc::new(PanickingNetwork);
    let server = Server::start_simulated(disk, config, Lines::default(), network).await;
    let failure = server.expect("the node starts").stopped().await.expect_err("it panicked");
    assert!(failure.to_string().contains("the listener of the node panicked"), "{failure}");
    assert!(FileDisk::open(root.path()).is_ok(), "the directory is unlocked");
}
