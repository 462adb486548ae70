//! What each client waits for and believes, and the requests on their way.

use std::collections::{BTreeMap, BTreeSet};

use quorate::machine::{Call, ClientSession, Sequence};
use quorate::types::{Acknowledge, Command, NodeId, ReadLevel, Tag};

use crate::observe::OpId;
use crate::world::node::Place;

/// All clients. After those that ask by themselves come the crowd, which only ever asks for much at
/// once; the prober, which asks for progress once the storm is over; and one for each errand.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    list: Vec<Client>,
    /// How many ask by themselves.
    count: u16,
    requests: Vec<Option<Request>>,
    free: Vec<u32>,
    /// How many operations were invoked.
    ops: u64,
    /// How many of them clients have asked for by themselves, without being refused.
    asked: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Client {
    /// The operations outside a session that it waits for: one, save for the crowd.
    pub(super) waits_for: BTreeSet<OpId>,
    /// Its session, and the operations in it that have no answer.
    pub(super) session: Option<ClientSession>,
    pub(super) sequences: BTreeMap<Sequence, OpId>,
    /// How many sessions it has had.
    pub(super) sessions: u32,
    /// What it sent and was not answered, by the number of the try; the oldest are forgotten.
    tries: BTreeMap<u32, (Option<OpId>, Option<Call>)>,
    /// Counts its tries.
    tried: u32,
    /// How often in a row it was disappointed: it takes the more time for that.
    pub(super) disappointed: u32,
    /// How often it turned to another node because nobody answered.
    pub(super) turned: u16,
    /// Whether it was told whom to ask since it last asked.
    pub(super) redirected: bool,
    /// Counts its operations.
    turn: u32,
    /// Counts its naps: an event that wakes it from an earlier one comes to nothing.
    nap: u32,
    /// The node it takes for the leader.
    leader: Option<NodeId>,
}

/// A request on its way to a node; without a command it is a read.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) to: Place,
    pub(super) tag: Tag,
    pub(super) ask: Asked,
}

/// What is asked of a node.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    /// That a command be in the log.
    Propose(Command, Acknowledge),
    /// An answer to a query, so fresh.
    Read(ReadLevel, Vec<u8>),
}

/// What a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Whatever comes next, wherever it likes.
    Any,
    /// That a command be committed.
    ProposeAt(Place),
    /// That a read be served.
    ReadAt(Place),
}

/// A nap, and the turn after which it is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Nap {
    pub(super) number: u32,
    pub(super) turn: u32,
}

/// What an outcome is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Try {
    pub(super) client: u16,
    /// The operation; none if it was to open a session.
    pub(super) op: Option<OpId>,
    /// What of the client's session it was; none outside one.
    pub(super) call: Option<Call>,
}

/// How many bits of a tag name the client.
const CLIENT_BITS: u32 = 12;
/// How many unanswered tries a client remembers.
const TRIES_MAX: usize = 64;

impl Clients {
    pub(super) fn new(count: u16) -> Clients {
        let list = vec![Client::default(); count as usize + 2];
        Clients { list, count, requests: Vec::new(), free: Vec::new(), ops: 0, asked: 0 }
    }

    pub(super) fn get(&mut self, client: u16) -> &mut Client {
        &mut self.list[client as usize]
    }

    /// The client that asks for progress once the storm is over.
    pub(super) fn prober(&self) -> u16 {
        self.count + 1
    }

    /// The client that asks for much at once.
    pub(super) fn crowd(&self) -> u16 {
        self.count
    }

    /// One more client, for an errand.
    ///
    /// # Panics
    /// If there are more than tags can name.
    pub(super) fn join(&mut self) -> u16 {
        assert!(self.list.len() < 1 << CLIENT_BITS, "there are too many errands");
        self.list.push(Client::default());
        (self.list.len() - 1) as u16
    }

    /// Whether a client waits for an outcome.
    pub(super) fn is_waiting(&self, client: u16) -> bool {
        self.list[client as usize].is_waiting()
    }

    /// How many clients wait for an outcome.
    pub(super) fn waiting(&self) -> usize {
        self.list.iter().filter(|client| client.is_waiting()).count()
    }

    /// How often a client turned to another node because nobody answered.
    pub(super) fn turned(&self, client: u16) -> u16 {
        self.list[client as usize].turned
    }

    /// The node a client takes for the leader.
    pub(super) fn leader(&self, client: u16) -> Option<NodeId> {
        self.list[client as usize].leader
    }

    /// A client takes another node, or none, for the leader.
    pub(super) fn believes(&mut self, client: u16, leader: Option<NodeId>) {
        self.list[client as usize].leader = leader;
    }

    /// A client takes a nap; it sleeps through the end of any earlier one.
    pub(super) fn nap(&mut self, client: u16) -> Nap {
        let client = &mut self.list[client as usize];
        client.nap += 1;
        Nap { number: client.nap, turn: client.turn }
    }

