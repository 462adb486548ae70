//! One thing that happened in a recorded run, and what brought it about.

use quorate::machine::Outcome;
use quorate::raft::{Refusal, RejectReason};
use quorate::replica::Input;
use quorate::types::{
    EntryId, Freshness, Index, Membership, Message, NodeId, ReadLevel, Tag, Write, WriteId,
};

use crate::outcome::Failure;
use crate::request::OpId;
use crate::time::SimTime;

/// The number of an event in its recording, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub u32);

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// When.
    pub at: SimTime,
    /// Whose event it is: the node that does or suffers it. None of what befalls all of them.
    pub node: Option<NodeId>,
    /// What happened.
    pub what: What,
    /// The node's state after it, by its place in the recording; none while the node is down.
    pub state: Option<u32>,
    /// What happened to the same node just before.
    pub before: Option<EventId>,
    /// What brought it about: the sending of a message that is taken, the submission of a write
    /// that is durable, the planned operation behind a fault, the step that set the timer which
    /// goes off, the step that wanted what is done.
    pub cause: Option<EventId>,
}

/// What happens.
#[derive(Clone, Debug)]
pub enum What {
    /// The node starts. Of the writes that were under way when it fell, these were kept, and those
    /// lost.
    Started {
        /// Writes that are on the disk, in part or in full.
        kept: Vec<WriteId>,
        /// Writes of which nothing is there.
        lost: Vec<WriteId>,
    },
    /// The node does not start, and says why.
    NotStarted(String),
    /// The node stops by itself, and says why.
    Stopped(String),
    /// The node falls: it loses its memory. So many things on its disk were not durable, and so
    /// many of them survive.
    Fell {
        /// What was at stake.
        at_stake: usize,
        /// What survives of that.
        kept: usize,
    },
    /// The node, which is down, lost its disk.
    Wiped,
    /// The node stands still from now on.
    Paused,
    /// The node goes on.
    Resumed,
    /// The node's clock is further off than leases allow for.
    Astray,
    /// The node took an input.
    Took(Taken),
    /// The node refuses what a message asks for.
    Refused {
        /// Whose message it is.
        from: NodeId,
        /// Its name.
        message: &'static str,
        /// The guard that refused.
        reason: Refusal,
    },
    /// The node goes by another membership since its last step.
    GoesBy(Box<Membership>),
    /// The node gave a write to its disk.
    Submitted(Box<Write>),
    /// The node's disk carried out an operation, as these words say; the write is not durable yet.
    Operated(String),
    /// The node heard that a write is durable.
    Durable(WriteId),
    /// An operation of the node's disk failed, as these words say.
    DiskFailed(String),
    /// The node gave a packet to the network.
    Sent(Box<Sent>),
    /// A packet was lost on its way to this node.
    Dropped {
        /// The packet.
        packet: u64,
        /// Why.
        why: Lost,
    },
    /// A message comes to the node that nobody sent it now: a stray, or an old one again.
    Intruded {
        /// The packet.
        packet: u64,
        /// What it says.
        message: Box<Message>,
    },
    /// The node's state machine applied entries.
    Applied {
        /// The first of them.
        first: EntryId,
        /// The last of them.
        last: EntryId,
        /// Which of them it carried out, and a hash of what came of each.
        executed: Vec<(Index, u64)>,
    },
    /// A snapshot of the node's own state machine is durable and in force.
    SnapshotTaken(EntryId),
    /// The node's state machine started over from a snapshot that ends there.
    Restored(Index),
    /// The node's state machine errs with its next command.
    Slipped,
    /// The node found out about its state machine what these words say.
    Judged(String),
    /// The node completed a change of the membership; its last membership stands there.
    Changed(EntryId),
    /// A client begins an operation.
    Invoked {
        /// The operation.
        op: OpId,
        /// How fresh an answer it wants; none if it wants a command carried out.
        level: Option<ReadLevel>,
    },
    /// A client's request reached the node, for the first time or again.
    Asked {
        /// The client.
        client: u16,
        /// The operation; none if it opens a session.
        op: Option<OpId>,
        /// The name of this try.
        tag: Tag,
    },
    /// The node gave its one answer to a try.
    Answered(Tag),
    /// The node answered a proposal to its client.
    Replied {
        /// The operation.
        op: OpId,
        /// Where this try stands in the log.
        id: EntryId,
        /// What came of it.
        outcome: Box<Outcome>,
    },
    /// The node answered a read to its client.
    Served {
        /// The operation.
        op: OpId,
        /// How fresh it says the answer is.
        freshness: Freshness,
        /// The index the core let it wait for.
        index: Index,
        /// How much the state machine had applied.
        applied: Index,
        /// A hash of the answer.
        answer: u64,
    },
    /// A client was told that its operation had no effect.
    Rejected {
        /// The operation.
        op: OpId,
        /// Why.
        reason: RejectReason,
    },
    /// A client does not know what became of its operation.
    Unknown(OpId),
    /// An operation of the plan happens, by its place in the plan; the event's node is the one
    /// whose doing it waited for, if it did.
    Planned(u32),
    /// What an operation of the plan began is over.
    Lifted(u32),
    /// The storm is over: these nodes must make progress.
    Calm(Vec<NodeId>),
    /// Nothing is asked of the cluster any more.
    Idle,
    /// The run is over.
    Ended,
    /// The run failed; the event before is what shows it. Nothing is recorded after it.
    Failed(Box<Failure>),
}

