//! All that can happen to a node.

use alloc::vec;
use alloc::vec::Vec;

use crate::types::{
    Acknowledge, Change, Command, Entry, Index, Message, NodeId, Proposal, ReadLevel, SnapshotMeta,
    Tag, WriteId,
};

/// One thing that happened to a node; `Raft::step` takes one at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Input {
    /// A message arrived. Its sender is taken at its word: authenticating is the driver's part.
    Message(Message),
    /// The deadline may have come.
    Timeout,
    /// The write, and every write before it, is durable.
    Persisted(WriteId),
    /// The state machine has applied every entry up to the index, or started over from a snapshot
    /// that ends there.
    Applied(Index),
    /// Entries that an `Action::Fetch` asked for: consecutive from its `first`, at least one
    /// unless the log was cut or compacted since it asked.
    Fetched {
        /// As in the fetch.
        consumer: Consumer,
        /// As many of the asked entries as the disk gave at once.
        entries: Vec<Entry>,
    },
    /// Users want commands in the log, in this order. Each ends in exactly one of
    /// `Action::Committed`, `Action::Rejected` and `Action::Unknown`; with
    /// [`Acknowledge::LeaderOnly`], of `Action::MayBeLost` and `Action::Rejected`. Those that
    /// came together go to the disk and to every peer together.
    Propose(Vec<Proposal>),
    /// The user wants to read. Ends in exactly one of `Action::ReadReady` and `Action::Rejected`.
    Read {
        /// Comes back with the outcome.
        tag: Tag,
        /// How fresh the answer has to be.
        level: ReadLevel,
        /// For [`ReadLevel::Replica`]: the last entry of the log that may change the answer. Every
        /// entry that cannot be looked at may; the last of all is always right.
        conflict: Index,
    },
    /// The user wants the membership changed. Ends in exactly one of `Action::Changed`, once the
    /// whole change is complete and committed, `Action::Rejected` and `Action::Unknown`.
    ChangeMembership {
        /// Comes back with the outcome.
        tag: Tag,
        /// What is to be different.
        change: Change,
    },
    /// The user gives up a change whose voters to come still lack the log; the same outcomes.
    GiveUpChange {
        /// Comes back with the outcome.
        tag: Tag,
    },
    /// The user wants another node to lead. Ends in exactly one of `Action::Resigned` and
    /// `Action::Rejected`, with the first heartbeat after the longest election timeout at the
    /// latest.
    Transfer {
        /// Comes back with the outcome.
        tag: Tag,
        /// The voter that is to lead; the best one if none is named.
        to: Option<NodeId>,
    },
    /// The disk has a verified snapshot of the state machine as it was after `meta.last`. One that
    /// an installed snapshot has overtaken is ignored.
    SnapshotTaken {
        /// The snapshot; what it covers is applied.
        meta: SnapshotMeta,
        /// Entries through this index may be forgotten; at most the snapshot's last. Those kept
        /// before it spare peers that lag a snapshot.
        base: Index,
    },
    /// A snapshot that an `Action::ReceiveSnapshot` asked for since the start is whole, verified
    /// and durable as a file. To be said again whenever it is asked for again.
    SnapshotReceived {
        /// As it was asked for.
        meta: SnapshotMeta,
    },
    /// Whether the disk is too full for more entries. What was submitted goes on, new entries are
    /// refused until there is space; only the one with which an elected leader begins its term is
    /// still written.
    DiskFull(bool),
    /// Campaign now, as if the election timeout had passed. Peers that hear a leader still refuse,
    /// if they are sticky.
    Campaign,
    /// Whether the state machine is known to be wrong. Then the node neither leads nor campaigns
    /// nor applies anything, and reads that wait end; its log is as good as any, so it votes and
    /// acknowledges on.
    Quarantine(bool),
    /// A snapshot that a peer took of a state machine that is right is in force on the disk: the
    /// state machine starts over from it, and the log from its last entry. To be said in quarantine
    /// while nothing is with the state machine; ignored if an installed snapshot has overtaken it.
    Rebuild {
        /// The snapshot; the log has its last entry.
        meta: SnapshotMeta,
    },
    /// A leader appends an empty entry, so that snapshots to come end later than those there are.
    Append,
}

impl Input {
    /// One command that one user wants in the log.
    #[must_use]
    pub fn propose(tag: Tag, acknowledge: Acknowledge, command: impl Into<Command>) -> Input {
        Input::Propose(vec![Proposal { tag, acknowledge, command: command.into() }])
    }
}

/// Whom fetched entries are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Consumer {
    /// The node's own state machine.
    Apply,
    /// A peer that lags behind the entries kept in memory.
    Peer(NodeId),
}
