//! The stabilization phase: it begins with the repair of a core of nodes, and ends when the core
//! has reached its goals.

use std::time::Duration;

use quorate::storage::{Disk, FileName};
use quorate::types::NodeId;

use crate::check::{L1, S17, S29};
use crate::faults::{AdminRequest, KeptWrites};
use crate::observe::Observation;
use crate::observe::coverage::Spot;
use crate::settings::Settings;
use crate::values::duration_range::DurationRange;
use crate::values::time::SimTime;
use crate::world::World;
use crate::world::cluster::processes::Exit;
use crate::world::goals::{Goals, Help};
use crate::world::network::links::Links;
use crate::world::place::Place;
use crate::world::recovery::core::isolate_core;
use crate::world::recovery::core::{draw_core, mark_core};
use crate::world::recovery::stabilization::Stabilization;
use crate::world::scheduler::Event;

/// The idle time at the end of the run: this duration, or this number of heartbeat intervals if
/// that is longer.
const IDLE: (Duration, u32) = (Duration::from_secs(5), 20);
/// The time, in election timeouts, for which a leader remembers that its disk was slow: it may
/// still transfer its leadership, so the cluster does not count as idle yet. The node waits for two
/// timeouts of its own clock.
const SLOW_DISK_TIMEOUTS: u32 = 3;
/// The maximum number of complete snapshots on a disk: the current one, the one before it, and one
/// that is about to become the current one or to be removed.
const SNAPSHOTS_MAX: usize = 3;

impl World {
    /// Ends the fault phase, and starts the stabilization phase.
    pub(super) fn begin_stabilization(&mut self) {
        if self.faults.safety_lost || !self.cluster.may_become_certain() {
            self.run.observer.skip_liveness();
            return self.end();
        }
        self.drill_recovery();
        // From here on, events at the other nodes must not cause faults in the core.
        self.faults.plan.disarm();
        let core = match self.faults.taint.fault_count() {
            0 => draw_core(&self.run.setup, &self.cluster),
            // After faults of state machines, only all nodes together show which ones are wrong.
            _ => self.cluster.places().collect(),
        };
        end_fault_rates(&mut self.run.setup.settings);
        self.install_newest_build();
        self.load.operator.cancel_in_flight();
        let in_core = |place: Place| core.contains(&place);
        let inside = Links::between(self.cluster.places(), |from, to| in_core(from) && in_core(to));
        self.network.exempt_from_faults(inside);
        isolate_core(&core, &self.run.setup, &self.cluster, &mut self.network);
        if let [last] = core[..]
            && self.run.setup.settings.config.survivor.is_some()
        {
            self.run.observer.reach(Spot::LastSurvivor);
            for place in self.cluster.places().filter(|place| *place != last) {
                let exit = Exit::crash(KeptWrites::Part, Duration::ZERO);
                self.end_process(place, exit);
            }
        }
        core.iter().for_each(|place| self.cluster[*place].repair(&mut self.run));
        mark_core(&core, &self.cluster, &mut self.run.observer);
        let ids: Vec<NodeId> = core.iter().map(|place| place.id()).collect();
        let now = self.run.scheduler.now();
        self.run.observe(Observation::Stabilized { core: &ids });
        self.stabilization = Some(Stabilization {
            core,
            since: now,
            progress_at: now,
            last_message_arrival: self.network.latest_arrival,
            last_admin_request_at: now,
            ..Stabilization::default()
        });
        self.load.restart_client_timers(&self.run.setup, &mut self.run.scheduler);
        self.run.scheduler.at_once(Event::CheckProgress);
    }

    /// Installs the newest build at each node with an older one, and ends the node's process: a
    /// build that is too old for the log would apply nothing. Only nodes of the core restart.
    fn install_newest_build(&mut self) {
        let newest = self.cluster.nodes().map(|node| node.builds.highest).max().unwrap_or(0);
        let older: Vec<Place> =
            self.cluster.places().filter(|it| self.cluster[*it].builds.present < newest).collect();
        for place in older {
            self.cluster[place].builds.install(newest);
            self.end_process(place, Exit::crash(KeptWrites::All, Duration::ZERO));
        }
    }

