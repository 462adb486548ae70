//! What must hold between any two steps, whatever a node was told.

use crate::raft::{Raft, Role};

impl Raft {
    /// Panics if the node's parts contradict one another. [`Raft::step`] does so by itself in
    /// builds with debug assertions; a simulator calls it in every build.
    pub fn assert_invariants(&self) {
        let common = &self.common;
        common.log.assert_invariants();
        common.outbox.assert_invariants();
        assert!(common.log.last().term <= common.term(), "no entry is of a term to come");
        assert!(common.actions.is_empty(), "a step hands out all it wants");
        assert!(common.snapshot.last == common.log.snapshot(), "the log knows its snapshot");
        match &self.role {
            Role::Follower(follower) => {
                assert!(follower.verified <= common.log.last().index, "what is verified exists");
                assert!(follower.leader != Some(common.id()), "nobody follows himself");
            }
            Role::PreCandidate(_) => {}
            Role::Candidate(_) => {
                assert!(common.vote() == Some(common.id()), "a candidate votes for itself");
            }
            Role::Leader(leader) => leader.assert_invariants(common),
        }
    }
}
