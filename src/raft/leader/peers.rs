//! The leader's peers: the replication progress of each, by id.

use alloc::vec::Vec;

use crate::progress::Progress;
use crate::quorum;
use crate::raft::api::action::MessageRejectReason;
use crate::raft::common::Common;
use crate::types::{EntryId, Index, Instant, Membership, NodeId};

/// The replication progress of every other member, and of recently removed members, in the order of
/// their ids.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Peers(Vec<(NodeId, Progress)>);

impl Peers {
    /// Returns the peers of a new leader, which knows nothing about them. Its log ends at `last`.
    pub(crate) fn new(ids: impl Iterator<Item = NodeId>, last: Index, now: Instant) -> Peers {
        let peers = Peers(ids.map(|id| (id, Progress::new(last, now))).collect());
        let is_sorted = peers.0.is_sorted_by(|one, next| one.0 < next.0);
        assert!(is_sorted, "the members of a membership are in the order of their ids");
        peers
    }

    #[inline]
    pub(crate) fn get(&self, id: NodeId) -> Option<&Progress> {
        self.0.iter().find(|(other, _)| *other == id).map(|(_, progress)| progress)
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: NodeId) -> Option<&mut Progress> {
        self.0.iter_mut().find(|(other, _)| *other == id).map(|(_, progress)| progress)
    }

    /// Records a contact with the sender of a message, and returns the sender's progress. Rejects
    /// the message if the sender is not a peer.
    #[inline]
    pub(crate) fn record_contact(
        &mut self,
        common: &mut Common,
        from: NodeId,
        message: &'static str,
    ) -> Option<&mut Progress> {
        match self.get_mut(from) {
            Some(progress) => {
                progress.heard_from(common.now());
                Some(progress)
            }
            None => {
                common.reject_message(from, message, MessageRejectReason::NotMember);
                None
            }
        }
    }

    /// Records that the leader's timer began `round`.
    pub(crate) fn timer_round_sent(&mut self, round: u64) {
        self.0.iter_mut().for_each(|(_, progress)| progress.timer_round_sent(round));
    }

    /// The peers by ascending id.
    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = (NodeId, &Progress)> {
        self.0.iter().map(|(id, progress)| (*id, progress))
    }

    /// The peers by ascending id.
    #[inline]
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (NodeId, &mut Progress)> {
        self.0.iter_mut().map(|(id, progress)| (*id, progress))
    }

    /// The peers that are incoming voters of the membership, by ascending id.
    pub(crate) fn incoming_voters(
        &self,
        membership: &Membership,
    ) -> impl Iterator<Item = (NodeId, &Progress)> {
        self.iter().filter(|(id, _)| membership.incoming().contains(id))
    }

    /// Adds a peer, or resets the progress of a known one, as if the leader knew nothing about it.
    pub(crate) fn reset(&mut self, id: NodeId, last: Index, now: Instant) {
        let progress = Progress::new(last, now);
        match self.0.binary_search_by_key(&id, |(other, _)| *other) {
            Ok(place) => self.0[place].1 = progress,
            Err(place) => self.0.insert(place, (id, progress)),
        }
    }

    /// Removes the peers for which `is_gone` returns true.
    pub(crate) fn remove(&mut self, is_gone: impl Fn(NodeId) -> bool) {
        self.0.retain(|(id, _)| !is_gone(*id));
    }

    /// Returns the highest number that a quorum of the membership has reached: `own` is the number
    /// of this node, the leader `id`, and `of` returns a peer's number from its progress.
    #[inline]
    pub(crate) fn quorum_reached(
        &self,
        membership: &Membership,
        id: NodeId,
        own: u64,
        of: impl Fn(&Progress) -> u64,
    ) -> u64 {
        quorum::reached(membership, |voter| self.reached(voter, id, own, &of))
    }

    /// Returns the highest number that every voter has reached; see [`Peers::quorum_reached`].
    pub(crate) fn all_reached(
        &self,
        membership: &Membership,
        id: NodeId,
        own: u64,
        of: impl Fn(&Progress) -> u64,
    ) -> u64 {
        membership.voters().map(|voter| self.reached(voter, id, own, &of)).min().unwrap_or(0)
    }

    /// Returns the last index up to which every voter that counts has the log of the leader `id` on
    /// its disk. The leader's own disk has it up to `own`.
    pub(crate) fn all_certain_matched(
        &self,
        membership: &Membership,
        id: NodeId,
        own: Index,
    ) -> Index {
        let counts = |voter: &NodeId| self.get(*voter).is_none_or(Progress::counts);
        let reached = |voter| self.reached(voter, id, own.0, |peer: &Progress| peer.matched().0);
        Index(membership.voters().filter(counts).map(reached).min().unwrap_or(0))
    }

    /// Returns the number that one voter has reached: 0 for a voter that is unknown, is uncertain,
    /// or has a rolled-back disk.
    #[inline]
    fn reached(&self, voter: NodeId, id: NodeId, own: u64, of: impl Fn(&Progress) -> u64) -> u64 {
        let counted = self.get(voter).filter(|peer| peer.counts());
        if voter == id { own } else { counted.map_or(0, of) }
    }

    /// Panics if a peer's progress contradicts the log of the leader `own`, which ends at `last`.
    pub(crate) fn assert_invariants(&self, own: NodeId, last: EntryId) {
        assert!(self.get(own).is_none(), "no leader is its own peer");
        for (_, progress) in self.iter() {
            progress.assert_invariants(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_stay_in_order_and_the_own_number_counts() {
        let ids = [2, 4].map(NodeId);
        let mut peers = Peers::new(ids.into_iter(), Index(5), Instant::ZERO);
        peers.reset(NodeId(3), Index(5), Instant(9));
        assert!(peers.iter().map(|(id, _)| id.0).eq([2, 3, 4]));
        let reached = |peers: &Peers, own| {
            let members = Membership::new([1, 2, 3].map(NodeId));
            let of = |progress: &Progress| progress.last_contact().0;
            (
                peers.quorum_reached(&members, NodeId(1), own, of),
                peers.all_reached(&members, NodeId(1), own, of),
            )
        };
        assert_eq!(reached(&peers, 7), (7, 0));
        assert_eq!(reached(&peers, 12), (9, 0));
        peers.remove(|id| id == NodeId(3));
        assert_eq!(reached(&peers, 7), (0, 0), "a voter that is not a peer has reached nothing");
        assert!(peers.get(NodeId(3)).is_none());
    }
}
