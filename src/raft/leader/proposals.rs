//! The proposals whose outcome is pending, by the acknowledgement that they wait for.

use alloc::collections::VecDeque;

use crate::progress::Progress;
use crate::raft::common::Common;
use crate::raft::leader::peers::Peers;
use crate::types::{Index, Tag};

/// A proposal in the log whose outcome is not reported yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct PendingProposal {
    pub(crate) tag: Tag,
    pub(crate) index: Index,
}

/// The proposals that wait for a quorum, and those that wait for the disk of every live voter. The
/// indices ascend in each queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Proposals {
    by_quorum: VecDeque<PendingProposal>,
    by_all_live: VecDeque<PendingProposal>,
}

impl Proposals {
    /// Adds a proposal that waits for every live voter, or else for a quorum.
    #[inline]
    pub(crate) fn push(&mut self, waits_for_all_live: bool, proposal: PendingProposal) {
        let queue = if waits_for_all_live { &mut self.by_all_live } else { &mut self.by_quorum };
        let last = queue.back();
        assert!(last.is_none_or(|last| last.index < proposal.index), "a log only grows");
        queue.push_back(proposal);
    }

    /// The number of proposals that wait for every live voter.
    pub(crate) fn all_live_count(&self) -> usize {
        self.by_all_live.len()
    }

    /// Whether the proposal at `index` waits for every live voter.
    pub(crate) fn waits_for_all_live(&self, index: Index) -> bool {
        self.by_all_live.binary_search_by_key(&index, |proposal| proposal.index).is_ok()
    }

    /// Removes the next proposal that waits for a quorum, if it is at or before `committed`.
    pub(crate) fn pop_committed(&mut self, committed: Index) -> Option<PendingProposal> {
        self.by_quorum.pop_front_if(|next| next.index <= committed)
    }

    /// Removes the next proposal that waits for every live voter, if it is at or before `reached`.
    pub(crate) fn pop_all_live(&mut self, reached: Index) -> Option<PendingProposal> {
        self.by_all_live.pop_front_if(|next| next.index <= reached)
    }

    /// Removes one of the remaining proposals, because this node stops leading; `None` if none is
    /// left.
    pub(crate) fn pop(&mut self) -> Option<PendingProposal> {
        self.by_quorum.pop_front().or_else(|| self.by_all_live.pop_front())
    }

    pub(crate) fn assert_invariants(&self, committed: Index, last: Index) {
        let next = self.by_quorum.front();
        assert!(next.is_none_or(|next| next.index > committed), "a committed proposal is answered");
        for waiting in [&self.by_quorum, &self.by_all_live] {
            assert!(
                waiting.iter().is_sorted_by(|one, other| one.index < other.index),
                "proposals are in log order"
            );
            assert!(
                waiting.back().is_none_or(|next| next.index <= last),
                "proposals are in the log"
            );
        }
    }
}

/// Answers the proposals that wait for every live voter, once they are committed and on the
/// disk of every voter that is not suspected.
pub(crate) fn answer_all_live(common: &mut Common, peers: &Peers, proposals: &mut Proposals) {
    if proposals.all_live_count() == 0 {
        return;
    }
    let own = common.log().membership().is_voter(common.id());
    let mut reached = common.log().committed();
    if own {
        reached = reached.min(common.log().intact());
    }
    for (id, peer) in peers.iter() {
        if common.log().membership().is_voter(id) && !suspects(common, peer) {
            reached = reached.min(peer.matched());
        }
    }
    while let Some(proposal) = proposals.pop_all_live(reached) {
        common.report_committed(proposal.tag, proposal.index);
    }
}

/// Whether the peer was silent for the longest election timeout, so that it may be dead.
pub(crate) fn suspects(common: &Common, peer: &Progress) -> bool {
    common.now() >= peer.last_contact().after(common.config().election_timeout_max)
}
