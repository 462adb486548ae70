//! Membership changes by the leader: staged until the new voters have caught up, joint until both
//! voter sets have agreed, and completed by this leader or a later one (Raft §6; thesis §4.2.1,
//! §4.3).
//!
//! The membership in the log records how far a change is, so that a new leader continues where the
//! previous one stopped. Each step waits until the previous one is committed. At most one
//! membership of the log is therefore uncommitted, and the quorums of two consecutive memberships
//! overlap. The only exception is the removal of dead voters with `Config::survivor`.

use crate::progress::Progress;
use crate::raft::api::action::Action;
use crate::raft::common::Common;
use crate::raft::leader::Leader;
use crate::raft::leader::catch_up::CatchUp;
use crate::types::{
    Change, EntryId, Instant, Membership, NodeId, Payload, PendingTransition, RejectReason, Tag,
};

impl Leader {
    pub(crate) fn on_change(&mut self, common: &mut Common, tag: Tag, change: &Change) {
        if let Some(reason) = self.change_reject_reason(common) {
            return common.reject(tag, reason);
        }
        match common.log.membership().changed(change) {
            Ok(changed) => {
                assert!(self.change_in_progress.tag.is_none(), "one change at a time");
                self.change_in_progress.tag = Some(tag);
                self.begin_change(common, changed);
            }
            Err(error) => common.reject(tag, RejectReason::Membership(error)),
        }
    }

    /// Cancels a membership change whose new voters are still catching up.
    pub(crate) fn on_cancel_change(&mut self, common: &mut Common, tag: Tag) {
        let staged = common.log.membership().is_staged();
        match self.change_reject_reason(common) {
            None => common.reject(tag, RejectReason::NoChangeToCancel),
            Some(RejectReason::MembershipChangeInFlight) if !staged => {
                common.reject(tag, RejectReason::NoChangeToCancel);
            }
            Some(RejectReason::MembershipChangeInFlight) if self.may_append_step(common) => {
                self.change_in_progress.cancelled_tag = self.change_in_progress.tag.replace(tag);
                self.append_membership(common, common.log.membership().cancelled());
            }
            Some(reason) => common.reject(tag, reason),
        }
    }

    /// Returns why no change can begin now, or `None` if one can.
    fn change_reject_reason(&self, common: &Common) -> Option<RejectReason> {
        let settled = common.log.membership().is_settled();
        if self.transfer.is_some() {
            Some(RejectReason::Transferring)
        } else if !self.has_committed_in_term(common) {
            Some(RejectReason::Busy)
        } else if common.disk_full {
            Some(RejectReason::DiskFull)
        } else if !settled || !self.is_membership_committed(common) {
            Some(RejectReason::MembershipChangeInFlight)
        } else {
            None
        }
    }

    /// Whether a change can begin now.
    pub(crate) fn may_begin_change(&self, common: &Common) -> bool {
        self.change_reject_reason(common).is_none()
    }

    /// Appends the first step of a change, or the second one at once if no voter has to catch up.
    pub(crate) fn begin_change(&mut self, common: &mut Common, changed: Membership) {
        let ready = changed.is_staged() && self.all_new_voters_keep_up(common, &changed);
        let first = if ready { self.joint_after(common, &changed) } else { changed };
        self.append_membership(common, first);
    }

    /// Returns the joint membership that follows the staged one.
    fn joint_after(&self, common: &Common, staged: &Membership) -> Membership {
        self.with_known_incarnations(common, staged.enter_joint(casting_vote_holder(common)))
    }

    fn is_membership_committed(&self, common: &Common) -> bool {
        common.log.membership_index() <= common.log.committed()
    }

    /// Whether the next step of a change may be appended: the previous one and an entry of this
    /// term are committed, the disk has space, and no transfer is under way.
    pub(crate) fn may_append_step(&self, common: &Common) -> bool {
        let committed = self.has_committed_in_term(common) && self.is_membership_committed(common);
        committed && !common.disk_full && self.transfer.is_none()
    }

    /// Appends the next step of the change under way, once the previous one is committed. Returns
    /// whether it appended one.
    pub(crate) fn advance_membership(&mut self, common: &mut Common) -> bool {
        self.update_catch_up(common);
        let membership = common.log.membership();
        if membership.is_settled() {
            self.complete_change(common);
            return false;
        }
        let next = if !self.may_append_step(common) {
            // The previous step is not committed, or no entry may be appended now.
            return false;
        } else if membership.is_joint() {
            membership.leave_joint()
        } else if self.all_new_voters_keep_up(common, membership) {
            self.joint_after(common, membership)
        } else {
            return false;
        };
        self.append_membership(common, next);
        true
    }

    /// Answers the requests that wait for the change, once its last step is committed.
    fn complete_change(&mut self, common: &mut Common) {
        if !self.is_membership_committed(common) {
            return;
        }
        if let Some(tag) = self.change_in_progress.cancelled_tag.take() {
            common.reject(tag, RejectReason::ChangeCancelled);
        }
        if let Some(tag) = self.change_in_progress.tag.take() {
            common
                .actions
                .push(Action::MembershipChangeCommitted { tag, id: last_change_entry(common) });
        }
    }

