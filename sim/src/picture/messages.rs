//! What travelled between nodes, and what became of it.

use std::collections::BTreeMap;

use quorate::types::Body;
use quorate_page::document::{Fate, Message, Topic};

use crate::record::Sent;

/// The messages of a run.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    messages: Vec<Message>,
    /// By the number of the packet.
    packets: BTreeMap<u64, usize>,
}

impl Messages {
    /// A node sends something with event number `event`.
    pub(crate) fn send(&mut self, event: u32, (from, to): (u16, u16), sent: &Sent, now: u64) {
        let way = sent.way;
        let lost = way.is_none_or(|way| way.arrival.is_none());
        if let Some(way) = way {
            self.packets.insert(way.packet, self.messages.len());
        }
        let topic = sent.message.as_ref().map_or(Topic::Snapshot, |message| topic(&message.body));
        let fate = if lost { Fate::Lost(now) } else { Fate::Travels };
        self.messages.push(Message { sent: event, from, to, topic, text: text(sent), fate });
    }

    /// A packet is taken with event number `event`; false if nobody sent it. What the network
    /// copied is taken twice, and is two messages.
    pub(crate) fn arrive(&mut self, packet: u64, event: u32) -> bool {
        let Some(place) = self.packets.get(&packet) else { return false };
        let message = &mut self.messages[*place];
        if matches!(message.fate, Fate::Arrived(_)) {
            let copy = Message { fate: Fate::Arrived(event), ..message.clone() };
            self.messages.push(copy);
        } else {
            message.fate = Fate::Arrived(event);
        }
        true
    }

    /// A packet is lost.
    pub(crate) fn lose(&mut self, packet: u64, at: u64) {
        if let Some(place) = self.packets.get(&packet)
            && self.messages[*place].fate == Fate::Travels
        {
            self.messages[*place].fate = Fate::Lost(at);
        }
    }

    pub(crate) fn finish(self) -> Vec<Message> {
        self.messages
    }
}

/// What is sent, without its way.
pub(crate) fn text(sent: &Sent) -> String {
    match &sent.message {
        Some(message) => message.to_string(),
        None => sent.words.clone(),
    }
}

fn topic(body: &Body) -> Topic {
    match body {
        Body::PreVote { .. }
        | Body::PreVoteReply { .. }
        | Body::RequestVote { .. }
        | Body::RequestVoteReply { .. }
        | Body::TimeoutNow => Topic::Vote,
        Body::AppendEntries { .. } | Body::AppendEntriesReply(_) => Topic::Append,
        Body::Heartbeat(_) | Body::HeartbeatReply { .. } => Topic::Heartbeat,
        Body::InstallSnapshot { .. } | Body::InstallSnapshotReply { .. } => Topic::Snapshot,
        Body::ReadIndex { .. } | Body::ReadIndexReply { .. } => Topic::Read,
        _ => Topic::Other,
    }
}
