//! Records the observations of a run and determines the cause of each event.

use std::collections::{BTreeMap, VecDeque};

use quorate::log::Log;
use quorate::machine::Outcome;
use quorate::raft::Status;
use quorate::replica::ComparisonResult;
use quorate::types::{EntryId, Instant, Membership, Message, NodeId, Packet, Tag, Write};

use crate::observe::outcome::Failure;
use crate::observe::{Executed, Observation, OpId};
use crate::plan::Op;
use crate::record::event::{
    Delivery, Event, EventId, EventKind, InputKind, LossReason, NodeWork, Sent,
};
use crate::record::recorded_run::{Record, RecordOrigin};
use crate::values::digest::{mix, of_bytes};
use crate::values::time::SimTime;
use crate::workload::request::unmark;

/// The end of a recording. The run ends there too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordUntil {
    /// The end of the run.
    End,
    /// This event, and the events that follow from it at once.
    Event(EventId),
    /// The last event that is not later than this time.
    Time(SimTime),
}

/// The recorder of one run.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    pub(super) record: Record,
    until: RecordUntil,
    /// The recording state of each node, by its position in the record's list of nodes.
    tracks: Vec<NodeTrack>,
    /// The event that sent each packet.
    pub(super) sent: BTreeMap<u64, EventId>,
    /// The event that invoked each operation.
    invoked: BTreeMap<OpId, EventId>,
    /// The event at which each unanswered request reached its node.
    requests: BTreeMap<Tag, EventId>,
    /// The last start of each operation of the plan.
    planned: BTreeMap<u32, EventId>,
    /// The operation of the plan that takes effect now.
    current_plan_op: Option<EventId>,
    /// The packet that a node is about to take.
    arriving_packet: Option<u64>,
    /// The node that is computing now, and what; none once it has finished without a panic.
    current: Option<(NodeId, Computation)>,
    is_over: bool,
}

/// A computation of a node that may panic.
#[derive(Clone, Debug)]
enum Computation {
    /// The node takes this input.
    Step(InputKind),
    /// The node, or its state machine, does this work outside of the node's steps.
    Work(NodeWork),
}

/// The recording state of one node.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeTrack {
    pub(super) last: Option<EventId>,
    pub(super) state: Option<u32>,
    membership: Membership,
    /// The deadline by the node's own clock, and the input that set it.
    pub(super) deadline: Option<(Instant, EventId)>,
    /// The node's last input.
    pub(super) step: Option<EventId>,
    /// The pending writes with their submissions; while the node is down, the writes that its disk
    /// may have kept.
    pub(super) writes: VecDeque<(Write, EventId)>,
    /// The pending writes at each copy of the node's disk, by its number.
    copied_writes: BTreeMap<u16, VecDeque<(Write, EventId)>>,
    crash_counts: (usize, usize),
}

impl Recorder {
    /// Creates a recorder for a world of `nodes`, whose members start with `membership`.
    pub(crate) fn new(
        nodes: Vec<NodeId>,
        membership: Membership,
        plan: Vec<Op>,
        until: RecordUntil,
    ) -> Recorder {
        let known = |id| if membership.is_member(id) { membership.clone() } else { <_>::default() };
        let track = |id: &NodeId| NodeTrack { membership: known(*id), ..NodeTrack::default() };
        Recorder {
            tracks: nodes.iter().map(track).collect(),
            record: Record {
                nodes,
                membership,
                plan,
                events: Vec::new(),
                states: Vec::new(),
                origin: RecordOrigin::Run,
            },
            until,
            sent: BTreeMap::new(),
            invoked: BTreeMap::new(),
            requests: BTreeMap::new(),
            planned: BTreeMap::new(),
            current_plan_op: None,
            arriving_packet: None,
            current: None,
            is_over: false,
        }
    }

    /// Whether the recording ends before time `next`, although the run may continue.
    pub(crate) fn is_full(&self, next: SimTime) -> bool {
        match self.until {
            RecordUntil::End => false,
            RecordUntil::Event(last) => self.record.events.len() >= last.0 as usize,
            RecordUntil::Time(last) => next > last,
        }
    }

    /// Returns the events recorded so far.
    pub(crate) fn finish(self) -> Record {
        self.record
    }

    pub(super) fn track(&mut self, node: NodeId) -> &mut NodeTrack {
        let place = self.record.nodes.iter().position(|id| *id == node);
        &mut self.tracks[place.expect("the world has every node that it reports")]
    }

