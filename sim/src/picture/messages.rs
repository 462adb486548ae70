//! The messages between nodes and their deliveries.

use std::collections::BTreeMap;

use quorate::types::{Body, MessageTopic};
use quorate_page::document::{Delivery, Message, Topic};

use crate::record::Sent;

/// The messages of a run.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    messages: Vec<Message>,
    /// The position of the message of each packet.
    packets: BTreeMap<u64, usize>,
    /// Whether a message without a delivery may have arrived.
    is_partial: bool,
}

impl Messages {
    /// Returns an empty list. `is_partial` says that the arrivals of messages may be unknown.
    pub(crate) fn new(is_partial: bool) -> Messages {
        Messages { is_partial, ..Messages::default() }
    }

    /// Records the sending of a packet in event number `event`.
    pub(crate) fn send(&mut self, event: u32, from: u16, to: u16, sent: &Sent, now: u64) {
        let delivery = sent.delivery;
        if let Some(delivery) = delivery {
            self.packets.insert(delivery.packet, self.messages.len());
        }
        let topic = sent.message.as_ref().map_or(Topic::Snapshot, |message| topic(&message.body));
        let delivery = match delivery {
            Some(delivery) if delivery.arrival.is_some() => Delivery::InFlight,
            None if self.is_partial => Delivery::NotRecorded,
            _ => Delivery::Lost(now),
        };
        self.messages.push(Message { sent: event, from, to, topic, text: text(sent), delivery });
    }

    /// Records the arrival of a packet in event number `event`. Returns false if no node sent the
    /// packet. A copy that the network made becomes a second message.
    pub(crate) fn arrive(&mut self, packet: u64, event: u32) -> bool {
        let Some(place) = self.packets.get(&packet) else { return false };
        let message = &mut self.messages[*place];
        if matches!(message.delivery, Delivery::Arrived(_)) {
            let copy = Message { delivery: Delivery::Arrived(event), ..message.clone() };
            self.messages.push(copy);
        } else {
            message.delivery = Delivery::Arrived(event);
        }
        true
    }

    /// Records the loss of a packet at the simulated time `at`, in nanoseconds.
    pub(crate) fn lose(&mut self, packet: u64, at: u64) {
        if let Some(place) = self.packets.get(&packet)
            && self.messages[*place].delivery == Delivery::InFlight
        {
            self.messages[*place].delivery = Delivery::Lost(at);
        }
    }

    pub(crate) fn finish(self) -> Vec<Message> {
        self.messages
    }
}

/// The text of a sent packet, without its delivery.
pub(crate) fn text(sent: &Sent) -> String {
    match &sent.message {
        Some(message) => message.to_string(),
        None => sent.text.clone(),
    }
}

fn topic(body: &Body) -> Topic {
    match body.topic() {
        MessageTopic::Election => Topic::Vote,
        MessageTopic::Append => Topic::Append,
        MessageTopic::Heartbeat => Topic::Heartbeat,
        MessageTopic::Snapshot => Topic::Snapshot,
        MessageTopic::Read => Topic::Read,
        MessageTopic::Participation => Topic::Other,
    }
}
