//! When a proposal counts as done.

use crate::types::membership::Membership;

/// When a proposal is answered, chosen for each by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Acknowledge {
    /// As [`Acknowledge::Quorum`] if the number of voters is odd, and as
    /// [`Acknowledge::AllLive`] if it is even, by the membership in force when it is proposed: in a
    /// set of two, what a quorum has may be on one disk alone.
    #[default]
    Default,
    /// Once it is committed: a quorum has it on its disks, and no later leader lacks it.
    Quorum,
    /// Once it is committed, and on the disk of every voter that is not suspected dead.
    ///
    /// Suspected is who was not heard for `Config::election_timeout_max`. That may be wrong: a
    /// voter behind a slow or a broken link is suspected, and lacks the entry when the others are
    /// lost. A voter that answers and cannot write holds the answer back until it can.
    AllLive,
    /// At once, while nothing is durable anywhere: it may be lost, also without a crash. No result
    /// of the state machine comes back, and no read sees it before it is committed.
    LeaderOnly,
}

impl Acknowledge {
    /// What the default comes to under `membership`.
    #[must_use]
    pub fn resolved(self, membership: &Membership) -> Acknowledge {
        let splits = membership.incoming().can_split() || membership.outgoing().can_split();
        match self {
            Acknowledge::Default if splits => Acknowledge::AllLive,
            Acknowledge::Default => Acknowledge::Quorum,
            chosen => chosen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeId;

    #[test]
    fn an_even_set_waits_for_all_by_default() {
        let of = |voters: &[u64]| Membership::new(voters.iter().copied().map(NodeId));
        let default = |membership: &Membership| Acknowledge::Default.resolved(membership);
        assert_eq!(default(&of(&[1])), Acknowledge::Quorum);
        assert_eq!(default(&of(&[1, 2])), Acknowledge::AllLive);
        assert_eq!(default(&of(&[1, 2, 3])), Acknowledge::Quorum);
        assert_eq!(default(&of(&[1, 2, 3]).joint_with([1, 2].map(NodeId))), Acknowledge::AllLive);
        assert_eq!(Acknowledge::Quorum.resolved(&of(&[1, 2])), Acknowledge::Quorum);
    }
}
