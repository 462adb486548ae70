//! Membership changes by the leader: staged until the new voters have caught up, joint until both
//! voter sets have agreed, and completed by this leader or a later one (Raft §6; thesis §4.2.1,
//! §4.3).
//!
//! The membership in the log records which step a change has reached, so that a new leader
//! continues where the previous one stopped. Each step waits until the previous one is committed.
//! At most one membership of the log is therefore uncommitted, and the quorums of two consecutive
//! memberships overlap. The only exception: with `Config::survivor`, dead voters may lose their
//! votes at any time.
//!
//! TLA+: `docs/tla/quorate.tla`, EnterJoint and LeaveJoint.

use alloc::collections::BTreeMap;

use crate::progress::Progress;
use crate::quorum::is_quorum;
use crate::raft::api::action::Action;
use crate::raft::common::Common;
use crate::raft::leader::catch_up::CatchUp;
use crate::raft::leader::disks;
use crate::raft::leader::peers::Peers;
use crate::types::{
    Change, EntryId, Index, Instant, Member, Membership, NodeId, RejectReason, Tag,
};

/// The state of a membership change that is not in the log: a new leader does not have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct ChangeInProgress {
    /// The tag of the request that waits for the change under way.
    tag: Option<Tag>,
    /// The tag of the request whose change is being cancelled.
    cancelled_tag: Option<Tag>,
    /// The catch-up of every node that is to become a voter, and of every suspended voter.
    catching_up: BTreeMap<NodeId, CatchUp>,
    /// The removed members to which the leader still sends the log, each until the given instant.
    departing: BTreeMap<NodeId, Instant>,
}

impl ChangeInProgress {
    /// Returns the changed membership, staged or settled, or rejects the request. `blocked` is the
    /// reason why the leader may append nothing now, if there is one.
    pub(crate) fn on_request(
        &mut self,
        common: &mut Common,
        blocked: Option<RejectReason>,
        tag: Tag,
        change: &Change,
    ) -> Option<Membership> {
        if let Some(reason) = reject_reason(common, blocked) {
            common.reject(tag, reason);
            return None;
        }
        match common.log().membership().changed(change) {
            Ok(changed) => {
                assert!(self.tag.is_none(), "one change at a time");
                self.tag = Some(tag);
                Some(changed)
            }
            Err(error) => {
                common.reject(tag, RejectReason::Membership(error));
                None
            }
        }
    }

    /// Returns the membership that cancels a change whose new voters are still catching up, or
    /// rejects the request.
    pub(crate) fn on_cancel(
        &mut self,
        common: &mut Common,
        blocked: Option<RejectReason>,
        tag: Tag,
    ) -> Option<Membership> {
        let staged = common.log().membership().is_staged();
        let reason = match reject_reason(common, blocked) {
            None => RejectReason::NoChangeToCancel,
            Some(RejectReason::MembershipChangeInFlight) if !staged => {
                RejectReason::NoChangeToCancel
            }
            Some(RejectReason::MembershipChangeInFlight) if may_append_step(common, blocked) => {
                // If the death of voters has cancelled the change already, its tag is kept.
                self.cancelled_tag = self.tag.replace(tag).or(self.cancelled_tag);
                let cancelled = common.log().membership().cancelled();
                assert!(cancelled.is_settled(), "a cancelled change is complete");
                return Some(cancelled);
            }
            Some(reason) => reason,
        };
        common.reject(tag, reason);
        None
    }

    /// Records that `after` follows `before` because voters are dead (`Config::survivor`). The
    /// change under way is cancelled if `after` lacks a voter that the change adds, or keeps one
    /// that the change removes.
    pub(crate) fn on_voters_died(&mut self, before: &Membership, after: &Membership) {
        let (old, new) = match before.is_joint() {
            true => (before.outgoing(), before.incoming()),
            false => (before.incoming(), before.target()),
        };
        let result = if after.is_staged() { after.target() } else { after.incoming() };
        let is_missing = |id: &NodeId| !old.contains(id) && !result.contains(id);
        let is_kept = |id: &NodeId| !new.contains(id) && result.contains(id);
        let is_cancelled = new.iter().any(is_missing) || old.iter().any(is_kept);
        if is_cancelled && !before.is_settled() && self.tag.is_some() {
            assert!(self.cancelled_tag.is_none(), "a change is cancelled once");
            self.cancelled_tag = self.tag.take();
        }
    }

