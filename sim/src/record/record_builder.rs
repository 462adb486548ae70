//! Builds a record from the events of recordings of real nodes, so that pages and explanations
//! treat them as they treat a simulated run.
//!
//! The record has the events of a time window. Each node's part begins with a copy of its log at
//! its first step there. The times of a record never decrease: if the clocks of the nodes differ,
//! an event has the latest time of the events up to it. It also has the time by its node's clock.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use quorate::raft::{Action, Input, Status};
use quorate::recording::{Header, Step};
use quorate::types::{Body, Entry, Index, Membership, Message, NodeId, Payload, WriteId};

use crate::observe::outcome::Failure;
use crate::observe::{Observation, Violation};
use crate::record::event::{
    Delivery, Event as RecordedEvent, EventId, EventKind, InputKind, LossReason, RecordedLog,
};
use crate::record::recorded_run::{Record, RecordOrigin};
use crate::record::recorder::{RecordUntil, Recorder};
use crate::recordings::{
    ClockOffset, CoreState, Event, EventKind as RecordingEvent, FirstViolation, Note, digest_of,
    note_of,
};
use crate::values::time::SimTime;

/// Collects the events of recordings, in a causal order, and their causes.
#[derive(Clone, Debug)]
pub struct RecordBuilder {
    recorder: Recorder,
    window: RangeInclusive<SimTime>,
    events_max: usize,
    /// The bytes of the record beside the events themselves: of the logs with which parts begin,
    /// and of commands.
    bytes: usize,
    /// The time of the first event in the window that the record has no room for.
    full_at: Option<SimTime>,
    /// The latest time of the events so far.
    at: SimTime,
    nodes: BTreeMap<NodeId, RecordedNode>,
    /// The packets with each message that were sent and have not arrived, by the digest of the
    /// message.
    under_way: BTreeMap<u64, Vec<u64>>,
    packets: u64,
    /// The event of each action of the last step, if it has one.
    actions: Vec<Option<EventId>>,
    failing: Option<(EventId, Violation)>,
    keeps_commands: bool,
}

/// The bytes of a log or of commands that count as one event: about the size of an event.
const BYTES_PER_EVENT: usize = 512;

/// A record of recordings, and what it lacks.
#[derive(Clone, Debug)]
pub struct BuiltRecord {
    /// The recorded steps, messages and writes of the nodes, merged.
    pub record: Record,
    /// The event that shows the first violation, and the violation; `None` if no check is violated
    /// in the window.
    pub failing: Option<(EventId, Violation)>,
    /// The time of the first event in the window that the record has no room for.
    pub full_at: Option<SimTime>,
}

/// The state of the recording of one node.
#[derive(Clone, Debug, Default)]
struct RecordedNode {
    /// Whether its steps are recorded now.
    is_recorded: bool,
    /// Whether it took earlier steps that are not recorded.
    has_absence: bool,
    /// Whether the record has the beginning of the current part.
    is_open: bool,
    /// While writes from before the recording may be pending: the last entry of the log at the
    /// beginning of the recording, and the last index that is known to be durable.
    inherited: Option<(Index, Index)>,
    /// The time of the last step, by the clock of the node.
    last_step: SimTime,
    election_timeout: Duration,
    /// The times of the first and the last event of each part of the recording.
    parts: Vec<(SimTime, SimTime)>,
}

impl RecordBuilder {
    /// Returns a builder for the recordings of these nodes, which keeps at most about `events_max`
    /// events, all of them in the window. The logs with which the parts of recordings begin, and
    /// the commands, count as events, too: one for each 512 bytes.
    #[must_use]
    pub fn new(
        nodes: &[NodeId],
        window: RangeInclusive<SimTime>,
        events_max: usize,
    ) -> RecordBuilder {
        let ids = nodes.to_vec();
        RecordBuilder {
            recorder: Recorder::new(ids, Membership::default(), Vec::new(), RecordUntil::End),
            window,
            events_max,
            bytes: 0,
            full_at: None,
            at: SimTime::default(),
            nodes: nodes.iter().map(|node| (*node, RecordedNode::default())).collect(),
            under_way: BTreeMap::new(),
            packets: 0,
            actions: Vec::new(),
            failing: None,
            keeps_commands: true,
        }
    }

    /// Notes that the recording of a node begins later than the node's first start.
    pub fn begins_late(&mut self, node: NodeId) {
        self.node(node).has_absence = true;
    }

