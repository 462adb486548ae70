//! Executes the plan: operations become due, triggers fire, and faults strike and end.

use std::time::Duration;

use crate::faults::{Fault, KeptWrites, LinkFault, NodeStrike, Simulated, Strike, Verb};
use crate::observe::Observation;
use crate::observe::coverage::Spot;
use crate::observer::Observer;
use crate::plan::{Trigger, When};
use crate::world::World;
use crate::world::cluster::processes::Exit;
use crate::world::faults::active_plan::DelayedOp;
use crate::world::faults::effect::Effect;
use crate::world::faults::targets::Targets;
use crate::world::faults::{machine, misroute, node_faults};
use crate::world::load::operator::Operator;
use crate::world::load::replies::ClientReply;
use crate::world::network::links::Links;
use crate::world::place::Place;
use crate::world::run::Run;
use crate::world::scheduler::EventKind;
use crate::world::scheduler::queue::Event;

impl World {
    /// An operation of the plan is due: it is executed, or armed if it has a trigger.
    pub(super) fn planned(&mut self, op: u32, observer: &mut Observer) {
        if !self.recovery.in_fault_phase() {
            return;
        }
        match self.faults.plan.op(op).when {
            When::At(_) => self.perform(op, Targets::new(&self.cluster, None, None), observer),
            When::On(_) => self.faults.plan.arm(op),
        }
    }

    /// Fires the operations that wait for this trigger. Returns true if the node crashed because of
    /// it.
    pub(super) fn fire_trigger(
        &mut self,
        trigger: Trigger,
        it: Place,
        other: Option<Place>,
        observer: &mut Observer,
    ) -> bool {
        if !self.faults.plan.is_awaited(trigger) || !self.recovery.in_fault_phase() {
            return false;
        }
        let start_number = self.cluster[it].start_number();
        for (op, delay) in self.faults.plan.fired(trigger, it.id(), self.scheduler.now()) {
            if delay.is_zero() {
                self.perform(op, Targets::new(&self.cluster, Some(it), other), observer);
            } else {
                self.faults.plan.delay(DelayedOp { op, it, other }, delay, &mut self.scheduler);
            }
        }
        self.cluster[it].start_number() != start_number
    }

    /// Executes a triggered operation after its delay.
    pub(super) fn fire_delayed(&mut self, number: u32, observer: &mut Observer) {
        if self.recovery.in_fault_phase() {
            let DelayedOp { op, it, other } = self.faults.plan.delayed(number);
            self.perform(op, Targets::new(&self.cluster, Some(it), other), observer);
        }
    }

    /// Executes one operation of the plan, if it can be executed.
    fn perform(&mut self, op: u32, targets: Targets, observer: &mut Observer) {
        let now = self.scheduler.now();
        self.scheduler.fold((EventKind::Fault as u64) << 56 ^ now.0);
        let verb = self.faults.plan.start_op(op).verb.clone();
        observer.plan_op_begins(now, op, targets.it.map(Place::id));
        match verb.strike() {
            Strike::Request(request) => {
                let via = request.via.and_then(|node| targets.of(node));
                let (load, mut run) = self.load_and_surroundings(observer);
                load.start_scripted_request(op, request, via, &mut run);
            }
            Strike::Links(fault, select) => {
                if let Some(links) = targets.links(&select) {
                    self.strike_links(&verb, fault, links, observer);
                }
            }
            Strike::Node(node, strike) => {
                if let Some(place) = targets.of(node) {
                    self.strike_node(&verb, place, strike, observer);
                }
            }
            Strike::Simulated(node, strike) => {
                if let Some(place) = targets.of(node) {
                    self.strike_simulated(&verb, place, &strike, observer);
                }
            }
        }
        observer.plan_op_begun();
    }

    /// Lets a fault of the plan strike links.
    fn strike_links(
        &mut self,
        verb: &Verb,
        fault: LinkFault,
        links: Links,
        observer: &mut Observer,
    ) {
        let until = self.scheduler.now().after(verb.duration().unwrap_or_default());
        match fault {
            LinkFault::Block => {
                self.network.block(links);
                self.begin_effect(verb, Effect::Blocked(links), observer);
            }
            LinkFault::Flap(period) if links != Links::default() => {
                let flapping = Effect::Flapping { links, period, until, down: false };
                self.faults.plan.begin(flapping, None, &mut self.scheduler);
            }
            LinkFault::Flap(_) => {}
            LinkFault::Clog => self.network.clog(links, until.min(self.setup.fault_phase_end())),
        }
    }

