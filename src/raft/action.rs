//! All that a node wants done, and why it declines what it declines.

use alloc::vec::Vec;
use core::fmt;

use crate::raft::input::Consumer;
use crate::types::{
    Entry, EntryId, Freshness, Index, Membership, Message, NodeId, RejectReason, RoleName,
    SnapshotMeta, Tag, Term, Write,
};

/// One thing a node wants done. A driver may carry actions out at once and in any order, save
/// that every [`Action::Persist`] keeps its place among its kind, and so do [`Action::Apply`] and
/// [`Action::Restore`] together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// Give the message to the network. What must first be durable already is.
    Send(Message),
    /// Make the batch durable, then report `Input::Persisted`.
    Persist(Write),
    /// Apply the entries in order, then report `Input::Applied` with the last one's index. The
    /// next batch comes only after that.
    Apply(Vec<Entry>),
    /// Let the state machine start over from the snapshot, then report `Input::Applied` with its
    /// last index. Its installation is durable, and nothing else is with the machine.
    Restore(SnapshotMeta),
    /// Get the snapshot from a node that has it, make it durable as a file and report
    /// `Input::SnapshotReceived`. Said again as long as it is wanted: what is under way goes on,
    /// and what is complete is reported again. A later one takes the place of an earlier one.
    ReceiveSnapshot {
        /// The leader that offered it.
        from: NodeId,
        /// The snapshot.
        meta: SnapshotMeta,
    },
    /// Read entries from `first` to `last` from the disk, then report `Input::Fetched` with as
    /// many of them as `bytes_max` allows, but at least one. All of them are durable; what was
    /// forgotten since may be left out.
    Fetch {
        /// Whom they are for; at most one fetch per consumer is under way.
        consumer: Consumer,
        /// The first index.
        first: Index,
        /// The last index.
        last: Index,
        /// The most bytes of entries to hand over, as `Entry::bytes` counts them.
        bytes_max: usize,
    },
    /// The proposal is in the log for good and will be applied everywhere. If that was asked for,
    /// it is on the disk of every voter that this leader takes for alive, too.
    Committed {
        /// As proposed.
        tag: Tag,
        /// Where it stands.
        id: EntryId,
    },
    /// The proposal is in this leader's memory, and nothing more is known: it may be committed, or
    /// be lost without a word.
    MayBeLost {
        /// As proposed.
        tag: Tag,
        /// Where it was appended.
        id: EntryId,
    },
    /// The change of the membership is complete, and in the log for good.
    Changed {
        /// As asked.
        tag: Tag,
        /// Where the last membership of the change stands.
        id: EntryId,
    },
    /// Nothing happened to the proposal or the read, and nothing will: safe to try again.
    Rejected {
        /// As proposed or asked.
        tag: Tag,
        /// Why.
        reason: RejectReason,
    },
    /// Leadership was lost after the proposal was appended: it may be committed, now or later, or
    /// never.
    Unknown {
        /// As proposed.
        tag: Tag,
        /// Where it was appended.
        id: EntryId,
    },
    /// The state machine, as it is now, may answer the read.
    ReadReady {
        /// As asked.
        tag: Tag,
        /// The index that the read waited for; it is applied.
        index: Index,
        /// How fresh the answer is.
        freshness: Freshness,
    },
    /// Who counts from now on. Committed or not, it may yet be taken back by another one.
    MembershipChanged(Membership),
    /// The cluster exists, and does not count on this node's disk: it was emptied since, or was
    /// never a member's, or is an older image of one. Said once after a start. The node does
    /// nothing that counts before its vote was taken and given back.
    Stranger {
        /// Who says so.
        from: NodeId,
    },
    /// The leader's log contradicts what this node knows as committed: each went on without the
    /// other, though both were alive. This node's own is refused until it is wiped and added again.
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
    /// The node handed its leadership over, as a transfer asked for. Whether the other one took
    /// it, [`Action::RoleChanged`] tells.
    Resigned {
        /// As asked.
        tag: Tag,
    },
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
}

