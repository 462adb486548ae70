//! The memberships that may decide, as the nodes' logs show them, and the disks that may be lost or
//! damaged.

use quorate::quorum::is_quorum;
use quorate::raft::{RoleName, Status};
use quorate::types::{Change, Index, Membership, NodeId, Voters};

use crate::observe::coverage::Spot;
use crate::settings::Settings;
use crate::world::cluster::Cluster;
use crate::world::cluster::node::{LoggedMembership, Node};
use crate::world::place::Place;
use crate::world::run::Run;

/// The smallest number of voters of which one may lose data, because the others are a majority.
const REPAIRABLE_VOTERS_MIN: usize = 3;

impl Cluster {
    /// Records the membership changes of a node's last step. Returns false if afterwards a set of
    /// voters of a membership that may decide has no majority of bootstrapped nodes whose disks are
    /// intact or rolled back.
    pub(crate) fn note_membership(&mut self, place: Place, before: &Status, run: &mut Run) -> bool {
        let node = &mut self.nodes[place.0 as usize];
        let Some(running) = node.life.running_mut() else { return true };
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
            run.observer.reach_if(dismissed, Spot::LeaderRemoved);
        }
        if log.membership().ptr_eq(&node.last_membership.membership) {
            return true;
        }
        let is = LoggedMembership {
            index: log.membership_index(),
            membership: log.membership().clone(),
        };
        let was = std::mem::replace(&mut node.last_membership, is);
        running.membership_changed = true;
        let inherited = was.index <= running.leadership.last_before_leading;
        let is = &node.last_membership;
        let votes = |logged: &LoggedMembership| logged.membership.is_voter(place.id());
        let new_disk = node.disk.disks_lost > 0;
        run.observer.reach_if(new_disk && votes(is) && !votes(&was), Spot::NewDiskVotes);
        node.bootstrapped |= is.index > Index::ZERO;
        run.observer.reach_if(
            is.index <= was.index && !was.membership.is_empty(),
            Spot::MembershipTruncated,
        );
        if leads && status.role == RoleName::Leader {
            run.observer.membership_changed(place.id(), &was.membership, &is.membership, inherited);
        }
        // An uncertain node counts in no quorum, so data that its rolled-back disk lost cannot
        // endanger safety.
        let is_safe = |membership: &Membership, id: NodeId| {
            let node = self.place(id).map(|place| &self[place]);
            self.has_named_disk(membership, id)
                && node.is_some_and(|node| node.bootstrapped && !node.disk.may_lack_data())
        };
        self.electorates()
            .all(|membership| has_majorities(membership, |id| is_safe(membership, id)))
    }

    /// Records that the node has this membership durably at `index`: the node is bootstrapped.
    pub(super) fn note_bootstrap(
        &mut self,
        place: Place,
        index: Index,
        membership: &Membership,
        run: &mut Run,
    ) {
        if membership.is_empty() {
            return;
        }
        self[place].bootstrapped = true;
        run.observer
            .reach_if(run.setup.settings.bootstraps && index == Index::ZERO, Spot::Bootstrapped);
        if index == Index::ZERO && self.is_not_bootstrapped() {
            self.committed_membership = LoggedMembership { index, membership: membership.clone() };
        }
    }

    /// Returns the last committed membership.
    pub(crate) fn committed_membership(&self) -> &Membership {
        &self.committed_membership.membership
    }

    /// Returns true if no node is known to have bootstrapped the cluster.
    pub(crate) fn is_not_bootstrapped(&self) -> bool {
        self.committed_membership.membership.is_empty()
    }

    /// Returns true if the node has the disk that the membership names, undamaged.
    pub(crate) fn has_intact_disk(&self, membership: &Membership, id: NodeId) -> bool {
        self.has_named_disk(membership, id)
            && self.place(id).is_some_and(|place| self[place].disk.is_intact())
    }

    /// Returns true if the node has the disk that the membership names, or is not a member.
    pub(crate) fn has_named_disk(&self, membership: &Membership, id: NodeId) -> bool {
        let Some(place) = self.place(id) else { return false };
        let incarnation = self[place].disk.incarnation(id);
        membership.member(id).is_none_or(|member| member.accepts_incarnation(incarnation))
    }

    /// Returns true if the node is bootstrapped and has the disk that the membership names,
    /// undamaged.
    pub(crate) fn is_reliable(&self, membership: &Membership, id: NodeId) -> bool {
        let is_bootstrapped = |place: Place| self[place].bootstrapped;
        self.has_intact_disk(membership, id) && self.place(id).is_some_and(is_bootstrapped)
    }

    /// Returns true if the node may lose its disk. Before the bootstrap every node may, as long as
    /// a majority of all bootstrap peers, not counting this node, never lost a disk: another peer
    /// may be about to bootstrap the cluster with the lost disk. The only bootstrap peer never may:
    /// on an empty disk it bootstraps a second cluster, unless another member reaches it in time.
    pub(crate) fn may_wipe(&self, place: Place, settings: &Settings) -> bool {
        if settings.bootstraps && is_quorum(&settings.membership(), |id| id == place.id()) {
            return false;
        }
        if !self.is_not_bootstrapped() {
            return self.may_lose_disk(place);
        }
        let peers = settings.membership();
        let keeps = |id: &&NodeId| {
            let at = self.place(**id).filter(|at| *at != place);
            at.is_some_and(|at| self[at].disk.disks_lost == 0)
        };
        let voters = peers.incoming();
        2 * voters.iter().filter(keeps).count() > voters.len()
    }

    /// Returns every membership that may decide: the committed one, and later ones in any log.
    pub(crate) fn electorates(&self) -> impl Iterator<Item = &Membership> {
        let later = |node: &&Node| node.last_membership.index > self.committed_membership.index;
        let later = self.nodes.iter().filter(later).map(|node| &node.last_membership.membership);
        std::iter::once(&self.committed_membership.membership).chain(later)
    }

    /// Returns true if a fault may destroy durable data of the node.
    pub(crate) fn may_damage(&self, place: Place) -> bool {
        self[place].disk.is_or_will_be_damaged() || self.may_lose_disk(place)
    }

    /// Returns true if the node may lose its disk: a majority of every set of voters keeps its
    /// disks, and no other node has lost data that this one may have to provide.
    pub(crate) fn may_lose_disk(&self, place: Place) -> bool {
        let survives = |membership: &Membership| self.survives(membership, Some(place));
        !self.is_not_bootstrapped()
            && self.electorates().all(survives)
            && !self.is_other_unrepaired(place)
    }

    /// Returns true if a fault may damage data of the node that other nodes can repair: no node
    /// alone can commit entries, and every other voter has an intact disk, so each entry that
    /// may be committed has an intact copy (docs/REPAIR.md, A2).
    pub(crate) fn may_damage_entries(&self, place: Place) -> bool {
        let is_intact = |membership: &Membership, id: NodeId| {
            self.place(id) == Some(place) || self.is_reliable(membership, id)
        };
        let allows = |membership: &Membership| {
            let mut sets = sets(membership);
            sets.all(|set| {
                set.len() >= REPAIRABLE_VOTERS_MIN
                    && set.iter().all(|id| is_intact(membership, *id))
            })
        };
        !self.is_not_bootstrapped()
            && !self[place].disk.is_or_will_be_damaged()
            && self.electorates().all(allows)
            && !self.is_other_unrepaired(place)
    }

    /// Returns true if the node has the disk that every membership that may decide names, and has
    /// lost data, but only data that other nodes can repair.
    pub(crate) fn is_repairable(&self, place: Place) -> bool {
        let disk = &self[place].disk;
        let is_named = |membership: &Membership| self.has_named_disk(membership, place.id());
        disk.device.has_damaged_sectors()
            && !disk.is_or_will_be_damaged()
            && self.electorates().all(is_named)
    }

    /// Returns true if another node has lost data that is not repaired yet.
    fn is_other_unrepaired(&self, place: Place) -> bool {
        self.nodes().any(|node| node.place != place && node.disk.device.has_damaged_sectors())
    }

    /// Returns true if the other nodes can make every node with a rolled-back disk certain again:
    /// the cluster is bootstrapped, and a majority of every set of voters has intact disks.
    pub(crate) fn may_become_certain(&self) -> bool {
        !self.nodes().any(|node| node.disk.rolled_back)
            || !self.is_not_bootstrapped()
                && self.electorates().all(|membership| self.survives(membership, None))
    }

    /// Returns true if the node's disk was rolled back and has no other damage, and every
    /// membership that may decide contains the node with this disk.
    pub(crate) fn is_uncertain_member(&self, place: Place) -> bool {
        let disk = &self[place].disk;
        let is_named = |membership: &Membership| {
            membership.is_member(place.id()) && self.has_named_disk(membership, place.id())
        };
        disk.rolled_back && !disk.may_lack_data() && self.electorates().all(is_named)
    }

    /// Returns true if a majority of every set of voters is reliable, even without `lost`.
    fn survives(&self, membership: &Membership, lost: Option<Place>) -> bool {
        let is_whole = |id: NodeId| self.is_reliable(membership, id) && lost != self.place(id);
        has_majorities(membership, is_whole)
    }

    /// Returns true if the cluster survives the change in case the node leads and accepts it.
    pub(crate) fn survives_change(&self, place: Place, change: &Change) -> bool {
        let membership = &self[place].last_membership.membership;
        if !membership.is_settled() {
            return true;
        }
        membership.changed(change).map_or(true, |changed| self.survives(&changed, None))
    }

    /// Returns true if these nodes are at least half of a set of voters of a membership that may
    /// decide.
    pub(crate) fn nears_quorum(&self, nodes: &[Place]) -> bool {
        let within = |id: &&NodeId| self.place(**id).is_some_and(|place| nodes.contains(&place));
        self.electorates().any(|membership| {
            let near = |voters: &Voters| 2 * voters.iter().filter(within).count() >= voters.len();
            sets(membership).any(near)
        })
    }
}

/// Returns true if `whole` is true for a majority of every set of voters.
fn has_majorities(membership: &Membership, whole: impl Fn(NodeId) -> bool) -> bool {
    sets(membership).all(|voters| {
        let count = voters.iter().filter(|id| whole(**id)).count();
        2 * count > voters.len()
    })
}

/// Returns the sets of voters of a membership that decide, or will decide.
fn sets(membership: &Membership) -> impl Iterator<Item = &Voters> {
    [membership.incoming(), membership.outgoing(), membership.target()]
        .into_iter()
        .filter(|voters| !voters.is_empty())
}
