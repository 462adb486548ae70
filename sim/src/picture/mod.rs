//! Converts a recorded run to the document that the page draws.

mod faults;
mod logs;
mod messages;
mod operations;
pub mod text;

use quorate::raft::{RoleName, Status};
use quorate::types::NodeId;
use quorate_page::document::{
    Condition, Document, Event, Fact, Kind, Lane, Role, State, Violation, Write, WriteOutcome,
};

use crate::observe::outcome::{Failure, Outcome};
use crate::picture::logs::Logs;
use crate::picture::messages::Messages;
use crate::picture::operations::Operations;
use crate::picture::text::CommandText;
use crate::record::{Event as Recorded, EventId, EventKind, InputKind, Record, Recording};

/// Converts a recorded run to a document with this title; `command` formats the commands.
#[must_use]
pub fn document(title: &str, recording: &Recording, command: CommandText<'_>) -> Document {
    let mut document = record_document(title, &recording.record, command);
    add_outcome(&mut document, &recording.record, &recording.outcome);
    document
}

/// Converts a record to a document with this title, without facts, a violation or an explanation.
#[must_use]
pub fn record_document(title: &str, record: &Record, command: CommandText<'_>) -> Document {
    let mut builder = DocumentBuilder {
        record,
        nodes: vec![Node::default(); record.nodes.len()],
        logs: Logs::new(record, command),
        messages: Messages::new(record.is_partial()),
        operations: Operations::new(record, command),
        document: Document {
            title: title.to_owned(),
            nodes: record.nodes.iter().map(NodeId::to_string).collect(),
            ..Document::default()
        },
    };
    record.all().for_each(|(id, event)| builder.add(id, event));
    builder.finish()
}

/// Adds the violation and the facts of a run.
fn add_outcome(document: &mut Document, record: &Record, outcome: &Outcome) {
    document.violation = outcome.failure.as_ref().and_then(|failure| {
        let failed = record.last()?;
        let event = record.event(failed);
        // The event that caused the failure, or the one before it, shows the violation.
        let shown = match event.kind {
            EventKind::Failed(_) => event.cause.or(event.before).unwrap_or(failed),
            _ => failed,
        };
        Some(violation(failure, place(shown)))
    });
    let tally = &outcome.tally;
    let fact = |label: &str, value: String| Fact { label: label.to_owned(), value, code: false };
    document.facts = vec![
        fact("digest", format!("{:016x}", outcome.digest)),
        fact("elections", tally.elections.to_string()),
        fact("entries committed", tally.entries_committed.to_string()),
        fact("operations checked", tally.operations_checked.to_string()),
    ];
    let plan = record.plan.iter().map(ToString::to_string);
    document.facts.extend(plan.map(|op| fact("plan", op)));
}

/// A document under construction.
struct DocumentBuilder<'a> {
    record: &'a Record,
    nodes: Vec<Node>,
    logs: Logs<'a>,
    messages: Messages,
    operations: Operations<'a>,
    document: Document,
}

/// The state of one node so far.
#[derive(Clone, Debug, Default)]
struct Node {
    state: State,
    started: bool,
    paused: bool,
    /// Whether it is unknown what the node does, because no recording has it.
    is_unknown: bool,
    /// The node's pending writes, by their positions in the document.
    writes: Vec<usize>,
}

/// The position of an event in a document.
fn place(id: EventId) -> u32 {
    id.0 - 1
}

