//! A cluster of servers on loopback, each with a directory of its own.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::net::SocketAddr;
use std::time::Duration;

use crate::addresses::free_address;
use quorate::machine::StateMachine;
#[cfg(feature = "certs")]
use quorate::runtime::certs::Directory;
use quorate::runtime::{ConnectionRejectReason, Handle, RequestError, Server, ServerConfig};
#[cfg(feature = "certs")]
use quorate::runtime::{Principal, Role};
use quorate::storage::ClusterId;
use quorate::types::{Index, NodeId, ReadLevel};
use tempfile::TempDir;

pub(crate) const CLUSTER: ClusterId = ClusterId(0x5e_55_10);

/// The time limit of each wait; only a failing test reaches it.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A state machine that stores lines, and replies to each with the number of lines so far.
#[derive(Debug, Default)]
pub(crate) struct Lines(Vec<u8>, u64);

impl StateMachine for Lines {
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        assert!(command != b"panic", "the test asked for a panic");
        self.0.extend(command);
        self.0.push(b'\n');
        self.1 += 1;
        self.1.to_string().into_bytes()
    }
    fn query(&self, _: &[u8]) -> Vec<u8> {
        self.0.clone()
    }
    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(Cursor::new(self.0.clone()))
    }
    fn restore(&mut self, snapshot: &mut dyn Read) -> io::Result<()> {
        self.0.clear();
        snapshot.read_to_end(&mut self.0)?;
        self.1 = self.0.iter().filter(|byte| **byte == b'\n').count() as u64;
        Ok(())
    }
}

/// The running servers, and the directories of all nodes.
pub(crate) struct Cluster {
    root: TempDir,
    members: Vec<(NodeId, SocketAddr)>,
    /// Whether the nodes use TLS, if the feature is enabled.
    tls: bool,
    pub(crate) servers: BTreeMap<NodeId, Server>,
}

impl Cluster {
    /// Starts nodes 1 to `count`, which bootstrap the cluster.
    pub(crate) async fn start(count: u64) -> Cluster {
        Cluster::unstarted(count).start_all(count).await
    }

    /// Starts nodes 1 to `count` with TLS.
    pub(crate) async fn start_with_tls(count: u64) -> Cluster {
        Cluster::unstarted_with_tls(count).start_all(count).await
    }

    /// Returns a cluster with TLS of nodes 1 to `count` that are not started.
    pub(crate) fn unstarted_with_tls(count: u64) -> Cluster {
        Cluster { tls: true, ..Cluster::unstarted(count) }
    }

    async fn start_all(mut self, count: u64) -> Cluster {
        for id in (1..=count).map(NodeId) {
            self.restart(id).await;
        }
        self
    }

    /// Returns a cluster of nodes 1 to `count` that are not started.
    pub(crate) fn unstarted(count: u64) -> Cluster {
        let members = (1..=count).map(|id| (NodeId(id), free_address())).collect();
        let root = TempDir::new().expect("the directory is writable");
        Cluster { root, members, tls: false, servers: BTreeMap::new() }
    }

    pub(crate) fn config(&self, id: NodeId) -> ServerConfig {
        let directory = self.root.path().join(id.to_string());
        let members = self.members.iter().copied();
        let mut config =
            ServerConfig::new(directory, CLUSTER, id, members).expect("the node is a member");
        use_small_limits(&mut config);
        self.add_tls(&mut config, id);
        config
    }

    /// Returns the configuration of a node that is not a member yet.
    pub(crate) fn joining(&self, id: NodeId) -> ServerConfig {
        let directory = self.root.path().join(id.to_string());
        let members = self.members.iter().copied();
        let mut config = ServerConfig::joining(directory, CLUSTER, id, free_address(), members);
        use_small_limits(&mut config);
        self.add_tls(&mut config, id);
        config
    }

    #[cfg(feature = "certs")]
    fn add_tls(&self, config: &mut ServerConfig, id: NodeId) {
        if self.tls {
            let issued = self.certs().issue(CLUSTER, &Principal::Node(id), 1);
            let mut tls = issued.expect("the directory is writable");
            let empty_list = self.certs().authority(Role::Node).and_then(|all| all.revoke(&[]));
            std::fs::write(self.revoked(), empty_list.expect("it can be generated"))
                .expect("the directory is writable");
            tls.revocation_lists = Some(self.revoked());
            config.tls = Some(tls);
        }
    }

    /// Returns the path of the revocation lists.
    #[cfg(feature = "certs")]
    pub(crate) fn revoked(&self) -> std::path::PathBuf {
        self.root.path().join("revoked.pem")
    }

