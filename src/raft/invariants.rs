//! The invariants of a node that hold between any two steps.

use crate::raft::{Raft, Role};

impl Raft {
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
            Role::Leader(leader) => leader.assert_invariants(common),
        }
    }
}
