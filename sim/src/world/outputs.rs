//! Executes the outputs of a node, one by one.

use std::time::Duration;

use quorate::raft::{self, Action, RoleName, Status};
use quorate::replica::{Note, NoteFilter, Output};
use quorate::storage::{ErrorCause, FileAction, FileName, Lane, Operation, StorageError};
use quorate::types::{
    AppendOutcome, Body, EntryId, Index, Message, NodeId, Packet, SnapshotTransferBody, Tag, Write,
    WriteId,
};

use crate::choice::{Key, Kind};
use crate::coverage::Spot;
use crate::fault::Fault;
use crate::observe::Observation;
use crate::observer::Observer;
use crate::plan::{KeptWrites, Trigger};
use crate::world::World;
use crate::world::network::Envelope;
use crate::world::node::ViewRequest;
use crate::world::operator::Operator;
use crate::world::place::Place;
use crate::world::scheduler::queue::Event;

const MILLION: u64 = 1_000_000;

/// The notes that a run needs: not what nodes send and apply, nor most of what they receive.
pub(super) const NEEDED_NOTES: NoteFilter = NoteFilter {
    inputs: |input| match input {
        raft::Input::Message(message) => {
            is_leader_reply(message) || message.body == Body::TakeoverAllowed
        }
        raft::Input::Persisted(_) | raft::Input::Fetched { .. } => true,
        _ => false,
    },
    actions: |action| !matches!(action, Action::Send(_) | Action::Apply(_)),
};

/// Returns true if the message shows its leader that a peer's disk is there.
fn is_leader_reply(message: &Message) -> bool {
    matches!(
        message.body,
        Body::AppendEntriesReply(_)
            | Body::HeartbeatReply { .. }
            | Body::InstallSnapshotReply { .. }
    )
}

impl World {
    /// Records the writes that were reported to the node as durable in its last step.
    pub(super) fn note_durable(&mut self, place: Place, notes: &[Note], observer: &mut Observer) {
        let mut writes = 0;
        for note in notes {
            if let Note::RaftInput(raft::Input::Persisted(write)) = note {
                writes += self.note_durable_writes(place, *write, observer);
            }
        }
        observer.reach_if(writes > 1, Spot::GroupFlush);
    }

