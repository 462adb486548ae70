//! Nodes of omnipaxos, with its log in memory. A command's bytes are shared, not copied.

use std::sync::Arc;

use omnipaxos::messages::Message;
use omnipaxos::storage::{Entry, NoSnapshot};
use omnipaxos::util::LogEntry;
use omnipaxos::{ClusterConfig, OmniPaxos, OmniPaxosConfig, ServerConfig};
use omnipaxos_storage::memory_storage::MemoryStorage;

use crate::{BYTES, Cluster};

#[derive(Clone, Debug)]
struct Command(Arc<[u8]>);

impl Entry for Command {
    type Snapshot = NoSnapshot;
}

struct Node {
    paxos: OmniPaxos<Command, MemoryStorage<Command>>,
    inbox: Vec<Message<Command>>,
    applied: usize,
}

pub struct Nodes {
    nodes: Vec<Node>,
    outgoing: Vec<Message<Command>>,
    sent: u64,
}

impl Nodes {
    /// Returns a cluster in which node 1 leads.
    pub fn start(nodes: usize) -> Nodes {
        let ids: Vec<u64> = (1..=nodes as u64).collect();
        let start = |id: &u64| {
            let cluster_config =
                ClusterConfig { configuration_id: 1, nodes: ids.clone(), ..Default::default() };
            let leader_priority = u32::from(*id == 1);
            let server_config = ServerConfig { pid: *id, leader_priority, ..Default::default() };
            let config = OmniPaxosConfig { cluster_config, server_config };
            let paxos = config.build(MemoryStorage::default()).expect("a valid configuration");
            Node { paxos, inbox: Vec::new(), applied: 0 }
        };
        let nodes = ids.iter().map(start).collect();
        let mut cluster = Nodes { nodes, outgoing: Vec::new(), sent: 0 };
        while cluster.nodes[0].paxos.get_current_leader() != Some((1, true)) {
            cluster.nodes.iter_mut().for_each(|node| node.paxos.tick());
            cluster.settle();
        }
        cluster
    }

    /// Delivers messages until none is in flight: each node in turn takes all that have arrived.
    fn settle(&mut self) {
        let mut is_idle = false;
        while !is_idle {
            is_idle = true;
            for at in 0..self.nodes.len() {
                let node = &mut self.nodes[at];
                for message in node.inbox.drain(..) {
                    node.paxos.handle_incoming(message);
                }
                node.paxos.take_outgoing_messages(&mut self.outgoing);
                node.apply();
                for message in self.outgoing.drain(..) {
                    is_idle = false;
                    self.sent += 1;
                    self.nodes[message.get_receiver() as usize - 1].inbox.push(message);
                }
            }
        }
    }
}

impl Node {
    /// Reads the entries that were decided since the last call.
    fn apply(&mut self) {
        if self.paxos.get_decided_idx() > self.applied
            && let Some(entries) = self.paxos.read_decided_suffix(self.applied)
        {
            for entry in &entries {
                let LogEntry::Decided(command) = entry else { panic!("a decided entry") };
                assert_eq!(command.0.len(), BYTES.len(), "the entry is the command");
            }
            self.applied += entries.len();
        }
    }
}

impl Cluster for Nodes {
    fn commit(&mut self, batch: usize) {
        let goal = self.nodes[0].applied + batch;
        for _ in 0..batch {
            let command = Command(Arc::from(&BYTES[..]));
            self.nodes[0].paxos.append(command).expect("node 1 takes commands");
        }
        self.settle();
        let reached = self.nodes.iter().all(|node| node.applied == goal);
        assert!(reached, "every node has applied every command");
    }

    fn messages(&self) -> u64 {
        self.sent
    }
}
