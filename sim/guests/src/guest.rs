//! The trait that a consensus core implements to be run in a cluster with faults.
//!
//! A node takes inputs and answers with effects. The cluster carries them out in their order, and a
//! crash may fall between any two of them.

use std::fmt;

use quorate_sim::faults::Fault;
use quorate_sim::values::digest::mix;

use crate::disk::{Bytes, Disk, Entry, Snapshot, Write};

pub use quorate::types::NodeId;

/// A node of a consensus core, as a state machine without IO: it takes the inputs that have
/// arrived, and then reports their effects.
///
/// The first six methods are required. Each of the others lets the cluster do or check more.
pub trait Guest: Sized {
    /// A message from one node to another.
    type Message: Clone + fmt::Debug;

    /// The kinds of faults that the core's documentation excludes, such as reordered messages.
    const EXCLUDED: &'static [Fault] = &[];

    /// Whether the core expects sessions between nodes: if a link breaks or a node crashes, no
    /// message sent before arrives any more, and the cluster calls [`Guest::reconnected`] on both
    /// nodes once they are connected again.
    const SESSIONS: bool = false;

    /// The names of the builds of the core, if there are several. The cluster draws a build for
    /// each start of a node, so nodes of one cluster run different builds, and a node may restart
    /// with a newer or an older build on the disk that it left.
    const BUILDS: &'static [&'static str] = &["the build"];

    /// The smallest number of nodes of a cluster.
    const NODES_MIN: u8 = 1;

    /// Starts a node from its disk: an empty one at its first start, later the one that it left.
    /// The state machine is empty: the node restores its snapshot, and applies the log again.
    fn start(member: &Member, disk: &Disk) -> Self;

    /// One tick of the node's clock has passed.
    fn tick(&mut self);

    /// A message of another node arrives.
    fn receive(&mut self, from: NodeId, message: Self::Message);

    /// A client proposes a command. Returns false if the node declines it, and the command will
    /// certainly have no effect. A client of an accepted command waits until this node applies it.
    fn propose(&mut self, command: &Bytes) -> bool;

    /// Adds the effects of all inputs since the last call, or since the start.
    fn take_effects(&mut self, effects: &mut Effects<Self::Message>);

    /// Returns the node's term, and whether it leads in it.
    fn status(&self) -> Status;

    /// Returns the oldest build that may start on this disk, as a place in [`Guest::BUILDS`].
    fn oldest_build(disk: &Disk) -> usize {
        let _ = disk;
        0
    }

    /// A client asks for a linearizable read, which ends with [`Effect::Answer`]: the cluster then
    /// reads the node's state machine. Without an implementation reads are commands in the log.
    fn read(&mut self, read: u64) -> ReadReply {
        let _ = read;
        ReadReply::Unsupported
    }

    /// The node has applied many entries: the snapshot may replace its log up to the snapshot's
    /// index.
    fn compact(&mut self, snapshot: Snapshot) {
        let _ = snapshot;
    }

    /// This node and a peer can exchange messages again, after some may have been lost.
    fn reconnected(&mut self, peer: NodeId) {
        let _ = peer;
    }

    /// Returns the statement of a message from one node to another about its sender's disk.
    fn statement(from: NodeId, to: NodeId, message: &Self::Message) -> Statement {
        let _ = (from, to, message);
        Statement::default()
    }
}

/// The parameters of a node at one of its starts.
#[derive(Clone, Debug)]
pub struct Member {
    /// The node's id.
    pub id: NodeId,
    /// The ids of all nodes of the cluster, which are all voters.
    pub nodes: Vec<NodeId>,
    /// The ticks between two heartbeats.
    pub heartbeat_ticks: u32,
    /// The shortest and the longest election timeout, in ticks.
    pub election_ticks: (u32, u32),
    /// Whether the run asks for a pre-vote, if the core has the option.
    pub pre_vote: bool,
    /// Whether the run asks that a leader steps down without a quorum, if the core has the option.
    pub check_quorum: bool,
    /// The build that the node runs from this start on, as a place in [`Guest::BUILDS`].
    pub build: usize,
    /// The node's seed at this start, for everything that the core decides by chance.
    pub seed: u64,
}

