//! The state of each client, and the requests in flight.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Index, IndexMut};
use std::time::Duration;

use quorate::machine::{Call, ClientSession, Sequence, SessionId};
use quorate::types::{Acknowledge, Command, NodeId, ReadLevel, Tag};

use crate::observe::OpId;
use crate::workload::Principal;
use crate::world::place::Place;
use crate::world::scheduler::Event;
use crate::world::scheduler::Scheduler;
use crate::world::slots::Slots;

/// All clients: first those of the load; then the load-spike client, which only sends the requests
/// of `load spike` and `poll reads`; the prober, which tests progress in the stabilization phase;
/// the administrator; the hostile clients; and one for each scripted request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clients {
    list: Vec<Client>,
    /// The number of load clients.
    count: u16,
    /// The number of hostile clients.
    hostile: u16,
    /// Whether the administrator has set the bounds of the sessions.
    pub(super) are_bounds_set: bool,
    /// The requests in flight.
    pub(crate) requests: Slots<Request>,
    /// The number of operations started so far.
    ops: u64,
    /// The number of these that load clients started and that were not rejected.
    pub(super) started: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    /// The pending operations outside a session: at most one, except for the load-spike client.
    pub(super) pending: BTreeSet<OpId>,
    /// The client's session, and the operations in it without a reply.
    pub(super) session: Option<ClientSession>,
    pub(super) sequences: BTreeMap<Sequence, OpId>,
    /// The number of sessions that the client has had.
    pub(super) sessions: u32,
    /// The last session that a hostile client has registered.
    pub(super) forged_session: Option<SessionId>,
    /// The unanswered attempts by number; the oldest ones are forgotten.
    attempts: BTreeMap<u32, (Option<OpId>, Option<Call>)>,
    /// The number of attempts so far.
    attempts_made: u32,
    /// The number of failures in a row; the more there are, the longer the client waits before it
    /// tries again.
    pub(super) failures: u32,
    /// The number of times that the client switched to another node because it got no reply.
    pub(super) switches: u16,
    /// Whether a node named the leader since the last request.
    pub(super) redirected: bool,
    /// The number of operations started so far.
    pub(super) turn: u32,
    /// The number of timers started so far; only the last one is valid.
    pub(super) timer: u32,
    /// The node that the client takes for the leader.
    pub(super) leader: Option<NodeId>,
}

/// A request in flight to a node.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) to: Place,
    pub(crate) tag: Tag,
    pub(crate) kind: RequestKind,
}

/// The content of a request.
#[derive(Clone, Debug)]
pub(crate) enum RequestKind {
    /// A proposal of a command.
    Propose(Command, Acknowledge),
    /// A read at this level, with its query.
    Read(ReadLevel, Vec<u8>),
}

/// The next operation of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextOperation {
    /// Any operation, at any node.
    Any,
    /// A command proposed at this node.
    ProposeAt(Place),
    /// A linearizable read at this node.
    ReadAt(Place),
}

/// The attempt that an outcome belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) client: u16,
    /// The operation; `None` if the attempt opens a session, or is one of a hostile client or of
    /// the administrator.
    pub(super) op: Option<OpId>,
    /// The call of the client's session; `None` outside a session.
    pub(super) call: Option<Call>,
}

/// The number of bits in a tag that hold the client.
const CLIENT_BITS: u32 = 12;
/// The largest number of unanswered attempts that a client remembers.
const ATTEMPTS_MAX: usize = 64;

impl Index<u16> for Clients {
    type Output = Client;

    fn index(&self, client: u16) -> &Client {
        &self.list[client as usize]
    }
}

impl IndexMut<u16> for Clients {
    fn index_mut(&mut self, client: u16) -> &mut Client {
        &mut self.list[client as usize]
    }
}

impl Clients {
    pub(super) fn new(count: u16, hostile: u16) -> Clients {
        let list = vec![Client::default(); (count + hostile) as usize + 3];
        Clients { list, count, hostile, ..Clients::default() }
    }

    /// Returns the principal of the client that sent the request with this tag.
    pub(crate) fn principal(&self, tag: Tag) -> Principal {
        let (client, _) = split_tag(tag);
        match client {
            client if client == self.administrator() => Principal::Administrator,
            client if self.is_hostile(client) => Principal::Hostile(client),
            client => Principal::Honest(client),
        }
    }

    /// Returns the client that sets the bounds of sessions and the quotas.
    pub(super) fn administrator(&self) -> u16 {
        self.count + 2
    }

    /// Returns true if the client is hostile.
    pub(super) fn is_hostile(&self, client: u16) -> bool {
        let first = self.administrator() + 1;
        (first..first + self.hostile).contains(&client)
    }

    /// Returns the administrator and the hostile clients.
    pub(super) fn administrator_and_hostile(&self) -> impl Iterator<Item = u16> + use<> {
        self.administrator()..=self.administrator() + self.hostile
    }

    /// Returns the client that tests progress in the stabilization phase.
    pub(crate) fn prober(&self) -> u16 {
        self.count + 1
    }

