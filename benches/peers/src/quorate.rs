//! Nodes of quorate's core.

use quorate::raft::{Action, Config, Input, Raft};
use quorate::types::{
    Acknowledge, Command, Index, Instant, Membership, Message, NodeId, Proposal, Restored, Tag,
    WriteId,
};

use crate::{BYTES, Cluster};

struct Node {
    raft: Raft,
    inbox: Vec<Message>,
    /// The last write that is not flushed yet, and the last batch that is not applied yet.
    unflushed: Option<WriteId>,
    unapplied: Option<Index>,
    applied: Index,
}

pub struct Nodes {
    nodes: Vec<Node>,
    actions: Vec<Action>,
    committed: usize,
    sent: u64,
}

impl Nodes {
    /// Returns a cluster in which node 1 leads.
    pub fn start(nodes: usize) -> Nodes {
        let ids: Vec<NodeId> = (1..=nodes as u64).map(NodeId).collect();
        let start = |id: &NodeId| {
            let disk = Restored::fresh(Membership::new(ids.iter().copied()));
            let raft = Raft::new(Config::new(*id), disk, id.0, Instant::ZERO);
            Node {
                raft: raft.expect("a valid start"),
                inbox: Vec::new(),
                unflushed: None,
                unapplied: None,
                applied: Index::ZERO,
            }
        };
        let nodes = ids.iter().map(start).collect();
        let mut cluster = Nodes { nodes, actions: Vec::new(), committed: 0, sent: 0 };
        cluster.step(0, Input::Campaign);
        cluster.settle();
        assert_eq!(cluster.nodes[0].raft.status().committed, Index(1), "node 1 leads");
        cluster
    }

    /// Delivers messages until none is in flight: each node in turn takes all that have arrived,
    /// then flushes its disk and applies what is committed.
    fn settle(&mut self) {
        let mut is_idle = false;
        while !is_idle {
            is_idle = true;
            for at in 0..self.nodes.len() {
                let mut inbox = std::mem::take(&mut self.nodes[at].inbox);
                for message in inbox.drain(..) {
                    is_idle = false;
                    self.step(at, Input::Message(message));
                }
                self.nodes[at].inbox = inbox;
                if let Some(write) = self.nodes[at].unflushed.take() {
                    is_idle = false;
                    self.step(at, Input::Persisted(write));
                }
                while let Some(last) = self.nodes[at].unapplied.take() {
                    is_idle = false;
                    self.nodes[at].applied = last;
                    self.step(at, Input::Applied(last));
                }
            }
        }
    }

    fn step(&mut self, at: usize, input: Input) {
        self.nodes[at].raft.step(Instant::ZERO, input, &mut self.actions);
        for action in self.actions.drain(..) {
            match action {
                Action::Send(message) => {
                    self.sent += 1;
                    self.nodes[message.to.0 as usize - 1].inbox.push(message);
                }
                Action::Persist(write) => self.nodes[at].unflushed = Some(write.id),
                Action::Apply(entries) => {
                    let last = entries.last().expect("a batch is never empty").id.index;
                    self.nodes[at].unapplied = Some(last);
                }
                Action::Committed { .. } => self.committed += 1,
                Action::Rejected { reason, .. } => panic!("a proposal was rejected: {reason}"),
                _ => {}
            }
        }
    }
}

impl Cluster for Nodes {
    fn commit(&mut self, batch: usize) {
        let goal = (self.committed + batch, self.nodes[0].applied.0 + batch as u64);
        let propose = |_| Proposal {
            tag: Tag(0),
            acknowledge: Acknowledge::Quorum,
            command: Command::from(&BYTES[..]),
        };
        self.step(0, Input::Propose((0..batch).map(propose).collect()));
        self.settle();
        assert_eq!(self.committed, goal.0, "every proposal is committed");
        let reached = self.nodes.iter().all(|node| node.applied.0 == goal.1);
        assert!(reached, "every node has applied every command");
    }

    fn messages(&self) -> u64 {
        self.sent
    }
}
