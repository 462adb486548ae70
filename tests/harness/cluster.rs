//! A cluster of nodes with their network, and the operations that tests use.

use core::time::Duration;
use std::collections::BTreeMap;

use quorate::raft::{Config, Input, RoleName};
use quorate::types::{
    Acknowledge, Body, Change, Command, Entry, EntryId, Incarnation, Index, Membership, Message,
    NodeId, ReadLevel, Restored, Tag,
};

use super::network::Network;
use super::node::Node;
use super::safety::Safety;
use super::{TICK, plain, voters};
use quorate::types::MessageKind;

/// The maximum number of deliveries in a test. A test that exceeds it fails, because its nodes send
/// messages forever.
const DELIVERIES_MAX: u64 = 20_000;

pub(crate) struct Cluster {
    nodes: BTreeMap<NodeId, Node>,
    pub(crate) network: Network,
    safety: Safety,
    is_held: bool,
    /// The number of messages delivered so far.
    delivered: u64,
    tags: u64,
}

impl Cluster {
    /// Returns a cluster without nodes.
    pub(crate) fn empty() -> Cluster {
        Cluster {
            nodes: BTreeMap::new(),
            network: Network::default(),
            safety: Safety::default(),
            is_held: false,
            delivered: 0,
            tags: 0,
        }
    }

    /// Returns a new cluster of the voters 1 to `count`, with the paper's protocol.
    pub(crate) fn new(count: u64) -> Cluster {
        Cluster::configured(count, |_| {})
    }

    /// Returns a new cluster like [`Cluster::new`], with every node's configuration changed.
    pub(crate) fn configured(count: u64, change: impl Fn(&mut Config)) -> Cluster {
        let mut cluster = Cluster::empty();
        for id in voters(count).voters() {
            let mut config = plain(id);
            change(&mut config);
            cluster.add(config, Restored::fresh(voters(count)));
        }
        cluster
    }

    /// Returns a cluster of voters from node 1 on that start from these disks.
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

    /// Adds a node with the election timeouts of `seed`.
    pub(crate) fn add_seeded(&mut self, config: Config, restored: Restored, seed: u64) {
        self.insert(Node::seeded(config, restored, seed));
    }

    fn insert(&mut self, node: Node) {
        let id = node.config().id;
        let replaced = self.nodes.insert(id, node);
        assert!(replaced.is_none(), "{id} exists already");
        self.observe(id);
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        self.nodes.get(&id).unwrap_or_else(|| panic!("there is no {id}"))
    }

