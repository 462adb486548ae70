//! The plan at work: operations fall due, triggers fire, faults begin and end.

use std::time::Duration;

use quorate::raft::RoleName;

use crate::fault::Fault;
use crate::observe::Seen;
use crate::plan::{Trigger, Verb, When, Who};
use crate::witness::Witness;
use crate::world::network::Links;
use crate::world::node::Place;
use crate::world::operator::Order;
use crate::world::queue::Event;
use crate::world::storm::{Effect, Firing};
use crate::world::{EventKind, World};

impl World {
    pub(super) fn schedule_plan(&mut self) {
        for (at, op) in self.storm.schedule() {
            self.queue.push(at, Event::Planned { op });
        }
    }

    /// An operation of the plan is due: it happens, or begins to wait for its trigger.
    pub(super) fn planned(&mut self, op: u32, witness: &mut Witness) {
        if self.calm.is_some() {
            return;
        }
        match self.storm.op(op).when {
            When::At(_) => self.perform(op, None, None, witness),
            When::On(_) => self.storm.arm(op),
        }
    }

    /// A node does what operations may wait for: those that do happen. True if the node crashed
    /// over it.
    pub(super) fn pull(
        &mut self,
        trigger: Trigger,
        it: Place,
        other: Option<Place>,
        witness: &mut Witness,
    ) -> bool {
        if !self.storm.waits_for(trigger) || self.calm.is_some() {
            return false;
        }
        let incarnation = self.nodes[it.0 as usize].incarnation;
        for (op, later) in self.storm.fired(trigger, it.id(), self.now) {
            if later.is_zero() {
                self.perform(op, Some(it), other, witness);
            } else {
                let firing = self.storm.put_off(Firing { op, it, other });
                self.queue.push(self.now.after(later), Event::Fire { firing });
            }
        }
        self.nodes[it.0 as usize].incarnation != incarnation
    }

    /// A triggered operation happens, a while after its trigger.
    pub(super) fn fire_later(&mut self, firing: u32, witness: &mut Witness) {
        if self.calm.is_none() {
            let Firing { op, it, other } = self.storm.firing(firing);
            self.perform(op, Some(it), other, witness);
        }
    }

    /// Carries out one operation of the plan, if it can be.
    fn perform(&mut self, op: u32, it: Option<Place>, other: Option<Place>, witness: &mut Witness) {
        self.fold((EventKind::Fault as u64) << 56 ^ self.now.0);
        let verb = self.storm.strikes(op).verb.clone();
        witness.strikes(self.now, op, it.map(Place::id));
        match &verb {
            Verb::Ask(errand) => {
                let via = errand.via.and_then(|who| self.resolve(who, it, other));
                self.set_out(op, errand, via, witness);
            }
            _ => self.strike(&verb, it, other, witness),
        }
        witness.struck();
    }

    fn resolve(&self, who: Who, it: Option<Place>, other: Option<Place>) -> Option<Place> {
        match who {
            Who::Node(id) => self.place(id),
            Who::It => it,
            Who::Other => other.or(it),
            Who::Leader => self.leader(),
        }
    }

    /// The running leader with the highest term.
    pub(super) fn leader(&self) -> Option<Place> {
        let running = self.nodes.iter().filter_map(|node| Some((node, node.running.as_ref()?)));
        running
            .filter(|(_, running)| running.status.role == RoleName::Leader)
            .max_by_key(|(_, running)| running.status.term)
            .map(|(node, _)| node.place)
    }

    /// Lets a fault happen.
    fn strike(
        &mut self,
        verb: &Verb,
        it: Option<Place>,
        other: Option<Place>,
        witness: &mut Witness,
    ) {
        let who = |who| self.resolve(who, it, other);
        match *verb {
            Verb::Crash(node, keep, down) => {
                if let Some(place) = who(node) {
                    self.crash(place, keep, down, witness);
                }
            }
            Verb::Pause(node, lasting) => {
                if let Some(place) = who(node).filter(|place| self.pause(*place, lasting)) {
                    witness.fault(Fault::Pause, self.nodes[place.0 as usize].role());
                    witness.pauses(self.now, place.id());
                    self.stop_clock(place, witness);
                }
            }
            Verb::Stray(node, _)
            | Verb::Replay(node, _)
            | Verb::Campaign(node)
            | Verb::Stop(node, _)
            | Verb::Surge(node, _)
            | Verb::Slip(node, _) => {
                if let Some(place) = who(node) {
                    self.bid(place, verb, witness);
                }
            }
            Verb::Change(node, _) | Verb::GiveUp(node) | Verb::Transfer(node, _) => {
                if let Some(place) = who(node) {
                    self.order(place, order(verb));
                }
            }
            Verb::Flap(one, another, period, lasting) => {
                if let (Some(one), Some(another)) = (who(one), who(another))
                    && one != another
                {
                    let links = Links::one(one, another).and(Links::one(another, one));
                    let until = self.now.after(lasting);
                    self.take_effect(Effect::Flapping { links, period, until, down: false }, None);
                }
            }
            Verb::Clog(node, lasting) => {
                if let Some(place) = who(node) {
                    let links = self.links(|from, _| from == place);
                    let until = self.now.after(lasting).min(self.storm_end());
                    self.network.clog(links, until);
                }
            }
            Verb::Fail(node, ..)
            | Verb::Fill(node, ..)
            | Verb::Stall(node, _)
            | Verb::Rot(node, _)
            | Verb::Misdirect(node, ..)
            | Verb::LoseWrite(node, _)
            | Verb::Wipe(node, _)
            | Verb::Rollback(node, ..) => {
                if let Some(place) = who(node) {
                    self.strike_disk(place, verb, witness);
                }
            }
            _ => self.strike_lasting(verb, it, other, witness),
        }
    }

