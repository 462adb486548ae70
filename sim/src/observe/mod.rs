//! The observations of a run, in order, for the checks and the coverage marks.
//!
//! A check receives only this stream: it does not access the world, draws no choice and changes no
//! digest, so a run with checks is identical to the run without them.

pub mod combinations;
pub mod coverage;
pub mod fingerprint;
pub mod outcome;
pub mod recovery_drill;

use std::sync::Arc;
use std::time::Duration;

use quorate::log::Log;
use quorate::machine::{Digest, Outcome, Sequence, SessionId};
use quorate::raft::{Input, Raft, RejectReason, Status};
use quorate::replica::ComparisonResult;
use quorate::types::{
    Comparison, Entry, EntryId, Freshness, Incarnation, Index, Instant, Membership, Message,
    NodeId, ReadLevel, SnapshotMeta, SnapshotTransfer, Tag, Term, Write,
};

use crate::observe::recovery_drill::RecoveryDrill;
use crate::values::time::SimTime;

pub use crate::workload::MachineView;
pub use crate::workload::request::OpId;

/// A function that receives the lines of a trace, without line ends, in order.
pub type TraceSink = Arc<dyn Fn(&str) + Send + Sync>;

/// The start of a core, or an input of it.
#[derive(Clone, Copy, Debug)]
pub enum CoreInput<'a> {
    /// The node starts with this core.
    Starts(&'a Raft),
    /// The core takes an input.
    Takes {
        /// The time by the node's own clock.
        now: Instant,
        /// The message, the request or the completion that the core takes.
        input: &'a Input,
    },
}

/// A function that receives every start and every input of the cores of a run, in order.
pub type CoreSink = Arc<dyn Fn(SimTime, NodeId, CoreInput<'_>) + Send + Sync>;

/// A command that a node's state machine executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// The index of the command's log entry.
    pub index: Index,
    /// The reply of the state machine.
    pub reply: Vec<u8>,
}

