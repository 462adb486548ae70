//! Executes the outputs of a node, one by one.

use quorate::raft::{RoleName, Status};
use quorate::replica::Output;
use quorate::storage::{FileAction, Lane, Operation, StorageError};
use quorate::types::{
    AppendOutcome, Body, Message, MessageKind, Packet, SnapshotTransferBody, Tag,
};

use crate::faults::{Fault, KeptWrites};
use crate::observe::Observation;
use crate::observe::coverage::Spot;
use crate::observer::Observer;
use crate::plan::Trigger;
use crate::values::choice::{Key, Kind};
use crate::world::World;
use crate::world::cluster::processes::Exit;
use crate::world::cluster::queues::ViewRequest;
use crate::world::faults::machine;
use crate::world::load::operator::Operator;
use crate::world::load::replies::{ClientReply, ReadReply};
use crate::world::network::Sender;
use crate::world::place::Place;
use crate::world::run::Run;
use crate::world::setup::Setup;

const MILLION: u64 = 1_000_000;

impl World {
    /// Executes the outputs of one step: at once, late if the driver lags, or only a part of them
    /// if the node crashes in between.
    pub(super) fn execute_outputs(
        &mut self,
        place: Place,
        before: &Status,
        outputs: &mut Vec<Output>,
        observer: &mut Observer,
    ) {
        let node = &mut self.cluster[place];
        let start_number = node.start_number();
        let Some(running) = node.running_mut() else { return };
        let (status, counter, lagging) = (*running.status(), running.steps(), running.lags());
        if status.committed > before.committed {
            let leader = status.leader.and_then(|id| self.cluster.place(id));
            if self.fire_trigger(Trigger::AdvancesCommit, place, leader, observer) {
                return;
            }
        }
        let running = self.cluster[place].running_mut();
        if running.is_some_and(|running| running.take_membership_changed()) {
            let leader = self.cluster.leader();
            if self.fire_trigger(Trigger::ChangesMembership, place, leader, observer) {
                return;
            }
        }
        if outputs.is_empty() {
            return;
        }
        let key = |kind| Key { node: place.0 + 1, start_number, counter, ..Kind::key(kind) };
        let Setup { settings, choices, .. } = &self.setup;
        if settings.faults.has(Fault::Reorder) && outputs.len() > 1 {
            shuffle(outputs, choices.choose(key(Kind::Order), 8));
        }
        let late = choices.chance(key(Kind::Lag), settings.lag_permille);
        if late || lagging {
            if late {
                observer.fault(Fault::Lag, Some(status.role));
            }
            let (cluster, mut run) = self.cluster_and_run(observer);
            return cluster[place].delay_outputs(outputs, &mut run);
        }
        let torn = torn_at(key(Kind::TornStep), outputs.len(), &self.setup);
        for (number, output) in outputs.drain(..).enumerate() {
            if torn == Some(number) {
                observer.reach_if(number > 0, Spot::CrashBetweenActions);
                let down = self.setup.settings.config.election_timeout_min / 2;
                self.crash(place, Exit::crash(KeptWrites::Part, down), observer);
            }
            if self.cluster[place].start_number() != start_number {
                return;
            }
            self.execute_output(place, output, observer);
        }
    }

    /// Executes the next output of a lagging driver.
    pub(super) fn execute_next_output(
        &mut self,
        place: Place,
        start_number: u16,
        observer: &mut Observer,
    ) {
        let (cluster, mut run) = self.cluster_and_run(observer);
        if let Some(output) = cluster[place].next_output(start_number, &mut run) {
            self.execute_output(place, output, observer);
        }
    }

