//! A few servers on loopback, each with a directory of its own.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read};
use std::net::SocketAddr;
use std::time::Duration;

use crate::addresses::free_address;
use quorate::machine::StateMachine;
#[cfg(feature = "certs")]
use quorate::runtime::certs::Directory;
use quorate::runtime::{AskError, Handle, Refusal, Server, ServerConfig};
#[cfg(feature = "certs")]
use quorate::runtime::{Principal, Role};
use quorate::storage::ClusterId;
use quorate::types::{Index, NodeId, ReadLevel};
use tempfile::TempDir;

pub(crate) const CLUSTER: ClusterId = ClusterId(0x5e_55_10);

/// Longer than anything here takes; only a test that fails waits so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The state machine: lines, one after the other. Its reply to each is how many there are.
#[derive(Debug, Default)]
pub(crate) struct Lines(Vec<u8>, u64);

impl StateMachine for Lines {
    fn apply(&mut self, _: Index, command: &[u8]) -> Vec<u8> {
        assert!(command != b"panic", "it was asked to");
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

/// The servers that run, and the directories of all.
pub(crate) struct Cluster {
    root: TempDir,
    members: Vec<(NodeId, SocketAddr)>,
    /// Whether its nodes speak TLS, where that is built in.
    safe: bool,
    pub(crate) servers: BTreeMap<NodeId, Server>,
}

impl Cluster {
    /// Starts nodes 1 to `count`, which found their cluster.
    pub(crate) async fn start(count: u64) -> Cluster {
        Cluster::unstarted(count).start_all(count).await
    }

    /// The same with TLS.
    pub(crate) async fn start_safe(count: u64) -> Cluster {
        Cluster { safe: true, ..Cluster::unstarted(count) }.start_all(count).await
    }

    async fn start_all(mut self, count: u64) -> Cluster {
        for id in (1..=count).map(NodeId) {
            self.restart(id).await;
        }
        self
    }

    /// Nodes 1 to `count`, none of which runs yet.
    pub(crate) fn unstarted(count: u64) -> Cluster {
        let members = (1..=count).map(|id| (NodeId(id), free_address())).collect();
        let root = TempDir::new().expect("there is room");
        Cluster { root, members, safe: false, servers: BTreeMap::new() }
    }

    pub(crate) fn config(&self, id: NodeId) -> ServerConfig {
        let directory = self.root.path().join(id.to_string());
        let members = self.members.iter().copied();
        let mut config =
            ServerConfig::new(directory, CLUSTER, id, members).expect("it is a member");
        small(&mut config);
        self.secure(&mut config, id);
        config
    }

    /// A configuration of a node that is no member yet.
    pub(crate) fn joining(&self, id: NodeId) -> ServerConfig {
        let directory = self.root.path().join(id.to_string());
        let members = self.members.iter().copied();
        let own = (id, free_address());
        let mut config = ServerConfig::joining(directory, CLUSTER, own, members);
        small(&mut config);
        self.secure(&mut config, id);
        config
    }

    #[cfg(feature = "certs")]
    fn secure(&self, config: &mut ServerConfig, id: NodeId) {
        if self.safe {
            let issued = self.certs().issue(CLUSTER, &Principal::Node(id), 1);
            let mut tls = issued.expect("there is room");
            let nobody = self.certs().authority(Role::Node).and_then(|all| all.revoke(&[]));
            std::fs::write(self.revoked(), nobody.expect("it can be made")).expect("there is room");
            tls.revoked = Some(self.revoked());
            config.tls = Some(tls);
        }
    }

    /// Which certificates were taken back.
    #[cfg(feature = "certs")]
    pub(crate) fn revoked(&self) -> std::path::PathBuf {
        self.root.path().join("revoked.pem")
    }

    #[cfg(not(feature = "certs"))]
    fn secure(&self, _: &mut ServerConfig, _: NodeId) {
        assert!(!self.safe || !cfg!(feature = "tls"), "it has certificates to test with");
    }

    /// Where its certificates are.
    #[cfg(feature = "certs")]
    pub(crate) fn certs(&self) -> Directory {
        Directory::open(self.root.path().join("certs")).expect("there is room")
    }

    pub(crate) async fn restart(&mut self, id: NodeId) {
        let server = Server::start(self.config(id), Lines::default()).await;
        self.servers.insert(id, server.expect("the directory is the node's"));
    }

    /// The server is gone, as if its process had died.
    pub(crate) async fn kill(&mut self, id: NodeId) {
        drop(self.servers.remove(&id).expect("it runs"));
        // Its threads let go of the directory once they have heard of it.
        let config = self.config(id);
        eventually("the directory is free", async || {
            quorate::storage::FileDisk::open(&config.directory).is_ok()
        })
        .await;
    }

    /// Where the node is reached.
    pub(crate) fn address(&self, id: NodeId) -> SocketAddr {
        let member = self.members.iter().find(|(member, _)| *member == id);
        member.expect("it is one of the first").1
    }

    pub(crate) fn handle(&self, id: NodeId) -> Handle {
        self.servers[&id].handle()
    }

    /// Whoever leads, once somebody does and all others that run follow.
    pub(crate) async fn leader(&self) -> NodeId {
        let all: Vec<u64> = self.servers.keys().map(|id| id.0).collect();
        self.leader_of(&all).await
    }

    /// The same of these alone.
    pub(crate) async fn leader_of(&self, ids: &[u64]) -> NodeId {
        let mut leader = None;
        eventually("all that run have one leader", async || {
            let known = |id: &u64| self.handle(NodeId(*id)).leadership().borrow().leader;
            leader = known(&ids[0]);
            leader.is_some_and(|id| ids.contains(&id.0)) && ids.iter().all(|id| known(id) == leader)
        })
        .await;
        leader.expect("it was waited for")
    }

    /// Adds a line, at whoever leads; asks again where nothing happened.
    pub(crate) async fn add(&self, line: &str) -> u64 {
        let mut reply = None;
        eventually("a line is added", async || {
            match self.handle(self.leader().await).propose(line.as_bytes()).await {
                Ok(bytes) => {
                    let text = String::from_utf8(bytes.to_vec()).expect("it is a number");
                    reply = text.parse().ok();
                    true
                }
                Err(AskError::Rejected(_)) => false,
                Err(error) => panic!("{line}: {error}"),
            }
        })
        .await;
        reply.expect("it was waited for")
    }

    /// What a linearizable read at the node gives.
    pub(crate) async fn read(&self, id: NodeId) -> String {
        let mut lines = None;
        eventually("a read is answered", async || {
            let read = self.handle(id).read(ReadLevel::Linearizable, b"").await;
            lines = read.ok().map(|answered| answered.answer);
            lines.is_some()
        })
        .await;
        String::from_utf8(lines.expect("it was waited for")).expect("lines are text")
    }
}

/// Waits until the server has refused somebody for that reason.
pub(crate) async fn refused(handle: &Handle, why: Refusal) {
    let what = format!("it is counted as {}", why.name());
    eventually(&what, async || refusals(handle, why) > 0).await;
}

/// How often the server has refused somebody for that reason.
pub(crate) fn refusals(handle: &Handle, why: Refusal) -> u64 {
    handle.refusals().into_iter().find(|(each, _)| *each == why).map_or(0, |(_, count)| count)
}

/// Waits until it is so.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "this never comes: {what}");
}

/// Small files, frequent snapshots, every other state machine on its node's own thread, and one
/// node in three that looks out for what comes next before it sleeps.
fn small(config: &mut ServerConfig) {
    let replica = &mut config.replica;
    replica.storage.segment_bytes = 16 << 20;
    replica.storage.segments_ahead = 1;
    replica.snapshot_entries = 50;
    replica.trailing_entries = 10;
    // Both ways of asking it, in every cluster.
    config.inline_machine = config.replica.raft.id.0.is_multiple_of(2);
    if config.replica.raft.id.0.is_multiple_of(3) {
        config.poll_max = Duration::from_micros(200);
    }
}
