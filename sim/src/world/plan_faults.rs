//! Executes the plan: operations become due, triggers fire, faults start and end.

use std::time::Duration;

use quorate::raft::RoleName;

use crate::fault::Fault;
use crate::observe::Observation;
use crate::observer::Observer;
use crate::plan::{NodeSelector, Trigger, Verb, When};
use crate::world::World;
use crate::world::active_plan::{DelayedOp, Effect};
use crate::world::network::Links;
use crate::world::operator::AdminRequest;
use crate::world::place::Place;
use crate::world::scheduler::EventKind;
use crate::world::scheduler::queue::Event;

impl World {
    pub(super) fn schedule_plan(&mut self) {
        for (at, op) in self.plan.schedule() {
            self.scheduler.at(at, Event::Planned { op });
        }
    }

    /// An operation of the plan is due: it is executed, or armed if it has a trigger.
    pub(super) fn planned(&mut self, op: u32, observer: &mut Observer) {
        if self.stabilization.is_some() {
            return;
        }
        match self.plan.op(op).when {
            When::At(_) => self.perform(op, None, None, observer),
            When::On(_) => self.plan.arm(op),
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
        if !self.plan.is_awaited(trigger) || self.stabilization.is_some() {
            return false;
        }
        let start_number = self.nodes[it.0 as usize].start_number;
        for (op, delay) in self.plan.fired(trigger, it.id(), self.scheduler.now()) {
            if delay.is_zero() {
                self.perform(op, Some(it), other, observer);
            } else {
                let number = self.plan.delay(DelayedOp { op, it, other });
                self.scheduler.after(delay, Event::FireDelayed { number });
            }
        }
        self.nodes[it.0 as usize].start_number != start_number
    }

    /// Executes a triggered operation after its delay.
    pub(super) fn fire_delayed(&mut self, number: u32, observer: &mut Observer) {
        if self.stabilization.is_none() {
            let DelayedOp { op, it, other } = self.plan.delayed(number);
            self.perform(op, Some(it), other, observer);
        }
    }

    /// Executes one operation of the plan, if it can be executed.
    fn perform(
        &mut self,
        op: u32,
        it: Option<Place>,
        other: Option<Place>,
        observer: &mut Observer,
    ) {
        self.scheduler.fold((EventKind::Fault as u64) << 56 ^ self.scheduler.now().0);
        let verb = self.plan.start_op(op).verb.clone();
        observer.plan_op_begins(self.scheduler.now(), op, it.map(Place::id));
        match &verb {
            Verb::Request(request) => {
                let via = request.via.and_then(|node| self.resolve(node, it, other));
                self.start_scripted_request(op, request, via, observer);
            }
            _ => self.apply_fault(&verb, it, other, observer),
        }
        observer.plan_op_begun();
    }

    fn resolve(
        &self,
        node: NodeSelector,
        it: Option<Place>,
        other: Option<Place>,
    ) -> Option<Place> {
        match node {
            NodeSelector::Node(id) => self.place(id),
            NodeSelector::It => it,
            NodeSelector::Other => other.or(it),
            NodeSelector::Leader => self.leader(),
        }
    }

    /// Returns the running leader with the highest term.
    pub(super) fn leader(&self) -> Option<Place> {
        let running = self.nodes.iter().filter_map(|node| Some((node, node.running.as_ref()?)));
        running
            .filter(|(_, running)| running.status.role == RoleName::Leader)
            .max_by_key(|(_, running)| running.status.term)
            .map(|(node, _)| node.place)
    }

    /// Applies a fault of the plan.
    fn apply_fault(
        &mut self,
        verb: &Verb,
        it: Option<Place>,
        other: Option<Place>,
        observer: &mut Observer,
    ) {
        let resolve = |node| self.resolve(node, it, other);
        match *verb {
            Verb::Crash(node, keep, down) => {
                if let Some(place) = resolve(node) {
                    self.crash(place, keep, down, observer);
                }
            }
            Verb::Pause(node, duration) => {
                if let Some(place) = resolve(node).filter(|place| self.pause(*place, duration)) {
                    observer.fault(Fault::Pause, self.nodes[place.0 as usize].role());
                    observer.pauses(self.scheduler.now(), place.id());
                    self.stop_clock(place, observer);
                }
            }
            Verb::Misroute(node, _)
            | Verb::Replay(node, _)
            | Verb::Campaign(node)
            | Verb::Stop(node, _)
            | Verb::LoadSpike(node, _)
            | Verb::MachineFault(node, _) => {
                if let Some(place) = resolve(node) {
                    self.apply_input_fault(place, verb, observer);
                }
            }
            Verb::Change(node, _) | Verb::CancelChange(node) | Verb::Transfer(node, _) => {
                if let Some(place) = resolve(node) {
                    self.send_admin_request(place, admin_request(verb));
                }
            }
            Verb::Flap(one, another, period, duration) => {
                if let (Some(one), Some(another)) = (resolve(one), resolve(another))
                    && one != another
                {
                    let links = Links::one(one, another).and(Links::one(another, one));
                    let until = self.scheduler.now().after(duration);
                    self.begin_effect(Effect::Flapping { links, period, until, down: false }, None);
                }
            }
            Verb::Clog(node, duration) => {
                if let Some(place) = resolve(node) {
                    let links = self.links(|from, _| from == place);
                    let until = self.scheduler.now().after(duration).min(self.fault_phase_end());
                    self.network.clog(links, until);
                }
            }
            Verb::FailCall(node, ..)
            | Verb::FillDisk(node, ..)
            | Verb::StallDisk(node, _)
            | Verb::Corrupt(node, _)
            | Verb::MisdirectWrite(node, ..)
            | Verb::LoseWrite(node, _)
            | Verb::Wipe(node, _)
            | Verb::RollBack(node, ..) => {
                if let Some(place) = resolve(node) {
                    self.apply_disk_fault(place, verb, observer);
                }
            }
            _ => self.apply_lasting_fault(verb, it, other, observer),
        }
    }

    /// Applies a fault that reaches the node as an input: messages, requests, commands.
    fn apply_input_fault(&mut self, place: Place, verb: &Verb, observer: &mut Observer) {
        let role = self.nodes[place.0 as usize].role();
        match *verb {
            Verb::Misroute(_, count) => self.inject_misrouted(place, count, observer),
            Verb::Replay(_, count) => self.replay(place, count, observer),
            Verb::MachineFault(_, fault) => self.inject_machine_fault(place, fault, observer),
            Verb::LoadSpike(_, count) => {
                observer.fault(Fault::LoadSpike, role);
                self.load_spike(place, count, observer);
            }
            Verb::Campaign(_) if role.is_some() => {
                observer.fault(Fault::Campaign, role);
                self.scheduler.at_once(Event::Campaign { place: place });
            }
            Verb::Stop(_, down) if role.is_some() => {
                observer.fault(Fault::Stop, role);
                self.nodes[place.0 as usize].stop_downtime = down;
                self.scheduler.at_once(Event::Stop { place: place });
            }
            _ => {}
        }
    }

    /// Applies a fault that changes a node or links until it ends.
    fn apply_lasting_fault(
        &mut self,
        verb: &Verb,
        it: Option<Place>,
        other: Option<Place>,
        observer: &mut Observer,
    ) {
        let now = self.scheduler.now();
        let resolve = |node| self.resolve(node, it, other);
        let effect = match verb {
            Verb::ClockDrift(node, ppm, _) => resolve(*node).map(|place| {
                self.nodes[place.0 as usize].clock.drift(now, *ppm);
                self.note_clock_bound(place, ppm.unsigned_abs(), observer);
                self.rearm(place);
                Effect::Drifting(place)
            }),
            Verb::ClockStep(node, by) => {
                if let Some(place) = resolve(*node) {
                    self.nodes[place.0 as usize].clock.step(now, *by);
                    self.note_clock_bound(place, u32::MAX, observer);
                    self.rearm(place);
                    observer.fault(Fault::ClockStep, self.nodes[place.0 as usize].role());
                }
                None
            }
            Verb::SlowDisk(node, by, _) => resolve(*node).map(|place| {
                self.nodes[place.0 as usize].flush_delay += *by;
                Effect::DiskSlowed(place, *by)
            }),
            Verb::SlowApply(node, by, _) => resolve(*node).map(|place| {
                self.nodes[place.0 as usize].work_delay += *by;
                Effect::ApplySlowed(place, *by)
            }),
            Verb::PollReads(node, period, duration) => resolve(*node).map(|place| {
                let until = now.after(*duration);
                Effect::PollingReads { place, period: *period, until }
            }),
            _ => self.blocked_by(verb, it, other).map(|links| {
                self.network.block(links);
                Effect::Blocked(links)
            }),
        };
        let (Some(effect), Some(fault)) = (effect, verb.fault()) else { return };
        self.count_fault(fault, &effect, observer);
        self.begin_effect(effect, verb.duration());
    }

    /// Stops the clock of a paused process, in runs in which clocks stop.
    fn stop_clock(&mut self, place: Place, observer: &mut Observer) {
        if self.settings.clocks.stop_while_paused {
            self.nodes[place.0 as usize].clock.stop(self.scheduler.now());
            self.note_clock_bound(place, u32::MAX, observer);
        }
    }

    /// Records a clock error in parts per million that exceeds the bound of the leases.
    pub(super) fn note_clock_bound(&self, place: Place, ppm: u32, observer: &mut Observer) {
        if self.settings.config.lease.is_some_and(|lease| ppm > lease.drift_ppm) {
            observer.observe(
                self.scheduler.now(),
                Observation::ClockBoundExceeded { node: place.id() },
            );
        }
    }

    /// Returns the links that the operation blocks, if it blocks links and its nodes are known.
    fn blocked_by(&self, verb: &Verb, it: Option<Place>, other: Option<Place>) -> Option<Links> {
        let resolve = |node| self.resolve(node, it, other);
        Some(match verb {
            Verb::Isolate(node, _) => {
                let place = resolve(*node)?;
                self.links(|from, to| from == place || to == place)
            }
            Verb::BlockInbound(node, _) => {
                let place = resolve(*node)?;
                self.links(|_, to| to == place)
            }
            Verb::BlockOutbound(node, _) => {
                let place = resolve(*node)?;
                self.links(|from, _| from == place)
            }
            Verb::Strand(node, with, _) => {
                let (place, ally) = (resolve(*node)?, resolve(*with)?);
                self.links(|from, to| {
                    (from == place && to != ally) || (to == place && from != ally)
                })
            }
            Verb::Cut(from, to, _) => {
                let (from, to) = (resolve(*from)?, resolve(*to)?);
                self.links(|one, other| one == from && other == to)
            }
            Verb::Split(side, _) => {
                let side: Vec<Place> = side.iter().filter_map(|node| resolve(*node)).collect();
                self.links(|from, to| side.contains(&from) != side.contains(&to))
            }
            Verb::Only(pairs, _) => self.links(|from, to| {
                let pair = |one: Place, other: Place| pairs.contains(&(one.id(), other.id()));
                !pair(from, to) && !pair(to, from)
            }),
            _ => return None,
        })
    }

    /// Returns the links between different nodes that `chosen` selects.
    pub(super) fn links(&self, chosen: impl Fn(Place, Place) -> bool) -> Links {
        Links::between((0..self.nodes.len()).map(|place| Place(place as u8)), chosen)
    }

    /// Counts a fault that takes effect, and the roles of the affected nodes.
    fn count_fault(&self, fault: Fault, effect: &Effect, observer: &mut Observer) {
        let befallen = |place: Place| match effect {
            Effect::Blocked(links) | Effect::Flapping { links, .. } => self
                .nodes
                .iter()
                .any(|other| links.has(place, other.place) || links.has(other.place, place)),
            Effect::Drifting(befallen)
            | Effect::DiskSlowed(befallen, _)
            | Effect::ApplySlowed(befallen, _)
            | Effect::DiskFilled(befallen)
            | Effect::PollingReads { place: befallen, .. }
            | Effect::RollbackPending(befallen, _) => *befallen == place,
        };
        let roles = self.nodes.iter().filter(|node| befallen(node.place));
        observer.fault_of_many(fault, roles.filter_map(|node| node.role()));
    }

    pub(super) fn begin_effect(&mut self, effect: Effect, duration: Option<Duration>) {
        let number = self.plan.begin(effect);
        let (at, event) = match (effect, duration) {
            (Effect::PollingReads { .. }, _) => {
                (self.scheduler.now(), Event::PollRead { effect: number })
            }
            (_, Some(duration)) => {
                (self.scheduler.now().after(duration), Event::EndEffect { effect: number })
            }
            (_, None) => (self.scheduler.now(), Event::Flap { effect: number }),
        };
        self.scheduler.at(at, event);
    }

    /// Ends a fault that lasts; in the stabilization phase it stays instead.
    pub(super) fn end_effect(&mut self, effect: u32, observer: &mut Observer) {
        if self.stabilization.is_some() {
            return;
        }
        observer.plan_op_ends(self.scheduler.now(), self.plan.began(effect));
        match *self.plan.effect(effect) {
            Effect::Blocked(links) => self.network.unblock(links),
            Effect::Flapping { .. } | Effect::PollingReads { .. } => {}
            Effect::Drifting(place) => {
                self.nodes[place.0 as usize].clock.recover(self.scheduler.now());
                self.rearm(place);
            }
            Effect::DiskSlowed(place, by) => {
                self.nodes[place.0 as usize].flush_delay -= by;
            }
            Effect::ApplySlowed(place, by) => {
                self.nodes[place.0 as usize].work_delay -= by;
            }
            Effect::DiskFilled(place) => {
                let node = &mut self.nodes[place.0 as usize];
                node.full_disk_faults -= 1;
                if node.full_disk_faults == 0 {
                    node.disk.set_capacity(None);
                }
            }
            Effect::RollbackPending(place, down) => self.roll_back(place, down, observer),
        }
    }

    /// Toggles a flapping link.
    pub(super) fn flap(&mut self, number: u32, observer: &mut Observer) {
        let effect = *self.plan.effect(number);
        let Effect::Flapping { links, period, until, down } = effect else { return };
        if self.stabilization.is_some() {
            return;
        }
        if down {
            self.network.unblock(links);
            if self.scheduler.now() >= until {
                observer.plan_op_ends(self.scheduler.now(), self.plan.began(number));
                return;
            }
        } else {
            self.network.block(links);
            self.count_fault(Fault::Flap, &effect, observer);
        }
        *self.plan.effect(number) = Effect::Flapping { links, period, until, down: !down };
        self.scheduler.after(period, Event::Flap { effect: number });
    }

    /// Lets a client of a `poll reads` operation read.
    pub(super) fn poll_read(&mut self, number: u32, observer: &mut Observer) {
        let Effect::PollingReads { place, period, until } = *self.plan.effect(number) else {
            return;
        };
        if self.stabilization.is_some() || self.scheduler.now() > until {
            return;
        }
        self.read_at(place, observer);
        self.scheduler.after(period, Event::PollRead { effect: number });
    }
}

/// Returns the operator's request of the verb.
fn admin_request(verb: &Verb) -> AdminRequest {
    match verb {
        Verb::Change(_, change) => AdminRequest::Change(change.clone()),
        Verb::Transfer(_, to) => AdminRequest::Transfer(*to),
        _ => AdminRequest::CancelChange,
    }
}