    /// Appends an event to the recording.
    pub(super) fn record_event(
        &mut self,
        at: SimTime,
        node: Option<NodeId>,
        cause: Option<EventId>,
        kind: EventKind,
    ) -> EventId {
        let id = EventId(self.record.events.len() as u32 + 1);
        if self.is_over {
            return id;
        }
        let (mut before, mut state) = (None, None);
        if let Some(node) = node {
            let track = self.track(node);
            (before, state) = (track.last.replace(id), track.state);
        }
        self.record.events.push(Event { at, own_at: at, node, kind, state, before, cause });
        id
    }

    /// Sets the status of a node from its next event on.
    pub(super) fn set_state(&mut self, node: NodeId, status: &Status) {
        let known = self.track(node).state;
        let same = known.is_some_and(|state| self.record.states[state as usize] == *status);
        if !same && !self.is_over {
            self.record.states.push(*status);
            let state = self.record.states.len() as u32 - 1;
            self.track(node).state = Some(state);
        }
    }

    /// Sets the packet that a node takes next.
    pub(crate) fn packet_arrives(&mut self, packet: u64) {
        self.arriving_packet = Some(packet);
    }

    /// Sets the input that a node takes now. If the node panics, [`Recorder::failed`] records it.
    pub(crate) fn input_begins(&mut self, node: NodeId, taken: InputKind) {
        self.current = Some((node, Computation::Step(taken)));
    }

    /// Sets the work that a node does now. If it panics, [`Recorder::work_panicked`] records it.
    pub(crate) fn work_begins(&mut self, node: NodeId, work: NodeWork) {
        self.current = Some((node, Computation::Work(work)));
    }

    /// Notes that the work of [`Recorder::work_begins`] is done.
    pub(crate) fn work_ends(&mut self) {
        self.current = None;
    }

    /// Records the input of [`Recorder::input_begins`], the node's status after it and its next
    /// deadline.
    pub(crate) fn input_ends(&mut self, now: SimTime, status: &Status, deadline: Instant) {
        if let Some((_, Computation::Step(taken))) = self.current.take() {
            self.input_taken(now, status, taken, deadline);
        }
    }

    /// Records an input of a node, its status after it and its next deadline.
    pub(super) fn input_taken(
        &mut self,
        now: SimTime,
        status: &Status,
        taken: InputKind,
        deadline: Instant,
    ) {
        let node = status.id;
        self.set_state(node, status);
        let id = self.record_input(now, node, taken);
        let track = self.track(node);
        if track.deadline.is_none_or(|(before, _)| before != deadline) {
            track.deadline = Some((deadline, id));
        }
    }

    /// Appends an input of a node to the recording, with its cause.
    fn record_input(&mut self, now: SimTime, node: NodeId, mut taken: InputKind) -> EventId {
        let arrived = self.arriving_packet.take();
        let cause = match &mut taken {
            InputKind::Packet(packet) => {
                *packet = arrived.unwrap_or_default();
                self.sent.get(packet).copied()
            }
            InputKind::Timeout => self.track(node).deadline.map(|(_, step)| step),
            InputKind::Propose(tags) => {
                tags.first().and_then(|tag| self.requests.get(tag).copied())
            }
            InputKind::Read(tag) => self.requests.get(tag).copied(),
            InputKind::OperatorRequest(_) => self.current_plan_op,
            InputKind::Disk | InputKind::Worker | InputKind::View | InputKind::Core(_) => None,
        };
        let id = self.record_event(now, Some(node), cause, EventKind::TookInput(taken));
        self.track(node).step = Some(id);
        id
    }

    /// Records the delivery of a packet. If it is a message, its sending was observed just before.
    pub(crate) fn packet_sent(&mut self, now: SimTime, packet: &Packet, delivery: Delivery) {
        let sender = packet.from();
        if packet.message().is_none() {
            let text = match packet {
                Packet::SnapshotTransfer(transfer) => transfer.to_string(),
                Packet::Comparison(comparison) => comparison.to_string(),
                Packet::Message(_) | Packet::Chained(..) => String::new(),
            };
            let sent = Sent { to: packet.to(), message: None, text, delivery: None };
            let step = self.track(sender).step;
            self.record_event(now, Some(sender), step, EventKind::Sent(Box::new(sent)));
        }
        let Some(id) = self.track(sender).last.filter(|_| !self.is_over) else { return };
        if let EventKind::Sent(sent) = &mut self.record.events[id.0 as usize - 1].kind {
            sent.delivery = Some(delivery);
            self.sent.insert(delivery.packet, id);
        }
    }

