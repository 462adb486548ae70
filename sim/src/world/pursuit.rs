//! Errands: clients that ask what a person wrote, and who leads meanwhile.

use quorate::machine::{Call, ClientSession, Nonce};
use quorate::types::{NodeId, ReadLevel};

use crate::observe::Seen;
use crate::outcome::{Reign, Sightings};
use crate::plan::{Answer, Errand, Task};
use crate::request;
use crate::witness::Witness;
use crate::workload::kv::{Operation, Reply};
use crate::world::World;
use crate::world::client::Asked;
use crate::world::errands::Running;
use crate::world::node::Place;
use crate::world::queue::Event;

impl World {
    /// What a person who looks at the run can have seen of it.
    pub(crate) fn sightings(&self) -> Sightings {
        self.errands.sightings()
    }

    /// A node may have begun, or ended, to lead.
    pub(super) fn note_reign(&mut self) {
        let leader = self.leader().map(Place::id);
        let last = self.errands.reigns.last().and_then(|reign| reign.leader);
        if leader != last {
            self.errands.reigns.push(Reign { since: self.now, leader });
        }
    }

    /// A client sets out on an errand, which is this operation of the plan.
    pub(super) fn set_out(
        &mut self,
        op: u32,
        errand: &Errand,
        via: Option<Place>,
        witness: &mut Witness,
    ) {
        let client = self.clients.join();
        let until = self.now.after(self.settings.patience);
        let (errand, since) = (errand.clone(), self.now);
        if !matches!(errand.task, Task::Get(..)) {
            let nonce = Nonce(u128::from(client) << 64 | 1);
            let session = ClientSession::new(nonce, self.settings.session_limits);
            self.clients.get(client).session = Some(session);
        }
        self.clients.believes(client, via.map(Place::id));
        self.errands.list.push(Running { op, errand, via, since, until, answer: None });
        self.pursue(client, witness);
    }

    fn running(&mut self, client: u16) -> Option<&mut Running> {
        let number = client.checked_sub(self.clients.prober() + 1)?;
        self.errands.list.get_mut(usize::from(number))
    }

    /// A client on an errand asks, or asks again, or gives up; false if it is on none.
    pub(super) fn pursue(&mut self, client: u16, witness: &mut Witness) -> bool {
        let now = self.now;
        let Some(running) = self.running(client) else { return false };
        let Running { errand, via, until, answer, .. } = running.clone();
        if answer.is_some() {
            return true;
        }
        for op in self.clients.give_up(client) {
            witness.see(now, Seen::Unknown { op });
            self.clients.believes(client, None);
        }
        if now >= until {
            self.clients.get(client).sequences.clear();
            return true;
        }
        match &errand.task {
            Task::Get(key, level, _) => self.read_for(client, via, (key, *level), witness),
            _ => self.write_for(client, &errand.task, witness),
        }
        let nap = self.clients.nap(client).number;
        let again = now.after(self.settings.config.election_timeout_max).min(until);
        self.queue.push(again, Event::Client { client, nap });
        true
    }

    fn read_for(
        &mut self,
        client: u16,
        via: Option<Place>,
        (key, level): (&str, ReadLevel),
        witness: &mut Witness,
    ) {
        let op = self.clients.begin(client);
        let query = Operation::Get { key: key.as_bytes() }.encode();
        let to = via.unwrap_or_else(|| self.next_place(client));
        witness.see(self.now, Seen::ReadInvoked { op, level, query: &query });
        self.ask(client, op, (to, self.settings.latency.least / 2), Asked::Read(level, query));
    }

    /// Sends the request again, or for the first time; before that, opens the session for it.
    fn write_for(&mut self, client: u16, task: &Task, witness: &mut Witness) {
        let state = self.clients.get(client);
        let session = state.session.as_ref();
        let is_open = session.is_some_and(|session| session.id().is_some());
        if is_open && state.sequences.is_empty() {
            let op = self.clients.begin(client);
            let command = request::mark(asked(task), op, 0);
            self.submit(client, op, &command, witness);
            return;
        }
        let calls: Vec<Call> = session.into_iter().flat_map(ClientSession::calls).collect();
        for call in calls {
            self.call(client, call, witness);
        }
    }

    /// The node that a client on an errand asks: whom it takes for the leader, or else one after
    /// the other.
    pub(super) fn next_place(&mut self, client: u16) -> Place {
        let believed = self.clients.leader(client).and_then(|leader| self.place(leader));
        believed.unwrap_or_else(|| {
            let state = self.clients.get(client);
            state.turned = state.turned.wrapping_add(1);
            let turned = u64::from(state.turned) + u64::from(client);
            let node = NodeId(turned % u64::from(self.settings.nodes()) + 1);
            self.place(node).unwrap_or(Place(0))
        })
    }

    /// Whether the client is on an errand.
    pub(super) fn is_on_errand(&self, client: u16) -> bool {
        client > self.clients.prober()
    }

    /// A client, if it is on an errand, is answered.
    pub(super) fn is_told(&mut self, client: u16, reply: &[u8]) {
        let Some(running) = self.running(client) else { return };
        running.answer = Some(match Reply::decode(reply) {
            Some(Reply::Done) => Answer::Done,
            Some(Reply::Absent | Reply::Different(None)) => Answer::Value(None),
            Some(Reply::Value(value) | Reply::Different(Some(value))) => {
                Answer::Value(Some(String::from_utf8_lossy(value).into_owned()))
            }
            Some(Reply::TooLong | Reply::Malformed) | None => Answer::Silence,
        });
    }
}

/// The command that is asked for.
fn asked(task: &Task) -> Vec<u8> {
    match task {
        Task::Put(key, value) => Operation::Put { key: key.as_bytes(), value: value.as_bytes() },
        Task::Swap(key, from, to) => Operation::CompareAndSet {
            key: key.as_bytes(),
            expected: from.as_ref().map(String::as_bytes),
            value: to.as_bytes(),
        },
        Task::Get(key, ..) => Operation::Get { key: key.as_bytes() },
    }
    .encode()
}