    /// Adds an event of a recording.
    pub fn observe(&mut self, event: &Event<'_>) {
        self.actions.clear();
        self.at = self.at.max(event.at);
        let is_shown = self.window.contains(&self.at);
        let events = self.recorder.record.events.len();
        if is_shown && events + self.bytes / BYTES_PER_EVENT >= self.events_max {
            self.full_at.get_or_insert(self.at);
        }
        if is_shown && self.full_at.is_none() {
            if self.recorder.record.events.is_empty() {
                self.note_absent(event.node);
            }
            self.add(event);
            let added = self.recorder.record.events[events..].iter_mut();
            added.for_each(|added| added.own_at = event.at);
        }
        let node = self.nodes.entry(event.node).or_default();
        match event.kind {
            RecordingEvent::Begins { header, state, .. } => {
                self.keeps_commands &= header.keeps_commands;
                node.is_recorded = true;
                node.election_timeout = state.config.election_timeout_max;
                node.last_step = event.at;
            }
            RecordingEvent::Steps { .. } => node.last_step = event.at,
            RecordingEvent::Ends => {
                (node.is_recorded, node.is_open, node.has_absence) = (false, false, true);
            }
            RecordingEvent::IsAhead => {}
        }
    }

    /// Notes the first violation, which the last event shows. Later ones have no effect.
    pub fn violated(&mut self, found: &FirstViolation) {
        let Some(last) = self.recorder.record.last() else { return };
        if self.failing.is_some() || !self.has_last() {
            return;
        }
        let action = found.action.and_then(|place| self.actions.get(place).copied().flatten());
        let node = self.recorder.record.event(last).node;
        let step = node.and_then(|node| self.recorder.track(node).step);
        let event = action.or(step).unwrap_or(last);
        self.failing = Some((event, found.violation.clone()));
    }

    /// Notes a violation that was found after the last event. Later ones have no effect.
    pub fn violated_earlier(&mut self, violation: &Violation) {
        let events = &self.recorder.record.events;
        let last = events.iter().rposition(|event| event.own_at <= violation.at);
        let place = last.map_or(0, |last| last + 1);
        let is_kept = self.full_at.is_none_or(|full| violation.at < full);
        if self.failing.is_none() && is_kept && place > 0 && self.window.contains(&violation.at) {
            self.failing = Some((EventId(place as u32), violation.clone()));
        }
    }

    /// Whether the record has the last event.
    fn has_last(&self) -> bool {
        self.full_at.is_none() && self.window.contains(&self.at)
    }

    /// Returns the record of everything that was added. The clocks differ as `clocks` says, which
    /// is known once the recordings are merged.
    #[must_use]
    pub fn finish(mut self, clocks: &[ClockOffset]) -> BuiltRecord {
        self.note_missing();
        let mut record = self.recorder.finish();
        let keeps_commands = self.keeps_commands;
        let has_clocks_apart = clocks.iter().any(ClockOffset::is_apart);
        record.origin = RecordOrigin::Recordings { keeps_commands, has_clocks_apart };
        BuiltRecord { record, failing: self.failing, full_at: self.full_at }
    }

    /// Notes which nodes are not recorded at the beginning of the window, whose first event is one
    /// of `first`.
    fn note_absent(&mut self, first: NodeId) {
        let is_absent = |(id, node): &(&NodeId, &RecordedNode)| {
            !node.is_recorded && node.has_absence && **id != first
        };
        let absent: Vec<NodeId> = self.nodes.iter().filter(is_absent).map(|(id, _)| *id).collect();
        for id in absent {
            self.recorder.node_event(self.at, id, EventKind::RecordingEnded);
        }
    }

    fn add(&mut self, event: &Event<'_>) {
        match event.kind {
            RecordingEvent::Begins { header, continues: false, state, .. } => {
                self.begins(event.node, header, state);
            }
            RecordingEvent::Begins { .. } | RecordingEvent::IsAhead => {}
            RecordingEvent::Steps { step, before, state, .. } => {
                if !self.node(event.node).is_open {
                    let log = RecordedLog::of(state.log, kept_by(step, before));
                    self.opens(event.node, before, log, state.membership);
                }
                self.steps(event, step, before, state);
            }
            RecordingEvent::Ends => {
                self.recorder.track(event.node).state = None;
                self.recorder.node_event(self.at, event.node, EventKind::RecordingEnded);
            }
        }
        let at = self.at;
        if let Some((_, end)) = self.node(event.node).parts.last_mut() {
            *end = at;
        }
    }

    fn node(&mut self, id: NodeId) -> &mut RecordedNode {
        self.nodes.entry(id).or_default()
    }

    /// Adds the beginning of a segment that does not continue the last one.
    fn begins(&mut self, id: NodeId, header: &Header, state: CoreState<'_>) {
        let CoreState { status, log, membership, .. } = state;
        if header.first_record == 0 {
            self.recorder.started(self.at, id, status, log, membership);
        } else {
            // Writes of steps that are missing may have replaced the pending ones.
            self.recorder.track(id).writes.clear();
        }
        let log = RecordedLog::of(log, status.last.index);
        self.opens(id, status, log, membership);
        if header.first_record == 0 {
            self.node(id).inherited = None;
        }
    }

