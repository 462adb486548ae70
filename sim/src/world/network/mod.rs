//! The network: its links and their faults, and the encoded packets in flight.

pub(super) mod links;

use std::sync::Arc;

use quorate::types::{Message, MessageTopic, Packet};
use quorate::wire;

use crate::faults::Fault;
use crate::link::{Link, Transmission};
use crate::settings::Settings;
use crate::values::choice::{Choices, Key, Kind};
use crate::values::time::SimTime;
use crate::world::network::links::Links;
use crate::world::place::{Place, Start};
use crate::world::run::{Run, Setup};
use crate::world::scheduler::Event;
use crate::world::slots::Slots;

/// The network between the nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Network {
    nodes: usize,
    links: Vec<Link>,
    /// The packets in flight, by slot, including those of senders that crashed since.
    pub(super) in_flight: Slots<Envelope>,
    /// Past messages for replays; the oldest one is overwritten first.
    pub(crate) past: Vec<Message>,
    remembered: usize,
    /// The number of messages that were candidates for replays.
    seen: u64,
    /// The latest arrival time of all packets sent so far.
    pub(crate) latest_arrival: SimTime,
    /// The number of packets sent or injected so far.
    numbered: u64,
    /// The buffer into which packets are encoded.
    encode_buffer: Vec<u8>,
}

impl Network {
    /// The number of messages remembered for replays.
    const REMEMBERED_MAX: usize = 1024;

    pub(crate) fn new(nodes: usize) -> Network {
        assert!(nodes <= Links::NODES_MAX);
        let links = vec![Link::default(); nodes * nodes];
        Network { nodes, links, ..Network::default() }
    }

    fn link(&mut self, from: Place, to: Place) -> &mut Link {
        &mut self.links[from.0 as usize * self.nodes + to.0 as usize]
    }

    /// Returns true if messages from one node reach the other.
    pub(crate) fn is_open(&self, from: Place, to: Place) -> bool {
        let link = &self.links[from.0 as usize * self.nodes + to.0 as usize];
        link.is_open()
    }

    /// Draws the outcome of the next message between two nodes, and updates the latest arrival.
    pub(crate) fn decide(
        &mut self,
        sender: Start,
        to: Place,
        now: SimTime,
        choices: &Choices,
        settings: &Settings,
    ) -> Transmission {
        let key = Key { peer: u16::from(to.0) + 1, ..sender.key(Kind::Latency, 0) };
        let transmission = self.link(sender.place, to).transmit(key, now, choices, settings);
        self.latest_arrival = self.latest_arrival.max(transmission.arrival.unwrap_or_default());
        self.latest_arrival = self.latest_arrival.max(transmission.copy.unwrap_or_default());
        transmission
    }

    /// Sends a packet to a node, and returns its number and the outcome.
    ///
    /// # Panics
    /// If the packet cannot be encoded.
    pub(super) fn send(
        &mut self,
        packet: &Packet,
        sender: Start,
        to: Place,
        run: &mut Run,
    ) -> (u64, Transmission) {
        let Setup { choices, settings, .. } = &run.setup;
        let transmission = self.decide(sender, to, run.scheduler.now(), choices, settings);
        if let Some(message) = packet.message()
            && settings.faults.has(Fault::Replay)
        {
            self.remember(message);
        }
        let envelope = self.encode(packet);
        let sender = sender.place.id();
        let envelope =
            envelope.unwrap_or_else(|| panic!("{sender} sends a packet that cannot be encoded"));
        let number = envelope.number;
        for at in [transmission.copy, transmission.arrival].into_iter().flatten() {
            let slot = self.in_flight.store(envelope.clone());
            run.scheduler.at(at, Event::Arrive { place: to, slot });
        }
        (number, transmission)
    }

