//! Nodes of quorate's core.

use quorate::raft::{Action, Config, Input, Raft};
use quorate::types::{
    Acknowledge, Command, Index, Instant, Membership, NodeId, Proposal, Restored, Tag, WriteId,
};

use crate::{BYTES, Cluster};

/// Takes the place of an action that was carried out.
const DONE: Action = Action::LogCertain;

struct Node {
    raft: Raft,
    /// The last write that is not flushed yet, and the last batch that is not applied yet.
    unflushed: Option<WriteId>,
    unapplied: Option<Index>,
    applied: Index,
}

/// The network between the nodes, and the driver's counters.
struct World {
    /// The messages that have arrived at each node.
    inboxes: Vec<Vec<Input>>,
    actions: Vec<Action>,
    committed: usize,
    sent: u64,
}

pub struct Nodes {
    nodes: Vec<Node>,
    world: World,
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
                unflushed: None,
                unapplied: None,
                applied: Index::ZERO,
            }
        };
        let inboxes = ids.iter().map(|_| Vec::new()).collect();
        let world = World { inboxes, actions: Vec::new(), committed: 0, sent: 0 };
        let mut cluster = Nodes { nodes: ids.iter().map(start).collect(), world };
        cluster.nodes[0].step(Input::Campaign, &mut cluster.world);
        cluster.settle();
        assert_eq!(cluster.nodes[0].raft.status().committed, Index(1), "node 1 leads");
        cluster
    }

    /// Delivers messages until none is in flight: each node in turn takes all that have arrived,
    /// then flushes its disk and applies the committed entries.
    fn settle(&mut self) {
        let world = &mut self.world;
        let mut is_idle = false;
        while !is_idle {
            is_idle = true;
            for (at, node) in self.nodes.iter_mut().enumerate() {
                if !world.inboxes[at].is_empty() {
                    is_idle = false;
                    let mut inbox = std::mem::take(&mut world.inboxes[at]);
                    for input in inbox.drain(..) {
                        node.step(input, world);
                    }
                    world.inboxes[at] = inbox;
                }
                if let Some(write) = node.unflushed.take() {
                    is_idle = false;
                    node.step(Input::Persisted(write), world);
                }
                while let Some(last) = node.unapplied.take() {
                    is_idle = false;
                    node.applied = last;
                    node.step(Input::Applied(last), world);
                }
            }
        }
    }
}

impl Node {
    fn step(&mut self, input: Input, world: &mut World) {
        self.raft.step(Instant::ZERO, input, &mut world.actions);
        for action in world.actions.iter_mut() {
            match action {
                Action::Send(message) => {
                    world.sent += 1;
                    let inbox = &mut world.inboxes[message.to.0 as usize - 1];
                    if let Action::Send(message) = std::mem::replace(action, DONE) {
                        inbox.push(Input::Message(message));
                    }
                }
                Action::Persist(write) => self.unflushed = Some(write.id),
                Action::Apply(entries) => {
                    let last = entries.last().expect("a batch is never empty").id.index;
                    self.unapplied = Some(last);
                }
                Action::Committed { .. } => world.committed += 1,
                Action::Rejected { reason, .. } => panic!("a proposal was rejected: {reason}"),
                _ => {}
            }
        }
        world.actions.clear();
    }
}

impl Cluster for Nodes {
    fn commit(&mut self, batch: usize) {
        let goal = (self.world.committed + batch, self.nodes[0].applied.0 + batch as u64);
        let propose = |_| Proposal {
            tag: Tag(0),
            acknowledge: Acknowledge::Quorum,
            command: Command::from(&BYTES[..]),
        };
        let proposals = (0..batch).map(propose).collect();
        self.nodes[0].step(Input::Propose(proposals), &mut self.world);
        self.settle();
        assert_eq!(self.world.committed, goal.0, "every proposal is committed");
        let reached = self.nodes.iter().all(|node| node.applied.0 == goal.1);
        assert!(reached, "every node has applied every command");
    }

    fn messages(&self) -> u64 {
        self.world.sent
    }
}