    /// Lets a node get what is no fault of its own: messages, requests, orders.
    fn bid(&mut self, place: Place, verb: &Verb, witness: &mut Witness) {
        let role = self.nodes[place.0 as usize].role();
        match *verb {
            Verb::Stray(_, count) => self.strays(place, count, witness),
            Verb::Replay(_, count) => self.replay(place, count, witness),
            Verb::Slip(_, slip) => self.slip(place, slip, witness),
            Verb::Surge(_, count) => {
                witness.fault(Fault::Surge, role);
                self.surge(place, count, witness);
            }
            Verb::Campaign(_) if role.is_some() => {
                witness.fault(Fault::Campaign, role);
                self.queue.push(self.now, Event::Campaign { node: place.0 });
            }
            Verb::Stop(_, down) if role.is_some() => {
                witness.fault(Fault::Stop, role);
                self.nodes[place.0 as usize].stops_for = down;
                self.queue.push(self.now, Event::Close { node: place.0 });
            }
            _ => {}
        }
    }

    /// Lets a fault happen that changes a node or links until its end.
    fn strike_lasting(
        &mut self,
        verb: &Verb,
        it: Option<Place>,
        other: Option<Place>,
        witness: &mut Witness,
    ) {
        let now = self.now;
        let who = |who| self.resolve(who, it, other);
        let effect = match verb {
            Verb::Drift(node, ppm, _) => who(*node).map(|place| {
                self.nodes[place.0 as usize].clock.drift(now, *ppm);
                self.goes_astray(place, ppm.unsigned_abs(), witness);
                self.rearm(place);
                Effect::Drifting(place)
            }),
            Verb::Jump(node, by) => {
                if let Some(place) = who(*node) {
                    self.nodes[place.0 as usize].clock.jump(now, *by);
                    self.goes_astray(place, u32::MAX, witness);
                    self.rearm(place);
                    witness.fault(Fault::Jump, self.nodes[place.0 as usize].role());
                }
                None
            }
            Verb::SlowDisk(node, by, _) => who(*node).map(|place| {
                self.nodes[place.0 as usize].flush_delay += *by;
                Effect::DiskSlowed(place, *by)
            }),
            Verb::SlowApply(node, by, _) => who(*node).map(|place| {
                self.nodes[place.0 as usize].work_delay += *by;
                Effect::ApplySlowed(place, *by)
            }),
            Verb::Consult(node, period, lasting) => who(*node).map(|place| {
                let until = now.after(*lasting);
                Effect::Consulted { place, period: *period, until }
            }),
            _ => self.blocked_by(verb, it, other).map(|links| {
                self.network.block(links);
                Effect::Blocked(links)
            }),
        };
        let (Some(effect), Some(fault)) = (effect, verb.fault()) else { return };
        self.meet(fault, &effect, witness);
        self.take_effect(effect, verb.lasting());
    }

    /// In some runs the clock of a process that stands still does so, too.
    fn stop_clock(&mut self, place: Place, witness: &mut Witness) {
        if self.settings.clocks.stand_still {
            self.nodes[place.0 as usize].clock.stand_still(self.now);
            self.goes_astray(place, u32::MAX, witness);
        }
    }

    /// A clock is off by so many millionths, which may be more than leases allow for.
    pub(super) fn goes_astray(&self, place: Place, ppm: u32, witness: &mut Witness) {
        if self.settings.config.lease.is_some_and(|lease| ppm > lease.drift_ppm) {
            witness.see(self.now, Seen::Astray { node: place.id() });
        }
    }

