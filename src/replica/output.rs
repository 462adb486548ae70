//! The outputs of a node.

use crate::machine::Outcome;
use crate::raft::{self, MessageRejectReason};
use crate::storage::{AbandonReason, Operation, StorageError};
use crate::types::{
    Entries, EntryId, Freshness, Index, MachineVersion, Membership, NodeId, Packet, RejectReason,
    RoleCause, RoleName, SnapshotMeta, Tag, Term,
};

/// One action that a node requests of its driver. The driver may execute outputs at once and in any
/// order, but must keep three orders: of [`Output::Work`], of [`Output::Disk`] within each lane,
/// and of the answers to [`Output::FreezeView`] and [`Output::ReadView`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Sends the packet to the node in its `to` field.
    Send(Packet),
    /// Executes the disk operation; the driver then reports `Input::Disk`.
    Disk(Operation),
    /// Gives the work to the worker; the driver then reports `Input::WorkDone`.
    Work(Work),
    /// Lets the worker freeze a view of its state; the driver keeps the view and reports
    /// `Input::ViewFrozen`, or `Input::ViewFailed` if the worker cannot. Earlier views are no
    /// longer needed. Each request to freeze or to read a view is answered, in the order of the
    /// requests.
    FreezeView,
    /// Reads the next bytes of the view; the driver then reports `Input::ViewRead`, or
    /// `Input::ViewFailed` if they cannot be read.
    ReadView {
        /// The number of bytes to read.
        bytes: usize,
    },
    /// Drops the view, which the node does not read to its end: it would keep an old state in
    /// memory. Every earlier request to freeze or to read a view is answered.
    DropView,
    /// The proposal is committed, and applied on this node. With [`Acknowledge::AllLive`], it is
    /// also durable on every voter that the leader does not suspect to be dead.
    ///
    /// [`Acknowledge::AllLive`]: crate::types::Acknowledge::AllLive
    Replied {
        /// The tag of the proposal.
        tag: Tag,
        /// The id of its entry.
        id: EntryId,
        /// The outcome of the request in the state machine.
        outcome: Outcome,
    },
    /// The proposal is only in the memory of the leader, this node: it may be applied later, or be
    /// lost without a further output.
    MayBeLost {
        /// The tag of the proposal.
        tag: Tag,
        /// The id of its entry in the leader's log.
        id: EntryId,
    },
    /// The state machine answered the read, after it had applied at least `index`.
    Answered {
        /// The tag of the read.
        tag: Tag,
        /// The guaranteed freshness of the answer.
        freshness: Freshness,
        /// The read index that the read waited for.
        index: Index,
        /// The last index that the state machine had applied when it answered.
        applied: Index,
        /// The answer of the state machine.
        answer: Vec<u8>,
    },
    /// The request had no effect and will have none, so a retry is safe, with two exceptions:
    /// after an aborted leadership transfer, the target may still be elected; after a cancelled
    /// membership change, the nodes that were to become voters stay learners.
    Rejected {
        /// The tag of the request.
        tag: Tag,
        /// The reason for the rejection.
        reason: RejectReason,
    },
    /// The request may have been applied, may be applied later, or may never be: it is safe to
    /// retry only in a session.
    Unknown {
        /// The tag of the request.
        tag: Tag,
    },
    /// The membership change is complete and committed.
    MembershipChangeCommitted {
        /// The tag of the request.
        tag: Tag,
        /// The id of the entry with the last membership of the change.
        id: EntryId,
    },
    /// The node stopped leading during the requested transfer. [`Output::RoleChanged`] reports the
    /// next leader, which is not always the target.
    LeadershipTransferred {
        /// The tag of the request.
        tag: Tag,
    },
    /// The cluster rejects this node's disk, because the disk was wiped or was never that of a
    /// member. Emitted at most once after a start. The node's votes and acknowledgements do not
    /// count until an operator suspends or removes it as a voter and adds it again.
    UnknownIncarnation {
        /// The node that rejected this one.
        from: NodeId,
    },
    /// The leader's log contradicts entries that this node knows to be committed: this node and the
    /// leader continued as survivors without each other. This node rejects the leader's entries
    /// until an operator wipes the node and adds it again.
    DivergedLog {
        /// The leader whose log differs.
        from: NodeId,
    },
    /// The disk of a peer has fewer entries than the peer acknowledged to this leader: the disk was
    /// rolled back. The peer counts in no quorum of this leader until its log is checked. A leader
    /// cannot detect a rollback that happened before its election, unless the peer reports that it
    /// is uncertain.
    RolledBackDisk {
        /// The peer with that disk.
        node: NodeId,
        /// The last index that the peer had acknowledged.
        acknowledged: Index,
        /// The last index that its disk has.
        durable: Index,
    },
    /// The disk has lost a header block of the log, and the rest of the log does not determine it.
    /// The node runs until it has to read the entries that the text names. An operator must replace
    /// its disk: suspend or remove the voter, and add it again.
    DamagedHeaders(StorageError),
    /// One of the four copies of the superblock did not hold what was written to it. The other
    /// copies suffice, and the node writes the damaged one again; a copy that stays damaged is
    /// reported with every update.
    DamagedSuperblock(StorageError),
    /// The node lacks a resource of the process or the machine, such as open files or memory, for a
    /// read or a new file: it tries again every `ReplicaConfig::space_retry`, and nothing is
    /// damaged. `None` once nothing waits any more.
    Exhausted(Option<StorageError>),
    /// The log of this node lacks entries that the node acknowledged to the leader: its disk was
    /// rolled back. The node is uncertain, and counts in no quorum until a leader has checked its
    /// log.
    LogUncertain {
        /// The leader that found that the entries are missing.
        from: NodeId,
    },
    /// The node was uncertain, and is certain again: its log has every entry that it may have
    /// acknowledged.
    LogCertain,
    /// The active membership from now on, with the members' addresses. While it is not committed,
    /// another leader may replace it.
    ActiveMembershipChanged(Membership),
    /// The node's role, term or known leader changed.
    RoleChanged {
        /// The node's role after the change.
        role: RoleName,
        /// The node's term after the change.
        term: Term,
        /// The leader that the node knows after the change: the node itself while it leads; `None`
        /// if it knows none.
        leader: Option<NodeId>,
        /// The reason for the change.
        cause: RoleCause,
    },
    /// The node dropped or rejected a message of a peer. For traces and counters only.
    MessageRejected {
        /// The sender of the message.
        from: NodeId,
        /// The name of the message, of [`Body::name`](crate::types::Body::name).
        message: &'static str,
        /// The reason for the rejection.
        reason: MessageRejectReason,
    },
    /// The node compared its state digests with the other nodes', or rebuilt its state machine.
    StateCompared(ComparisonResult),
    /// The node stopped because of an error. It does nothing more before a restart.
    Stopped(StorageError),
    /// A snapshot on the disk can no longer be read. The node takes another one: at once if the
    /// damaged one is the current one, and otherwise once it has applied an entry after the current
    /// one.
    KeptSnapshotDamaged(StorageError),
    /// A snapshot of this node's state machine has failed. The node takes another one later; until
    /// one succeeds, its log is not compacted and grows. Not emitted again while the
    /// reason stays the same, until a snapshot is taken.
    SnapshotNotTaken(AbandonReason),
    /// The node cannot store a snapshot that it was offered, for example because the snapshot
    /// exceeds a limit of this node. The node tries again later. Not emitted again while
    /// the reason stays the same, until a snapshot is received.
    SnapshotNotReceived {
        /// The last entry that the snapshot covers.
        last: EntryId,
        /// The limit or the failure that prevented it.
        reason: AbandonReason,
    },
    /// The node started uncertain: it counts in no quorum until a leader has checked its log. The
    /// error is about the last flushes of the log or the last update of the superblock, if this
    /// start found that they may be lost.
    StartedUncertain(Option<StorageError>),
    /// Sectors of the log were damaged, and the start has written them again: other sectors
    /// determine their content. The error is about the first damaged one.
    LogRepaired(StorageError),
    /// A part of the log cannot be read, and the start removed it: the snapshot covers its entries.
    LogTrimmed(StorageError),
    /// The node started without a state, because no snapshot on its disk can be read: it applies
    /// nothing and serves no reads until it has rebuilt its state from another node's snapshot.
    SnapshotDamaged(StorageError),
    /// The node started in quarantine, because its state was found to have diverged before and was
    /// not rebuilt since: the node applies nothing and serves no reads until it has rebuilt its
    /// state from another node's snapshot.
    StartedQuarantined,
    /// The log has reached a version of the rules that this node's build does not have: the node
    /// applies nothing and serves no reads until it runs a newer build.
    BuildTooOld {
        /// The version that the log has reached.
        required: MachineVersion,
        /// The highest version that the build has.
        max: MachineVersion,
    },
    /// The node completed the shutdown that `Input::Close` requested.
    Closed,
}

