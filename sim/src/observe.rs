//! What the world shows its checks and its coverage marks, in the order in which it happens.
//!
//! A check sees only this stream: it never touches the world, draws no choice and changes no
//! digest, so a run with checks equals the run without them.

use quorate::log::Log;
use quorate::machine::{Digest, Outcome, Sequence, SessionId};
use quorate::raft::{RejectReason, Status};
use quorate::replica::Verdict;
use quorate::types::{
    Entry, EntryId, Freshness, Incarnation, Index, Membership, Message, NodeId, ReadLevel,
    SnapshotMeta, Tag, Write,
};

use crate::time::SimTime;

pub use crate::request::OpId;
pub use crate::workload::Look;

/// A command that a user's state machine carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// The index of its entry.
    pub index: Index,
    /// What came of it.
    pub reply: Vec<u8>,
}

/// One thing that happened in the world.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// A node started from what its disk has. That is what was durable, and any part of what was
    /// submitted and not yet durable when it crashed, as far as the writes' order allows.
    Started {
        /// The node.
        node: NodeId,
        /// The membership it finds in force.
        membership: &'a Membership,
        /// What it says of itself: all of it comes from the disk.
        status: &'a Status,
        /// The log it found.
        log: &'a Log,
        /// As in [`Seen::Applied`]: its state machine starts from a snapshot, or empty.
        state: Option<Digest>,
    },
    /// A node that was to start does not.
    Refused {
        /// The node.
        node: NodeId,
        /// Whether a fault may have destroyed what its disk had durably.
        damaged: bool,
        /// What it says.
        why: &'a str,
    },
    /// A node stops by itself, for good. Its process ends.
    Stopped {
        /// The node.
        node: NodeId,
        /// Whether a fault may have caused it.
        excused: bool,
        /// What it says.
        why: &'a str,
    },
    /// A node crashed: it lost its memory. What it keeps of the writes not yet seen as durable
    /// shows when it starts again.
    Crashed {
        /// The node.
        node: NodeId,
    },
    /// A node that is down lost its disk: it will start on an empty one, which is another.
    Wiped {
        /// The node.
        node: NodeId,
        /// The life of the new disk.
        incarnation: Incarnation,
    },
    /// A node took one input; every action it wants is still to come.
    Stepped {
        /// The node.
        node: NodeId,
        /// Its state after the input.
        status: &'a Status,
        /// The membership it goes by.
        membership: &'a Membership,
    },
    /// A node tells who asked for it that a change of the membership is complete.
    Changed {
        /// The node.
        node: NodeId,
        /// Where the last membership of the change stands.
        id: EntryId,
    },
    /// A leader took a peer's answer, and counts on this from now on.
    Counted {
        /// The leader.
        node: NodeId,
        /// The peer.
        peer: NodeId,
        /// Up to here the peer's disk equals the leader's log.
        matched: Index,
    },
    /// A leader answers a proposal that every voter alive was to have on its disk.
    OnAllLive {
        /// The leader.
        node: NodeId,
        /// The proposal.
        id: EntryId,
        /// The nodes that it heard within the longest election timeout, by its own clock.
        live: &'a [NodeId],
    },
    /// A node gave a write to its disk: its memory changed so. Nothing of it is durable yet.
    Submitted {
        /// The node.
        node: NodeId,
        /// The write.
        write: &'a Write,
    },
    /// A node heard that a write is durable.
    Durable {
        /// The node.
        node: NodeId,
        /// The write.
        write: &'a Write,
    },
    /// A node gave a message to the network.
    Sent {
        /// The message.
        message: &'a Message,
    },
    /// A node's state machine applied entries.
    Applied {
        /// The node.
        node: NodeId,
        /// The entries, in order.
        entries: &'a [Entry],
        /// Which of them the user's state machine carried out, in order.
        executed: &'a [Executed],
        /// After each entry the machine's rolling hash over all it has applied; none if it cannot
        /// know.
        states: &'a [Option<Digest>],
    },
    /// A node's state machine errs with its next command.
    Slipped {
        /// The node.
        node: NodeId,
    },
    /// A node tells what comparing its state machine with others came to.
    Judged {
        /// The node.
        node: NodeId,
        /// What it found.
        verdict: Verdict,
    },
    /// A write to a node's disk, or a flush of it, failed: from now on nothing that the node writes
    /// may count as durable.
    DiskFailed {
        /// The node.
        node: NodeId,
    },
    /// A snapshot of a node's own state machine is verified, durable and in force.
    SnapshotTaken {
        /// The node.
        node: NodeId,
        /// The snapshot.
        meta: &'a SnapshotMeta,
    },
    /// A node's state machine started over from a snapshot that a peer sent.
    Restored {
        /// The node.
        node: NodeId,
        /// The last index that the snapshot covers.
        index: Index,
        /// As in [`Seen::Applied`].
        state: Option<Digest>,
    },
    /// A node's state machine is looked at: where a snapshot is taken, and at the end.
    Looked {
        /// The node.
        node: NodeId,
        /// What is seen.
        look: Look<'a>,
    },
    /// A node's state machine is frozen, for a snapshot.
    Frozen {
        /// The node.
        node: NodeId,
        /// The last entry that the state covers.
        last: EntryId,
        /// The snapshot's bytes.
        bytes: &'a [u8],
    },
    /// A request of a client's reached a node that runs.
    Asked {
        /// The node.
        node: NodeId,
        /// The request.
        tag: Tag,
    },
    /// A node is handed a proposal that it is to answer only once every live voter has it.
    ForAllLive {
        /// The request.
        tag: Tag,
    },
    /// A node gave its one answer to a request.
    Answered {
        /// The request.
        tag: Tag,
    },
    /// A client wants a command carried out: once, in a session, or whenever it is in the log.
    ProposeInvoked {
        /// The operation.
        op: OpId,
        /// The user's bytes, with the operation's mark.
        command: &'a [u8],
        /// The client's session, and the operation's number in it.
        session: Option<(SessionId, Sequence)>,
    },
    /// A client wants to read.
    ReadInvoked {
        /// The operation.
        op: OpId,
        /// How fresh the answer has to be.
        level: ReadLevel,
        /// The user's bytes.
        query: &'a [u8],
    },
    /// A proposal, or one of its repetitions, is answered to its client. A repetition may be
    /// answered long after the operation ended.
    Replied {
        /// The operation.
        op: OpId,
        /// The node whose machine tells.
        node: NodeId,
        /// Where this try stands in the log.
        id: EntryId,
        /// What came of it.
        outcome: &'a Outcome,
    },
    /// A read is answered to its client with the state after `applied` entries.
    ReadServed {
        /// The operation.
        op: OpId,
        /// The node that served it.
        node: NodeId,
        /// How fresh it says that it is.
        freshness: Freshness,
        /// The index that the core let it wait for.
        index: Index,
        /// How many entries the state machine had applied when it answered.
        applied: Index,
        /// As in [`Seen::Applied`], when it answered.
        state: Option<Digest>,
        /// The answer.
        answer: &'a [u8],
    },
    /// The client was told that its operation had no effect.
    Rejected {
        /// The operation.
        op: OpId,
        /// Why.
        reason: RejectReason,
    },
    /// The client does not know what became of its operation: it was told so, or the node that
    /// held it crashed, or it gave up.
    Unknown {
        /// The operation.
        op: OpId,
    },
    /// A node's clock goes further astray than leases allow for.
    Astray {
        /// The node.
        node: NodeId,
    },
    /// The storm is over: from now on `core` can talk among themselves and do not crash, and
    /// every fault elsewhere stays for ever.
    Calm {
        /// The nodes that must make progress.
        core: &'a [NodeId],
    },
    /// The core has made the progress that was asked of it; from now on there is no input.
    Idle,
    /// The run is over.
    Ended,
}

/// What a check found wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The check, by its number in the list of invariants: `S1`, `L1`, …
    pub number: &'static str,
    /// The check's name: `election-safety`.
    pub check: &'static str,
    /// What it saw, in one sentence with nodes, terms and indices.
    pub saw: String,
    /// When.
    pub at: SimTime,
    /// Where the check says so in the sources: `sim/src/check/election.rs:41`.
    pub place: String,
}

/// Words of others in one line: each line but the first becomes a clause of the first.
pub(crate) fn in_one_line(text: &str) -> String {
    let clauses = text.split(['\r', '\n']).map(str::trim).filter(|clause| !clause.is_empty());
    clauses.collect::<Vec<_>>().join("; ")
}
