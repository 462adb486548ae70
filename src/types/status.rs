//! What a node says of itself, and of its peers.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::types::id::{EntryId, Index, NodeId, Term};
use crate::types::membership::Membership;
use crate::types::validation::Comparisons;
use crate::types::write::HardState;

/// A node's state at a glance; cheap to take after every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The node.
    pub id: NodeId,
    /// What it does now.
    pub role: RoleName,
    /// Its current term; durable or about to be.
    pub term: Term,
    /// Whom it voted for in that term.
    pub vote: Option<NodeId>,
    /// The longest it ever promised to vote for nobody else.
    pub promise: Duration,
    /// The leader it follows, itself included.
    pub leader: Option<NodeId>,
    /// The last entry of its log.
    pub last: EntryId,
    /// The last index known to be on its disk.
    pub durable: Index,
    /// The last index known to be committed.
    pub committed: Index,
    /// The last index its state machine has applied.
    pub applied: Index,
    /// The last index covered by its snapshot.
    pub snapshot: Index,
    /// Where its log starts: the index before the first entry it still has.
    pub base: Index,
    /// Whether its disk is too full for more entries.
    pub disk_full: bool,
    /// Bytes of entries kept in memory.
    pub tail_bytes: usize,
    /// Bytes of entries in this leader's log that it has not applied, save those that were on its
    /// disk alone when it began to lead; 0 in other roles. `Config::unapplied_bytes_max` bounds
    /// what it takes, not what it inherits.
    pub unapplied_bytes: usize,
    /// Messages that wait for the disk.
    pub outbox_messages: usize,
    /// Reads that wait, this node's own and forwarded ones.
    pub reads_waiting: usize,
}

impl Status {
    /// What the node will not forget.
    #[must_use]
    pub fn hard_state(&self) -> HardState {
        HardState { term: self.term, vote: self.vote, promise: self.promise }
    }
}

/// How far one peer is, as its leader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// The peer.
    pub id: NodeId,
    /// Whether the leader probes for where the logs part, or streams.
    pub probing: bool,
    /// Up to where the snapshot reaches that it is offered, while it needs one.
    pub snapshot: Option<Index>,
    /// Whether it had no space for the entries it was last sent.
    pub disk_full: bool,
    /// Whether it was not heard for the longest election timeout: no proposal waits for it.
    pub suspected: bool,
    /// The highest index known to be durable and equal there.
    pub matched: Index,
    /// The next index to send.
    pub next: Index,
    /// Entries on their way.
    pub inflight_entries: usize,
    /// Bytes of entries on their way.
    pub inflight_bytes: usize,
}

/// What a node does now (Raft §5.1; pre-candidate: thesis §9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoleName {
    /// Takes entries from the leader, or waits for one to appear.
    Follower,
    /// Asks whether an election could be won.
    PreCandidate,
    /// Stands for election.
    Candidate,
    /// Decides the order of the log.
    Leader,
}

impl RoleName {
    /// Every role.
    pub const ALL: [RoleName; 4] =
        [RoleName::Follower, RoleName::PreCandidate, RoleName::Candidate, RoleName::Leader];
}

/// What is known of this node's state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing yet: it started with a state that was not compared since. Reads are rejected, for a
    /// while at most.
    Unchecked,
    /// A majority of the voters had the same results when it asked last and could tell.
    Sound,
    /// A majority of the voters had other results: it applies nothing, answers nothing, and waits
    /// for a snapshot to start over from.
    Quarantined,
    /// No results are those of a majority: nobody can tell who is right. It applies nothing and
    /// answers nothing; a person has to look.
    Divided,
}

/// How a node is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The algorithm.
    pub status: Status,
    /// How far each peer is; empty unless this node leads.
    pub peers: Vec<PeerStatus>,
    /// Who counts.
    pub membership: Membership,
    /// What is known of the state machine.
    pub standing: Standing,
    /// What that rests on: the comparisons with others since the node's start.
    pub comparisons: Comparisons,
    /// For how long from now it may answer reads by itself: what is left of a leader's lease, or of
    /// the part of it that a follower was lent; zero if it may not.
    pub lease: Duration,
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            RoleName::Follower => "follower",
            RoleName::PreCandidate => "pre-candidate",
            RoleName::Candidate => "candidate",
            RoleName::Leader => "leader",
        })
    }
}
