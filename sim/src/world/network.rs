//! The network: its links and their faults, and the encoded packets in flight.

use std::sync::Arc;

use quorate::types::{Body, Message, NodeId, Packet};
use quorate::wire;

use crate::choice::{Choices, Key, Kind};
use crate::fault::Fault;
use crate::record::{Delivery, LossReason};
use crate::settings::Settings;
use crate::time::SimTime;
use crate::world::place::Place;

/// A set of links, each in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Links(u128);

/// A packet in flight: its encoded bytes and its destination.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) to: NodeId,
    /// The number of the packet in the run, from 1; every copy of a packet has its number.
    pub(crate) number: u64,
    bytes: Arc<[u8]>,
}

impl Transmission {
    /// Returns the delivery of a packet with this transmission, for the recording.
    pub(crate) fn delivery(&self, packet: u64) -> Delivery {
        let Transmission { arrival, copy, faults: met } = *self;
        let late = met[0] == Some(Fault::Delay) || met[0] == Some(Fault::Clog);
        let why = if met[0] == Some(Fault::Loss) { LossReason::Loss } else { LossReason::Blocked };
        let lost = arrival.is_none().then_some(why);
        Delivery { packet, arrival, copy, late, lost }
    }
}

impl Envelope {
    /// Encodes a packet; returns `None` if the wire format cannot represent it. `encode_buffer` is
    /// reused between calls.
    pub(crate) fn encode(packet: &Packet, encode_buffer: &mut Vec<u8>) -> Option<Envelope> {
        encode_buffer.clear();
        wire::encode(packet, encode_buffer).ok()?;
        Some(Envelope { to: packet.to(), number: 0, bytes: Arc::from(&encode_buffer[..]) })
    }

    /// Decodes the packet, as its receiver does.
    ///
    /// # Panics
    /// If the receiver cannot decode the bytes that the sender encoded.
    pub(crate) fn decode(&self) -> Packet {
        wire::decode(&self.bytes).unwrap_or_else(|error| panic!("unreadable packet: {error}"))
    }
}

/// The network between the nodes.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    nodes: usize,
    links: Vec<Link>,
    /// The packets in flight, by slot, including those of senders that crashed since.
    in_flight: Vec<Option<Envelope>>,
    free: Vec<u32>,
    /// Past messages for replays; the oldest one is overwritten first.
    past: Vec<Message>,
    remembered: usize,
    /// The number of messages that were candidates for replays.
    seen: u64,
    /// The arrival time of the last message in flight.
    latest_arrival: SimTime,
    /// The number of packets sent so far.
    numbered: u64,
}

/// One link in one direction.
#[derive(Clone, Debug, Default)]
struct Link {
    /// The number of faults that block the link.
    blocks: u16,
    /// Whether the link is exempt from all faults from now on.
    exempt: bool,
    /// The time before which nothing arrives, because of a clog.
    clogged_until: SimTime,
    /// The arrival time of the last message that is not delayed by a fault.
    last_arrival: SimTime,
    /// The number of messages sent on the link.
    messages: u32,
}

/// The outcome of sending a message: its arrivals and the faults that it met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Transmission {
    /// The arrival time, or `None` if the message is lost.
    pub(crate) arrival: Option<SimTime>,
    /// The arrival time of a duplicate, if there is one.
    pub(crate) copy: Option<SimTime>,
    /// The faults that the message met.
    pub(crate) faults: [Option<Fault>; 3],
}

impl Links {
    /// The largest number of nodes in a set of links.
    pub(crate) const NODES_MAX: usize = Settings::NODES_MAX as usize;

    /// Returns the link from one node to another.
    pub(crate) fn one(from: Place, to: Place) -> Links {
        Links(1 << (from.0 as usize * Self::NODES_MAX + to.0 as usize))
    }

    /// Returns the links, in both directions, between the nodes of `places` that `joined` selects.
    pub(crate) fn between(
        places: impl Iterator<Item = Place> + Clone,
        joined: impl Fn(Place, Place) -> bool,
    ) -> Links {
        let mut links = Links::default();
        for from in places.clone() {
            for to in places.clone() {
                if from != to && joined(from, to) {
                    links = links.and(Links::one(from, to));
                }
            }
        }
        links
    }

    /// Returns the union of both sets.
    pub(crate) fn and(self, other: Links) -> Links {
        Links(self.0 | other.0)
    }

    /// Returns true if the link is in the set.
    pub(crate) fn has(self, from: Place, to: Place) -> bool {
        self.0 & Links::one(from, to).0 != 0
    }
}

impl Network {
    /// The number of messages remembered for replays.
    const REMEMBERED_MAX: usize = 1024;

