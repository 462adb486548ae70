//! The status of a node and of its peers, for operators and metrics, and access to its log.

use alloc::vec::Vec;
use core::time::Duration;

use crate::log::Log;
use crate::progress::{Mode, Progress};
use crate::raft::leader::proposals::suspects;
use crate::raft::{Config, Raft, Role};
#[cfg(feature = "std")]
use crate::types::Instant;
use crate::types::{MachineVersion, NodeId, PeerStatus, Status};

impl Raft {
    /// The bounds and options of the node.
    #[must_use]
    pub fn config(&self) -> &Config {
        self.common.config()
    }

    /// The node's log and its indices.
    #[cfg(feature = "unstable")]
    #[must_use]
    pub fn log(&self) -> &Log {
        self.common.log()
    }

    #[cfg(not(feature = "unstable"))]
    pub(crate) fn log(&self) -> &Log {
        self.common.log()
    }

    /// Returns the node's state as of the last step.
    #[must_use]
    pub fn status(&self) -> Status {
        let (common, log) = (&self.common, self.common.log());
        let (unapplied_bytes, reads) = match &self.role {
            Role::Follower(follower) => (0, follower.reads_waiting()),
            Role::Leader(leader) => (leader.unapplied_bytes(), leader.reads_waiting()),
            Role::PreCandidate(_) | Role::Candidate(_) => (0, 0),
        };
        Status {
            id: common.id(),
            role: self.role.name(),
            term: common.term(),
            vote: common.ballot.vote(),
            vote_lease: common.ballot.vote_lease(),
            leader: self.leader(),
            last: log.last(),
            durable: log.durable(),
            committed: log.committed(),
            applied: log.applied(),
            snapshot: log.snapshot().index,
            base: log.base().index,
            disk_full: common.health.disk_full,
            damaged_entries: log.damaged_entries(),
            is_uncertain: common.ballot.is_uncertain(),
            tail_bytes: log.tail_bytes(),
            unapplied_bytes,
            outbox_messages: common.journal.outbox().held(),
            reads_waiting: reads + common.reads.len(),
        }
    }

    /// Returns the time of the last step.
    #[cfg(feature = "std")]
    pub(crate) fn now(&self) -> Instant {
        self.common.now()
    }

    /// How long after the last step the node may answer reads from its own state: as a leader at
    /// the levels `Lease` and `Replica`, as a follower at the level `Replica`. Zero if it may not.
    #[must_use]
    pub fn lease_remaining(&self) -> Duration {
        match &self.role {
            Role::Follower(follower) => follower.lease_remaining(self.common.now()),
            Role::Leader(leader) => leader.lease_remaining(&self.common),
            Role::PreCandidate(_) | Role::Candidate(_) => Duration::ZERO,
        }
    }

    /// Whether a read at the level `Replica` would be answered at `now` under a read lease, from
    /// the node's own state: only then does `Input::Read` need the index in `conflict`.
    #[cfg(feature = "std")]
    pub(crate) fn has_read_lease(&self, now: Instant) -> bool {
        match &self.role {
            Role::Follower(follower) => follower.has_read_lease(now),
            Role::PreCandidate(_) | Role::Candidate(_) | Role::Leader(_) => false,
        }
    }

    /// Returns the highest version of the rules by which the node's state machine can apply
    /// commands.
    #[must_use]
    pub fn version_max(&self) -> MachineVersion {
        self.common.apply.version_max()
    }

    /// Returns the replication progress of each peer; empty unless this node leads.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        let Role::Leader(leader) = &self.role else { return Vec::new() };
        let status = |(id, progress): (NodeId, &Progress)| PeerStatus {
            id,
            probing: matches!(progress.mode(), Mode::Probe { .. }),
            snapshot: match progress.mode() {
                Mode::Snapshot { last, .. } => Some(last),
                Mode::Probe { .. } | Mode::Replicate => None,
            },
            disk_full: progress.disk_full(),
            suspected: suspects(&self.common, progress),
            matched: progress.matched(),
            next: progress.next(),
            inflight_entries: progress.inflight().entries(),
            inflight_bytes: progress.inflight().bytes(),
            version_max: (progress.acked_round() > 0).then_some(progress.ready().version_max),
        };
        leader.peers().iter().map(status).collect()
    }
}
