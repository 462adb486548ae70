//! The requests of a program to the nodes of a running cluster.

use std::io::{self, Read};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quorate::machine::StateMachine;
use quorate::raft::RejectReason;
use quorate::runtime::{RequestError, Server};
use quorate::storage::{Disk, DiskError, FileAction, FileName};
use quorate::types::{Address, Change, Index, NodeId, ReadLevel};
use quorate_sim::disk::SimDisk;

use crate::clients::client_of;
use crate::cluster::{Cluster, Lines, eventually};

#[tokio::test]
async fn a_single_node_serves() {
    let cluster = Cluster::start(1).await;
    assert_eq!(cluster.add("alone").await, 1);
    assert_eq!(cluster.read(NodeId(1)).await, "alone\n");
}

#[tokio::test]
async fn three_nodes_apply_commands_and_each_serves_reads() {
    let cluster = Cluster::start_with_tls(3).await;
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
async fn a_follower_names_the_leader() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let follower = [1, 2, 3].map(NodeId).into_iter().find(|id| *id != leader);
    let reply = cluster.handle(follower.expect("there are three nodes")).propose(b"x").await;
    let reason = RejectReason::NotLeader { leader: Some(leader) };
    assert_eq!(reply, Err(RequestError::Rejected(reason)));
}

#[tokio::test]
async fn a_local_read_needs_no_other_node() {
    let mut cluster = Cluster::start(3).await;
    cluster.add("known").await;
    let last = cluster.leader().await;
    for id in [1, 2, 3].map(NodeId).into_iter().filter(|id| *id != last) {
        cluster.kill(id).await;
    }
    let read_reply = cluster.handle(last).read(ReadLevel::Local, b"").await;
    assert_eq!(read_reply.expect("the local read is answered").answer, b"known\n");
}

#[tokio::test]
async fn leadership_is_transferred() {
    let cluster = Cluster::start_with_tls(3).await;
    let before = cluster.leader().await;
    cluster.add("one").await;
    cluster
        .handle(before)
        .transfer_leadership(None)
        .await
        .expect("the other voters are up to date");
    eventually("another node leads", async || cluster.leader().await != before).await;
    assert_eq!(cluster.add("two").await, 2);
}

#[tokio::test]
async fn a_node_joins_and_another_leaves() {
    let mut cluster = Cluster::start_with_tls(3).await;
    for count in 1..=120 {
        cluster.add(&format!("line {count}")).await;
    }
    let config = cluster.joining(NodeId(4));
    let address = Address::new(&config.listen.to_string()).expect("the address is short");
    let server = Server::start(config, Lines::default()).await.expect("the directory is new");
    cluster.servers.insert(NodeId(4), server);
    let leader = cluster.leader_of(&[1, 2, 3]).await;
    let change = Change::new().voter(NodeId(4)).address(NodeId(4), address);
    cluster.handle(leader).change_membership(change).await.expect("the node receives the log");
    assert_eq!(cluster.read(NodeId(4)).await.lines().count(), 120);

    let leader = cluster.leader().await;
    let leaves =
        [1, 2, 3].map(NodeId).into_iter().find(|id| *id != leader).expect("two nodes are left");
    let change = Change::new().remove(leaves);
    cluster.handle(leader).change_membership(change).await.expect("the change is committed");
    let members = cluster.handle(leader).membership();
    assert!(!members.borrow().is_member(leaves));
}

/// A disk of the program's own, in memory; its clones are the same disk.
#[derive(Clone, Default)]
struct OwnDisk(Arc<Mutex<SimDisk>>);

impl Disk for OwnDisk {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        self.0.lock().expect("no panic").list()
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        self.0.lock().expect("no panic").execute(action)
    }
}

#[tokio::test]
async fn a_node_continues_from_a_disk_of_the_programs_own() {
    let (cluster, disk) = (Cluster::unstarted(1), OwnDisk::default());
    for line in ["1", "2"] {
        let config = cluster.config(NodeId(1));
        let directory = config.directory.clone();
        let server = Server::start_on_disk(disk.clone(), config, Lines::default()).await;
        let server = server.expect("the disk is that of the node");
        let handle = server.handle();
        eventually("the node applies a line", async || {
            handle.propose(b"line").await.is_ok_and(|count| count[..] == *line.as_bytes())
        })
        .await;
        server.shutdown().await.expect("no failure");
        assert!(!directory.exists(), "the node uses no other disk");
    }
}

/// A state machine whose queries take a while.
#[derive(Debug)]
struct Slow;

impl StateMachine for Slow {
    fn apply(&mut self, _: Index, _: &[u8]) -> Vec<u8> {
        Vec::new()
    }
    fn query(&self, _: &[u8]) -> Vec<u8> {
        std::thread::park_timeout(Duration::from_micros(100));
        Vec::new()
    }
    fn snapshot(&self) -> Box<dyn Read + Send> {
        Box::new(io::empty())
    }
    fn restore(&mut self, _: &mut dyn Read) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_always_has_work_accepts_connections() {
    let mut cluster = Cluster::unstarted(1);
    let mut config = cluster.config(NodeId(1));
    config.inline_machine = true;
    let server = Server::start(config, Slow).await.expect("the directory is new");
    cluster.servers.insert(NodeId(1), server);
    cluster.leader().await;
    let callers: Vec<_> = (0..600)
        .map(|_| {
            let handle = cluster.handle(NodeId(1));
            tokio::spawn(async move { while handle.read(ReadLevel::Local, b"").await.is_ok() {} })
        })
        .collect();
    let client = client_of(&cluster, [1]);
    let answered = client.read(ReadLevel::Local, b"").await;
    callers.iter().for_each(tokio::task::JoinHandle::abort);
    answered.expect("a connection is accepted");
}