    /// Lets a fault of the plan strike a node.
    fn strike_node(
        &mut self,
        verb: &Verb,
        place: Place,
        strike: NodeStrike,
        observer: &mut Observer,
    ) {
        match strike {
            NodeStrike::Crash(keep, down) => self.crash(place, Exit::crash(keep, down), observer),
            NodeStrike::Stop(down) => {
                let (cluster, mut run) = self.cluster_and_run(observer);
                node_faults::stop(&mut cluster[place], down, &mut run);
            }
            NodeStrike::Pause(duration) => {
                let (cluster, mut run) = self.cluster_and_run(observer);
                node_faults::pause(&mut cluster[place], duration, &mut run);
            }
            NodeStrike::Wipe(down) => self.wipe(place, down, observer),
            NodeStrike::RollBack(age, down) => {
                let disk = &mut self.cluster[place].disk;
                if disk.is_formatted() {
                    disk.copy_for_rollback();
                    let pending = Effect::RollbackPending(place, down);
                    self.faults.plan.begin(pending, Some(age), &mut self.scheduler);
                }
            }
            NodeStrike::Commands(count) => {
                observer.fault(Fault::LoadSpike, self.cluster[place].role());
                let (load, mut run) = self.load_and_surroundings(observer);
                load.spike(place, count, &mut run);
            }
            NodeStrike::PollReads(period) => {
                let until = self.scheduler.now().after(verb.duration().unwrap_or_default());
                let polling = Effect::PollingReads { place, period, until };
                self.begin_effect(verb, polling, observer);
            }
            NodeStrike::Admin(request) => {
                self.load.operator.send(place, request, &mut self.scheduler);
            }
        }
    }

    /// Lets a fault of the plan strike a node in a way that no process can be struck.
    fn strike_simulated(
        &mut self,
        verb: &Verb,
        place: Place,
        strike: &Simulated<'_>,
        observer: &mut Observer,
    ) {
        let World { setup, scheduler, cluster, network, faults, .. } = self;
        let mut run = Run { setup, scheduler, observer };
        match *strike {
            Simulated::Misroute(count) => {
                misroute::misroute(&cluster[place], count, network, &mut run);
            }
            Simulated::Replay(count) => {
                misroute::replay(&cluster[place], count, network, &mut run);
            }
            Simulated::MachineFault(fault) => {
                machine::strike(cluster, place, fault, &mut faults.taint, &mut run);
            }
            Simulated::Lasting(lasting) => {
                if node_faults::begin(&mut cluster[place], lasting, &mut run) {
                    self.begin_effect(verb, Effect::OnNode(place, lasting), observer);
                }
            }
            Simulated::Campaign
            | Simulated::ClockStep(_)
            | Simulated::StalledDisk(_)
            | Simulated::FailedCall(..)
            | Simulated::Damage(_) => {
                let Some(fault) = verb.fault() else { return };
                let may_damage = cluster.may_damage(place);
                node_faults::strike(&mut cluster[place], strike, fault, may_damage, &mut run);
            }
        }
    }

    /// Counts a fault that lasts, and begins its effect.
    fn begin_effect(&mut self, verb: &Verb, effect: Effect, observer: &mut Observer) {
        if let Some(fault) = verb.fault() {
            effect.count(fault, &self.cluster, observer);
        }
        self.faults.plan.begin(effect, verb.duration(), &mut self.scheduler);
    }

    /// Ends a fault that lasts; in the stabilization phase it stays instead.
    pub(super) fn end_effect(&mut self, effect: u32, observer: &mut Observer) {
        if !self.recovery.in_fault_phase() {
            return;
        }
        observer.plan_op_ends(self.scheduler.now(), self.faults.plan.began(effect));
        match *self.faults.plan.effect(effect) {
            Effect::Blocked(links) => self.network.unblock(links),
            Effect::Flapping { .. } | Effect::PollingReads { .. } => {}
            Effect::OnNode(place, lasting) => {
                self.cluster[place].end_fault(lasting, &mut self.scheduler);
            }
            Effect::RollbackPending(place, down) => self.roll_back(place, down, observer),
        }
    }

