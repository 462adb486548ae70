//! The world of one run: nodes, disks, clocks, the network, clients and the plan, advanced one
//! event at a time.
//!
//! Each output of a node is executed separately, so a crash can fall between any two. The world
//! reports everything to an [`Observer`] and never asks it anything, so a run is the same whether
//! or not it is observed.

mod active_plan;
mod admin_requests;
mod client;
mod client_load;
mod clock;
mod core_progress;
mod disk_faults;
mod host;
mod identity;
mod last_survivor;
mod logged_membership;
mod machine_faults;
mod members;
mod misroute;
mod network;
mod node;
mod operator;
mod outputs;
mod place;
mod plan_faults;
mod power_loss;
mod processes;
mod recovery;
mod scheduler;
mod scripted;
mod scripted_clients;
mod shape;
mod stabilization;
#[cfg(test)]
mod tests;

use std::time::Duration;

use quorate::raft::{PeerStatus, RoleName, Status};
use quorate::replica::{Input, Note, Output};
use quorate::types::{Index, Instant, Message, NodeId, Packet, SnapshotTransferBody};

use crate::choice::{Choices, Key, Kind};
use crate::observe::Observation;
use crate::observer::Observer;
use crate::plan::{Plan, Trigger};
use crate::record::InputKind;
use crate::settings::Settings;
use crate::taint::Taint;
use crate::time::SimTime;
use crate::workload::AnyWorkload;
use crate::world::active_plan::ActivePlan;
use crate::world::client::Clients;
use crate::world::clock::Clock;
use crate::world::logged_membership::LoggedMembership;
use crate::world::network::Envelope;
pub(crate) use crate::world::network::Network;
use crate::world::node::Node;
use crate::world::operator::Operator;
pub(crate) use crate::world::place::Place;
use crate::world::scheduler::queue::Event;
use crate::world::scheduler::{EventKind, Scheduler};
use crate::world::scripted::ScriptedRequests;
use crate::world::stabilization::Stabilization;

/// A cluster and its environment. A clone continues exactly as the original would.
#[derive(Clone, Debug)]
pub(crate) struct World {
    settings: Settings,
    workload: AnyWorkload,
    choices: Choices,
    scheduler: Scheduler,
    nodes: Vec<Node>,
    network: Network,
    clients: Clients,
    scripted: ScriptedRequests,
    operator: Operator,
    /// The last committed membership, and its index in the log.
    committed_membership: LoggedMembership,
    plan: ActivePlan,
    /// The goals of the stabilization phase; none in the fault phase.
    stabilization: Option<Stabilization>,
    /// A node lost durable state that safety depends on: from then on the run only must not panic.
    safety_lost: bool,
    taint: Taint,
    ended: bool,
    /// Buffers reused between steps to save allocations.
    outputs: Vec<Output>,
    notes: Vec<Note>,
    /// The buffer into which packets are encoded.
    encode_buffer: Vec<u8>,
}

impl World {
    /// Returns the world at the start, in which every node is about to start for the first time.
    pub(crate) fn new(
        settings: Settings,
        workload: AnyWorkload,
        plan: Plan,
        choices: Choices,
    ) -> World {
        let count = settings.nodes();
        let first = LoggedMembership { index: Index::ZERO, membership: settings.formatted() };
        let nodes = (0..count).map(|place| {
            let key = Key { node: place + 1, ..Kind::Clock.key() };
            let offset = Duration::from_micros(choices.choose(key, 1_000_000));
            let key = Key { counter: 1, ..key };
            let most = u64::from(settings.clocks.error_ppm_max);
            let off = choices.choose(key, 2 * most + 1) as i32;
            let ppm = if off % 2 == 0 { off / 2 } else { -(off / 2) - 1 };
            Node::new(Place(place), Clock::new(offset, ppm), first.clone())
        });
        let mut world = World {
            nodes: nodes.collect(),
            network: Network::new(count as usize),
            clients: Clients::new(settings.clients),
            scripted: ScriptedRequests::default(),
            operator: Operator::default(),
            committed_membership: first.clone(),
            plan: ActivePlan::new(plan),
            scheduler: Scheduler::default(),
            stabilization: None,
            safety_lost: false,
            taint: Taint::default(),
            ended: false,
            outputs: Vec::new(),
            notes: Vec::new(),
            encode_buffer: Vec::new(),
            settings,
            workload,
            choices,
        };
        for place in 0..count {
            world.scheduler.at_once(Event::Restart { place: Place(place), start_number: 1 });
        }
        world.schedule_reseeds();
        world.schedule_plan();
        world.schedule_clients();
        world.scheduler.at(world.fault_phase_end(), Event::Stabilize);
        world
    }