    /// Returns the client that sends the requests of `load spike` and `poll reads`.
    pub(super) fn load_spike_client(&self) -> u16 {
        self.count
    }

    /// Returns true if a client uses sessions: two out of three do.
    pub(super) fn has_session(&self, client: u16) -> bool {
        client % 3 != 2 && client < self.load_spike_client()
    }

    /// Returns true if the client belongs to a scripted request.
    pub(super) fn is_scripted(&self, client: u16) -> bool {
        client >= self.first_scripted()
    }

    fn first_scripted(&self) -> u16 {
        self.administrator() + self.hostile + 1
    }

    /// Returns the number of the scripted request that the client belongs to, if there is one.
    pub(super) fn scripted_number(&self, client: u16) -> Option<usize> {
        client.checked_sub(self.first_scripted()).map(usize::from)
    }

    /// Adds a client for a scripted request; `None` if there are as many clients as tags can hold.
    pub(super) fn add_scripted_client(&mut self) -> Option<u16> {
        let client = self.list.len();
        (client < 1 << CLIENT_BITS).then(|| {
            self.list.push(Client::default());
            client as u16
        })
    }

    /// Returns the number of clients that wait for an outcome.
    pub(crate) fn waiting(&self) -> usize {
        self.list.iter().filter(|client| client.is_waiting()).count()
    }

    /// Schedules the client's timer; an earlier one becomes invalid.
    pub(super) fn set_timer(&mut self, client: u16, wait: Duration, scheduler: &mut Scheduler) {
        self[client].timer += 1;
        scheduler.after(wait, Event::ClientTimer { client, timer: self[client].timer });
    }

    /// Starts a client's next operation.
    pub(super) fn begin(&mut self, client: u16) -> OpId {
        let op = OpId(self.ops);
        self.ops += 1;
        self[client].turn += 1;
        op
    }

    /// Counts an operation that a client starts.
    pub(super) fn count_started(&mut self, client: u16) {
        self.started += u64::from(client < self.load_spike_client());
    }

    /// Discounts a rejected operation of a client, which had no effect.
    pub(super) fn count_rejected(&mut self, client: u16) {
        self.started = self.started.saturating_sub(u64::from(client < self.load_spike_client()));
    }

    /// Registers a client's attempt, and returns its tag.
    pub(super) fn begin_attempt(
        &mut self,
        client: u16,
        op: Option<OpId>,
        call: Option<Call>,
    ) -> Tag {
        let (number, load_spike_client) = (client, self.load_spike_client());
        let client = &mut self[client];
        client.attempts_made += 1;
        client.attempts.insert(client.attempts_made, (op, call));
        if client.attempts.len() > ATTEMPTS_MAX && number != load_spike_client {
            client.attempts.pop_first();
        }
        Tag(u64::from(client.attempts_made) << CLIENT_BITS | u64::from(number))
    }

    /// Returns the client and the operation of an attempt, unless it is forgotten.
    pub(crate) fn attempt_owner(&self, tag: Tag) -> Option<(u16, Option<OpId>)> {
        let (client, attempts_made) = split_tag(tag);
        let (op, _) = self[client].attempts.get(&attempts_made)?;
        Some((client, *op))
    }

    /// Finishes the attempt of `tag` and returns it, unless it is forgotten; an attempt has one
    /// outcome.
    pub(super) fn finish_attempt(&mut self, tag: Tag) -> Option<Attempt> {
        let (client, attempts_made) = split_tag(tag);
        let (op, call) = self[client].attempts.remove(&attempts_made)?;
        Some(Attempt { client, op, call })
    }
}

/// Splits a tag into the client and the number of its attempt.
fn split_tag(tag: Tag) -> (u16, u32) {
    ((tag.0 & ((1 << CLIENT_BITS) - 1)) as u16, (tag.0 >> CLIENT_BITS) as u32)
}

impl Client {
    /// Returns true if the client waits for an outcome.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.pending.is_empty() || !self.sequences.is_empty()
    }

    /// Ends `op` outside a session; returns true if the client was waiting for it.
    pub(crate) fn finish(&mut self, op: OpId) -> bool {
        self.pending.remove(&op)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_finds_its_attempt_once() {
        let mut clients = Clients::new(3, 0);
        let op = clients.begin(2);
        let tag = clients.begin_attempt(2, Some(op), None);
        assert_eq!(
            clients.finish_attempt(tag),
            Some(Attempt { client: 2, op: Some(op), call: None })
        );
        assert_eq!(clients.finish_attempt(tag), None);
    }

    #[test]
    fn an_operation_ends_once_and_only_if_it_is_waited_for() {
        let mut clients = Clients::new(1, 0);
        let first = clients.begin(0);
        clients[0].pending.insert(first);
        assert_eq!(clients.waiting(), 1);
        assert_eq!(std::mem::take(&mut clients[0].pending), BTreeSet::from([first]));
        let second = clients.begin(0);
        clients[0].pending.insert(second);
        assert!(!clients[0].finish(first) && clients[0].finish(second));
        assert_eq!(clients.waiting(), 0);
    }
}