/// The result of comparing a node's state digest at `index` with those of the other voters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComparisonResult {
    /// A majority of the voters has the same digest as this node.
    Consistent {
        /// The last applied index of the compared states.
        index: Index,
    },
    /// The digest of this node is unknown, or too few voters knew theirs and none differed.
    Unavailable {
        /// The last applied index of the compared states.
        index: Index,
    },
    /// An alarm: digests differ, and too few voters knew theirs to form a majority. The node
    /// compares again after a timeout.
    Inconclusive {
        /// The last applied index of the compared states.
        index: Index,
    },
    /// An alarm: a majority of the voters has a different digest than this node. This node applies
    /// nothing and serves no reads until it has rebuilt its state from another node's snapshot.
    Diverged {
        /// The last applied index of the compared states.
        index: Index,
    },
    /// An alarm: no majority of the voters has the same digest. The node applies nothing and serves
    /// no reads; an operator must find the correct nodes.
    NoMajority {
        /// The last applied index of the compared states.
        index: Index,
    },
    /// The node rebuilt its state from a peer's snapshot, and its quarantine is over.
    Rebuilt {
        /// The last index that the snapshot covers.
        index: Index,
    },
}

/// One piece of work for the worker, in the order of the outputs. Only a [`Work::Query`] may be
/// executed later than a [`Work::Apply`] or a query that follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Applies a batch of committed entries.
    Apply(Entries),
    /// Answers a query from the current state.
    Query {
        /// Identifies the query in its answer.
        tag: Tag,
        /// The bytes of the query.
        query: Vec<u8>,
    },
    /// Restores the state machine from the snapshot, which is on the disk.
    Restore(SnapshotMeta),
    /// Restores the state machine like [`Work::Restore`], after its state has diverged, or no
    /// snapshot could be read: a state machine with durable state of its own must discard that
    /// state.
    Rebuild(SnapshotMeta),
}

/// A filter for the [`Note`]s of the algorithm's steps. Recording a note clones the message with
/// its entries, which may cost as much as the step. Every filter records the notes of snapshots.
#[derive(Clone, Copy, Debug)]
pub struct NoteFilter {
    /// Returns true for inputs that [`Note::RaftInput`] records.
    pub inputs: fn(&raft::Input) -> bool,
    /// Returns true for actions that [`Note::RaftAction`] records.
    pub actions: fn(&raft::Action) -> bool,
}

impl NoteFilter {
    /// The filter that records every input and action.
    pub const ALL: NoteFilter = NoteFilter { inputs: |_| true, actions: |_| true };
}

/// An internal event of a node, for traces and checks; see
/// [`Node::record_notes`](crate::replica::Node::record_notes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The consensus algorithm takes this input.
    RaftInput(raft::Input),
    /// The consensus algorithm emitted this action.
    RaftAction(raft::Action),
    /// A snapshot has become the current one on this node's disk: one that the node took, or a
    /// peer's that covers damaged entries of this node's log.
    SnapshotTaken(SnapshotMeta),
    /// A snapshot from a peer is durable on this node's disk, and not yet installed.
    SnapshotReceived(SnapshotMeta),
}