    /// The links that the operation blocks, if it blocks links and its nodes can be told.
    fn blocked_by(&self, verb: &Verb, it: Option<Place>, other: Option<Place>) -> Option<Links> {
        let who = |who| self.resolve(who, it, other);
        Some(match verb {
            Verb::Isolate(node, _) => {
                let place = who(*node)?;
                self.links(|from, to| from == place || to == place)
            }
            Verb::Deafen(node, _) => {
                let place = who(*node)?;
                self.links(|_, to| to == place)
            }
            Verb::Mute(node, _) => {
                let place = who(*node)?;
                self.links(|from, _| from == place)
            }
            Verb::Strand(node, with, _) => {
                let (place, ally) = (who(*node)?, who(*with)?);
                self.links(|from, to| {
                    (from == place && to != ally) || (to == place && from != ally)
                })
            }
            Verb::Cut(from, to, _) => {
                let (from, to) = (who(*from)?, who(*to)?);
                self.links(|one, other| one == from && other == to)
            }
            Verb::Split(side, _) => {
                let side: Vec<Place> = side.iter().filter_map(|node| who(*node)).collect();
                self.links(|from, to| side.contains(&from) != side.contains(&to))
            }
            Verb::Only(pairs, _) => self.links(|from, to| {
                let pair = |one: Place, other: Place| pairs.contains(&(one.id(), other.id()));
                !pair(from, to) && !pair(to, from)
            }),
            _ => return None,
        })
    }

    /// The links between different nodes for which `chosen` holds.
    pub(super) fn links(&self, chosen: impl Fn(Place, Place) -> bool) -> Links {
        Links::between((0..self.nodes.len()).map(|place| Place(place as u8)), chosen)
    }

    /// Counts a fault that lands, and the roles of the nodes that it befalls.
    fn meet(&self, fault: Fault, effect: &Effect, witness: &mut Witness) {
        let befallen = |place: Place| match effect {
            Effect::Blocked(links) | Effect::Flapping { links, .. } => self
                .nodes
                .iter()
                .any(|other| links.has(place, other.place) || links.has(other.place, place)),
            Effect::Drifting(befallen)
            | Effect::DiskSlowed(befallen, _)
            | Effect::ApplySlowed(befallen, _)
            | Effect::DiskFilled(befallen)
            | Effect::Consulted { place: befallen, .. }
            | Effect::Imaged(befallen, _) => *befallen == place,
        };
        let roles = self.nodes.iter().filter(|node| befallen(node.place));
        witness.fault_of_many(fault, roles.filter_map(|node| node.role()));
    }

    pub(super) fn take_effect(&mut self, effect: Effect, lasting: Option<Duration>) {
        let number = self.storm.begin(effect);
        let (at, event) = match (effect, lasting) {
            (Effect::Consulted { .. }, _) => (self.now, Event::Consult { effect: number }),
            (_, Some(lasting)) => (self.now.after(lasting), Event::Lift { effect: number }),
            (_, None) => (self.now, Event::Flap { effect: number }),
        };
        self.queue.push(at, event);
    }

    /// A fault that lasted ends, unless the storm is over: then what stands, stands for ever.
    pub(super) fn lift(&mut self, effect: u32, witness: &mut Witness) {
        if self.calm.is_some() {
            return;
        }
        witness.lifts(self.now, self.storm.began(effect));
        match *self.storm.effect(effect) {
            Effect::Blocked(links) => self.network.unblock(links),
            Effect::Flapping { .. } | Effect::Consulted { .. } => {}
            Effect::Drifting(place) => {
                self.nodes[place.0 as usize].clock.recover(self.now);
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
                node.fills -= 1;
                if node.fills == 0 {
                    node.disk.set_capacity(None);
                }
            }
            Effect::Imaged(place, down) => self.roll_back(place, down, witness),
        }
    }

    /// A flapping link goes down, or up again.
    pub(super) fn flap(&mut self, number: u32, witness: &mut Witness) {
        let effect = *self.storm.effect(number);
        let Effect::Flapping { links, period, until, down } = effect else { return };
        if self.calm.is_some() {
            return;
        }
        if down {
            self.network.unblock(links);
            if self.now >= until {
                witness.lifts(self.now, self.storm.began(number));
                return;
            }
        } else {
            self.network.block(links);
            self.meet(Fault::Flap, &effect, witness);
        }
        *self.storm.effect(number) = Effect::Flapping { links, period, until, down: !down };
        self.queue.push(self.now.after(period), Event::Flap { effect: number });
    }

    /// Somebody reads where many do.
    pub(super) fn consult(&mut self, number: u32, witness: &mut Witness) {
        let Effect::Consulted { place, period, until } = *self.storm.effect(number) else { return };
        if self.calm.is_some() || self.now > until {
            return;
        }
        self.read_at(place, witness);
        self.queue.push(self.now.after(period), Event::Consult { effect: number });
    }
}

/// What the operator wants by it.
fn order(verb: &Verb) -> Order {
    match verb {
        Verb::Change(_, change) => Order::Change(change.clone()),
        Verb::Transfer(_, to) => Order::Transfer(*to),
        _ => Order::GiveUp,
    }
}
