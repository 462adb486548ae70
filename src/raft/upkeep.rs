//! What a leader does by itself, with its heartbeats: it takes the casting vote over, hands over to
//! a higher priority, suspends voters that are silent and readmits those that are back.

use core::time::Duration;

use crate::raft::common::Common;
use crate::raft::leader::Leader;
use crate::types::{Change, Fate, Instant, Member, NodeId};

/// When a node, should it lead, next tries to hand over to a higher priority. Each attempt doubles
/// the wait for the next, until a long time went by without one: who cannot keep the leadership
/// does not get it again and again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Drift {
    not_before: Instant,
    wait: Duration,
}

/// How much the wait grows at most, from one election timeout on.
const WAIT_GROWTH_MAX: u32 = 64;

impl Drift {
    /// A leadership begins: others have the time of an election to be heard of.
    pub(crate) fn begin(&mut self, now: Instant, timeout: Duration) {
        self.not_before = self.not_before.max(now.after(timeout));
    }

    /// The one instant it knows.
    pub(crate) fn instant(&mut self) -> &mut Instant {
        &mut self.not_before
    }

    /// Whether it is time for an attempt; counts it if so.
    fn attempt(&mut self, now: Instant, timeout: Duration) -> bool {
        if now < self.not_before {
            return false;
        }
        let calm = now >= self.not_before.after(self.wait.saturating_mul(8));
        let longest = timeout.saturating_mul(WAIT_GROWTH_MAX);
        let wait = if calm { timeout } else { self.wait };
        self.wait = wait.saturating_mul(2).clamp(timeout.saturating_mul(2), longest);
        self.not_before = now.after(self.wait);
        true
    }
}

impl Leader {
    /// With every heartbeat.
    pub(crate) fn keep_up_membership(&mut self, common: &mut Common) {
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
        let takes_over = common.config.casting_vote
            && voters.can_split()
            && voters.contains(&own)
            && voters.casting() != Some(own);
        if takes_over {
            return Some(Change::new().casting(Some(own)));
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
