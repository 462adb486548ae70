//! One event of a recorded run, with its kind and its cause.

use std::time::Duration;

use quorate::log::Log;
use quorate::machine::Outcome;
use quorate::raft::{MessageRejectReason, RejectReason};
use quorate::replica::{Input, Work};
use quorate::types::{
    Entry, EntryId, Freshness, Index, Membership, Message, NodeId, ReadLevel, Tag, Write, WriteId,
};

use crate::observe::outcome::Failure;
use crate::values::time::SimTime;
use crate::workload::request::OpId;

/// The number of an event in its recording, starting at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub u32);

/// One event of a recorded run.
#[derive(Clone, Debug)]
pub struct Event {
    /// The simulated time of the event. In a record of recordings, the latest time of the events up
    /// to this one, each by the clock of its node.
    pub at: SimTime,
    /// In a record of recordings, the time by the clock of the event's node; otherwise the
    /// simulated time.
    pub own_at: SimTime,
    /// The node of the event; `None` for an event of a client or of the whole cluster.
    pub node: Option<NodeId>,
    /// The kind and contents of the event.
    pub kind: EventKind,
    /// The node's status after the event, by position in the recording; `None` while the node is
    /// down.
    pub state: Option<u32>,
    /// The previous event of the same node.
    pub before: Option<EventId>,
    /// The event that caused it, for example the sending of a received message, the submission of a
    /// durable write, the operation of the plan behind a fault, the input that set an expired
    /// timer, or the input whose action is carried out.
    pub cause: Option<EventId>,
}

