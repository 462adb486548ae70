//! All that can happen to a whole node.

use crate::machine::Outcome;
use crate::storage::{Completion, Failure};
use crate::types::{
    Acknowledge, Change, Command, EntryId, Imprint, Index, NodeId, Packet, Proposal, ReadLevel, Tag,
};

/// One thing that happened to a node; `Node::step` takes one at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Input {
    /// A packet arrived. Its sender is taken at its word: authenticating is the driver's part.
    Packet(Packet),
    /// The deadline may have come.
    Timeout,
    /// The disk is done with an operation.
    Disk(Completion),
    /// The state machine is done with what it was asked.
    Done(Done),
    /// The state machine stands frozen after this entry, and the driver holds the view.
    Frozen(EntryId),
    /// The next bytes of the frozen view; fewer than asked for only where it ends.
    Viewed(Vec<u8>),
    /// The worker cannot freeze a view now, or the view cannot be read on. The snapshot is given
    /// up, and tried again when the log has grown by as much again.
    ViewFailed,
    /// Users want requests carried out, in this order: commands as `Request::encode` gives them.
    /// Each ends in exactly one of `Output::Replied`, `Output::Rejected` and `Output::Unknown`;
    /// with [`Acknowledge::LeaderOnly`], of `Output::MayBeLost` and `Output::Rejected`. Those that
    /// came together go to the disk and to every peer together.
    Propose(Vec<Proposal>),
    /// The user wants an answer. Ends in exactly one of `Output::Answered` and `Output::Rejected`.
    Read {
        /// Comes back with the answer; no other request that waits has it.
        tag: Tag,
        /// How fresh the answer has to be.
        level: ReadLevel,
        /// What is asked of the state machine.
        query: Vec<u8>,
    },
    /// The user wants the membership changed. Ends in exactly one of `Output::Changed`, once the
    /// whole change is complete, `Output::Rejected` and `Output::Unknown`.
    ChangeMembership {
        /// Comes back with the outcome; no other request that waits has it.
        tag: Tag,
        /// What is to be different.
        change: Change,
    },
    /// The user gives up a change whose voters to come still lack the log; the same outcomes.
    GiveUpChange {
        /// Comes back with the outcome; no other request that waits has it.
        tag: Tag,
    },
    /// The user wants another node to lead. Ends in exactly one of `Output::Resigned` and
    /// `Output::Rejected`, within an election timeout.
    Transfer {
        /// Comes back with the outcome; no other request that waits has it.
        tag: Tag,
        /// The voter that is to lead; the best one if none is named.
        to: Option<NodeId>,
    },
    /// Take a snapshot of the state machine, however little was applied since the last one. If one
    /// is being taken already, another one follows it.
    TakeSnapshot,
    /// Campaign now, as if the election timeout had passed.
    Campaign,
    /// Stop in good order: what waits for the disk becomes durable, then `Output::Closed`. What
    /// users wait for ends at once.
    Close,
}

impl Input {
    /// One command that one user wants in the log.
    #[must_use]
    pub fn propose(tag: Tag, acknowledge: Acknowledge, command: impl Into<Command>) -> Input {
        Input::Propose(vec![Proposal { tag, acknowledge, command: command.into() }])
    }
}

/// What a state machine was asked, and has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// It applied a batch.
    Applied {
        /// The index of the batch's last entry.
        last: Index,
        /// What came of each request in the batch, by the index of its entry.
        outcomes: Vec<(Index, Outcome)>,
        /// What the state machine showed of itself after each entry of the batch.
        imprints: Vec<Imprint>,
    },
    /// It answered a query.
    Answered {
        /// As asked.
        tag: Tag,
        /// How far it had applied the log when it answered.
        applied: Index,
        /// The answer.
        answer: Vec<u8>,
    },
    /// It started over from a snapshot.
    Restored {
        /// The index at which that ends.
        last: Index,
        /// What it shows of itself there.
        imprint: Imprint,
    },
    /// It could not start over: the node stops.
    Failed(Failure),
}
