//! The events of several nodes in one causal order.
//!
//! Each node's steps keep their order, and no message arrives before it was sent, if the sender's
//! recording has the send. Among the events that this allows, the one with the earliest wall time
//! is next. So the clocks of the nodes may differ: if every send is recorded, the order is a
//! possible order of the steps. If a send is not recorded, its sender is ahead of its recording
//! ([`EventKind::IsAhead`]).

use std::slice;
use std::time::Duration;

use quorate::raft::{Action, Input, Raft, Status};
use quorate::recording::{Header, Replayed, Step};
use quorate::types::{Instant, Message, NodeId};

use crate::recordings::clocks::{ClockOffset, Clocks};
use crate::recordings::event::{CoreState, Event, EventKind};
use crate::recordings::messages::{SentMessages, digest_of, is_sent_once};
use crate::recordings::node_recording::{NodeRecording, part_of, wall_time};
use crate::recordings::playback::Playback;
use crate::values::time::SimTime;

/// The result of a merge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// The wall time of time zero: the first step of all recordings.
    pub origin: Duration,
    /// The number of received messages whose send is recorded, too.
    pub matched: u64,
    /// The number of received messages from recorded nodes whose send is not recorded.
    pub unmatched: u64,
    /// The number of unmatched messages that equal a message whose recorded send is later: they
    /// were sent in a part that is not recorded.
    pub disordered: u64,
    /// The bounds of the differences between the clocks of two nodes.
    pub clocks: Vec<ClockOffset>,
}

/// Replays the recordings again, and passes their events to `each` in one order.
pub fn merge(recordings: &[NodeRecording], mut each: impl FnMut(&Event<'_>)) -> Merged {
    let spans = recordings.iter().filter_map(NodeRecording::span);
    let origin = spans.map(|(from, _)| from).min().unwrap_or_default();
    let sent = recordings.iter().map(|recording| recording.sent.clone()).collect();
    let mut order = Order {
        lanes: recordings.iter().map(|recording| Lane::new(recording, origin)).collect(),
        sent,
        clocks: Clocks::new(recordings.iter().map(|recording| recording.node).collect()),
        merged: Merged { origin, ..Merged::default() },
    };
    while let Some(next) = order.next() {
        let sending = order.note_messages(next);
        if let Sending::Unrecorded(sender) = sending {
            let (at, node) = (order.lanes[next].time_of_next(), order.lanes[sender].node);
            each(&Event { at, node, kind: EventKind::IsAhead });
        }
        let lane = &mut order.lanes[next];
        lane.emit(sending, &mut each);
        lane.advance();
    }
    Merged { clocks: order.clocks.offsets(), ..order.merged }
}

/// The lanes of all nodes, and the messages between them.
struct Order<'a> {
    lanes: Vec<Lane<'a>>,
    sent: Vec<SentMessages>,
    clocks: Clocks,
    merged: Merged,
}

/// The events of one node, the next of which is known.
struct Lane<'a> {
    node: NodeId,
    playback: Playback<'a>,
    origin: Duration,
    next: Option<Next>,
    /// The wall times of the segments that are yet to come.
    segments: slice::Iter<'a, Option<Duration>>,
    /// The wall time of the origin of the node's clock in the current start.
    unix_time: Option<Duration>,
    /// The current part of the recording, once it has begun.
    part: Option<u32>,
    /// The time of the last event.
    at: SimTime,
    /// The status before the next step, and when the step is due.
    before: Option<(Status, Instant)>,
}

/// The sending of the message that an event receives.
#[derive(Clone, Copy)]
enum Sending {
    /// The event receives no message, or one of a node without a recording.
    Unknown,
    /// The message was first sent at this time, by the clock of its sender.
    At(SimTime),
    /// The recording of the sender, which is this lane's, does not have the send.
    Unrecorded(usize),
}

enum Next {
    Begins {
        header: Box<Header>,
        continues: bool,
    },
    Steps(Box<Step>),
    /// The end of a part, and the part that follows, if any.
    Ends(Option<Box<Next>>),
}

