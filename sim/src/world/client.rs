//! What each client waits for and believes, and the requests on their way.

use quorate::types::{Command, NodeId, Tag};

use crate::observe::OpId;
use crate::world::node::Place;

/// All clients. The last one is the prober, which asks for progress once the storm is over.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    list: Vec<Client>,
    requests: Vec<Option<Request>>,
    free: Vec<u32>,
    /// How many operations were invoked.
    ops: u64,
}

#[derive(Clone, Debug, Default)]
struct Client {
    /// The operation it waits for.
    waits_for: Option<OpId>,
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
    pub(super) command: Option<Command>,
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

/// How many bits of a tag name the client.
const CLIENT_BITS: u32 = 12;

impl Clients {
    pub(super) fn new(count: u16) -> Clients {
        let list = vec![Client::default(); count as usize + 1];
        Clients { list, requests: Vec::new(), free: Vec::new(), ops: 0 }
    }

    /// The client that asks for progress once the storm is over.
    pub(super) fn prober(&self) -> u16 {
        (self.list.len() - 1) as u16
    }

    /// Whether a client waits for an outcome.
    pub(super) fn is_waiting(&self, client: u16) -> bool {
        self.list[client as usize].waits_for.is_some()
    }

    /// How many clients wait for an outcome.
    pub(super) fn waiting(&self) -> usize {
        self.list.iter().filter(|client| client.waits_for.is_some()).count()
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
        let client = &mut self.list[client as usize];
        client.turn += 1;
        client.waits_for = Some(op);
        op
    }

    /// A client gives up the operation it waits for, if it does.
    pub(super) fn give_up(&mut self, client: u16) -> Option<OpId> {
        self.list[client as usize].waits_for.take()
    }

    /// The client that waits for the operation named by `tag`, if it still does: now it does not.
    pub(super) fn ends(&mut self, tag: Tag) -> Option<(u16, OpId)> {
        let client = (tag.0 & ((1 << CLIENT_BITS) - 1)) as u16;
        let op = OpId(tag.0 >> CLIENT_BITS);
        let waits_for = &mut self.list[client as usize].waits_for;
        if *waits_for != Some(op) {
            return None;
        }
        *waits_for = None;
        Some((client, op))
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

/// The name by which a node hands the outcome of a client's operation back.
pub(super) fn tag(client: u16, op: OpId) -> Tag {
    Tag(op.0 << CLIENT_BITS | u64::from(client))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_finds_its_client_once() {
        let mut clients = Clients::new(3);
        let op = clients.begin(2);
        assert_eq!(clients.waiting(), 1);
        assert_eq!(clients.ends(tag(2, op)), Some((2, op)));
        assert_eq!(clients.ends(tag(2, op)), None);
        assert_eq!(clients.waiting(), 0);
    }

    #[test]
    fn an_outcome_of_an_operation_given_up_finds_nobody() {
        let mut clients = Clients::new(1);
        let first = clients.begin(0);
        assert_eq!(clients.give_up(0), Some(first));
        let second = clients.begin(0);
        assert_eq!(clients.ends(tag(0, first)), None);
        assert_eq!(clients.ends(tag(0, second)), Some((0, second)));
    }

    #[test]
    fn only_the_last_nap_counts() {
        let mut clients = Clients::new(1);
        let first = clients.nap(0);
        let second = clients.nap(0);
        assert!(!clients.wakes(0, first.number) && clients.wakes(0, second.number));
    }
}