/// The kind and contents of an event.
#[derive(Clone, Debug)]
pub enum EventKind {
    /// The node starts, with the outcome of the writes that were pending at its crash.
    Started {
        /// The pending writes that the disk kept: as far as the write has them, its term and vote
        /// are on the disk, or superseded there, its snapshot or a later one is in place, and at
        /// least one of its entries is on the disk.
        kept: Vec<WriteId>,
        /// The other pending writes.
        lost: Vec<WriteId>,
    },
    /// The node fails to start, with its error message.
    NotStarted(String),
    /// The node stops by itself, with its error message.
    Stopped(String),
    /// The node's process ends, by a crash or a clean shutdown, and loses its memory.
    Crashed {
        /// The number of sectors and name changes that were not durable, including those of the
        /// operations on their way to the disk.
        not_durable: usize,
        /// The number of these sectors and name changes that survive.
        kept: usize,
    },
    /// The node, which is down, loses its disk.
    Wiped,
    /// The durable contents of the node's disk are copied.
    DiskCopied {
        /// The number of the copy, among those of the node.
        copy: u16,
    },
    /// The node, which is down, gets back a copy of its disk, marked as uncertain.
    RolledBack {
        /// The number of the copy, among those of the node.
        copy: u16,
    },
    /// The node is paused from now on.
    Paused,
    /// The node continues after a pause.
    Resumed,
    /// The node's clock exceeds the drift bound that leases allow.
    ClockBoundExceeded,
    /// The node takes an input.
    TookInput(InputKind),
    /// The node rejects a message.
    MessageRejected {
        /// The sender of the message.
        from: NodeId,
        /// The name of the message.
        message: &'static str,
        /// The reason for the rejection.
        reason: MessageRejectReason,
    },
    /// The node's last input, or its start, changed its membership to this one.
    MembershipAdopted(Box<Membership>),
    /// The node submits a write to its disk.
    Submitted(Box<Write>),
    /// The node's disk carries out the described operation; the data is not durable before a flush.
    DiskOperation(String),
    /// The node receives the completion of a write.
    Durable(WriteId),
    /// The node's disk fails, as the text describes.
    DiskFailed(String),
    /// The node sends a packet.
    Sent(Box<Sent>),
    /// A packet to this node is lost.
    Dropped {
        /// The number of the packet.
        packet: u64,
        /// The reason for the loss.
        reason: LossReason,
    },
    /// A fault delivers a misrouted or replayed message to the node.
    Injected {
        /// The number of the packet.
        packet: u64,
        /// The message in the packet.
        message: Box<Message>,
    },
    /// The node's state machine applies entries.
    Applied {
        /// The first applied entry.
        first: EntryId,
        /// The last applied entry.
        last: EntryId,
        /// The index of each executed command, with a hash of its reply.
        executed: Vec<(Index, u64)>,
    },
    /// A snapshot up to this entry has become the current one on the node's disk: one of its own
    /// state machine, or a peer's that covers damaged entries of its log.
    SnapshotTaken(EntryId),
    /// The node's state machine is replaced by a peer's snapshot that ends at this index.
    Restored(Index),
    /// A simulated fault makes the node's state machine process a command of its next batch
    /// wrongly.
    MachineFault,
    /// The node or its state machine panics outside of a step, as the sentence describes; the node
    /// has no status afterwards.
    Panicked(String),
    /// The node compares its state with other nodes, with the described result.
    StateCompared(String),
    /// The node reports a membership change as complete with this entry.
    MembershipChangeCommitted(EntryId),
    /// A client invokes an operation.
    Invoked {
        /// The number of the operation.
        op: OpId,
        /// The required freshness of a read; `None` for a command.
        level: Option<ReadLevel>,
        /// The user's bytes of the command, without the simulator's mark; empty for a read.
        command: Box<[u8]>,
    },
    /// A client's request reaches the node, for the first time or as a retry.
    RequestReceived {
        /// The number of the client.
        client: u16,
        /// The operation; `None` if the request opens a session.
        op: Option<OpId>,
        /// The tag of this attempt.
        tag: Tag,
    },
    /// The node gives its one answer to an attempt.
    RequestAnswered {
        /// The tag of the attempt.
        tag: Tag,
        /// Why the node rejected it; `None` if it did not.
        rejected: Option<RejectReason>,
    },
    /// The node replies to a client's proposal.
    Replied {
        /// The number of the operation.
        op: OpId,
        /// The log entry of this attempt.
        id: EntryId,
        /// The outcome of the command.
        outcome: Box<Outcome>,
    },
    /// The node answers a client's read.
    Served {
        /// The number of the operation.
        op: OpId,
        /// The freshness that the node claims for the answer.
        freshness: Freshness,
        /// The read index that the state machine had to reach.
        index: Index,
        /// The last index that the state machine had applied.
        applied: Index,
        /// A hash of the answer and the state.
        answer: u64,
    },
    /// A client receives a rejection: its operation had no effect.
    Rejected {
        /// The number of the operation.
        op: OpId,
        /// The reason for the rejection.
        reason: RejectReason,
    },
    /// The outcome of this operation stays unknown to its client.
    Unknown(OpId),
    /// The operation of the plan at this position starts; the event's node is the node that
    /// triggered it, if any.
    PlanOpBegan(u32),
    /// The lasting operation of the plan at this position ends.
    PlanOpEnded(u32),
    /// The fault phase ends, and these nodes must make progress.
    Stabilized(Vec<NodeId>),
    /// The cluster receives no more requests.
    Idle,
    /// The end of the run.
    Ended,
    /// The run fails; the event before it shows the failure. This is the last event of the
    /// recording.
    Failed(Box<Failure>),
    /// The recording of a real node begins, with this log; the steps before it are not recorded.
    RecordingBegan(Box<RecordedLog>),
    /// The recording of a real node ends, or its next steps are missing: until it begins again, the
    /// node may have done anything.
    RecordingEnded,
    /// A real node took no step for a while, although one was due.
    TookNoStep {
        /// The time since its last step.
        pause: Duration,
        /// The time by which its next step is late.
        late: Duration,
    },
    /// A message reaches a real node, and the record lacks its sending, because the sending is not
    /// recorded, or is before the window.
    Arrived {
        /// The number of the packet.
        packet: u64,
        /// The message in the packet.
        message: Box<Message>,
    },
    /// The writes that were pending when the recording of a real node began are durable, so that
    /// its log is durable up to this index.
    DurableUpTo(Index),
    /// The core of a real node requests another action, in the words of the traces.
    Acted(String),
}

/// The log of a real node at the beginning of its recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedLog {
    /// The base of the log: the entry before the first one that it has.
    pub base: EntryId,
    /// The ids of all its entries.
    pub ids: Vec<EntryId>,
    /// The contents of its last entries, as far as the node has them in memory; at most
    /// [`RecordedLog::CONTENTS_MAX`].
    pub contents: Vec<Entry>,
    /// The last index that is known to be durable.
    pub durable: Index,
}

impl RecordedLog {
    /// The maximum number of entries whose contents are kept.
    pub const CONTENTS_MAX: usize = 256;