impl Member {
    /// Returns an election timeout in ticks: the same for the same `number` of a start.
    #[must_use]
    pub fn election_timeout(&self, number: u64) -> u32 {
        let (least, most) = self.election_ticks;
        least + (mix(self.seed, number) % u64::from(most - least + 1)) as u32
    }

    /// Returns the ids of the other nodes.
    pub fn peers(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.iter().copied().filter(|node| *node != self.id)
    }

    /// Returns the number of nodes in a majority.
    #[must_use]
    pub fn majority(&self) -> usize {
        self.nodes.len() / 2 + 1
    }
}

/// The term of a node, and whether the node leads in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The term, ballot or view, as a number that grows.
    pub term: u64,
    /// Whether the node leads in the term.
    pub leads: bool,
}

/// A node's reply to a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadReply {
    /// The node will answer, or the read is lost.
    Accepted,
    /// The node declines the read.
    Declined,
    /// The core has no reads of its own.
    Unsupported,
}

/// The state of the sender's disk that a message reveals. All of it must be durable before the
/// message leaves, because the receiver relies on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statement {
    /// The sender has reached this term.
    pub term: Option<u64>,
    /// The sender votes for this node in the term.
    pub vote: Option<NodeId>,
    /// The sender has all entries up to this index.
    pub log: Option<u64>,
}

/// The execution of a committed entry, by a core that itself decides which command the state
/// machine executes. It is the same on all nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Execution {
    /// The command that the state machine executed; empty if there was none, for example because a
    /// copy of it was executed before.
    pub command: Bytes,
    /// The reply to the client, in any form.
    pub outcome: Bytes,
}

/// One effect of inputs.
#[derive(Clone, Debug)]
pub enum Effect<M> {
    /// Writes to the disk. A crash may lose the write until a later [`Effect::Sync`] has ended.
    Write(Write),
    /// Waits until all writes are durable. The node takes no input meanwhile.
    Sync,
    /// Sends a message to this node.
    Send(NodeId, M),
    /// Applies the committed entry at the index.
    Apply(u64, Entry),
    /// Applies the committed entry at the index, with this execution.
    Execute(u64, Entry, Execution),
    /// Replaces the state machine by that of a snapshot.
    Restore(Snapshot),
    /// Answers a read from the node's state machine.
    Answer(u64),
}

/// The effects of inputs, in the order in which they are carried out.
#[derive(Debug)]
pub struct Effects<M>(pub Vec<Effect<M>>);

impl<M> Default for Effects<M> {
    fn default() -> Self {
        Effects(Vec::new())
    }
}

impl<M> Effects<M> {
    /// Adds a write to the disk.
    pub fn write(&mut self, write: Write) {
        self.0.push(Effect::Write(write));
    }

    /// Adds a wait for the disk.
    pub fn sync(&mut self) {
        self.0.push(Effect::Sync);
    }

    /// Adds a message to another node.
    pub fn send(&mut self, to: NodeId, message: M) {
        self.0.push(Effect::Send(to, message));
    }

    /// Adds a committed entry.
    pub fn apply(&mut self, index: u64, entry: Entry) {
        self.0.push(Effect::Apply(index, entry));
    }

    /// Adds a committed entry with its execution.
    pub fn execute(&mut self, index: u64, entry: Entry, execution: Execution) {
        self.0.push(Effect::Execute(index, entry, execution));
    }

    /// Adds the restoration of a snapshot.
    pub fn restore(&mut self, snapshot: Snapshot) {
        self.0.push(Effect::Restore(snapshot));
    }

    /// Adds the answer to a read.
    pub fn answer(&mut self, read: u64) {
        self.0.push(Effect::Answer(read));
    }
}
