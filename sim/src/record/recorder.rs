//! Takes down what the world shows, and finds out what brought each event about.

use std::collections::{BTreeMap, VecDeque};

use quorate::log::Log;
use quorate::machine::Outcome;
use quorate::raft::Status;
use quorate::replica::Verdict;
use quorate::types::{EntryId, Instant, Membership, Message, NodeId, Packet, Tag, Write};

use crate::digest::{mix, of_bytes};
use crate::observe::{Executed, OpId, Seen};
use crate::outcome::Failure;
use crate::plan::Op;
use crate::record::book::Record;
use crate::record::event::{Event, EventId, Lost, Sent, Taken, Way, What};
use crate::time::SimTime;

/// How far a run is recorded. It ends there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// To its end.
    End,
    /// Through this event, and what happens at once with it.
    Event(EventId),
    /// Through the last event that is not later than this.
    Time(SimTime),
}

/// Records a run.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    record: Record,
    until: Until,
    /// By place in the record's list of nodes.
    tracks: Vec<Track>,
    /// Where each packet was sent.
    sent: BTreeMap<u64, EventId>,
    /// Where each operation began, and where each try of one reached its node.
    invoked: BTreeMap<OpId, EventId>,
    asked: BTreeMap<Tag, EventId>,
    /// Where each operation of the plan happened last.
    planned: BTreeMap<u32, EventId>,
    /// The operation of the plan that happens just now.
    striking: Option<EventId>,
    /// The packet that a node is about to take.
    arriving: Option<u64>,
    is_over: bool,
}

/// What is remembered of one node.
#[derive(Clone, Debug, Default)]
struct Track {
    last: Option<EventId>,
    state: Option<u32>,
    membership: Membership,
    /// When its deadline comes by its own clock, and which step said so.
    deadline: Option<(Instant, EventId)>,
    /// What it took last.
    step: Option<EventId>,
    /// The writes on their way, with their submission; while it is down, those that its disk may
    /// have kept.
    writes: VecDeque<(Write, EventId)>,
    at_stake: (usize, usize),
}

impl Recorder {
    /// Records a run of a world of `nodes` that begins with `membership`.
    pub(crate) fn new(
        nodes: Vec<NodeId>,
        membership: Membership,
        plan: Vec<Op>,
        until: Until,
    ) -> Recorder {
        let track = Track { membership: membership.clone(), ..Track::default() };
        Recorder {
            tracks: vec![track; nodes.len()],
            record: Record { nodes, membership, plan, events: Vec::new(), states: Vec::new() },
            until,
            sent: BTreeMap::new(),
            invoked: BTreeMap::new(),
            asked: BTreeMap::new(),
            planned: BTreeMap::new(),
            striking: None,
            arriving: None,
            is_over: false,
        }
    }

    /// Whether the recording is over though the run may not be.
    pub(crate) fn is_full(&self, next: SimTime) -> bool {
        match self.until {
            Until::End => false,
            Until::Event(last) => self.record.events.len() >= last.0 as usize,
            Until::Time(last) => next > last,
        }
    }

    /// What was recorded.
    pub(crate) fn finish(self) -> Record {
        self.record
    }

    fn track(&mut self, node: NodeId) -> &mut Track {
        let place = self.record.nodes.iter().position(|id| *id == node);
        &mut self.tracks[place.expect("the world shows its own nodes only")]
    }

    /// Takes down an event.
    fn note(
        &mut self,
        at: SimTime,
        node: Option<NodeId>,
        cause: Option<EventId>,
        what: What,
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
        self.record.events.push(Event { at, node, what, state, before, cause });
        id
    }

    /// A node is as `status` says from its next event on.
    fn is_now(&mut self, node: NodeId, status: &Status) {
        let known = self.track(node).state;
        let same = known.is_some_and(|state| self.record.states[state as usize] == *status);
        if !same && !self.is_over {
            self.record.states.push(*status);
            let state = self.record.states.len() as u32 - 1;
            self.track(node).state = Some(state);
        }
    }

