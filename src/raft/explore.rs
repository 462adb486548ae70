//! The normal form of a node, for model checkers that visit every reachable state.
//!
//! Clocks, counters and random numbers would otherwise distinguish states that behave alike, and
//! the search would not end.

use crate::raft::{Raft, Role};
use crate::types::{Index, Instant, WriteId};

impl Raft {
    /// Returns the node in its normal form, which is equal for all nodes that behave alike. Also
    /// returns the number that its last durable write had before the writes were renumbered.
    ///
    /// Writes are renumbered from the first one that is not durable, rejected messages are not
    /// counted, and the jitter is reset. `instant` maps every instant in the node's state,
    /// including its clock. It must map equal instants to equal ones, and preserve their order. As
    /// long as the node takes no read, it behaves like its normal form except for its election
    /// timeouts.
    #[must_use]
    pub fn normal_form(&self, instant: impl Fn(Instant) -> Instant) -> (Raft, WriteId) {
        let mut normal = self.clone();
        let durable = normal.common.normalize();
        normal.clear_irrelevant_instants();
        if let Role::Candidate(candidate) = &mut normal.role {
            candidate.renumber(durable);
        }
        normal.instants(|known| *known = instant(*known));
        (normal, durable)
    }

    /// Returns the last index that a confirmed read waits for, until the state machine has applied
    /// it; `None` if no such read waits.
    #[must_use]
    pub fn last_read_index(&self) -> Option<Index> {
        self.common.reads.last_index()
    }

    /// Resets the instants that have no effect in this role.
    fn clear_irrelevant_instants(&mut self) {
        let Raft { common, role } = self;
        if let Role::Follower(follower) = role {
            follower.normalize(common.now());
        }
        if let Role::Leader(leader) = role {
            leader.forget_disk_lag();
            leader.drop_expired_leases(common.now());
        }
        if common.config().lease.is_none() {
            match role {
                Role::Follower(follower) => follower.forget_rounds(),
                Role::Leader(leader) => leader.forget_rounds(),
                Role::PreCandidate(_) | Role::Candidate(_) => {}
            }
        }
    }

    fn instants(&mut self, mut each: impl FnMut(&mut Instant)) {
        let Raft { common, role } = self;
        common.map_instants(&mut each);
        match role {
            Role::Follower(follower) => follower.instants().for_each(each),
            Role::PreCandidate(candidate) => each(candidate.instant()),
            Role::Candidate(candidate) => each(candidate.instant()),
            Role::Leader(leader) => leader.instants().for_each(each),
        }
    }
}
