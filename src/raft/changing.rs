//! A leader changes the membership: staged until the voters to come have the log, joint until both
//! halves have agreed, and left by whichever leader comes next (Raft §6; thesis §4.2.1, §4.3).
//!
//! The membership in the log says how far a change is, so that a new leader goes on where the one
//! before stopped. Each step waits until the one before is committed: at most one membership of
//! the log is not, and any two that follow one another share the voters that decide.

use crate::progress::Progress;
use crate::raft::action::Action;
use crate::raft::catch_up::CatchUp;
use crate::raft::common::Common;
use crate::raft::leader::Leader;
use crate::types::{
    Change, EntryId, Fate, Instant, Membership, NodeId, Payload, RejectReason, Tag,
};

impl Leader {
    pub(crate) fn on_change(&mut self, common: &mut Common, tag: Tag, change: &Change) {
        if let Some(reason) = self.cannot_change(common) {
            return common.reject(tag, reason);
        }
        match common.log.membership().changed(change) {
            Ok(changed) => {
                assert!(self.changing.tag.is_none(), "one change at a time");
                self.changing.tag = Some(tag);
                self.begin_change(common, changed);
            }
            Err(error) => common.reject(tag, RejectReason::Membership(error)),
        }
    }

    /// Gives up a change whose voters to come still lack the log.
    pub(crate) fn on_give_up(&mut self, common: &mut Common, tag: Tag) {
        let staged = common.log.membership().is_staged();
        match self.cannot_change(common) {
            None => common.reject(tag, RejectReason::NothingToGiveUp),
            Some(RejectReason::MembershipChangeInFlight) if !staged => {
                common.reject(tag, RejectReason::NothingToGiveUp);
            }
            Some(RejectReason::MembershipChangeInFlight) if self.may_step(common) => {
                self.changing.given_up = self.changing.tag.replace(tag);
                self.append_membership(common, common.log.membership().given_up());
            }
            Some(reason) => common.reject(tag, reason),
        }
    }