    /// Records a packet that never reaches node `to`.
    pub(crate) fn packet_dropped(
        &mut self,
        now: SimTime,
        to: NodeId,
        packet: u64,
        reason: LossReason,
    ) {
        let cause = self.sent.get(&packet).copied();
        self.record_event(now, Some(to), cause, EventKind::Dropped { packet, reason });
    }

    /// Records a misrouted or replayed message that arrives at a node.
    pub(crate) fn packet_injected(
        &mut self,
        now: SimTime,
        to: NodeId,
        packet: u64,
        message: &Message,
    ) {
        let kind = EventKind::Injected { packet, message: Box::new(message.clone()) };
        let id = self.record_event(now, Some(to), self.current_plan_op, kind);
        self.sent.insert(packet, id);
    }

    /// Records an event of a node. Its cause is the operation of the plan that takes effect now,
    /// for a pause or a clock fault, or else the last input of the node.
    pub(crate) fn node_event(&mut self, now: SimTime, node: NodeId, kind: EventKind) {
        let cause = match kind {
            EventKind::Paused | EventKind::ClockBoundExceeded => self.current_plan_op,
            _ => self.track(node).step,
        };
        self.record_event(now, Some(node), cause, kind);
    }

    /// Sets the two counts of the node's next crash event, which are those of
    /// [`EventKind::Crashed`].
    pub(crate) fn crash_survivors(&mut self, node: NodeId, not_durable: usize, kept: usize) {
        self.track(node).crash_counts = (not_durable, kept);
    }

    /// Records the start of an operation of the plan; `it` is the node that triggered it, if any.
    pub(crate) fn plan_op_begins(&mut self, now: SimTime, op: u32, it: Option<NodeId>) {
        let id = self.record_event(now, it, None, EventKind::PlanOpBegan(op));
        self.planned.insert(op, id);
        self.current_plan_op = Some(id);
    }

    /// Records that the operation of the plan that started last has taken effect. If it fired while
    /// another one took effect, the later events of that one have no cause in the recording.
    pub(crate) fn plan_op_begun(&mut self) {
        self.current_plan_op = None;
    }

    /// Records the end of a lasting operation of the plan.
    pub(crate) fn plan_op_ends(&mut self, now: SimTime, op: u32) {
        let cause = self.planned.get(&op).copied();
        self.record_event(now, None, cause, EventKind::PlanOpEnded(op));
    }

    /// Records a client's request that reaches a node.
    pub(crate) fn client_request(
        &mut self,
        now: SimTime,
        client: u16,
        op: Option<OpId>,
        tag: Tag,
        to: NodeId,
    ) {
        let cause = op.and_then(|op| self.invoked.get(&op).copied());
        let id =
            self.record_event(now, Some(to), cause, EventKind::RequestReceived { client, op, tag });
        self.requests.insert(tag, id);
    }

    /// Records the panic in the work of [`Recorder::work_begins`], if that is not done. The event
    /// has no status.
    pub(crate) fn work_panicked(
        &mut self,
        now: SimTime,
        sentence: impl FnOnce(NodeId, &NodeWork) -> String,
    ) {
        if let Some((node, Computation::Work(work))) = &self.current {
            let (node, sentence) = (*node, sentence(*node, work));
            self.work_ends();
            self.track(node).state = None;
            self.node_event(now, node, EventKind::Panicked(sentence));
        }
    }

    /// Records the failure of the run as the last event. If a node panicked in a step, the event
    /// before it is the input, and has no status.
    pub(crate) fn failed(&mut self, now: SimTime, failure: &Failure) {
        if self.is_over {
            return;
        }
        if let Some((node, Computation::Step(taken))) = self.current.take() {
            self.track(node).state = None;
            self.record_input(now, node, taken);
        }
        let accused = self.record.last();
        let node = accused.and_then(|accused| self.record.event(accused).node);
        self.record_event(now, node, accused, EventKind::Failed(Box::new(failure.clone())));
        self.is_over = true;
    }

