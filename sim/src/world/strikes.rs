//! Executes the plan: operations become due, triggers fire, and faults strike and end.

use std::time::Duration;

use quorate::replica::{OpenError, Output, make_uncertain};

use crate::faults::{Fault, KeptWrites, NodeStrike, Simulated, Strike, Verb};
use crate::observe::Observation;
use crate::observe::coverage::Spot;
use crate::plan::{Trigger, When};
use crate::values::choice::{Key, Kind};
use crate::world::World;
use crate::world::cluster::processes::{Exit, LeftBehind};
use crate::world::faults::active_plan::DelayedOp;
use crate::world::faults::active_plan::Effect;
use crate::world::faults::active_plan::Targets;
use crate::world::faults::node_faults;
use crate::world::load::operator::Operator;
use crate::world::place::Place;
use crate::world::run::Setup;
use crate::world::scheduler::EventKind;
use crate::world::scheduler::{Event, PlanEvent};

impl World {
    /// Continues the plan: an operation becomes due, or a fault that lasts changes or ends.
    pub(super) fn continue_plan(&mut self, event: PlanEvent, number: u32) {
        match event {
            PlanEvent::Due => match self.faults.plan.op(number).when {
                When::At(_) => self.perform(number, None, None),
                When::On(_) => self.faults.plan.arm(number),
            },
            PlanEvent::Delayed => {
                let DelayedOp { op, it, other } = self.faults.plan.delayed(number);
                self.perform(op, Some(it), other);
            }
            PlanEvent::End => self.end_effect(number),
            PlanEvent::Flap => {
                self.faults.flap(number, &self.cluster, &mut self.network, &mut self.run);
            }
            PlanEvent::PollRead => {
                let effect = *self.faults.plan.effect(number);
                let Effect::PollingReads { place, period, until } = effect else { return };
                if self.run.scheduler.now() <= until {
                    let (load, mut run) = self.load_and_surroundings();
                    load.read_at(place, &mut run);
                    self.run.scheduler.after(period, Event::Plan(event, number));
                } else {
                    let now = self.run.scheduler.now();
                    self.run.observer.plan_op_ends(now, self.faults.plan.began(number));
                }
            }
        }
    }

    /// Fires the operations that wait for this trigger. Returns true if the node crashed because of
    /// it.
    pub(super) fn fire_trigger(
        &mut self,
        trigger: Trigger,
        it: Place,
        other: Option<Place>,
    ) -> bool {
        if !self.faults.plan.is_awaited(trigger) || !self.in_fault_phase() {
            return false;
        }
        let start = self.cluster[it].start();
        for (op, delay) in self.faults.plan.fired(trigger, it.id(), self.run.scheduler.now()) {
            if delay.is_zero() {
                self.perform(op, Some(it), other);
            } else {
                let delayed = DelayedOp { op, it, other };
                self.faults.plan.delay(delayed, delay, &mut self.run.scheduler);
            }
        }
        self.cluster[it].start() != start
    }

    /// Executes one operation of the plan, if it can be executed, with the node that met its
    /// trigger and that node's peer.
    fn perform(&mut self, op: u32, it: Option<Place>, other: Option<Place>) {
        let targets = Targets::new(&self.cluster, it, other);
        let now = self.run.scheduler.now();
        self.run.scheduler.fold((EventKind::Fault as u64) << 56 ^ now.0);
        let verb = self.faults.plan.start_op(op).verb.clone();
        self.run.observer.plan_op_begins(now, op, it.map(Place::id));
        let World { run, cluster, network, faults, .. } = self;
        match verb.strike() {
            Strike::Request => {
                let Verb::ScriptedRequest(request) = &verb else { return };
                let via = request.via.and_then(|node| targets.of(node));
                let (load, mut run) = self.load_and_surroundings();
                load.start_scripted_request(op, request, via, &mut run);
            }
            Strike::Links(fault, select) => {
                if let Some(links) = targets.links(&select) {
                    faults.strike_links(&verb, fault, links, cluster, network, run);
                }
            }
            Strike::Node(node, strike) => {
                if let Some(place) = targets.of(node) {
                    self.strike_node(&verb, place, strike);
                }
            }
            Strike::Simulated(node, Simulated::Install(build)) => {
                if let Some(place) = targets.of(node) {
                    self.install(place, build);
                }
            }
            Strike::Simulated(node, strike) => {
                if let Some(place) = targets.of(node) {
                    faults.strike_simulated(&verb, place, &strike, cluster, network, run);
                }
            }
        }
        self.run.observer.plan_op_begun();
    }

