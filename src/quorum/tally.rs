//! The count of votes in one election.

use alloc::vec::Vec;

use crate::quorum::majority::is_quorum;
use crate::types::{Membership, NodeId};

/// The voters that replied in one election. A voter is counted once, however often its reply
/// arrives; its first reply counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub struct Tally {
    granted: Vec<NodeId>,
    rejected: Vec<NodeId>,
}

/// The result of an election so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VoteResult {
    /// A quorum granted its votes.
    Won,
    /// So many voters rejected that no quorum can still grant its votes.
    Lost,
    /// The replies so far decide neither.
    Pending,
}

impl Tally {
    /// Counts the reply of `voter`.
    pub fn count(&mut self, voter: NodeId, granted: bool) {
        if self.granted.contains(&voter) || self.rejected.contains(&voter) {
            return;
        }
        let side = if granted { &mut self.granted } else { &mut self.rejected };
        side.insert(side.partition_point(|other| *other < voter), voter);
        debug_assert!(side.is_sorted_by(|one, next| one < next), "a voter is counted once");
    }

    /// The voters that granted their votes, in ascending order.
    #[must_use]
    pub fn granted(&self) -> &[NodeId] {
        &self.granted
    }

    /// The voters that rejected, in ascending order.
    #[must_use]
    pub fn rejected(&self) -> &[NodeId] {
        &self.rejected
    }

    /// Returns the result under `membership`; replies of other nodes do not count.
    #[must_use]
    pub fn result(&self, membership: &Membership) -> VoteResult {
        if is_quorum(membership, |id| self.granted.contains(&id)) {
            VoteResult::Won
        } else if is_quorum(membership, |id| !self.rejected.contains(&id)) {
            VoteResult::Pending
        } else {
            VoteResult::Lost
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn membership(voters: &[u64]) -> Membership {
        Membership::new(voters.iter().copied().map(NodeId))
    }

    #[test]
    fn a_repeated_answer_counts_once() {
        let five = membership(&[1, 2, 3, 4, 5]);
        let mut tally = Tally::default();
        tally.count(NodeId(1), true);
        for _ in 0..3 {
            tally.count(NodeId(2), true);
        }
        assert_eq!(tally.result(&five), VoteResult::Pending);
        tally.count(NodeId(3), true);
        assert_eq!(tally.result(&five), VoteResult::Won);
    }

    #[test]
    fn the_first_answer_counts() {
        let mut tally = Tally::default();
        tally.count(NodeId(1), false);
        tally.count(NodeId(1), true);
        assert_eq!(tally.result(&membership(&[1])), VoteResult::Lost);
    }

    #[test]
    fn an_even_split_is_lost() {
        let four = membership(&[1, 2, 3, 4]);
        let mut tally = Tally::default();
        tally.count(NodeId(1), true);
        tally.count(NodeId(2), true);
        tally.count(NodeId(3), false);
        assert_eq!(tally.result(&four), VoteResult::Pending);
        tally.count(NodeId(4), false);
        assert_eq!(tally.result(&four), VoteResult::Lost);
    }

    #[test]
    fn answers_of_other_nodes_do_not_count() {
        let mut tally = Tally::default();
        tally.count(NodeId(1), true);
        tally.count(NodeId(9), true);
        assert_eq!(tally.result(&membership(&[1, 2, 3])), VoteResult::Pending);
    }
}