    /// Executes one output of a running node.
    fn execute_output(&mut self, place: Place, output: Output, observer: &mut Observer) {
        match output {
            Output::Send(packet) => self.send(place, packet, observer),
            Output::Disk(operation) => {
                if is_log_write(&operation)
                    && self.fire_trigger(Trigger::AboutToWrite, place, None, observer)
                {
                    observer.reach(Spot::CrashBeforeSubmit);
                    return;
                }
                let (cluster, mut run) = self.cluster_and_run(observer);
                cluster[place].submit_operation(operation, &mut run);
            }
            Output::Work(work) => {
                let (cluster, mut run) = self.cluster_and_run(observer);
                cluster[place].submit_work(work, &mut run);
            }
            Output::FreezeView => {
                let (cluster, mut run) = self.cluster_and_run(observer);
                cluster[place].request_view(ViewRequest::Freeze, &mut run);
                self.fire_trigger(Trigger::TakesSnapshot, place, None, observer);
            }
            Output::ReadView { bytes } => {
                let (cluster, mut run) = self.cluster_and_run(observer);
                cluster[place].request_view(ViewRequest::Read(bytes), &mut run);
            }
            Output::MembershipChangeCommitted { tag, .. }
            | Output::LeadershipTransferred { tag }
            | Output::Rejected { tag, .. }
            | Output::Unknown { tag }
                if Operator::owns_tag(tag) =>
            {
                self.answer(place, tag, observer);
                self.load.operator.finish(tag);
                observer.operator_reply(self.scheduler.now(), place.id(), &output);
            }
            Output::Replied { .. }
            | Output::MayBeLost { .. }
            | Output::Answered { .. }
            | Output::Rejected { .. }
            | Output::Unknown { .. } => self.reply_to_client(place, output, observer),
            Output::RoleChanged { role, .. } => self.role_changed(place, role, observer),
            Output::StateCompared(result) => {
                machine::note_comparison(place.id(), result, self.scheduler.now(), observer);
            }
            Output::Stopped(failure) => self.stop_failed_node(place, &failure, observer),
            Output::Closed => {
                let down = self.cluster[place].take_stop_downtime();
                let keep = KeptWrites::All;
                self.end_process(place, Exit { keep, down, cleanly: true }, observer);
            }
            _ => {}
        }
    }

    /// Delivers a reply to a client.
    fn reply_to_client(&mut self, at: Place, output: Output, observer: &mut Observer) {
        let (tag, reply) = match &output {
            Output::Replied { tag, id, outcome } => {
                (*tag, ClientReply::Committed { at, id: *id, outcome })
            }
            Output::MayBeLost { tag, .. } => (*tag, ClientReply::MayBeLost { at }),
            Output::Answered { tag, freshness, index, applied, answer } => {
                let running = self.cluster[at].running_mut();
                let state = running.and_then(|running| running.take_answered_in(*tag));
                let (freshness, index, applied) = (*freshness, *index, *applied);
                let reply = ReadReply { at, freshness, index, applied, state, answer };
                (*tag, ClientReply::Read(reply))
            }
            Output::Rejected { tag, reason } => (*tag, ClientReply::Rejected(*reason)),
            Output::Unknown { tag } => {
                observer.reach(Spot::UnknownByStepDown);
                (*tag, ClientReply::Unknown)
            }
            _ => return,
        };
        self.answer(at, tag, observer);
        self.reply(tag, reply, observer);
    }

    /// Records that the node has answered a request.
    fn answer(&mut self, place: Place, tag: Tag, observer: &mut Observer) {
        if let Some(running) = self.cluster[place].running_mut() {
            running.requests.answer(tag, self.scheduler.now(), observer);
        }
    }

    /// Ends the process of a node that has stopped because of a storage failure, and restarts it
    /// later.
    fn stop_failed_node(&mut self, place: Place, failure: &StorageError, observer: &mut Observer) {
        self.cluster[place].count_disk_faults(observer);
        let config = &self.setup.settings.config;
        // Damage can reach a log through other nodes, even if their disks are intact; and two
        // survivors that went on alone have contradicting logs.
        let may_have_diverged = config.survivor.is_some()
            || self.cluster.nodes().any(|node| node.disk.had_damage_fault());
        let justified = self.cluster[place].justifies_stop(failure, may_have_diverged, observer);
        observer.stopped(self.scheduler.now(), place.id(), failure, justified);
        let down = config.election_timeout_max * 2;
        self.crash(place, Exit::crash(KeptWrites::All, down), observer);
    }

    fn role_changed(&mut self, place: Place, role: RoleName, observer: &mut Observer) {
        let trigger = match role {
            RoleName::Leader => Trigger::BecomesLeader,
            RoleName::Candidate => Trigger::BecomesCandidate,
            RoleName::PreCandidate => Trigger::BecomesPreCandidate,
            RoleName::Follower => return,
        };
        self.fire_trigger(trigger, place, None, observer);
    }