    /// Returns a node for changes; call [`Cluster::settle`] after a change that may send messages.
    pub(crate) fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).unwrap_or_else(|| panic!("there is no {id}"))
    }

    pub(crate) fn ids(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node)> {
        self.nodes.iter().map(|(id, node)| (*id, node))
    }

    /// Passes an input to one node, and sends its messages.
    pub(crate) fn input(&mut self, id: NodeId, input: Input) {
        self.node_mut(id).input(input);
        self.observe(id);
    }

    /// Sends the node's messages, and checks safety.
    fn observe(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.is_up()) else { return };
        for message in node.take_sent() {
            self.safety.observe_sent(&message);
            self.network.send(message);
        }
        self.safety.observe(id, node);
    }

    /// Delivers messages until there are none, unless the network is held.
    pub(crate) fn settle(&mut self) {
        for id in self.ids() {
            self.observe(id);
        }
        if !self.is_held {
            self.run();
        }
        self.safety.check_logs(&self.nodes);
    }

    /// Delivers messages until there are none, even while the network is held.
    pub(crate) fn run(&mut self) {
        while self.deliver_next() {}
    }

    fn deliver(&mut self, message: Message) {
        self.delivered += 1;
        assert!(self.delivered <= DELIVERIES_MAX, "the cluster sends messages forever");
        let to = message.to;
        if self.nodes.get(&to).is_some_and(Node::is_up) {
            self.input(to, Input::Message(message));
        }
    }

    /// Holds messages from now on until the test delivers them.
    pub(crate) fn hold(&mut self) {
        self.is_held = true;
    }

    /// Ends [`Cluster::hold`], and delivers the held messages.
    pub(crate) fn release(&mut self) {
        self.is_held = false;
        self.settle();
    }

    /// Delivers the oldest message in flight. Returns true if there was one.
    pub(crate) fn deliver_next(&mut self) -> bool {
        let next = self.network.next();
        let delivered = next.is_some();
        next.into_iter().for_each(|message| self.deliver(message));
        delivered
    }

    /// Delivers the messages of these kinds in flight, but not the ones that they cause.
    pub(crate) fn deliver_kinds(&mut self, kinds: &[MessageKind]) {
        self.deliver_where(|message| kinds.contains(&message.body.kind()));
    }

    /// Delivers the selected messages in flight, but not the ones that they cause.
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

    /// Makes `id` the leader of the next term; panics if it is not elected.
    pub(crate) fn elect(&mut self, id: NodeId) {
        self.campaign(id);
        assert!(self.node(id).leads(), "{id} wins its election");
    }

    /// Lets these nodes campaign in turn until one of them leads.
    pub(crate) fn elect_up_to_date(&mut self, candidates: &[NodeId]) {
        for id in candidates.iter().cycle().take(4) {
            if self.leaders().is_empty() {
                self.campaign(*id);
            }
        }
        assert_eq!(self.leaders().len(), 1, "one of them is elected");
    }

    /// Delivers a forged append of the leader with these entries; the reply goes to the network.
    pub(crate) fn give(&mut self, leader: NodeId, to: NodeId, prev: EntryId, entries: Vec<Entry>) {
        let (term, committed) = (self.node(leader).status().term, Index::ZERO);
        let body = Body::AppendEntries { prev, entries: entries.into(), committed };
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

    /// Advances the time to the leader's next heartbeat; does nothing on another node.
    pub(crate) fn heartbeat(&mut self, id: NodeId) {
        if self.node(id).leads() {
            self.node_mut(id).time_out();
        }
        self.settle();
    }

    /// Proposes a command at a node, and returns the tag of the proposal.
    pub(crate) fn propose(&mut self, id: NodeId, text: &str) -> Tag {
        let tag = self.next_tag();
        self.input(id, Input::propose(tag, Acknowledge::Quorum, Command::from(text)));
        self.settle();
        tag
    }

    /// Requests a membership change at a node, and returns the tag of the request.
    pub(crate) fn change(&mut self, id: NodeId, change: Change) -> Tag {
        let tag = self.next_tag();
        self.input(id, Input::ChangeMembership { tag, change });
        self.settle();
        tag
    }

    /// Requests a leadership transfer at a node, and returns the tag of the request.
    pub(crate) fn transfer(&mut self, id: NodeId, to: NodeId) -> Tag {
        let tag = self.next_tag();
        self.input(id, Input::TransferLeadership { tag, to: Some(to) });
        self.settle();
        tag
    }

    /// Requests a linearizable read at a node, and returns the tag of the read.
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

    /// Advances one node's clock, a tick at a time.
    pub(crate) fn tick(&mut self, id: NodeId, ticks: u32) {
        for _ in 0..ticks {
            if self.node(id).is_up() {
                self.node_mut(id).advance(TICK);
            }
            self.settle();
        }
    }

    /// Advances every node's clock, a tick at a time.
    pub(crate) fn tick_all(&mut self, ticks: u32) {
        for _ in 0..ticks {
            for id in self.ids() {
                if self.node(id).is_up() {
                    self.node_mut(id).advance(TICK);
                }
                self.observe(id);
            }
            self.settle();
        }
    }

    /// Advances every node's clock by `span`, rounded up to whole ticks, as [`Cluster::tick_all`].
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

    /// Returns the nodes that lead, each in its own term.
    pub(crate) fn leaders(&self) -> Vec<NodeId> {
        self.nodes().filter(|(_, node)| node.leads()).map(|(id, _)| id).collect()
    }

    pub(crate) fn role(&self, id: NodeId) -> RoleName {
        self.node(id).role()
    }

    /// Returns the active membership of a node.
    pub(crate) fn membership(&self, id: NodeId) -> &Membership {
        self.node(id).core().membership()
    }
}
