//! The network: which links work, and the packets on their way, as bytes.

use std::sync::Arc;

use quorate::types::{Body, Message, NodeId, Packet};
use quorate::wire;

use crate::choice::{Choices, Key, Kind};
use crate::fault::Fault;
use crate::record::{Lost, Way};
use crate::settings::Settings;
use crate::time::SimTime;
use crate::world::node::Place;

/// A set of links, each in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Links(u128);

/// A packet on its way: its bytes, and the address on the outside.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    pub(crate) to: NodeId,
    /// Counts the packets of a run, from 1; every copy of one has its number.
    pub(crate) number: u64,
    bytes: Arc<[u8]>,
}

impl Fate {
    /// The way of a packet with this fate.
    pub(crate) fn way(&self, packet: u64) -> Way {
        let Fate { arrival, copy, met } = *self;
        let late = met[0] == Some(Fault::Delay) || met[0] == Some(Fault::Clog);
        let why = if met[0] == Some(Fault::Loss) { Lost::Loss } else { Lost::Cut };
        let lost = arrival.is_none().then_some(why);
        Way { packet, arrival, copy, late, lost }
    }
}

impl Parcel {
    /// The packet as its sender writes it; none if nothing that can be read says so. `paper` is
    /// what it is written on first.
    pub(crate) fn pack(packet: &Packet, paper: &mut Vec<u8>) -> Option<Parcel> {
        paper.clear();
        wire::encode(packet, paper).ok()?;
        Some(Parcel { to: packet.to(), number: 0, bytes: Arc::from(&paper[..]) })
    }

    /// The packet, as its receiver reads it.
    ///
    /// # Panics
    /// If the bytes that one node wrote make no sense to another.
    pub(crate) fn unpack(&self) -> Packet {
        wire::decode(&self.bytes).unwrap_or_else(|error| panic!("unreadable packet: {error}"))
    }
}

/// The network between the nodes.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    nodes: usize,
    links: Vec<Link>,
    /// The packets on their way, by slot. Those of a node that crashed are still among them.
    travelling: Vec<Option<Parcel>>,
    free: Vec<u32>,
    /// Messages of the past, for replays; the oldest is overwritten first.
    old: Vec<Message>,
    remembered: usize,
    /// How many messages there were that might have been remembered.
    seen: u64,
    /// When the last message on its way arrives.
    latest_arrival: SimTime,
    /// How many packets were given to it.
    numbered: u64,
}

/// One link in one direction.
#[derive(Clone, Debug, Default)]
struct Link {
    /// How many faults block it.
    blocks: u16,
    /// Whether it is out of reach of every fault from now on.
    sound: bool,
    /// Nothing arrives before this time.
    clogged_until: SimTime,
    /// When the last message arrives that is not exceptionally late.
    last_arrival: SimTime,
    /// How many messages were given to it.
    messages: u32,
}

/// What becomes of a message given to the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fate {
    /// When it arrives, if it does.
    pub(crate) arrival: Option<SimTime>,
    /// When a copy arrives, if there is one.
    pub(crate) copy: Option<SimTime>,
    /// Which faults it met.
    pub(crate) met: [Option<Fault>; 3],
}

impl Links {
    /// How many nodes a set of links can tell apart.
    pub(crate) const NODES_MAX: usize = Settings::NODES_MAX as usize;

    /// The link from one node to another.
    pub(crate) fn one(from: Place, to: Place) -> Links {
        Links(1 << (from.0 as usize * Self::NODES_MAX + to.0 as usize))
    }

    /// The links, in both directions, between the nodes of `places` that `joined` names.
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

    /// The links of both sets.
    pub(crate) fn and(self, other: Links) -> Links {
        Links(self.0 | other.0)
    }

    /// Whether the link is in the set.
    pub(crate) fn has(self, from: Place, to: Place) -> bool {
        self.0 & Links::one(from, to).0 != 0
    }
}

impl Network {
    /// How many messages are remembered for replays.
    const REMEMBERED_MAX: usize = 1024;