    /// A packet is about to be taken.
    pub(crate) fn arrives(&mut self, packet: u64) {
        self.arriving = Some(packet);
    }

    /// A node took an input, and is as `status` says since; it wants to be woken at `deadline`.
    pub(crate) fn takes(
        &mut self,
        now: SimTime,
        status: &Status,
        mut taken: Taken,
        deadline: Instant,
    ) {
        let node = status.id;
        let arrived = self.arriving.take();
        let cause = match &mut taken {
            Taken::Packet(packet) => {
                *packet = arrived.unwrap_or_default();
                self.sent.get(packet).copied()
            }
            Taken::Timeout => self.track(node).deadline.map(|(_, step)| step),
            Taken::Propose(tags) => tags.first().and_then(|tag| self.asked.get(tag).copied()),
            Taken::Read(tag) => self.asked.get(tag).copied(),
            Taken::Order(_) => self.striking,
            Taken::Disk | Taken::Worker | Taken::View => None,
        };
        self.is_now(node, status);
        let id = self.note(now, Some(node), cause, What::Took(taken));
        let track = self.track(node);
        track.step = Some(id);
        if track.deadline.is_none_or(|(before, _)| before != deadline) {
            track.deadline = Some((deadline, id));
        }
    }

    /// A packet is given to the network. A message was shown just before.
    pub(crate) fn departs(&mut self, now: SimTime, packet: &Packet, way: Way) {
        let sender = packet.from();
        if packet.message().is_none() {
            let words = match packet {
                Packet::Transfer(transfer) => transfer.to_string(),
                Packet::Comparison(comparison) => comparison.to_string(),
                Packet::Message(_) | Packet::Chained(..) => String::new(),
            };
            let sent = Sent { to: packet.to(), message: None, words, way: None };
            let step = self.track(sender).step;
            self.note(now, Some(sender), step, What::Sent(Box::new(sent)));
        }
        let Some(id) = self.track(sender).last.filter(|_| !self.is_over) else { return };
        if let What::Sent(sent) = &mut self.record.events[id.0 as usize - 1].what {
            sent.way = Some(way);
            self.sent.insert(way.packet, id);
        }
    }

    /// A packet never reaches node `to`.
    pub(crate) fn drops(&mut self, now: SimTime, to: NodeId, packet: u64, why: Lost) {
        let cause = self.sent.get(&packet).copied();
        self.note(now, Some(to), cause, What::Dropped { packet, why });
    }

    /// A message comes to a node out of nowhere.
    pub(crate) fn intrudes(&mut self, now: SimTime, to: NodeId, packet: u64, message: &Message) {
        let what = What::Intruded { packet, message: Box::new(message.clone()) };
        let id = self.note(now, Some(to), self.striking, what);
        self.sent.insert(packet, id);
    }

    /// Something happens to a node of which there is nothing more to find out.
    pub(crate) fn happens(&mut self, now: SimTime, node: NodeId, what: What) {
        let cause = match what {
            What::Paused | What::Astray => self.striking,
            _ => self.track(node).step,
        };
        self.note(now, Some(node), cause, what);
    }

    /// So many things on the disk of a node that falls now are not durable; so many survive.
    pub(crate) fn stakes(&mut self, node: NodeId, at_stake: usize, kept: usize) {
        self.track(node).at_stake = (at_stake, kept);
    }

    /// An operation of the plan begins to happen, because of what node `it` does if it waited for
    /// that.
    pub(crate) fn strikes(&mut self, now: SimTime, op: u32, it: Option<NodeId>) {
        let id = self.note(now, it, None, What::Planned(op));
        self.planned.insert(op, id);
        self.striking = Some(id);
    }

    /// It has happened.
    pub(crate) fn struck(&mut self) {
        self.striking = None;
    }

