//! The start of the stabilization phase: a core of nodes is repaired, and every other fault stays.

use std::time::Duration;

use quorate::raft::RoleName;
use quorate::types::NodeId;

use crate::choice::{Key, Kind};
use crate::coverage::Spot;
use crate::duration_range::DurationRange;
use crate::observe::Observation;
use crate::observer::Observer;
use crate::settings::Settings;
use crate::world::World;
use crate::world::network::Links;
use crate::world::node::Node;
use crate::world::place::Place;
use crate::world::scheduler::queue::Event;
use crate::world::stabilization::Stabilization;

impl World {
    /// Ends the fault phase, and starts the stabilization phase.
    pub(super) fn begin_stabilization(&mut self, observer: &mut Observer) {
        if self.safety_lost {
            return self.end(observer);
        }
        // After machine faults all nodes are needed to find the wrong ones.
        let everyone = || (0..self.settings.nodes()).map(Place).collect();
        let core: Vec<Place> =
            if self.has_machine_faults() { everyone() } else { self.draw_core() };
        self.settings.end_fault_rates();
        self.operator.cancel_in_flight();
        let in_core = |place: Place| core.contains(&place);
        let sound = self.links(|from, to| in_core(from) && in_core(to));
        self.network.exempt_from_faults(sound);
        self.isolate_core(&core);
        if let [last] = core[..]
            && self.settings.config.survivor.is_some()
        {
            self.crash_all_others(last, observer);
        }
        for place in &core {
            self.repair(*place, observer);
        }
        self.mark_stabilization(&core, observer);
        let ids: Vec<NodeId> = core.iter().map(|place| place.id()).collect();
        observer.observe(self.scheduler.now(), Observation::Stabilized { core: &ids });
        let (since, progress_at) = (self.scheduler.now(), self.scheduler.now());
        let last_message_arrival = self.network.latest_arrival();
        self.stabilization = Some(Stabilization {
            core,
            since,
            progress: 0,
            progress_at,
            probed: false,
            reads_served: 0,
            last_message_arrival,
            last_admin_request_at: self.scheduler.now(),
        });
        self.restart_client_timers();
        self.scheduler.at_once(Event::CheckProgress);
    }

    fn mark_stabilization(&self, core: &[Place], observer: &mut Observer) {
        let membership = &self.committed_membership.membership;
        let outside = || self.nodes.iter().filter(|node| !core.contains(&node.place));
        let up = |node: &Node| node.running.is_some();
        let is_learner = |place: &Place| {
            let id = place.id();
            membership.is_member(id) && !membership.is_voter(id)
        };
        let voters = membership.incoming();
        let voters_in = voters.iter().filter_map(|id| self.place(*id));
        let voters_in = voters_in.filter(|place| core.contains(place)).count();
        let non_member = |node: &Node| up(node) && !membership.is_member(node.place.id());
        observer.stabilized(&[
            (outside().any(up), Spot::OutsideCoreUp),
            (!outside().all(up), Spot::OutsideCoreDown),
            (core.iter().any(is_learner), Spot::LearnerInCore),
            (2 * voters_in == voters.len() && !voters.is_empty(), Spot::CoreIsHalf),
            (self.is_not_bootstrapped(), Spot::NotBootstrapped),
            (outside().any(non_member), Spot::NonMemberUp),
        ]);
    }

    /// Blocks links between the core and the nodes outside, without end: in both directions if the
    /// run's options guarantee nothing under one-way cuts. Otherwise an outside node keeps links in
    /// one direction, and links in both directions to so few nodes that it cannot win an election,
    /// does not become the preferred leader, and does not repeatedly leave and return.
    fn isolate_core(&mut self, core: &[Place]) {
        let in_core = |place: Place| core.contains(&place);
        if !self.settings.tolerates_one_way_cuts() {
            self.network.block(self.links(|from, to| in_core(from) != in_core(to)));
            return;
        }
        let outside = (0..self.settings.nodes()).map(Place).filter(|place| !in_core(*place));
        let outside: Vec<Place> = outside.collect();
        let priority = |place: &Place| self.committed_membership.membership.priority(place.id());
        let lowest = core.iter().map(priority).min().unwrap_or_default();
        let mut blocked = Links::default();
        let (may_change, outside): (Vec<Place>, Vec<Place>) =
            outside.into_iter().partition(|place| self.may_still_change(*place));
        for place in &outside {
            let key = Key { node: place.0 + 1, counter: 100, ..Kind::Core.key() };
            let mut draw = self.choices.draw(key);
            let may_talk = priority(place) <= lowest && self.settings.config.suspension.is_none();
            // The node counts itself and all nodes outside as reachable.
            let mut reach: Vec<Place> = outside.iter().chain(&may_change).copied().collect();
            for member in core {
                let full = draw.chance(500) && may_talk && {
                    reach.push(*member);
                    !self.nears_quorum(&reach)
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
        let outbound = self.links(|from, to| may_change.contains(&from) && in_core(to));
        self.network.block(blocked.and(outbound));
    }

    /// Returns true if the node leads or is about to, and could still change the membership: if its
    /// messages reached a part of the core and it got no replies, the core would wait for its
    /// voters.
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
                !membership.is_settled() || takes_over || config.suspension.is_some()
            })
    }

    /// Repairs the node: removes all faults from it, and restarts or resumes it.
    fn repair(&mut self, place: Place, observer: &mut Observer) {
        let now = self.scheduler.now();
        let node = &mut self.nodes[place.0 as usize];
        node.clock.recover(now);
        node.disk.set_capacity(None);
        node.disk.disarm();
        node.full_disk_faults = 0;
        node.stalled_until = now;
        node.flush_delay = Duration::ZERO;
        node.work_delay = Duration::ZERO;
        node.stop_downtime = Duration::ZERO;
        let (start_number, pause) = (node.start_number, node.pause);
        if node.running.is_none() {
            self.scheduler.at_once(Event::Restart { place: place, start_number });
        }
        self.resume(place, pause, observer);
        self.rearm(place);
    }

    /// Returns true if a node that is down or paused may come back; in the stabilization phase only
    /// core nodes do.
    pub(super) fn may_recover(&self, place: Place) -> bool {
        self.stabilization.as_ref().is_none_or(|stabilization| stabilization.core.contains(&place))
    }
}

impl Settings {
    /// Removes the faults of single steps, which occur in the fault phase only.
    fn end_fault_rates(&mut self) {
        self.lag_permille = 0;
        self.torn_step_ppm = 0;
        self.report_delay = DurationRange::micros(0, 0);
    }
}
