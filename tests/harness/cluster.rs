//! The cluster: nodes and the network between them, and the operations tests are written in.

use core::time::Duration;
use std::collections::BTreeMap;

use quorate::raft::{Config, Input, RoleName};
use quorate::types::{
    Acknowledge, Body, Change, Command, Entry, EntryId, Incarnation, Index, Membership, Message,
    NodeId, ReadLevel, Restored, Tag,
};

use super::network::{Kind, Network};
use super::node::Node;
use super::safety::Safety;
use super::{TICK, plain, voters};

/// No test delivers more messages; one that does goes round in circles.
const DELIVERIES_MAX: u64 = 20_000;

pub(crate) struct Cluster {
    nodes: BTreeMap<NodeId, Node>,
    pub(crate) network: Network,
    safety: Safety,
    holding: bool,
    /// How many messages were delivered so far.
    delivered: u64,
    tags: u64,
}

impl Cluster {
    /// Nodes that are about to be added one by one.
    pub(crate) fn empty() -> Cluster {
        Cluster {
            nodes: BTreeMap::new(),
            network: Network::default(),
            safety: Safety::default(),
            holding: false,
            delivered: 0,
            tags: 0,
        }
    }

    /// A new cluster of the voters 1 to `count`, with the plain protocol of the paper.
    pub(crate) fn new(count: u64) -> Cluster {
        Cluster::configured(count, |_| {})
    }

    /// The same, with every node's configuration changed.
    pub(crate) fn configured(count: u64, change: impl Fn(&mut Config)) -> Cluster {
        let mut cluster = Cluster::empty();
        for id in voters(count).voters() {
            let mut config = plain(id);
            change(&mut config);
            cluster.add(config, Restored::fresh(voters(count)));
        }
        cluster
    }

    /// Voters, the first being node 1, that start from what their disks hold.
    pub(crate) fn stored(disks: impl IntoIterator<Item = Restored>) -> Cluster {
        let mut cluster = Cluster::empty();
        for (id, restored) in (1..).map(NodeId).zip(disks) {
            cluster.add(plain(id), restored);
        }
        cluster
    }

    pub(crate) fn add(&mut self, config: Config, restored: Restored) {
        self.insert(Node::start(config, restored));
    }

    /// Adds a node whose election timeouts are those of `seed`.
    pub(crate) fn add_seeded(&mut self, config: Config, restored: Restored, seed: u64) {
        self.insert(Node::seeded(config, restored, seed));
    }

    fn insert(&mut self, node: Node) {
        let id = node.config().id;
        let replaced = self.nodes.insert(id, node);
        assert!(replaced.is_none(), "{id} is there already");
        self.watch(id);
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(&id).unwrap_or_else(|| panic!("there is no {id}"))
    }