    /// What an operation of the plan began is over.
    pub(crate) fn lifts(&mut self, now: SimTime, op: u32) {
        let cause = self.planned.get(&op).copied();
        self.note(now, None, cause, What::Lifted(op));
    }

    /// A client's request reaches a node.
    pub(crate) fn asked(
        &mut self,
        now: SimTime,
        client: u16,
        op: Option<OpId>,
        (tag, to): (Tag, NodeId),
    ) {
        let cause = op.and_then(|op| self.invoked.get(&op).copied());
        let id = self.note(now, Some(to), cause, What::Asked { client, op, tag });
        self.asked.insert(tag, id);
    }

    /// The run failed. Nothing is recorded after it.
    pub(crate) fn fails(&mut self, now: SimTime, failure: &Failure) {
        if self.is_over {
            return;
        }
        let accused = self.record.last();
        let node = accused.and_then(|accused| self.record.event(accused).node);
        self.note(now, node, accused, What::Failed(Box::new(failure.clone())));
        self.is_over = true;
    }

    /// The next thing happened.
    pub(crate) fn see(&mut self, now: SimTime, seen: &Seen<'_>) {
        match *seen {
            Seen::Started { node, status, log, membership, .. } => {
                self.started(now, node, status, log, membership);
            }
            Seen::Refused { node, why, .. } => {
                self.happens(now, node, What::NotStarted(why.into()))
            }
            Seen::Stopped { node, why, .. } => self.happens(now, node, What::Stopped(why.into())),
            Seen::Crashed { node } => self.fell(now, node),
            Seen::Wiped { node, .. } => {
                self.track(node).writes.clear();
                self.note(now, Some(node), self.striking, What::Wiped);
            }
            Seen::Stepped { node, membership, .. } => self.goes_by(now, node, membership),
            Seen::Submitted { node, write } => {
                let step = self.track(node).step;
                let what = What::Submitted(Box::new(write.clone()));
                let id = self.note(now, Some(node), step, what);
                self.track(node).writes.push_back((write.clone(), id));
            }
            Seen::Durable { node, write } => {
                let done = self.track(node).writes.pop_front();
                let submission = done.filter(|(done, _)| done.id == write.id).map(|(_, id)| id);
                self.note(now, Some(node), submission, What::Durable(write.id));
            }
            Seen::Sent { message } => {
                let step = self.track(message.from).step;
                let (to, message) = (message.to, message.clone());
                let from = message.from;
                let sent = Sent { to, message: Some(message), words: String::new(), way: None };
                self.note(now, Some(from), step, What::Sent(Box::new(sent)));
            }
            Seen::DiskFailed { node } => {
                let words = "what it has is unknown from now on".to_owned();
                self.happens(now, node, What::DiskFailed(words));
            }
            Seen::Astray { node } => self.happens(now, node, What::Astray),
            Seen::Calm { core } => {
                self.note(now, None, None, What::Calm(core.to_vec()));
            }
            Seen::Idle => {
                self.note(now, None, None, What::Idle);
            }
            Seen::Ended => {
                self.note(now, None, None, What::Ended);
            }
            Seen::Applied { .. }
            | Seen::SnapshotTaken { .. }
            | Seen::Restored { .. }
            | Seen::Slipped { .. }
            | Seen::Judged { .. }
            | Seen::Changed { .. } => self.machine(now, seen),
            Seen::Counted { .. }
            | Seen::OnAllLive { .. }
            | Seen::Looked { .. }
            | Seen::Frozen { .. }
            | Seen::ForAllLive { .. }
            | Seen::Asked { .. } => {}
            Seen::Answered { tag } => {
                let asked = self.asked.remove(&tag);
                let node = asked.and_then(|asked| self.record.event(asked).node);
                if node.is_some() {
                    self.note(now, node, asked, What::Answered(tag));
                }
            }
            _ => self.client(now, seen),
        }
    }

