//! The stabilization phase: it begins with the repair of a core of nodes, and ends when the core
//! has reached its goals.

use std::time::Duration;

use quorate::types::NodeId;

use crate::check::L1;
use crate::faults::KeptWrites;
use crate::observe::Observation;
use crate::observe::coverage::Spot;
use crate::observer::Observer;
use crate::settings::Settings;
use crate::values::duration_range::DurationRange;
use crate::world::World;
use crate::world::cluster::processes::Exit;
use crate::world::goals::{Goals, Help};
use crate::world::network::links::Links;
use crate::world::place::Place;
use crate::world::recovery::core::{draw_core, mark_core};
use crate::world::recovery::isolation::isolate_core;
use crate::world::recovery::stabilization::Stabilization;
use crate::world::scheduler::queue::Event;

/// The duration of the idle time at the end of the run: the longer of the first, and the second in
/// heartbeat intervals.
const IDLE: (Duration, u32) = (Duration::from_secs(5), 20);

impl World {
    /// Ends the fault phase, and starts the stabilization phase.
    pub(super) fn begin_stabilization(&mut self, observer: &mut Observer) {
        if self.faults.is_safety_lost() {
            return self.end(observer);
        }
        let core = match self.faults.taint.fault_count() {
            0 => draw_core(&self.setup, &self.cluster),
            // After machine faults all nodes are needed to find the wrong ones.
            _ => self.cluster.places().collect(),
        };
        end_fault_rates(&mut self.setup.settings);
        self.load.operator.cancel_in_flight();
        let in_core = |place: Place| core.contains(&place);
        let inside = Links::between(self.cluster.places(), |from, to| in_core(from) && in_core(to));
        self.network.exempt_from_faults(inside);
        isolate_core(&core, &self.setup, &self.cluster, &mut self.network);
        if let [last] = core[..]
            && self.setup.settings.config.survivor.is_some()
        {
            observer.reach(Spot::LastSurvivor);
            for place in self.cluster.places().filter(|place| *place != last) {
                let exit = Exit::crash(KeptWrites::Part, Duration::ZERO);
                self.end_process(place, exit, observer);
            }
        }
        let (cluster, mut run) = self.cluster_and_run(observer);
        core.iter().for_each(|place| cluster[*place].repair(&mut run));
        mark_core(&core, cluster, run.observer);
        let ids: Vec<NodeId> = core.iter().map(|place| place.id()).collect();
        let now = self.scheduler.now();
        observer.observe(now, Observation::Stabilized { core: &ids });
        self.recovery.set(Stabilization::new(core, now, self.network.latest_arrival()));
        self.load.restart_client_timers(&self.setup, &mut self.scheduler);
        self.scheduler.at_once(Event::CheckProgress);
    }

    /// Checks that the core makes progress in time, and sends the prober's next request.
    pub(super) fn check_progress(&mut self, observer: &mut Observer) {
        let Some(mut stabilization) = self.recovery.take() else { return };
        let now = self.scheduler.now();
        stabilization.reads_served = self.goals(&stabilization).reads_served();
        if let Some(ask) = self.goals(&stabilization).next_probe(self.scheduler.events()) {
            let (load, mut run) = self.load_and_surroundings(observer);
            load.invoke(load.clients().prober(), ask, &mut run);
        }
        let progress = self.goals(&stabilization).progress();
        stabilization.note_progress(progress, now);
        self.network.close(self.goals(&stabilization).links_of_removed());
        if let Some(help) = self.goals(&stabilization).help(observer) {
            self.help(help, &mut stabilization);
        }
        if self.faults.taint.is_too_many() {
            // More state machines may be wrong than the nodes can detect, so nothing is guaranteed.
            self.scheduler.at_once(Event::End);
            return;
        }
        let goals = self.goals(&stabilization);
        let reached = goals.are_reached();
        let heartbeat_interval = self.setup.settings.config.heartbeat_interval;
        if reached && now > stabilization.last_message_arrival {
            observer.observe(now, Observation::Idle);
            self.scheduler.after(IDLE.0.max(heartbeat_interval * IDLE.1), Event::End);
        } else if !reached && goals.are_overdue() {
            observer.fail(goals.stall_report(&self.network));
        } else {
            self.scheduler.after(heartbeat_interval, Event::CheckProgress);
        }
        self.recovery.set(stabilization);
    }

    fn goals<'a>(&'a self, stabilization: &'a Stabilization) -> Goals<'a> {
        Goals {
            setup: &self.setup,
            cluster: &self.cluster,
            load: &self.load,
            taint: &self.faults.taint,
            stabilization,
            now: self.scheduler.now(),
        }
    }

    /// Helps the core with what no node does by itself.
    fn help(&mut self, help: Help, stabilization: &mut Stabilization) {
        stabilization.last_admin_request_at = self.scheduler.now();
        match help {
            Help::Request(leader, request) => {
                self.load.operator.send(leader, request, &mut self.scheduler);
            }
            Help::ProbeAgain => (stabilization.probed, stabilization.reads_served) = (false, 0),
        }
    }

    /// Ends the run after its last checks.
    pub(super) fn end(&mut self, observer: &mut Observer) {
        let now = self.scheduler.now();
        if let Some(stabilization) = self.recovery.take() {
            if let Some(finding) = self.goals(&stabilization).missing_progress() {
                let saw = format!("while the cluster was idle: {finding}");
                observer.fail(L1.violation_at(saw, now));
            }
            self.recovery.set(stabilization);
        }
        for running in self.cluster.nodes().filter_map(|node| node.running()) {
            running.note_comparisons(observer);
            running.show_machine(now, observer);
        }
        observer.observe(now, Observation::Ended);
        self.ended = true;
    }
}

/// Removes the faults of single steps, which occur in the fault phase only.
fn end_fault_rates(settings: &mut Settings) {
    settings.lag_permille = 0;
    settings.torn_step_ppm = 0;
    settings.report_delay = DurationRange::micros(0, 0);
}
