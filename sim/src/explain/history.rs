//! Queries on the recording of a run.

use std::collections::BTreeMap;

use quorate::raft::{RoleName, Status};
use quorate::types::Payload;
use quorate::types::{Body, EntryId, HardState, Index, Membership, Message, NodeId, Term, Write};

use crate::observe::Violation;
use crate::observe::outcome::Failure;
use crate::record::{Event, EventId, EventKind, Record, RecordedLog};
use crate::values::time::SimTime;
use crate::workload::request::{OpId, PayloadOrigin};

/// The recording of a run up to one event.
#[derive(Clone, Copy)]
pub(super) struct History<'a> {
    record: &'a Record,
    /// The last event that the queries see: if the run failed, the one that shows the failure.
    pub(super) failing: EventId,
}

/// The outcome of one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteOutcome {
    /// The write became durable in this event.
    Durable(EventId),
    /// The write is lost: in the first event the node crashed, or its recording ended. The second
    /// event is the restart of the node, if there was one.
    Lost(EventId, Option<EventId>),
    /// The write was never reported as durable but survived a crash: the node started with it in
    /// this event.
    Kept(EventId),
    /// The write is neither durable nor lost yet.
    Pending,
}

/// A node's log in memory and on disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Logs {
    /// The entries once every pending write is durable, by index.
    pub(super) memory: BTreeMap<Index, EntryId>,
    /// The entries that survive a crash.
    pub(super) disk: BTreeMap<Index, EntryId>,
    /// The last entry of the snapshot that replaces the start of the log in memory.
    pub(super) snapshot: EntryId,
    /// The last entry of the snapshot that replaces the start of the log on disk.
    pub(super) snapshot_on_disk: EntryId,
}

impl<'a> History<'a> {
    pub(super) fn new(record: &'a Record, failing: EventId) -> History<'a> {
        History { record, failing }
    }

    pub(super) fn record(&self) -> &'a Record {
        self.record
    }

