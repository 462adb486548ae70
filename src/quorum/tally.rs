//! Counting the votes of one election.

use alloc::vec::Vec;

use crate::quorum::majority::is_quorum;
use crate::types::{Membership, NodeId};

/// Who has answered in one election, and how. A voter counts once however often its answer
/// arrives; its first answer stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Tally {
    granted: Vec<NodeId>,
    refused: Vec<NodeId>,
}

/// Where an election stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// A quorum granted its vote.
    Won,
    /// So many refused that no quorum can grant any more.
    Lost,
    /// Neither yet.
    Pending,
}

impl Tally {
    /// Counts the answer of `voter`.
    pub fn count(&mut self, voter: NodeId, granted: bool) {
        if self.granted.contains(&voter) || self.refused.contains(&voter) {
            return;
        }
        let side = if granted { &mut self.granted } else { &mut self.refused };
        side.insert(side.partition_point(|other| *other < voter), voter);
    }

    /// Who granted, in ascending order.
    #[must_use]
    pub fn granted(&self) -> &[NodeId] {
        &self.granted
    }

    /// Who refused, in ascending order.
    #[must_use]
    pub fn refused(&self) -> &[NodeId] {
        &self.refused
    }

    /// Where the election stands under `membership`; answers of others do not count.
    #[must_use]
    pub fn verdict(&self, membership: &Membership) -> Verdict {
        if is_quorum(membership, |id| self.granted.contains(&id)) {
            Verdict::Won
        } else if is_quorum(membership, |id| !self.refused.contains(&id)) {
            Verdict::Pending
        } else {
            Verdict::Lost
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
        assert_eq!(tally.verdict(&five), Verdict::Pending);
        tally.count(NodeId(3), true);
        assert_eq!(tally.verdict(&five), Verdict::Won);
    }

    #[test]
    fn the_first_answer_stands() {
        let mut tally = Tally::default();
        tally.count(NodeId(1), false);
        tally.count(NodeId(1), true);
        assert_eq!(tally.verdict(&membership(&[1])), Verdict::Lost);
    }

    #[test]
    fn an_even_split_is_lost() {
        let four = membership(&[1, 2, 3, 4]);
        let mut tally = Tally::default();
        tally.count(NodeId(1), true);
        tally.count(NodeId(2), true);
        tally.count(NodeId(3), false);
        assert_eq!(tally.verdict(&four), Verdict::Pending);
        tally.count(NodeId(4), false);
        assert_eq!(tally.verdict(&four), Verdict::Lost);
    }

    #[test]
    fn strangers_do_not_count() {
        let mut tally = Tally::default();
        tally.count(NodeId(1), true);
        tally.count(NodeId(9), true);
        assert_eq!(tally.verdict(&membership(&[1, 2, 3])), Verdict::Pending);
    }
}