    /// Returns the membership with which a change begins: `changed`, or the joint membership that
    /// follows it, if no new voter has to catch up.
    pub(crate) fn first_step(
        &self,
        common: &Common,
        peers: &Peers,
        changed: Membership,
    ) -> Membership {
        let is_ready = changed.is_staged() && self.may_enter_joint(common, peers, &changed);
        if is_ready { enter_joint(common, peers, &changed) } else { changed }
    }

    /// Whether no change is under way, no request waits, and no node is to become a voter.
    #[inline]
    pub(crate) fn is_idle(&self, membership: &Membership) -> bool {
        self.tag.is_none()
            && self.cancelled_tag.is_none()
            && self.catching_up.is_empty()
            && membership.is_at_rest()
    }

    /// Returns the next step of the change under way, once the previous one is committed. Completes
    /// the change if the committed step was its last one.
    pub(crate) fn next_step(
        &mut self,
        common: &mut Common,
        peers: &Peers,
        blocked: Option<RejectReason>,
    ) -> Option<Membership> {
        self.update_catch_up(common, peers);
        let membership = common.log().membership();
        if membership.is_settled() {
            self.complete(common);
            return None;
        }
        if !may_append_step(common, blocked) {
            // The previous step is not committed, or no entry may be appended now.
            None
        } else if membership.is_joint() {
            let next = membership.leave_joint();
            may_decide_alone(common, peers, &next).then_some(next)
        } else if self.may_enter_joint(common, peers, membership) {
            Some(enter_joint(common, peers, membership))
        } else {
            None
        }
    }

    /// Answers the requests that wait for the change, once its last step is committed.
    fn complete(&mut self, common: &mut Common) {
        assert!(common.log().membership().is_settled(), "the last step completes a change");
        if !is_membership_committed(common) {
            return;
        }
        if let Some(tag) = self.cancelled_tag.take() {
            common.reject(tag, RejectReason::ChangeCancelled);
        }
        if let Some(tag) = self.tag.take() {
            let id = last_change_entry(common);
            common.output.push(Action::MembershipChangeCommitted { tag, id });
        }
    }

    /// Whether the joint step may follow the staged membership: every new voter keeps up, the
    /// leader has heard from each of them recently, and the nodes whose replies count are a quorum
    /// of the joint membership. Without that quorum the change could wait forever: an uncertain
    /// voter becomes certain only with a quorum of the others, and that quorum would need the
    /// uncertain voter. A voter that has not replied in this term may be uncertain.
    fn may_enter_joint(&self, common: &Common, peers: &Peers, staged: &Membership) -> bool {
        let membership = common.log().membership();
        let mut target = staged.target().iter();
        let has_replied = |peer: &Progress| peer.acked_round() > 0 || peer.matched() > Index::ZERO;
        let is_certain = |peer: &Progress| peer.counts() && has_replied(peer);
        let counts = |id: NodeId| id == common.id() || peers.get(id).is_some_and(is_certain);
        target.all(|id| membership.is_voter(*id) || self.new_voter_keeps_up(common, peers, *id))
            && is_quorum(&joint_after(common, peers, staged), counts)
    }

    /// Whether this new voter keeps up, and the leader has heard from it recently. With leases, the
    /// new voter must also have answered a heartbeat, and so have granted the vote lease: a joint
    /// change cannot be cancelled, and completes only with a quorum of voters that have granted
    /// their vote leases.
    pub(crate) fn new_voter_keeps_up(&self, common: &Common, peers: &Peers, id: NodeId) -> bool {
        let contact_max = common.config().election_timeout_min;
        let known = self.catching_up.get(&id);
        let has_vote_lease =
            |peer: &Progress| common.config().lease.is_none() || peer.acked_round() > 0;
        known.is_some_and(CatchUp::keeps_up)
            && peers.get(id).is_some_and(|peer| {
                let is_recent = common.now() < peer.last_contact().after(contact_max);
                peer.counts() && is_recent && has_vote_lease(peer)
            })
    }