    /// A node to be changed; call [`Cluster::settle`] afterwards if it may have sent something.
    pub(crate) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).unwrap_or_else(|| panic!("there is no {id}"))
    }

    pub(crate) fn ids(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().map(|(id, node)| (*id, node))
    }

    /// Gives one node an input, and the network what it sends.
    pub(crate) fn input(&mut self, id: NodeId, input: Input) {
        self.node_mut(id).input(input);
        self.watch(id);
    }

    /// Puts on the network what a node has sent, and checks what must always hold.
    fn watch(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.is_up()) else { return };
        for message in node.take_sent() {
            self.safety.observe_sent(&message);
            self.network.send(message);
        }
        self.safety.observe(id, node);
    }

    /// Delivers messages until all is quiet, unless the network is held.
    pub(crate) fn settle(&mut self) {
        for id in self.ids() {
            self.watch(id);
        }
        if !self.holding {
            self.run();
        }
        self.safety.check_logs(&self.nodes);
    }

    /// Delivers messages until all is quiet, held or not.
    pub(crate) fn run(&mut self) {
        while self.deliver_next() {}
    }

    fn deliver(&mut self, message: Message) {
        self.delivered += 1;
        assert!(self.delivered <= DELIVERIES_MAX, "the cluster never falls silent");
        let to = message.to;
        if self.nodes.get(&to).is_some_and(Node::is_up) {
            self.input(to, Input::Message(message));
        }
    }

    /// From now on messages wait until the test delivers them.
    pub(crate) fn hold(&mut self) {
        self.holding = true;
    }

    /// Ends [`Cluster::hold`] and delivers what waited.
    pub(crate) fn release(&mut self) {
        self.holding = false;
        self.settle();
    }

    /// Delivers the oldest message that waits; says whether there was one.
    pub(crate) fn deliver_next(&mut self) -> bool {
        let next = self.network.next();
        let delivered = next.is_some();
        next.into_iter().for_each(|message| self.deliver(message));
        delivered
    }

    /// Delivers the messages of these kinds that wait now, but not what they cause.
    pub(crate) fn deliver_kinds(&mut self, kinds: &[Kind]) {
        self.deliver_where(|message| kinds.contains(&Kind::of(&message.body)));
    }

    /// Delivers the wanted messages that wait now, but not what they cause.
    pub(crate) fn deliver_where(&mut self, wanted: impl Fn(&Message) -> bool) {
        for message in self.network.take(wanted) {
            if self.network.carries(&message) {
                self.deliver(message);
            }
        }
    }

    pub(crate) fn campaign(&mut self, id: NodeId) {
        self.input(id, Input::Campaign);
        self.settle();
    }

    /// Makes `id` leader of the next term, and fails the test if it does not become so.
    pub(crate) fn elect(&mut self, id: NodeId) {
        self.campaign(id);
        assert!(self.node(id).leads(), "{id} wins its election");
    }

    /// Lets these campaign in turn until one of them leads, as some log is always most up to date.
    pub(crate) fn elect_up_to_date(&mut self, candidates: &[NodeId]) {
        for id in candidates.iter().cycle().take(4) {
            if self.leaders().is_empty() {
                self.campaign(*id);
            }
        }
        assert_eq!(self.leaders().len(), 1, "one of them is elected");
    }

    /// Delivers an append of the leader's that the test makes up; the answer goes to the network.
    pub(crate) fn give(&mut self, leader: NodeId, to: NodeId, prev: EntryId, entries: Vec<Entry>) {
        let (term, committed) = (self.node(leader).status().term, Index::ZERO);
        let body = Body::AppendEntries { prev, entries, committed };
        self.input(
            to,
            Input::Message(Message {
                from: leader,
                incarnation: Incarnation::default(),
                to,
                term,
                body,
            }),
        );
    }

    /// Lets the time pass until the leader's next heartbeat; a node that does not lead has none.
    pub(crate) fn beat(&mut self, id: NodeId) {
        if self.node(id).leads() {
            self.node_mut(id).time_out();
        }
        self.settle();
    }

    /// Proposes a command at a node and returns the tag of the proposal.
    pub(crate) fn propose(&mut self, id: NodeId, text: &str) -> Tag {
        let tag = self.next_tag();
        self.input(id, Input::propose(tag, Acknowledge::Quorum, Command::from(text)));
        self.settle();
        tag
    }

    /// Asks a node to change the membership and returns the tag of the change.
    pub(crate) fn change(&mut self, id: NodeId, change: Change) -> Tag {
        let tag = self.next_tag();
        self.input(id, Input::ChangeMembership { tag, change });
        self.settle();
        tag
    }

    /// Asks a node to hand its leadership over and returns the tag of the transfer.
    pub(crate) fn transfer(&mut self, id: NodeId, to: NodeId) -> Tag {
        let tag = self.next_tag();
        self.input(id, Input::Transfer { tag, to: Some(to) });
        self.settle();
        tag
    }

    /// Asks a node for a linearizable read and returns the tag of the read.
    pub(crate) fn read(&mut self, id: NodeId) -> Tag {
        let tag = self.next_tag();
        self.input(id, Input::Read { tag, level: ReadLevel::Linearizable, conflict: Index::ZERO });
        self.settle();
        tag
    }

    fn next_tag(&mut self) -> Tag {
        self.tags += 1;
        Tag(self.tags)
    }

    /// Lets time pass on one node's clock, a tick at a time.
    pub(crate) fn tick(&mut self, id: NodeId, ticks: u32) {
        for _ in 0..ticks {
            if self.node(id).is_up() {
                self.node_mut(id).advance(TICK);
            }
            self.settle();
        }
    }

    /// Lets time pass on every node's clock, a tick at a time.
    pub(crate) fn tick_all(&mut self, ticks: u32) {
        for _ in 0..ticks {
            for id in self.ids() {
                if self.node(id).is_up() {
                    self.node_mut(id).advance(TICK);
                }
                self.watch(id);
            }
            self.settle();
        }
    }

    /// Lets the same time pass everywhere, with every message delivered at each tick.
    pub(crate) fn pass(&mut self, span: Duration) {
        self.tick_all(span.as_millis().div_ceil(TICK.as_millis()) as u32);
    }

    pub(crate) fn crash(&mut self, id: NodeId) {
        self.node_mut(id).crash();
        self.safety.crashed(id);
    }

    pub(crate) fn restart(&mut self, id: NodeId) {
        self.node_mut(id).restart();
        self.settle();
    }

    pub(crate) fn cut(&mut self, a: NodeId, b: NodeId) {
        self.network.cut_one_way(a, b);
        self.network.cut_one_way(b, a);
    }

    pub(crate) fn uncut(&mut self, a: NodeId, b: NodeId) {
        self.network.uncut_one_way(a, b);
        self.network.uncut_one_way(b, a);
    }

    /// Cuts every link of a node.
    pub(crate) fn isolate(&mut self, id: NodeId) {
        for other in self.ids() {
            if other != id {
                self.cut(id, other);
            }
        }
    }

    /// The nodes that lead, each in its own term.
    pub(crate) fn leaders(&self) -> Vec<NodeId> {
        self.nodes().filter(|(_, node)| node.leads()).map(|(id, _)| id).collect()
    }

    pub(crate) fn role(&self, id: NodeId) -> RoleName {
        self.node(id).role()
    }

    /// The membership a node acts under.
    pub(crate) fn membership(&self, id: NodeId) -> &Membership {
        self.node(id).core().membership()
    }
}
