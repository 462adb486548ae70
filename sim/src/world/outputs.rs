//! Executes the outputs of a node, one by one.

use quorate::raft::{RoleName, Status};
use quorate::replica::Output;
use quorate::storage::{FileAction, Lane, Operation, StorageError};
use quorate::types::{AppendOutcome, Body, Message, MessageKind, Packet, SnapshotTransferBody};

use crate::faults::{Fault, KeptWrites};
use crate::observe::Observation;
use crate::observe::coverage::Spot;
use crate::plan::Trigger;
use crate::values::choice::{Key, Kind};
use crate::world::World;
use crate::world::cluster::processes::Exit;
use crate::world::cluster::queues::ViewRequest;
use crate::world::faults::{machine, versions};
use crate::world::load::operator::Operator;
use crate::world::place::Place;
use crate::world::run::Setup;

const MILLION: u64 = 1_000_000;

impl World {
    /// Executes the outputs of one step: at once, late if the driver lags, or only a part of them
    /// if the node crashes in between.
    pub(super) fn execute_outputs(
        &mut self,
        place: Place,
        before: &Status,
        outputs: &mut Vec<Output>,
    ) {
        let node = &mut self.cluster[place];
        let start = node.start();
        let Some(running) = node.running_mut() else { return };
        let (status, counter, lagging) =
            (running.status, running.counts.steps, running.driver.lags());
        if status.committed > before.committed {
            let leader = status.leader.and_then(|id| self.cluster.place(id));
            if self.fire_trigger(Trigger::AdvancesCommit, place, leader) {
                return;
            }
        }
        let running = self.cluster[place].running_mut();
        if running.is_some_and(|running| std::mem::take(&mut running.membership_changed)) {
            let leader = self.cluster.leader();
            if self.fire_trigger(Trigger::ChangesMembership, place, leader) {
                return;
            }
        }
        if outputs.is_empty() {
            return;
        }
        let key = |kind| start.key(kind, counter);
        let Setup { settings, choices, .. } = &self.run.setup;
        if settings.faults.has(Fault::Reorder) && outputs.len() > 1 {
            shuffle(outputs, choices.choose(key(Kind::Order), 8));
        }
        let late = choices.chance(key(Kind::Lag), settings.lag_permille);
        if late || lagging {
            if late {
                self.run.observer.fault(Fault::Lag, Some(status.role));
            }
            return self.cluster[place].delay_outputs(outputs, &mut self.run);
        }
        let torn = torn_at(key(Kind::TornStep), outputs.len(), &self.run.setup);
        for (number, output) in outputs.drain(..).enumerate() {
            if torn == Some(number) {
                self.run.observer.reach_if(number > 0, Spot::CrashBetweenActions);
                let down = self.run.setup.settings.config.election_timeout_min / 2;
                self.crash(place, Exit::crash(KeptWrites::Part, down));
            }
            if self.cluster[place].start() != start {
                return;
            }
            self.execute_output(place, output);
        }
    }

    /// Executes one output of a running node.
    pub(super) fn execute_output(&mut self, place: Place, output: Output) {
        match output {
            Output::Send(packet) => self.send(place, packet),
            Output::Disk(operation) => {
                if is_log_write(&operation) && self.fire_trigger(Trigger::AboutToWrite, place, None)
                {
                    self.run.observer.reach(Spot::CrashBeforeSubmit);
                    return;
                }
                self.cluster[place].submit_operation(operation, &mut self.run);
            }
            Output::Work(work) => {
                self.cluster[place].submit_work(work, &mut self.run);
            }
            Output::FreezeView => {
                self.cluster[place].request_view(ViewRequest::Freeze, &mut self.run);
                self.fire_trigger(Trigger::TakesSnapshot, place, None);
            }
            Output::ReadView { bytes } => {
                self.cluster[place].request_view(ViewRequest::Read(bytes), &mut self.run);
            }
            Output::DropView => self.cluster[place].drop_view(),
            Output::MembershipChangeCommitted { tag, .. }
            | Output::LeadershipTransferred { tag }
            | Output::Replied { tag, .. }
            | Output::Rejected { tag, .. }
            | Output::Unknown { tag }
                if Operator::owns_tag(tag) =>
            {
                self.cluster[place].answer(tag, &output, &mut self.run);
                self.load.operator.finish(tag);
                versions::note_reply(&output, &mut self.run.observer);
                self.run.observer.operator_reply(self.run.scheduler.now(), place.id(), &output);
            }
            Output::Replied { tag, .. }
            | Output::MayBeLost { tag, .. }
            | Output::Answered { tag, .. }
            | Output::Rejected { tag, .. }
            | Output::Unknown { tag } => {
                let unknown = matches!(output, Output::Unknown { .. });
                self.run.observer.reach_if(unknown, Spot::UnknownByStepDown);
                let running = self.cluster[place].running_mut();
                let state = running.and_then(|running| running.take_answered_in(tag));
                self.cluster[place].answer(tag, &output, &mut self.run);
                self.reply(place, &output, state);
            }
            Output::RoleChanged { role, .. } => {
                if let Some(trigger) = trigger_of_role(role) {
                    self.fire_trigger(trigger, place, None);
                }
            }
            Output::BuildTooOld { .. } => self.run.observer.reach(Spot::BuildTooOld),
            Output::StateCompared(result) => {
                machine::note_comparison(place.id(), result, &mut self.run);
            }
            Output::KeptSnapshotDamaged(_) => {
                self.run.observer.reach(Spot::SnapshotDamageKnown);
                self.run.observe(Observation::SnapshotDamaged { node: place.id() });
            }
            Output::StartedUncertain(Some(_)) => self.run.observer.reach(Spot::RestartLostEnd),
            Output::Stopped(failure) => self.stop_failed_node(place, &failure),
            Output::Closed => {
                let down = std::mem::take(&mut self.cluster[place].stop_downtime);
                let keep = KeptWrites::All;
                self.end_process(place, Exit { keep, down, cleanly: true });
            }
            _ => {}
        }
    }