    /// Lets a fault of the plan strike a node.
    fn strike_node(&mut self, verb: &Verb, place: Place, strike: NodeStrike) {
        let World { run, cluster, load, faults, .. } = self;
        match strike {
            NodeStrike::Crash(keep, down) => self.crash(place, Exit::crash(keep, down)),
            NodeStrike::Stop(down) => node_faults::stop(&mut cluster[place], down, run),
            NodeStrike::Pause(duration) => node_faults::pause(&mut cluster[place], duration, run),
            NodeStrike::Wipe(down) => self.wipe(place, down),
            NodeStrike::RollBack(age, down) => {
                let disk = &mut cluster[place].disk;
                // Until its node starts, a disk that has lost the end of its log differs from the
                // disk that the model of the checks assumes.
                if disk.formatted && !disk.lost_end {
                    let copy = disk.copy_for_rollback();
                    run.observe(Observation::DiskCopied { node: place.id(), copy });
                    let pending = Effect::RollbackPending(place, copy, down);
                    faults.plan.begin(pending, age, &mut run.scheduler);
                }
            }
            NodeStrike::Commands(count) => {
                run.observer.fault(Fault::LoadSpike, cluster[place].role());
                let (load, mut run) = self.load_and_surroundings();
                load.spike(place, count, &mut run);
            }
            NodeStrike::PollReads(period) => {
                let until = run.scheduler.now().after(verb.duration().unwrap_or_default());
                faults.begin(verb, Effect::PollingReads { place, period, until }, cluster, run);
            }
            NodeStrike::Admin(request) => load.operator.send(place, request, &mut run.scheduler),
        }
    }

    /// Ends a fault that lasts, or lets a pending rollback strike.
    fn end_effect(&mut self, effect: u32) {
        let World { run, cluster, network, faults, .. } = self;
        run.observer.plan_op_ends(run.scheduler.now(), faults.plan.began(effect));
        match *faults.plan.effect(effect) {
            Effect::Blocked(links) => network.unblock(links),
            Effect::Flapping { .. } | Effect::PollingReads { .. } | Effect::Passing => {}
            Effect::OnNode(place, fault) => cluster[place].end_fault(fault, &mut run.scheduler),
            Effect::RollbackPending(place, copy, down) => self.roll_back(place, copy, down),
        }
    }

    /// Restarts a node with another build of its state machine.
    pub(super) fn install(&mut self, place: Place, build: u32) {
        let role = self.cluster[place].role();
        self.cluster[place].builds.install(build);
        let down = self.run.setup.settings.latency.max;
        if self.end_process(place, Exit::crash(KeptWrites::Part, down)) {
            self.run.observer.fault(Fault::Upgrade, role);
        }
    }

    /// Crashes a running node.
    pub(super) fn crash(&mut self, place: Place, exit: Exit) {
        let role = self.cluster[place].role();
        if self.end_process(place, exit) {
            self.run.observer.fault(Fault::Crash, role);
        }
    }

    /// Ends the process of a node, and fires the operations that wait for that; returns false if
    /// the node is down.
    pub(super) fn end_process(&mut self, place: Place, exit: Exit) -> bool {
        let was_running = self.end_without_triggers(place, exit);
        if was_running {
            self.fire_trigger(Trigger::GoesDown, place, None);
        }
        was_running
    }

    fn end_without_triggers(&mut self, place: Place, exit: Exit) -> bool {
        let Some(left) = self.cluster[place].end(exit, &mut self.run) else { return false };
        let LeftBehind { unanswered, missed } = left;
        missed.into_iter().for_each(|event| self.free_slot(event));
        self.load.scripted.note_leader(self.cluster.leader(), self.run.scheduler.now());
        self.run.observer.reach_if(!unanswered.is_empty(), Spot::UnknownByCrash);
        for tag in unanswered {
            if Operator::owns_tag(tag) {
                self.load.operator.finish(tag);
            } else {
                self.reply(place, &Output::Unknown { tag }, None);
            }
        }
        true
    }