    /// Why no change can begin now.
    fn cannot_change(&self, common: &Common) -> Option<RejectReason> {
        let settled = common.log.membership().is_settled();
        if self.handover.is_some() {
            Some(RejectReason::Transferring)
        } else if !self.is_established(common) {
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
    pub(crate) fn can_change(&self, common: &Common) -> bool {
        self.cannot_change(common).is_none()
    }

    /// Appends the first step of a change, or the second at once if nobody has to catch up.
    pub(crate) fn begin_change(&mut self, common: &mut Common, changed: Membership) {
        let ready = changed.is_staged() && self.keep_up(common, &changed);
        let first = if ready { self.entered(common, &changed) } else { changed };
        self.append_membership(common, first);
    }

    /// The joint membership that follows the staged one.
    fn entered(&self, common: &Common, staged: &Membership) -> Membership {
        self.name_disks(common, staged.entered(casting(common)))
    }

    fn is_membership_committed(&self, common: &Common) -> bool {
        common.log.membership_index() <= common.log.committed()
    }

    /// Whether the next step of a change may be appended.
    pub(crate) fn may_step(&self, common: &Common) -> bool {
        let committed = self.is_established(common) && self.is_membership_committed(common);
        committed && !common.disk_full && self.handover.is_none()
    }

    /// Takes the next step of the change under way, if the one before is committed. Returns whether
    /// it appended one.
    pub(crate) fn advance_membership(&mut self, common: &mut Common) -> bool {
        self.observe_voters_to_come(common);
        let membership = common.log.membership();
        if membership.is_settled() {
            self.complete_change(common);
            return false;
        }
        let next = if !self.may_step(common) {
            // The step before is not committed, or nothing is appended now.
            return false;
        } else if membership.is_joint() {
            membership.left()
        } else if self.keep_up(common, membership) {
            self.entered(common, membership)
        } else {
            return false;
        };
        self.append_membership(common, next);
        true
    }

    /// Nothing is left to do but to commit: whoever waited for that, is told.
    fn complete_change(&mut self, common: &mut Common) {
        if !self.is_membership_committed(common) {
            return;
        }
        if let Some(tag) = self.changing.given_up.take() {
            common.reject(tag, RejectReason::GivenUp);
        }
        if let Some(tag) = self.changing.tag.take() {
            common.actions.push(Action::Changed { tag, id: last_step(common) });
        }
    }

    /// Whether every voter to come keeps up and is there.
    fn keep_up(&self, common: &Common, staged: &Membership) -> bool {
        let membership = common.log.membership();
        staged.wanted().iter().all(|id| membership.is_voter(*id) || self.keeps_up(common, *id))
    }

    /// Whether this voter to come keeps up and is there. Where there are leases it has answered a
    /// heartbeat, and promised what that asked for: the voters to come may soon decide alone.
    pub(crate) fn keeps_up(&self, common: &Common, id: NodeId) -> bool {
        let patience = common.config.election_timeout_min;
        let known = self.changing.catching_up.iter().find(|(other, _)| *other == id);
        let peer = self.peers.iter().find(|(peer, _)| *peer == id);
        let promised = |peer: &Progress| common.config.lease.is_none() || peer.acked_round > 0;
        known.is_some_and(|(_, catch_up)| catch_up.keeps_up)
            && peer
                .is_some_and(|(_, peer)| common.now < peer.heard.after(patience) && promised(peer))
    }

    /// Those wanted, and those that are to vote again once they are back.
    fn observe_voters_to_come(&mut self, common: &Common) {
        let membership = common.log.membership();
        let returns = |id: NodeId| membership.member(id).is_some_and(|m| m.fate == Fate::Returns);
        let to_come = |id: &NodeId| {
            !membership.is_voter(*id) && (membership.wanted().contains(id) || returns(*id))
        };
        let catching_up = &mut self.changing.catching_up;
        catching_up.retain(|(id, _)| to_come(id));
        let (now, last) = (common.now, common.log.last().index);
        let bound = common.config.election_timeout_min;
        for (id, progress) in self.peers.iter().filter(|(id, _)| to_come(id)) {
            let place = catching_up.iter().position(|(other, _)| other == id);
            let place = place.unwrap_or_else(|| {
                catching_up.push((*id, CatchUp::new(last, now)));
                catching_up.len() - 1
            });
            catching_up[place].1.observe(progress.matched(), last, now, bound);
        }
    }

    /// Appends a membership: it counts from here on, committed or not.
    pub(crate) fn append_membership(&mut self, common: &mut Common, membership: Membership) {
        self.append(common, Payload::Membership(membership));
        self.meet_members(common);
    }

    /// Every member is a peer from now on. Who is none any more, is still sent the log for a
    /// while: it learns that it left, and goes quiet.
    fn meet_members(&mut self, common: &Common) {
        let membership = common.log.membership();
        let (own, now) = (common.id(), common.now);
        // What was just appended is the first that a new peer is sent.
        let last = common.log.membership_index().previous();
        for id in membership.ids().filter(|id| *id != own) {
            let place = self.peers.binary_search_by_key(&id, |(peer, _)| *peer);
            let parted = self.changing.parting.iter().position(|(other, _)| *other == id);
            let parted = parted.map(|parted| self.changing.parting.swap_remove(parted));
            match place {
                // Whoever left may have come back with another disk.
                Ok(place) if parted.is_some() => self.peers[place].1 = Progress::new(last, now),
                Ok(_) => {}
                Err(place) => self.peers.insert(place, (id, Progress::new(last, now))),
            }
        }
        let until = now.after(common.config.election_timeout_max.saturating_mul(2));
        for (id, _) in self.peers.iter().filter(|(id, _)| !membership.is_member(*id)) {
            if !self.changing.parting.iter().any(|(other, _)| other == id) {
                self.changing.parting.push((*id, until));
            }
        }
    }

    /// Lets go of those who left and were told long enough.
    pub(crate) fn part(&mut self, now: Instant) {
        let parting = &mut self.changing.parting;
        let gone = |id: &NodeId, parting: &[(NodeId, Instant)]| {
            parting.iter().any(|(other, until)| other == id && *until <= now)
        };
        self.peers.retain(|(id, _)| !gone(id, parting));
        parting.retain(|(_, until)| *until > now);
    }

    /// Whether the leader led to the end a change that left it no vote.
    pub(crate) fn is_dismissed(&self, common: &Common) -> bool {
        let membership = common.log.membership();
        membership.is_settled()
            && !membership.is_voter(common.id())
            && self.is_established(common)
            && self.is_membership_committed(common)
    }

    /// Whoever waits for a change will not hear of it from this leader.
    pub(crate) fn abandon_change(&mut self, common: &mut Common) {
        let waiting = self.changing.given_up.take().into_iter().chain(self.changing.tag.take());
        for tag in waiting {
            common.actions.push(Action::Unknown { tag, id: last_step(common) });
        }
    }
}

/// The last step of the change that somebody waits for, which this leader appended.
fn last_step(common: &Common) -> EntryId {
    EntryId::new(common.term(), common.log.membership_index())
}

/// Who is to hold the casting vote of an even set: the leader, so that its half goes on.
fn casting(common: &Common) -> Option<NodeId> {
    (common.config.casting_vote && !common.survival.is_on()).then_some(common.id())
}
