//! Which disks a membership counts on: who has founded the cluster, and who has lost its disk.

use std::time::Duration;

use quorate::types::{Index, Membership, NodeId};

use crate::coverage::Spot;
use crate::fault::Fault;
use crate::observe::Seen;
use crate::plan::Keep;
use crate::settings::Settings;
use crate::witness::Witness;
use crate::world::World;
use crate::world::node::Place;
use crate::world::queue::Event;
use crate::world::standing::Standing;

impl World {
    /// The node has this membership durably, and it stands at `index`: the cluster is founded.
    pub(super) fn note_founding(
        &mut self,
        place: Place,
        index: Index,
        membership: &Membership,
        witness: &mut Witness,
    ) {
        if membership.is_nobody() {
            return;
        }
        self.nodes[place.0 as usize].founded = true;
        witness.reach_if(self.settings.founds && index == Index::ZERO, Spot::Founded);
        if index == Index::ZERO && self.in_force.membership.is_nobody() {
            self.in_force = Standing { index, membership: membership.clone() };
        }
    }

    /// Whether nobody is known to have founded the cluster.
    pub(super) fn is_unfounded(&self) -> bool {
        self.in_force.membership.is_nobody()
    }

    /// Whether the node has the disk that the membership counts on, and that is whole.
    pub(super) fn is_whole(&self, membership: &Membership, id: NodeId) -> bool {
        let Some(place) = self.place(id) else { return false };
        let node = &self.nodes[place.0 as usize];
        let incarnation = Settings::incarnation(id, node.lost);
        let named = membership.member(id).is_none_or(|member| member.may_be(incarnation));
        named && !node.damaged
    }

    /// Whether the membership may count on the node, whatever becomes of the others.
    pub(super) fn is_sure(&self, membership: &Membership, id: NodeId) -> bool {
        let founded = |place: Place| self.nodes[place.0 as usize].founded;
        self.is_whole(membership, id) && self.place(id).is_some_and(founded)
    }

    /// Whether the node may lose its disk. Before the cluster is founded any founder may, as long
    /// as most never did: one of the others may be about to found it with the disk that is lost.
    pub(super) fn may_wipe(&self, place: Place) -> bool {
        if !self.is_unfounded() {
            return self.may_lose(place);
        }
        let founders = self.settings.membership();
        let keeps = |id: &&NodeId| {
            let at = self.place(**id).filter(|at| *at != place);
            at.is_some_and(|at| self.nodes[at.0 as usize].lost == 0)
        };
        let voters = founders.incoming();
        2 * voters.iter().filter(keeps).count() > voters.len()
    }

    /// A node loses its disk, whatever it is doing, if that can be borne, or if this is a run in
    /// which disks forget what nobody can bear. It starts on an empty one after `down`.
    pub(super) fn wipe(&mut self, place: Place, down: Duration, witness: &mut Witness) {
        if !self.may_wipe(place) {
            if !self.settings.faults.has(Fault::Rollback) {
                return;
            }
            self.let_go(witness);
        }
        witness.fault(Fault::Wipe, self.nodes[place.0 as usize].role());
        self.fall(place, down, witness);
        let founds = self.settings.founds && self.settings.membership().is_voter(place.id());
        let node = &mut self.nodes[place.0 as usize];
        node.disk.wipe();
        node.disk.disarm();
        node.disk.set_capacity(None);
        (node.kept, node.image) = (None, None);
        node.lost += 1;
        (node.formatted, node.closed) = (false, false);
        (node.damaged, node.refuses, node.founded) = (false, false, !founds);
        node.standing = Standing { index: Index::ZERO, membership: Membership::default() };
        let incarnation = Settings::incarnation(place.id(), node.lost);
        witness.see(self.now, Seen::Wiped { node: place.id(), incarnation });
    }

    /// A node starts on an older image of its disk, after `down`: it has forgotten what it
    /// promised, and nobody need notice. What the algorithm holds, it holds no longer.
    pub(super) fn roll_back(&mut self, place: Place, down: Duration, witness: &mut Witness) {
        let Some(image) = self.nodes[place.0 as usize].image.take() else { return };
        witness.fault(Fault::Rollback, self.nodes[place.0 as usize].role());
        self.let_go(witness);
        self.fall(place, down, witness);
        let node = &mut self.nodes[place.0 as usize];
        node.disk = image;
        (node.damaged, node.refuses) = (true, false);
    }

    /// What the algorithm holds as long as most disks are there, it holds no longer.
    pub(super) fn let_go(&mut self, witness: &mut Witness) {
        witness.lets_go();
        self.beyond = true;
    }

    /// The node is down, and starts after `down`.
    fn fall(&mut self, place: Place, down: Duration, witness: &mut Witness) {
        if self.end_process(place, Keep::None, down, witness) {
            return;
        }
        let node = &mut self.nodes[place.0 as usize];
        node.incarnation += 1;
        let again = Event::Restart { node: place.0, incarnation: node.incarnation };
        self.queue.push(self.now.after(down), again);
    }

    /// Those who must be well so that a cluster which nobody has founded yet is founded, or so that
    /// the rest of `core` hears that it is.
    pub(super) fn founders_for(&self, core: &[Place]) -> Vec<Place> {
        let founded = |place: &Place| self.nodes[place.0 as usize].founded;
        let founders = self.settings.membership();
        let voters = founders.voters().filter_map(|id| self.place(id));
        if self.is_unfounded() {
            return voters.collect();
        }
        if core.iter().any(founded) {
            return Vec::new();
        }
        let whole = |place: &Place| self.is_sure(&self.in_force.membership, place.id());
        voters.filter(whole).take(1).collect()
    }
}
