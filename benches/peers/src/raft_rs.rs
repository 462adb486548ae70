//! Nodes of raft-rs, with its log in memory and appends batched.

use raft::prelude::{ConfState, Config, Entry, Message, RawNode};
use raft::storage::MemStorage;
use slog::{Discard, Logger, o};

use crate::{BYTES, Cluster};

struct Node {
    raft: RawNode<MemStorage>,
    inbox: Vec<Message>,
    applied: usize,
}

pub struct Nodes {
    nodes: Vec<Node>,
    outgoing: Vec<Message>,
    sent: u64,
}

impl Nodes {
    /// Returns a cluster in which node 1 leads.
    pub fn start(nodes: usize) -> Nodes {
        let ids: Vec<u64> = (1..=nodes as u64).collect();
        let start = |id: &u64| {
            let storage = MemStorage::new_with_conf_state(ConfState::from((ids.clone(), vec![])));
            let config = Config {
                id: *id,
                max_size_per_msg: 1 << 20,
                max_inflight_msgs: 256,
                ..Config::default()
            };
            let logger = Logger::root(Discard, o!());
            let mut raft = RawNode::new(&config, storage, &logger).expect("a valid configuration");
            raft.set_batch_append(true);
            Node { raft, inbox: Vec::new(), applied: 0 }
        };
        let nodes = ids.iter().map(start).collect();
        let mut cluster = Nodes { nodes, outgoing: Vec::new(), sent: 0 };
        cluster.nodes[0].raft.campaign().expect("node 1 campaigns");
        cluster.settle();
        assert_eq!(cluster.nodes[0].raft.raft.leader_id, 1, "node 1 leads");
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
                    node.raft.step(message).expect("a node accepts every message");
                }
                if !node.raft.has_ready() {
                    continue;
                }
                node.write(&mut self.outgoing);
                for message in self.outgoing.drain(..) {
                    is_idle = false;
                    self.sent += 1;
                    self.nodes[message.to as usize - 1].inbox.push(message);
                }
            }
        }
    }
}

impl Node {
    /// Writes and applies the entries of the node's `Ready`, and takes its messages.
    fn write(&mut self, outgoing: &mut Vec<Message>) {
        let mut ready = self.raft.ready();
        outgoing.append(&mut ready.take_messages());
        self.apply(ready.take_committed_entries());
        if !ready.entries().is_empty() {
            self.raft.mut_store().wl().append(ready.entries()).expect("the log takes entries");
        }
        if let Some(state) = ready.hs() {
            self.raft.mut_store().wl().set_hardstate(state.clone());
        }
        outgoing.append(&mut ready.take_persisted_messages());
        let mut light = self.raft.advance(ready);
        if let Some(committed) = light.commit_index() {
            self.raft.mut_store().wl().mut_hard_state().set_commit(committed);
        }
        outgoing.append(&mut light.take_messages());
        self.apply(light.take_committed_entries());
        self.raft.advance_apply();
    }

    fn apply(&mut self, entries: Vec<Entry>) {
        self.applied += entries.iter().filter(|entry| entry.data.len() == BYTES.len()).count();
    }
}

impl Cluster for Nodes {
    fn commit(&mut self, batch: usize) {
        let goal = self.nodes[0].applied + batch;
        for _ in 0..batch {
            self.nodes[0].raft.propose(Vec::new(), BYTES.to_vec()).expect("node 1 leads");
        }
        self.settle();
        let reached = self.nodes.iter().all(|node| node.applied == goal);
        assert!(reached, "every node has applied every command");
    }

    fn messages(&self) -> u64 {
        self.sent
    }
}