    /// Checks that the core makes progress in time, and sends the prober's next request.
    pub(super) fn check_progress(&mut self) {
        let Some(mut stabilization) = self.stabilization.take() else { return };
        let now = self.run.scheduler.now();
        stabilization.reads_served = self.goals(&stabilization).reads_served();
        if let Some(ask) = self.goals(&stabilization).next_probe(self.run.scheduler.events) {
            let (load, mut run) = self.load_and_surroundings();
            load.invoke(load.clients.prober(), ask, &mut run);
        }
        let progress = self.goals(&stabilization).progress();
        stabilization.note_progress(progress, now);
        self.network.close(self.goals(&stabilization).links_of_removed());
        if let Some(help) = self.goals(&stabilization).help() {
            stabilization.last_admin_request_at = now;
            match help {
                Help::CancelChange(leader) => {
                    self.run.observer.reach(Spot::CoreCancelsChange);
                    let request = AdminRequest::CancelChange;
                    self.load.operator.send(leader, request, &mut self.run.scheduler);
                }
                Help::Transfer(leader, to) => {
                    let request = AdminRequest::Transfer(Some(to));
                    self.load.operator.send(leader, request, &mut self.run.scheduler);
                }
                Help::ProbeAgain => (stabilization.probed, stabilization.reads_served) = (false, 0),
            }
        }
        if self.faults.taint.is_too_many() {
            // More state machines may be wrong than the nodes can detect, so nothing is guaranteed.
            self.run.observer.skip_liveness();
            self.run.scheduler.at_once(Event::End);
            return;
        }
        let config = &self.run.setup.settings.config;
        let heartbeat_interval = config.heartbeat_interval;
        let remembers_slow_disk = config.election_timeout_max * SLOW_DISK_TIMEOUTS;
        if self.goals(&stabilization).leader_lags() {
            stabilization.leader_lagged_at = now;
        }
        let is_settled = now > stabilization.last_message_arrival
            && now > stabilization.leader_lagged_at.after(remembers_slow_disk);
        let goals = self.goals(&stabilization);
        let reached = goals.is_reached();
        if reached && is_settled {
            self.run.observe(Observation::Idle);
            self.run.scheduler.after(IDLE.0.max(heartbeat_interval * IDLE.1), Event::End);
        } else if !reached && goals.is_overdue() {
            self.run.observer.fail(goals.stall_report(&self.network));
        } else {
            self.run.scheduler.after(heartbeat_interval, Event::CheckProgress);
        }
        self.stabilization = Some(stabilization);
    }

    fn goals<'a>(&'a self, stabilization: &'a Stabilization) -> Goals<'a> {
        Goals {
            setup: &self.run.setup,
            cluster: &self.cluster,
            load: &self.load,
            taint: &self.faults.taint,
            stabilization,
            now: self.run.scheduler.now(),
        }
    }

    fn has_damaged_entries(&self) -> bool {
        let mut running = self.cluster.nodes().filter_map(|node| node.running());
        running.any(|running| running.node.raft().log().damaged_entries() > 0)
    }

    /// Ends the run after its last checks. A node may have found damage a moment ago, for example
    /// in a scrub: while a node has damaged entries, the run continues until the goals are reached
    /// again, or it took too long.
    pub(super) fn end(&mut self) {
        let now = self.run.scheduler.now();
        if let Some(mut stabilization) = self.stabilization.take() {
            let since = *stabilization.missing_since.get_or_insert(now);
            let goals = self.goals(&stabilization);
            let missing = goals.missing_progress();
            let is_overdue = now.since(since) > goals.standstill_max();
            self.stabilization = Some(stabilization);
            match missing {
                Some(_) if !is_overdue && self.has_damaged_entries() => {
                    let interval = self.run.setup.settings.config.heartbeat_interval;
                    return self.run.scheduler.after(interval, Event::End);
                }
                Some(finding) => {
                    let saw = format!("while the cluster was idle: {finding}");
                    self.run.observer.fail(L1.violation_at(saw, now));
                }
                None => {}
            }
        }
        for running in self.cluster.nodes().filter_map(|node| node.running()) {
            running.note_comparisons(&mut self.run.observer);
            running.show_machine(now, &mut self.run.observer);
        }
        if self.stabilization.is_some() && self.run.observer.has_checks() {
            self.check_files(now);
            self.drill_recovery();
        }
        self.run.observe(Observation::Ended);
        self.ended = true;
    }

    /// Checks that the directories of the running nodes have only files that their stores use, and
    /// few snapshots.
    fn check_files(&mut self, now: SimTime) {
        for place in self.cluster.places() {
            let Ok(files) = self.cluster[place].disk.device.list() else { continue };
            let Some(running) = self.cluster[place].running() else { continue };
            let (id, storage) = (running.status.id, running.node.storage());
            let is_snapshot = |(file, _): &&(FileName, u64)| matches!(file, FileName::Snapshot(_));
            let snapshots = files.iter().filter(is_snapshot).count();
            if snapshots > SNAPSHOTS_MAX {
                let saw = format!("{id} has {snapshots} snapshots on its disk, but needs only two");
                return self.run.observer.fail(S29.violation_at(saw, now));
            }
            let Some((file, _)) = files.into_iter().find(|(file, _)| !storage.uses(*file)) else {
                continue;
            };
            let saw = format!("{id} has the file {file} on its disk, which its store does not use");
            return self.run.observer.fail(S17.violation_at(saw, now));
        }
    }
}

/// Removes the faults of single steps, which occur in the fault phase only.
fn end_fault_rates(settings: &mut Settings) {
    settings.lag_permille = 0;
    settings.torn_step_ppm = 0;
    settings.report_delay = DurationRange::micros(0, 0);
}
