//! The actions that a node requests from its driver, and the reasons why it rejects messages.

use alloc::vec::Vec;

use crate::raft::api::input::Consumer;
use crate::types::text::closed_list;
use crate::types::{
    Entries, Entry, EntryId, Freshness, Index, Membership, Message, NodeId, RejectReason,
    RoleCause, RoleName, SnapshotMeta, Tag, Term, Write,
};

/// One action for the driver. The driver may carry out actions concurrently and in any order,
/// except that all [`Action::Persist`]s keep their order, and so do all [`Action::Apply`]s and
/// [`Action::Restore`]s together.
///
/// The driver must answer each action of this table with the [`Input`](crate::raft::Input) beside
/// it; a node waits forever for an answer that never comes. Only two actions may stay without an
/// answer: an [`Action::ReceiveSnapshot`] whose transfer fails, which is repeated, and an
/// [`Action::AdoptSnapshot`] when the disk has a later snapshot, which `Input::SnapshotTaken`
/// reports instead. [`Action::Send`] needs no answer: the driver sends the message, and a lost
/// message does no harm. All other actions are reports, which a driver may ignore.
///
/// | action | answer |
/// |---|---|
/// | [`Action::Persist`] | `Input::Persisted` |
/// | [`Action::Apply`], [`Action::Restore`] | `Input::Applied` |
/// | [`Action::Fetch`] | `Input::Damaged` if the read found damage, then `Input::Fetched` |
/// | [`Action::Repair`] | `Input::Repaired` |
/// | [`Action::ReceiveSnapshot`] | `Input::SnapshotReceived` |
/// | [`Action::AdoptSnapshot`] | `Input::SnapshotTaken` |
///
/// The enum is exhaustive on purpose: if a later version adds an action, a driver that matches on
/// every action does not compile until it handles the new one. `examples/own_driver.rs` is such a
/// driver.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize))]
pub enum Action {
    /// Send the message. The state that it reveals is already durable.
    Send(Message),
    /// Make the write durable, then report `Input::Persisted`.
    Persist(Write),
    /// Apply the entries in order, then report `Input::Applied` with the last index. The next batch
    /// follows only after that report. All of them are committed, but unless the state machine is
    /// durable (`Restored::machine`), this node's own disk may still lack some of them.
    Apply(Entries),
    /// Restore the state machine from the snapshot, then report `Input::Applied` with its last
    /// index. The snapshot is already durable and installed, and the state machine is applying no
    /// batch.
    Restore(SnapshotMeta),
    /// Receive the snapshot from a node that has it, make it durable as a file and report
    /// `Input::SnapshotReceived`. The action is repeated while the node needs the snapshot: a
    /// transfer under way continues, and a complete one is reported again. A later snapshot
    /// replaces an earlier one.
    ReceiveSnapshot {
        /// The node that offered the snapshot: the leader, or another member in a repair.
        from: NodeId,
        /// The metadata of the snapshot.
        meta: SnapshotMeta,
    },
    /// Read the entries from `first` to `last` from the disk, then report `Input::Fetched` with as
    /// many of them as `bytes_max` allows, but at least one. The requested entries are durable. If
    /// some were truncated or compacted after the request, report the remaining ones from `first`
    /// on, or none.
    Fetch {
        /// The component that needs the entries; at most one fetch per consumer is pending.
        consumer: Consumer,
        /// The first index to read.
        first: Index,
        /// The last index to read, included.
        last: Index,
        /// The maximum number of bytes of entries to return, as `Entry::bytes` counts them.
        bytes_max: usize,
    },
    /// Write the contents of these damaged entries back to the disk, if they match the entries'
    /// headers there, then report `Input::Repaired`. One repair is under way at a time. Leave out
    /// entries that were truncated or compacted after the request.
    Repair(Vec<Entry>),
    /// Make this snapshot the current one and keep the log, which has the snapshot's last entry.
    /// Then report `Input::SnapshotTaken`. The snapshot was received from another node, is durable
    /// as a file, and covers entries that are damaged on this node's disk.
    AdoptSnapshot(SnapshotMeta),
    /// The proposal is committed and will be applied on every node. With
    /// [`Acknowledge::AllLive`](crate::types::Acknowledge::AllLive), it is also on the disk of
    /// every voter that this leader has heard from within the longest election timeout.
    Committed {
        /// The tag of the proposal.
        tag: Tag,
        /// The term and index of the entry.
        id: EntryId,
    },
    /// The proposal with
    /// [`Acknowledge::LeaderOnly`](crate::types::Acknowledge::LeaderOnly) is in this leader's
    /// memory. It may be committed later, or be lost without notice.
    MayBeLost {
        /// The tag of the proposal.
        tag: Tag,
        /// The term and index of the entry.
        id: EntryId,
    },
    /// The membership change is complete and committed.
    MembershipChangeCommitted {
        /// The tag of the change request.
        tag: Tag,
        /// The entry with the last membership of the change.
        id: EntryId,
    },
    /// The request had no effect and will have none, so a retry is safe, with two exceptions:
    /// after an aborted leadership transfer, the target may still be elected; after a cancelled
    /// membership change, the nodes that were to become voters stay learners, and with
    /// `Config::survivor` a part of the change may take effect.
    Rejected {
        /// The tag of the request.
        tag: Tag,
        /// Why the node rejected the request.
        reason: RejectReason,
    },
    /// The node lost its leadership after it appended the proposal or the membership change: the
    /// entry may be committed already, later or never.
    Unknown {
        /// The tag of the request.
        tag: Tag,
        /// The term and index of the entry.
        id: EntryId,
    },
    /// The state machine may answer the read from its current state.
    ReadReady {
        /// The tag of the read.
        tag: Tag,
        /// The read index, which is applied.
        index: Index,
        /// The freshness of the answer.
        freshness: Freshness,
    },
    /// The active membership changed. Until it is committed, a truncation of the log may undo it.
    ActiveMembershipChanged(Membership),
    /// The cluster exists, but its membership does not name this node's disk. Either it does not
    /// contain the node, or it names another incarnation, because the disk was emptied or is not
    /// that member's. A node reports this at most once per start. Its replies do not count until
    /// the membership names its disk: if the node is a voter, one membership change must remove its
    /// vote, and another must restore it.
    UnknownIncarnation {
        /// The node that rejected the disk.
        from: NodeId,
    },
    /// The leader's log contradicts entries that this node knows to be committed: with
    /// `Config::survivor`, this node's side and the leader's side of a network partition each
    /// continued without the other. The node rejects this leader's entries until the node is wiped
    /// and added again.
    DivergedLog {
        /// The leader whose log contradicts this node's.
        from: NodeId,
    },
    /// The peer's disk lacks entries that the peer acknowledged to this leader: the disk was rolled
    /// back to an older image. The leader counts no reply of the peer until the peer has reported
    /// that it is uncertain, and later that it is certain again (docs/REPAIR.md, R3). A leader
    /// cannot detect a rollback that happened before its election.
    RolledBackDisk {
        /// The peer with the older disk.
        node: NodeId,
        /// The last index that the peer had acknowledged.
        acknowledged: Index,
        /// The last index that its disk has now.
        durable: Index,
    },
    /// This node's log lacks entries that the node acknowledged to the leader: its disk was rolled
    /// back to an older image. From now on the node is uncertain: it counts in no quorum, and
    /// grants no vote.
    LogUncertain {
        /// The leader that found the entries missing.
        from: NodeId,
    },
    /// This node's log again has every entry that the node may have acknowledged: the node is
    /// certain, and counts in quorums again.
    LogCertain,
    /// The node stopped leading during the requested transfer. [`Action::RoleChanged`] reports the
    /// next leader, which is not always the target.
    LeadershipTransferred {
        /// The tag of the transfer request.
        tag: Tag,
    },
    /// The node's role, term or known leader changed.
    RoleChanged {
        /// The node's role after the change.
        role: RoleName,
        /// The node's term after the change.
        term: Term,
        /// The leader that the node knows after the change, which may be the node itself; `None` if
        /// it knows none.
        leader: Option<NodeId>,
        /// The reason for the change.
        cause: RoleCause,
    },
    /// The node dropped or declined a message. For traces and counters only.
    MessageRejected {
        /// The sender of the message.
        from: NodeId,
        /// The name of the message, such as `PreVote`.
        message: &'static str,
        /// Why the node rejected the message.
        reason: MessageRejectReason,
    },
}

