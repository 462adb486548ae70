//! What a node says of itself.

use core::time::Duration;

use alloc::vec::Vec;

use crate::progress::{Mode, Progress};
use crate::raft::action::{Refusal, RoleName};
use crate::raft::{Raft, Role};
use crate::types::{EntryId, HardState, Index, NodeId, Term};

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

/// How many messages a node refused since its start, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Refusals([u64; Refusal::ALL.len()]);

impl Refusals {
    /// How many were refused for `reason`.
    #[must_use]
    pub fn count(&self, reason: Refusal) -> u64 {
        self.0[reason as usize]
    }

    pub(crate) fn add(&mut self, reason: Refusal) {
        self.0[reason as usize] += 1;
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

impl Raft {
    /// How far each peer is; empty unless this node leads.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        let Role::Leader(leader) = &self.role else { return Vec::new() };
        let status = |(id, progress): &(NodeId, Progress)| PeerStatus {
            id: *id,
            probing: matches!(progress.mode(), Mode::Probe { .. }),
            snapshot: match progress.mode() {
                Mode::Snapshot { last, .. } => Some(last),
                Mode::Probe { .. } | Mode::Replicate => None,
            },
            disk_full: progress.disk_full(),
            suspected: leader.suspects(&self.common, progress),
            matched: progress.matched(),
            next: progress.next(),
            inflight_entries: progress.inflight().entries(),
            inflight_bytes: progress.inflight().bytes(),
        };
        leader.peers.iter().map(status).collect()
    }
}