    pub(crate) fn new(nodes: usize) -> Network {
        assert!(nodes <= Links::NODES_MAX);
        Network {
            nodes,
            links: vec![Link::default(); nodes * nodes],
            in_flight: Vec::new(),
            free: Vec::new(),
            past: Vec::new(),
            remembered: 0,
            seen: 0,
            latest_arrival: SimTime::default(),
            numbered: 0,
        }
    }

    fn link(&mut self, from: Place, to: Place) -> &mut Link {
        &mut self.links[from.0 as usize * self.nodes + to.0 as usize]
    }

    /// Returns true if messages from one node reach the other.
    pub(crate) fn is_open(&self, from: Place, to: Place) -> bool {
        let link = &self.links[from.0 as usize * self.nodes + to.0 as usize];
        link.exempt || link.blocks == 0
    }

    /// Draws the outcome of the next message on a link, and remembers its arrival.
    pub(crate) fn decide(
        &mut self,
        now: SimTime,
        link: (Place, Place),
        start_number: u16,
        choices: &Choices,
        settings: &Settings,
    ) -> Transmission {
        let transmission = self.draw_transmission(now, link, start_number, choices, settings);
        self.latest_arrival = self.latest_arrival.max(transmission.arrival.unwrap_or_default());
        self.latest_arrival = self.latest_arrival.max(transmission.copy.unwrap_or_default());
        transmission
    }

    /// Returns the arrival time of the last message that was ever in flight.
    pub(crate) fn latest_arrival(&self) -> SimTime {
        self.latest_arrival
    }

    fn draw_transmission(
        &mut self,
        now: SimTime,
        (from, to): (Place, Place),
        start_number: u16,
        choices: &Choices,
        settings: &Settings,
    ) -> Transmission {
        let node = from.0 + 1;
        let peer = u16::from(to.0) + 1;
        let link = self.link(from, to);
        link.messages = link.messages.wrapping_add(1);
        let counter = link.messages;
        let key = |kind| Key { kind, node, start_number, peer, counter };
        let mut transmission = Transmission::default();
        let on_time = now.after(choices.within(key(Kind::Latency), settings.latency));
        if link.exempt {
            link.last_arrival = link.last_arrival.max(on_time);
            transmission.arrival = Some(link.last_arrival);
            return transmission;
        }
        if link.blocks > 0 {
            return transmission;
        }
        if choices.chance(key(Kind::Loss), settings.loss_permille) {
            transmission.faults[0] = Some(Fault::Loss);
            return transmission;
        }
        transmission.arrival = Some(if choices.chance(key(Kind::Delay), settings.delay_permille) {
            transmission.faults[0] = Some(Fault::Delay);
            on_time.after(late_delay(choices, key(Kind::Lateness), settings))
        } else {
            link.in_order(on_time, settings, &mut transmission)
        });
        if choices.chance(key(Kind::Duplicate), settings.duplicate_permille) {
            transmission.faults[2] = Some(Fault::Duplicate);
            transmission.copy =
                Some(on_time.after(late_delay(choices, key(Kind::CopyLateness), settings)));
        }
        transmission
    }

    /// Assigns the next packet number.
    pub(crate) fn number(&mut self, envelope: &mut Envelope) {
        self.numbered += 1;
        envelope.number = self.numbered;
    }

    /// Stores a packet in flight, and returns its slot.
    pub(crate) fn dispatch(&mut self, envelope: Envelope) -> u32 {
        match self.free.pop() {
            Some(slot) => {
                self.in_flight[slot as usize] = Some(envelope);
                slot
            }
            None => {
                self.in_flight.push(Some(envelope));
                (self.in_flight.len() - 1) as u32
            }
        }
    }

    /// Returns the packet in a slot.
    pub(crate) fn peek(&self, slot: u32) -> Option<&Envelope> {
        self.in_flight.get(slot as usize)?.as_ref()
    }

    /// Removes the packet from its slot.
    pub(crate) fn collect(&mut self, slot: u32) -> Option<Envelope> {
        let envelope = self.in_flight.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(envelope)
    }

    /// Remembers some messages for replays: one in 61 heartbeats, one in four others.
    pub(crate) fn remember(&mut self, message: &Message) {
        self.seen += 1;
        let beat = matches!(message.body, Body::Heartbeat { .. } | Body::HeartbeatReply { .. });
        if !self.seen.is_multiple_of(if beat { 61 } else { 4 }) {
            return;
        }
        if self.past.len() < Self::REMEMBERED_MAX {
            self.past.push(message.clone());
        } else {
            self.past[self.remembered % Self::REMEMBERED_MAX] = message.clone();
        }
        self.remembered += 1;
    }