closed_list! {
/// Why a node dropped or declined a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize))]
#[non_exhaustive]
pub enum MessageRejectReason {
    /// The message is addressed to another node, or its sender is this node.
    Misaddressed => "misaddressed",
    /// The message breaks the protocol: for example, a term or an index is out of order or out of
    /// bounds, or a membership is invalid.
    Malformed => "malformed",
    /// The sender is not a member.
    NotMember => "not a member",
    /// The message is about this node's campaign, and the sender is not a voter.
    NotVoter => "not a voter",
    /// The message is of an earlier term.
    StaleTerm => "stale term",
    /// With `Config::stickiness`: a node asked for a vote or a pre-vote, but this node leads, or
    /// has heard from a leader within `Config::election_timeout_min` (thesis §4.2.3).
    LeaderHeard => "leader was heard recently",
    /// A node asked for a vote or a pre-vote during this node's vote lease (thesis §6.4.1).
    VoteWithheld => "vote is withheld",
    /// The node's vote in this term went to another candidate (Raft §5.2).
    AlreadyVoted => "already voted",
    /// The candidate's log is behind the node's log (Raft §5.4.1).
    LogBehind => "log is behind",
    /// The candidate's log ends before an entry that this node knows to be committed.
    LacksCommitted => "lacks committed entries",
    /// The message is for another role or state than the node's, for example a `TimeoutNow` that a
    /// candidate receives.
    WrongRole => "wrong role",
    /// The reply belongs to an earlier campaign, append, round or start of this node, comes from a
    /// peer whose acknowledgements do not count, or contains nothing that this node still needs.
    StaleReply => "stale reply",
    /// The log has no entry with the previous index and term (Raft §5.3).
    PrevMismatch => "no such previous entry",
    /// The entries or the snapshot contradict a committed entry, or an entry that the same leader
    /// sent before: the sender is faulty, or the logs have diverged (`Config::survivor`).
    ConflictsWithCommitted => "conflicts with committed",
    /// The sender claims the leadership of a term that has a leader: the sender is faulty, or two
    /// survivors lead the same term (`Config::survivor`).
    SecondLeader => "second leader",
    /// The sender acknowledges entries after the end of this leader's log, or a heartbeat round
    /// that this leader never sent: the sender is faulty.
    ImpossibleMatch => "impossible match",
    /// A follower forwarded a read before this leader had committed an entry of its term, or while
    /// too many reads waited; or an uncertain node asked for the end of the log while this leader
    /// cannot append an entry. The sender asks again.
    LeaderNotReady => "leader is not ready",
    /// This node drops a message of its own, because too many wait for the disk.
    OutboxFull => "outbox full",
    /// This node's disk has no space for the entries.
    DiskFull => "disk full",
    /// This node has no membership, so it cannot vote, reply to a probe or handle the message.
    NoMembership => "no membership",
    /// The sender's list of bootstrap peers differs from this node's, or lacks the sender.
    OtherBootstrapPeers => "other bootstrap peers",
    /// A disk's incarnation differs from the one in the membership, or from the one in the peer's
    /// earlier messages.
    UnknownIncarnation => "unknown incarnation",
    /// The sender's disk lacks entries that the sender acknowledged before.
    RolledBackDisk => "rolled-back disk",
    /// This node is uncertain, and votes for no candidate (docs/REPAIR.md, R3).
    LogUncertain => "log is uncertain",
}
}
