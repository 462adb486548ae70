//! The world of one run: nodes, disks, clocks, the network, clients and the plan, moved forward
//! one event at a time.
//!
//! Each action of a node is carried out as a thing of its own: a crash may fall between any two.
//! The world shows all that happens to a [`Witness`] and never asks it anything, so a run is the
//! same whoever watches.

mod calm;
mod carry;
mod client;
mod clock;
mod disks;
mod errands;
mod erring;
mod faults;
mod host;
mod identity;
mod last;
mod life;
mod load;
mod members;
mod network;
mod node;
mod operator;
mod orders;
mod power;
mod progress;
mod pursuit;
mod queue;
mod recovery;
mod shape;
mod standing;
mod storm;
mod stray;
#[cfg(test)]
mod tests;

use std::time::Duration;

use quorate::raft::{PeerStatus, RoleName, Status};
use quorate::replica::{Input, Note, Output};
use quorate::types::{Index, Instant, Message, NodeId, Packet, TransferBody};

use crate::choice::{Choices, Key, Kind};
use crate::digest;
use crate::observe::Seen;
use crate::plan::{Plan, Trigger};
use crate::record::Taken;
use crate::settings::Settings;
use crate::taint::Taint;
use crate::time::SimTime;
use crate::witness::Witness;
use crate::workload::AnyWorkload;
use crate::world::calm::Calm;
use crate::world::client::Clients;
use crate::world::clock::Clock;
use crate::world::errands::Errands;
pub(crate) use crate::world::network::Network;
use crate::world::network::Parcel;
use crate::world::node::Node;
pub(crate) use crate::world::node::Place;
use crate::world::operator::Operator;
use crate::world::queue::{Event, Queue};
use crate::world::standing::Standing;
use crate::world::storm::Storm;

/// A cluster and everything around it. A clone goes on exactly as the original would.
#[derive(Clone, Debug)]
pub(crate) struct World {
    settings: Settings,
    workload: AnyWorkload,
    choices: Choices,
    now: SimTime,
    queue: Queue,
    nodes: Vec<Node>,
    network: Network,
    clients: Clients,
    errands: Errands,
    operator: Operator,
    /// The last membership that is committed, and up to where the log is known to be.
    in_force: Standing,
    storm: Storm,
    /// What must be reached once the storm is over; none before.
    calm: Option<Calm>,
    /// A node forgot what it had promised: nothing can be asked of the run but not to panic.
    beyond: bool,
    taint: Taint,
    digest: u64,
    events: u64,
    /// Events since time last advanced.
    events_now: u32,
    ended: bool,
    /// Kept between steps for its memory alone.
    outputs: Vec<Output>,
    notes: Vec<Note>,
    /// What packets are written on.
    paper: Vec<u8>,
}

/// More events than this at one instant mean that they beget one another.
const EVENTS_AT_ONE_INSTANT_MAX: u32 = 100_000;
/// So do more events than this beyond one in every so many nanoseconds of the run so far; the
/// busiest runs of a correct cluster have a fifth of that.
const EVENTS_BEYOND_RATE_MAX: u64 = 1_000_000;
const EVENT_NANOS_MIN: u64 = 2_000;

impl World {
    /// The world at the start: every node is about to start for the first time.
    pub(crate) fn new(
        settings: Settings,
        workload: AnyWorkload,
        plan: Plan,
        choices: Choices,
    ) -> World {
        let count = settings.nodes();
        let first = Standing { index: Index::ZERO, membership: settings.formatted() };
        let nodes = (0..count).map(|place| {
            let key = Key { node: place + 1, ..Kind::Clock.key() };
            let offset = Duration::from_micros(choices.choose(key, 1_000_000));
            let key = Key { counter: 1, ..key };
            let most = u64::from(settings.clocks.usual_ppm_max);
            let off = choices.choose(key, 2 * most + 1) as i32;
            let ppm = if off % 2 == 0 { off / 2 } else { -(off / 2) - 1 };
            Node::new(Place(place), Clock::new(offset, ppm), first.clone())
        });
        let mut world = World {
            nodes: nodes.collect(),
            network: Network::new(count as usize),
            clients: Clients::new(settings.clients),
            errands: Errands::default(),
            operator: Operator::default(),
            in_force: first.clone(),
            storm: Storm::new(plan),
            now: SimTime::default(),
            queue: Queue::default(),
            calm: None,
            beyond: false,
            taint: Taint::default(),
            digest: 0,
            events: 0,
            events_now: 0,
            ended: false,
            outputs: Vec::new(),
            notes: Vec::new(),
            paper: Vec::new(),
            settings,
            workload,
            choices,
        };
        for place in 0..count {
            world.queue.push(world.now, Event::Restart { node: place, incarnation: 1 });
        }
        world.schedule_redraws();
        world.schedule_plan();
        world.schedule_clients();
        world.queue.push(world.storm_end(), Event::Calm);
        world
    }