impl DocumentBuilder<'_> {
    fn add(&mut self, id: EventId, event: &Recorded) {
        let node = event.node.and_then(|node| self.place_of(node));
        let client = self.operations.client_of(&event.kind);
        let lane = match (node, client) {
            (_, Some(client)) if node.is_none() => Lane::Client(client),
            (Some(node), _) => Lane::Node(node),
            (None, _) => Lane::Cluster,
        };
        let causes = [event.before, event.cause].into_iter().flatten().map(place).collect();
        let mut added = Event {
            at: event.at.0,
            lane,
            kind: page_kind(&event.kind),
            text: event.kind.to_string(),
            causes,
            state: None,
            log: None,
        };
        if let Some(node) = node {
            self.update_condition(node, event);
            self.record_writes(node, id, event);
            added.state = Some(self.state_of(node, event));
            let status = self.status(event);
            added.log = self.logs.take(usize::from(node), event, status.as_ref());
        }
        match &event.kind {
            EventKind::PlanOpBegan(op) => {
                let op = self.record.plan.get(*op as usize);
                added.text = op.map_or(added.text, |op| op.verb.to_string());
            }
            EventKind::PlanOpEnded(op) => {
                let op = self.record.plan.get(*op as usize);
                added.text = op.map_or(added.text, |op| format!("end of: {}", op.verb));
            }
            // The page shows the text of the message itself.
            EventKind::TookInput(InputKind::Packet(packet))
                if self.messages.arrive(*packet, place(id)) =>
            {
                added.text.clear();
            }
            EventKind::Sent(sent) => {
                let to = self.place_of(sent.to);
                if let (Some(from), Some(to)) = (node, to) {
                    added.text = format!("-> {} {}", sent.to, messages::text(sent));
                    self.messages.send(place(id), from, to, sent, event.at.0);
                }
            }
            EventKind::Dropped { packet, .. } => self.messages.lose(*packet, event.at.0),
            _ => {}
        }
        self.operations.take(place(id), event);
        self.document.events.push(added);
    }

    fn place_of(&self, node: NodeId) -> Option<u16> {
        let place = self.record.nodes.iter().position(|other| *other == node);
        place.and_then(|place| u16::try_from(place).ok())
    }

    fn status(&self, event: &Recorded) -> Option<Status> {
        event.state.map(|state| self.record.states[state as usize])
    }

    fn update_condition(&mut self, node: u16, event: &Recorded) {
        let node = &mut self.nodes[usize::from(node)];
        match event.kind {
            EventKind::Started { .. } => (node.started, node.paused) = (true, false),
            EventKind::Crashed { .. } => (node.started, node.paused) = (false, false),
            EventKind::Paused => node.paused = true,
            EventKind::Resumed => node.paused = false,
            EventKind::RecordingBegan(_) => (node.started, node.is_unknown) = (true, false),
            EventKind::RecordingEnded => node.is_unknown = true,
            _ => {}
        }
    }

    /// The node's state after one of its events. While the node is down, its last known state.
    fn state_of(&mut self, node: u16, event: &Recorded) -> State {
        let status = self.status(event);
        let leader = status.and_then(|status| status.leader).and_then(|id| self.place_of(id));
        let node = &mut self.nodes[usize::from(node)];
        if let Some(status) = status {
            node.state = state(&status, leader);
        }
        node.state.condition = match (node.started && status.is_some(), node.paused) {
            _ if node.is_unknown => Condition::Unknown,
            (false, _) => Condition::Down,
            (true, true) => Condition::Paused,
            (true, false) => Condition::Up,
        };
        node.state.clone()
    }

    /// Records the submission and the outcome of a node's writes.
    fn record_writes(&mut self, node: u16, id: EventId, event: &Recorded) {
        let last = self.status(event).map_or(0, |status| status.last.index.0);
        let document = &mut self.document.writes;
        let pending = &mut self.nodes[usize::from(node)].writes;
        let mut finish_write = |write: usize, outcome: WriteOutcome| {
            let write: &mut Write = &mut document[write];
            write.outcome = outcome;
            write.ended.get_or_insert(place(id));
        };
        match &event.kind {
            EventKind::Submitted(write) => {
                pending.push(document.len());
                document.push(Write {
                    node,
                    text: text::write(write),
                    submitted: place(id),
                    ended: None,
                    outcome: WriteOutcome::Pending,
                });
                self.logs.submit(usize::from(node), write);
            }
            EventKind::Durable(_) if !pending.is_empty() => {
                finish_write(pending.remove(0), WriteOutcome::Flushed)
            }
            EventKind::DiskFailed(_) => {
                pending.drain(..).for_each(|write| finish_write(write, WriteOutcome::Failed));
            }
            // Nothing is known about these writes from here on.
            EventKind::RecordingEnded => {
                pending.iter().for_each(|write| finish_write(*write, WriteOutcome::Pending));
            }
            EventKind::RecordingBegan(_) => pending.clear(),
            // The start of the node shows which of these writes the disk kept.
            EventKind::Crashed { .. } => {
                pending.iter().for_each(|write| finish_write(*write, WriteOutcome::Lost))
            }
            EventKind::Started { kept, .. } => {
                for (place, write) in pending.drain(..).enumerate().take(kept.len()) {
                    let whole =
                        place + 1 < kept.len() || self.logs.is_fully_written(node, place, last);
                    finish_write(
                        write,
                        if whole { WriteOutcome::Flushed } else { WriteOutcome::Torn },
                    );
                }
            }
            _ => {}
        }
    }

    fn finish(mut self) -> Document {
        faults::add(&mut self.document, self.record);
        self.document.messages = self.messages.finish();
        (self.document.clients, self.document.operations) = self.operations.finish();
        self.document
    }
}