    /// Ends the process of a node that has stopped because of a storage failure, and restarts it
    /// later.
    fn stop_failed_node(&mut self, place: Place, failure: &StorageError) {
        self.cluster[place].count_disk_faults(&mut self.run.observer);
        let config = &self.run.setup.settings.config;
        // Damage can reach a log through other nodes, even if their disks are intact; and two
        // survivors that went on alone have contradicting logs.
        let may_have_diverged =
            config.survivor.is_some() || self.cluster.nodes().any(|node| node.disk.was_damaged());
        let justified =
            self.cluster[place].justifies_stop(failure, may_have_diverged, &mut self.run.observer);
        self.run.observer.stopped(self.run.scheduler.now(), place.id(), failure, justified);
        let down = config.election_timeout_max * 2;
        self.end_process(place, Exit::crash(KeptWrites::All, down));
    }

    fn send(&mut self, place: Place, packet: Packet) {
        let World { run, cluster, network, load, .. } = self;
        let (now, Some(to)) = (run.scheduler.now(), cluster.place(packet.to())) else { return };
        let trigger = match &packet {
            Packet::Message(message) | Packet::Chained(message, _) => {
                run.observe(Observation::Sent { message });
                let number = digest_number(&message.body);
                run.scheduler.fold(number << 32 ^ message.to.0 << 24 ^ message.term.0);
                trigger_of(message)
            }
            Packet::SnapshotTransfer(transfer) => {
                run.observer.snapshot_transfer(now, transfer);
                let is_part = matches!(transfer.body, SnapshotTransferBody::Bytes(..));
                is_part.then_some(Trigger::SendsPart)
            }
            Packet::Comparison(comparison) => {
                run.observer.comparison_sent(now, comparison);
                None
            }
        };
        if let Packet::Message(Message { body: Body::TimeoutNow, .. }) = &packet {
            let running = cluster[place].running();
            let by_itself = running.is_some_and(|running| load.operator.leads_by_itself(running));
            run.observer.reach_if(by_itself, Spot::PriorityTransfer);
        }
        let (number, transmission) = network.send(&packet, cluster[place].start(), to, run);
        let role = cluster[to].role();
        transmission.faults.into_iter().flatten().for_each(|fault| run.observer.fault(fault, role));
        run.observer.packet_sent(now, &packet, transmission.delivery(number));
        if let Some(trigger) = trigger {
            self.fire_trigger(trigger, place, Some(to));
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

/// Returns the trigger that a node fires when it takes the role.
fn trigger_of_role(role: RoleName) -> Option<Trigger> {
    match role {
        RoleName::Leader => Some(Trigger::BecomesLeader),
        RoleName::Candidate => Some(Trigger::BecomesCandidate),
        RoleName::PreCandidate => Some(Trigger::BecomesPreCandidate),
        RoleName::Follower => None,
    }
}

/// Returns the trigger that a sent message fires, if it fires one.
fn trigger_of(message: &Message) -> Option<Trigger> {
    match message.body {
        Body::RequestVoteReply { granted: true, .. }
        | Body::AppendEntriesReply(AppendOutcome::Accepted { .. }) => Some(Trigger::Acknowledges),
        Body::Heartbeat { .. } => Some(Trigger::SendsHeartbeat),
        _ => None,
    }
}

/// Returns the number of a message kind in the digest: the length of its name, or of its original
/// name if it was renamed, because known digests depend on that.
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

/// Returns true if the operation is a write of the lane that acknowledgements wait for: of entries,
/// of the superblock, or of a mark of the acknowledged floor.
fn is_log_write(operation: &Operation) -> bool {
    operation.lane == Lane::Log && matches!(operation.action, FileAction::Write { .. })
}
