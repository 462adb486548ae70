//! What the world shows its checks and its coverage marks, in the order in which it happens.
//!
//! A check sees only this stream: it never touches the world, draws no choice and changes no
//! digest, so a run with checks equals the run without them.

use quorate::raft::{RejectReason, Status};
use quorate::types::{Entry, EntryId, HardState, Index, Membership, Message, NodeId, Write};

use crate::time::SimTime;

/// The number of one client operation, from 0 in the order of invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpId(pub u64);

/// One thing that happened in the world.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// A node started on this disk image: all of it is durable.
    Started {
        /// The node.
        node: NodeId,
        /// The membership of the cluster.
        membership: &'a Membership,
        /// Term and vote on its disk.
        hard_state: HardState,
        /// The commit hint on its disk.
        committed: Index,
        /// The whole log on its disk.
        log: &'a [Entry],
    },
    /// A node crashed: it lost its memory, and of its disk every write not yet seen as durable.
    /// What a crash happened to keep of a write under way is shown as durable just before.
    Crashed {
        /// The node.
        node: NodeId,
    },
    /// A node took one input; every action it wants is still to come.
    Stepped {
        /// The node.
        node: NodeId,
        /// Its state after the input.
        status: &'a Status,
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
    /// A node gave a write to its disk: its memory changed so. Nothing of it is durable yet.
    Submitted {
        /// The node.
        node: NodeId,
        /// The write.
        write: &'a Write,
    },
    /// A write, or the part of it that a crash happened to keep, is durable.
    Durable {
        /// The node.
        node: NodeId,
        /// The write; a part has fewer entries, or no hard state.
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
    },
    /// A client wants a command in the log. The command's bytes are unique in the run.
    ProposeInvoked {
        /// The operation.
        op: OpId,
        /// The command's bytes.
        command: &'a [u8],
    },
    /// A client wants to read.
    ReadInvoked {
        /// The operation.
        op: OpId,
    },
    /// A proposal is acknowledged to its client.
    Committed {
        /// The operation.
        op: OpId,
        /// Where it stands in the log.
        id: EntryId,
    },
    /// A read is answered to its client with the state after `applied` entries.
    ReadServed {
        /// The operation.
        op: OpId,
        /// The node that served it.
        node: NodeId,
        /// The read index the core gave.
        index: Index,
        /// How many entries the state machine had applied when it answered.
        applied: Index,
        /// A hash chain over everything the answering state machine has applied.
        state: u64,
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
}
