//! All that a whole node wants done.

use crate::machine::Outcome;
use crate::raft::{self, Refusal};
use crate::storage::{Failure, Operation};
use crate::types::{
    Entry, EntryId, Freshness, Index, Membership, NodeId, Packet, RejectReason, RoleName,
    SnapshotMeta, Tag, Term,
};

/// One thing a node wants done. A driver may carry outputs out at once and in any order, save that
/// [`Output::Work`] keeps its order, and [`Output::Disk`] that of each lane.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Give the packet to the network.
    Send(Packet),
    /// Carry the operation out, then report `Input::Disk`.
    Disk(Operation),
    /// Let the worker do this, then report `Input::Done`.
    Work(Work),
    /// Let the worker freeze a view of its state, keep it, then report `Input::Frozen`. An earlier
    /// view is not needed any more.
    Freeze,
    /// Read the next bytes of the view, then report `Input::Viewed`.
    View {
        /// How many.
        bytes: usize,
    },
    /// The request is in the log for good, and applied here. If that was asked for, it is on the
    /// disk of every voter that the leader takes for alive, too.
    Replied {
        /// As proposed.
        tag: Tag,
        /// Where it stands.
        id: EntryId,
        /// What came of it.
        outcome: Outcome,
    },
    /// The request is in the leader's memory, and nothing more is known: it may be carried out, or
    /// be lost without a word.
    MayBeLost {
        /// As proposed.
        tag: Tag,
        /// Where it was appended.
        id: EntryId,
    },
    /// The state machine answered the read; it was at or after `index`.
    Answered {
        /// As asked.
        tag: Tag,
        /// How fresh the answer is.
        freshness: Freshness,
        /// The index that the read waited for.
        index: Index,
        /// How far the state machine had applied the log when it answered.
        applied: Index,
        /// The answer.
        answer: Vec<u8>,
    },
    /// Nothing happened to the request, and nothing will: safe to try again.
    Rejected {
        /// As proposed or asked.
        tag: Tag,
        /// Why.
        reason: RejectReason,
    },
    /// The request may have been carried out, or be carried out yet, or never: safe to try again in
    /// a session only.
    Unknown {
        /// As proposed.
        tag: Tag,
    },
    /// The change of the membership is complete, and in the log for good.
    Changed {
        /// As asked.
        tag: Tag,
        /// Where the last membership of the change stands.
        id: EntryId,
    },
    /// The node handed its leadership over; who leads next, [`Output::RoleChanged`] tells.
    Resigned {
        /// As asked.
        tag: Tag,
    },
    /// The cluster exists, and does not count on this node's disk: it was emptied since, or was
    /// never a member's, or is an older image of one. Said once after a start. The node does
    /// nothing that counts before its vote was taken and given back.
    Stranger {
        /// Who says so.
        from: NodeId,
    },
    /// The leader's log contradicts what this node knows as committed: each went on without the
    /// other, though both were alive. This node is refused until it is wiped and added again.
    Forked {
        /// The leader.
        from: NodeId,
    },
    /// The disk of a peer has less than it acknowledged to this leader: it is an older image of
    /// itself. This leader counts on it no more; its vote is to be taken and given back.
    OlderImage {
        /// The peer.
        node: NodeId,
        /// What it had acknowledged.
        acknowledged: Index,
        /// What it has.
        durable: Index,
    },
    /// Who counts from now on, and where they are reached. Committed or not, it may yet be taken
    /// back by another one.
    MembershipChanged(Membership),
    /// The node's role, term or known leader changed.
    RoleChanged {
        /// The role from now on.
        role: RoleName,
        /// The term from now on.
        term: Term,
        /// The leader the node follows from now on, itself included.
        leader: Option<NodeId>,
    },
    /// The node dropped or declined what a peer said. Only for traces and counters.
    Refused {
        /// Who said it.
        from: NodeId,
        /// The name of the message.
        message: &'static str,
        /// Why.
        reason: Refusal,
    },
    /// The node held its results against those of others, or has started over.
    Judged(Verdict),
    /// The node has stopped for good: nothing more will come of it before a restart.
    Stopped(Failure),
    /// The node has stopped in good order.
    Closed,
}

/// What comparing the results of the state machines came to, as one node found for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A majority of the voters has the same results as this node.
    Sound {
        /// After this index.
        index: Index,
    },
    /// Too few could tell, and none of those differed: nothing is known.
    Unavailable {
        /// After this index.
        index: Index,
    },
    /// An alarm: results differ, and too few could tell for anybody to be right. It is asked again.
    Undecided {
        /// After this index.
        index: Index,
    },
    /// An alarm: a majority of the voters has other results than this node, which applies and
    /// answers nothing until it has started over from another's snapshot.
    Quarantined {
        /// After this index.
        index: Index,
    },
    /// An alarm: no majority of the voters can have the same results. The node applies and answers
    /// nothing any more; a person has to find out which nodes are right.
    Divided {
        /// After this index.
        index: Index,
    },
    /// The node has started over from a snapshot of a peer's, and its quarantine is over.
    Rebuilt {
        /// Where the snapshot ends.
        index: Index,
    },
}

/// What a state machine is asked for, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Apply the entries.
    Apply(Vec<Entry>),
    /// Answer a query.
    Query {
        /// Comes back with the answer.
        tag: Tag,
        /// What is asked.
        query: Vec<u8>,
    },
    /// Start over from the snapshot, which is on the disk.
    Restore(SnapshotMeta),
    /// The same, and whatever the user's machine has by itself is wrong.
    Rebuild(SnapshotMeta),
}

/// Whoever watches a node, and what it wants noted of the steps of the algorithm: to note a message
/// with its entries costs as much as many a step. Snapshots are noted in any case.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    /// Whether [`Note::Took`] is wanted of an input.
    pub took: fn(&raft::Input) -> bool,
    /// Whether [`Note::Wants`] is wanted of an action.
    pub wants: fn(&raft::Action) -> bool,
}

impl Watch {
    /// For whoever wants to know everything.
    pub const ALL: Watch = Watch { took: |_| true, wants: |_| true };
}

/// Something inside a node that only traces and checks want to know; see
/// [`Node::watch`](crate::replica::Node::watch).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The algorithm took an input.
    Took(raft::Input),
    /// The algorithm wants something done.
    Wants(raft::Action),
    /// A snapshot of this node's state machine is on its disk.
    SnapshotTaken(SnapshotMeta),
    /// A snapshot that a peer sent is on its disk, and not yet installed.
    SnapshotReceived(SnapshotMeta),
}
