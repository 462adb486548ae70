//! Disk identity: bootstrap, lost and rolled-back disks, and the disks that a membership may count
//! on.

use std::time::Duration;

use quorate::types::{Index, Membership, NodeId};

use crate::coverage::Spot;
use crate::fault::Fault;
use crate::observe::Observation;
use crate::observer::Observer;
use crate::plan::KeptWrites;
use crate::settings::Settings;
use crate::world::World;
use crate::world::logged_membership::LoggedMembership;
use crate::world::place::Place;
use crate::world::scheduler::queue::Event;

impl World {
    /// Records that the node has this membership durably at `index`: the node is bootstrapped.
    pub(super) fn note_bootstrap(
        &mut self,
        place: Place,
        index: Index,
        membership: &Membership,
        observer: &mut Observer,
    ) {
        if membership.is_empty() {
            return;
        }
        self.nodes[place.0 as usize].bootstrapped = true;
        observer.reach_if(self.settings.bootstraps && index == Index::ZERO, Spot::Bootstrapped);
        if index == Index::ZERO && self.committed_membership.membership.is_empty() {
            self.committed_membership = LoggedMembership { index, membership: membership.clone() };
        }
    }

    /// Returns true if no node is known to have bootstrapped the cluster.
    pub(super) fn is_not_bootstrapped(&self) -> bool {
        self.committed_membership.membership.is_empty()
    }

    /// Returns true if the node has the disk that the membership names, undamaged.
    pub(super) fn has_intact_disk(&self, membership: &Membership, id: NodeId) -> bool {
        let Some(place) = self.place(id) else { return false };
        let node = &self.nodes[place.0 as usize];
        let incarnation = Settings::incarnation(id, node.disks_lost);
        let named =
            membership.member(id).is_none_or(|member| member.accepts_incarnation(incarnation));
        named && !node.damaged
    }

    /// Returns true if the membership can count on the node, independent of other nodes.
    pub(super) fn is_reliable(&self, membership: &Membership, id: NodeId) -> bool {
        let is_bootstrapped = |place: Place| self.nodes[place.0 as usize].bootstrapped;
        self.has_intact_disk(membership, id) && self.place(id).is_some_and(is_bootstrapped)
    }

    /// Returns true if the node may lose its disk. Before the bootstrap every bootstrap peer may,
    /// as long as a majority never lost one: another peer may be about to bootstrap the cluster
    /// with the lost disk.
    pub(super) fn may_wipe(&self, place: Place) -> bool {
        if !self.is_not_bootstrapped() {
            return self.may_lose_disk(place);
        }
        let peers = self.settings.membership();
        let keeps = |id: &&NodeId| {
            let at = self.place(**id).filter(|at| *at != place);
            at.is_some_and(|at| self.nodes[at.0 as usize].disks_lost == 0)
        };
        let voters = peers.incoming();
        2 * voters.iter().filter(keeps).count() > voters.len()
    }

    /// A node loses its disk and restarts on an empty one after `down`, if the cluster survives
    /// that, or if the run has rollback faults, which no cluster survives.
    pub(super) fn wipe(&mut self, place: Place, down: Duration, observer: &mut Observer) {
        if !self.may_wipe(place) {
            if !self.settings.faults.has(Fault::Rollback) {
                return;
            }
            self.disable_safety_checks(observer);
        }
        observer.fault(Fault::Wipe, self.nodes[place.0 as usize].role());
        self.take_down(place, down, observer);
        let founds = self.settings.bootstraps && self.settings.membership().is_voter(place.id());
        let node = &mut self.nodes[place.0 as usize];
        node.disk.wipe();
        node.disk.disarm();
        node.disk.set_capacity(None);
        (node.machine_checkpoint, node.rollback_image) = (None, None);
        node.disks_lost += 1;
        (node.formatted, node.stopped_cleanly) = (false, false);
        (node.damaged, node.start_refused, node.bootstrapped) = (false, false, !founds);
        node.last_membership =
            LoggedMembership { index: Index::ZERO, membership: Membership::default() };
        let incarnation = Settings::incarnation(place.id(), node.disks_lost);
        observer
            .observe(self.scheduler.now(), Observation::Wiped { node: place.id(), incarnation });
    }

    /// A node restarts on an older copy of its disk after `down`: it has lost acknowledged state,
    /// and possibly no node notices. Safety no longer holds.
    pub(super) fn roll_back(&mut self, place: Place, down: Duration, observer: &mut Observer) {
        let Some(image) = self.nodes[place.0 as usize].rollback_image.take() else { return };
        observer.fault(Fault::Rollback, self.nodes[place.0 as usize].role());
        self.disable_safety_checks(observer);
        self.take_down(place, down, observer);
        let node = &mut self.nodes[place.0 as usize];
        node.disk = image;
        (node.damaged, node.start_refused) = (true, false);
    }

    /// Disables the safety checks, because more disks are lost than the cluster can survive.
    pub(super) fn disable_safety_checks(&mut self, observer: &mut Observer) {
        observer.disable_checks();
        self.safety_lost = true;
    }

    /// Takes the node down, and restarts it after `down`.
    fn take_down(&mut self, place: Place, down: Duration, observer: &mut Observer) {
        if self.end_process(place, KeptWrites::None, down, observer) {
            return;
        }
        let node = &mut self.nodes[place.0 as usize];
        node.start_number += 1;
        let again = Event::Restart { place: place, start_number: node.start_number };
        self.scheduler.after(down, again);
    }

    /// Returns the bootstrap peers that must be repaired so that the cluster is bootstrapped, or so
    /// that the rest of `core` learns that it is.
    pub(super) fn bootstrap_peers_for(&self, core: &[Place]) -> Vec<Place> {
        let is_bootstrapped = |place: &Place| self.nodes[place.0 as usize].bootstrapped;
        let peers = self.settings.membership();
        let voters = peers.voters().filter_map(|id| self.place(id));
        if self.is_not_bootstrapped() {
            return voters.collect();
        }
        if core.iter().any(is_bootstrapped) {
            return Vec::new();
        }
        let whole =
            |place: &Place| self.is_reliable(&self.committed_membership.membership, place.id());
        voters.filter(whole).take(1).collect()
    }
}
