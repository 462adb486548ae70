//! The invariants of a node that hold between any two steps, and what the node waits for.

use crate::raft::{Raft, Role};

impl Raft {
    /// Returns how many proposals and other requests, and how many reads, this node must still
    /// answer: with `Committed`, `ReadReady`, `Rejected` or another action that carries the tag.
    #[cfg(feature = "std")]
    pub(crate) fn pending_requests(&self) -> (usize, usize) {
        let (proposed, reads) = match &self.role {
            Role::Follower(follower) => (0, follower.reads_waiting()),
            Role::PreCandidate(_) | Role::Candidate(_) => (0, 0),
            Role::Leader(leader) => leader.pending_requests(),
        };
        (proposed, reads + self.common.reads.len())
    }

    /// Whether this node waits for the end of a repair that it requested.
    #[cfg(feature = "std")]
    pub(crate) fn is_repairing(&self) -> bool {
        self.common.health.repair.is_writing()
    }

    /// Whether this node waits for its disk to complete a write.
    #[cfg(feature = "std")]
    pub(crate) fn is_writing(&self) -> bool {
        self.common.journal.outbox().oldest_write_since().is_some()
    }

    /// The number of fetches that this node waits for.
    #[cfg(feature = "std")]
    pub(crate) fn fetches(&self) -> usize {
        self.common.apply.fetches()
    }

    /// Panics if the node's state contradicts itself. [`Raft::step`] calls it in builds with debug
    /// assertions; the simulator calls it in every build.
    pub fn assert_invariants(&self) {
        let common = &self.common;
        common.assert_invariants();
        match &self.role {
            Role::Follower(follower) => follower.assert_invariants(common),
            Role::PreCandidate(_) => common.assert_reads_are_committed(),
            Role::Candidate(candidate) => {
                candidate.assert_invariants(common);
                common.assert_reads_are_committed();
            }
            Role::Leader(leader) => {
                leader.assert_invariants(common);
                leader.assert_reads_wait(common);
            }
        }
    }
}