    /// Delivers a message to a node at once, even if it is addressed to another node. A message
    /// that the wire format cannot represent is dropped. `is_sent` says whether a node had sent it.
    pub(super) fn inject(&mut self, message: Message, place: Place, is_sent: bool, run: &mut Run) {
        let packet = Packet::Message(message);
        let Some(mut envelope) = self.encode(&packet) else { return };
        envelope.is_sent = is_sent;
        run.observer.packet_injected(run.scheduler.now(), place.id(), envelope.number, &packet);
        let slot = self.in_flight.store(envelope);
        run.scheduler.at_once(Event::Arrive { place, slot });
    }

    /// Encodes a packet, and assigns the next number to it.
    fn encode(&mut self, packet: &Packet) -> Option<Envelope> {
        let envelope = Envelope::encode(packet, self.numbered + 1, &mut self.encode_buffer)?;
        self.numbered += 1;
        Some(envelope)
    }

    /// Remembers some messages for replays: about one in 61 heartbeats, and one in four others.
    fn remember(&mut self, message: &Message) {
        self.seen += 1;
        let is_heartbeat = message.body.topic() == MessageTopic::Heartbeat;
        if !self.seen.is_multiple_of(if is_heartbeat { 61 } else { 4 }) {
            return;
        }
        if self.past.len() < Self::REMEMBERED_MAX {
            self.past.push(message.clone());
        } else {
            self.past[self.remembered % Self::REMEMBERED_MAX] = message.clone();
        }
        self.remembered += 1;
    }

    /// Adds one fault that blocks these links.
    pub(crate) fn block(&mut self, links: Links) {
        self.for_each(links, Link::block);
    }

    /// Removes one fault that blocks these links.
    pub(crate) fn unblock(&mut self, links: Links) {
        self.for_each(links, Link::unblock);
    }

    /// Holds back messages on these links that would arrive before `until`.
    pub(crate) fn clog(&mut self, links: Links, until: SimTime) {
        self.for_each(links, |link| link.clog(until));
    }

    /// Exempts these links from all faults.
    pub(crate) fn exempt_from_faults(&mut self, links: Links) {
        self.for_each(links, Link::exempt_from_faults);
    }

    /// Blocks those of these links that were exempt from faults, for the rest of the run.
    pub(crate) fn close(&mut self, links: Links) {
        self.for_each(links, Link::close);
    }

    fn for_each(&mut self, links: Links, change: impl Fn(&mut Link)) {
        for from in 0..self.nodes {
            for to in 0..self.nodes {
                if links.has(Place(from as u8), Place(to as u8)) {
                    change(&mut self.links[from * self.nodes + to]);
                }
            }
        }
    }
}

/// A packet in flight: its encoded bytes.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    /// The number of the packet in the run, from 1; every copy of a packet has its number.
    pub(crate) number: u64,
    /// Whether a node has sent the packet; a fault fabricated the others.
    pub(crate) is_sent: bool,
    bytes: Arc<[u8]>,
}

impl Envelope {
    /// Encodes a packet; returns `None` if the wire format cannot represent it. `encode_buffer` is
    /// reused between calls.
    pub(super) fn encode(
        packet: &Packet,
        number: u64,
        encode_buffer: &mut Vec<u8>,
    ) -> Option<Envelope> {
        encode_buffer.clear();
        wire::encode(packet, encode_buffer).ok()?;
        Some(Envelope { number, is_sent: true, bytes: Arc::from(&encode_buffer[..]) })
    }