    /// Records an observation, with its cause.
    pub(crate) fn observe(&mut self, now: SimTime, observation: &Observation<'_>) {
        match *observation {
            Observation::Started { node, status, log, membership, .. } => {
                self.started(now, node, status, log, membership);
            }
            Observation::StartFailed { node, reason, .. } => {
                self.node_event(now, node, EventKind::NotStarted(reason.into()))
            }
            Observation::Stopped { node, reason, .. } => {
                self.node_event(now, node, EventKind::Stopped(reason.into()))
            }
            Observation::Crashed { node } => self.crashed(now, node),
            Observation::Wiped { node, .. } => self.disk_event(now, node, EventKind::Wiped),
            Observation::DiskCopied { node, copy } => {
                self.disk_event(now, node, EventKind::DiskCopied { copy });
            }
            Observation::RolledBack { node, copy } => {
                self.disk_event(now, node, EventKind::RolledBack { copy });
            }
            Observation::Stepped { node, membership, .. } => {
                self.membership_adopted(now, node, membership)
            }
            Observation::Submitted { node, write } => {
                let step = self.track(node).step;
                let kind = EventKind::Submitted(Box::new(write.clone()));
                let id = self.record_event(now, Some(node), step, kind);
                self.track(node).writes.push_back((write.clone(), id));
            }
            Observation::Durable { node, write } => {
                let done = self.track(node).writes.pop_front();
                let submission = done.filter(|(done, _)| done.id == write.id).map(|(_, id)| id);
                self.record_event(now, Some(node), submission, EventKind::Durable(write.id));
            }
            Observation::Sent { message } => {
                let step = self.track(message.from).step;
                let (from, to, message) = (message.from, message.to, message.clone());
                let sent = Sent { to, message: Some(message), text: String::new(), delivery: None };
                self.record_event(now, Some(from), step, EventKind::Sent(Box::new(sent)));
            }
            Observation::DiskFailed { node } => {
                self.node_event(
                    now,
                    node,
                    EventKind::DiskFailed("its contents are unknown".into()),
                );
            }
            Observation::ClockBoundExceeded { node } => {
                self.node_event(now, node, EventKind::ClockBoundExceeded)
            }
            Observation::Stabilized { .. } | Observation::Idle | Observation::Ended => {
                self.observe_phase(now, observation);
            }
            Observation::Applied { .. }
            | Observation::SnapshotTaken { .. }
            | Observation::Restored { .. }
            | Observation::MachineFault { .. }
            | Observation::StateCompared { .. }
            | Observation::MembershipChangeCommitted { .. } => {
                self.observe_machine(now, observation)
            }
            Observation::RequestAnswered { tag, rejected } => {
                let Some(request) = self.requests.remove(&tag) else { return };
                let node = self.record.event(request).node;
                let kind = EventKind::RequestAnswered { tag, rejected };
                self.record_event(now, node, Some(request), kind);
            }
            _ => self.observe_client(now, observation),
        }
    }

    pub(super) fn started(
        &mut self,
        now: SimTime,
        node: NodeId,
        status: &Status,
        log: &Log,
        membership: &Membership,
    ) {
        let pending = std::mem::take(&mut self.track(node).writes);
        let (mut kept, mut lost) = (Vec::new(), Vec::new());
        for (write, _) in pending {
            if survived(&write, status, log) { &mut kept } else { &mut lost }.push(write.id);
        }
        self.set_state(node, status);
        let id = self.record_event(now, Some(node), None, EventKind::Started { kept, lost });
        self.track(node).step = Some(id);
        self.membership_adopted(now, node, membership);
    }

    /// Records that a node's disk is copied or replaced, by the event of that `kind`.
    fn disk_event(&mut self, now: SimTime, node: NodeId, kind: EventKind) {
        let track = self.track(node);
        match kind {
            EventKind::DiskCopied { copy } => {
                _ = track.copied_writes.insert(copy, track.writes.clone());
            }
            EventKind::RolledBack { copy } => {
                let lost = std::mem::take(&mut track.writes);
                track.writes = track.copied_writes.remove(&copy).unwrap_or_default();
                let last = track.writes.back().map(|(write, _)| write.id);
                track.writes.extend(lost.into_iter().filter(|(write, _)| Some(write.id) > last));
            }
            _ => track.writes.clear(),
        }
        self.record_event(now, Some(node), self.current_plan_op, kind);
    }

    fn crashed(&mut self, now: SimTime, node: NodeId) {
        let current_plan_op = self.current_plan_op;
        let track = self.track(node);
        (track.state, track.deadline) = (None, None);
        let (not_durable, kept) = std::mem::take(&mut track.crash_counts);
        self.record_event(
            now,
            Some(node),
            current_plan_op,
            EventKind::Crashed { not_durable, kept },
        );
    }

    pub(super) fn membership_adopted(
        &mut self,
        now: SimTime,
        node: NodeId,
        membership: &Membership,
    ) {
        let track = self.track(node);
        if !track.membership.ptr_eq(membership) {
            track.membership = membership.clone();
            self.record_event(
                now,
                Some(node),
                None,
                EventKind::MembershipAdopted(Box::new(membership.clone())),
            );
        }
    }