    /// When the storm is over: what has no end of its own ends then.
    fn storm_end(&self) -> SimTime {
        SimTime::default().after(self.settings.storm)
    }

    fn schedule_redraws(&mut self) {
        for micros in self.choices.redraws() {
            let at = SimTime::default().after(Duration::from_micros(micros.into()));
            self.queue.push(at, Event::Redraw { micros });
        }
    }

    /// From now on no disk does what it says: a bug that has to be found.
    pub(crate) fn plant_canary(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.disk.lie());
    }

    /// Runs to the end, or until `witness` has seen something wrong or there were so many events.
    pub(crate) fn run(&mut self, witness: &mut Witness, events_max: u64) {
        let goes_on = |world: &World| !world.ended && world.events < events_max;
        while goes_on(self) && witness.is_content(self.queue.next()) && self.advance(witness) {}
    }

    /// How far the run has come: in time, and in events.
    pub(crate) fn position(&self) -> (SimTime, u64) {
        (self.now, self.events)
    }

    /// How each leader sees its peers.
    pub(crate) fn peers(&self) -> Vec<(NodeId, Vec<PeerStatus>)> {
        let running =
            self.nodes.iter().filter_map(|node| Some((node.place, node.running.as_ref()?)));
        let leaders = running.filter(|(_, running)| running.status.role == RoleName::Leader);
        leaders.map(|(place, running)| (place.id(), running.node.peers())).collect()
    }

    /// A hash over every event so far.
    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// Why time stands still, or all but does, if so.
    pub(crate) fn stalled(&self) -> Option<String> {
        let (events, now) = (self.events, self.now);
        if self.events_now > EVENTS_AT_ONE_INSTANT_MAX {
            Some(format!("over {EVENTS_AT_ONE_INSTANT_MAX} events at {now}s and no end"))
        } else {
            self.is_flooded().then(|| format!("{events} events by {now}s and no end"))
        }
    }

    fn is_flooded(&self) -> bool {
        self.events > EVENTS_BEYOND_RATE_MAX + self.now.0 / EVENT_NANOS_MIN
    }

    /// Lets the next event happen; false if there is none, or there are far too many.
    fn advance(&mut self, witness: &mut Witness) -> bool {
        let Some((at, event)) = self.queue.pop() else { return false };
        debug_assert!(at >= self.now, "time never goes back");
        if at > self.now {
            self.now = at;
            self.events_now = 0;
        }
        self.events_now += 1;
        if self.events_now > EVENTS_AT_ONE_INSTANT_MAX || self.is_flooded() {
            return false;
        }
        self.happen(event, witness);
        true
    }

    fn happen(&mut self, event: Event, witness: &mut Witness) {
        if self.hold(event) {
            return;
        }
        match event {
            Event::Arrive { slot } => self.arrive(slot, witness),
            Event::Intrude { node, slot } => {
                if let Some(parcel) = self.network.collect(slot) {
                    self.receive(Place(node), &parcel, witness);
                }
            }
            Event::Request { slot } => self.request(slot, witness),
            Event::Gathered { node, incarnation } => {
                self.gathered(Place(node), incarnation, witness);
            }
            Event::Wake { node, incarnation } => self.wake(Place(node), incarnation, witness),
            Event::Operated { node, incarnation, lane } => {
                self.operated(Place(node), incarnation, lane.into(), witness);
            }
            Event::Reported { node, incarnation, lane } => {
                self.reported(Place(node), incarnation, lane.into(), witness);
            }
            Event::Worked { node, incarnation } => self.worked(Place(node), incarnation, witness),
            Event::Viewed { node, incarnation } => self.viewed(Place(node), incarnation, witness),
            Event::Carry { node, incarnation } => {
                self.carry_next(Place(node), incarnation, witness);
            }
            Event::Close { node } => self.step(Place(node), Input::Close, witness),
            Event::Order { order } => self.obey(order, witness),
            Event::Campaign { node } => self.step(Place(node), Input::Campaign, witness),
            Event::Restart { node, incarnation } if self.may_recover(Place(node)) => {
                self.restart(Place(node), incarnation, witness);
            }
            Event::Resume { node, pause } if self.may_recover(Place(node)) => {
                self.resume(Place(node), pause, witness);
            }
            Event::Restart { .. } | Event::Resume { .. } => {}
            Event::Client { client, nap } => self.client_wakes(client, nap, witness),
            Event::Planned { op } => self.planned(op, witness),
            Event::Fire { firing } => self.fire_later(firing, witness),
            Event::Lift { effect } => self.lift(effect, witness),
            Event::Flap { effect } => self.flap(effect, witness),
            Event::Consult { effect } => self.consult(effect, witness),
            Event::Redraw { micros } => self.choices.redraw(micros),
            Event::Calm => self.begin_calm(witness),
            Event::Look => self.look(witness),
            Event::End => self.end(witness),
        }
    }

    /// Puts the event aside if it concerns a process that stands still.
    fn hold(&mut self, event: Event) -> bool {
        let place = match event {
            Event::Arrive { slot } => {
                self.network.peek(slot).and_then(|parcel| Place::of(parcel.to, self.nodes.len()))
            }
            Event::Request { slot } => self.clients.place_of(slot),
            Event::Order { order } => Some(self.operator.place_of(order)),
            Event::Wake { node, .. }
            | Event::Intrude { node, .. }
            | Event::Gathered { node, .. }
            | Event::Reported { node, .. }
            | Event::Worked { node, .. }
            | Event::Viewed { node, .. }
            | Event::Carry { node, .. }
            | Event::Close { node }
            | Event::Campaign { node } => Some(Place(node)),
            _ => None,
        };
        let held = place.and_then(|place| self.nodes[place.0 as usize].held.as_mut());
        held.map(|held| held.push(event)).is_some()
    }

    /// Lets a message reach a node at once, whomever it is addressed to.
    fn arrives_now(&mut self, place: Place, message: Message, witness: &mut Witness) {
        let packet = Packet::Message(message);
        let Some(mut parcel) = Parcel::pack(&packet, &mut self.paper) else { return };
        self.network.number(&mut parcel);
        witness.intrudes(self.now, place.id(), parcel.number, &packet);
        let slot = self.network.dispatch(parcel);
        self.queue.push(self.now, Event::Intrude { node: place.0, slot });
    }

    fn arrive(&mut self, slot: u32, witness: &mut Witness) {
        let Some(parcel) = self.network.collect(slot) else { return };
        let Some(to) = Place::of(parcel.to, self.nodes.len()) else { return };
        self.receive(to, &parcel, witness);
    }

    /// A packet reaches the node in place `to`, whomever it is addressed to.
    fn receive(&mut self, to: Place, parcel: &Parcel, witness: &mut Witness) {
        let Some(running) = &self.nodes[to.0 as usize].running else {
            self.count_event(EventKind::Vain, u64::from(to.0));
            witness.drops(self.now, to.id(), parcel.number);
            return;
        };
        let packet = parcel.unpack();
        if let Some(message) = packet.message() {
            witness.received(message, &running.status);
        }
        witness.arrives(parcel.number);
        let part = matches!(&packet, Packet::Transfer(transfer)
            if matches!(transfer.body, TransferBody::Bytes(..)));
        self.step(to, Input::Packet(packet), witness);
        if part {
            self.pull(Trigger::ReceivesPart, to, None, witness);
        }
    }

    fn wake(&mut self, place: Place, incarnation: u16, witness: &mut Witness) {
        let now = self.now;
        let node = &mut self.nodes[place.0 as usize];
        let own = node.clock.read(now);
        let Some(running) = node.started_as(incarnation) else { return };
        if running.wake_at > now {
            return;
        }
        running.wake_at = SimTime(u64::MAX);
        if running.node.deadline() <= own {
            self.step(place, Input::Timeout, witness);
        } else {
            self.rearm(place);
        }
    }

    /// A node has just started: carries out what it wants first.
    fn begin(&mut self, place: Place, witness: &mut Witness) {
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        let mut outputs = std::mem::take(&mut self.outputs);
        let mut notes = std::mem::take(&mut self.notes);
        running.node.start(&mut outputs);
        running.node.take_notes(&mut notes);
        let status = running.status;
        self.end_step(place, &status, (outputs, notes), witness);
    }

    /// Gives a node an input and carries out what it wants.
    fn step(&mut self, place: Place, input: Input, witness: &mut Witness) {
        let now = self.now;
        let node = &mut self.nodes[place.0 as usize];
        let own = node.clock.read(now);
        let Some(running) = node.running.as_deref_mut() else { return };
        let kind = EventKind::of(&input);
        let answers = answers(&input).filter(|_| witness.checks());
        let taken = witness.is_recorded().then(|| Taken::of(&input));
        let mut outputs = std::mem::take(&mut self.outputs);
        let mut notes = std::mem::take(&mut self.notes);
        running.node.step(own, input, &mut outputs);
        running.node.take_notes(&mut notes);
        let before = std::mem::replace(&mut running.status, running.node.status());
        running.counts.steps += 1;
        running.note_lead(&before, witness);
        if witness.checks() {
            running.node.assert_invariants();
        }
        let status = running.status;
        if let Some(taken) = taken {
            witness.takes(now, &status, taken, running.node.deadline());
        }
        let membership = running.node.raft().membership().clone();
        let counted = answers.and_then(|peer| Some((peer, running.node.raft().matched(peer)?)));
        let ladder = status.last.index.0 << 32 ^ status.committed.0 << 16 ^ status.durable.0;
        self.count_event(kind, status.term.0 << 8 ^ (place.0 as u64) << 4 ^ status.role as u64);
        self.fold(ladder ^ (outputs.len() as u64) << 56);
        if before.role != status.role {
            self.note_reign();
        }
        self.note_durable(place, &notes, witness);
        self.note_who_counts(place, &notes, &membership);
        World::note_deposed(&before, &outputs, witness);
        let seen = Seen::Stepped { node: status.id, status: &status, membership: &membership };
        witness.see(now, seen);
        if let Some((peer, matched)) = counted {
            witness.see(now, Seen::Counted { node: status.id, peer, matched });
        }
        witness.stepped(&before, &status);
        self.note_membership(place, &before, witness);
        self.end_step(place, &before, (outputs, notes), witness);
    }

    fn end_step(
        &mut self,
        place: Place,
        before: &Status,
        (mut outputs, mut notes): (Vec<Output>, Vec<Note>),
        witness: &mut Witness,
    ) {
        self.take_notes(place, &mut notes, witness);
        self.rearm(place);
        self.carry_all(place, before, &mut outputs, witness);
        self.show_shape(place, witness);
        outputs.clear();
        (self.outputs, self.notes) = (outputs, notes);
    }

    /// Sees to it that the node is woken by its deadline.
    fn rearm(&mut self, place: Place) {
        let now = self.now;
        let node = &mut self.nodes[place.0 as usize];
        let incarnation = node.incarnation;
        let Some(running) = node.running.as_deref_mut() else { return };
        let deadline = running.node.deadline();
        if deadline == Instant::NEVER {
            return;
        }
        let at = node.clock.when(deadline, now);
        // An earlier wake-up finds that it came too soon and arms the later one.
        if at < running.wake_at {
            running.wake_at = at;
            self.queue.push(at, Event::Wake { node: place.0, incarnation });
        }
    }

    /// Takes one more event into the count and the digest.
    fn count_event(&mut self, kind: EventKind, what: u64) {
        self.events += 1;
        self.fold(self.now.0 ^ (kind as u64) << 56);
        self.fold(what);
    }

    fn fold(&mut self, value: u64) {
        self.digest = digest::mix(self.digest, value);
    }
}