    pub(super) fn event(&self, id: EventId) -> &'a Event {
        self.record.event(id)
    }

    /// The simulated time of an event or, in recordings, its time by the clock of its node.
    pub(super) fn at(&self, id: EventId) -> SimTime {
        self.event(id).own_at
    }

    /// The id of the violated check, if a check failed.
    pub(super) fn check(&self) -> Option<&'static str> {
        self.violation().map(|violation| violation.id)
    }

    /// The violation, if a check failed.
    pub(super) fn violation(&self) -> Option<&'a Violation> {
        match &self.record.event(self.record.last()?).kind {
            EventKind::Failed(failure) => match failure.as_ref() {
                Failure::Safety(violation) | Failure::Liveness(violation) => Some(violation),
                _ => None,
            },
            _ => None,
        }
    }

    /// The node of the event that shows the failure.
    pub(super) fn node(&self) -> Option<NodeId> {
        self.event(self.failing).node
    }

    /// Every event up to the failure, in order.
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = (EventId, &'a Event)> + use<'a> {
        self.record.through(self.failing)
    }

    /// Every event of one node up to the failure, in order.
    pub(super) fn events_of(
        &self,
        node: NodeId,
    ) -> impl DoubleEndedIterator<Item = (EventId, &'a Event)> + use<'a> {
        self.all().filter(move |(_, event)| event.node == Some(node))
    }

    /// The last input or start of the event's node, at or before the event.
    pub(super) fn step_of(&self, event: EventId) -> Option<EventId> {
        let mut at = Some(event);
        while let Some(id) = at {
            let event = self.event(id);
            if matches!(event.kind, EventKind::TookInput(_) | EventKind::Started { .. }) {
                return Some(id);
            }
            at = event.before;
        }
        None
    }

    /// The node's status before an input.
    pub(super) fn state_before(&self, step: EventId) -> Option<&'a Status> {
        self.record.state_before(step)
    }

    /// The node's status after an event.
    pub(super) fn state_after(&self, id: EventId) -> Option<&'a Status> {
        self.record.state(id)
    }

    /// The message that a node received in an input, with the event of its sending.
    pub(super) fn message_of(&self, step: EventId) -> Option<(EventId, &'a Message)> {
        self.record.taken_message(step)
    }

    /// The inputs in which a node became leader, with node and term.
    pub(super) fn elections(&self) -> Vec<(EventId, NodeId, Term)> {
        let leads = |status: &Status| (status.role == RoleName::Leader).then_some(status.term);
        let won = |(id, event): (EventId, &Event)| {
            if matches!(event.kind, EventKind::RecordingBegan(_)) {
                // The election, if there was one, is not recorded.
                return None;
            }
            let term = leads(self.record.state(id)?)?;
            let before = self.record.state_before(id).and_then(leads);
            (before != Some(term)).then_some((id, event.node?, term))
        };
        self.all().filter_map(won).collect()
    }

    /// The writes with a node's vote in a term, with their submissions.
    pub(super) fn votes(&self, node: NodeId, term: Term) -> Vec<(EventId, &'a Write, NodeId)> {
        let vote = |hard: HardState| hard.vote.filter(|_| hard.term == term);
        let write = |(id, event): (EventId, &'a Event)| match &event.kind {
            EventKind::Submitted(write) => Some((id, &**write, write.hard_state.and_then(vote)?)),
            _ => None,
        };
        self.events_of(node).filter_map(write).collect()
    }

    /// The last write of a node that contains the entry, with its submission.
    pub(super) fn write_of(&self, node: NodeId, entry: EntryId) -> Option<(EventId, &'a Write)> {
        self.events_of(node).rev().find_map(|(id, event)| match &event.kind {
            EventKind::Submitted(write) if write.entries.iter().any(|one| one.id == entry) => {
                Some((id, &**write))
            }
            _ => None,
        })
    }

    /// The outcome of the write that was submitted in this event.
    pub(super) fn write_outcome(&self, submission: EventId) -> WriteOutcome {
        let event = self.event(submission);
        let (Some(node), EventKind::Submitted(write)) = (event.node, &event.kind) else {
            return WriteOutcome::Pending;
        };
        let mut crash = None;
        for (id, event) in self.events_of(node).filter(|(id, _)| *id > submission) {
            match &event.kind {
                EventKind::Durable(done) if *done == write.id => return WriteOutcome::Durable(id),
                EventKind::Crashed { .. } | EventKind::RecordingEnded => crash = Some(id),
                EventKind::RecordingBegan(_) => return WriteOutcome::Pending,
                EventKind::Started { kept, lost } => {
                    return match crash {
                        Some(crash) if lost.contains(&write.id) => {
                            WriteOutcome::Lost(crash, Some(id))
                        }
                        Some(_) if kept.contains(&write.id) => WriteOutcome::Kept(id),
                        _ => WriteOutcome::Pending,
                    };
                }
                _ => {}
            }
        }
        // Where a recording ends, the node need not have crashed.
        let crash = crash.filter(|id| matches!(self.event(*id).kind, EventKind::Crashed { .. }));
        crash.map_or(WriteOutcome::Pending, |crash| WriteOutcome::Lost(crash, None))
    }

    /// The writes of a node that are neither durable nor lost.
    pub(super) fn pending_writes(&self, node: NodeId) -> Vec<(EventId, Write)> {
        let open = |(id, event): (EventId, &Event)| match &event.kind {
            EventKind::Submitted(write) if self.write_outcome(id) == WriteOutcome::Pending => {
                Some((id, (**write).clone()))
            }
            _ => None,
        };
        self.events_of(node).filter_map(open).collect()
    }

    /// A node's log after the last of its events at or before `at`.
    pub(super) fn logs(&self, node: NodeId, at: EventId) -> Logs {
        let mut logs = Logs::default();
        let mut pending: Vec<&Write> = Vec::new();
        let mut copies = BTreeMap::new();
        let events = self.record.through(at).filter(|(_, event)| event.node == Some(node));
        for (id, event) in events {
            match &event.kind {
                EventKind::Submitted(write) => {
                    apply_write(&mut logs.memory, &mut logs.snapshot, write);
                    pending.push(write);
                }
                EventKind::Durable(done) => {
                    let through = pending.iter().position(|write| write.id == *done);
                    for write in pending.drain(..through.map_or(0, |place| place + 1)) {
                        apply_write(&mut logs.disk, &mut logs.snapshot_on_disk, write);
                    }
                }
                EventKind::Started { kept, .. } => {
                    for write in pending.drain(..).filter(|write| kept.contains(&write.id)) {
                        apply_write(&mut logs.disk, &mut logs.snapshot_on_disk, write);
                    }
                    let last = self.record.state(id).map_or(Index::ZERO, |now| now.last.index);
                    logs.disk.retain(|index, _| *index <= last);
                    (logs.memory, logs.snapshot) = (logs.disk.clone(), logs.snapshot_on_disk);
                }
                EventKind::Wiped => {
                    logs = Logs::default();
                    pending.clear();
                }
                EventKind::RecordingBegan(log) => {
                    logs = Logs::begin(log);
                    pending.clear();
                }
                EventKind::DurableUpTo(index) => {
                    logs.disk = logs.memory.range(..=*index).map(|(at, id)| (*at, *id)).collect();
                }
                EventKind::DiskCopied { copy } => {
                    _ = copies.insert(*copy, (logs.clone(), pending.clone()));
                }
                EventKind::RolledBack { copy } => {
                    (logs, pending) = copies.remove(copy).unwrap_or_default();
                }
                _ => {}
            }
        }
        logs
    }

    /// The membership that a node uses after the last of its events at or before `at`.
    pub(super) fn membership(&self, node: NodeId, at: EventId) -> &'a Membership {
        let of = |(_, event): (EventId, &'a Event)| match &event.kind {
            EventKind::MembershipAdopted(membership) if event.node == Some(node) => {
                Some(&**membership)
            }
            _ => None,
        };
        self.record.through(at).rev().find_map(of).unwrap_or(&self.record.membership)
    }

    /// The first event after which a node had committed `index`, with the node.
    pub(super) fn first_commit(&self, index: Index) -> Option<(EventId, NodeId)> {
        let reached = |id| self.record.state(id).is_some_and(|now| now.committed >= index);
        let (id, event) = self.all().find(|(id, _)| reached(*id))?;
        Some((id, event.node?))
    }

    /// The entry that was first committed at an index.
    pub(super) fn committed_at(&self, index: Index) -> Option<EntryId> {
        let (step, node) = self.first_commit(index)?;
        self.logs(node, step).memory.get(&index).copied()
    }

    /// The entries that carry an operation's command, each with the event of its first write.
    pub(super) fn entries_of(&self, op: OpId) -> Vec<(EventId, EntryId)> {
        let mut found: BTreeMap<EntryId, EventId> = BTreeMap::new();
        for (id, event) in self.all() {
            let EventKind::Submitted(write) = &event.kind else { continue };
            for entry in &write.entries {
                if operation(&entry.payload) == Some(op) {
                    found.entry(entry.id).or_insert(id);
                }
            }
        }
        found.into_iter().map(|(entry, id)| (id, entry)).collect()
    }

    /// The operation whose command the entry carries.
    pub(super) fn operation_of(&self, entry: EntryId) -> Option<OpId> {
        self.all().find_map(|(_, event)| match &event.kind {
            EventKind::Submitted(write) => {
                let entry = write.entries.iter().find(|one| one.id == entry)?;
                operation(&entry.payload)
            }
            _ => None,
        })
    }

    /// The granted votes that a candidate received in a term: the input, the voter and the sending.
    pub(super) fn grants(&self, candidate: NodeId, term: Term) -> Vec<(EventId, NodeId, EventId)> {
        let grant = |(id, _): (EventId, &Event)| {
            let (sending, message) = self.message_of(id)?;
            let granted = matches!(message.body, Body::RequestVoteReply { granted: true, .. });
            (granted && message.term == term).then_some((id, message.from, sending))
        };
        self.events_of(candidate).filter_map(grant).collect()
    }

    /// The votes of earlier terms that a candidate of the term received and did not reject: the
    /// input, the voter and the term of the vote.
    pub(super) fn stale_grants(
        &self,
        candidate: NodeId,
        term: Term,
    ) -> Vec<(EventId, NodeId, Term)> {
        let grant = |(id, _): (EventId, &Event)| {
            let (_, message) = self.message_of(id)?;
            let granted = matches!(message.body, Body::RequestVoteReply { granted: true, .. });
            let is_candidate = |now: &Status| now.term == term && now.role == RoleName::Candidate;
            let is_stale = granted && message.term < term;
            let counts =
                is_stale && self.state_before(id).is_some_and(is_candidate) && !self.rejects(id);
            counts.then_some((id, message.from, message.term))
        };
        self.events_of(candidate).filter_map(grant).collect()
    }

    /// Whether a node rejected the message that it received in an input.
    pub(super) fn rejects(&self, step: EventId) -> bool {
        let Some(node) = self.event(step).node else { return false };
        let mut later = self.events_of(node).skip_while(|(id, _)| *id <= step);
        let next = later.find(|(_, event)| {
            matches!(event.kind, EventKind::MessageRejected { .. } | EventKind::TookInput(_))
        });
        next.is_some_and(|(_, event)| matches!(event.kind, EventKind::MessageRejected { .. }))
    }
}

