//! The memberships that may decide, as far as the nodes' logs show: the number of disks that may
//! be lost, and the choice of the core for the stabilization phase.

use quorate::raft::{RoleName, Status};
use quorate::types::{Change, Index, Membership, NodeId, PendingTransition, Voters};

use crate::choice::{Draw, Kind};
use crate::coverage::Spot;
use crate::observer::Observer;
use crate::world::World;
use crate::world::logged_membership::LoggedMembership;
use crate::world::node::Node;
use crate::world::place::Place;

impl World {
    /// Records the membership changes of a node's last step.
    pub(super) fn note_membership(
        &mut self,
        place: Place,
        before: &Status,
        observer: &mut Observer,
    ) {
        let node = &mut self.nodes[place.0 as usize];
        let Some(running) = node.running.as_deref_mut() else { return };
        let (status, log) = (running.status, running.node.raft().log());
        if status.committed > self.committed_membership.index
            && let Some(membership) = log.membership_at(status.committed)
        {
            let (index, membership) = (status.committed, membership.clone());
            self.committed_membership = LoggedMembership { index, membership };
        }
        let leads = before.role == RoleName::Leader;
        if leads && before.term == status.term && status.role == RoleName::Follower {
            let dismissed = !log.membership().is_voter(place.id());
            observer.reach_if(dismissed, Spot::LeaderRemoved);
        }
        if log.membership().ptr_eq(&node.last_membership.membership) {
            return;
        }
        let is = LoggedMembership {
            index: log.membership_index(),
            membership: log.membership().clone(),
        };
        let was = std::mem::replace(&mut node.last_membership, is);
        running.membership_changed = true;
        let inherited = was.index <= running.last_before_leading;
        let is = &node.last_membership;
        let votes = |standing: &LoggedMembership| standing.membership.is_voter(place.id());
        observer.reach_if(node.disks_lost > 0 && votes(is) && !votes(&was), Spot::NewDiskVotes);
        node.bootstrapped |= is.index > Index::ZERO;
        observer.reach_if(
            is.index <= was.index && !was.membership.is_empty(),
            Spot::MembershipTruncated,
        );
        if leads && status.role == RoleName::Leader {
            let steps = (&was.membership, &is.membership);
            observer.membership_changed(place.id(), steps, inherited);
        }
        // With fewer voters to count on, a leader cannot know which of their disks are lost.
        let all_borne = || self.electorates().all(|membership| self.survives(membership, None));
        if self.settings.config.suspension.is_some() && !self.is_not_bootstrapped() && !all_borne()
        {
            self.disable_safety_checks(observer);
        }
    }

    /// Returns every membership that may decide: the committed one, and later ones in any log.
    pub(super) fn electorates(&self) -> impl Iterator<Item = &Membership> {
        let later = |node: &&Node| node.last_membership.index > self.committed_membership.index;
        let later = self.nodes.iter().filter(later).map(|node| &node.last_membership.membership);
        std::iter::once(&self.committed_membership.membership).chain(later)
    }

    /// Returns true if the node may lose its disk: a majority of every set of voters keeps theirs.
    pub(super) fn may_lose_disk(&self, place: Place) -> bool {
        let survives = |membership: &Membership| self.survives(membership, Some(place));
        !self.is_not_bootstrapped() && self.electorates().all(survives)
    }

    /// Returns true if a majority of every set of voters has intact disks, even without `lost`.
    fn survives(&self, membership: &Membership, lost: Option<Place>) -> bool {
        sets(membership).all(|voters| {
            let whole =
                |id: &&NodeId| self.is_reliable(membership, **id) && lost != self.place(**id);
            2 * voters.iter().filter(whole).count() > voters.len()
        })
    }

    /// Returns true if the cluster survives the change in case the node leads and accepts it.
    pub(super) fn survives_change(&self, place: Place, change: &Change) -> bool {
        let membership = &self.nodes[place.0 as usize].last_membership.membership;
        if !membership.is_settled() {
            return true;
        }
        membership.changed(change).map_or(true, |changed| self.survives(&changed, None))
    }

    /// Draws the core: a quorum of every membership that may decide, rarely more, and most
    /// learners.
    pub(super) fn draw_core(&self) -> Vec<Place> {
        let mut draw = self.choices.draw(Kind::Core.key());
        if self.settings.config.survivor.is_some() {
            // One that was up all the time, or all nodes, because any of them may have taken over
            // alone.
            let everyone = || (0..self.settings.nodes()).map(Place).collect();
            return self.draw_last_survivor().map_or_else(everyone, |last| vec![last]);
        }
        let mut core = Vec::new();
        for membership in self.electorates() {
            // Target voters may get their votes before a leader notices that one is missing.
            for voters in [membership.incoming(), membership.outgoing(), membership.target()] {
                self.draw_quorum(membership, voters, &mut draw, &mut core);
            }
        }
        let members = &self.committed_membership.membership;
        let learners = members.learners().filter(|id| self.has_intact_disk_in_all(*id));
        let learners = learners.filter(|_| !draw.chance(200));
        core.extend(learners.filter_map(|id| self.place(id)));
        // A voter that was heard again is readmitted, and then waited for.
        for membership in self.electorates() {
            let back =
                membership.members().iter().filter(|it| it.pending == PendingTransition::Promote);
            let back = back.filter(|member| self.has_intact_disk_in_all(member.id));
            core.extend(back.filter_map(|member| self.place(member.id)));
        }
        core.extend(self.bootstrap_peers_for(&core));
        core.sort_unstable();
        core.dedup();
        core
    }

    /// Returns true if the node has the disk that every membership that may decide names. One that
    /// is not committed may name a disk that the node has lost since.
    fn has_intact_disk_in_all(&self, id: NodeId) -> bool {
        self.electorates().all(|membership| self.has_intact_disk(membership, id))
    }

    /// Adds a majority of the voters, or half of them with the casting vote, to `core`.
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
        // A leader may be about to suspend a voter that it could not hear.
        let suspends = self.settings.config.suspension.is_some();
        let spare = draw.below(room as u64 + 1).min(draw.below(8)) as usize;
        let spare = if suspends { spare.max(1).min(room) } else { spare };
        let first = draw.below(voters.len() as u64) as usize;
        let backward = *draw.pick(&[false, true]);
        let split = draw.chance(700) && !suspends;
        // A node with a damaged disk may never start again.
        let whole = |id: &NodeId| self.has_intact_disk(membership, *id);
        let mut fit: Vec<NodeId> = voters.iter().copied().filter(whole).collect();
        assert!(fit.len() >= majority, "a majority of voters has intact disks");
        if fit.iter().filter(|id| self.has_intact_disk_in_all(**id)).count() >= majority {
            fit.retain(|id| self.has_intact_disk_in_all(*id));
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

    /// Returns true if these nodes are nearly a quorum of a membership that may decide.
    pub(super) fn nears_quorum(&self, nodes: &[Place]) -> bool {
        let within = |id: &&NodeId| self.place(**id).is_some_and(|place| nodes.contains(&place));
        self.electorates().any(|membership| {
            let near = |voters: &Voters| 2 * voters.iter().filter(within).count() >= voters.len();
            sets(membership).any(near)
        })
    }
}

/// Returns the sets of voters of a membership that decide, or will decide.
fn sets(membership: &Membership) -> impl Iterator<Item = &Voters> {
    [membership.incoming(), membership.outgoing(), membership.target()]
        .into_iter()
        .filter(|voters| !voters.is_empty())
}