    /// Returns the part of a core's log that ends at `last`.
    #[must_use]
    pub fn of(log: &Log, last: Index) -> RecordedLog {
        let (base, last) = (log.base(), last.min(log.last().index));
        let mut ids = Vec::new();
        let mut index = base.index.next();
        while index <= last {
            ids.extend(log.term_at(index).map(|term| EntryId::new(term, index)));
            index = index.next();
        }
        let in_memory = log.in_memory_after(base.index).rev();
        let wanted = in_memory.filter(|entry| entry.id.index <= last).take(Self::CONTENTS_MAX);
        let mut contents: Vec<Entry> = wanted.cloned().collect();
        contents.reverse();
        RecordedLog { base, ids, contents, durable: log.durable().min(last) }
    }
}

/// The kind of input that a node takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// A packet, by its number; the event's cause is the sending of the packet.
    Packet(u64),
    /// The node's deadline has passed.
    Timeout,
    /// The node's disk has finished an operation.
    Disk,
    /// The node's state machine has finished a request.
    Worker,
    /// The node's worker has frozen a view of its state, has read a part of it, or has failed to.
    View,
    /// Commands of clients, by the tags of their requests.
    Propose(Vec<Tag>),
    /// A client's read, by the tag of its request.
    Read(Tag),
    /// A request of the operator or of the plan, in words.
    OperatorRequest(String),
    /// Another input of a real node's core, in the words of the traces.
    Core(String),
}

/// A packet that a node gave to the network.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The receiver of the packet.
    pub to: NodeId,
    /// The Raft message, if the packet holds one.
    pub message: Option<Message>,
    /// The description of a packet without a Raft message.
    pub text: String,
    /// The packet's number and its delivery by the network.
    pub delivery: Option<Delivery>,
}

/// The delivery of a packet by the simulated network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The number of the packet.
    pub packet: u64,
    /// The arrival time; `None` if the packet is lost.
    pub arrival: Option<SimTime>,
    /// The arrival time of a duplicate, if the network makes one.
    pub copy: Option<SimTime>,
    /// Whether the network delays the packet exceptionally.
    pub late: bool,
    /// The reason for the loss, if the network loses the packet.
    pub lost: Option<LossReason>,
}

/// The reason why a packet does not reach its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossReason {
    /// The network lost the packet at random.
    Loss,
    /// A fault blocks the link.
    Blocked,
    /// The receiver is down when the packet arrives.
    Down,
    /// The recording of the receiver, a real node, has no arrival of the packet.
    Missing,
}

/// The work of a node, or of its state machine, outside of the node's steps.
#[derive(Clone, Debug)]
pub(crate) enum NodeWork {
    /// The node starts from its disk.
    Start,
    /// The state machine executes this.
    Machine(Work),
    /// The state machine takes a snapshot.
    Snapshot,
}

impl InputKind {
    /// The kind of an input that a node is about to take.
    pub(crate) fn of(input: &Input) -> InputKind {
        match input {
            // The recorder sets the number of the packet.
            Input::Packet(_) => InputKind::Packet(0),
            Input::Timeout => InputKind::Timeout,
            Input::Disk(_) => InputKind::Disk,
            Input::WorkDone(_) => InputKind::Worker,
            Input::ViewFrozen(_) | Input::ViewRead(_) | Input::ViewFailed => InputKind::View,
            Input::Propose(proposals) => {
                InputKind::Propose(proposals.iter().map(|proposal| proposal.tag).collect())
            }
            Input::Read { tag, .. } => InputKind::Read(*tag),
            Input::ChangeMembership { change, .. } => {
                InputKind::OperatorRequest(format!("change the membership by {change}"))
            }
            Input::CancelMembershipChange { .. } => {
                InputKind::OperatorRequest("cancel the membership change".to_owned())
            }
            Input::TransferLeadership { to: Some(to), .. } => {
                InputKind::OperatorRequest(format!("transfer leadership to {to}"))
            }
            Input::TransferLeadership { to: None, .. } => {
                InputKind::OperatorRequest("transfer leadership".to_owned())
            }
            Input::Campaign => InputKind::OperatorRequest("campaign".to_owned()),
            Input::Close => InputKind::OperatorRequest("shut down".to_owned()),
            _ => InputKind::OperatorRequest("take a snapshot".to_owned()),
        }
    }
}

impl Event {
    /// The message of the event, if the event is a sent message, an injected one, or the arrival of
    /// one whose sending is not recorded.
    #[must_use]
    pub fn message(&self) -> Option<&Message> {
        match &self.kind {
            EventKind::Sent(sent) => sent.message.as_ref(),
            EventKind::Injected { message, .. } | EventKind::Arrived { message, .. } => {
                Some(message)
            }
            _ => None,
        }
    }
}
