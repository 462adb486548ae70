//! The timers of clients: when they start operations, give up, or resend. Clients with a session
//! resend requests until they are answered; the others never resend.

use quorate::machine::{Call, ClientSession, Nonce};
use quorate::types::SessionBounds;

use crate::observe::Observation;
use crate::observe::coverage::Spot;
use crate::values::choice::{Key, Kind};
use crate::world::load::Load;
use crate::world::load::Surroundings;
use crate::world::load::clients::NextOperation;
use crate::world::run::Setup;
use crate::world::scheduler::Scheduler;

impl Load {
    /// Schedules the first operation of every client.
    pub(crate) fn schedule_clients(&mut self, setup: &Setup, scheduler: &mut Scheduler) {
        for client in 0..setup.settings.clients {
            self.schedule_next_operation(client, setup, scheduler);
        }
        if setup.settings.session_bounds() != SessionBounds::DEFAULT {
            for client in self.clients.administrator_and_hostile() {
                self.schedule_next_operation(client, setup, scheduler);
            }
        }
    }

    /// Restarts the timers of waiting clients in the stabilization phase, so that they resend soon.
    pub(crate) fn restart_client_timers(&mut self, setup: &Setup, scheduler: &mut Scheduler) {
        for client in 0..setup.settings.clients {
            if self.clients[client].is_waiting() {
                self.clients[client].failures = 0;
                self.schedule_next_operation(client, setup, scheduler);
            }
        }
    }

    /// Schedules the client's next operation, after its think time.
    pub(super) fn schedule_next_operation(
        &mut self,
        client: u16,
        setup: &Setup,
        scheduler: &mut Scheduler,
    ) {
        let turn = self.clients[client].turn;
        let key = Key { peer: client, counter: turn, ..Kind::ThinkTime.key() };
        let think = setup.choices.within(key, setup.settings.think_time);
        let longest = setup.settings.config.election_timeout_max * 4;
        let wait = (think * self.backoff_factor(client, 10)).min(longest.max(think));
        self.clients.set_timer(client, wait, scheduler);
    }

    /// Returns the backoff factor of a client, without which retries would overload the nodes.
    fn backoff_factor(&mut self, client: u16, doublings_max: u32) -> u32 {
        1 << self.clients[client].failures.min(doublings_max)
    }

    /// Gives up a pending operation, resends unanswered requests, or starts the next operation.
    pub(crate) fn client_timer_fires(
        &mut self,
        client: u16,
        timer: u32,
        run: &mut Surroundings<'_>,
    ) {
        if self.clients[client].timer != timer {
            return;
        }
        if self.continue_scripted_request(client, run) {
            return;
        }
        if self.continue_hostile_or_administrator(client, run) {
            if run.in_fault_phase() {
                self.schedule_next_operation(client, run.setup, run.scheduler);
            }
            return;
        }
        let in_fault_phase = run.in_fault_phase();
        let given_up = std::mem::take(&mut self.clients[client].pending);
        if !given_up.is_empty() {
            self.clients[client].leader = None;
            run.observer.reach(Spot::UnknownByTimeout);
            for op in given_up {
                run.observe(Observation::Unknown { op });
            }
            self.continue_after_failure(client, run);
        } else if client == self.clients.load_spike_client() {
            // This client sends requests only when the plan says so.
        } else if in_fault_phase && self.clients.has_session(client) {
            self.continue_session(client, run);
        } else if in_fault_phase && self.may_start_operation(run.setup) {
            self.invoke(client, NextOperation::Any, run);
        } else if self.clients[client].is_waiting() {
            self.resend(client, run);
            self.schedule_retry(client, run);
        }
    }

    /// Opens the client's session, resends its unanswered requests, or starts the next operation.
    fn continue_session(&mut self, client: u16, run: &mut Surroundings<'_>) {
        let limits = run.setup.settings.session_limits;
        let state = &mut self.clients[client];
        if state.session.as_ref().is_none_or(ClientSession::is_ended) {
            state.sessions += 1;
            let nonce = Nonce(u128::from(client) << 64 | u128::from(state.sessions));
            state.session = Some(ClientSession::new(nonce, limits));
        }
        let is_open = state.session.as_ref().is_some_and(|session| session.id().is_some());
        let turn = self.clients[client].turn;
        let key = Key::of_turn(Kind::Resend, client, turn);
        let waiting = self.clients[client].sequences.len() as u64;
        let idle = waiting > 0 && !self.may_start_operation(run.setup);
        let resends = || run.setup.choices.chance(key, 300 + 200 * waiting);
        if !is_open || idle || waiting > 0 && resends() {
            self.resend(client, run);
            self.schedule_retry(client, run);
        } else if self.may_start_operation(run.setup) {
            self.invoke(client, NextOperation::Any, run);
        }
    }

    /// Schedules the client's next retry.
    fn schedule_retry(&mut self, client: u16, run: &mut Surroundings<'_>) {
        let patience = match run.in_fault_phase() {
            true => run.setup.settings.request_timeout * self.backoff_factor(client, 1),
            // A waiting client must have tried every node before the core counts as stalled.
            false => run.setup.settings.config.election_timeout_max * 2,
        };
        self.clients.set_timer(client, patience, run.scheduler);
    }

    /// Resends the session's unanswered calls: to the next node, unless a node named the leader.
    fn resend(&mut self, client: u16, run: &mut Surroundings<'_>) {
        if !std::mem::take(&mut self.clients[client].redirected) {
            self.clients[client].leader = None;
            let state = &mut self.clients[client];
            state.failures += 1;
            state.switches = state.switches.wrapping_add(1);
        }
        let Some(session) = &self.clients[client].session else { return };
        let calls: Vec<Call> = session.calls().collect();
        for call in calls {
            self.call(client, call, run);
        }
    }

    /// Continues after a failure: in the fault phase, or as long as the client waits.
    pub(super) fn continue_after_failure(&mut self, client: u16, run: &mut Surroundings<'_>) {
        let state = &mut self.clients[client];
        state.failures += u32::from(!state.redirected);
        if client == self.clients.load_spike_client() {
            return;
        }
        if run.in_fault_phase() || self.clients[client].is_waiting() {
            self.schedule_next_operation(client, run.setup, run.scheduler);
        }
    }

    fn may_start_operation(&self, setup: &Setup) -> bool {
        self.clients.started < setup.settings.operations_max
    }
}
