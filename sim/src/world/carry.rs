//! Carrying out what a node wants, output by output.

use std::time::Duration;

use quorate::raft::{self, Action, RoleName, Status};
use quorate::replica::{Note, Output, Watch};
use quorate::storage::{Cause, Failure, FileAction, FileName, Lane, Operation};
use quorate::types::{
    AppendOutcome, Body, EntryId, Index, Message, NodeId, Packet, Tag, TransferBody, Write, WriteId,
};

use crate::choice::{Key, Kind};
use crate::coverage::Spot;
use crate::fault::Fault;
use crate::observe::Seen;
use crate::plan::{Keep, Trigger};
use crate::witness::Witness;
use crate::world::World;
use crate::world::network::Parcel;
use crate::world::node::{Place, Viewing};
use crate::world::operator::Operator;
use crate::world::queue::Event;

const MILLION: u64 = 1_000_000;

/// What a run goes by: neither what nodes send and apply nor, as a rule, what they receive.
pub(super) const NEEDED: Watch = Watch {
    took: |input| match input {
        raft::Input::Message(message) => is_answer(message) || message.body == Body::Counted,
        raft::Input::Persisted(_) | raft::Input::Fetched { .. } => true,
        _ => false,
    },
    wants: |action| !matches!(action, Action::Send(_) | Action::Apply(_)),
};

/// Whether it shows its leader that a peer's disk is there.
fn is_answer(message: &Message) -> bool {
    matches!(
        message.body,
        Body::AppendEntriesReply(_)
            | Body::HeartbeatReply { .. }
            | Body::InstallSnapshotReply { .. }
    )
}

impl World {
    /// What the algorithm heard of its disk in the last step.
    pub(super) fn note_durable(&mut self, place: Place, notes: &[Note], witness: &mut Witness) {
        let mut writes = 0;
        for note in notes {
            if let Note::Took(raft::Input::Persisted(write)) = note {
                writes += self.durable(place, *write, witness);
            }
        }
        witness.reach_if(writes > 1, Spot::GroupFlush);
    }

