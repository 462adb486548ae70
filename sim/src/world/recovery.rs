//! After the storm: a core of nodes is made well, and every other fault stays for ever.

use std::time::Duration;

use quorate::raft::RoleName;
use quorate::types::NodeId;

use crate::choice::{Key, Kind};
use crate::coverage::Spot;
use crate::observe::Seen;
use crate::settings::Settings;
use crate::span::Span;
use crate::witness::Witness;
use crate::world::World;
use crate::world::calm::Calm;
use crate::world::network::Links;
use crate::world::node::{Node, Place};
use crate::world::queue::Event;

impl World {
    /// The storm ends.
    pub(super) fn begin_calm(&mut self, witness: &mut Witness) {
        if self.beyond {
            return self.end(witness);
        }
        // Where some may be wrong, all are needed to tell who.
        let everyone = || (0..self.settings.nodes()).map(Place).collect();
        let core: Vec<Place> = if self.has_slips() { everyone() } else { self.draw_core() };
        self.settings.calmed();
        self.operator.withdraw();
        let in_core = |place: Place| core.contains(&place);
        let sound = self.links(|from, to| in_core(from) && in_core(to));
        self.network.make_sound(sound);
        self.cut_off_the_rest(&core);
        if let [last] = core[..]
            && self.settings.config.survivor.is_some()
        {
            self.bury_others(last, witness);
        }
        for place in &core {
            self.make_well(*place, witness);
        }
        self.mark_calm(&core, witness);
        let ids: Vec<NodeId> = core.iter().map(|place| place.id()).collect();
        witness.see(self.now, Seen::Calm { core: &ids });
        let (since, progress_at) = (self.now, self.now);
        let storm_lands = self.network.latest_arrival();
        self.calm = Some(Calm {
            core,
            since,
            progress: 0,
            progress_at,
            probed: false,
            reads_served: 0,
            storm_lands,
            ordered_at: self.now,
        });
        self.wake_clients();
        self.queue.push(self.now, Event::Look);
    }

    fn mark_calm(&self, core: &[Place], witness: &mut Witness) {
        let membership = &self.in_force.membership;
        let outside = || self.nodes.iter().filter(|node| !core.contains(&node.place));
        let up = |node: &Node| node.running.is_some();
        let is_learner = |place: &Place| {
            let id = place.id();
            membership.is_member(id) && !membership.is_voter(id)
        };
        let voters = membership.incoming();
        let voters_in = voters.iter().filter_map(|id| self.place(*id));
        let voters_in = voters_in.filter(|place| core.contains(place)).count();
        let stranger = |node: &Node| up(node) && !membership.is_member(node.place.id());
        witness.calm(&[
            (outside().any(up), Spot::CalmOutsideUp),
            (!outside().all(up), Spot::CalmOutsideDown),
            (core.iter().any(is_learner), Spot::CalmLearner),
            (2 * voters_in == voters.len() && !voters.is_empty(), Spot::CalmHalf),
            (self.is_unfounded(), Spot::CalmUnfounded),
            (outside().any(stranger), Spot::CalmStranger),
        ]);
    }

    /// Cuts links between the core and the nodes outside, for ever: both ways where the run's
    /// options promise nothing under half cuts. Otherwise an outside node keeps links in one
    /// direction, and in both to so few nodes that it cannot win, nor be preferred to who leads,
    /// nor come and go.
    fn cut_off_the_rest(&mut self, core: &[Place]) {
        let in_core = |place: Place| core.contains(&place);
        if !self.settings.survives_half_cuts() {
            self.network.block(self.links(|from, to| in_core(from) != in_core(to)));
            return;
        }
        let outside = (0..self.settings.nodes()).map(Place).filter(|place| !in_core(*place));
        let outside: Vec<Place> = outside.collect();
        let priority = |place: &Place| self.in_force.membership.priority(place.id());
        let lowest = core.iter().map(priority).min().unwrap_or_default();
        let mut blocked = Links::default();
        let (leads, outside): (Vec<Place>, Vec<Place>) =
            outside.into_iter().partition(|place| self.may_still_change(*place));
        for place in &outside {
            let key = Key { node: place.0 + 1, counter: 100, ..Kind::Calm.key() };
            let mut draw = self.choices.draw(key);
            let may_talk = priority(place) <= lowest && self.settings.config.removal.is_none();
            // It counts itself, and everybody outside as if it were in its reach.
            let mut reach: Vec<Place> = outside.iter().chain(&leads).copied().collect();
            for member in core {
                let full = draw.chance(500) && may_talk && {
                    reach.push(*member);
                    !self.comes_near(&reach)
                };
                match draw.below(3) {
                    _ if full => {}
                    0 => {
                        blocked = blocked
                            .and(Links::one(*place, *member))
                            .and(Links::one(*member, *place))
                    }
                    1 => blocked = blocked.and(Links::one(*place, *member)),
                    _ => blocked = blocked.and(Links::one(*member, *place)),
                }
                if !full {
                    reach.retain(|near| near != member);
                }
            }
        }
        let mute = self.links(|from, to| leads.contains(&from) && in_core(to));
        self.network.block(blocked.and(mute));
    }

    /// Whether the node leads, or is about to, and could still change who counts: where its word
    /// reached some of the core and nothing reached it, the core would wait for its voters.
    fn may_still_change(&self, place: Place) -> bool {
        let role = self.nodes[place.0 as usize].role();
        let config = &self.settings.config;
        let mut electorates = self.electorates();
        matches!(role, Some(RoleName::Leader | RoleName::Candidate))
            && electorates.any(|membership| {
                let voters = membership.incoming();
                let takes_over = config.casting_vote
                    && voters.can_split()
                    && voters.casting() != Some(place.id());
                !membership.is_settled() || takes_over || config.removal.is_some()
            })
    }

    /// No fault concerns the node any more.
    fn make_well(&mut self, place: Place, witness: &mut Witness) {
        let now = self.now;
        let node = &mut self.nodes[place.0 as usize];
        node.clock.recover(now);
        node.disk.set_capacity(None);
        node.disk.disarm();
        node.fills = 0;
        node.stalled_until = now;
        node.flush_delay = Duration::ZERO;
        node.work_delay = Duration::ZERO;
        node.stops_for = Duration::ZERO;
        let (incarnation, pause) = (node.incarnation, node.pause);
        if node.running.is_none() {
            self.queue.push(now, Event::Restart { node: place.0, incarnation });
        }
        self.resume(place, pause, witness);
        self.rearm(place);
    }

    /// Whether a node that is down or stands still may ever come back: outside the core of a calm
    /// world none does.
    pub(super) fn may_recover(&self, place: Place) -> bool {
        self.calm.as_ref().is_none_or(|calm| calm.core.contains(&place))
    }
}

impl Settings {
    /// What the storm adds to every step is over.
    fn calmed(&mut self) {
        self.lag_permille = 0;
        self.torn_step_ppm = 0;
        self.report = Span::micros(0, 0);
    }
}