    /// Adds the log with which the recording of a node begins, or that it has in the window.
    fn opens(&mut self, id: NodeId, status: &Status, log: RecordedLog, membership: &Membership) {
        let (at, durable) = (self.at, log.durable);
        let last = log.ids.last().map_or(log.base.index, |last| last.index);
        if self.recorder.record.membership == Membership::default() {
            self.recorder.record.membership = membership.clone();
        }
        self.recorder.set_state(id, status);
        self.bytes += size_of_val(&log.ids[..]) + bytes_of(&log.contents);
        let kind = EventKind::RecordingBegan(Box::new(log));
        let began = self.recorder.record_event(at, Some(id), None, kind);
        self.recorder.track(id).step = Some(began);
        self.recorder.membership_adopted(at, id, membership);
        let node = self.node(id);
        node.is_open = true;
        node.inherited = (durable < last).then_some((last, durable));
        node.parts.push((at, at));
    }

    fn steps(&mut self, event: &Event<'_>, step: &Step, before: &Status, state: CoreState<'_>) {
        let (id, at) = (event.node, self.at);
        if let Some(late) = event.lateness() {
            let pause = event.at.since(self.node(id).last_step);
            self.recorder.node_event(at, id, EventKind::TookNoStep { pause, late });
        }
        self.takes_input(event, step, state);
        for action in &step.actions {
            let place = self.carry_out(id, action);
            self.actions.push(place);
        }
        let (from, to) = (before.committed, state.status.committed);
        if to > from {
            let commits = Note::Commits { from, to }.to_string();
            self.recorder.node_event(at, id, EventKind::Acted(commits));
        }
    }

    /// Adds the input of a step, and the writes that it reports as durable.
    fn takes_input(&mut self, event: &Event<'_>, step: &Step, state: CoreState<'_>) {
        let (id, at) = (event.node, self.at);
        let RecordingEvent::Steps { due, .. } = event.kind else { return };
        let track = self.recorder.track(id);
        if track.deadline.is_none_or(|(known, _)| known != due) {
            track.deadline = track.step.map(|set| (due, set));
        }
        if let Input::Message(message) = &step.input {
            self.arrives(id, message);
        }
        self.recorder.input_taken(at, state.status, input_kind(&step.input), due);
        if let Input::Persisted(write) = step.input {
            self.persisted(id, write, state.status.durable);
        }
    }

    /// Adds the arrival of a message: the last packet that holds the message and has not arrived.
    fn arrives(&mut self, to: NodeId, message: &Message) {
        let (at, digest) = (self.at, digest_of(message));
        let sent = self.under_way.get_mut(&digest).and_then(Vec::pop);
        if self.under_way.get(&digest).is_some_and(Vec::is_empty) {
            self.under_way.remove(&digest);
        }
        let packet = match sent {
            Some(packet) => {
                let arrival = Delivery { arrival: Some(at), ..delivery_of(packet) };
                self.deliver(arrival);
                packet
            }
            None => {
                self.packets += 1;
                let packet = self.packets;
                if let Body::AppendEntries { entries, .. }
                | Body::RequestEntriesReply { entries, .. } = &message.body
                {
                    self.bytes += bytes_of(entries);
                }
                let kind = EventKind::Arrived { packet, message: Box::new(message.clone()) };
                let id = self.recorder.record_event(at, Some(to), None, kind);
                self.recorder.sent.insert(packet, id);
                packet
            }
        };
        self.recorder.packet_arrives(packet);
    }

    /// Sets the delivery of a packet.
    fn deliver(&mut self, delivery: Delivery) {
        let Some(id) = self.recorder.sent.get(&delivery.packet) else { return };
        if let EventKind::Sent(sent) = &mut self.recorder.record.events[id.0 as usize - 1].kind {
            sent.delivery = Some(delivery);
        }
    }

    /// Adds the completion of the writes up to `last`; `durable` is the durable index after it.
    fn persisted(&mut self, id: NodeId, last: WriteId, durable: Index) {
        let at = self.at;
        while let Some((write, submission)) =
            self.recorder.track(id).writes.pop_front_if(|(write, _)| write.id <= last)
        {
            let kind = EventKind::Durable(write.id);
            self.recorder.record_event(at, Some(id), Some(submission), kind);
        }
        let Some((last, known)) = self.node(id).inherited else { return };
        let now = durable.min(last);
        if now > known {
            self.recorder.node_event(at, id, EventKind::DurableUpTo(now));
        }
        self.node(id).inherited = (now < last).then_some((last, now.max(known)));
    }

