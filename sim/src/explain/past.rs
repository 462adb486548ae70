//! What can be asked of the recording of a run that failed.

use std::collections::BTreeMap;

use quorate::raft::{RoleName, Status};
use quorate::types::Payload;
use quorate::types::{Body, EntryId, HardState, Index, Membership, Message, NodeId, Term, Write};

use crate::record::{Event, EventId, Record, What};
use crate::request::{OpId, Said};
use crate::time::SimTime;

/// The recording of a run that failed.
#[derive(Clone, Copy)]
pub(super) struct Past<'a> {
    record: &'a Record,
    /// The event that shows the failure.
    pub(super) accused: EventId,
}

/// What one write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Durable, from this event on.
    Durable(EventId),
    /// Lost in the fall of its node that is the first event, as its start, the second, shows.
    Lost(EventId, Option<EventId>),
    /// On its disk after that fall, though its node had not heard of it.
    Kept(EventId),
    /// Neither, so far.
    UnderWay,
}

/// What a node has of the log: in memory, and on its disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Logs {
    /// What its disk comes to once every write is durable, by index.
    pub(super) memory: BTreeMap<Index, EntryId>,
    /// What would survive a crash.
    pub(super) disk: BTreeMap<Index, EntryId>,
    /// Up to here a snapshot stands for the log.
    pub(super) snapshot: EntryId,
}

impl<'a> Past<'a> {
    pub(super) fn new(record: &'a Record, accused: EventId) -> Past<'a> {
        Past { record, accused }
    }

    pub(super) fn record(&self) -> &'a Record {
        self.record
    }

