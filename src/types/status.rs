//! Status reports: the state of a node, and of its peers as a leader knows it.

use alloc::vec::Vec;
use core::time::Duration;

use crate::types::id::{EntryId, Index, NodeId, Term};
use crate::types::membership::Membership;
use crate::types::role_cause::RoleCause;
use crate::types::text::closed_list;
use crate::types::usage::MachineUsage;
use crate::types::validation::Comparisons;
use crate::types::version::MachineVersion;
use crate::types::write::HardState;

/// A summary of a node's consensus state; cheap enough to take after every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Status {
    /// The id of this node.
    pub id: NodeId,
    /// The current role of the node.
    pub role: RoleName,
    /// The current term of the node, durable or in a pending write.
    pub term: Term,
    /// The candidate that the node voted for in that term, if any.
    pub vote: Option<NodeId>,
    /// The longest vote lease that a leader requested from the node, or that the node needed as a
    /// candidate that may grant read leases; zero if there was none.
    #[cfg_attr(feature = "std", serde(with = "crate::types::serial::Nanos"))]
    pub vote_lease: Duration,
    /// The leader that the node follows: the node itself while it leads; `None` if it knows no
    /// leader.
    pub leader: Option<NodeId>,
    /// The last entry of its log.
    pub last: EntryId,
    /// The last index known to be durable on its disk.
    pub durable: Index,
    /// The last index known to be committed.
    pub committed: Index,
    /// The last index that the state machine has applied.
    pub applied: Index,
    /// The last index covered by its snapshot.
    pub snapshot: Index,
    /// The index before the first entry that its log still has.
    pub base: Index,
    /// Whether its disk is too full for more entries.
    pub disk_full: bool,
    /// The number of entries of its log whose content the disk lost, and that are being repaired
    /// with the help of its peers.
    pub damaged_entries: usize,
    /// Whether its log may lack entries that it acknowledged: it counts in no quorum until a leader
    /// has checked its log (docs/REPAIR.md, R3).
    pub is_uncertain: bool,
    /// The size of the entries kept in memory, in bytes.
    pub tail_bytes: usize,
    /// The size of the entries in this leader's log that it has not applied, or that its disk
    /// lacks, in bytes; 0 in other roles. Entries that were only on disk when its leadership began
    /// are not counted. `Config::unapplied_bytes_max` bounds the entries that the leader accepts,
    /// not those that it inherits.
    pub unapplied_bytes: usize,
    /// The number of messages that wait for a write to become durable.
    pub outbox_messages: usize,
    /// The number of pending reads, this node's own and forwarded ones.
    pub reads_waiting: usize,
}

impl Status {
    /// Returns the part of the status that a node must never lose: term, vote, vote lease, and
    /// whether it is uncertain.
    #[must_use]
    pub fn hard_state(&self) -> HardState {
        HardState {
            term: self.term,
            vote: self.vote,
            vote_lease: self.vote_lease,
            is_uncertain: self.is_uncertain,
        }
    }
}

/// The replication progress of one peer, as its leader knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct PeerStatus {
    /// The id of the peer.
    pub id: NodeId,
    /// Whether the leader probes for the last equal index, instead of streaming entries.
    pub probing: bool,
    /// The last index of the snapshot that the leader offers, while the peer needs one.
    pub snapshot: Option<Index>,
    /// Whether the peer had no space for the entries last sent.
    pub disk_full: bool,
    /// Whether the leader has not heard from the peer for the longest election timeout. A proposal
    /// with [`Acknowledge::AllLive`](crate::types::Acknowledge::AllLive) does not wait for it.
    pub suspected: bool,
    /// The highest index known to be durable on the peer and equal to the leader's log.
    pub matched: Index,
    /// The next index to send to the peer.
    pub next: Index,
    /// The number of entries in flight to the peer.
    pub inflight_entries: usize,
    /// The size of the entries in flight to the peer, in bytes.
    pub inflight_bytes: usize,
    /// The highest version of the rules by which the peer can apply commands; `None` if it has not
    /// reported it to this leader yet.
    pub version_max: Option<MachineVersion>,
}