    /// Updates the catch-up of the new voters and of the suspended voters that may be readmitted.
    fn update_catch_up(&mut self, common: &Common, peers: &Peers) {
        let membership = common.log().membership();
        let is_suspended = |id: NodeId| membership.member(id).is_some_and(Member::is_suspended);
        let is_new_voter = |id: NodeId| {
            !membership.is_voter(id) && (membership.target().contains(&id) || is_suspended(id))
        };
        // The catch-up of an earlier change does not count. A node that is uncertain, or whose disk
        // was rolled back, catches up again.
        let counts = |id: NodeId| peers.get(id).is_none_or(Progress::counts);
        self.catching_up.retain(|id, _| is_new_voter(*id) && counts(*id));
        let (now, last) = (common.now(), common.log().last().index);
        let bound = common.config().election_timeout_min;
        for (id, progress) in peers.iter().filter(|(id, _)| is_new_voter(*id)) {
            let catch_up = self.catching_up.entry(id).or_insert_with(|| CatchUp::new(last, now));
            catch_up.observe(progress.matched(), last, now, bound);
        }
    }

    /// Restarts the catch-up of a node that now has another disk.
    pub(crate) fn restart_catch_up(&mut self, id: NodeId) {
        self.catching_up.remove(&id);
    }

    /// Makes every member a peer. The leader goes on sending the log to a removed member for a
    /// while, so that this member learns of its removal and stops campaigning.
    pub(crate) fn update_peers(&mut self, common: &Common, peers: &mut Peers) {
        let membership = common.log().membership();
        let (own, now) = (common.id(), common.now());
        // The first entry to send to a new peer is the one just appended.
        let last = common.log().membership_index().previous();
        let before = common.log().membership_at(last);
        for id in membership.ids().filter(|id| *id != own) {
            let departed = self.departing.remove(&id);
            // A member that was removed and is back may have another disk.
            if departed.is_some() || peers.get(id).is_none() {
                peers.reset(id, last, now);
            }
            let was_member = before.is_none_or(|before| before.is_member(id));
            let matched = peers.get(id).map(Progress::matched);
            assert!(was_member || matched == Some(Index::ZERO), "a new member has matched nothing");
        }
        let until = now.after(common.config().election_timeout_max.saturating_mul(2));
        for (id, _) in peers.iter().filter(|(id, _)| !membership.is_member(*id)) {
            self.departing.entry(id).or_insert(until);
        }
        debug_assert!(
            membership.ids().all(|id| (id == own) != peers.get(id).is_some()),
            "every other member is a peer"
        );
    }

    /// Drops the removed members whose time for receiving the log is over.
    pub(crate) fn drop_departed(&mut self, peers: &mut Peers, now: Instant) {
        peers.remove(|id| self.departing.get(&id).is_some_and(|until| *until <= now));
        self.departing.retain(|_, until| *until > now);
    }

    /// The number of requests that wait for a change, or for its cancellation.
    #[cfg(feature = "std")]
    pub(crate) fn requests(&self) -> usize {
        usize::from(self.tag.is_some()) + usize::from(self.cancelled_tag.is_some())
    }

    /// Reports the outcome of the change under way as unknown, because this node stops leading.
    pub(crate) fn abandon(&mut self, common: &mut Common) {
        let cancelled = self.cancelled_tag.take().into_iter();
        for tag in cancelled.chain(self.tag.take()) {
            common.output.push(Action::Unknown { tag, id: last_change_entry(common) });
        }
    }

    /// Panics if a request waits for no change, a departing node is a member, or a node with an
    /// empty disk keeps up.
    pub(crate) fn assert_invariants(&self, common: &Common, peers: &Peers) {
        let membership = common.log().membership();
        for id in self.departing.keys() {
            assert!(!membership.is_member(*id), "only a removed node departs");
            assert!(peers.get(*id).is_some(), "a departing node is still sent the log");
        }
        for (id, catch_up) in &self.catching_up {
            let has_entries = |peer: &Progress| peer.matched() > Index::ZERO || !peer.counts();
            let has_entries = peers.get(*id).is_none_or(has_entries);
            assert!(has_entries || !catch_up.keeps_up(), "only the present disk keeps up");
        }
        let is_complete = membership.is_settled() && is_membership_committed(common);
        assert!(self.tag.is_none() || !is_complete, "a complete change is answered");
        assert!(self.cancelled_tag.is_none() || !is_complete, "a cancelled change is answered");
    }
}