impl Order<'_> {
    /// The lane with the next event; `None` at the end of all recordings.
    fn next(&mut self) -> Option<usize> {
        let by_time = |lane: &usize| self.lanes[*lane].time_of_next();
        let open: Vec<usize> =
            (0..self.lanes.len()).filter(|lane| self.lanes[*lane].next.is_some()).collect();
        let free = open.iter().copied().filter(|lane| !self.waits(*lane)).min_by_key(by_time);
        if free.is_none() && !open.is_empty() {
            self.merged.disordered += 1;
        }
        free.or_else(|| open.into_iter().min_by_key(by_time))
    }

    /// Whether the next event is the arrival of a message that is yet to be sent.
    fn waits(&self, lane: usize) -> bool {
        let found = self.lanes[lane].arrival().and_then(|message| self.find(message));
        found.is_some_and(|(_, first_sent)| first_sent == Some(None))
    }

    /// The lane of the sender, and when the message was first sent, as [`SentMessages::find`] says.
    fn find(&self, message: &Message) -> Option<(usize, Option<Option<SimTime>>)> {
        let lane = self.lanes.iter().position(|lane| lane.node == message.from)?;
        let part = self.lanes[lane].part.unwrap_or_default();
        Some((lane, self.sent[lane].find(digest_of(message), part)))
    }

    /// Records the messages that the next event receives and sends. Returns the sending of the one
    /// that it receives.
    fn note_messages(&mut self, next: usize) -> Sending {
        let found = self.lanes[next].arrival().and_then(|message| self.find(message));
        let lane = &self.lanes[next];
        let at = lane.time_of_next();
        let sending = match found {
            Some((from, Some(Some(first_sent)))) => {
                self.merged.matched += 1;
                // Any other message may be a repetition of one sent where steps are missing.
                if lane.arrival().is_some_and(is_sent_once) {
                    self.clocks.arrived(from, next, first_sent, at);
                }
                Sending::At(first_sent)
            }
            Some((from, _)) => {
                self.merged.unmatched += 1;
                Sending::Unrecorded(from)
            }
            None => Sending::Unknown,
        };
        if let Some(Next::Steps(step)) = &lane.next {
            for action in &step.actions {
                if let Action::Send(message) = action {
                    self.sent[next].sent(digest_of(message), at);
                }
            }
        }
        sending
    }
}

impl<'a> Lane<'a> {
    fn new(recording: &'a NodeRecording, origin: Duration) -> Lane<'a> {
        let mut lane = Lane {
            node: recording.node,
            playback: Playback::new(&recording.sources),
            origin,
            next: None,
            segments: recording.segments.iter(),
            unix_time: None,
            part: None,
            at: SimTime::default(),
            before: None,
        };
        lane.next = lane.read();
        lane
    }

    /// The next part of the recording. Failures were reported when it was surveyed.
    fn read(&mut self) -> Option<Next> {
        let raft = self.playback.raft();
        self.before = raft.map(|raft| (raft.status(), raft.deadline()));
        let part = self.playback.by_ref().find_map(Result::ok)?;
        Some(match part {
            Replayed::Segment { header, continues } => Next::Begins { header, continues },
            Replayed::Step(step) => Next::Steps(step),
        })
    }

    /// Reads the next event. If it does not continue the last one, an end comes between them.
    fn advance(&mut self) {
        let last = self.next.take();
        self.at = self.time_of(&last);
        if matches!(last, Some(Next::Begins { .. })) {
            self.segments.next();
        }
        if let Some(Next::Ends(after)) = last {
            self.next = after.map(|next| *next);
            return;
        }
        let next = self.read();
        self.next = match next {
            None => Some(Next::Ends(None)),
            Some(next @ Next::Begins { continues: false, .. }) => {
                Some(Next::Ends(Some(Box::new(next))))
            }
            next => next,
        };
    }

    fn time_of_next(&self) -> SimTime {
        self.time_of(&self.next)
    }

    /// The time of an event. The end of a part has the time of its last step, and a segment has
    /// that of its first one.
    fn time_of(&self, event: &Option<Next>) -> SimTime {
        let wall = match event {
            Some(Next::Steps(step)) => Some(wall_time(self.unix_time, step.now)),
            Some(Next::Begins { .. }) => self.segments.as_slice().first().copied().flatten(),
            Some(Next::Ends(_)) | None => None,
        };
        wall.map_or(self.at, |wall| {
            let since = wall.saturating_sub(self.origin).as_nanos();
            SimTime(u64::try_from(since).unwrap_or(u64::MAX))
        })
    }

    /// The message whose arrival is the next event.
    fn arrival(&self) -> Option<&Message> {
        match &self.next {
            Some(Next::Steps(step)) => match &step.input {
                Input::Message(message) => Some(message),
                _ => None,
            },
            _ => None,
        }
    }

    fn emit(&mut self, sending: Sending, each: &mut impl FnMut(&Event<'_>)) {
        if let Some(Next::Begins { header, continues }) = &self.next {
            self.unix_time = header.unix_time;
            let last = self.part.unwrap_or_default();
            self.part = Some(part_of(last, header, *continues, self.part.is_none()));
        }
        let (at, node, raft) = (self.time_of_next(), self.node, self.playback.raft());
        let status = raft.map(Raft::status);
        let state = raft.zip(status.as_ref()).map(|(raft, status)| CoreState::of(raft, status));
        let kind = match (&self.next, state, &self.before) {
            (Some(Next::Begins { header, continues }), Some(state), _) => {
                let is_later = self.playback.is_later();
                EventKind::Begins { header, continues: *continues, is_later, state }
            }
            (Some(Next::Steps(step)), Some(state), Some((before, due))) => {
                let sent_at = match sending {
                    Sending::At(sent_at) => Some(sent_at),
                    Sending::Unknown | Sending::Unrecorded(_) => None,
                };
                EventKind::Steps { step, before, due: *due, sent_at, state }
            }
            _ => EventKind::Ends,
        };
        each(&Event { at, node, kind });
    }
}
