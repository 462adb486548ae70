//! Acknowledgement levels: the condition under which a proposal is acknowledged.

use crate::types::membership::Membership;

/// The condition under which the leader acknowledges a proposal, chosen for each proposal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub enum Acknowledge {
    /// Like [`Acknowledge::Quorum`] if the number of voters is odd, and like
    /// [`Acknowledge::AllLive`] if it is even, in the membership that is active when the leader
    /// takes the proposal. With the casting vote, half of an even number of voters is a quorum: of
    /// two voters, only one may have a committed entry on its disk.
    #[default]
    Default,
    /// Once the entry is committed: it is durable on a quorum, and every later leader has it.
    Quorum,
    /// Once the entry is committed, and durable on every voter that is not suspected dead.
    ///
    /// The leader suspects a voter that it has not heard from for `Config::election_timeout_max`.
    /// The suspicion may be wrong: a live voter behind a slow or broken link is suspected, and may
    /// lack the entry if the other voters are lost. A voter that is live but cannot write delays
    /// the acknowledgement until it can.
    AllLive,
    /// At once, before the entry is durable anywhere: it may be lost, even without a crash. The
    /// outcome has no result of the state machine, and no read sees the entry before it is
    /// committed.
    LeaderOnly,
}

impl Acknowledge {
    /// Returns the level to use under `membership`: [`Acknowledge::Default`] becomes
    /// [`Acknowledge::AllLive`] if one of its voter sets has an even number of voters, else
    /// [`Acknowledge::Quorum`].
    #[must_use]
    pub fn resolved(self, membership: &Membership) -> Acknowledge {
        let splits = membership.incoming().can_split() || membership.outgoing().can_split();
        let resolved = match self {
            Acknowledge::Default if splits => Acknowledge::AllLive,
            Acknowledge::Default => Acknowledge::Quorum,
            chosen => chosen,
        };
        assert!(resolved != Acknowledge::Default, "a resolved level names its condition");
        resolved
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
