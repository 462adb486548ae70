//! The invariants of a node that hold between any two steps.

use crate::raft::{Raft, Role};

impl Raft {
    /// Panics if the node's state contradicts itself. [`Raft::step`] calls it in builds with debug
    /// assertions; the simulator calls it in every build.
    pub fn assert_invariants(&self) {
        let common = &self.common;
        common.log.assert_invariants();
        common.outbox.assert_invariants();
        assert!(common.log.last().term <= common.term(), "no entry is of a later term");
        assert!(common.actions.is_empty(), "a step returns all of its actions");
        assert!(common.snapshot.last == common.log.snapshot(), "the log's snapshot is the node's");
        match &self.role {
            Role::Follower(follower) => {
                assert!(follower.verified <= common.log.last().index, "verified entries exist");
                assert!(follower.leader != Some(common.id()), "no node follows itself");
            }
            Role::PreCandidate(_) => {}
            Role::Candidate(_) => {
                assert!(common.vote() == Some(common.id()), "a candidate votes for itself");
            }
            Role::Leader(leader) => leader.assert_invariants(common),
        }
    }
}