    /// Toggles a flapping link.
    pub(super) fn flap(&mut self, number: u32, observer: &mut Observer) {
        let effect = *self.faults.plan.effect(number);
        let Effect::Flapping { links, period, until, down } = effect else { return };
        if !self.recovery.in_fault_phase() {
            return;
        }
        if down {
            self.network.unblock(links);
            if self.scheduler.now() >= until {
                observer.plan_op_ends(self.scheduler.now(), self.faults.plan.began(number));
                return;
            }
        } else {
            self.network.block(links);
            effect.count(Fault::Flap, &self.cluster, observer);
        }
        *self.faults.plan.effect(number) = Effect::Flapping { links, period, until, down: !down };
        self.scheduler.after(period, Event::Flap { effect: number });
    }

    /// Lets a client of a `poll reads` operation read.
    pub(super) fn poll_read(&mut self, number: u32, observer: &mut Observer) {
        let effect = *self.faults.plan.effect(number);
        let Effect::PollingReads { place, period, until } = effect else { return };
        if !self.recovery.in_fault_phase() || self.scheduler.now() > until {
            return;
        }
        let (load, mut run) = self.load_and_surroundings(observer);
        load.read_at(place, &mut run);
        self.scheduler.after(period, Event::PollRead { effect: number });
    }

    /// Crashes a running node.
    pub(super) fn crash(&mut self, place: Place, exit: Exit, observer: &mut Observer) {
        let role = self.cluster[place].role();
        if self.end_process(place, exit, observer) {
            observer.fault(Fault::Crash, role);
        }
    }

    /// Ends the process of a node; returns false if the node is down.
    pub(super) fn end_process(
        &mut self,
        place: Place,
        exit: Exit,
        observer: &mut Observer,
    ) -> bool {
        let (cluster, mut run) = self.cluster_and_run(observer);
        let Some(unanswered) = cluster[place].end(exit, &mut run) else { return false };
        self.load.note_leader(self.cluster.leader(), self.scheduler.now());
        observer.reach_if(!unanswered.is_empty(), Spot::UnknownByCrash);
        for tag in unanswered {
            if Operator::owns_tag(tag) {
                self.load.operator.finish(tag);
            } else {
                self.reply(tag, ClientReply::Unknown, observer);
            }
        }
        self.fire_trigger(Trigger::GoesDown, place, None, observer);
        true
    }

    /// A node loses its disk and restarts on an empty one after `down`, if the cluster survives
    /// that, or if the run has rollback faults, which no cluster survives.
    fn wipe(&mut self, place: Place, down: Duration, observer: &mut Observer) {
        let settings = &self.setup.settings;
        if !self.cluster[place].disk.is_formatted() {
            return;
        }
        if !self.cluster.may_wipe(place, settings) {
            if !settings.faults.has(Fault::Rollback) {
                return;
            }
            self.faults.lose_safety(observer);
        }
        observer.fault(Fault::Wipe, self.cluster[place].role());
        self.take_down(place, down, observer);
        let settings = &self.setup.settings;
        let is_bootstrap_peer = settings.bootstraps && settings.membership().is_voter(place.id());
        let node = &mut self.cluster[place];
        node.lose_disk(is_bootstrap_peer);
        let incarnation = node.disk.incarnation(place.id());
        let wiped = Observation::Wiped { node: place.id(), incarnation };
        observer.observe(self.scheduler.now(), wiped);
    }

    /// A node restarts on an older copy of its disk after `down`: it has lost acknowledged state,
    /// and possibly no node notices. Safety no longer holds.
    fn roll_back(&mut self, place: Place, down: Duration, observer: &mut Observer) {
        let node = &mut self.cluster[place];
        let Some(image) = node.disk.take_rollback_image() else { return };
        observer.fault(Fault::Rollback, node.role());
        self.faults.lose_safety(observer);
        self.take_down(place, down, observer);
        self.cluster[place].roll_back(image);
    }

    /// Takes the node down, and restarts it after `down`.
    fn take_down(&mut self, place: Place, down: Duration, observer: &mut Observer) {
        if !self.end_process(place, Exit::crash(KeptWrites::None, down), observer) {
            self.cluster[place].postpone_start(down, &mut self.scheduler);
        }
    }
}