fn violation(failure: &Failure, event: u32) -> Violation {
    let (check, finding) = match failure {
        Failure::Safety(violation) | Failure::Liveness(violation) => {
            (format!("{} {}", violation.id, violation.check), violation.finding.clone())
        }
        Failure::Panic(text) => ("panic".to_owned(), text.clone()),
        Failure::Simulator(text) => ("panic of the simulator".to_owned(), text.clone()),
        Failure::Nondeterminism(text) => ("nondeterminism".to_owned(), text.clone()),
        Failure::Stalled(text) => ("stalled".to_owned(), text.clone()),
    };
    Violation { event, check, finding }
}

fn state(status: &Status, leader: Option<u16>) -> State {
    let role = match status.role {
        RoleName::Follower => Role::Follower,
        RoleName::PreCandidate => Role::PreCandidate,
        RoleName::Candidate => Role::Candidate,
        RoleName::Leader => Role::Leader,
    };
    State {
        condition: Condition::Up,
        role,
        term: status.term.0,
        leader,
        base: status.base.0,
        snapshot: status.snapshot.0,
        applied: status.applied.0,
        committed: status.committed.0,
        durable: status.durable.0,
        last: status.last.index.0,
        detail: text::detail(status),
    }
}

fn page_kind(kind: &EventKind) -> Kind {
    match kind {
        EventKind::Started { .. } | EventKind::NotStarted(_) => Kind::Start,
        EventKind::Stopped(_) | EventKind::Crashed { .. } => Kind::Crash,
        EventKind::Wiped | EventKind::RolledBack { .. } => Kind::Crash,
        EventKind::Paused => Kind::Pause,
        EventKind::Resumed => Kind::Resume,
        EventKind::RecordingBegan(_)
        | EventKind::RecordingEnded
        | EventKind::TookNoStep { .. }
        | EventKind::Arrived { .. }
        | EventKind::DurableUpTo(_)
        | EventKind::Acted(_) => recording_kind(kind),
        EventKind::TookInput(input) => match input {
            InputKind::Packet(_) => Kind::Message,
            InputKind::Timeout => Kind::Timer,
            InputKind::Disk => Kind::Disk,
            InputKind::Worker | InputKind::View => Kind::Machine,
            InputKind::Propose(_) | InputKind::Read(_) => Kind::Client,
            InputKind::OperatorRequest(_) => Kind::Operator,
            InputKind::Core(_) => Kind::Other,
        },
        EventKind::MessageRejected { .. }
        | EventKind::Dropped { .. }
        | EventKind::Injected { .. } => Kind::Message,
        EventKind::Sent(_) => Kind::Send,
        EventKind::Submitted(_)
        | EventKind::DiskCopied { .. }
        | EventKind::DiskOperation(_)
        | EventKind::Durable(_)
        | EventKind::DiskFailed(_) => Kind::Disk,
        EventKind::Applied { .. }
        | EventKind::SnapshotTaken(_)
        | EventKind::Restored(_)
        | EventKind::MachineFault
        | EventKind::Panicked(_)
        | EventKind::StateCompared(_) => Kind::Machine,
        EventKind::Invoked { .. }
        | EventKind::RequestReceived { .. }
        | EventKind::Replied { .. }
        | EventKind::Served { .. }
        | EventKind::Rejected { .. }
        | EventKind::Unknown(_)
        | EventKind::RequestAnswered { .. } => Kind::Client,
        EventKind::PlanOpBegan(_) | EventKind::PlanOpEnded(_) | EventKind::ClockBoundExceeded => {
            Kind::Fault
        }
        EventKind::Stabilized(_) | EventKind::Idle | EventKind::Ended | EventKind::Failed(_) => {
            Kind::Phase
        }
        EventKind::MembershipAdopted(_) | EventKind::MembershipChangeCommitted(_) => Kind::Other,
    }
}

/// The kind of an event that only recordings of real nodes have.
fn recording_kind(kind: &EventKind) -> Kind {
    match kind {
        EventKind::TookNoStep { .. } => Kind::Pause,
        EventKind::Arrived { .. } => Kind::Message,
        EventKind::DurableUpTo(_) => Kind::Disk,
        _ => Kind::Other,
    }
}