    pub(super) fn event(&self, id: EventId) -> &'a Event {
        self.record.event(id)
    }

    /// When an event was.
    pub(super) fn at(&self, id: EventId) -> SimTime {
        self.event(id).at
    }

    /// The node of the event that shows the failure.
    pub(super) fn node(&self) -> Option<NodeId> {
        self.event(self.accused).node
    }

    /// Everything until the failure, in order.
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = (EventId, &'a Event)> + use<'a> {
        self.record.through(self.accused)
    }

    /// What happened to one node until the failure, in order.
    pub(super) fn of(
        &self,
        node: NodeId,
    ) -> impl DoubleEndedIterator<Item = (EventId, &'a Event)> + use<'a> {
        self.all().filter(move |(_, event)| event.node == Some(node))
    }

    /// The last step of the node at or before an event of its.
    pub(super) fn step(&self, of: EventId) -> Option<EventId> {
        let mut at = Some(of);
        while let Some(id) = at {
            let event = self.event(id);
            if matches!(event.what, What::Took(_) | What::Started { .. }) {
                return Some(id);
            }
            at = event.before;
        }
        None
    }

    /// What the node was like before a step of its.
    pub(super) fn before(&self, step: EventId) -> Option<&'a Status> {
        self.record.state_before(step)
    }

    /// What the node is like after an event of its.
    pub(super) fn after(&self, id: EventId) -> Option<&'a Status> {
        self.record.state(id)
    }

    /// The message that an event's step took, with its sending.
    pub(super) fn message_of(&self, step: EventId) -> Option<(EventId, &'a Message)> {
        self.record.taken(step)
    }

    /// The steps with which a node began to lead: each with the term.
    pub(super) fn elections(&self) -> Vec<(EventId, NodeId, Term)> {
        let leads = |status: &Status| (status.role == RoleName::Leader).then_some(status.term);
        let won = |(id, event): (EventId, &Event)| {
            let term = leads(self.record.state(id)?)?;
            let before = self.record.state_before(id).and_then(leads);
            (before != Some(term)).then_some((id, event.node?, term))
        };
        self.all().filter_map(won).collect()
    }

    /// The writes that hold a node's vote in a term, with their submissions.
    pub(super) fn votes(&self, node: NodeId, term: Term) -> Vec<(EventId, &'a Write, NodeId)> {
        let vote = |hard: HardState| hard.vote.filter(|_| hard.term == term);
        let write = |(id, event): (EventId, &'a Event)| match &event.what {
            What::Submitted(write) => Some((id, &**write, write.hard_state.and_then(vote)?)),
            _ => None,
        };
        self.of(node).filter_map(write).collect()
    }

    /// The last write with which a node was given the entry, and its submission.
    pub(super) fn write_of(&self, node: NodeId, entry: EntryId) -> Option<(EventId, &'a Write)> {
        self.of(node).rev().find_map(|(id, event)| match &event.what {
            What::Submitted(write) if write.entries.iter().any(|one| one.id == entry) => {
                Some((id, &**write))
            }
            _ => None,
        })
    }

    /// What became of a write, which was given to the disk in this event.
    pub(super) fn fate(&self, submission: EventId) -> Fate {
        let event = self.event(submission);
        let (Some(node), What::Submitted(write)) = (event.node, &event.what) else {
            return Fate::UnderWay;
        };
        let mut fall = None;
        for (id, event) in self.of(node).filter(|(id, _)| *id > submission) {
            match &event.what {
                What::Durable(done) if *done == write.id => return Fate::Durable(id),
                What::Fell { .. } => fall = Some(id),
                What::Started { kept, lost } => {
                    return match fall {
                        Some(fall) if lost.contains(&write.id) => Fate::Lost(fall, Some(id)),
                        Some(_) if kept.contains(&write.id) => Fate::Kept(id),
                        _ => Fate::UnderWay,
                    };
                }
                _ => {}
            }
        }
        fall.map_or(Fate::UnderWay, |fall| Fate::Lost(fall, None))
    }

    /// The writes of a node that are neither durable nor lost.
    pub(super) fn under_way(&self, node: NodeId) -> Vec<(EventId, Write)> {
        let open = |(id, event): (EventId, &Event)| match &event.what {
            What::Submitted(write) if self.fate(id) == Fate::UnderWay => {
                Some((id, (**write).clone()))
            }
            _ => None,
        };
        self.of(node).filter_map(open).collect()
    }

    /// What a node has of the log, after the last of its events at or before `at`.
    pub(super) fn logs(&self, node: NodeId, at: EventId) -> Logs {
        let mut logs = Logs::default();
        let mut pending: Vec<&Write> = Vec::new();
        let events = self.record.through(at).filter(|(_, event)| event.node == Some(node));
        for (id, event) in events {
            match &event.what {
                What::Submitted(write) => {
                    take(&mut logs.memory, &mut logs.snapshot, write);
                    pending.push(write);
                }
                What::Durable(done) => {
                    let through = pending.iter().position(|write| write.id == *done);
                    for write in pending.drain(..through.map_or(0, |place| place + 1)) {
                        take(&mut logs.disk, &mut logs.snapshot, write);
                    }
                }
                What::Started { .. } => {
                    for write in pending.drain(..) {
                        take(&mut logs.disk, &mut logs.snapshot, write);
                    }
                    let last = self.record.state(id).map_or(Index::ZERO, |now| now.last.index);
                    logs.disk.retain(|index, _| *index <= last);
                    logs.memory = logs.disk.clone();
                }
                What::Wiped => {
                    logs = Logs::default();
                    pending.clear();
                }
                _ => {}
            }
        }
        logs
    }

    /// The membership that a node goes by after the last of its events at or before `at`.
    pub(super) fn membership(&self, node: NodeId, at: EventId) -> &'a Membership {
        let of = |(_, event): (EventId, &'a Event)| match &event.what {
            What::GoesBy(membership) if event.node == Some(node) => Some(&**membership),
            _ => None,
        };
        self.record.through(at).rev().find_map(of).unwrap_or(&self.record.membership)
    }

    /// The first step after which somebody had committed that far.
    pub(super) fn first_commit(&self, index: Index) -> Option<(EventId, NodeId)> {
        let reached = |id| self.record.state(id).is_some_and(|now| now.committed >= index);
        let (id, event) = self.all().find(|(id, _)| reached(*id))?;
        Some((id, event.node?))
    }

    /// The term of the entry that was first committed at an index, as whoever did it had it.
    pub(super) fn committed_at(&self, index: Index) -> Option<EntryId> {
        let (step, node) = self.first_commit(index)?;
        self.logs(node, step).memory.get(&index).copied()
    }

    /// The indices of the entries that carry an operation's command, each once, and where each was
    /// first written.
    pub(super) fn entries_of(&self, op: OpId) -> Vec<(EventId, EntryId)> {
        let mut found: BTreeMap<EntryId, EventId> = BTreeMap::new();
        for (id, event) in self.all() {
            let What::Submitted(write) = &event.what else { continue };
            for entry in &write.entries {
                if operation(&entry.payload) == Some(op) {
                    found.entry(entry.id).or_insert(id);
                }
            }
        }
        found.into_iter().map(|(entry, id)| (id, entry)).collect()
    }

    /// The operation whose command the entry carries, if it does.
    pub(super) fn operation_of(&self, entry: EntryId) -> Option<OpId> {
        self.all().find_map(|(_, event)| match &event.what {
            What::Submitted(write) => {
                let entry = write.entries.iter().find(|one| one.id == entry)?;
                operation(&entry.payload)
            }
            _ => None,
        })
    }

    /// The answers to a candidate in a term which it took and which give it a vote.
    pub(super) fn grants(&self, candidate: NodeId, term: Term) -> Vec<(EventId, NodeId, EventId)> {
        let grant = |(id, _): (EventId, &Event)| {
            let (sending, message) = self.message_of(id)?;
            let granted = matches!(message.body, Body::RequestVoteReply { granted: true });
            (granted && message.term == term).then_some((id, message.from, sending))
        };
        self.of(candidate).filter_map(grant).collect()
    }
}

fn operation(payload: &Payload) -> Option<OpId> {
    match Said::by(payload) {
        Said::Command { op, .. } => Some(op),
        Said::Nothing | Said::Nonsense => None,
    }
}

/// A write changes a log.
fn take(log: &mut BTreeMap<Index, EntryId>, snapshot: &mut EntryId, write: &Write) {
    if let Some(meta) = &write.install {
        log.clear();
        *snapshot = meta.last;
    }
    if let Some(first) = write.entries.first() {
        log.split_off(&first.id.index);
        log.extend(write.entries.iter().map(|entry| (entry.id.index, entry.id)));
    }
}

impl Logs {
    /// The last entry of the log in memory.
    pub(super) fn last(&self) -> EntryId {
        self.memory.last_key_value().map_or(self.snapshot, |(_, id)| *id)
    }

    /// What the disk has at an index, in words: `has 4@t2`, or where it ends.
    pub(super) fn on_disk(&self, index: Index) -> String {
        match self.disk.get(&index) {
            Some(id) => format!("has {id}"),
            None if index <= self.snapshot.index => "has it in a snapshot".to_owned(),
            None => {
                let last = self.disk.last_key_value().map_or(self.snapshot, |(_, id)| *id);
                format!("ends at {last}")
            }
        }
    }
}