/// The peer whose answer the input is, if it is one.
fn answers(input: &Input) -> Option<NodeId> {
    match input {
        Input::Packet(packet) => {
            packet.message().filter(|message| message.body.is_reply()).map(|message| message.from)
        }
        _ => None,
    }
}

/// What an event is, as the digest tells them apart.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
enum EventKind {
    Message = 1,
    Transfer,
    Timeout,
    Disk,
    Done,
    View,
    Propose,
    Read,
    /// An order of the operator's, or another.
    Order,
    /// A message or a request reaches a node that is down.
    Vain,
    Operation,
    Crash,
    Start,
    Fault,
    /// Nodes compare their state machines.
    Comparison,
}

impl EventKind {
    fn of(input: &Input) -> EventKind {
        match input {
            Input::Packet(Packet::Message(_) | Packet::Chained(..)) => EventKind::Message,
            Input::Packet(Packet::Comparison(_)) => EventKind::Comparison,
            Input::Packet(Packet::Transfer(_)) => EventKind::Transfer,
            Input::Timeout => EventKind::Timeout,
            Input::Disk(_) => EventKind::Disk,
            Input::Done(_) => EventKind::Done,
            Input::Frozen(_) | Input::Viewed(_) | Input::ViewFailed => EventKind::View,
            Input::Propose(_) => EventKind::Propose,
            Input::Read { .. } => EventKind::Read,
            _ => EventKind::Order,
        }
    }
}