    fn started(
        &mut self,
        now: SimTime,
        node: NodeId,
        status: &Status,
        log: &Log,
        membership: &Membership,
    ) {
        let doubtful = std::mem::take(&mut self.track(node).writes);
        let (mut kept, mut lost) = (Vec::new(), Vec::new());
        for (write, _) in doubtful {
            if survived(&write, status, log) { &mut kept } else { &mut lost }.push(write.id);
        }
        self.is_now(node, status);
        let id = self.note(now, Some(node), None, What::Started { kept, lost });
        self.track(node).step = Some(id);
        self.goes_by(now, node, membership);
    }

    fn fell(&mut self, now: SimTime, node: NodeId) {
        let striking = self.striking;
        let track = self.track(node);
        (track.state, track.deadline) = (None, None);
        let (at_stake, kept) = std::mem::take(&mut track.at_stake);
        self.note(now, Some(node), striking, What::Fell { at_stake, kept });
    }

    fn goes_by(&mut self, now: SimTime, node: NodeId, membership: &Membership) {
        let track = self.track(node);
        if !track.membership.is_same(membership) {
            track.membership = membership.clone();
            self.note(now, Some(node), None, What::GoesBy(Box::new(membership.clone())));
        }
    }

    /// What happened to a state machine.
    fn machine(&mut self, now: SimTime, seen: &Seen<'_>) {
        let (node, what) = match *seen {
            Seen::Applied { node, entries, executed, .. } => {
                let id = |entry: Option<&quorate::types::Entry>| {
                    entry.map_or(EntryId::ZERO, |entry| entry.id)
                };
                let (first, last) = (id(entries.first()), id(entries.last()));
                let hash = |Executed { index, reply }: &Executed| (*index, of_bytes(reply));
                let executed = executed.iter().map(hash).collect();
                (node, What::Applied { first, last, executed })
            }
            Seen::SnapshotTaken { node, meta } => (node, What::SnapshotTaken(meta.last)),
            Seen::Restored { node, index, .. } => (node, What::Restored(index)),
            Seen::Slipped { node } => (node, What::Slipped),
            Seen::Judged { node, verdict } => (node, What::Judged(judged(verdict))),
            Seen::Changed { node, id } => (node, What::Changed(id)),
            _ => return,
        };
        self.happens(now, node, what);
    }

    /// What happened to a client.
    fn client(&mut self, now: SimTime, seen: &Seen<'_>) {
        let (op, node, what) = match *seen {
            Seen::ProposeInvoked { op, .. } => (op, None, What::Invoked { op, level: None }),
            Seen::ReadInvoked { op, level, .. } => {
                (op, None, What::Invoked { op, level: Some(level) })
            }
            Seen::Replied { op, node, id, outcome } => {
                let outcome: Box<Outcome> = Box::new(outcome.clone());
                (op, Some(node), What::Replied { op, id, outcome })
            }
            Seen::ReadServed { op, node, freshness, index, applied, state, answer } => {
                let state = state.map_or(0, |state| of_bytes(format!("{state}").as_bytes()));
                let answer = mix(state, of_bytes(answer));
                (op, Some(node), What::Served { op, freshness, index, applied, answer })
            }
            Seen::Rejected { op, reason } => (op, None, What::Rejected { op, reason }),
            Seen::Unknown { op } => (op, None, What::Unknown(op)),
            _ => return,
        };
        let cause = self.invoked.get(&op).copied();
        let id = self.note(now, node, cause, what);
        self.invoked.entry(op).or_insert(id);
    }
}

/// Whether a node that starts so has something of the write.
fn survived(write: &Write, status: &Status, log: &Log) -> bool {
    let hard_state = write.hard_state.is_none_or(|promised| {
        promised.term < status.term
            || (promised.term == status.term && promised.vote == status.vote)
    });
    let entries = write.entries.is_empty() || write.entries.iter().any(|entry| log.has(entry.id));
    hard_state && entries
}

fn judged(verdict: Verdict) -> String {
    format!("{verdict:?}")
}
