//! What a leader does by itself, with its heartbeats: it takes the casting vote over, hands over to
//! a higher priority, suspends voters that are silent and readmits those that are back.

use core::time::Duration;

use crate::raft::common::Common;
use crate::raft::leader::Leader;
use crate::types::{Change, EntryId, Fate, Lineage, Member, Membership, NodeId};

impl Leader {
    /// With every heartbeat.
    pub(crate) fn keep_up_membership(&mut self, common: &mut Common) {
        if let Some(survivors) = self.survivors(common) {
            return self.append_membership(common, survivors);
        }
        if self.can_change(common)
            && let Some(change) = self.wanted_change(common)
            && let Ok(changed) = common.log.membership().changed(&change)
        {
            self.begin_change(common, changed);
        } else if self.may_drift(common)
            && let Some(to) = self.preferred(common)
            && common.drift.attempt(common.now, common.config.election_timeout_max)
        {
            self.begin_handover(common, None, to);
        }
    }

    /// Whether nothing is under way that the next leader would have to finish first. A change whose
    /// voters to come still lack the log may last for ever: that is no reason to wait.
    fn may_drift(&self, common: &Common) -> bool {
        !common.log.membership().is_joint() && self.may_step(common)
    }

    fn wanted_change(&mut self, common: &mut Common) -> Option<Change> {
        let (own, membership) = (common.id(), common.log.membership());
        let voters = membership.incoming();
        let survives = common.survival.is_on();
        let takes_over = common.config.casting_vote
            && !survives
            && voters.can_split()
            && voters.contains(&own)
            && voters.casting() != Some(own);
        if takes_over {
            return Some(Change::new().casting(Some(own)));
        }
        if survives {
            return self.returned(common).map(|id| Change::new().voter(id));
        }
        let removal = common.config.removal?;
        if common.now < common.removal_not_before {
            return None;
        }
        let change = match self.returned(common) {
            Some(id) => Change::new().voter(id),
            None => Change::new().suspend(self.lost(common, removal.after, removal.voters_min)?),
        };
        common.removal_not_before = common.now.after(removal.pause);
        Some(change)
    }

    /// The membership without its dead voters, whatever change is under way: that could wait for
    /// them for ever. Nobody agrees to it but those it leaves, and nobody else could: who is silent
    /// is dead, and has lost the right to go on alone (`docs/SURVIVOR.md`). A leader that has no
    /// vote itself waits for one that has.
    fn survivors(&self, common: &Common) -> Option<Membership> {
        let (own, membership) = (common.id(), common.log.membership());
        let silent = |id: NodeId| id != own && common.survival.is_silent(id, common.now);
        let full = common.disk_full || !membership.voters().any(silent);
        let lineage =
            Lineage { by: own, at: EntryId::new(common.term(), common.log.last().index.next()) };
        let left = (!full).then(|| membership.without(silent).begins(lineage));
        left.filter(|left| left.voters().next().is_some())
    }

    /// A suspended voter that is there again and has the log: its change needs nobody to wait.
    fn returned(&self, common: &Common) -> Option<NodeId> {
        let suspended = |member: &&Member| member.fate == Fate::Returns;
        let mut members = common.log.membership().members().iter().filter(suspended);
        members.find(|member| self.keeps_up(common, member.id)).map(|member| member.id)
    }

    /// The voter that was silent for longest, if that is too long and enough others vote.
    fn lost(&self, common: &Common, after: Duration, voters_min: usize) -> Option<NodeId> {
        let voters = common.log.membership().incoming();
        if voters.len() <= voters_min {
            return None;
        }
        let peers = self.peers.iter().filter(|(id, _)| voters.contains(id));
        let (id, peer) = peers.min_by_key(|(_, peer)| peer.heard)?;
        (common.now >= peer.heard.after(after)).then_some(*id)
    }
}