    pub(crate) fn new(nodes: usize) -> Network {
        assert!(nodes <= Links::NODES_MAX);
        Network {
            nodes,
            links: vec![Link::default(); nodes * nodes],
            travelling: Vec::new(),
            free: Vec::new(),
            old: Vec::new(),
            remembered: 0,
            seen: 0,
            latest_arrival: SimTime::default(),
            numbered: 0,
        }
    }

    fn link(&mut self, from: Place, to: Place) -> &mut Link {
        &mut self.links[from.0 as usize * self.nodes + to.0 as usize]
    }

    /// Whether messages from one node reach the other.
    pub(crate) fn is_open(&self, from: Place, to: Place) -> bool {
        let link = &self.links[from.0 as usize * self.nodes + to.0 as usize];
        link.sound || link.blocks == 0
    }

    /// Decides what becomes of the next message on a link.
    pub(crate) fn decide(
        &mut self,
        now: SimTime,
        link: (Place, Place),
        incarnation: u16,
        choices: &Choices,
        settings: &Settings,
    ) -> Fate {
        let fate = self.fate(now, link, incarnation, choices, settings);
        self.latest_arrival = self.latest_arrival.max(fate.arrival.unwrap_or_default());
        self.latest_arrival = self.latest_arrival.max(fate.copy.unwrap_or_default());
        fate
    }

    /// When the last message that was ever on its way arrives.
    pub(crate) fn latest_arrival(&self) -> SimTime {
        self.latest_arrival
    }

    fn fate(
        &mut self,
        now: SimTime,
        (from, to): (Place, Place),
        incarnation: u16,
        choices: &Choices,
        settings: &Settings,
    ) -> Fate {
        let node = from.0 + 1;
        let peer = u16::from(to.0) + 1;
        let link = self.link(from, to);
        link.messages = link.messages.wrapping_add(1);
        let counter = link.messages;
        let key = |kind| Key { kind, node, incarnation, peer, counter };
        let mut fate = Fate::default();
        let on_time = now.after(choices.within(key(Kind::Latency), settings.latency));
        if link.sound {
            link.last_arrival = link.last_arrival.max(on_time);
            fate.arrival = Some(link.last_arrival);
            return fate;
        }
        if link.blocks > 0 {
            return fate;
        }
        if choices.chance(key(Kind::Loss), settings.loss_permille) {
            fate.met[0] = Some(Fault::Loss);
            return fate;
        }
        fate.arrival = Some(if choices.chance(key(Kind::Delay), settings.delay_permille) {
            fate.met[0] = Some(Fault::Delay);
            on_time.after(lateness(choices, key(Kind::Lateness), settings))
        } else {
            link.in_line(on_time, settings, &mut fate)
        });
        if choices.chance(key(Kind::Duplicate), settings.duplicate_permille) {
            fate.met[2] = Some(Fault::Duplicate);
            fate.copy = Some(on_time.after(lateness(choices, key(Kind::CopyLateness), settings)));
        }
        fate
    }

    /// Gives the next packet its number.
    pub(crate) fn number(&mut self, parcel: &mut Parcel) {
        self.numbered += 1;
        parcel.number = self.numbered;
    }

    /// Gives a packet that is on its way a slot.
    pub(crate) fn dispatch(&mut self, parcel: Parcel) -> u32 {
        match self.free.pop() {
            Some(slot) => {
                self.travelling[slot as usize] = Some(parcel);
                slot
            }
            None => {
                self.travelling.push(Some(parcel));
                (self.travelling.len() - 1) as u32
            }
        }
    }

    /// The packet in a slot.
    pub(crate) fn peek(&self, slot: u32) -> Option<&Parcel> {
        self.travelling.get(slot as usize)?.as_ref()
    }

    /// Takes the packet out of its slot.
    pub(crate) fn collect(&mut self, slot: u32) -> Option<Parcel> {
        let parcel = self.travelling.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(parcel)
    }

