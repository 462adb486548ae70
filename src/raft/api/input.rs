//! The inputs of a node: messages, time, finished actions and user requests.

use alloc::vec;
use alloc::vec::Vec;

use crate::types::{
    Acknowledge, Change, Command, DamagedEntry, Entries, EntryId, Index, Message, NodeId, Proposal,
    ReadLevel, SnapshotMeta, Tag, WriteId,
};

/// One event that a node has to process; `Raft::step` takes one at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Input {
    /// A message arrived. The node trusts its sender field: the driver authenticates connections.
    Message(Message),
    /// The clock advanced; [`Raft::deadline`](crate::raft::Raft::deadline) may have passed.
    Timeout,
    /// The write, and every write before it, is durable.
    Persisted(WriteId),
    /// The state machine has applied every entry up to the index, or was restored from a snapshot
    /// that ends there.
    Applied(Index),
    /// The entries that an `Action::Fetch` requested: consecutive from its `first`, and at least
    /// one unless the log was truncated or compacted since the request, or the first entry was
    /// reported as damaged before.
    Fetched {
        /// The consumer that the fetch named.
        consumer: Consumer,
        /// The entries that the disk returned: a prefix of the requested range.
        entries: Entries,
    },
    /// The disk can no longer return the contents of these entries. If a fetch finds the damage,
    /// this input comes before its [`Input::Fetched`].
    Damaged(Vec<DamagedEntry>),
    /// The write of an `Action::Repair` has ended: these entries of that action, or of an earlier
    /// one, are intact and durable.
    Repaired(Vec<EntryId>),
    /// Users propose these commands, in this order. Each proposal ends in exactly one of
    /// `Action::Committed`, `Action::Rejected` and `Action::Unknown`; with
    /// [`Acknowledge::LeaderOnly`], in exactly one of `Action::MayBeLost` and `Action::Rejected`.
    /// Proposals of one input are written to the disk together. They are also sent together, as far
    /// as the bounds of a message allow.
    Propose(Vec<Proposal>),
    /// A user requests a read. Ends in exactly one of `Action::ReadReady` and `Action::Rejected`.
    Read {
        /// The tag that the outcome carries.
        tag: Tag,
        /// The required freshness of the answer.
        level: ReadLevel,
        /// For [`ReadLevel::Replica`]: the index of the last log entry that may change the answer.
        /// An entry that the caller cannot inspect counts as one that may; the index of the log's
        /// last entry is always safe.
        conflict: Index,
    },
    /// A user changes the membership. Ends in exactly one of `Action::MembershipChangeCommitted`,
    /// once the whole change is complete and committed, `Action::Rejected` and `Action::Unknown`.
    ChangeMembership {
        /// The tag that the outcome carries.
        tag: Tag,
        /// The members and votes to change.
        change: Change,
    },
    /// A user cancels a membership change whose new voters are still catching up. The outcomes are
    /// those of [`Input::ChangeMembership`]. The cancelled request ends in `Action::Rejected` once
    /// the cancellation is committed, or in `Action::Unknown` if this node stops leading before.
    CancelMembershipChange {
        /// The tag that the outcome carries.
        tag: Tag,
    },
    /// A user transfers the leadership to another node. Ends in exactly one of
    /// `Action::LeadershipTransferred` and `Action::Rejected`, at the latest with the first
    /// heartbeat after the longest election timeout, which counts from the end of the read leases.
    TransferLeadership {
        /// The tag that the outcome carries.
        tag: Tag,
        /// The voter that is to become the leader; `None` lets the leader choose the best target.
        to: Option<NodeId>,
    },
    /// The disk has a verified snapshot as of `meta.last`: of this node's state machine, or the one
    /// of an `Action::AdoptSnapshot`. A node that has a later snapshot ignores this input.
    SnapshotTaken {
        /// The snapshot; every entry that it covers is durable, and applied unless the snapshot was
        /// adopted.
        meta: SnapshotMeta,
        /// The node may compact the log through this index, which is at most that of the snapshot's
        /// last entry. A peer that lacks only later entries needs no snapshot.
        base: Index,
    },
    /// A snapshot that an `Action::ReceiveSnapshot` requested since the start is complete, verified
    /// and durable as a file. The driver repeats this input whenever the snapshot is requested
    /// again.
    SnapshotReceived {
        /// The snapshot, as the request named it.
        meta: SnapshotMeta,
    },
    /// Whether the disk is too full for more entries. Submitted writes continue. New entries are
    /// rejected until there is space, except for the empty entry that begins a leader's term.
    DiskFull(bool),
    /// Campaign now, as if the election timeout had passed. A leader, and a node that may not
    /// campaign, ignore this input. Peers that hear a leader still reject the campaign if
    /// `Config::stickiness` is on.
    Campaign,
    /// Whether the state machine must not be used: it has diverged, no majority has the same
    /// results, its snapshot cannot be read, or the build is too old for the log. In quarantine the
    /// node does not lead, campaign or apply entries, and it rejects the waiting reads. Its log is
    /// not affected, so it still votes and acknowledges entries.
    Quarantine(bool),
    /// A snapshot of another replica's correct state machine is installed on the disk: the state
    /// machine and the log start over from its last entry. Allowed only in quarantine, while the
    /// state machine processes nothing. A node that has a snapshot that ends there or later ignores
    /// this input.
    Rebuild {
        /// The snapshot; the log has its last entry.
        meta: SnapshotMeta,
    },
    /// Append an empty entry if the node leads, so that later snapshots end at a later index.
    AppendNoop,
}

impl Input {
    /// Returns the input for one proposal of one user.
    #[must_use]
    pub fn propose(tag: Tag, acknowledge: Acknowledge, command: impl Into<Command>) -> Input {
        Input::Propose(vec![Proposal { tag, acknowledge, command: command.into() }])
    }
}

/// The component that needs fetched entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum Consumer {
    /// The node's own state machine.
    Apply,
    /// A peer that lags behind the entries kept in memory.
    Peer(NodeId),
    /// A peer that requested the contents of its damaged entries.
    Repair {
        /// The peer that requested them.
        peer: NodeId,
        /// The first entry that the peer requested; this node may lack it.
        first: Index,
    },
}

impl Consumer {
    /// Whether both fetches are for the same component, whatever entries they request. At most one
    /// fetch for a component is pending.
    pub(crate) fn is_same(self, other: Consumer) -> bool {
        match (self, other) {
            (Consumer::Repair { peer: one, .. }, Consumer::Repair { peer: other, .. }) => {
                one == other
            }
            (one, other) => one == other,
        }
    }
}
