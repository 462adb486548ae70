//! Queries on a recorded run: its events, statuses and causes.

use std::collections::BTreeSet;
use std::time::Duration;

use quorate::raft::{PeerStatus, Status};
use quorate::types::{Membership, Message, NodeId};

use crate::observe::outcome::Outcome;
use crate::plan::Op;
use crate::record::event::{Event, EventId, EventKind};

/// The events of a recorded run, with the nodes' statuses.
#[derive(Clone, Debug)]
pub struct Record {
    /// The nodes of the world, in the order of their ids.
    pub nodes: Vec<NodeId>,
    /// The membership that the cluster starts with.
    pub membership: Membership,
    /// The operations of the plan; events refer to them by position.
    pub plan: Vec<Op>,
    /// The events of the run in order. The first event has the number 1.
    pub events: Vec<Event>,
    /// The nodes' statuses; events refer to them by position, and successive events of a node may
    /// share one.
    pub states: Vec<Status>,
    /// Where the events come from.
    pub origin: RecordOrigin,
}

/// Where the events of a record come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordOrigin {
    /// A simulated run, of which every event is known.
    Run,
    /// Recordings of real nodes, which may lack nodes and steps.
    Recordings {
        /// Whether the recordings have the bytes of the users' commands.
        keeps_commands: bool,
        /// Whether two clocks are known to differ so much that times of different nodes cannot be
        /// compared.
        has_clocks_apart: bool,
    },
}

/// A recorded run with its outcome.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The outcome of the run, up to the end of the recording.
    pub outcome: Outcome,
    /// The recorded events and statuses.
    pub record: Record,
    /// Each leader's view of its peers at the end of the recording.
    pub peers: Vec<(NodeId, Vec<PeerStatus>)>,
}

impl Record {
    /// The event with number `id`.
    ///
    /// # Panics
    /// If the recording has no such event.
    #[must_use]
    pub fn event(&self, id: EventId) -> &Event {
        &self.events[id.0 as usize - 1]
    }

    /// Every event with its number, in order.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = (EventId, &Event)> + ExactSizeIterator {
        self.events.iter().enumerate().map(|(place, event)| (EventId(place as u32 + 1), event))
    }

    /// The events up to and including `id`, in order.
    pub fn through(&self, id: EventId) -> impl DoubleEndedIterator<Item = (EventId, &Event)> {
        self.all().take(id.0 as usize)
    }

    /// The number of the last event; `None` if there are no events.
    #[must_use]
    pub fn last(&self) -> Option<EventId> {
        (!self.events.is_empty()).then_some(EventId(self.events.len() as u32))
    }

    /// The status of the event's node after the event; `None` if the node is down, or if the event
    /// has no node.
    #[must_use]
    pub fn state(&self, id: EventId) -> Option<&Status> {
        self.event(id).state.map(|state| &self.states[state as usize])
    }

    /// The status of the event's node before the event; `None` if the node was down, or if the
    /// event has no node.
    #[must_use]
    pub fn state_before(&self, id: EventId) -> Option<&Status> {
        self.state(self.event(id).before?)
    }

    /// The status of `node` after event `at` of any node; `None` if `node` is down.
    #[must_use]
    pub fn state_of(&self, node: NodeId, at: EventId) -> Option<&Status> {
        let (id, _) = self.through(at).rev().find(|(_, event)| event.node == Some(node))?;
        self.state(id)
    }

    /// Whether the record is of recordings of real nodes, which may lack nodes and steps.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        self.origin != RecordOrigin::Run
    }

    /// Returns the time from one event to another; `None` if the clocks of their nodes are known to
    /// differ too much.
    #[must_use]
    pub fn time_between(&self, earlier: EventId, later: EventId) -> Option<Duration> {
        let (earlier, later) = (self.event(earlier), self.event(later));
        let is_apart =
            matches!(self.origin, RecordOrigin::Recordings { has_clocks_apart: true, .. });
        let is_comparable = !is_apart || earlier.node == later.node;
        is_comparable.then(|| later.own_at.since(earlier.own_at))
    }

    /// Whether the steps of `node` are recorded at event `at`. In a run, those of all nodes are.
    #[must_use]
    pub fn is_recorded(&self, node: NodeId, at: EventId) -> bool {
        if !self.is_partial() {
            return true;
        }
        let last = self.through(at).rev().find(|(_, event)| event.node == Some(node));
        last.is_some_and(|(_, event)| !matches!(event.kind, EventKind::RecordingEnded))
    }

    /// The message that a node took in event `id`, and the event that sent or injected it; `None`
    /// if the node took no message.
    #[must_use]
    pub fn taken_message(&self, id: EventId) -> Option<(EventId, &Message)> {
        let event = self.event(id);
        let EventKind::TookInput(_) = event.kind else { return None };
        let cause = event.cause?;
        Some((cause, self.event(cause).message()?))
    }

    /// The event `of` and all events that happened before it in causal order.
    #[must_use]
    pub fn causal_past(&self, of: EventId) -> BTreeSet<EventId> {
        let mut past = BTreeSet::new();
        let mut open = vec![of];
        while let Some(id) = open.pop() {
            if past.insert(id) {
                let event = self.event(id);
                open.extend([event.before, event.cause].into_iter().flatten());
            }
        }
        past
    }

    /// The event as a line: its number, its time, the node's status after the event, and its text.
    #[must_use]
    pub fn line(&self, id: EventId) -> String {
        let event = self.event(id);
        let subject = match (self.state(id), event.node) {
            (Some(status), _) => status.to_string(),
            (None, Some(node)) => node.to_string(),
            (None, None) => String::new(),
        };
        format!("{id:<7} {:>10}  {subject:<37}  {}", event.at, event.kind)
    }
}