    fn send(&mut self, place: Place, packet: Packet, observer: &mut Observer) {
        let World { setup, scheduler, cluster, network, load, .. } = self;
        let (now, Some(to)) = (scheduler.now(), cluster.place(packet.to())) else { return };
        let trigger = match &packet {
            Packet::Message(message) | Packet::Chained(message, _) => {
                observer.observe(now, Observation::Sent { message });
                let number = digest_number(&message.body);
                scheduler.fold(number << 32 ^ message.to.0 << 24 ^ message.term.0);
                trigger_of(message)
            }
            Packet::SnapshotTransfer(transfer) => {
                observer.snapshot_transfer(now, transfer);
                let is_part = matches!(transfer.body, SnapshotTransferBody::Bytes(..));
                is_part.then_some(Trigger::SendsPart)
            }
            Packet::Comparison(comparison) => {
                observer.comparison_sent(now, comparison);
                None
            }
        };
        if let Packet::Message(Message { body: Body::TimeoutNow, .. }) = &packet {
            let running = cluster[place].running();
            let by_itself = running.is_some_and(|running| load.operator.leads_by_itself(running));
            observer.reach_if(by_itself, Spot::PriorityTransfer);
        }
        let sender = Sender { place, start_number: cluster[place].start_number() };
        let mut run = Run { setup, scheduler, observer };
        let (number, transmission) = network.send(&packet, sender, to, &mut run);
        let role = cluster[to].role();
        transmission.faults.into_iter().flatten().for_each(|fault| observer.fault(fault, role));
        observer.packet_sent(now, &packet, transmission.delivery(number));
        if let Some(trigger) = trigger {
            self.fire_trigger(trigger, place, Some(to), observer);
        }
    }
}

/// Draws the output before which the node crashes, if it crashes in this step.
fn torn_at(key: Key, outputs: usize, setup: &Setup) -> Option<usize> {
    let ppm = setup.settings.torn_step_ppm;
    if ppm == 0 || setup.choices.choose(key, MILLION) < MILLION - ppm {
        return None;
    }
    let key = Key { kind: Kind::TornStepPlace, ..key };
    Some(setup.choices.choose(key, outputs as u64) as usize)
}

/// Reorders the outputs of one step as a driver may do: those for the disk and for the worker keep
/// their order among themselves.
fn shuffle(outputs: &mut [Output], order: u64) {
    match order {
        5 => outputs.sort_by_key(|output| matches!(output, Output::Disk(_))),
        6 => outputs.sort_by_key(|output| !matches!(output, Output::Disk(_))),
        7 => outputs.sort_by_key(|output| !matches!(output, Output::Send(_))),
        _ => {}
    }
}

/// Returns the trigger that a sent message fires.
fn trigger_of(message: &Message) -> Option<Trigger> {
    if is_acknowledgement(message) {
        return Some(Trigger::Acknowledges);
    }
    matches!(message.body, Body::Heartbeat { .. }).then_some(Trigger::SendsHeartbeat)
}

/// Returns the number of a message kind in the digest: the length of its name, of the first one
/// where the name has changed, because known digests depend on it.
fn digest_number(body: &Body) -> u64 {
    const RENAMED: [(MessageKind, u64); 5] = [
        (MessageKind::BootstrapProbe, 4),
        (MessageKind::LogIsComplete, 5),
        (MessageKind::Bootstrapped, 7),
        (MessageKind::TakeoverAllowed, 7),
        (MessageKind::UnknownIncarnation, 8),
    ];
    let renamed = RENAMED.iter().find(|(kind, _)| *kind == body.kind());
    renamed.map_or(body.name().len() as u64, |(_, number)| *number)
}

/// Returns true if the operation is a write that acknowledgements wait for.
fn is_log_write(operation: &Operation) -> bool {
    operation.lane == Lane::Log && matches!(operation.action, FileAction::Write { .. })
}

/// Returns true if another node will rely on the message.
fn is_acknowledgement(message: &Message) -> bool {
    matches!(
        message.body,
        Body::RequestVoteReply { granted: true }
            | Body::AppendEntriesReply(AppendOutcome::Accepted { .. })
    )
}