    /// Adds an action, and returns its event; `None` if the record has none for such an action.
    fn carry_out(&mut self, id: NodeId, action: &Action) -> Option<EventId> {
        let at = self.at;
        let before = self.recorder.record.events.len();
        match action {
            Action::Send(message) => {
                self.recorder.observe(at, &Observation::Sent { message });
                self.packets += 1;
                let sending = self.recorder.track(id).last?;
                self.recorder.sent.insert(self.packets, sending);
                self.under_way.entry(digest_of(message)).or_default().push(self.packets);
            }
            Action::Persist(write) => {
                self.bytes += bytes_of(&write.entries);
                self.recorder.observe(at, &Observation::Submitted { node: id, write });
            }
            Action::MessageRejected { from, message, reason } => {
                let kind = EventKind::MessageRejected { from: *from, message, reason: *reason };
                self.recorder.node_event(at, id, kind);
            }
            Action::ActiveMembershipChanged(membership) => {
                self.recorder.membership_adopted(at, id, membership);
            }
            Action::MembershipChangeCommitted { id: entry, .. } => {
                self.recorder.node_event(at, id, EventKind::MembershipChangeCommitted(*entry));
            }
            other => {
                let note = note_of(other)?;
                self.recorder.node_event(at, id, EventKind::Acted(note.to_string()));
            }
        }
        let after = self.recorder.record.events.len();
        (after > before).then_some(EventId(after as u32))
    }

    /// Marks the messages that did not arrive, although their receiver is recorded for an election
    /// timeout after they were sent. Of the others it is unknown whether they arrived.
    fn note_missing(&mut self) {
        let packets: Vec<u64> =
            std::mem::take(&mut self.under_way).into_values().flatten().collect();
        for packet in packets {
            let sending = self.recorder.sent[&packet];
            let event = self.recorder.record.event(sending);
            let (at, to) = (event.at, event.message().map(|message| message.to));
            let Some(node) = to.and_then(|to| self.nodes.get(&to)) else { continue };
            let until = at.after(node.election_timeout);
            let begun = node.parts.partition_point(|(from, _)| *from <= at);
            if begun > 0 && node.parts[begun - 1].1 >= until {
                let lost = Some(LossReason::Missing);
                self.deliver(Delivery { lost, ..delivery_of(packet) });
            }
        }
    }
}

impl BuiltRecord {
    /// Returns the record up to the first violation, with that as its last event, which is how the
    /// record of a failed run ends; `None` if no check is violated.
    #[must_use]
    pub fn up_to_failure(&self) -> Option<Record> {
        let (failing, violation) = self.failing.as_ref()?;
        let Record { nodes, membership, plan, events, states, origin } = &self.record;
        let mut events = events[..failing.0 as usize].to_vec();
        let last = events.last()?;
        let failed = RecordedEvent {
            kind: EventKind::Failed(Box::new(Failure::Safety(violation.clone()))),
            before: Some(*failing),
            cause: Some(*failing),
            ..last.clone()
        };
        events.push(failed);
        Some(Record {
            nodes: nodes.clone(),
            membership: membership.clone(),
            plan: plan.clone(),
            events,
            states: states.clone(),
            origin: *origin,
        })
    }
}

/// The bytes of entries, with their commands. Messages and writes share them.
fn bytes_of(entries: &[Entry]) -> usize {
    let command = |entry: &Entry| match &entry.payload {
        Payload::Command(command) => command.len(),
        _ => 0,
    };
    size_of_val(entries) + entries.iter().map(command).sum::<usize>()
}

/// A packet of which nothing is known but its sending.
fn delivery_of(packet: u64) -> Delivery {
    Delivery { packet, arrival: None, copy: None, late: false, lost: None }
}

/// The last index up to which the step keeps the log that the node had before it.
fn kept_by(step: &Step, before: &Status) -> Index {
    let first = |action: &Action| match action {
        Action::Persist(write) => write.entries.first().map(|entry| entry.id.index.previous()),
        _ => None,
    };
    let kept = step.actions.iter().filter_map(first).min();
    kept.map_or(before.last.index, |kept| kept.min(before.last.index))
}

fn input_kind(input: &Input) -> InputKind {
    match input {
        // The recorder sets the number of the packet.
        Input::Message(_) => InputKind::Packet(0),
        Input::Timeout => InputKind::Timeout,
        Input::Persisted(_) => InputKind::Disk,
        Input::Propose(proposals) => {
            InputKind::Propose(proposals.iter().map(|proposal| proposal.tag).collect())
        }
        Input::Read { tag, .. } => InputKind::Read(*tag),
        Input::ChangeMembership { .. }
        | Input::CancelMembershipChange { .. }
        | Input::TransferLeadership { .. }
        | Input::Campaign => InputKind::OperatorRequest(input.to_string()),
        other => InputKind::Core(other.to_string()),
    }
}