    /// Everything through a write is durable: how many writes that are.
    fn durable(&mut self, place: Place, through: WriteId, witness: &mut Witness) -> u32 {
        let now = self.now;
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return 0 };
        let (mut writes, mut founding) = (0, None);
        while let Some(write) = running.writes.pop_front_if(|write| write.id <= through) {
            witness.see(now, Seen::Durable { node: place.id(), write: &write });
            writes += 1;
            founding = write.install.filter(|meta| meta.last == EntryId::ZERO).or(founding);
        }
        if let Some(meta) = founding {
            self.note_founding(place, Index::ZERO, &meta.membership, witness);
        }
        writes
    }

    /// Takes a step's notes: what the algorithm took and wants.
    pub(super) fn take_notes(
        &mut self,
        place: Place,
        notes: &mut Vec<Note>,
        witness: &mut Witness,
    ) {
        let now = self.now;
        for note in notes.drain(..) {
            let Some(running) = self.nodes[place.0 as usize].running.as_deref() else { return };
            let status = running.status;
            match note {
                Note::Took(input) => {
                    if witness.is_traced() {
                        witness.input(now, &status, &input.to_string());
                    }
                    if let raft::Input::Message(message) = &input {
                        self.hears(place, message);
                    }
                    if let raft::Input::Fetched { entries, .. } = input {
                        witness.fetched(entries.len());
                    }
                }
                Note::Wants(action) => {
                    witness.action(now, &status, &action);
                    match action {
                        Action::Persist(write) => self.submitted(place, write, witness),
                        Action::Committed { tag, id } => {
                            self.committed_for(place, tag, id, witness);
                        }
                        Action::Fetch { consumer, first, last, .. } => {
                            let incarnation = self.nodes[place.0 as usize].incarnation;
                            witness.fetches(consumer, last.0 - first.0 + 1, incarnation);
                        }
                        _ => {}
                    }
                }
                Note::SnapshotTaken(meta) => {
                    let node = place.id();
                    witness.see(now, Seen::SnapshotTaken { node, meta: &meta });
                }
                Note::SnapshotReceived(meta) => witness.received_snapshot(now, place.id(), &meta),
            }
        }
    }

    /// The algorithm took a message: a leader hears those who answer it, from the disk that counts.
    fn hears(&mut self, place: Place, message: &Message) {
        let node = &mut self.nodes[place.0 as usize];
        let own = node.clock.read(self.now);
        let Some(running) = node.running.as_deref_mut() else { return };
        let leads = running.status.role == RoleName::Leader && running.status.term == message.term;
        let member = running.node.raft().membership().member(message.from);
        if is_answer(message)
            && leads
            && member.is_some_and(|member| member.may_be(message.incarnation))
        {
            running.heard.insert(message.from, (message.term, own));
        }
    }

    /// The algorithm answers a proposal: if all live voters were to have it, they do.
    fn committed_for(&mut self, place: Place, tag: Tag, id: EntryId, witness: &mut Witness) {
        let node = &mut self.nodes[place.0 as usize];
        let own = node.clock.read(self.now);
        let Some(running) = node.running.as_deref_mut() else { return };
        if !running.for_all_live.remove(&tag) {
            return;
        }
        let (term, patience) = (id.term, self.settings.config.election_timeout_max);
        let lately = running
            .heard
            .iter()
            .filter(|(_, (in_term, at))| *in_term == term && own < at.after(patience));
        let live: Vec<NodeId> = lately.map(|(peer, _)| *peer).collect();
        witness.reach(Spot::AnsweredByAllLive);
        witness.see(self.now, Seen::OnAllLive { node: place.id(), id, live: &live });
    }

    /// The algorithm gives a write to its store.
    fn submitted(&mut self, place: Place, write: Write, witness: &mut Witness) {
        let now = self.now;
        self.fold(write.id.0 << 16 ^ write.entries.len() as u64);
        witness.see(now, Seen::Submitted { node: place.id(), write: &write });
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        let first = write.entries.first().map(|first| first.id.index);
        let last = running.last_written;
        let cut = first.is_some_and(|first| first <= last);
        if let Some(first) = first.filter(|_| cut) {
            witness.truncates(place.id(), last.0 - first.0 + 1);
        }
        running.cuts |= cut;
        let last = write.entries.last().map(|entry| entry.id.index);
        let installed = write.install.as_ref().map(|meta| meta.last.index);
        running.last_written = last.or(installed).unwrap_or(running.last_written);
        running.writes.push_back(write);
    }

    /// Carries out the outputs of one step: now, or late if the driver lags, or not all of them
    /// if the node crashes on the way.
    pub(super) fn carry_all(
        &mut self,
        place: Place,
        before: &Status,
        outputs: &mut Vec<Output>,
        witness: &mut Witness,
    ) {
        let node = &self.nodes[place.0 as usize];
        let Some(running) = node.running.as_deref() else { return };
        let (incarnation, counter) = (node.incarnation, running.counts.steps);
        let (status, lagging) = (running.status, !running.backlog.is_empty());
        if status.committed > before.committed
            && self.pull(
                Trigger::AdvancesCommit,
                place,
                status.leader.and_then(|id| self.place(id)),
                witness,
            )
        {
            return;
        }
        if self.membership_moved(place)
            && self.pull(Trigger::ChangesMembership, place, self.leader(), witness)
        {
            return;
        }
        if outputs.is_empty() {
            return;
        }
        let key = |kind| Key { node: place.0 + 1, incarnation, counter, ..Kind::key(kind) };
        if self.settings.faults.has(Fault::Reorder) && outputs.len() > 1 {
            self.shuffle(outputs, key(Kind::Order));
        }
        let late = self.choices.chance(key(Kind::Lag), self.settings.lag_permille);
        if late || lagging {
            if late {
                witness.fault(Fault::Lag, Some(status.role));
            }
            self.put_off(place, incarnation, outputs);
            return;
        }
        let torn = self.torn_at(key(Kind::Boundary), outputs.len());
        for (number, output) in outputs.drain(..).enumerate() {
            if torn == Some(number) {
                witness.reach_if(number > 0, Spot::CrashBetweenActions);
                let down = self.settings.config.election_timeout_min / 2;
                self.crash(place, Keep::Part, down, witness);
            }
            if self.nodes[place.0 as usize].incarnation != incarnation {
                return;
            }
            self.carry(place, output, witness);
        }
    }

    /// Whether the last step of the node changed who counts by its log.
    fn membership_moved(&mut self, place: Place) -> bool {
        let running = self.nodes[place.0 as usize].running.as_deref_mut();
        running.is_some_and(|running| std::mem::take(&mut running.membership_moved))
    }

    /// Before which of a step's outputs the node crashes, if it does.
    fn torn_at(&self, key: Key, outputs: usize) -> Option<usize> {
        let ppm = self.settings.torn_step_ppm;
        if ppm == 0 || self.choices.choose(key, MILLION) < MILLION - ppm {
            return None;
        }
        let key = Key { kind: Kind::BoundaryPlace, ..key };
        Some(self.choices.choose(key, outputs as u64) as usize)
    }

    /// Puts the outputs of one step into another order that a driver is free to choose: those for
    /// the disk and for the worker stay in order among themselves.
    fn shuffle(&self, outputs: &mut [Output], key: Key) {
        match self.choices.choose(key, 8) {
            5 => outputs.sort_by_key(|output| matches!(output, Output::Disk(_))),
            6 => outputs.sort_by_key(|output| !matches!(output, Output::Disk(_))),
            7 => outputs.sort_by_key(|output| !matches!(output, Output::Send(_))),
            _ => {}
        }
    }

    /// The driver lags: it carries these out one by one, later.
    fn put_off(&mut self, place: Place, incarnation: u16, outputs: &mut Vec<Output>) {
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        let idle = running.backlog.is_empty();
        running.backlog.extend(outputs.drain(..));
        if idle {
            self.schedule_carry(place, incarnation);
        }
    }

    fn schedule_carry(&mut self, place: Place, incarnation: u16) {
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        running.counts.carried += 1;
        let counter = running.counts.carried;
        let key = Key { node: place.0 + 1, incarnation, counter, ..Kind::LagDelay.key() };
        let longest = self.settings.latency.most.as_nanos() as u64 / 4;
        let at = self.now.after(Duration::from_nanos(self.choices.choose(key, longest + 1)));
        self.queue.push(at, Event::Carry { node: place.0, incarnation });
    }

    /// A lagging driver carries out its next output.
    pub(super) fn carry_next(&mut self, place: Place, incarnation: u16, witness: &mut Witness) {
        let Some(running) = self.nodes[place.0 as usize].started_as(incarnation) else { return };
        let Some(output) = running.backlog.pop_front() else { return };
        if !running.backlog.is_empty() {
            self.schedule_carry(place, incarnation);
        }
        self.carry(place, output, witness);
    }

    /// Carries out one output of a running node.
    fn carry(&mut self, place: Place, output: Output, witness: &mut Witness) {
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else { return };
        match output {
            Output::Send(packet) => self.send(place, packet, witness),
            Output::Disk(operation) => {
                if is_log_write(&operation)
                    && self.pull(Trigger::AboutToSubmit, place, None, witness)
                {
                    witness.reach(Spot::CrashBeforeSubmit);
                    return;
                }
                self.operate(place, operation);
            }
            Output::Work(work) => self.work(place, work),
            Output::Freeze => {
                self.view(place, Viewing::Freeze);
                self.pull(Trigger::TakesSnapshot, place, None, witness);
            }
            Output::View { bytes } => self.view(place, Viewing::Read(bytes)),
            Output::Replied { tag, id, outcome } => {
                running.answered(tag, self.now, witness);
                self.client_commits(tag, place, id, &outcome, witness);
            }
            Output::MayBeLost { tag, .. } => {
                running.answered(tag, self.now, witness);
                self.client_may_lose(tag, place, witness);
            }
            Output::Answered { tag, freshness, index, applied, answer } => {
                running.answered(tag, self.now, witness);
                let state = running.answered_in.remove(&tag).flatten();
                let indices = (index, applied);
                self.client_reads(tag, place, freshness, indices, (state, &answer), witness);
            }
            Output::Changed { tag, .. }
            | Output::Resigned { tag }
            | Output::Rejected { tag, .. }
            | Output::Unknown { tag }
                if Operator::owns(tag) =>
            {
                running.answered(tag, self.now, witness);
                self.operator.hears(tag);
                witness.operator_hears(self.now, place.id(), &output);
            }
            Output::Rejected { tag, reason } => {
                running.answered(tag, self.now, witness);
                self.client_is_rejected(tag, reason, witness);
            }
            Output::Unknown { tag } => {
                running.answered(tag, self.now, witness);
                witness.reach(Spot::UnknownByStepDown);
                self.client_loses(tag, witness);
            }
            Output::RoleChanged { role, .. } => self.role_changed(place, role, witness),
            Output::Judged(verdict) => self.judged(place, verdict, witness),
            Output::Stopped(failure) => self.stopped(place, &failure, witness),
            Output::Closed => self.closed(place, witness),
            _ => {}
        }
    }

    /// A write of the log or the superblock is in the cache of the disk, and not durable yet. True
    /// if the node crashed over it.
    pub(super) fn wrote(&mut self, place: Place, file: FileName, witness: &mut Witness) -> bool {
        let Some(running) = self.nodes[place.0 as usize].running.as_deref_mut() else {
            return true;
        };
        let vote = running.writes.iter().find_map(|write| write.hard_state?.vote);
        let leader = running.status.leader;
        let cuts = std::mem::take(&mut running.cuts);
        match (file, vote) {
            (FileName::Superblock, Some(candidate)) => {
                self.pull(Trigger::SubmitsVote, place, self.place(candidate), witness)
            }
            (FileName::Segment(_), _) => {
                let leader = leader.and_then(|id| self.place(id));
                cuts && self.pull(Trigger::CutsLog, place, leader, witness)
                    || self.pull(Trigger::SubmitsEntries, place, leader, witness)
            }
            _ => false,
        }
    }

    /// The node has stopped for good: its process ends, and somebody starts it again.
    fn stopped(&mut self, place: Place, failure: &Failure, witness: &mut Witness) {
        self.meet_disk_faults(place, witness);
        let node = &self.nodes[place.0 as usize];
        let running = node.running.as_deref();
        let failed = running.is_some_and(|running| running.failed.contains(&failure.file));
        // Damage may have come to a log by way of others, whatever became of their disks; and what
        // two survivors went on with on their own contradicts each other.
        let parted = self.settings.config.survivor.is_some()
            || self.nodes.iter().any(|node| node.damages > 0);
        let excused = match failure.cause {
            Cause::Contradiction => parted,
            Cause::Damage | Cause::Disk => failed || node.damaged,
            Cause::Unreadable | Cause::Panic => false,
        };
        let reads_damage = node.damaged && !failed && failure.file.is_some();
        witness.reach_if(reads_damage, Spot::DiskDamageRead);
        witness.stopped(self.now, place.id(), failure, excused);
        let down = self.settings.config.election_timeout_max * 2;
        self.crash(place, Keep::All, down, witness);
    }

    fn role_changed(&mut self, place: Place, role: RoleName, witness: &mut Witness) {
        let trigger = match role {
            RoleName::Leader => Trigger::BecomesLeader,
            RoleName::Candidate => Trigger::BecomesCandidate,
            RoleName::PreCandidate => Trigger::BecomesPreCandidate,
            RoleName::Follower => return,
        };
        self.pull(trigger, place, None, witness);
    }

    fn send(&mut self, place: Place, packet: Packet, witness: &mut Witness) {
        let now = self.now;
        let Some(to) = self.place(packet.to()) else { return };
        let part = matches!(&packet, Packet::Transfer(transfer)
            if matches!(transfer.body, TransferBody::Bytes(..)));
        let (promise, beat) = match &packet {
            Packet::Message(message) | Packet::Chained(message, _) => {
                witness.see(now, Seen::Sent { message });
                let name = message.body.name().len() as u64;
                self.fold(name << 32 ^ message.to.0 << 24 ^ message.term.0);
                (is_promise(message), matches!(message.body, Body::Heartbeat { .. }))
            }
            Packet::Transfer(transfer) => {
                witness.transfer(now, transfer);
                (false, false)
            }
            Packet::Comparison(comparison) => {
                witness.compares(now, comparison);
                (false, false)
            }
        };
        if let Packet::Message(Message { body: Body::TimeoutNow, .. }) = &packet {
            let by_itself = self.leads_by_itself(place);
            witness.reach_if(by_itself, Spot::LeaderDrifts);
        }
        let incarnation = self.nodes[place.0 as usize].incarnation;
        let link = (place, to);
        let fate = self.network.decide(now, link, incarnation, &self.choices, &self.settings);
        let role = self.nodes[to.0 as usize].role();
        fate.met.into_iter().flatten().for_each(|fault| witness.fault(fault, role));
        if let Some(message) = packet.message()
            && self.settings.faults.has(Fault::Replay)
        {
            self.network.remember(message);
        }
        let parcel = Parcel::pack(&packet, &mut self.paper);
        let mut parcel =
            parcel.unwrap_or_else(|| panic!("{} says what nobody can read", place.id()));
        self.network.number(&mut parcel);
        witness.departs(now, &packet, fate.way(parcel.number));
        for at in [fate.copy, fate.arrival].into_iter().flatten() {
            let slot = self.network.dispatch(parcel.clone());
            self.queue.push(at, Event::Arrive { slot });
        }
        if promise {
            self.pull(Trigger::Promises, place, Some(to), witness);
        } else if beat {
            self.pull(Trigger::Beats, place, Some(to), witness);
        } else if part {
            self.pull(Trigger::SendsPart, place, Some(to), witness);
        }
    }

    /// The place of node `id`, if it is one of the world's.
    pub(super) fn place(&self, id: NodeId) -> Option<Place> {
        Place::of(id, self.nodes.len())
    }
}

/// Whether the operation writes what acknowledgements wait for.
fn is_log_write(operation: &Operation) -> bool {
    operation.lane == Lane::Log && matches!(operation.action, FileAction::Write { .. })
}

/// Whether another node will rely on what the message says.
fn is_promise(message: &Message) -> bool {
    matches!(
        message.body,
        Body::RequestVoteReply { granted: true }
            | Body::AppendEntriesReply(AppendOutcome::Accepted { .. })
    )
}
