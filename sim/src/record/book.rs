//! A recorded run, as it is read.

use std::collections::BTreeSet;

use quorate::raft::{PeerStatus, Status};
use quorate::types::{Membership, Message, NodeId};

use crate::outcome::Outcome;
use crate::plan::Op;
use crate::record::event::{Event, EventId, What};

/// A recorded run.
#[derive(Clone, Debug)]
pub struct Record {
    /// The nodes of the world, in the order of their ids.
    pub nodes: Vec<NodeId>,
    /// The membership that the cluster starts with.
    pub membership: Membership,
    /// The operations of the plan; events name them by their place.
    pub plan: Vec<Op>,
    /// What happened, in order. The first event is number 1.
    pub events: Vec<Event>,
    /// What nodes were like; events name these by their place, and neighbours share one.
    pub states: Vec<Status>,
}

/// A recorded run and what it came to.
#[derive(Clone, Debug)]
pub struct Recording {
    /// What the run came to, as far as it went.
    pub outcome: Outcome,
    /// What happened.
    pub record: Record,
    /// How each leader sees its peers where the recording ends.
    pub peers: Vec<(NodeId, Vec<PeerStatus>)>,
}

impl Record {
    /// An event.
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

    /// The events up to and with one.
    pub fn through(&self, id: EventId) -> impl DoubleEndedIterator<Item = (EventId, &Event)> {
        self.all().take(id.0 as usize)
    }

    /// The number of the last event; none if nothing happened.
    #[must_use]
    pub fn last(&self) -> Option<EventId> {
        (!self.events.is_empty()).then_some(EventId(self.events.len() as u32))
    }

    /// What an event's node is like after it; none if it is down, or the event is nobody's.
    #[must_use]
    pub fn state(&self, id: EventId) -> Option<&Status> {
        self.event(id).state.map(|state| &self.states[state as usize])
    }

    /// What an event's node was like before it; none if it was down, or the event is nobody's.
    #[must_use]
    pub fn state_before(&self, id: EventId) -> Option<&Status> {
        self.state(self.event(id).before?)
    }

    /// What a node is like after this event of anybody's; none if it is down.
    #[must_use]
    pub fn state_of(&self, node: NodeId, at: EventId) -> Option<&Status> {
        let (id, _) = self.through(at).rev().find(|(_, event)| event.node == Some(node))?;
        self.state(id)
    }

    /// The message that a node took, and the event of its sending, if that is what happened.
    #[must_use]
    pub fn taken(&self, id: EventId) -> Option<(EventId, &Message)> {
        let event = self.event(id);
        let What::Took(_) = event.what else { return None };
        let cause = event.cause?;
        Some((cause, self.event(cause).message()?))
    }

    /// Every event without which this one would not have happened as it did, and itself.
    #[must_use]
    pub fn past(&self, of: EventId) -> BTreeSet<EventId> {
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

    /// An event as a line: number, time, the node's state after it, and what happened.
    #[must_use]
    pub fn line(&self, id: EventId) -> String {
        let event = self.event(id);
        let who = match (self.state(id), event.node) {
            (Some(status), _) => status.to_string(),
            (None, Some(node)) => node.to_string(),
            (None, None) => String::new(),
        };
        format!("{id:<7} {:>10}  {who:<37}  {}", event.at, event.what)
    }
}
