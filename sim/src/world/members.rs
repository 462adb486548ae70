//! Who counts, as far as the world can tell from its nodes' logs: how many disks may be lost, and
//! who must be well once the storm is over.

use quorate::raft::{RoleName, Status};
use quorate::types::{Change, Fate, Index, Membership, NodeId, Voters};

use crate::choice::{Draw, Kind};
use crate::coverage::Spot;
use crate::witness::Witness;
use crate::world::World;
use crate::world::node::{Node, Place};
use crate::world::standing::Standing;

impl World {
    /// A node took an input: what it changed about who counts.
    pub(super) fn note_membership(&mut self, place: Place, before: &Status, witness: &mut Witness) {
        let node = &mut self.nodes[place.0 as usize];
        let Some(running) = node.running.as_deref_mut() else { return };
        let (status, log) = (running.status, running.node.raft().log());
        if status.committed > self.in_force.index
            && let Some(membership) = log.membership_at(status.committed)
        {
            let (index, membership) = (status.committed, membership.clone());
            self.in_force = Standing { index, membership };
        }
        let leads = before.role == RoleName::Leader;
        if leads && before.term == status.term && status.role == RoleName::Follower {
            let dismissed = !log.membership().is_voter(place.id());
            witness.reach_if(dismissed, Spot::LeaderDismissed);
        }
        if log.membership().is_same(&node.standing.membership) {
            return;
        }
        let is = Standing { index: log.membership_index(), membership: log.membership().clone() };
        let was = std::mem::replace(&mut node.standing, is);
        running.membership_moved = true;
        let inherited = was.index <= running.led_from;
        let is = &node.standing;
        let votes = |standing: &Standing| standing.membership.is_voter(place.id());
        witness.reach_if(node.lost > 0 && votes(is) && !votes(&was), Spot::StrangerVotes);
        node.founded |= is.index > Index::ZERO;
        witness.reach_if(
            is.index <= was.index && !was.membership.is_nobody(),
            Spot::MembershipTakenBack,
        );
        if leads && status.role == RoleName::Leader {
            let steps = (&was.membership, &is.membership);
            witness.membership_step(place.id(), steps, inherited);
        }
        // A leader that counts on fewer disks by itself cannot know which of them are lost.
        let all_borne = || self.electorates().all(|membership| self.bears(membership, None));
        if self.settings.config.removal.is_some() && !self.is_unfounded() && !all_borne() {
            self.let_go(witness);
        }
    }

    /// Every membership that may decide: the committed one, and those that stand after it in some
    /// log.
    pub(super) fn electorates(&self) -> impl Iterator<Item = &Membership> {
        let later = |node: &&Node| node.standing.index > self.in_force.index;
        let later = self.nodes.iter().filter(later).map(|node| &node.standing.membership);
        std::iter::once(&self.in_force.membership).chain(later)
    }

    /// Whether the disk of the node may be lost: most voters of every set keep theirs.
    pub(super) fn may_lose(&self, place: Place) -> bool {
        let bears = |membership: &Membership| self.bears(membership, Some(place));
        !self.is_unfounded() && self.electorates().all(bears)
    }

    /// Whether most voters of every set have whole disks, also if one more is lost.
    fn bears(&self, membership: &Membership, lost: Option<Place>) -> bool {
        sets(membership).all(|voters| {
            let whole = |id: &&NodeId| self.is_sure(membership, **id) && lost != self.place(**id);
            2 * voters.iter().filter(whole).count() > voters.len()
        })
    }

    /// Whether the cluster can bear the change, should the node lead and take it.
    pub(super) fn bears_change(&self, place: Place, change: &Change) -> bool {
        let membership = &self.nodes[place.0 as usize].standing.membership;
        if !membership.is_settled() {
            return true;
        }
        membership.changed(change).map_or(true, |changed| self.bears(&changed, None))
    }

