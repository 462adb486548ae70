//! The clients of scripted requests, and the leaders of the run over time.

use quorate::machine::{Call, ClientSession, Nonce};
use quorate::types::{NodeId, ReadLevel};

use crate::observe::Observation;
use crate::observer::Observer;
use crate::outcome::{LeaderPeriod, ScriptedResults};
use crate::plan::{ScriptedOperation, ScriptedOutcome, ScriptedRequest};
use crate::request;
use crate::workload::kv::{Operation, Reply};
use crate::world::World;
use crate::world::client::RequestKind;
use crate::world::place::Place;
use crate::world::scheduler::queue::Event;
use crate::world::scripted::RunningRequest;

impl World {
    /// Returns the outcomes of scripted requests, and the leaders over time.
    pub(crate) fn scripted_results(&self) -> ScriptedResults {
        self.scripted.results()
    }

    /// Records the current leader if it has changed.
    pub(super) fn note_leader(&mut self) {
        let leader = self.leader().map(Place::id);
        let last = self.scripted.leader_periods.last().and_then(|period| period.leader);
        if leader != last {
            self.scripted.leader_periods.push(LeaderPeriod { since: self.scheduler.now(), leader });
        }
    }

    /// Starts the client of a scripted request, operation `op` of the plan.
    pub(super) fn start_scripted_request(
        &mut self,
        op: u32,
        request: &ScriptedRequest,
        via: Option<Place>,
        observer: &mut Observer,
    ) {
        let client = self.clients.add_scripted_client();
        let until = self.scheduler.now().after(self.settings.request_timeout);
        let (request, since) = (request.clone(), self.scheduler.now());
        if !matches!(request.operation, ScriptedOperation::Get(..)) {
            let nonce = Nonce(u128::from(client) << 64 | 1);
            let session = ClientSession::new(nonce, self.settings.session_limits);
            self.clients.get(client).session = Some(session);
        }
        self.clients.set_leader(client, via.map(Place::id));
        self.scripted.requests.push(RunningRequest {
            op,
            request,
            via,
            since,
            until,
            outcome: None,
        });
        self.continue_scripted_request(client, observer);
    }

    fn running_request(&mut self, client: u16) -> Option<&mut RunningRequest> {
        let number = client.checked_sub(self.clients.prober() + 1)?;
        self.scripted.requests.get_mut(usize::from(number))
    }

    /// Sends a scripted request, resends it, or gives up at its timeout; returns false if the
    /// client is not a scripted one.
    pub(super) fn continue_scripted_request(
        &mut self,
        client: u16,
        observer: &mut Observer,
    ) -> bool {
        let now = self.scheduler.now();
        let Some(running) = self.running_request(client) else { return false };
        let RunningRequest { request, via, until, outcome: answer, .. } = running.clone();
        if answer.is_some() {
            return true;
        }
        for op in self.clients.abandon_pending(client) {
            observer.observe(now, Observation::Unknown { op });
            self.clients.set_leader(client, None);
        }
        if now >= until {
            self.clients.get(client).sequences.clear();
            return true;
        }
        match &request.operation {
            ScriptedOperation::Get(key, level, _) => {
                self.read_for(client, via, (key, *level), observer)
            }
            _ => self.write_for(client, &request.operation, observer),
        }
        let timer = self.clients.start_timer(client).number;
        let again = now.after(self.settings.config.election_timeout_max).min(until);
        self.scheduler.at(again, Event::ClientTimer { client, timer });
        true
    }

    fn read_for(
        &mut self,
        client: u16,
        via: Option<Place>,
        (key, level): (&str, ReadLevel),
        observer: &mut Observer,
    ) {
        let op = self.clients.begin(client);
        let query = Operation::Get { key: key.as_bytes() }.encode();
        let to = via.unwrap_or_else(|| self.next_place(client));
        observer
            .observe(self.scheduler.now(), Observation::ReadInvoked { op, level, query: &query });
        self.send_outside_session(
            client,
            op,
            (to, self.settings.latency.min / 2),
            RequestKind::Read(level, query),
        );
    }

    /// Sends the write, for the first time or again; opens a session for it first.
    fn write_for(&mut self, client: u16, operation: &ScriptedOperation, observer: &mut Observer) {
        let state = self.clients.get(client);
        let session = state.session.as_ref();
        let is_open = session.is_some_and(|session| session.id().is_some());
        if is_open && state.sequences.is_empty() {
            let op = self.clients.begin(client);
            let command = request::mark(command_of(operation), op, 0);
            self.submit(client, op, &command, observer);
            return;
        }
        let calls: Vec<Call> = session.into_iter().flat_map(ClientSession::calls).collect();
        for call in calls {
            self.call(client, call, observer);
        }
    }

    /// Returns the node that a scripted client sends to: the leader that it knows, or else one node
    /// after the other.
    pub(super) fn next_place(&mut self, client: u16) -> Place {
        let believed = self.clients.leader(client).and_then(|leader| self.place(leader));
        believed.unwrap_or_else(|| {
            let state = self.clients.get(client);
            state.switches = state.switches.wrapping_add(1);
            let switches = u64::from(state.switches) + u64::from(client);
            let node = NodeId(switches % u64::from(self.settings.nodes()) + 1);
            self.place(node).unwrap_or(Place(0))
        })
    }

    /// Returns true if the client belongs to a scripted request.
    pub(super) fn is_scripted(&self, client: u16) -> bool {
        client > self.clients.prober()
    }

    /// Records the reply to a client, if it belongs to a scripted request.
    pub(super) fn scripted_reply(&mut self, client: u16, reply: &[u8]) {
        let Some(running) = self.running_request(client) else { return };
        running.outcome = Some(match Reply::decode(reply) {
            Some(Reply::Done) => ScriptedOutcome::Done,
            Some(Reply::Absent | Reply::Different(None)) => ScriptedOutcome::Value(None),
            Some(Reply::Value(value) | Reply::Different(Some(value))) => {
                ScriptedOutcome::Value(Some(String::from_utf8_lossy(value).into_owned()))
            }
            Some(Reply::TooLong | Reply::Malformed) | None => ScriptedOutcome::NoReply,
        });
    }
}

/// Encodes the command of a scripted operation.
fn command_of(operation: &ScriptedOperation) -> Vec<u8> {
    match operation {
        ScriptedOperation::Put(key, value) => {
            Operation::Put { key: key.as_bytes(), value: value.as_bytes() }
        }
        ScriptedOperation::Swap(key, from, to) => Operation::CompareAndSet {
            key: key.as_bytes(),
            expected: from.as_ref().map(String::as_bytes),
            value: to.as_bytes(),
        },
        ScriptedOperation::Get(key, ..) => Operation::Get { key: key.as_bytes() },
    }
    .encode()
}