    /// Whether every new voter of the staged membership keeps up and was heard from recently.
    fn all_new_voters_keep_up(&self, common: &Common, staged: &Membership) -> bool {
        let membership = common.log.membership();
        staged
            .target()
            .iter()
            .all(|id| membership.is_voter(*id) || self.new_voter_keeps_up(common, *id))
    }

    /// Whether this new voter keeps up and was heard from recently. With leases, it must also have
    /// answered a heartbeat, and so granted the vote lease, because the new voters may soon decide
    /// alone.
    pub(crate) fn new_voter_keeps_up(&self, common: &Common, id: NodeId) -> bool {
        let contact_max = common.config.election_timeout_min;
        let known = self.change_in_progress.catching_up.iter().find(|(other, _)| *other == id);
        let peer = self.peers.iter().find(|(peer, _)| *peer == id);
        let has_vote_lease =
            |peer: &Progress| common.config.lease.is_none() || peer.acked_round > 0;
        known.is_some_and(|(_, catch_up)| catch_up.keeps_up)
            && peer.is_some_and(|(_, peer)| {
                common.now < peer.last_contact.after(contact_max) && has_vote_lease(peer)
            })
    }

    /// Updates the catch-up of the new voters and of the suspended voters that may be readmitted.
    fn update_catch_up(&mut self, common: &Common) {
        let membership = common.log.membership();
        let is_suspended = |id: NodeId| {
            membership.member(id).is_some_and(|m| m.pending == PendingTransition::Promote)
        };
        let is_new_voter = |id: &NodeId| {
            !membership.is_voter(*id) && (membership.target().contains(id) || is_suspended(*id))
        };
        let catching_up = &mut self.change_in_progress.catching_up;
        catching_up.retain(|(id, _)| is_new_voter(id));
        let (now, last) = (common.now, common.log.last().index);
        let bound = common.config.election_timeout_min;
        for (id, progress) in self.peers.iter().filter(|(id, _)| is_new_voter(id)) {
            let place = catching_up.iter().position(|(other, _)| other == id);
            let place = place.unwrap_or_else(|| {
                catching_up.push((*id, CatchUp::new(last, now)));
                catching_up.len() - 1
            });
            catching_up[place].1.observe(progress.matched(), last, now, bound);
        }
    }

    /// Appends a membership, which is active from then on, committed or not.
    pub(crate) fn append_membership(&mut self, common: &mut Common, membership: Membership) {
        self.append(common, Payload::Membership(membership));
        self.update_peers(common);
    }

    /// Makes every member a peer. A removed member is still sent the log for a while, so that it
    /// learns of its removal and stops campaigning.
    fn update_peers(&mut self, common: &Common) {
        let membership = common.log.membership();
        let (own, now) = (common.id(), common.now);
        // The entry just appended is the first one that a new peer is sent.
        let last = common.log.membership_index().previous();
        for id in membership.ids().filter(|id| *id != own) {
            let place = self.peers.binary_search_by_key(&id, |(peer, _)| *peer);
            let departed =
                self.change_in_progress.departing.iter().position(|(other, _)| *other == id);
            let departed =
                departed.map(|departed| self.change_in_progress.departing.swap_remove(departed));
            match place {
                // A member that was removed and is back may have another disk.
                Ok(place) if departed.is_some() => self.peers[place].1 = Progress::new(last, now),
                Ok(_) => {}
                Err(place) => self.peers.insert(place, (id, Progress::new(last, now))),
            }
        }
        let until = now.after(common.config.election_timeout_max.saturating_mul(2));
        for (id, _) in self.peers.iter().filter(|(id, _)| !membership.is_member(*id)) {
            if !self.change_in_progress.departing.iter().any(|(other, _)| other == id) {
                self.change_in_progress.departing.push((*id, until));
            }
        }
    }

    /// Drops the removed members that were sent the log for long enough.
    pub(crate) fn drop_departed_peers(&mut self, now: Instant) {
        let departing = &mut self.change_in_progress.departing;
        let gone = |id: &NodeId, departing: &[(NodeId, Instant)]| {
            departing.iter().any(|(other, until)| other == id && *until <= now)
        };
        self.peers.retain(|(id, _)| !gone(id, departing));
        departing.retain(|(_, until)| *until > now);
    }

    /// Whether a completed and committed change has removed this leader's vote.
    pub(crate) fn has_lost_vote(&self, common: &Common) -> bool {
        let membership = common.log.membership();
        membership.is_settled()
            && !membership.is_voter(common.id())
            && self.has_committed_in_term(common)
            && self.is_membership_committed(common)
    }

    /// Reports the outcome of the change under way as unknown, because this node stops leading.
    pub(crate) fn abandon_change(&mut self, common: &mut Common) {
        let waiting = self
            .change_in_progress
            .cancelled_tag
            .take()
            .into_iter()
            .chain(self.change_in_progress.tag.take());
        for tag in waiting {
            common.actions.push(Action::Unknown { tag, id: last_change_entry(common) });
        }
    }
}

/// The entry with the last appended step of the change, in this leader's term.
fn last_change_entry(common: &Common) -> EntryId {
    EntryId::new(common.term(), common.log.membership_index())
}

/// The holder of the casting vote in the next membership: with `Config::casting_vote` this leader,
/// so that its half of the voters keeps a quorum.
fn casting_vote_holder(common: &Common) -> Option<NodeId> {
    (common.config.casting_vote && !common.survival.is_on()).then_some(common.id())
}