closed_list! {
/// The role of a node (Raft §5.1; pre-candidate: thesis §9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum RoleName {
    /// Takes entries from the leader, or waits for a leader.
    Follower => "follower",
    /// Asks whether it could win an election.
    PreCandidate => "pre-candidate",
    /// Requests votes in its term.
    Candidate => "candidate",
    /// Accepts proposals and decides the order of the log.
    Leader => "leader",
}
}

/// The last known result of comparing this node's state machine with the others', or of comparing
/// its build with the version of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum StateVerification {
    /// No comparison has been conclusive since the node started or restored a snapshot. The node
    /// rejects reads for a bounded time, or until a conclusive comparison if it has seen different
    /// digests. A node that is the only voter serves reads.
    Unverified,
    /// A majority of the voters had the same results in the last conclusive comparison.
    Consistent,
    /// A majority of the voters had other results, or the node's snapshot cannot be read. The node
    /// applies nothing, serves no reads, and waits for a snapshot to rebuild its state from.
    Quarantined,
    /// No majority of the voters had the same results, so the correct results are unknown. The
    /// node applies nothing and serves no reads until an operator intervenes.
    NoMajority,
    /// The log has reached a version of the rules that this node's build does not have
    /// (`Report::version_required`). The node applies nothing and serves no reads until it runs a
    /// newer build. Its state is not wrong, but old.
    TooOld,
}

impl StateVerification {
    /// Returns the name of the status in JSON, and in the metric `quorate_state_verification`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            StateVerification::Unverified => "unverified",
            StateVerification::Consistent => "consistent",
            StateVerification::Quarantined => "quarantined",
            StateVerification::NoMajority => "no_majority",
            StateVerification::TooOld => "too_old",
        }
    }
}

/// A past change of a node's role, of its term, or of the leader that it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct RoleChange {
    /// The time since the change.
    #[cfg_attr(feature = "std", serde(with = "crate::types::serial::Nanos"))]
    pub age: Duration,
    /// The role since then.
    pub role: RoleName,
    /// The term since then.
    pub term: Term,
    /// The leader since then: the node itself while it leads; `None` if it knows no leader.
    pub leader: Option<NodeId>,
    /// The reason for the change.
    pub cause: RoleCause,
}

impl RoleChange {
    /// The largest number of changes that a node remembers.
    pub const KEPT_MAX: usize = 16;
}

/// The full status of a node, for operators and clients.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Report {
    /// The state of the consensus algorithm.
    pub status: Status,
    /// The replication progress of each peer; empty unless this node leads.
    #[cfg_attr(
        feature = "std",
        serde(with = "crate::types::serial::List::<{ Membership::MEMBERS_MAX }>")
    )]
    pub peers: Vec<PeerStatus>,
    /// The active membership of the cluster.
    pub membership: Membership,
    /// The last known verification of the state machine.
    pub verification: StateVerification,
    /// The state comparisons with other nodes since the node's start.
    pub comparisons: Comparisons,
    /// The time left in which the node may answer reads without a quorum: the rest of its leader
    /// lease or read lease; zero if it holds neither.
    #[cfg_attr(feature = "std", serde(with = "crate::types::serial::Nanos"))]
    pub lease: Duration,
    /// The memory that the client sessions and the user's state take, and the version of the rules.
    pub usage: MachineUsage,
    /// The highest version of the rules by which the node's build can apply commands.
    pub version_max: MachineVersion,
    /// The version that the log has reached and the node's build does not have; `None` unless the
    /// verification is [`StateVerification::TooOld`].
    pub version_required: Option<MachineVersion>,
    /// The last changes of the node's role, term or known leader, the latest first.
    #[cfg_attr(
        feature = "std",
        serde(with = "crate::types::serial::List::<{ RoleChange::KEPT_MAX }>")
    )]
    pub role_changes: Vec<RoleChange>,
}