    /// Remembers some messages for replays: of those that change something, one in four.
    pub(crate) fn remember(&mut self, message: &Message) {
        self.seen += 1;
        let beat = matches!(message.body, Body::Heartbeat { .. } | Body::HeartbeatReply { .. });
        if !self.seen.is_multiple_of(if beat { 61 } else { 4 }) {
            return;
        }
        if self.old.len() < Self::REMEMBERED_MAX {
            self.old.push(message.clone());
        } else {
            self.old[self.remembered % Self::REMEMBERED_MAX] = message.clone();
        }
        self.remembered += 1;
    }

    /// The remembered messages.
    pub(crate) fn old(&self) -> &[Message] {
        &self.old
    }

    /// One more fault blocks these links.
    pub(crate) fn block(&mut self, links: Links) {
        self.for_each(links, |link| link.blocks += 1);
    }

    /// One fault less blocks these links.
    pub(crate) fn unblock(&mut self, links: Links) {
        self.for_each(links, |link| link.blocks = link.blocks.saturating_sub(1));
    }

    /// What is sent on these links arrives only at `until`.
    pub(crate) fn clog(&mut self, links: Links, until: SimTime) {
        self.for_each(links, |link| link.clogged_until = link.clogged_until.max(until));
    }

    /// No fault concerns these links any more.
    pub(crate) fn make_sound(&mut self, links: Links) {
        self.for_each(links, |link| {
            link.sound = true;
            link.last_arrival = SimTime::default();
        });
    }

    /// Those of these links that were sound are blocked for good.
    pub(crate) fn close(&mut self, links: Links) {
        self.for_each(links, |link| {
            link.blocks += u16::from(link.sound);
            link.sound = false;
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
    /// When a message that is neither lost nor late arrives: behind the one before it, unless the
    /// run reorders.
    fn in_line(&mut self, on_time: SimTime, settings: &Settings, fate: &mut Fate) -> SimTime {
        let mut arrival = on_time;
        if arrival < self.clogged_until {
            fate.met[0] = Some(Fault::Clog);
            let spread = on_time.0 % settings.latency.width().max(1);
            arrival = SimTime(self.clogged_until.0 + spread);
        }
        if arrival < self.last_arrival {
            if settings.faults.has(Fault::Reorder) {
                fate.met[1] = Some(Fault::Reorder);
            } else {
                arrival = self.last_arrival;
            }
        }
        self.last_arrival = self.last_arrival.max(arrival);
        arrival
    }
}

/// How much later than usual an exceptionally late message is: short spans are as likely as long
/// ones, up to several election timeouts.
fn lateness(choices: &Choices, key: Key, settings: &Settings) -> std::time::Duration {
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
    use crate::rung::Rung;

    use super::*;

    const A: Place = Place(0);
    const B: Place = Place(1);

    fn settings(faults: &[Fault]) -> Settings {
        let choices = Choices::new(1, Overrides::new());
        let calm = Profile::by_name("calm").expect("the profile exists");
        let mut settings = Settings::draw((calm, Rung::default()), &choices, 1, 64);
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
        let calm = arrivals(&mut Network::new(2), &settings(&[]), 100);
        assert!(calm.is_sorted() && calm.iter().all(Option::is_some));
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
        let latest = end.after(settings.latency.most);
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
        assert_eq!(one(&settings).met[0], Some(Fault::Loss));
        settings.loss_permille = 0;
        settings.duplicate_permille = 1000;
        assert!(one(&settings).copy.is_some());
        settings.delay_permille = 1000;
        assert_eq!(one(&settings).met[0], Some(Fault::Delay));
    }

    #[test]
    fn a_sound_link_knows_no_fault() {
        let mut network = Network::new(2);
        let mut settings = settings(&[]);
        settings.loss_permille = 1000;
        network.block(Links::one(A, B));
        network.make_sound(Links::one(A, B));
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
        let parcel = || Parcel::pack(&packet, &mut Vec::new()).expect("it can be read");
        let first = network.dispatch(parcel());
        let second = network.dispatch(parcel());
        assert_ne!(first, second);
        assert_eq!(network.collect(first).map(|parcel| parcel.unpack()), Some(packet.clone()));
        assert!(network.collect(first).is_none());
        assert_eq!(network.dispatch(parcel()), first);
    }
}