fn operation(payload: &Payload) -> Option<OpId> {
    match PayloadOrigin::of(payload) {
        PayloadOrigin::Command { op, .. } => Some(op),
        PayloadOrigin::NoOperation | PayloadOrigin::Admin | PayloadOrigin::Unmarked => None,
    }
}

/// Applies a write to a log.
fn apply_write(log: &mut BTreeMap<Index, EntryId>, snapshot: &mut EntryId, write: &Write) {
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
    /// The log with which the recording of a node begins.
    fn begin(log: &RecordedLog) -> Logs {
        let memory: BTreeMap<Index, EntryId> = log.ids.iter().map(|id| (id.index, *id)).collect();
        let disk = memory.range(..=log.durable).map(|(at, id)| (*at, *id)).collect();
        Logs { memory, disk, snapshot: log.base, snapshot_on_disk: log.base }
    }

    /// The last entry of the log in memory.
    pub(super) fn last(&self) -> EntryId {
        self.memory.last_key_value().map_or(self.snapshot, |(_, id)| *id)
    }

    /// The last entry of the log on disk.
    pub(super) fn last_on_disk(&self) -> EntryId {
        self.disk.last_key_value().map_or(self.snapshot_on_disk, |(_, id)| *id)
    }

    /// Describes the disk's entry at an index, for example `has 4@t2 on disk`.
    pub(super) fn on_disk(&self, index: Index) -> String {
        match self.disk.get(&index) {
            Some(id) => format!("has {id} on disk"),
            None if index <= self.snapshot_on_disk.index => "has it in a snapshot".to_owned(),
            None => {
                let last = self.last_on_disk();
                match last {
                    EntryId::ZERO => "has an empty log on disk".to_owned(),
                    _ => format!("has a log up to {last} on disk"),
                }
            }
        }
    }
}