    /// Whether the nap that ends is the client's last.
    pub(super) fn wakes(&self, client: u16, nap: u32) -> bool {
        self.list[client as usize].nap == nap
    }

    /// A client begins its next operation.
    pub(super) fn begin(&mut self, client: u16) -> OpId {
        let op = OpId(self.ops);
        self.ops += 1;
        self.list[client as usize].turn += 1;
        op
    }

    /// How many operations clients have asked for by themselves, without being refused.
    pub(super) fn asked(&self) -> u64 {
        self.asked
    }

    /// A client asks for something.
    pub(super) fn asks(&mut self, client: u16) {
        self.asked += u64::from(client < self.crowd());
    }

    /// What a client has asked for is refused: it has had no effect.
    pub(super) fn is_refused(&mut self, client: u16) {
        self.asked = self.asked.saturating_sub(u64::from(client < self.crowd()));
    }

    /// A client gives up what it waits for outside a session.
    pub(super) fn give_up(&mut self, client: u16) -> BTreeSet<OpId> {
        std::mem::take(&mut self.list[client as usize].waits_for)
    }

    /// Names one try of a client's.
    pub(super) fn tries(&mut self, client: u16, op: Option<OpId>, call: Option<Call>) -> Tag {
        let (number, crowd) = (client, self.crowd());
        let client = &mut self.list[client as usize];
        client.tried += 1;
        client.tries.insert(client.tried, (op, call));
        if client.tries.len() > TRIES_MAX && number != crowd {
            client.tries.pop_first();
        }
        Tag(u64::from(client.tried) << CLIENT_BITS | u64::from(number))
    }

    /// Whose try `tag` is, and of which operation, unless that is forgotten.
    pub(super) fn whose(&self, tag: Tag) -> Option<(u16, Option<OpId>)> {
        let (client, tried) = taken_apart(tag);
        let (op, _) = self.list[client as usize].tries.get(&tried)?;
        Some((client, *op))
    }

    /// What the outcome of `tag` is for, unless that is forgotten. It has no other.
    pub(super) fn ends(&mut self, tag: Tag) -> Option<Try> {
        let (client, tried) = taken_apart(tag);
        let (op, call) = self.list[client as usize].tries.remove(&tried)?;
        Some(Try { client, op, call })
    }

    /// Sends a request on its way, in a slot of its own.
    pub(super) fn dispatch(&mut self, request: Request) -> u32 {
        match self.free.pop() {
            Some(slot) => {
                self.requests[slot as usize] = Some(request);
                slot
            }
            None => {
                self.requests.push(Some(request));
                (self.requests.len() - 1) as u32
            }
        }
    }

    /// Where the request in a slot goes.
    pub(super) fn place_of(&self, slot: u32) -> Option<Place> {
        self.requests.get(slot as usize)?.as_ref().map(|request| request.to)
    }

    /// Takes a request out of its slot.
    pub(super) fn collect(&mut self, slot: u32) -> Option<Request> {
        let request = self.requests.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(request)
    }
}

/// The client that a tag names, and the number of its try.
fn taken_apart(tag: Tag) -> (u16, u32) {
    ((tag.0 & ((1 << CLIENT_BITS) - 1)) as u16, (tag.0 >> CLIENT_BITS) as u32)
}

impl Client {
    fn is_waiting(&self) -> bool {
        !self.waits_for.is_empty() || !self.sequences.is_empty()
    }

    /// Whether it waits for `op` outside a session: now it does not.
    pub(super) fn ends(&mut self, op: OpId) -> bool {
        self.waits_for.remove(&op)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_finds_its_try_once() {
        let mut clients = Clients::new(3);
        let op = clients.begin(2);
        let tag = clients.tries(2, Some(op), None);
        assert_eq!(clients.ends(tag), Some(Try { client: 2, op: Some(op), call: None }));
        assert_eq!(clients.ends(tag), None);
    }

    #[test]
    fn an_operation_ends_once_and_only_if_it_is_waited_for() {
        let mut clients = Clients::new(1);
        let first = clients.begin(0);
        clients.get(0).waits_for.insert(first);
        assert_eq!(clients.waiting(), 1);
        assert_eq!(clients.give_up(0), BTreeSet::from([first]));
        let second = clients.begin(0);
        clients.get(0).waits_for.insert(second);
        assert!(!clients.get(0).ends(first) && clients.get(0).ends(second));
        assert_eq!(clients.waiting(), 0);
    }

    #[test]
    fn only_the_last_nap_counts() {
        let mut clients = Clients::new(1);
        let first = clients.nap(0);
        let second = clients.nap(0);
        assert!(!clients.wakes(0, first.number) && clients.wakes(0, second.number));
    }
}
