//! The clients of scripted requests.

use quorate::machine::{Call, ClientSession, Nonce};

use crate::faults::{ScriptedOperation, ScriptedRequest};
use crate::observe::Observation;
use crate::workload::kv::Operation;
use crate::workload::request;
use crate::world::load::scripted::RunningRequest;
use crate::world::load::sending::Route;
use crate::world::load::{Load, Surroundings};
use crate::world::place::Place;

impl Load {
    /// Starts the client of a scripted request, operation `op` of the plan.
    pub(crate) fn start_scripted_request(
        &mut self,
        op: u32,
        request: &ScriptedRequest,
        via: Option<Place>,
        run: &mut Surroundings<'_>,
    ) {
        let Some(client) = self.clients.add_scripted_client() else {
            let requests = self.scripted.requests.len();
            let reason = format!("the scenario sends more than {requests} requests of its own");
            return run.scheduler.abandon(reason);
        };
        let until = run.scheduler.now().after(run.setup.settings.request_timeout);
        let (request, since) = (request.clone(), run.scheduler.now());
        if !matches!(request.operation, ScriptedOperation::Get(..)) {
            let nonce = Nonce(u128::from(client) << 64 | 1);
            let session = ClientSession::new(nonce, run.setup.settings.session_limits);
            self.clients[client].session = Some(session);
        }
        self.clients[client].leader = via.map(Place::id);
        let running = RunningRequest { op, request, via, since, until, outcome: None };
        self.scripted.requests.push(running);
        self.continue_scripted_request(client, run);
    }

    /// Sends a scripted request, resends it, or gives up at its timeout; returns false if the
    /// client is not a scripted one.
    pub(crate) fn continue_scripted_request(
        &mut self,
        client: u16,
        run: &mut Surroundings<'_>,
    ) -> bool {
        let now = run.scheduler.now();
        let number = self.clients.scripted_number(client);
        let running = number.and_then(|number| self.scripted.requests.get(number));
        let Some(running) = running else { return false };
        let RunningRequest { request, via, until, outcome: answer, .. } = running.clone();
        if answer.is_some() {
            return true;
        }
        for op in std::mem::take(&mut self.clients[client].pending) {
            run.observe(Observation::Unknown { op });
            self.clients[client].leader = None;
        }
        if now >= until {
            for op in std::mem::take(&mut self.clients[client].sequences).into_values() {
                run.observe(Observation::Unknown { op });
            }
            return true;
        }
        match &request.operation {
            ScriptedOperation::Get(_, level, _) => {
                let op = self.clients.begin(client);
                let to = via.unwrap_or_else(|| self.next_place(client, run));
                let route = Route { to, travels: run.setup.settings.latency.min / 2 };
                self.read(client, op, route, *level, command_of(&request.operation), run);
            }
            _ => self.write_for(client, &request.operation, run),
        }
        let wait = run.setup.settings.config.election_timeout_max.min(until.since(now));
        self.clients.set_timer(client, wait, run.scheduler);
        true
    }

    /// Sends the write, for the first time or again; opens a session first if there is none.
    fn write_for(
        &mut self,
        client: u16,
        operation: &ScriptedOperation,
        run: &mut Surroundings<'_>,
    ) {
        let state = &mut self.clients[client];
        let session = state.session.as_ref();
        let is_open = session.is_some_and(|session| session.id().is_some());
        if is_open && state.sequences.is_empty() {
            let op = self.clients.begin(client);
            let command = request::mark(command_of(operation), op, 0);
            self.submit(client, op, &command, run);
            return;
        }
        let calls: Vec<Call> = session.into_iter().flat_map(ClientSession::calls).collect();
        for call in calls {
            self.call(client, call, run);
        }
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
