//! A recorded run as a document that the page draws.

mod faults;
mod logs;
mod messages;
mod operations;
pub mod words;

use quorate::raft::{RoleName, Status};
use quorate::types::NodeId;
use quorate_page::document::{
    Condition, Document, Event, Fact, Kind, Lane, Role, State, Violation, Write, WriteEnd,
};

use crate::outcome::{Failure, Outcome};
use crate::picture::logs::Logs;
use crate::picture::messages::Messages;
use crate::picture::operations::Operations;
use crate::picture::words::Words;
use crate::record::{Event as Recorded, EventId, Record, Recording, Taken, What};

/// The document of a recorded run. `title` says which it is, and `command` what its commands are.
#[must_use]
pub fn document(title: &str, recording: &Recording, command: Words<'_>) -> Document {
    let record = &recording.record;
    let mut drawing = Drawing {
        record,
        nodes: vec![Node::default(); record.nodes.len()],
        logs: Logs::new(record.nodes.len(), command),
        messages: Messages::default(),
        operations: Operations::new(record, command),
        document: Document {
            title: title.to_owned(),
            nodes: record.nodes.iter().map(NodeId::to_string).collect(),
            ..Document::default()
        },
    };
    record.all().for_each(|(id, event)| drawing.take(id, event));
    drawing.finish(&recording.outcome)
}

/// A document in the making.
struct Drawing<'a> {
    record: &'a Record,
    nodes: Vec<Node>,
    logs: Logs<'a>,
    messages: Messages,
    operations: Operations<'a>,
    document: Document,
}

/// What is known of a node so far.
#[derive(Clone, Debug, Default)]
struct Node {
    state: State,
    started: bool,
    paused: bool,
    /// Its writes on their way, by their places in the document.
    writes: Vec<usize>,
}

/// The place of an event in a document.
fn place(id: EventId) -> u32 {
    id.0 - 1
}

impl Drawing<'_> {
    fn take(&mut self, id: EventId, event: &Recorded) {
        let node = event.node.and_then(|node| self.place_of(node));
        let client = self.operations.client_of(&event.what);
        let lane = match (node, client) {
            (_, Some(client)) if node.is_none() => Lane::Client(client),
            (Some(node), _) => Lane::Node(node),
            (None, _) => Lane::Cluster,
        };
        let causes = [event.before, event.cause].into_iter().flatten().map(place).collect();
        let mut drawn = Event {
            at: event.at.0,
            lane,
            kind: kind(&event.what),
            text: event.what.to_string(),
            causes,
            state: None,
            log: None,
        };
        if let Some(node) = node {
            self.happens_to(node, event);
            self.writes(node, id, event);
            drawn.state = Some(self.state_of(node, event));
            let status = self.status(event);
            drawn.log = self.logs.take(usize::from(node), event, status.as_ref());
        }
        match &event.what {
            What::Planned(op) => {
                let op = self.record.plan.get(*op as usize);
                drawn.text = op.map_or(drawn.text, |op| op.verb.to_string());
            }
            What::Lifted(op) => {
                let op = self.record.plan.get(*op as usize);
                drawn.text = op.map_or(drawn.text, |op| format!("over: {}", op.verb));
            }
            // The page says it in the message's own words.
            What::Took(Taken::Packet(packet)) if self.messages.arrive(*packet, place(id)) => {
                drawn.text.clear();
            }
            What::Sent(sent) => {
                let to = self.place_of(sent.to);
                if let (Some(from), Some(to)) = (node, to) {
                    drawn.text = format!("-> {} {}", sent.to, messages::text(sent));
                    self.messages.send(place(id), (from, to), sent, event.at.0);
                }
            }
            What::Dropped { packet, .. } => self.messages.lose(*packet, event.at.0),
            _ => {}
        }
        self.operations.take(place(id), event);
        self.document.events.push(drawn);
    }

    fn place_of(&self, node: NodeId) -> Option<u16> {
        let place = self.record.nodes.iter().position(|other| *other == node);
        place.and_then(|place| u16::try_from(place).ok())
    }

    fn status(&self, event: &Recorded) -> Option<Status> {
        event.state.map(|state| self.record.states[state as usize])
    }

    fn happens_to(&mut self, node: u16, event: &Recorded) {
        let node = &mut self.nodes[usize::from(node)];
        match event.what {
            What::Started { .. } => (node.started, node.paused) = (true, false),
            What::Fell { .. } => (node.started, node.paused) = (false, false),
            What::Paused => node.paused = true,
            What::Resumed => node.paused = false,
            _ => {}
        }
    }

    /// How a node is after an event of its own. While it is down, what it was last is all that is
    /// known of it.
    fn state_of(&mut self, node: u16, event: &Recorded) -> State {
        let status = self.status(event);
        let leader = status.and_then(|status| status.leader).and_then(|id| self.place_of(id));
        let node = &mut self.nodes[usize::from(node)];
        if let Some(status) = status {
            node.state = state(&status, leader);
        }
        node.state.condition = match (node.started && status.is_some(), node.paused) {
            (false, _) => Condition::Down,
            (true, true) => Condition::Paused,
            (true, false) => Condition::Up,
        };
        node.state.clone()
    }

    /// What a disk was given, and what came of it.
    fn writes(&mut self, node: u16, id: EventId, event: &Recorded) {
        let last = self.status(event).map_or(0, |status| status.last.index.0);
        let document = &mut self.document.writes;
        let pending = &mut self.nodes[usize::from(node)].writes;
        let mut end = |write: usize, end: WriteEnd| {
            let write: &mut Write = &mut document[write];
            write.end = end;
            write.ended.get_or_insert(place(id));
        };
        match &event.what {
            What::Submitted(write) => {
                pending.push(document.len());
                document.push(Write {
                    node,
                    text: words::write(write),
                    submitted: place(id),
                    ended: None,
                    end: WriteEnd::Pending,
                });
                self.logs.submit(usize::from(node), write);
            }
            What::Durable(_) if !pending.is_empty() => end(pending.remove(0), WriteEnd::Flushed),
            What::DiskFailed(_) => {
                pending.drain(..).for_each(|write| end(write, WriteEnd::Failed));
            }
            // Until it starts again nobody knows what its disk has kept.
            What::Fell { .. } => pending.iter().for_each(|write| end(*write, WriteEnd::Lost)),
            What::Started { kept, .. } => {
                for (place, write) in pending.drain(..).enumerate().take(kept.len()) {
                    let whole = place + 1 < kept.len() || self.logs.is_whole(node, place, last);
                    end(write, if whole { WriteEnd::Flushed } else { WriteEnd::Torn });
                }
            }
            _ => {}
        }
    }

    fn finish(mut self, outcome: &Outcome) -> Document {
        faults::add(&mut self.document, self.record);
        self.document.messages = self.messages.finish();
        (self.document.clients, self.document.operations) = self.operations.finish();
        self.document.violation = outcome.failure.as_ref().and_then(|failure| {
            let failed = self.record.last()?;
            let event = self.record.event(failed);
            // The event before is the one that shows it.
            let shown = match event.what {
                What::Failed(_) => event.cause.or(event.before).unwrap_or(failed),
                _ => failed,
            };
            Some(violation(failure, place(shown)))
        });
        let tally = &outcome.tally;
        let fact =
            |label: &str, value: String| Fact { label: label.to_owned(), value, code: false };
        self.document.facts = vec![
            fact("digest", format!("{:016x}", outcome.digest)),
            fact("elections", tally.elections.to_string()),
            fact("entries committed", tally.entries_committed.to_string()),
            fact("operations checked", tally.operations_checked.to_string()),
        ];
        let plan = self.record.plan.iter().map(ToString::to_string);
        self.document.facts.extend(plan.map(|op| fact("plan", op)));
        self.document
    }
}