    /// A quorum of every membership that may decide, seldom more, and most learners.
    pub(super) fn draw_core(&self) -> Vec<Place> {
        let mut draw = self.choices.draw(Kind::Calm.key());
        if self.settings.config.survivor.is_some() {
            // One that was there all the time, or all: whoever went on alone may be any of them.
            let everyone = || (0..self.settings.nodes()).map(Place).collect();
            return self.draw_last().map_or_else(everyone, |last| vec![last]);
        }
        let mut core = Vec::new();
        for membership in self.electorates() {
            // Those wanted may have their votes before the first of them is missed.
            for voters in [membership.incoming(), membership.outgoing(), membership.wanted()] {
                self.draw_quorum(membership, voters, &mut draw, &mut core);
            }
        }
        let members = &self.in_force.membership;
        let learners = members.learners().filter(|id| self.stays_whole(*id));
        let learners = learners.filter(|_| !draw.chance(200));
        core.extend(learners.filter_map(|id| self.place(id)));
        // Whoever was heard to be back gets its vote again, and is waited for.
        for membership in self.electorates() {
            let back = membership.members().iter().filter(|it| it.fate == Fate::Returns);
            let back = back.filter(|member| self.stays_whole(member.id));
            core.extend(back.filter_map(|member| self.place(member.id)));
        }
        core.extend(self.founders_for(&core));
        core.sort_unstable();
        core.dedup();
        core
    }

    /// Whether the node has the disk that every membership counts on which may come into force: one
    /// that is on its way may name a disk that the node has lost since.
    fn stays_whole(&self, id: NodeId) -> bool {
        self.electorates().all(|membership| self.is_whole(membership, id))
    }

    /// A majority of the voters, or half of them with the casting vote.
    fn draw_quorum(
        &self,
        membership: &Membership,
        voters: &Voters,
        draw: &mut Draw<'_>,
        core: &mut Vec<Place>,
    ) {
        if voters.is_empty() {
            return;
        }
        let majority = voters.len() / 2 + 1;
        let room = voters.len() - majority;
        // A leader may just be about to suspend one that it could not hear.
        let suspends = self.settings.config.removal.is_some();
        let spare = draw.below(room as u64 + 1).min(draw.below(8)) as usize;
        let spare = if suspends { spare.max(1).min(room) } else { spare };
        let first = draw.below(voters.len() as u64) as usize;
        let backward = *draw.pick(&[false, true]);
        let split = draw.chance(700) && !suspends;
        // Whoever lost something of its disk may be down for ever.
        let whole = |id: &NodeId| self.is_whole(membership, *id);
        let mut fit: Vec<NodeId> = voters.iter().copied().filter(whole).collect();
        assert!(fit.len() >= majority, "most voters' disks are whole");
        if fit.iter().filter(|id| self.stays_whole(**id)).count() >= majority {
            fit.retain(|id| self.stays_whole(*id));
        }
        let holder =
            voters.casting().filter(|holder| split && voters.can_split() && fit.contains(holder));
        let count = match holder {
            Some(holder) => {
                fit.retain(|id| *id != holder);
                core.extend(self.place(holder));
                voters.len() / 2 - 1
            }
            None => majority + spare,
        };
        let step = if backward { fit.len().max(1) - 1 } else { 1 };
        let chosen = (0..count).map(|at| fit[(first + at * step) % fit.len()]);
        core.extend(chosen.filter_map(|id| self.place(id)));
    }

    /// Whether these come near a quorum of a membership that may decide.
    pub(super) fn comes_near(&self, nodes: &[Place]) -> bool {
        let within = |id: &&NodeId| self.place(**id).is_some_and(|place| nodes.contains(&place));
        self.electorates().any(|membership| {
            let near = |voters: &Voters| 2 * voters.iter().filter(within).count() >= voters.len();
            sets(membership).any(near)
        })
    }
}

/// The sets of voters of a membership that decide, or are about to.
fn sets(membership: &Membership) -> impl Iterator<Item = &Voters> {
    [membership.incoming(), membership.outgoing(), membership.wanted()]
        .into_iter()
        .filter(|voters| !voters.is_empty())
}
