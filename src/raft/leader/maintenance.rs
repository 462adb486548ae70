//! The leader's automatic membership changes and transfers, considered at every heartbeat: it takes
//! the casting vote, transfers to a higher priority, suspends silent voters and readmits them.

use core::time::Duration;

use crate::raft::common::Common;
use crate::raft::leader::Leader;
use crate::types::{Change, EntryId, Lineage, Member, Membership, NodeId, PendingTransition};

impl Leader {
    /// Begins at most one automatic membership change or leadership transfer.
    pub(crate) fn maintain_membership(&mut self, common: &mut Common) {
        if let Some(survivors) = self.surviving_membership(common) {
            return self.append_membership(common, survivors);
        }
        if self.may_begin_change(common)
            && let Some(change) = self.automatic_change(common)
            && let Ok(changed) = common.log.membership().changed(&change)
        {
            self.begin_change(common, changed);
        } else if self.may_transfer_by_priority(common)
            && let Some(to) = self.higher_priority_target(common)
            && common
                .priority_transfer_backoff
                .attempt(common.now, common.config.election_timeout_max)
        {
            self.begin_transfer(common, None, to);
        }
    }

    /// Whether a transfer to a voter of higher priority may begin. A joint change must be completed
    /// first, because the next leader would have to finish it. A staged change may continue,
    /// because its new voters may never catch up.
    fn may_transfer_by_priority(&self, common: &Common) -> bool {
        !common.log.membership().is_joint() && self.may_append_step(common)
    }

    fn automatic_change(&mut self, common: &mut Common) -> Option<Change> {
        let (own, membership) = (common.id(), common.log.membership());
        let voters = membership.incoming();
        let is_survivor_mode = common.survival.is_on();
        let takes_casting_vote = common.config.casting_vote
            && !is_survivor_mode
            && voters.can_split()
            && voters.contains(&own)
            && voters.casting() != Some(own);
        if takes_casting_vote {
            return Some(Change::new().casting(Some(own)));
        }
        if is_survivor_mode {
            return self.readmittable_voter(common).map(|id| Change::new().voter(id));
        }
        let suspension = common.config.suspension?;
        if common.now < common.suspension_not_before {
            return None;
        }
        let change = match self.readmittable_voter(common) {
            Some(id) => Change::new().voter(id),
            None => Change::new().suspend(self.voter_to_suspend(
                common,
                suspension.after,
                suspension.voters_min,
            )?),
        };
        common.suspension_not_before = common.now.after(suspension.pause);
        Some(change)
    }

    /// Returns the membership without its dead voters; `None` if there are none, if no voter would
    /// remain, or if the disk is full. It may interrupt any change, which could otherwise wait for
    /// the dead voters for ever. Only the remaining voters must agree to it, because a voter that
    /// is silent for so long is dead and cannot continue alone (`docs/SURVIVOR.md`). No voter would
    /// remain if this leader itself has no vote and all voters are dead: it then waits for one of
    /// them.
    fn surviving_membership(&self, common: &Common) -> Option<Membership> {
        let (own, membership) = (common.id(), common.log.membership());
        let silent = |id: NodeId| id != own && common.survival.is_silent(id, common.now);
        let is_unneeded = common.disk_full || !membership.voters().any(silent);
        let lineage =
            Lineage { by: own, at: EntryId::new(common.term(), common.log.last().index.next()) };
        let left = (!is_unneeded).then(|| membership.without_voters(silent).with_lineage(lineage));
        left.filter(|left| left.voters().next().is_some())
    }

    /// Returns a suspended voter that is back and has caught up, so that its readmission needs no
    /// catch-up.
    fn readmittable_voter(&self, common: &Common) -> Option<NodeId> {
        let suspended = |member: &&Member| member.pending == PendingTransition::Promote;
        let mut members = common.log.membership().members().iter().filter(suspended);
        members.find(|member| self.new_voter_keeps_up(common, member.id)).map(|member| member.id)
    }

    /// Returns the voter that was silent for longest, if it was silent for `after` and more than
    /// `voters_min` voters are left.
    fn voter_to_suspend(
        &self,
        common: &Common,
        after: Duration,
        voters_min: usize,
    ) -> Option<NodeId> {
        let voters = common.log.membership().incoming();
        if voters.len() <= voters_min {
            return None;
        }
        let peers = self.peers.iter().filter(|(id, _)| voters.contains(id));
        let (id, peer) = peers.min_by_key(|(_, peer)| peer.last_contact)?;
        (common.now >= peer.last_contact.after(after)).then_some(*id)
    }
}
