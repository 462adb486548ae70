//! The operations that clients wait for, and the requests on their way to nodes.

use quorate::types::{Command, NodeId, Tag};

use crate::observe::OpId;
use crate::world::node::Place;

/// All clients and the requests on their way. The last client is the one that asks for progress
/// once the storm is over.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    pub(super) list: Vec<Client>,
    pub(super) requests: Vec<Option<Request>>,
    pub(super) free: Vec<u32>,
    /// How many operations were invoked.
    pub(super) ops: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Client {
    /// The operation it waits for.
    pub(super) waits_for: Option<OpId>,
    /// Counts its operations.
    pub(super) turn: u32,
    /// Counts its naps: an event that wakes it from an earlier one comes to nothing.
    pub(super) nap: u32,
    /// The node it takes for the leader.
    pub(super) leader: Option<NodeId>,
}

/// A request on its way to a node; without a command it is a read.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) to: Place,
    pub(super) tag: Tag,
    pub(super) command: Option<Command>,
}

/// How many bits of a tag name the client.
pub(super) const CLIENT_BITS: u32 = 12;

impl Clients {
    pub(crate) fn new(count: u16) -> Clients {
        let list = vec![Client::default(); count as usize + 1];
        Clients { list, requests: Vec::new(), free: Vec::new(), ops: 0 }
    }

    /// The client that asks for progress once the storm is over.
    pub(super) fn prober(&self) -> u16 {
        (self.list.len() - 1) as u16
    }

    /// Where the request in a slot goes.
    pub(super) fn place_of(&self, slot: u32) -> Option<Place> {
        self.requests.get(slot as usize)?.as_ref().map(|request| request.to)
    }

    /// Whether a client waits for an outcome.
    pub(super) fn is_waiting(&self, client: u16) -> bool {
        self.list[client as usize].waits_for.is_some()
    }

    /// The operations that clients wait for.
    pub(super) fn waiting(&self) -> usize {
        self.list.iter().filter(|client| client.waits_for.is_some()).count()
    }

    /// The client that waits for the operation named by `tag`, if it still does.
    pub(super) fn waiter(&mut self, tag: Tag) -> Option<(u16, OpId)> {
        let client = (tag.0 & ((1 << CLIENT_BITS) - 1)) as u16;
        let op = OpId(tag.0 >> CLIENT_BITS);
        let waits_for = &mut self.list[client as usize].waits_for;
        if *waits_for != Some(op) {
            return None;
        }
        *waits_for = None;
        Some((client, op))
    }

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
}