#[cfg(feature = "explore")]
impl ChangeInProgress {
    /// Returns every instant in the change's state.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        self.catching_up.values_mut().map(CatchUp::instant).chain(self.departing.values_mut())
    }
}

/// Returns why no change can begin now, or `None` if one can. `blocked` is the reason why the
/// leader may append nothing now, if there is one.
pub(crate) fn reject_reason(
    common: &Common,
    blocked: Option<RejectReason>,
) -> Option<RejectReason> {
    let settled = common.log().membership().is_settled();
    let in_flight = !settled || !is_membership_committed(common);
    blocked.or(in_flight.then_some(RejectReason::MembershipChangeInFlight))
}

/// Whether the next step of a change may be appended: the previous one is committed, and the leader
/// is not `blocked`.
pub(crate) fn may_append_step(common: &Common, blocked: Option<RejectReason>) -> bool {
    blocked.is_none() && is_membership_committed(common)
}

/// Whether a completed and committed change has removed the vote of this leader. The leader keeps
/// its role until it has committed an entry of its term (`Leader::advance`).
#[inline]
pub(crate) fn has_lost_vote(common: &Common) -> bool {
    let membership = common.log().membership();
    membership.is_settled() && !membership.is_voter(common.id()) && is_membership_committed(common)
}

/// Whether the voters of `next` may decide without the outgoing ones of the joint membership: with
/// leases, the nodes that have the joint membership and have granted the vote lease are a quorum of
/// `next`. Otherwise they could elect another leader while read leases still rely on the outgoing
/// voters (docs/READS.md). This leader withholds its own vote until its read leases have ended.
fn may_decide_alone(common: &Common, peers: &Peers, next: &Membership) -> bool {
    let joint = common.log().membership_index();
    let has_granted =
        |peer: &Progress| peer.counts() && peer.acked_round() > 0 && peer.matched() >= joint;
    let counts = |id: NodeId| id == common.id() || peers.get(id).is_some_and(has_granted);
    common.config().lease.is_none() || is_quorum(next, counts)
}

/// Returns the joint membership that follows the staged one.
fn joint_after(common: &Common, peers: &Peers, staged: &Membership) -> Membership {
    assert!(staged.is_staged(), "a joint membership follows a staged one");
    let next = staged.enter_joint(casting_vote_holder(common));
    disks::with_known_incarnations(common, peers, next)
}

/// Returns the joint membership with which a change continues, or the settled one if the voters and
/// the casting vote stay the same. A joint membership cannot be cancelled, so nodes that have
/// replied to this leader, and are certain, must be a quorum of it.
fn enter_joint(common: &Common, peers: &Peers, staged: &Membership) -> Membership {
    let next = joint_after(common, peers, staged);
    let has_replied = |peer: &Progress| peer.acked_round() > 0 || peer.matched() > Index::ZERO;
    let can_commit = |id: NodeId| match peers.get(id) {
        Some(peer) => peer.counts() && has_replied(peer),
        None => id == common.id(),
    };
    assert!(is_quorum(&next, can_commit), "a quorum of the joint membership has replied");
    assert!(!next.is_staged(), "the new voters have caught up");
    next
}

fn is_membership_committed(common: &Common) -> bool {
    common.log().membership_index() <= common.log().committed()
}

/// The entry with the last appended step of the change, in this leader's term.
fn last_change_entry(common: &Common) -> EntryId {
    EntryId::new(common.term(), common.log().membership_index())
}

/// The node that is to hold the casting vote in the next membership: with `Config::casting_vote`
/// this leader, so that its half of the voters keeps a quorum. `None` keeps the holder that the
/// change names; with `Config::survivor` no casting vote is needed.
fn casting_vote_holder(common: &Common) -> Option<NodeId> {
    (common.config().casting_vote && !common.survival.is_on()).then_some(common.id())
}
