//! Packets that another transport than sockets carries.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use quorate::runtime::{Inlet, Server, Transport};
use quorate::types::{NodeId, Packet, ReadLevel};
use quorate::wire::{decode, encode};
use tokio::sync::mpsc;

use crate::cluster::{Cluster, Lines, eventually};

/// Everybody's way in, as soon as it is there.
type Inlets = Arc<Mutex<BTreeMap<NodeId, Inlet>>>;

/// Carries packets within the process, as bytes.
struct Mesh(mpsc::Sender<(NodeId, Vec<u8>)>);

impl Transport for Mesh {
    fn send(&mut self, packet: Packet) {
        let mut bytes = Vec::new();
        encode(&packet, &mut bytes).expect("it is within the bounds");
        let _ = self.0.try_send((packet.to(), bytes));
    }
}

async fn carry(mut queue: mpsc::Receiver<(NodeId, Vec<u8>)>, inlets: Inlets) {
    while let Some((to, bytes)) = queue.recv().await {
        let packet = decode(&bytes).expect("nothing is changed on the way");
        let inlet = inlets.lock().expect("nobody panics").get(&to).cloned();
        if let Some(inlet) = inlet {
            inlet.receive(packet).await;
        }
    }
}

#[tokio::test]
async fn three_nodes_run_over_another_transport() {
    let inlets = Inlets::default();
    let mut cluster = Cluster::unstarted(3);
    for id in [1, 2, 3].map(NodeId) {
        let (sender, queue) = mpsc::channel(1024);
        tokio::spawn(carry(queue, Arc::clone(&inlets)));
        let config = cluster.config(id);
        let disk = quorate::storage::FileDisk::open(&config.directory).expect("it is free");
        let started = Server::start_over(disk, config, Lines::default(), Mesh(sender));
        let (server, inlet) = started.expect("the directory is the node's");
        inlets.lock().expect("nobody panics").insert(id, inlet);
        cluster.servers.insert(id, server);
    }
    assert_eq!(cluster.add("carried").await, 1);
    eventually("every node has it", async || {
        let mut all = true;
        for id in [1, 2, 3].map(NodeId) {
            let answered = cluster.handle(id).read(ReadLevel::Local, b"").await;
            all &= answered.is_ok_and(|answered| answered.answer == b"carried\n");
        }
        all
    })
    .await;
}