/// One event that the world shows to its observers.
#[derive(Clone, Copy, Debug)]
pub enum Observation<'a> {
    /// A node started from its disk. The disk holds everything durable and, as far as the order of
    /// the writes allows, any part of the writes that were pending at the crash.
    Started {
        /// The node that started.
        node: NodeId,
        /// The membership that the node starts with.
        membership: &'a Membership,
        /// The node's status, all of which comes from the disk.
        status: &'a Status,
        /// The log on the node's disk.
        log: &'a Log,
        /// The digest as in [`Observation::Applied`]; the state machine starts empty, from a
        /// snapshot, or from its own durable state.
        state: Option<Digest>,
        /// Whether a simulated fault may have destroyed durable data on the node's disk. Then the
        /// disk may store an earlier commit index than before, and the end of the log may be lost:
        /// the node is uncertain in that case.
        damaged: bool,
        /// Whether the node starts in quarantine, because its state was found to have diverged
        /// before.
        quarantined: bool,
        /// The time of the start, by the node's clock.
        own_time: Instant,
    },
    /// A node failed to start.
    StartFailed {
        /// The node that failed to start.
        node: NodeId,
        /// Whether a simulated fault may have destroyed durable data on the node's disk.
        damaged: bool,
        /// The error message of the node.
        reason: &'a str,
    },
    /// A node stopped by itself and does not continue: its process ends.
    Stopped {
        /// The node that stopped.
        node: NodeId,
        /// Whether a simulated fault may have caused the stop.
        justified: bool,
        /// The error message of the node.
        reason: &'a str,
    },
    /// The process of a node ended, by a crash, by a clean shutdown or after
    /// [`Observation::Stopped`], and lost its memory. The next start shows which of its pending
    /// writes the disk kept.
    Crashed {
        /// The node whose process ended.
        node: NodeId,
    },
    /// A node that is down lost its disk, and will start with an empty disk.
    Wiped {
        /// The node that lost its disk.
        node: NodeId,
        /// The incarnation of the new disk.
        incarnation: Incarnation,
    },
    /// The simulator copies the durable contents of a node's disk.
    DiskCopied {
        /// The node with the copied disk.
        node: NodeId,
        /// The number of the copy, among those of the node.
        copy: u16,
    },
    /// A node that is down gets back a copy of its disk, marked as uncertain: what became durable
    /// since the copy is lost.
    RolledBack {
        /// The node that lost the later contents of its disk.
        node: NodeId,
        /// The number of the copy, among those of the node.
        copy: u16,
    },
    /// A node took a message that a node had sent. The step with this message is the next one that
    /// is shown. Messages that no node sent are shown as [`Observation::FaultInput`].
    Delivered {
        /// The node that took the message; a misrouted message is addressed to another node.
        node: NodeId,
        /// The message, with its sender and the node to which it is addressed.
        message: &'a Message,
    },
    /// A node is about to take an input from a fault: a message that no node sent, or a request to
    /// campaign. The step with this input is the next one that is shown.
    FaultInput {
        /// The node that takes the input.
        node: NodeId,
    },
    /// A node processed one input; the actions that it returned are still to be carried out.
    Stepped {
        /// The node that took the input.
        node: NodeId,
        /// The time of the step by the node's own clock.
        own_time: Instant,
        /// The node's status after the input.
        status: &'a Status,
        /// The membership that the node uses.
        membership: &'a Membership,
    },
    /// A node reports to the requester that a membership change is complete.
    MembershipChangeCommitted {
        /// The node that reports the change.
        node: NodeId,
        /// The entry of the last membership of the change.
        id: EntryId,
    },
    /// A leader received a peer's reply; this is its view of the peer's log after the reply.
    PeerMatched {
        /// The leader that received the reply.
        node: NodeId,
        /// The peer that sent the reply.
        peer: NodeId,
        /// The index up to which the leader counts the peer's log as matched.
        matched: Index,
    },
    /// A leader answers a proposal that had to be durable on every live voter.
    AllLiveAcknowledged {
        /// The leader that answers.
        node: NodeId,
        /// The entry of the proposal.
        id: EntryId,
        /// The nodes that the leader heard from within the longest election timeout, by its clock.
        live: &'a [NodeId],
    },
    /// A node submitted a write to its disk and changed its memory. No part of it is durable yet.
    Submitted {
        /// The node that submitted the write.
        node: NodeId,
        /// The write with its entries.
        write: &'a Write,
    },
    /// A node received the completion of a write.
    Durable {
        /// The node that received the completion.
        node: NodeId,
        /// The write that is durable.
        write: &'a Write,
    },
    /// A running node learns that its disk has lost the contents of these entries. The log of a
    /// node that starts names those that its disk lost before.
    EntriesDamaged {
        /// The node with the damaged log.
        node: NodeId,
        /// The entries whose content is lost, by ascending index.
        entries: &'a [EntryId],
    },
    /// A node regards damaged entries as intact and durable again.
    EntriesRepaired {
        /// The node that repaired its log.
        node: NodeId,
        /// The entries that the node regards as intact again.
        entries: &'a [EntryId],
        /// The entries of this list that the node's disk does not hold.
        missing: &'a [EntryId],
    },
    /// A node decided to acknowledge its log up to an index. A driver that lags may send the
    /// message later.
    Acknowledged {
        /// The node that acknowledges.
        node: NodeId,
        /// The term of the acknowledgement.
        term: Term,
        /// The last acknowledged index.
        matched: Index,
    },
    /// The outputs that follow, up to the next step of any node, are those of an earlier step than
    /// the node's last one, because its driver lags.
    OutputDelayed {
        /// The node with the lagging driver.
        node: NodeId,
    },
    /// A node sent a message to the network.
    Sent {
        /// The message, with its sender and receiver.
        message: &'a Message,
    },
    /// A node sent a message of a snapshot transfer to the network.
    TransferSent {
        /// The message, with its sender and receiver.
        transfer: &'a SnapshotTransfer,
    },
    /// A node sent a message of a state comparison to the network.
    ComparisonSent {
        /// The message, with its sender and receiver.
        comparison: &'a Comparison,
    },
    /// A node's state machine applied entries.
    Applied {
        /// The node that applied the entries.
        node: NodeId,
        /// The applied entries in index order.
        entries: &'a [Entry],
        /// The commands among them that the user's state machine executed, in index order.
        executed: &'a [Executed],
        /// The rolling digest of all applied entries and their outcomes, after each entry; `None`
        /// after an outcome that the state machine does not know.
        states: &'a [Option<Digest>],
    },
    /// A simulated fault makes a node's state machine apply one command of its next batch wrongly.
    MachineFault {
        /// The node with the faulty state machine.
        node: NodeId,
    },
    /// A node reports the result of comparing its state with other nodes.
    StateCompared {
        /// The node that compared its state.
        node: NodeId,
        /// The result of the comparison.
        result: ComparisonResult,
    },
    /// A write to a node's disk, or a flush of it, failed. From now on the node must not treat any
    /// of its writes as durable.
    DiskFailed {
        /// The node with the failed disk.
        node: NodeId,
    },
    /// A snapshot has become the current one on a node's disk: one of the node's own state machine,
    /// or a peer's that covers damaged entries of the node's log.
    SnapshotTaken {
        /// The node with the snapshot.
        node: NodeId,
        /// The metadata of the snapshot.
        meta: &'a SnapshotMeta,
    },
    /// A node's state machine was replaced by a snapshot from a peer.
    Restored {
        /// The node that installed the snapshot.
        node: NodeId,
        /// The last index that the snapshot covers.
        index: Index,
        /// The digest as in [`Observation::Applied`].
        state: Option<Digest>,
    },
    /// The world inspects a node's state machine when the node takes a snapshot, and at the end.
    MachineInspected {
        /// The node that is inspected.
        node: NodeId,
        /// The state of the machine.
        view: MachineView<'a>,
    },
    /// A node's state machine wrote a frozen view of its state as a snapshot.
    SnapshotFrozen {
        /// The node that takes the snapshot.
        node: NodeId,
        /// The last entry that the state covers.
        last: EntryId,
        /// The bytes of the snapshot.
        bytes: &'a [u8],
    },
    /// A running node finds that a snapshot that it keeps is damaged.
    SnapshotDamaged {
        /// The node with the damaged snapshot.
        node: NodeId,
    },
    /// A client's request reached a running node.
    RequestReceived {
        /// The node that received the request.
        node: NodeId,
        /// The tag of the request.
        tag: Tag,
    },
    /// A node received a proposal that it may answer only once every live voter has the entry.
    RequestForAllLive {
        /// The tag of the proposal.
        tag: Tag,
    },
    /// A node gave its one answer to a request.
    RequestAnswered {
        /// The tag of the request.
        tag: Tag,
        /// Why the node rejected the request; `None` if it did not.
        rejected: Option<RejectReason>,
    },
    /// A client invoked a command. In a session, the command is executed at most once; without a
    /// session, once for each log entry that holds it.
    ProposeInvoked {
        /// The number of the operation.
        op: OpId,
        /// The user's bytes, with the operation's mark.
        command: &'a [u8],
        /// The client's session and the sequence number of the command in it.
        session: Option<(SessionId, Sequence)>,
    },
    /// A client invoked a read.
    ReadInvoked {
        /// The number of the operation.
        op: OpId,
        /// The required freshness of the answer.
        level: ReadLevel,
        /// The user's bytes of the query.
        query: &'a [u8],
    },
    /// A client received the reply to a proposal or to one of its retries. The reply to a retry may
    /// arrive long after the operation ended.
    Replied {
        /// The number of the operation.
        op: OpId,
        /// The node whose state machine replied.
        node: NodeId,
        /// The log entry of this attempt.
        id: EntryId,
        /// The outcome of the command.
        outcome: &'a Outcome,
    },
    /// A client received the answer to a read, from the state after `applied`.
    ReadServed {
        /// The number of the operation.
        op: OpId,
        /// The node that served the read.
        node: NodeId,
        /// The freshness that the node claims for the answer.
        freshness: Freshness,
        /// The read index that the state machine had to reach.
        index: Index,
        /// The last index that the state machine had applied when it answered.
        applied: Index,
        /// The digest as in [`Observation::Applied`], at the time of the answer.
        state: Option<Digest>,
        /// The bytes of the answer.
        answer: &'a [u8],
    },
    /// A client received a rejection: its operation had no effect.
    Rejected {
        /// The number of the operation.
        op: OpId,
        /// The reason why the node rejected it.
        reason: RejectReason,
    },
    /// The outcome of an operation is unknown to its client: the node reported an unknown outcome,
    /// reported a command that may be lost, or crashed; or the session ended, the client timed out,
    /// or the client is hostile.
    Unknown {
        /// The number of the operation.
        op: OpId,
    },
    /// A node's clock exceeded the drift bound that leases allow.
    ClockBoundExceeded {
        /// The node with the faulty clock.
        node: NodeId,
    },
    /// A running node holds a leader lease or a read lease: it would now answer a read from its own
    /// state. This is shown only for a node whose term is before the latest term that a node has
    /// led: at each of its steps, and whenever another node becomes the leader or commits an entry
    /// as the leader.
    LeaseHeld {
        /// The node with the lease.
        node: NodeId,
        /// The time that is left, by the node's own clock.
        left: Duration,
    },
    /// The fault phase ended and the stabilization phase begins: the nodes of `core` can reach each
    /// other and do not crash, and faults of the other nodes last until the end of the run.
    Stabilized {
        /// The nodes that must make progress.
        core: &'a [NodeId],
    },
    /// The core has made the required progress; from now on the cluster receives no requests.
    Idle,
    /// The world recovered a new cluster from copies of some disks, as a drill that changes nothing
    /// in the run.
    RecoveryDrilled {
        /// The nodes whose disks were copied, by ascending id. Each runs and is certain of its log,
        /// and no fault has damaged its disk.
        survivors: &'a [NodeId],
        /// The new cluster, or the reason why the recovery failed.
        result: Result<&'a RecoveryDrill, &'a str>,
    },
    /// The end of the run.
    Ended,
}

/// A violated check, with the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The check's id in the list of invariants, for example `S1` or `L1`.
    pub id: &'static str,
    /// The check's name, for example `election-safety`.
    pub check: &'static str,
    /// The finding, in one sentence with nodes, terms and indices.
    pub finding: String,
    /// The simulated time of the violation.
    pub at: SimTime,
    /// The source position of the report, for example `sim/src/check/election.rs:41`.
    pub place: String,
}

/// Joins the lines of a text into one line, with semicolons between them.
pub(crate) fn in_one_line(text: &str) -> String {
    let clauses = text.split(['\r', '\n']).map(str::trim).filter(|clause| !clause.is_empty());
    clauses.collect::<Vec<_>>().join("; ")
}
