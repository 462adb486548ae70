//! A cluster over a transport other than TCP sockets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use quorate::runtime::{PacketInbox, Server, Transport};
use quorate::types::{NodeId, Packet, ReadLevel};
use quorate::wire::{decode, encode};
use tokio::sync::mpsc;

use crate::cluster::{Cluster, Lines, eventually};

/// The inboxes of all started nodes.
type Inboxes = Arc<Mutex<BTreeMap<NodeId, PacketInbox>>>;

/// Carries encoded packets within the process.
struct Mesh(mpsc::Sender<(NodeId, Vec<u8>)>);

impl Transport for Mesh {
    fn send(&mut self, packet: Packet) {
        let mut bytes = Vec::new();
        encode(&packet, &mut bytes).expect("the packet is short");
        let _ = self.0.try_send((packet.to(), bytes));
    }
}

async fn deliver_packets(mut queue: mpsc::Receiver<(NodeId, Vec<u8>)>, inboxes: Inboxes) {
    while let Some((to, bytes)) = queue.recv().await {
        let packet = decode(&bytes).expect("packets are not altered");
        let inbox = inboxes.lock().expect("no panic").get(&to).cloned();
        if let Some(inbox) = inbox {
            inbox.deliver(packet).await;
        }
    }
}

/// A transport that fails with a panic.
struct Broken;

impl Transport for Broken {
    fn send(&mut self, packet: Packet) {
        panic!("{packet:?} cannot be sent");
    }
}

#[cfg(feature = "metrics")]
#[tokio::test]
async fn a_node_whose_driver_panics_is_reported_as_stopped() {
    let cluster = Cluster::unstarted(3);
    let config = cluster.config(NodeId(1));
    let disk = quorate::storage::FileDisk::open(&config.directory).expect("it is unlocked");
    let started = Server::start_with_transport(disk, config, Lines::default(), Broken);
    let (mut server, _inbox) = started.expect("the directory belongs to the node");
    let metrics = server.handle().metrics();
    let failure = server.stopped().await.expect_err("the first packet cannot be sent");
    assert!(failure.to_string().contains("driver"), "{failure}");
    assert!(metrics.summary().stopped);
}

#[tokio::test]
async fn three_nodes_run_over_another_transport() {
    let inboxes = Inboxes::default();
    let mut cluster = Cluster::unstarted(3);
    for id in [1, 2, 3].map(NodeId) {
        let (sender, queue) = mpsc::channel(1024);
        tokio::spawn(deliver_packets(queue, Arc::clone(&inboxes)));
        let config = cluster.config(id);
        let disk =
            quorate::storage::FileDisk::open(&config.directory).expect("the directory is unlocked");
        let started = Server::start_with_transport(disk, config, Lines::default(), Mesh(sender));
        let (server, inbox) = started.expect("the directory belongs to the node");
        inboxes.lock().expect("no panic").insert(id, inbox);
        cluster.servers.insert(id, server);
    }
    assert_eq!(cluster.add("carried").await, 1);
    eventually("every node has applied it", async || {
        let mut all = true;
        for id in [1, 2, 3].map(NodeId) {
            let read_reply = cluster.handle(id).read(ReadLevel::Local, b"").await;
            all &= read_reply.is_ok_and(|read_reply| read_reply.answer == b"carried\n");
        }
        all
    })
    .await;
}
