//! The clients: each has one operation at a time, asks the node it takes for the leader or any
//! other, gives up after a while, and never repeats a command.

use quorate::raft::{Input, RejectReason};
use quorate::types::{Command, EntryId, Index, NodeId, Tag};

use crate::choice::{Draw, Key, Kind};
use crate::coverage::Spot;
use crate::observe::{OpId, Seen};
use crate::witness::Witness;
use crate::world::node::{Machine, Place};
use crate::world::queue::Event;
use crate::world::{EventKind, World};

/// All clients and the requests on their way. The last client is the one that asks for progress
/// once the storm is over.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
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
struct Request {
    to: Place,
    tag: Tag,
    command: Option<Command>,
}

/// How many bits of a tag name the client.
const CLIENT_BITS: u32 = 12;

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
    fn waiter(&mut self, tag: Tag) -> Option<(u16, OpId)> {
        let client = (tag.0 & ((1 << CLIENT_BITS) - 1)) as u16;
        let op = OpId(tag.0 >> CLIENT_BITS);
        let waits_for = &mut self.list[client as usize].waits_for;
        if *waits_for != Some(op) {
            return None;
        }
        *waits_for = None;
        Some((client, op))
    }

    fn dispatch(&mut self, request: Request) -> u32 {
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

impl World {
    pub(super) fn schedule_clients(&mut self) {
        for client in 0..self.settings.clients {
            self.nap(client);
        }
    }

    /// The client waits a while before its next operation.
    fn nap(&mut self, client: u16) {
        let known = &mut self.clients.list[client as usize];
        known.nap += 1;
        let (nap, turn) = (known.nap, known.turn);
        let key = Key { peer: client, counter: turn, ..Kind::Think.key() };
        let at = self.now.after(self.choices.within(key, self.settings.think));
        self.queue.push(at, Event::Client { client, nap });
    }

    /// A client gives up waiting, or invokes its next operation.
    pub(super) fn client_wakes(&mut self, client: u16, nap: u32, witness: &mut Witness) {
        let known = &mut self.clients.list[client as usize];
        if known.nap != nap {
            return;
        }
        if let Some(op) = known.waits_for.take() {
            known.leader = None;
            witness.reach(Spot::UnknownByPatience);
            witness.see(self.now, Seen::Unknown { op });
        } else if self.calm.is_none() {
            self.invoke(client, None, witness);
            return;
        }
        if self.calm.is_none() {
            self.nap(client);
        }
    }

    /// A client begins its next operation; one with a given target is a proposal.
    pub(super) fn invoke(&mut self, client: u16, target: Option<Place>, witness: &mut Witness) {
        let op = OpId(self.clients.ops);
        self.clients.ops += 1;
        let known = &mut self.clients.list[client as usize];
        known.turn += 1;
        known.nap += 1;
        let (nap, turn) = (known.nap, known.turn);
        let key = Key { peer: client, counter: turn << 3, ..Kind::Client.key() };
        let mut draw = self.choices.draw(key);
        let any = NodeId(draw.between(1, u64::from(self.settings.nodes())));
        let believed = known.leader.filter(|_| !draw.chance(200)).unwrap_or(any);
        let reads = draw.chance(self.settings.read_permille) && target.is_none();
        let command = (!reads).then(|| command(op, command_length(&mut draw, &self.settings)));
        let travels = draw.within(self.settings.latency) / 2;
        known.waits_for = Some(op);
        match &command {
            Some(command) => witness.see(self.now, Seen::ProposeInvoked { op, command }),
            None => witness.see(self.now, Seen::ReadInvoked { op }),
        }
        let to = target.or_else(|| self.place(believed)).unwrap_or(Place(0));
        let tag = Tag(op.0 << CLIENT_BITS | u64::from(client));
        let slot = self.clients.dispatch(Request { to, tag, command });
        self.queue.push(self.now.after(travels), Event::Request { slot });
        let gives_up = self.now.after(travels + self.settings.patience);
        self.queue.push(gives_up, Event::Client { client, nap });
    }

    /// A request reaches its node.
    pub(super) fn request(&mut self, slot: u32, witness: &mut Witness) {
        let Some(request) = self.clients.requests[slot as usize].take() else { return };
        self.clients.free.push(slot);
        let Request { to, tag, command } = request;
        let Some(running) = self.nodes[to.0 as usize].running.as_deref_mut() else {
            self.count_event(EventKind::Vain, tag.0);
            witness.reach(Spot::RejectedByDownNode);
            self.client_is_rejected(tag, RejectReason::NotLeader { leader: None }, witness);
            return;
        };
        running.unanswered.push(tag);
        let input = match command {
            Some(command) => Input::Propose { tag, command },
            None => {
                witness.reads_at(&running.status, running.led_from);
                Input::Read { tag }
            }
        };
        self.step(to, input, witness);
    }

    pub(super) fn client_commits(
        &mut self,
        tag: Tag,
        at: Place,
        id: EntryId,
        witness: &mut Witness,
    ) {
        let Some((client, op)) = self.clients.waiter(tag) else {
            witness.reach(Spot::OutcomeTooLate);
            return;
        };
        witness.see(self.now, Seen::Committed { op, id });
        self.clients.list[client as usize].leader = Some(at.id());
        if client == self.clients.prober() {
            self.probe_committed();
        } else {
            self.nap(client);
        }
    }

    pub(super) fn client_reads(
        &mut self,
        tag: Tag,
        at: Place,
        index: Index,
        machine: Machine,
        witness: &mut Witness,
    ) {
        let Some((client, op)) = self.clients.waiter(tag) else {
            witness.reach(Spot::OutcomeTooLate);
            return;
        };
        let Machine { applied, state } = machine;
        witness.see(self.now, Seen::ReadServed { op, node: at.id(), index, applied, state });
        self.nap(client);
    }

    pub(super) fn client_is_rejected(
        &mut self,
        tag: Tag,
        reason: RejectReason,
        witness: &mut Witness,
    ) {
        let Some((client, op)) = self.clients.waiter(tag) else { return };
        witness.see(self.now, Seen::Rejected { op, reason });
        match reason {
            RejectReason::NotLeader { leader } => {
                self.clients.list[client as usize].leader = leader;
            }
            RejectReason::NoLeader => self.clients.list[client as usize].leader = None,
            _ => {}
        }
        self.nap(client);
    }

    /// The client does not know what became of its operation.
    pub(super) fn client_loses(&mut self, tag: Tag, witness: &mut Witness) {
        let Some((client, op)) = self.clients.waiter(tag) else { return };
        witness.see(self.now, Seen::Unknown { op });
        self.clients.list[client as usize].leader = None;
        self.nap(client);
    }
}

/// A command that no other operation has.
fn command(op: OpId, length: u64) -> Command {
    let mut bytes = vec![0; length as usize];
    bytes[..8].copy_from_slice(&op.0.to_le_bytes());
    Command::from(bytes)
}

/// Mostly the run's usual length; sometimes up to the largest that is allowed, or one more.
fn command_length(draw: &mut Draw<'_>, settings: &crate::settings::Settings) -> u64 {
    let largest = settings.config.command_bytes_max as u64;
    match draw.below(50) {
        0..38 => settings.command_bytes,
        38..46 => draw.between(16, largest),
        46..49 => largest,
        _ => largest + 1,
    }
}