    /// Frees the slot of a message or a request that no process takes.
    fn free_slot(&mut self, event: Event) {
        match event {
            Event::Arrive { slot, .. } => _ = self.network.in_flight.take(slot),
            Event::Request { slot } => _ = self.load.clients.requests.take(slot),
            _ => {}
        }
    }

    /// A node loses its disk and restarts on an empty one after `down`, if the cluster survives
    /// that. In a run with rollback faults the node loses its disk in any case, and the checks are
    /// off if the cluster does not survive the loss.
    fn wipe(&mut self, place: Place, down: Duration) {
        let World { run, cluster, faults, .. } = self;
        if !cluster[place].disk.formatted {
            return;
        }
        if !cluster.may_wipe(place, &run.setup.settings) {
            if !run.setup.settings.faults.has(Fault::Rollback) {
                return;
            }
            faults.lose_safety(&mut run.observer);
        }
        run.observer.fault(Fault::Wipe, cluster[place].role());
        let was_running = self.end_without_triggers(place, Exit::crash(KeptWrites::None, down));
        if !was_running {
            self.cluster[place].postpone_start(down, &mut self.run.scheduler);
        }
        let is_bootstrap_peer = self.run.setup.settings.is_bootstrap_peer(place.id());
        let node = &mut self.cluster[place];
        node.lose_disk(is_bootstrap_peer);
        let incarnation = node.disk.incarnation(place.id());
        let wiped = Observation::Wiped { node: place.id(), incarnation };
        self.run.observe(wiped);
        // The trigger fires only now, because a fault that it causes must not take this disk for an
        // intact one.
        if was_running {
            self.fire_trigger(Trigger::GoesDown, place, None);
        }
    }

    /// A node restarts on an older copy of its disk after `down`, so it has lost acknowledged
    /// state. In two cases the node is uncertain from the start: only its log is older, which the
    /// start detects, or the copy is marked as uncertain. In the third case the node counts in
    /// quorums until a leader finds the loss, if one does, so safety no longer holds from the
    /// rollback on.
    fn roll_back(&mut self, place: Place, copy: u16, down: Duration) {
        let node = &self.cluster[place];
        if !node.disk.has_copy(copy) {
            return;
        }
        let Setup { settings, choices, .. } = &self.run.setup;
        // The choice holds for the whole run, because after one rollback without a mark all checks
        // are off.
        let is_noticed = choices.choose(Key { counter: 1, ..Kind::Boot.key() }, 4) > 0;
        let storage = settings.replica(place.id()).storage;
        let loses_end = is_noticed && choices.choose(node.start().key(Kind::Boot, 1), 3) == 0;
        self.run.observer.fault(Fault::Rollback, node.role());
        self.take_down(place, down);
        // A fault that the crash triggered may have wiped the disk.
        let Some((image, is_of_this_disk)) = self.cluster[place].disk.take_copy(copy) else {
            return;
        };
        let mut marked = image.clone();
        // A damaged copy cannot be marked.
        let is_marked = match make_uncertain(&mut marked, &storage) {
            // By the membership of the copy, no other node can make this one certain again: it
            // does not start on such a copy (docs/RECOVERY.md).
            Err(OpenError::SoleVoter) if is_noticed => return,
            result => is_noticed && result.is_ok(),
        };
        // A durable state of the state machine that is ahead of the log would prevent the start
        // (docs/OPERATIONS.md).
        self.cluster[place].disk.machine_checkpoint = None;
        if loses_end && is_of_this_disk && self.cluster[place].lose_end(&image, &storage) {
            return;
        }
        if !is_marked {
            self.faults.lose_safety(&mut self.run.observer);
        }
        self.cluster[place].roll_back(if is_marked { marked } else { image }, is_marked);
        if is_marked {
            self.run.observe(Observation::RolledBack { node: place.id(), copy });
        }
    }

    /// Takes the node down, and restarts it after `down`.
    fn take_down(&mut self, place: Place, down: Duration) {
        if !self.end_process(place, Exit::crash(KeptWrites::None, down)) {
            self.cluster[place].postpone_start(down, &mut self.run.scheduler);
        }
    }
}