/// What input a node took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// A packet, by its number; the event's cause is its sending.
    Packet(u64),
    /// Its deadline has come.
    Timeout,
    /// Its disk is done with an operation.
    Disk,
    /// Its state machine is done with what it was asked.
    Worker,
    /// A part of a frozen view of its state machine.
    View,
    /// Commands of clients.
    Propose(Vec<Tag>),
    /// A client's read.
    Read(Tag),
    /// An order, as these words say.
    Order(String),
}

/// A packet that was given to the network.
#[derive(Clone, Debug)]
pub struct Sent {
    /// For whom it is.
    pub to: NodeId,
    /// The algorithm's message, if it is one.
    pub message: Option<Message>,
    /// What it says, if it is not.
    pub words: String,
    /// Its number on the network, and its way.
    pub way: Option<Way>,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The packet's number.
    pub packet: u64,
    /// When it is due at its receiver; none if it is lost.
    pub arrival: Option<SimTime>,
    /// When a copy of it is due, if there is one.
    pub copy: Option<SimTime>,
    /// Whether it is exceptionally late.
    pub late: bool,
    /// Why it never arrives, if the network takes it.
    pub lost: Option<Lost>,
}

/// Why a packet never reached its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The network lost it.
    Loss,
    /// A fault blocks the link.
    Cut,
    /// Its receiver is down when it comes.
    Down,
}

impl Taken {
    /// What input a node is about to take.
    pub(crate) fn of(input: &Input) -> Taken {
        match input {
            // The world says which packet it is.
            Input::Packet(_) => Taken::Packet(0),
            Input::Timeout => Taken::Timeout,
            Input::Disk(_) => Taken::Disk,
            Input::Done(_) => Taken::Worker,
            Input::Frozen(_) | Input::Viewed(_) | Input::ViewFailed => Taken::View,
            Input::Propose(proposals) => {
                Taken::Propose(proposals.iter().map(|proposal| proposal.tag).collect())
            }
            Input::Read { tag, .. } => Taken::Read(*tag),
            Input::ChangeMembership { change, .. } => Taken::Order(format!("change {change}")),
            Input::GiveUpChange { .. } => Taken::Order("give up the change".to_owned()),
            Input::Transfer { to: Some(to), .. } => Taken::Order(format!("let {to} lead")),
            Input::Transfer { to: None, .. } => Taken::Order("let another lead".to_owned()),
            Input::Campaign => Taken::Order("campaign".to_owned()),
            Input::Close => Taken::Order("stop in good order".to_owned()),
            _ => Taken::Order("take a snapshot".to_owned()),
        }
    }
}

impl Event {
    /// The message that was sent or came by itself, if that is what happened.
    #[must_use]
    pub fn message(&self) -> Option<&Message> {
        match &self.what {
            What::Sent(sent) => sent.message.as_ref(),
            What::Intruded { message, .. } => Some(message),
            _ => None,
        }
    }
}
