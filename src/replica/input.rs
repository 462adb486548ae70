//! The inputs of a node.

use crate::machine::Outcome;
use crate::storage::{Completion, StorageError};
use crate::types::{
    Acknowledge, Change, Command, Entries, EntryId, Index, MachineUsage, MachineVersion, NodeId,
    Packet, Proposal, ReadLevel, StateDigest, Tag,
};

/// One event for a node; `Node::step` takes one at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Input {
    /// A packet arrived. The node trusts its `from` field: the driver must authenticate senders.
    Packet(Packet),
    /// The deadline of [`Node::deadline`](crate::replica::Node::deadline) may have passed.
    Timeout,
    /// The disk completed an operation of `Output::Disk`.
    Disk(Completion),
    /// The worker completed the work of an `Output::Work`.
    WorkDone(WorkResult),
    /// The worker froze a view of the state after this entry, and the driver holds the view.
    ViewFrozen(EntryId),
    /// The next bytes of the frozen view; fewer than requested only at its end.
    ViewRead(Vec<u8>),
    /// The worker cannot freeze a view now, or the rest of the view cannot be read. The node
    /// abandons the snapshot, and takes another one after a delay, at first
    /// `ReplicaConfig::space_retry`.
    ViewFailed,
    /// Users propose commands, in this order, each encoded by `Request::encode_for`. Each proposal
    /// ends in exactly one of `Output::Replied`, `Output::Rejected` and `Output::Unknown`; with
    /// [`Acknowledge::LeaderOnly`], in one of `Output::MayBeLost` and `Output::Rejected`. Proposals
    /// of one input go to the disk and to every peer in one batch.
    Propose(Vec<Proposal>),
    /// A user reads. The read ends in exactly one of `Output::Answered` and `Output::Rejected`.
    Read {
        /// Identifies the read in its outcome; no other pending request has the same tag.
        tag: Tag,
        /// The required freshness of the answer.
        level: ReadLevel,
        /// The query for the state machine, which the node does not interpret.
        query: Vec<u8>,
    },
    /// An operator changes the membership. The request ends in exactly one of
    /// `Output::MembershipChangeCommitted`, once the whole change is complete, `Output::Rejected`
    /// and `Output::Unknown`.
    ChangeMembership {
        /// Identifies the request in its outcome; no other pending request has the same tag.
        tag: Tag,
        /// The edits of the membership.
        change: Change,
    },
    /// An operator cancels a change whose new voters are still catching up. The outcomes are those
    /// of `Input::ChangeMembership`.
    CancelMembershipChange {
        /// Identifies the request in its outcome; no other pending request has the same tag.
        tag: Tag,
    },
    /// A user transfers the leadership to another node. The request ends in exactly one of
    /// `Output::LeadershipTransferred`, `Output::Rejected` and, if this node stops before that,
    /// `Output::Unknown`; at the latest with the first heartbeat after the longest election
    /// timeout.
    TransferLeadership {
        /// Identifies the request in its outcome; no other pending request has the same tag.
        tag: Tag,
        /// The voter that should lead; the leader chooses the best one if none is named.
        to: Option<NodeId>,
    },
    /// An operator requests a snapshot of the state machine, however few entries were applied since
    /// the last one. If a snapshot is in progress, another one follows it.
    TakeSnapshot,
    /// An operator requests an election now, as if the election timeout had passed.
    Campaign,
    /// The driver shuts the node down. Pending writes become durable, then the node emits
    /// `Output::Closed`. Pending requests of users end at once.
    Close,
}

impl Input {
    /// Returns the input that proposes one command.
    #[must_use]
    pub fn propose(tag: Tag, acknowledge: Acknowledge, command: impl Into<Command>) -> Input {
        Input::Propose(vec![Proposal { tag, acknowledge, command: command.into() }])
    }
}

/// The result of one piece of work that the worker completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorkResult {
    /// The state machine applied a batch of entries.
    Applied {
        /// The index of the last entry that was applied: the last of the batch, unless `requires`
        /// or `rest` is set.
        last: Index,
        /// The outcome of each request up to `last`, with the index of its entry.
        outcomes: Vec<(Index, Outcome)>,
        /// The state digest after each entry up to `last`.
        state_digests: Vec<StateDigest>,
        /// The memory that the sessions and the user's state take after the batch.
        usage: MachineUsage,
        /// The version of the rules that the entry after `last` requires, if the worker's build
        /// does not have it: the worker applied only the part of the batch before that entry.
        requires: Option<MachineVersion>,
        /// The entries of the batch after `last`, if the worker has not applied them because the
        /// replies so far are long. The node passes them to the worker again.
        rest: Entries,
    },
    /// The state machine answered a query.
    Answered {
        /// The tag of the query.
        tag: Tag,
        /// The last index that the state machine had applied when it answered.
        applied: Index,
        /// The answer of the state machine.
        answer: Vec<u8>,
    },
    /// The state machine was restored from a snapshot.
    Restored {
        /// The last index that the snapshot covers.
        last: Index,
        /// The state digest after that index.
        state_digest: StateDigest,
        /// The memory that the sessions and the user's state take.
        usage: MachineUsage,
    },
    /// The snapshot has a version of the rules that the worker's build does not have: the worker
    /// did not restore it.
    TooOld {
        /// The version of the snapshot.
        required: MachineVersion,
    },
    /// The state machine could not be restored: the node stops.
    Failed(StorageError),
}