    /// Records that every write through `through` is durable, and returns their number.
    fn note_durable_writes(
        &mut self,
        place: Place,
        through: WriteId,
        observer: &mut Observer,
    ) -> u32 {
        let now = self.scheduler.now();
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return 0 };
        let (mut writes, mut bootstrap) = (0, None);
        while let Some(write) = running.writes.pop_front_if(|write| write.id <= through) {
            observer.observe(now, Observation::Durable { node: place.id(), write: &write });
            writes += 1;
            bootstrap = write.install.filter(|meta| meta.last == EntryId::ZERO).or(bootstrap);
        }
        if let Some(meta) = bootstrap {
            self.note_bootstrap(place, Index::ZERO, &meta.membership, observer);
        }
        writes
    }

    /// Processes the notes of a step: the inputs and actions of the algorithm.
    pub(super) fn take_notes(
        &mut self,
        place: Place,
        notes: &mut Vec<Note>,
        observer: &mut Observer,
    ) {
        let now = self.scheduler.now();
        for note in notes.drain(..) {
            let Some(running) = self.nodes[place.0 as usize].running.as_deref() else { return };
            let status = running.status;
            match note {
                Note::RaftInput(input) => {
                    if observer.is_traced() {
                        observer.input(now, &status, &input.to_string());
                    }
                    if let raft::Input::Message(message) = &input {
                        self.note_heard(place, message);
                    }
                    if let raft::Input::Fetched { entries, .. } = input {
                        observer.fetched(entries.len());
                    }
                }
                Note::RaftAction(action) => {
                    observer.action(now, &status, &action);
                    match action {
                        Action::Persist(write) => self.note_submitted(place, write, observer),
                        Action::Committed { tag, id } => {
                            self.note_committed(place, tag, id, observer);
                        }
                        Action::Fetch { consumer, first, last, .. } => {
                            let start_number = self.nodes[place.0 as usize].start_number;
                            observer.fetches(consumer, last.0 - first.0 + 1, start_number);
                        }
                        _ => {}
                    }
                }
                Note::SnapshotTaken(meta) => {
                    let node = place.id();
                    observer.observe(now, Observation::SnapshotTaken { node, meta: &meta });
                }
                Note::SnapshotReceived(meta) => observer.received_snapshot(now, place.id(), &meta),
            }
        }
    }

    /// Records a reply that a leader received from a member's named disk.
    fn note_heard(&mut self, place: Place, message: &Message) {
        let node = &mut self.nodes[place.0 as usize];
        let own = node.clock.read(self.scheduler.now());
        let Some(running) = node.running.as_deref_mut() else { return };
        let leads = running.status.role == RoleName::Leader && running.status.term == message.term;
        let member = running.node.raft().membership().member(message.from);
        if is_leader_reply(message)
            && leads
            && member.is_some_and(|member| member.accepts_incarnation(message.incarnation))
        {
            running.heard.insert(message.from, (message.term, own));
        }
    }

    /// Records a proposal that is answered because all live voters have it.
    fn note_committed(&mut self, place: Place, tag: Tag, id: EntryId, observer: &mut Observer) {
        let node = &mut self.nodes[place.0 as usize];
        let own = node.clock.read(self.scheduler.now());
        let Some(running) = node.running.as_deref_mut() else { return };
        if !running.for_all_live.remove(&tag) {
            return;
        }
        let (term, timeout) = (id.term, self.settings.config.election_timeout_max);
        let lately = running
            .heard
            .iter()
            .filter(|(_, (in_term, at))| *in_term == term && own < at.after(timeout));
        let live: Vec<NodeId> = lately.map(|(peer, _)| *peer).collect();
        observer.reach(Spot::AnsweredByAllLive);
        observer.observe(
            self.scheduler.now(),
            Observation::AllLiveAcknowledged { node: place.id(), id, live: &live },
        );
    }

    /// Records a write that the algorithm has submitted to its storage.
    fn note_submitted(&mut self, place: Place, write: Write, observer: &mut Observer) {
        let now = self.scheduler.now();
        self.scheduler.fold(write.id.0 << 16 ^ write.entries.len() as u64);
        observer.observe(now, Observation::Submitted { node: place.id(), write: &write });
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        let first = write.entries.first().map(|first| first.id.index);
        let last = running.last_written;
        let truncates = first.is_some_and(|first| first <= last);
        if let Some(first) = first.filter(|_| truncates) {
            observer.truncates(place.id(), last.0 - first.0 + 1);
        }
        running.truncates |= truncates;
        let last = write.entries.last().map(|entry| entry.id.index);
        let installed = write.install.as_ref().map(|meta| meta.last.index);
        running.last_written = last.or(installed).unwrap_or(running.last_written);
        running.writes.push_back(write);
    }

    /// Executes the outputs of one step: at once, late if the driver lags, or only a part of them
    /// if the node crashes in between.
    pub(super) fn execute_outputs(
        &mut self,
        place: Place,
        before: &Status,
        outputs: &mut Vec<Output>,
        observer: &mut Observer,
    ) {
        let node = &self.nodes[place.0 as usize];
        let Some(running) = node.running.as_deref() else { return };
        let (start_number, counter) = (node.start_number, running.counts.steps);
        let (status, lagging) = (running.status, !running.backlog.is_empty());
        if status.committed > before.committed
            && self.fire_trigger(
                Trigger::AdvancesCommit,
                place,
                status.leader.and_then(|id| self.place(id)),
                observer,
            )
        {
            return;
        }
        if self.membership_changed(place)
            && self.fire_trigger(Trigger::ChangesMembership, place, self.leader(), observer)
        {
            return;
        }
        if outputs.is_empty() {
            return;
        }
        let key = |kind| Key { node: place.0 + 1, start_number, counter, ..Kind::key(kind) };
        if self.settings.faults.has(Fault::Reorder) && outputs.len() > 1 {
            self.shuffle(outputs, key(Kind::Order));
        }
        let late = self.choices.chance(key(Kind::Lag), self.settings.lag_permille);
        if late || lagging {
            if late {
                observer.fault(Fault::Lag, Some(status.role));
            }
            self.delay_outputs(place, start_number, outputs);
            return;
        }
        let torn = self.torn_at(key(Kind::TornStep), outputs.len());
        for (number, output) in outputs.drain(..).enumerate() {
            if torn == Some(number) {
                observer.reach_if(number > 0, Spot::CrashBetweenActions);
                let down = self.settings.config.election_timeout_min / 2;
                self.crash(place, KeptWrites::Part, down, observer);
            }
            if self.nodes[place.0 as usize].start_number != start_number {
                return;
            }
            self.execute_output(place, output, observer);
        }
    }

    /// Returns true if the last membership in the node's log has changed in its last step.
    fn membership_changed(&mut self, place: Place) -> bool {
        let running = self.nodes[place.0 as usize].running.as_deref_mut();
        running.is_some_and(|running| std::mem::take(&mut running.membership_changed))
    }

    /// Draws the output before which the node crashes, if it crashes in this step.
    fn torn_at(&self, key: Key, outputs: usize) -> Option<usize> {
        let ppm = self.settings.torn_step_ppm;
        if ppm == 0 || self.choices.choose(key, MILLION) < MILLION - ppm {
            return None;
        }
        let key = Key { kind: Kind::TornStepPlace, ..key };
        Some(self.choices.choose(key, outputs as u64) as usize)
    }

    /// Reorders the outputs of one step as a driver may do: those for the disk and for the worker
    /// keep their order among themselves.
    fn shuffle(&self, outputs: &mut [Output], key: Key) {
        match self.choices.choose(key, 8) {
            5 => outputs.sort_by_key(|output| matches!(output, Output::Disk(_))),
            6 => outputs.sort_by_key(|output| !matches!(output, Output::Disk(_))),
            7 => outputs.sort_by_key(|output| !matches!(output, Output::Send(_))),
            _ => {}
        }
    }

    /// Queues the outputs for a lagging driver, which executes them one by one.
    fn delay_outputs(&mut self, place: Place, start_number: u16, outputs: &mut Vec<Output>) {
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        let idle = running.backlog.is_empty();
        running.backlog.extend(outputs.drain(..));
        if idle {
            self.schedule_output(place, start_number);
        }
    }

    fn schedule_output(&mut self, place: Place, start_number: u16) {
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        running.counts.carried += 1;
        let counter = running.counts.carried;
        let key = Key { node: place.0 + 1, start_number, counter, ..Kind::LagDelay.key() };
        let longest = self.settings.latency.max.as_nanos() as u64 / 4;
        let at =
            self.scheduler.now().after(Duration::from_nanos(self.choices.choose(key, longest + 1)));
        self.scheduler.at(at, Event::ExecuteOutput { place: place, start_number });
    }

    /// Executes the next output of a lagging driver.
    pub(super) fn execute_next_output(
        &mut self,
        place: Place,
        start_number: u16,
        observer: &mut Observer,
    ) {
        let Some(running) = self.nodes[place.0 as usize].started_as(start_number) else { return };
        let Some(output) = running.backlog.pop_front() else { return };
        if !running.backlog.is_empty() {
            self.schedule_output(place, start_number);
        }
        self.execute_output(place, output, observer);
    }

    /// Executes one output of a running node.
    fn execute_output(&mut self, place: Place, output: Output, observer: &mut Observer) {
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        match output {
            Output::Send(packet) => self.send(place, packet, observer),
            Output::Disk(operation) => {
                if is_log_write(&operation)
                    && self.fire_trigger(Trigger::AboutToWrite, place, None, observer)
                {
                    observer.reach(Spot::CrashBeforeSubmit);
                    return;
                }
                self.submit_operation(place, operation);
            }
            Output::Work(work) => self.submit_work(place, work),
            Output::FreezeView => {
                self.request_view(place, ViewRequest::Freeze);
                self.fire_trigger(Trigger::TakesSnapshot, place, None, observer);
            }
            Output::ReadView { bytes } => self.request_view(place, ViewRequest::Read(bytes)),
            Output::Replied { tag, id, outcome } => {
                running.answered(tag, self.scheduler.now(), observer);
                self.client_commits(tag, place, id, &outcome, observer);
            }
            Output::MayBeLost { tag, .. } => {
                running.answered(tag, self.scheduler.now(), observer);
                self.client_reply_may_be_lost(tag, place, observer);
            }
            Output::Answered { tag, freshness, index, applied, answer } => {
                running.answered(tag, self.scheduler.now(), observer);
                let state = running.answered_in.remove(&tag).flatten();
                let indices = (index, applied);
                self.client_reads(tag, place, freshness, indices, (state, &answer), observer);
            }
            Output::MembershipChangeCommitted { tag, .. }
            | Output::LeadershipTransferred { tag }
            | Output::Rejected { tag, .. }
            | Output::Unknown { tag }
                if Operator::owns_tag(tag) =>
            {
                running.answered(tag, self.scheduler.now(), observer);
                self.operator.finish(tag);
                observer.operator_reply(self.scheduler.now(), place.id(), &output);
            }
            Output::Rejected { tag, reason } => {
                running.answered(tag, self.scheduler.now(), observer);
                self.client_is_rejected(tag, reason, observer);
            }
            Output::Unknown { tag } => {
                running.answered(tag, self.scheduler.now(), observer);
                observer.reach(Spot::UnknownByStepDown);
                self.client_outcome_unknown(tag, observer);
            }
            Output::RoleChanged { role, .. } => self.role_changed(place, role, observer),
            Output::StateCompared(result) => self.state_compared(place, result, observer),
            Output::Stopped(failure) => self.stop_failed_node(place, &failure, observer),
            Output::Closed => self.close_node(place, observer),
            _ => {}
        }
    }

    /// Fires the triggers of a write of the log or the superblock that is in the disk's cache, but
    /// not durable yet. Returns true if the node crashed because of it.
    pub(super) fn after_cached_write(
        &mut self,
        place: Place,
        file: FileName,
        observer: &mut Observer,
    ) -> bool {
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else {
            return true;
        };
        let vote = running.writes.iter().find_map(|write| write.hard_state?.vote);
        let leader = running.status.leader;
        let cuts = std::mem::take(&mut running.truncates);
        match (file, vote) {
            (FileName::Superblock, Some(candidate)) => {
                self.fire_trigger(Trigger::SubmitsVote, place, self.place(candidate), observer)
            }
            (FileName::Segment(_), _) => {
                let leader = leader.and_then(|id| self.place(id));
                cuts && self.fire_trigger(Trigger::TruncatesLog, place, leader, observer)
                    || self.fire_trigger(Trigger::SubmitsEntries, place, leader, observer)
            }
            _ => false,
        }
    }

    /// Ends the process of a node that has stopped because of a storage failure, and restarts it
    /// later.
    fn stop_failed_node(&mut self, place: Place, failure: &StorageError, observer: &mut Observer) {
        self.count_disk_faults(place, observer);
        let node = &self.nodes[place.0 as usize];
        let running = node.running.as_deref();
        let failed = running.is_some_and(|running| running.failed.contains(&failure.file));
        // Damage can reach a log through other nodes, even if their disks are intact; and two
        // survivors that went on alone have contradicting logs.
        let may_have_diverged = self.settings.config.survivor.is_some()
            || self.nodes.iter().any(|node| node.damage_faults > 0);
        let justified = match failure.cause {
            ErrorCause::DivergedLog => may_have_diverged,
            ErrorCause::Damage | ErrorCause::Disk => failed || node.damaged,
            ErrorCause::Unreadable | ErrorCause::Panic => false,
        };
        let reads_damage = node.damaged && !failed && failure.file.is_some();
        observer.reach_if(reads_damage, Spot::DiskDamageRead);
        observer.stopped(self.scheduler.now(), place.id(), failure, justified);
        let down = self.settings.config.election_timeout_max * 2;
        self.crash(place, KeptWrites::All, down, observer);
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
        let now = self.scheduler.now();
        let Some(to) = self.place(packet.to()) else { return };
        let part = matches!(&packet, Packet::SnapshotTransfer(transfer)
            if matches!(transfer.body, SnapshotTransferBody::Bytes(..)));
        let (acknowledges, is_heartbeat) = match &packet {
            Packet::Message(message) | Packet::Chained(message, _) => {
                observer.observe(now, Observation::Sent { message });
                self.scheduler
                    .fold(digest_number(&message.body) << 32 ^ message.to.0 << 24 ^ message.term.0);
                (is_acknowledgement(message), matches!(message.body, Body::Heartbeat { .. }))
            }
            Packet::SnapshotTransfer(transfer) => {
                observer.snapshot_transfer(now, transfer);
                (false, false)
            }
            Packet::Comparison(comparison) => {
                observer.comparison_sent(now, comparison);
                (false, false)
            }
        };
        if let Packet::Message(Message { body: Body::TimeoutNow, .. }) = &packet {
            let by_itself = self.leads_by_itself(place);
            observer.reach_if(by_itself, Spot::PriorityTransfer);
        }
        let start_number = self.nodes[place.0 as usize].start_number;
        let link = (place, to);
        let transmission =
            self.network.decide(now, link, start_number, &self.choices, &self.settings);
        let role = self.nodes[to.0 as usize].role();
        transmission.faults.into_iter().flatten().for_each(|fault| observer.fault(fault, role));
        if let Some(message) = packet.message()
            && self.settings.faults.has(Fault::Replay)
        {
            self.network.remember(message);
        }
        let envelope = Envelope::encode(&packet, &mut self.encode_buffer);
        let mut envelope = envelope
            .unwrap_or_else(|| panic!("{} sends a packet that cannot be encoded", place.id()));
        self.network.number(&mut envelope);
        observer.packet_sent(now, &packet, transmission.delivery(envelope.number));
        for at in [transmission.copy, transmission.arrival].into_iter().flatten() {
            let slot = self.network.dispatch(envelope.clone());
            self.scheduler.at(at, Event::Arrive { slot });
        }
        if acknowledges {
            self.fire_trigger(Trigger::Acknowledges, place, Some(to), observer);
        } else if is_heartbeat {
            self.fire_trigger(Trigger::SendsHeartbeat, place, Some(to), observer);
        } else if part {
            self.fire_trigger(Trigger::SendsPart, place, Some(to), observer);
        }
    }

    /// Returns the place of node `id`, if it is a node of the world.
    pub(super) fn place(&self, id: NodeId) -> Option<Place> {
        Place::of(id, self.nodes.len())
    }
}

/// Returns the number of a message kind in the digest. Known digests depend on these numbers.
fn digest_number(body: &Body) -> u64 {
    match body {
        Body::BootstrapProbe { .. } => 4,
        Body::LogIsComplete => 5,
        Body::PreVote { .. } | Body::Bootstrapped { .. } | Body::TakeoverAllowed => 7,
        Body::UnknownIncarnation => 8,
        Body::Heartbeat(_) | Body::ReadIndex { .. } => 9,
        Body::TimeoutNow => 10,
        Body::RequestVote { .. } => 11,
        Body::PreVoteReply { .. } => 12,
        Body::AppendEntries { .. } => 13,
        Body::HeartbeatReply { .. } | Body::ReadIndexReply { .. } => 14,
        Body::InstallSnapshot { .. } => 15,
        Body::RequestVoteReply { .. } => 16,
        Body::AppendEntriesReply(_) => 18,
        Body::InstallSnapshotReply { .. } => 20,
    }
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