    /// Decodes the packet, as its receiver does.
    ///
    /// # Panics
    /// If the receiver cannot decode the bytes that the sender encoded.
    pub(crate) fn decode(&self) -> Packet {
        wire::decode(&self.bytes).unwrap_or_else(|error| panic!("unreadable packet: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use quorate::types::{Body, Incarnation, NodeId, Term};

    use crate::faults::Faults;
    use crate::settings::profile::Profile;
    use crate::settings::strategy::Strategy;
    use crate::values::choice::Overrides;

    use super::*;

    const A: Place = Place(0);
    const B: Place = Place(1);
    const SENDER: Start = Start { place: A, number: 1 };

    fn settings(faults: &[Fault]) -> Settings {
        let choices = Choices::new(1, Overrides::new());
        let profile = Profile::by_name("no-faults").expect("the profile exists");
        let mut settings = Settings::draw(profile, Strategy::default(), &choices, 1, 64);
        settings.faults = faults.iter().copied().collect::<Faults>();
        settings
    }

    fn arrivals(network: &mut Network, settings: &Settings, count: u64) -> Vec<Option<SimTime>> {
        let choices = Choices::new(9, Overrides::new());
        (0..count)
            .map(|at| network.decide(SENDER, B, SimTime(at), &choices, settings).arrival)
            .collect()
    }

    #[test]
    fn a_link_keeps_order_unless_the_run_reorders() {
        let in_order = arrivals(&mut Network::new(2), &settings(&[]), 100);
        assert!(in_order.is_sorted() && in_order.iter().all(Option::is_some));
        let reordered = arrivals(&mut Network::new(2), &settings(&[Fault::Reorder]), 100);
        assert!(!reordered.is_sorted());
    }

    #[test]
    fn a_blocked_link_delivers_nothing_until_every_fault_is_lifted() {
        let mut network = Network::new(2);
        let links = Links::one(A, B);
        network.block(links);
        network.block(links);
        network.unblock(links);
        assert_eq!(arrivals(&mut network, &settings(&[]), 1), [None]);
        assert!(network.is_open(B, A) && !network.is_open(A, B));
        network.unblock(links);
        assert!(arrivals(&mut network, &settings(&[]), 1)[0].is_some());
    }

    #[test]
    fn a_clogged_link_delivers_all_at_its_end() {
        let mut network = Network::new(2);
        let end = SimTime::default().after(Duration::from_secs(3));
        network.clog(Links::one(A, B), end);
        let settings = settings(&[]);
        let latest = end.after(settings.latency.max);
        for arrival in arrivals(&mut network, &settings, 50) {
            assert!(arrival.is_some_and(|at| end <= at && at <= latest));
        }
    }

    #[test]
    fn every_rate_has_its_effect() {
        let mut settings = settings(&[]);
        let one = |settings: &Settings| {
            let choices = Choices::new(9, Overrides::new());
            Network::new(2).decide(SENDER, B, SimTime(0), &choices, settings)
        };
        settings.loss_permille = 1000;
        assert_eq!(one(&settings).arrival, None);
        assert_eq!(one(&settings).faults[0], Some(Fault::Loss));
        settings.loss_permille = 0;
        settings.duplicate_permille = 1000;
        assert!(one(&settings).copy.is_some());
        settings.delay_permille = 1000;
        assert_eq!(one(&settings).faults[0], Some(Fault::Delay));
    }

    #[test]
    fn a_link_exempt_from_faults_has_none() {
        let mut network = Network::new(2);
        let mut settings = settings(&[]);
        settings.loss_permille = 1000;
        network.block(Links::one(A, B));
        network.exempt_from_faults(Links::one(A, B));
        assert!(arrivals(&mut network, &settings, 9).iter().all(Option::is_some));
    }

    #[test]
    fn a_slot_is_used_again_once_its_message_is_taken() {
        let mut network = Network::new(2);
        let body = Body::RequestVoteReply { granted: true, committed: quorate::types::Index::ZERO };
        let message = Message {
            from: NodeId(1),
            incarnation: Incarnation::default(),
            to: NodeId(2),
            term: Term(1),
            body,
        };
        let packet = Packet::Message(message);
        let envelope = || Envelope::encode(&packet, 1, &mut Vec::new()).expect("it can be read");
        let first = network.in_flight.store(envelope());
        let second = network.in_flight.store(envelope());
        assert_ne!(first, second);
        assert_eq!(
            network.in_flight.take(first).map(|envelope| envelope.decode()),
            Some(packet.clone())
        );
        assert!(network.in_flight.take(first).is_none());
        assert_eq!(network.in_flight.store(envelope()), first);
    }
}