    /// Returns the end of the fault phase, at which faults without an end of their own are repaired
    /// in the core.
    fn fault_phase_end(&self) -> SimTime {
        SimTime::default().after(self.settings.fault_phase)
    }

    fn schedule_reseeds(&mut self) {
        for micros in self.choices.reseeds() {
            let at = SimTime::default().after(Duration::from_micros(micros.into()));
            self.scheduler.at(at, Event::Reseed { micros });
        }
    }

    /// Makes every disk lie about flushes from now on: a planted bug that the checks must find.
    pub(crate) fn plant_canary(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.disk.lie_about_flushes());
    }

    /// Runs to the end, until `observer` has seen a violation, or until there were `events_max`
    /// events.
    pub(crate) fn run(&mut self, observer: &mut Observer, events_max: u64) {
        let continue_after_failure =
            |world: &World| !world.ended && world.scheduler.events() < events_max;
        while continue_after_failure(self)
            && observer.may_continue(self.scheduler.next())
            && self.advance(observer)
        {}
    }

    /// Returns the current time, and the number of events so far.
    pub(crate) fn position(&self) -> (SimTime, u64) {
        (self.scheduler.now(), self.scheduler.events())
    }

    /// Returns the peer status of each leader.
    pub(crate) fn peers(&self) -> Vec<(NodeId, Vec<PeerStatus>)> {
        let running =
            self.nodes.iter().filter_map(|node| Some((node.place, node.running.as_ref()?)));
        let leaders = running.filter(|(_, running)| running.status.role == RoleName::Leader);
        leaders.map(|(place, running)| (place.id(), running.node.peers())).collect()
    }

    /// Returns a hash over all events so far.
    pub(crate) fn digest(&self) -> u64 {
        self.scheduler.digest()
    }

    /// Returns the reason why time does not advance, or hardly does, if that is so.
    pub(crate) fn stalled(&self) -> Option<String> {
        self.scheduler.stalled()
    }

    /// Executes the next event; returns false if there is none, or if there are far too many.
    fn advance(&mut self, observer: &mut Observer) -> bool {
        let Some(event) = self.scheduler.advance() else { return false };
        self.handle_event(event, observer);
        true
    }

    fn handle_event(&mut self, event: Event, observer: &mut Observer) {
        if self.hold_if_paused(event) {
            return;
        }
        match event {
            Event::Arrive { slot } => self.arrive(slot, observer),
            Event::Inject { place, slot } => {
                if let Some(envelope) = self.network.collect(slot) {
                    self.receive(place, &envelope, observer);
                }
            }
            Event::Request { slot } => self.request(slot, observer),
            Event::BatchReady { place, start_number } => {
                self.propose_gathered(place, start_number, observer);
            }
            Event::Wake { place, start_number } => self.wake(place, start_number, observer),
            Event::OperationDone { place, start_number, lane } => {
                self.operation_done(place, start_number, lane.into(), observer);
            }
            Event::CompletionReported { place, start_number, lane } => {
                self.report_completions(place, start_number, lane.into(), observer);
            }
            Event::WorkDone { place, start_number } => {
                self.work_done(place, start_number, observer)
            }
            Event::ViewDone { place, start_number } => {
                self.view_done(place, start_number, observer)
            }
            Event::ExecuteOutput { place, start_number } => {
                self.execute_next_output(place, start_number, observer);
            }
            Event::Stop { place } => self.step(place, Input::Close, observer),
            Event::AdminRequest { request } => self.admin_request_arrives(request, observer),
            Event::Campaign { place } => self.step(place, Input::Campaign, observer),
            Event::Restart { place, start_number } if self.may_recover(place) => {
                self.restart(place, start_number, observer);
            }
            Event::Resume { place, pause } if self.may_recover(place) => {
                self.resume(place, pause, observer);
            }
            Event::Restart { .. } | Event::Resume { .. } => {}
            Event::ClientTimer { client, timer } => {
                self.client_timer_fires(client, timer, observer)
            }
            Event::Planned { op } => self.planned(op, observer),
            Event::FireDelayed { number } => self.fire_delayed(number, observer),
            Event::EndEffect { effect } => self.end_effect(effect, observer),
            Event::Flap { effect } => self.flap(effect, observer),
            Event::PollRead { effect } => self.poll_read(effect, observer),
            Event::Reseed { micros } => self.choices.reseed(micros),
            Event::Stabilize => self.begin_stabilization(observer),
            Event::CheckProgress => self.check_progress(observer),
            Event::End => self.end(observer),
        }
    }

    /// Defers the event if it concerns a paused process; returns true if it did.
    fn hold_if_paused(&mut self, event: Event) -> bool {
        let place = match event {
            Event::Arrive { slot } => self
                .network
                .peek(slot)
                .and_then(|envelope| Place::of(envelope.to, self.nodes.len())),
            Event::Request { slot } => self.clients.place_of(slot),
            Event::AdminRequest { request } => Some(self.operator.place_of(request)),
            Event::Wake { place, .. }
            | Event::Inject { place, .. }
            | Event::BatchReady { place, .. }
            | Event::CompletionReported { place, .. }
            | Event::WorkDone { place, .. }
            | Event::ViewDone { place, .. }
            | Event::ExecuteOutput { place, .. }
            | Event::Stop { place }
            | Event::Campaign { place } => Some(place),
            _ => None,
        };
        let held = place.and_then(|place| self.nodes[place.0 as usize].held.as_mut());
        held.map(|held| held.push(event)).is_some()
    }

    /// Delivers a message to a node at once, even if it is addressed to another node.
    fn inject_message(&mut self, place: Place, message: Message, observer: &mut Observer) {
        let packet = Packet::Message(message);
        let Some(mut envelope) = Envelope::encode(&packet, &mut self.encode_buffer) else { return };
        self.network.number(&mut envelope);
        observer.packet_injected(self.scheduler.now(), place.id(), envelope.number, &packet);
        let slot = self.network.dispatch(envelope);
        self.scheduler.at_once(Event::Inject { place: place, slot });
    }

    fn arrive(&mut self, slot: u32, observer: &mut Observer) {
        let Some(envelope) = self.network.collect(slot) else { return };
        let Some(to) = Place::of(envelope.to, self.nodes.len()) else { return };
        self.receive(to, &envelope, observer);
    }

    /// Delivers a packet to the node at `to`, even if it is addressed to another node.
    fn receive(&mut self, to: Place, envelope: &Envelope, observer: &mut Observer) {
        let Some(running) = &self.nodes[to.0 as usize].running else {
            self.scheduler.count(EventKind::Undelivered, u64::from(to.0));
            observer.packet_dropped(self.scheduler.now(), to.id(), envelope.number);
            return;
        };
        let packet = envelope.decode();
        if let Some(message) = packet.message() {
            observer.received(message, &running.status);
        }
        observer.packet_arrives(envelope.number);
        let part = matches!(&packet, Packet::SnapshotTransfer(transfer)
            if matches!(transfer.body, SnapshotTransferBody::Bytes(..)));
        self.step(to, Input::Packet(packet), observer);
        if part {
            self.fire_trigger(Trigger::ReceivesPart, to, None, observer);
        }
    }

    fn wake(&mut self, place: Place, start_number: u16, observer: &mut Observer) {
        let now = self.scheduler.now();
        let node = &mut self.nodes[place.0 as usize];
        let own = node.clock.read(now);
        let Some(running) = node.started_as(start_number) else { return };
        if running.wake_at > now {
            return;
        }
        running.wake_at = SimTime(u64::MAX);
        if running.node.deadline() <= own {
            self.step(place, Input::Timeout, observer);
        } else {
            self.rearm(place);
        }
    }

    /// Starts a node that has just been opened, and executes its first outputs.
    fn begin_node(&mut self, place: Place, observer: &mut Observer) {
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        let mut outputs = std::mem::take(&mut self.outputs);
        let mut notes = std::mem::take(&mut self.notes);
        running.node.start(&mut outputs);
        running.node.take_notes(&mut notes);
        let status = running.status;
        self.end_step(place, &status, (outputs, notes), observer);
    }

    /// Passes an input to a node, and executes the outputs of the step.
    fn step(&mut self, place: Place, input: Input, observer: &mut Observer) {
        let now = self.scheduler.now();
        let node = &mut self.nodes[place.0 as usize];
        let own = node.clock.read(now);
        let Some(running) = node.running.as_deref_mut() else { return };
        let kind = EventKind::of(&input);
        let answers = replying_peer(&input).filter(|_| observer.has_checks());
        let taken = observer.is_recorded().then(|| InputKind::of(&input));
        let mut outputs = std::mem::take(&mut self.outputs);
        let mut notes = std::mem::take(&mut self.notes);
        running.node.step(own, input, &mut outputs);
        running.node.take_notes(&mut notes);
        let before = std::mem::replace(&mut running.status, running.node.status());
        running.counts.steps += 1;
        running.note_lead(&before, observer);
        if observer.has_checks() {
            running.node.assert_invariants();
        }
        let status = running.status;
        if let Some(taken) = taken {
            observer.input_taken(now, &status, taken, running.node.deadline());
        }
        let membership = running.node.raft().membership().clone();
        let counted = answers.and_then(|peer| Some((peer, running.node.raft().matched(peer)?)));
        let ladder = status.last.index.0 << 32 ^ status.committed.0 << 16 ^ status.durable.0;
        self.scheduler.count(kind, status.term.0 << 8 ^ (place.0 as u64) << 4 ^ status.role as u64);
        self.scheduler.fold(ladder ^ (outputs.len() as u64) << 56);
        if before.role != status.role {
            self.note_leader();
        }
        self.note_durable(place, &notes, observer);
        self.note_takeover_allowed(place, &notes, &membership);
        World::note_leader_quarantine(&before, &outputs, observer);
        let seen =
            Observation::Stepped { node: status.id, status: &status, membership: &membership };
        observer.observe(now, seen);
        if let Some((peer, matched)) = counted {
            observer.observe(now, Observation::PeerMatched { node: status.id, peer, matched });
        }
        observer.stepped(&before, &status);
        self.note_membership(place, &before, observer);
        self.end_step(place, &before, (outputs, notes), observer);
    }

    fn end_step(
        &mut self,
        place: Place,
        before: &Status,
        (mut outputs, mut notes): (Vec<Output>, Vec<Note>),
        observer: &mut Observer,
    ) {
        self.take_notes(place, &mut notes, observer);
        self.rearm(place);
        self.execute_outputs(place, before, &mut outputs, observer);
        self.show_shape(place, observer);
        outputs.clear();
        (self.outputs, self.notes) = (outputs, notes);
    }

    /// Schedules a wake-up of the node at its deadline.
    fn rearm(&mut self, place: Place) {
        let now = self.scheduler.now();
        let node = &mut self.nodes[place.0 as usize];
        let start_number = node.start_number;
        let Some(running) = node.running.as_deref_mut() else { return };
        let deadline = running.node.deadline();
        if deadline == Instant::NEVER {
            return;
        }
        let at = node.clock.when(deadline, now);
        // An earlier wake-up finds that it came too early, and schedules the later one.
        if at < running.wake_at {
            running.wake_at = at;
            self.scheduler.at(at, Event::Wake { place: place, start_number });
        }
    }
}

/// Returns the peer whose reply the input is, if it is one.
fn replying_peer(input: &Input) -> Option<NodeId> {
    match input {
        Input::Packet(packet) => {
            packet.message().filter(|message| message.body.is_reply()).map(|message| message.from)
        }
        _ => None,
    }
}