/// Why a node dropped or declined a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// It is addressed to another node, or comes from this one.
    Misaddressed,
    /// No node of this protocol says this: terms or indices out of order or out of bounds.
    Malformed,
    /// It answers for a node outside the membership, or one without a vote where votes count.
    NotVoter,
    /// It is of an earlier term.
    StaleTerm,
    /// A vote was asked for while a leader is fresh (thesis §4.2.3).
    LeaderFresh,
    /// A vote was asked for while a leader counts on the node to give none (thesis §6.4.1).
    Promised,
    /// The vote of this term is given to another candidate (Raft §5.2).
    AlreadyVoted,
    /// The candidate's log is behind (Raft §5.4.1).
    LogBehind,
    /// The node is not in the role to which this would matter.
    WrongRole,
    /// It answers an earlier campaign, append, round or start of this node.
    StaleReply,
    /// The log has no such previous entry (Raft §5.3).
    PrevMismatch,
    /// It would overwrite an entry that is committed, or that the same leader sent before: its
    /// sender is broken or lies.
    ConflictsWithCommitted,
    /// It claims the leadership of a term that has a leader: its sender is broken or lies.
    SecondLeader,
    /// It acknowledges what was never sent: its sender is broken or lies.
    ImpossibleMatch,
    /// A forwarded read comes before an entry of the leader's own term is committed, or while
    /// too many reads wait; the reader asks again.
    ReadNotReady,
    /// Too many messages wait for the disk.
    OutboxFull,
    /// It brings entries for which the disk has no space.
    DiskFull,
    /// This node has no membership yet: an empty directory does not vote.
    NoMembership,
    /// It is of a founder that has other founders in mind.
    OtherFounders,
    /// The disk is not the member's: this node's, by the word of one who founded, or the sender's.
    OtherDisk,
    /// The sender's disk has less than it acknowledged before.
    OlderImage,
}

impl Refusal {
    /// Every reason, in the order of their numbers in counters.
    pub const ALL: [Refusal; 21] = [
        Refusal::Misaddressed,
        Refusal::Malformed,
        Refusal::NotVoter,
        Refusal::StaleTerm,
        Refusal::LeaderFresh,
        Refusal::Promised,
        Refusal::AlreadyVoted,
        Refusal::LogBehind,
        Refusal::WrongRole,
        Refusal::StaleReply,
        Refusal::PrevMismatch,
        Refusal::ConflictsWithCommitted,
        Refusal::SecondLeader,
        Refusal::ImpossibleMatch,
        Refusal::ReadNotReady,
        Refusal::OutboxFull,
        Refusal::DiskFull,
        Refusal::NoMembership,
        Refusal::OtherFounders,
        Refusal::OtherDisk,
        Refusal::OlderImage,
    ];
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Refusal::Misaddressed => "misaddressed",
            Refusal::Malformed => "malformed",
            Refusal::NotVoter => "not a voter",
            Refusal::StaleTerm => "stale term",
            Refusal::LeaderFresh => "leader is fresh",
            Refusal::Promised => "promised",
            Refusal::AlreadyVoted => "already voted",
            Refusal::LogBehind => "log is behind",
            Refusal::WrongRole => "wrong role",
            Refusal::StaleReply => "stale reply",
            Refusal::PrevMismatch => "no such previous entry",
            Refusal::ConflictsWithCommitted => "conflicts with committed",
            Refusal::SecondLeader => "second leader",
            Refusal::ImpossibleMatch => "impossible match",
            Refusal::ReadNotReady => "read not ready",
            Refusal::OutboxFull => "outbox full",
            Refusal::DiskFull => "disk full",
            Refusal::NoMembership => "no membership",
            Refusal::OtherFounders => "other founders",
            Refusal::OtherDisk => "other disk",
            Refusal::OlderImage => "older image",
        })
    }
}
