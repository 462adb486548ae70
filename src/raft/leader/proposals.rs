//! The proposals whose outcome is pending, by the acknowledgement that they wait for.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::progress::Progress;
use crate::raft::api::action::Action;
use crate::raft::common::Common;
use crate::raft::leader::peers::Peers;
use crate::raft::leader::unapplied::Unapplied;
use crate::types::{
    Acknowledge, Entries, Entry, EntryId, Index, Payload, Proposal, RejectReason, Tag,
};

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
        debug_assert!(last.is_none_or(|last| last.index < proposal.index), "a log only grows");
        queue.push_back(proposal);
    }

    /// The number of proposals that wait for every live voter.
    #[inline]
    pub(crate) fn all_live_count(&self) -> usize {
        self.by_all_live.len()
    }

    /// The number of proposals without an outcome.
    #[cfg(feature = "std")]
    pub(crate) fn len(&self) -> usize {
        self.by_quorum.len() + self.by_all_live.len()
    }

    /// Whether the proposal at `index` waits for every live voter.
    pub(crate) fn waits_for_all_live(&self, index: Index) -> bool {
        self.by_all_live.binary_search_by_key(&index, |proposal| proposal.index).is_ok()
    }

    /// Removes the next proposal that waits for a quorum, if it is at or before `committed`.
    #[inline]
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

    pub(crate) fn assert_invariants(&self, committed: Index, last: Index, all_live_max: usize) {
        assert!(
            self.by_all_live.len() <= all_live_max,
            "the proposals that wait for every live voter are bounded"
        );
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

/// Appends the requested proposals that are not rejected, in their order. A leader that is
/// `transferring` its leadership rejects them.
pub(crate) fn accept(
    common: &mut Common,
    proposals: &mut Proposals,
    unapplied: &mut Unapplied,
    transferring: bool,
    requests: Vec<Proposal>,
) {
    let (term, mut last) = (common.term(), common.log().last().index);
    let default = Acknowledge::Default.resolved(common.log().membership());
    let blocked = transferring.then_some(RejectReason::Transferring);
    let entries = requests.into_iter().filter_map(|Proposal { tag, acknowledge, command }| {
        let is_default = acknowledge == Acknowledge::Default;
        let acknowledge = if is_default { default } else { acknowledge };
        let waits_for_all = acknowledge == Acknowledge::AllLive;
        let all_live = if waits_for_all { proposals.all_live_count() } else { 0 };
        let reason = reject_reason(common, blocked, unapplied, command.len(), all_live);
        if let Some(reason) = reason {
            common.reject(tag, reason);
            return None;
        }
        last = last.next();
        let id = EntryId::new(term, last);
        unapplied.push(last, Entry::OVERHEAD_BYTES + command.len());
        if acknowledge == Acknowledge::LeaderOnly {
            common.output.push(Action::MayBeLost { tag, id });
        } else {
            proposals.push(waits_for_all, PendingProposal { tag, index: last });
        }
        Some(Entry { id, payload: Payload::Command(command) })
    });
    let entries: Entries = entries.collect();
    if !entries.is_empty() {
        common.journal.append_all(entries);
    }
}

/// Returns why a command of `bytes` bytes is rejected now, or `None` if it is accepted. The reason
/// is the one in `blocked`, a full disk, or a bound that is reached. `all_live` is the number of
/// proposals that wait for every live voter, or 0 if the command would not wait for them.
#[inline]
fn reject_reason(
    common: &Common,
    blocked: Option<RejectReason>,
    unapplied: &Unapplied,
    bytes: usize,
    all_live: usize,
) -> Option<RejectReason> {
    let config = common.config();
    let has_room = unapplied.has_room(Entry::OVERHEAD_BYTES + bytes, config.unapplied_bytes_max);
    if bytes > config.command_bytes_max {
        Some(RejectReason::TooLarge)
    } else if blocked.is_some() {
        blocked
    } else if common.health.disk_full {
        Some(RejectReason::DiskFull)
    } else if !has_room || all_live >= config.all_live_max {
        Some(RejectReason::Busy)
    } else {
        None
    }
}

/// Answers the proposals that wait for a quorum, once they are committed.
#[inline]
pub(crate) fn answer_committed(common: &mut Common, proposals: &mut Proposals) {
    let committed = common.log().committed();
    while let Some(proposal) = proposals.pop_committed(committed) {
        common.report_committed(proposal.tag, proposal.index);
    }
}

/// Answers the proposals that wait for every live voter, once they are committed and on the disk of
/// every voter that is not suspected to be dead.
pub(crate) fn answer_all_live(common: &mut Common, peers: &Peers, proposals: &mut Proposals) {
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

/// Whether the peer has been silent for the longest election timeout, so that it may be dead.
pub(crate) fn suspects(common: &Common, peer: &Progress) -> bool {
    common.now() >= peer.last_contact().after(common.config().election_timeout_max)
}