    /// Records the start of a phase of the run, or its end.
    fn observe_phase(&mut self, now: SimTime, observation: &Observation<'_>) {
        let kind = match *observation {
            Observation::Stabilized { core } => EventKind::Stabilized(core.to_vec()),
            Observation::Idle => EventKind::Idle,
            _ => EventKind::Ended,
        };
        self.record_event(now, None, None, kind);
    }

    /// Records an observation of a state machine.
    fn observe_machine(&mut self, now: SimTime, observation: &Observation<'_>) {
        let (node, kind) = match *observation {
            Observation::Applied { node, entries, executed, .. } => {
                let id = |entry: Option<&quorate::types::Entry>| {
                    entry.map_or(EntryId::ZERO, |entry| entry.id)
                };
                let (first, last) = (id(entries.first()), id(entries.last()));
                let hash = |Executed { index, reply }: &Executed| (*index, of_bytes(reply));
                let executed = executed.iter().map(hash).collect();
                (node, EventKind::Applied { first, last, executed })
            }
            Observation::SnapshotTaken { node, meta } => {
                (node, EventKind::SnapshotTaken(meta.last))
            }
            Observation::Restored { node, index, .. } => (node, EventKind::Restored(index)),
            Observation::MachineFault { node } => (node, EventKind::MachineFault),
            Observation::StateCompared { node, result } => {
                (node, EventKind::StateCompared(describe_comparison(result)))
            }
            Observation::MembershipChangeCommitted { node, id } => {
                (node, EventKind::MembershipChangeCommitted(id))
            }
            _ => return,
        };
        self.node_event(now, node, kind);
    }

    /// Records an observation of a client; other observations are not recorded.
    fn observe_client(&mut self, now: SimTime, observation: &Observation<'_>) {
        let (op, node, kind) = match *observation {
            Observation::ProposeInvoked { op, command, .. } => {
                let command = unmark(command).map_or(command, |(command, _)| command).into();
                (op, None, EventKind::Invoked { op, level: None, command })
            }
            Observation::ReadInvoked { op, level, .. } => {
                let command = Box::default();
                (op, None, EventKind::Invoked { op, level: Some(level), command })
            }
            Observation::Replied { op, node, id, outcome } => {
                let outcome: Box<Outcome> = Box::new(outcome.clone());
                (op, Some(node), EventKind::Replied { op, id, outcome })
            }
            Observation::ReadServed { op, node, freshness, index, applied, state, answer } => {
                let state = state.map_or(0, |state| of_bytes(format!("{state}").as_bytes()));
                let answer = mix(state, of_bytes(answer));
                (op, Some(node), EventKind::Served { op, freshness, index, applied, answer })
            }
            Observation::Rejected { op, reason } => (op, None, EventKind::Rejected { op, reason }),
            Observation::Unknown { op } => (op, None, EventKind::Unknown(op)),
            _ => return,
        };
        let cause = self.invoked.get(&op).copied();
        let id = self.record_event(now, node, cause, kind);
        self.invoked.entry(op).or_insert(id);
    }
}

/// Whether a node that starts with `status` and `log` counts as having kept the write: its term and
/// vote, if it has any, its snapshot or a later one, if it installs one, and any of its entries, if
/// it has some.
fn survived(write: &Write, status: &Status, log: &Log) -> bool {
    let hard_state = write.hard_state.is_none_or(|written| {
        written.term < status.term || (written.term == status.term && written.vote == status.vote)
    });
    let installed = write.install.as_ref();
    let snapshot = installed.is_none_or(|meta| meta.last.index <= log.snapshot().index);
    let entries = write.entries.is_empty() || write.entries.iter().any(|entry| log.has(entry.id));
    hard_state && snapshot && entries
}

fn describe_comparison(result: ComparisonResult) -> String {
    match result {
        ComparisonResult::Consistent { index } => {
            format!("up to index {index} a majority has the same results")
        }
        ComparisonResult::Unavailable { index } => {
            format!("too few nodes know their results up to index {index}")
        }
        ComparisonResult::Inconclusive { index } => {
            format!("results differ up to index {index}, and no majority is known")
        }
        ComparisonResult::Diverged { index } => {
            format!("a majority has other results up to index {index}: it is quarantined")
        }
        ComparisonResult::Rebuilt { index } => {
            format!("its state is rebuilt up to index {index}")
        }
        ComparisonResult::NoMajority { index } => {
            format!("no majority has the same results up to index {index}: it is quarantined")
        }
    }
}