    /// Returns the remembered messages.
    pub(crate) fn remembered_messages(&self) -> &[Message] {
        &self.past
    }

    /// Adds one fault that blocks these links.
    pub(crate) fn block(&mut self, links: Links) {
        self.for_each(links, |link| link.blocks += 1);
    }

    /// Removes one fault that blocks these links.
    pub(crate) fn unblock(&mut self, links: Links) {
        self.for_each(links, |link| link.blocks = link.blocks.saturating_sub(1));
    }

    /// Delays messages that are sent on these links until `until`.
    pub(crate) fn clog(&mut self, links: Links, until: SimTime) {
        self.for_each(links, |link| link.clogged_until = link.clogged_until.max(until));
    }

    /// Exempts these links from all faults.
    pub(crate) fn exempt_from_faults(&mut self, links: Links) {
        self.for_each(links, |link| {
            link.exempt = true;
            link.last_arrival = SimTime::default();
        });
    }

    /// Blocks those of these links that were exempt from faults, without end.
    pub(crate) fn close(&mut self, links: Links) {
        self.for_each(links, |link| {
            link.blocks += u16::from(link.exempt);
            link.exempt = false;
        });
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

impl Link {
    /// Returns the arrival of a message that is neither lost nor delayed: after the previous one,
    /// unless the run reorders.
    fn in_order(
        &mut self,
        on_time: SimTime,
        settings: &Settings,
        transmission: &mut Transmission,
    ) -> SimTime {
        let mut arrival = on_time;
        if arrival < self.clogged_until {
            transmission.faults[0] = Some(Fault::Clog);
            let spread = on_time.0 % settings.latency.width().max(1);
            arrival = SimTime(self.clogged_until.0 + spread);
        }
        if arrival < self.last_arrival {
            if settings.faults.has(Fault::Reorder) {
                transmission.faults[1] = Some(Fault::Reorder);
            } else {
                arrival = self.last_arrival;
            }
        }
        self.last_arrival = self.last_arrival.max(arrival);
        arrival
    }
}

/// Draws the extra delay of a late message: short delays are as likely as long ones, up to several
/// election timeouts.
fn late_delay(choices: &Choices, key: Key, settings: &Settings) -> std::time::Duration {
    const SCALES: u64 = 7;
    const FINE: u64 = 1 << 20;
    let value = choices.choose(key, SCALES * FINE);
    let longest = settings.config.election_timeout_max.as_nanos() as u64 * 4;
    let scale = longest >> (SCALES - 1 - value / FINE);
    std::time::Duration::from_nanos((scale >> 20) * (value % FINE))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use quorate::types::{Incarnation, NodeId, Term};

    use crate::choice::Overrides;
    use crate::fault::Faults;
    use crate::profile::Profile;
    use crate::strategy::Strategy;

    use super::*;

    const A: Place = Place(0);
    const B: Place = Place(1);

    fn settings(faults: &[Fault]) -> Settings {
        let choices = Choices::new(1, Overrides::new());
        let stabilization = Profile::by_name("no-faults").expect("the profile exists");
        let mut settings = Settings::draw((stabilization, Strategy::default()), &choices, 1, 64);
        settings.faults = faults.iter().copied().collect::<Faults>();
        settings
    }

    fn arrivals(network: &mut Network, settings: &Settings, count: u64) -> Vec<Option<SimTime>> {
        let choices = Choices::new(9, Overrides::new());
        (0..count)
            .map(|at| network.decide(SimTime(at), (A, B), 1, &choices, settings).arrival)
            .collect()
    }

    #[test]
    fn a_link_keeps_order_unless_the_run_reorders() {
        let stabilization = arrivals(&mut Network::new(2), &settings(&[]), 100);
        assert!(stabilization.is_sorted() && stabilization.iter().all(Option::is_some));
        let wild = arrivals(&mut Network::new(2), &settings(&[Fault::Reorder]), 100);
        assert!(!wild.is_sorted());
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
            Network::new(2).decide(SimTime(0), (A, B), 1, &choices, settings)
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
    fn a_sound_link_knows_no_fault() {
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
        let body = Body::RequestVoteReply { granted: true };
        let message = Message {
            from: NodeId(1),
            incarnation: Incarnation::default(),
            to: NodeId(2),
            term: Term(1),
            body,
        };
        let packet = Packet::Message(message);
        let envelope = || Envelope::encode(&packet, &mut Vec::new()).expect("it can be read");
        let first = network.dispatch(envelope());
        let second = network.dispatch(envelope());
        assert_ne!(first, second);
        assert_eq!(network.collect(first).map(|envelope| envelope.decode()), Some(packet.clone()));
        assert!(network.collect(first).is_none());
        assert_eq!(network.dispatch(envelope()), first);
    }
}