fn violation(failure: &Failure, event: u32) -> Violation {
    let (check, saw) = match failure {
        Failure::Safety(violation) | Failure::Liveness(violation) => {
            (format!("{} {}", violation.number, violation.check), violation.saw.clone())
        }
        Failure::Panic(text) => ("panic".to_owned(), text.clone()),
        Failure::Nondeterminism(text) => ("not deterministic".to_owned(), text.clone()),
        Failure::Stalled(text) => ("stalled".to_owned(), text.clone()),
    };
    Violation { event, check, saw }
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
        detail: words::detail(status),
    }
}

fn kind(what: &What) -> Kind {
    match what {
        What::Started { .. } | What::NotStarted(_) => Kind::Start,
        What::Stopped(_) | What::Fell { .. } | What::Wiped => Kind::Crash,
        What::Paused => Kind::Pause,
        What::Resumed => Kind::Resume,
        What::Took(taken) => match taken {
            Taken::Packet(_) => Kind::Message,
            Taken::Timeout => Kind::Timer,
            Taken::Disk => Kind::Disk,
            Taken::Worker | Taken::View => Kind::Machine,
            Taken::Propose(_) | Taken::Read(_) => Kind::Client,
            Taken::Order(_) => Kind::Order,
        },
        What::Refused { .. } | What::Dropped { .. } | What::Intruded { .. } => Kind::Message,
        What::Sent(_) => Kind::Send,
        What::Submitted(_) | What::Operated(_) | What::Durable(_) | What::DiskFailed(_) => {
            Kind::Disk
        }
        What::Applied { .. }
        | What::SnapshotTaken(_)
        | What::Restored(_)
        | What::Slipped
        | What::Judged(_) => Kind::Machine,
        What::Invoked { .. }
        | What::Asked { .. }
        | What::Replied { .. }
        | What::Served { .. }
        | What::Rejected { .. }
        | What::Unknown(_)
        | What::Answered(_) => Kind::Client,
        What::Planned(_) | What::Lifted(_) | What::Astray => Kind::Fault,
        What::Calm(_) | What::Idle | What::Ended | What::Failed(_) => Kind::Phase,
        What::GoesBy(_) | What::Changed(_) => Kind::Other,
    }
}