    #[cfg(not(feature = "certs"))]
    fn add_tls(&self, _: &mut ServerConfig, _: NodeId) {
        assert!(!self.tls || !cfg!(feature = "tls"), "TLS tests need the feature `certs`");
    }

    /// Returns the directory of the certificates.
    #[cfg(feature = "certs")]
    pub(crate) fn certs(&self) -> Directory {
        Directory::open(self.root.path().join("certs")).expect("the directory is writable")
    }

    pub(crate) async fn restart(&mut self, id: NodeId) {
        let server = Server::start(self.config(id), Lines::default()).await;
        self.servers.insert(id, server.expect("the directory belongs to the node"));
    }

    /// Drops the server, as if its process had crashed.
    pub(crate) async fn kill(&mut self, id: NodeId) {
        drop(self.servers.remove(&id).expect("the node runs"));
        // The threads of the server close the directory shortly after the drop.
        let config = self.config(id);
        eventually("the directory is unlocked", async || {
            quorate::storage::FileDisk::open(&config.directory).is_ok()
        })
        .await;
    }

    /// Returns the address of the node.
    pub(crate) fn address(&self, id: NodeId) -> SocketAddr {
        let member = self.members.iter().find(|(member, _)| *member == id);
        member.expect("the node is an initial member").1
    }

    pub(crate) fn handle(&self, id: NodeId) -> Handle {
        self.servers[&id].handle()
    }

    /// Waits until all running nodes follow one leader, and returns it.
    pub(crate) async fn leader(&self) -> NodeId {
        let all: Vec<u64> = self.servers.keys().map(|id| id.0).collect();
        self.leader_of(&all).await
    }

    /// Waits until these nodes follow one leader, and returns it.
    pub(crate) async fn leader_of(&self, ids: &[u64]) -> NodeId {
        let mut leader = None;
        eventually("all running nodes have one leader", async || {
            let known = |id: &u64| self.handle(NodeId(*id)).leadership().borrow().leader;
            leader = known(&ids[0]);
            leader.is_some_and(|id| ids.contains(&id.0)) && ids.iter().all(|id| known(id) == leader)
        })
        .await;
        leader.expect("it was awaited")
    }

    /// Proposes a line to the leader, again while it is rejected, and returns the reply.
    pub(crate) async fn add(&self, line: &str) -> u64 {
        let mut reply = None;
        eventually("a line is added", async || {
            match self.handle(self.leader().await).propose(line.as_bytes()).await {
                Ok(bytes) => {
                    let text = String::from_utf8(bytes.to_vec()).expect("the reply is a number");
                    reply = text.parse().ok();
                    true
                }
                Err(RequestError::Rejected(_)) => false,
                Err(error) => panic!("{line}: {error}"),
            }
        })
        .await;
        reply.expect("it was awaited")
    }

    /// Returns the answer of a linearizable read at the node.
    pub(crate) async fn read(&self, id: NodeId) -> String {
        let mut lines = None;
        eventually("a read is answered", async || {
            let read = self.handle(id).read(ReadLevel::Linearizable, b"").await;
            lines = read.ok().map(|read_reply| read_reply.answer);
            lines.is_some()
        })
        .await;
        String::from_utf8(lines.expect("it was awaited")).expect("lines are text")
    }
}

/// Waits until the server has counted a connection for that reason.
pub(crate) async fn wait_rejected(handle: &Handle, reason: ConnectionRejectReason) {
    let expected = format!("it is counted as {}", reason.name());
    eventually(&expected, async || rejected_count(handle, reason) > 0).await;
}

/// Returns the number of connections that the server has counted for that reason.
pub(crate) fn rejected_count(handle: &Handle, reason: ConnectionRejectReason) -> u64 {
    handle
        .rejected_connections()
        .into_iter()
        .find(|(each, _)| *each == reason)
        .map_or(0, |(_, count)| count)
}

/// Waits until the condition holds.
pub(crate) async fn eventually(condition_text: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(TEST_TIMEOUT, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "timed out waiting for: {condition_text}");
}

/// Sets small files and frequent snapshots, an inline state machine on every second node, and busy
/// polling on every third.
fn use_small_limits(config: &mut ServerConfig) {
    let replica = &mut config.replica;
    replica.storage.segment_bytes = 16 << 20;
    replica.storage.spare_segments = 1;
    replica.snapshot_entries = 50;
    replica.trailing_entries = 10;
    config.recording_bytes = 1 << 20;
    // Every cluster covers both ways of calling the state machine.
    config.inline_machine = config.replica.raft.id.0.is_multiple_of(2);
    if config.replica.raft.id.0.is_multiple_of(3) {
        config.busy_poll_max = Duration::from_micros(200);
    }
}
