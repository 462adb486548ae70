//! Proposals in the log whose outcome somebody waits for, by what they wait for.

use alloc::collections::VecDeque;

use crate::types::{Index, Tag};

/// A proposal in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pending {
    pub(crate) tag: Tag,
    pub(crate) index: Index,
}

/// Those that wait for their commit, and those that wait for every live voter's disk too; the
/// indices of each ascend.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Proposals {
    by_quorum: VecDeque<Pending>,
    by_all_live: VecDeque<Pending>,
}

impl Proposals {
    /// The proposal waits for a quorum.
    pub(crate) fn wait_for_quorum(&mut self, proposal: Pending) {
        self.by_quorum.push_back(proposal);
    }

    /// The proposal waits for every live voter.
    pub(crate) fn wait_for_all_live(&mut self, proposal: Pending) {
        self.by_all_live.push_back(proposal);
    }

    /// How many wait for every live voter.
    pub(crate) fn for_all_live(&self) -> usize {
        self.by_all_live.len()
    }

    /// Whether the proposal at `index` waits for every live voter.
    pub(crate) fn waits_for_all_live(&self, index: Index) -> bool {
        self.by_all_live.binary_search_by_key(&index, |proposal| proposal.index).is_ok()
    }

    /// The next that waited for a quorum, if it is at or before `committed`.
    pub(crate) fn pop_committed(&mut self, committed: Index) -> Option<Pending> {
        self.by_quorum.pop_front_if(|next| next.index <= committed)
    }

    /// The next that waited for every live voter, if it is at or before `reached`.
    pub(crate) fn pop_on_all_live(&mut self, reached: Index) -> Option<Pending> {
        self.by_all_live.pop_front_if(|next| next.index <= reached)
    }

    /// Nobody waits any more: the next of those who did.
    pub(crate) fn pop(&mut self) -> Option<Pending> {
        self.by_quorum.pop_front().or_else(|| self.by_all_live.pop_front())
    }

    pub(crate) fn assert_invariants(&self, last: Index) {
        for waiting in [&self.by_quorum, &self.by_all_live] {
            assert!(
                waiting.iter().is_sorted_by(|one, other| one.index < other.index),
                "in log order"
            );
            assert!(waiting.back().is_none_or(|next| next.index <= last), "in the log");
        }
    }
}
