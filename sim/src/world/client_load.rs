//! The client load: clients send requests to the presumed leader, or to any other node. Clients
//! with a session resend requests until they are answered; the others never resend.

use std::time::Duration;

use quorate::machine::{Call, ClientSession, Digest, Nonce, Outcome, SessionEvent};
use quorate::raft::RejectReason;
use quorate::replica::Input;
use quorate::types::{
    Acknowledge, Command, EntryId, Freshness, Index, NodeId, Proposal, ReadLevel, Tag,
};

use crate::choice::{Draw, Key, Kind};
use crate::coverage::Spot;
use crate::observe::{Observation, OpId};
use crate::observer::Observer;
use crate::request;
use crate::workload::Workload;
use crate::world::World;
use crate::world::client::{Attempt, NextOperation, Request, RequestKind, command_length};
use crate::world::place::Place;
use crate::world::scheduler::EventKind;
use crate::world::scheduler::queue::Event;

impl World {
    pub(super) fn schedule_clients(&mut self) {
        for client in 0..self.settings.clients {
            self.schedule_next_operation(client);
        }
    }

    /// Restarts the timers of waiting clients in the stabilization phase, so that they resend soon.
    pub(super) fn restart_client_timers(&mut self) {
        for client in 0..self.settings.clients {
            if self.clients.is_waiting(client) {
                self.clients.get(client).failures = 0;
                self.schedule_next_operation(client);
            }
        }
    }

    /// Schedules the client's next operation, after its think time.
    fn schedule_next_operation(&mut self, client: u16) {
        let timer = self.clients.start_timer(client);
        let key = Key { peer: client, counter: timer.turn, ..Kind::ThinkTime.key() };
        let think = self.choices.within(key, self.settings.think_time);
        let longest = self.settings.config.election_timeout_max * 4;
        let at = self
            .scheduler
            .now()
            .after((think * self.backoff_factor(client, 10)).min(longest.max(think)));
        self.scheduler.at(at, Event::ClientTimer { client, timer: timer.number });
    }

    /// Returns the backoff factor of a client, without which retries would overload the nodes.
    fn backoff_factor(&mut self, client: u16, doublings_max: u32) -> u32 {
        1 << self.clients.get(client).failures.min(doublings_max)
    }

    /// Gives up a pending operation, resends unanswered requests, or starts the next operation.
    pub(super) fn client_timer_fires(&mut self, client: u16, timer: u32, observer: &mut Observer) {
        if !self.clients.is_current_timer(client, timer) {
            return;
        }
        if self.continue_scripted_request(client, observer) {
            return;
        }
        let in_fault_phase = self.stabilization.is_none();
        let given_up = self.clients.abandon_pending(client);
        if !given_up.is_empty() {
            self.clients.set_leader(client, None);
            observer.reach(Spot::UnknownByTimeout);
            for op in given_up {
                observer.observe(self.scheduler.now(), Observation::Unknown { op });
            }
            self.continue_after_failure(client);
        } else if client == self.clients.load_spike_client() {
            // This client sends requests only when the plan says so.
        } else if in_fault_phase && self.has_session(client) {
            self.continue_session(client, observer);
        } else if in_fault_phase && self.may_start_operation() {
            self.invoke(client, NextOperation::Any, observer);
        } else if self.clients.is_waiting(client) {
            self.resend(client, observer);
            self.schedule_retry(client);
        }
    }

    /// Returns true if a client uses sessions: two out of three do.
    fn has_session(&self, client: u16) -> bool {
        client % 3 != 2 && client < self.clients.load_spike_client()
    }

    /// Opens the client's session, resends its unanswered requests, or starts the next operation.
    fn continue_session(&mut self, client: u16, observer: &mut Observer) {
        let limits = self.settings.session_limits;
        let state = self.clients.get(client);
        if state.session.as_ref().is_none_or(ClientSession::is_ended) {
            state.sessions += 1;
            let nonce = Nonce(u128::from(client) << 64 | u128::from(state.sessions));
            state.session = Some(ClientSession::new(nonce, limits));
        }
        let is_open = state.session.as_ref().is_some_and(|session| session.id().is_some());
        let turn = self.clients.start_timer(client).turn;
        let key = Key { peer: client, counter: turn << 3 | 1, ..Kind::Client.key() };
        let mut draw = self.choices.draw(key);
        let waiting = self.clients.get(client).sequences.len() as u64;
        let idle = waiting > 0 && !self.may_start_operation();
        if !is_open || idle || waiting > 0 && draw.chance(300 + 200 * waiting) {
            self.resend(client, observer);
            self.schedule_retry(client);
        } else if self.may_start_operation() {
            self.invoke(client, NextOperation::Any, observer);
        }
    }

    fn may_start_operation(&self) -> bool {
        self.clients.operations_started() < self.settings.operations_max
    }

    /// Schedules the client's next retry, after its request timeout.
    fn schedule_retry(&mut self, client: u16) {
        let timer = self.clients.start_timer(client).number;
        let patience = match self.stabilization {
            None => self.settings.request_timeout * self.backoff_factor(client, 1),
            // A waiting client must have tried every node before the core counts as stalled.
            Some(_) => self.settings.config.election_timeout_max * 2,
        };
        let at = self.scheduler.now().after(patience);
        self.scheduler.at(at, Event::ClientTimer { client, timer });
    }

    /// Resends the session's unanswered calls: to the next node, unless a node named the leader.
    fn resend(&mut self, client: u16, observer: &mut Observer) {
        if !std::mem::take(&mut self.clients.get(client).redirected) {
            self.clients.set_leader(client, None);
            let state = self.clients.get(client);
            state.failures += 1;
            state.switches = state.switches.wrapping_add(1);
        }
        let Some(session) = &self.clients.get(client).session else { return };
        let calls: Vec<Call> = session.calls().collect();
        for call in calls {
            self.call(client, call, observer);
        }
    }

    /// Sends one call of a client's session, for the first time or again.
    pub(super) fn call(&mut self, client: u16, call: Call, observer: &mut Observer) {
        let state = self.clients.get(client);
        let Some(command) = state.session.as_ref().and_then(|session| session.command(call)) else {
            return;
        };
        let op = match call {
            Call::Register(_) => None,
            Call::Request(_, sequence) => state.sequences.get(&sequence).copied(),
        };
        let tag = self.clients.begin_attempt(client, op, Some(call));
        let key = Key { peer: client, counter: tag.0 as u32, ..Kind::Retry.key() };
        let choices = self.choices.clone();
        let mut draw = choices.draw(key);
        let is_scripted = self.is_scripted(client);
        let to =
            if is_scripted { self.next_place(client) } else { self.choose_node(client, &mut draw) };
        let travels = draw.within(self.settings.latency) / 2;
        // A request that a voter outside the core holds back is resent so that a quorum can answer
        // it.
        let held_back = self
            .stabilization
            .as_ref()
            .is_some_and(|stabilization| self.waits_for_outside_voter(stabilization, to));
        let fixed = held_back.then_some(Acknowledge::Quorum);
        let fixed = fixed.or(is_scripted.then_some(Acknowledge::Default));
        let acknowledge = fixed.unwrap_or_else(|| self.acknowledge(tag, true));
        let slot = self.clients.dispatch(Request {
            to,
            tag,
            kind: RequestKind::Propose(command, acknowledge),
        });
        self.scheduler.after(travels, Event::Request { slot });
        observer.reach(Spot::SessionCall);
    }

    /// Chooses the node for a client's request: mostly the node that it takes for the leader.
    fn choose_node(&self, client: u16, draw: &mut Draw<'_>) -> Place {
        let any = NodeId(draw.between(1, u64::from(self.settings.nodes())));
        // In the stabilization phase a waiting client tries every node in turn.
        let astray = draw.chance(200) && self.stabilization.is_none();
        match self.clients.leader(client) {
            Some(leader) if !astray => self.place(leader).unwrap_or(Place(0)),
            None if self.stabilization.is_some() => {
                let members: Vec<NodeId> = self.committed_membership.membership.ids().collect();
                let switches = usize::from(self.clients.switches(client));
                self.place(members[switches % members.len()]).unwrap_or(Place(0))
            }
            _ => self.place(any).unwrap_or(Place(0)),
        }
    }

    /// Starts a client's next operation.
    pub(super) fn invoke(&mut self, client: u16, ask: NextOperation, observer: &mut Observer) {
        let op = self.clients.begin(client);
        let timer = self.clients.start_timer(client);
        let key = Key { peer: client, counter: timer.turn << 3, ..Kind::Client.key() };
        let choices = self.choices.clone();
        let mut draw = choices.draw(key);
        let (target, reads) = match ask {
            NextOperation::Any => (None, draw.chance(self.settings.read_permille)),
            NextOperation::ProposeAt(place) => (Some(place), false),
            NextOperation::ReadAt(place) => (Some(place), true),
        };
        let believed = self.choose_node(client, &mut draw);
        // Every second client is close to one node, and reads there even if another node leads.
        let home = Place((client % u16::from(self.settings.nodes())) as u8);
        let beside = reads && client.is_multiple_of(2);
        let to = target.unwrap_or(if beside { home } else { believed });
        let travels = draw.within(self.settings.latency) / 2;
        let gives_up = self.scheduler.now().after(travels + self.settings.request_timeout);
        self.scheduler.at(gives_up, Event::ClientTimer { client, timer: timer.number });
        if reads {
            let query = self.workload.query(op, &mut draw);
            let level = match target {
                None => self.draw_read_level(client, timer.turn),
                Some(_) => ReadLevel::Linearizable,
            };
            observer.observe(
                self.scheduler.now(),
                Observation::ReadInvoked { op, level, query: &query },
            );
            self.clients.count_started(client);
            return self.send_outside_session(
                client,
                op,
                (to, travels),
                RequestKind::Read(level, query),
            );
        }
        let in_session = target.is_none() && self.has_session(client);
        let command = self.command(op, in_session, &mut draw);
        if in_session {
            return self.submit(client, op, &command, observer);
        }
        let session = None;
        self.clients.count_started(client);
        observer.observe(
            self.scheduler.now(),
            Observation::ProposeInvoked { op, command: &command, session },
        );
        let command = quorate::machine::Request::Plain(&command).encode();
        // The prober tests what the core must do without the nodes outside.
        let fixed = target.is_some().then_some(Acknowledge::Quorum);
        self.propose(client, op, (to, travels), command, fixed);
    }

    /// Draws the read level of a client's read.
    fn draw_read_level(&self, client: u16, turn: u32) -> ReadLevel {
        let key = Key { peer: client, counter: turn << 2, ..Kind::ReadLevel.key() };
        let mut draw = self.choices.draw(key);
        match draw.below(10) {
            0..4 => ReadLevel::Linearizable,
            4..6 => ReadLevel::Lease,
            6..8 => ReadLevel::Replica,
            8 => {
                let longest = self.settings.config.election_timeout_max;
                ReadLevel::Bounded(longest * draw.below(9) as u32 / 4)
            }
            _ => ReadLevel::Local,
        }
    }

    /// Sends `count` commands to a node at once, with the usual request timeout.
    pub(super) fn load_spike(&mut self, to: Place, count: u32, observer: &mut Observer) {
        let client = self.clients.load_spike_client();
        for _ in 0..count {
            let op = self.clients.begin(client);
            let turn = self.clients.start_timer(client).turn;
            let choices = self.choices.clone();
            let key = Key { peer: client, counter: turn << 3, ..Kind::Client.key() };
            let command = self.command(op, false, &mut choices.draw(key));
            observer.observe(
                self.scheduler.now(),
                Observation::ProposeInvoked { op, command: &command, session: None },
            );
            let command = quorate::machine::Request::Plain(&command).encode();
            self.propose(client, op, (to, Duration::ZERO), command, None);
        }
        let timer = self.clients.start_timer(client).number;
        let gives_up = self.scheduler.now().after(self.settings.request_timeout);
        self.scheduler.at(gives_up, Event::ClientTimer { client, timer });
    }

    /// Sends one read of a `poll reads` operation, with the usual request timeout.
    pub(super) fn read_at(&mut self, to: Place, observer: &mut Observer) {
        let client = self.clients.load_spike_client();
        let op = self.clients.begin(client);
        let timer = self.clients.start_timer(client);
        let choices = self.choices.clone();
        let key = Key { peer: client, counter: timer.turn << 3, ..Kind::Client.key() };
        let query = self.workload.query(op, &mut choices.draw(key));
        let level = self.draw_read_level(client, timer.turn);
        observer
            .observe(self.scheduler.now(), Observation::ReadInvoked { op, level, query: &query });
        self.send_outside_session(
            client,
            op,
            (to, Duration::ZERO),
            RequestKind::Read(level, query),
        );
        let gives_up = self.scheduler.now().after(self.settings.request_timeout);
        self.scheduler.at(gives_up, Event::ClientTimer { client, timer: timer.number });
    }

    /// Proposes a command outside a session; the acknowledgement is drawn, unless it is `fixed`.
    fn propose(
        &mut self,
        client: u16,
        op: OpId,
        way: (Place, Duration),
        command: Command,
        fixed: Option<Acknowledge>,
    ) {
        let tag = self.clients.begin_attempt(client, Some(op), None);
        let acknowledge = fixed.unwrap_or_else(|| self.acknowledge(tag, false));
        self.clients.get(client).pending.insert(op);
        self.send_request(way, tag, RequestKind::Propose(command, acknowledge));
    }

    /// Draws the acknowledgement level. A session cannot use one that loses commands silently.
    fn acknowledge(&self, tag: Tag, in_session: bool) -> Acknowledge {
        let key =
            Key { peer: tag.0 as u16, counter: (tag.0 >> 16) as u32, ..Kind::Acknowledge.key() };
        match self.choices.choose(key, 16) {
            0..=9 => Acknowledge::Default,
            10 | 11 => Acknowledge::Quorum,
            15 if !in_session => Acknowledge::LeaderOnly,
            _ => Acknowledge::AllLive,
        }
    }

    /// Sends a request outside a session.
    pub(super) fn send_outside_session(
        &mut self,
        client: u16,
        op: OpId,
        way: (Place, Duration),
        kind: RequestKind,
    ) {
        self.clients.get(client).pending.insert(op);
        let tag = self.clients.begin_attempt(client, Some(op), None);
        self.send_request(way, tag, kind);
    }

    fn send_request(&mut self, (to, travels): (Place, Duration), tag: Tag, kind: RequestKind) {
        let slot = self.clients.dispatch(Request { to, tag, kind });
        self.scheduler.after(travels, Event::Request { slot });
    }

    /// Submits a command in the client's session, if the session has room.
    pub(super) fn submit(
        &mut self,
        client: u16,
        op: OpId,
        command: &[u8],
        observer: &mut Observer,
    ) {
        let state = self.clients.get(client);
        let Some(session) = &mut state.session else { return };
        let Some(id) = session.id() else { return };
        let Some(call @ Call::Request(_, sequence)) = session.submit(command) else { return };
        state.sequences.insert(sequence, op);
        let session = Some((id, sequence));
        self.clients.count_started(client);
        observer
            .observe(self.scheduler.now(), Observation::ProposeInvoked { op, command, session });
        self.call(client, call, observer);
    }

    /// Returns a unique command: the workload's, marked with the operation's number.
    fn command(&self, op: OpId, in_session: bool, draw: &mut Draw<'_>) -> Vec<u8> {
        let length = command_length(draw, &self.settings);
        // A command that can never be executed would be resent in a session without end.
        let length =
            if in_session { length.min(self.settings.command_bytes_max()) } else { length };
        request::mark(self.workload.command(op, draw), op, length as usize)
    }

    /// Delivers a request to its node.
    pub(super) fn request(&mut self, slot: u32, observer: &mut Observer) {
        let Some(Request { to, tag, kind }) = self.clients.collect(slot) else { return };
        let host = &mut self.nodes[to.0 as usize];
        let start_number = host.start_number;
        let Some(running) = host.running.as_deref_mut() else {
            self.scheduler.count(EventKind::Undelivered, tag.0);
            observer.reach(Spot::RejectedByDownNode);
            self.client_is_rejected(tag, RejectReason::NotLeader { leader: None }, observer);
            return;
        };
        running.unanswered.push(tag);
        if let Some((client, op)) = self.clients.attempt_owner(tag) {
            observer.client_request(self.scheduler.now(), client, op, (tag, to.id()));
        }
        observer.observe(self.scheduler.now(), Observation::RequestReceived { node: to.id(), tag });
        match kind {
            RequestKind::Propose(command, acknowledge) => {
                running.gathered.push(Proposal { tag, acknowledge, command });
                if self.settings.gather.is_zero() {
                    self.propose_gathered(to, start_number, observer);
                } else if running.gathered.len() == 1 {
                    let at = self.scheduler.now().after(self.settings.gather);
                    self.scheduler.at(at, Event::BatchReady { place: to, start_number });
                }
            }
            RequestKind::Read(level, query) => {
                observer.read_requested(&running.status, running.last_before_leading, (tag, level));
                self.step(to, Input::Read { tag, level, query }, observer);
                observer.read_taken();
            }
        }
    }

    /// Proposes the batch that a driver has gathered.
    pub(super) fn propose_gathered(
        &mut self,
        place: Place,
        start_number: u16,
        observer: &mut Observer,
    ) {
        let Some(running) = self.nodes[place.0 as usize].started_as(start_number) else { return };
        let proposals = core::mem::take(&mut running.gathered);
        let membership = running.node.raft().membership();
        for Proposal { tag, acknowledge, .. } in &proposals {
            if acknowledge.resolved(membership) == Acknowledge::AllLive {
                running.for_all_live.insert(*tag);
                observer
                    .observe(self.scheduler.now(), Observation::RequestForAllLive { tag: *tag });
            }
        }
        if proposals.len() > 1 {
            observer.reach(Spot::ProposedTogether);
        }
        self.step(place, Input::Propose(proposals), observer);
    }

    /// Delivers the reply to a client's command.
    pub(super) fn client_commits(
        &mut self,
        tag: Tag,
        at: Place,
        id: EntryId,
        outcome: &Outcome,
        observer: &mut Observer,
    ) {
        let Some(Attempt { client, op, call }) = self.clients.finish_attempt(tag) else {
            observer.reach(Spot::OutcomeTooLate);
            return;
        };
        self.clients.set_leader(client, Some(at.id()));
        let waited = call.is_some() || op.is_some_and(|op| self.clients.get(client).finish(op));
        if let Some(op) = op.filter(|_| waited) {
            observer.observe(
                self.scheduler.now(),
                Observation::Replied { op, node: at.id(), id, outcome },
            );
        }
        if let Some(call) = call {
            return self.session_replied(client, call, outcome, observer);
        }
        if !waited {
            return observer.reach(Spot::OutcomeTooLate);
        }
        self.clients.get(client).failures = 0;
        if client == self.clients.prober() {
            self.probe_committed();
        } else if client != self.clients.load_spike_client() {
            self.schedule_next_operation(client);
        }
    }

    /// Delivers the reply to one call of a client's session.
    fn session_replied(
        &mut self,
        client: u16,
        call: Call,
        outcome: &Outcome,
        observer: &mut Observer,
    ) {
        let state = self.clients.get(client);
        let Some(session) = &mut state.session else { return };
        match session.on_outcome(call, outcome) {
            SessionEvent::Reply(sequence, reply) => {
                state.failures = 0;
                state.sequences.remove(&sequence);
                self.scripted_reply(client, &reply);
                observer.reach(Spot::SessionReply);
            }
            SessionEvent::Ended(_) => {
                observer.reach(Spot::SessionOver);
                for op in std::mem::take(&mut state.sequences).into_values() {
                    observer.observe(self.scheduler.now(), Observation::Unknown { op });
                }
            }
            SessionEvent::Opened(_) => {}
            SessionEvent::Ignored => return observer.reach(Spot::SessionRepeated),
        }
        if self.stabilization.is_none() {
            self.schedule_next_operation(client);
        }
    }

    pub(super) fn client_reads(
        &mut self,
        tag: Tag,
        at: Place,
        freshness: Freshness,
        (index, applied): (Index, Index),
        (state, answer): (Option<Digest>, &[u8]),
        observer: &mut Observer,
    ) {
        let Some(Attempt { client, op: Some(op), .. }) = self.clients.finish_attempt(tag) else {
            observer.reach(Spot::OutcomeTooLate);
            return;
        };
        if !self.clients.get(client).finish(op) {
            observer.reach(Spot::OutcomeTooLate);
            return;
        }
        self.clients.get(client).failures = 0;
        let node = at.id();
        let served = Observation::ReadServed { op, node, freshness, index, applied, state, answer };
        observer.observe(self.scheduler.now(), served);
        self.scripted_reply(client, answer);
        if client == self.clients.prober() {
            self.probe_served();
        } else if client != self.clients.load_spike_client() {
            self.schedule_next_operation(client);
        }
    }

    /// A leader accepted a client's command without a guarantee; the client does not resend it.
    pub(super) fn client_reply_may_be_lost(
        &mut self,
        tag: Tag,
        at: Place,
        observer: &mut Observer,
    ) {
        let Some(Attempt { client, op: Some(op), .. }) = self.clients.finish_attempt(tag) else {
            return;
        };
        observer.reach(Spot::AnsweredByLeaderOnly);
        if !self.clients.get(client).finish(op) {
            return observer.reach(Spot::OutcomeTooLate);
        }
        self.clients.set_leader(client, Some(at.id()));
        self.clients.get(client).failures = 0;
        observer.observe(self.scheduler.now(), Observation::Unknown { op });
        if client != self.clients.load_spike_client() {
            self.schedule_next_operation(client);
        }
    }

    /// Delivers the rejection of an attempt.
    pub(super) fn client_is_rejected(
        &mut self,
        tag: Tag,
        reason: RejectReason,
        observer: &mut Observer,
    ) {
        let Some(Attempt { client, op, call }) = self.clients.finish_attempt(tag) else { return };
        match reason {
            RejectReason::NotLeader { leader } => {
                self.clients.set_leader(client, leader);
                self.clients.get(client).redirected = leader.is_some();
            }
            RejectReason::NoLeader | RejectReason::Stopped => self.clients.set_leader(client, None),
            _ => {}
        }
        if call.is_none() {
            match op {
                Some(op) if self.clients.get(client).finish(op) => {
                    self.clients.count_rejected(client);
                    observer.observe(self.scheduler.now(), Observation::Rejected { op, reason });
                }
                _ => return,
            }
        }
        self.continue_after_failure(client);
    }

    /// Records that the outcome of a client's attempt is unknown.
    pub(super) fn client_outcome_unknown(&mut self, tag: Tag, observer: &mut Observer) {
        let Some(Attempt { client, op, call }) = self.clients.finish_attempt(tag) else { return };
        self.clients.set_leader(client, None);
        if call.is_none() {
            match op {
                Some(op) if self.clients.get(client).finish(op) => {
                    observer.observe(self.scheduler.now(), Observation::Unknown { op });
                }
                _ => return,
            }
        }
        self.continue_after_failure(client);
    }

    /// Continues after a failure: in the fault phase, or as long as the client waits.
    fn continue_after_failure(&mut self, client: u16) {
        let state = self.clients.get(client);
        state.failures += u32::from(!state.redirected);
        if client == self.clients.load_spike_client() {
            return;
        }
        if self.stabilization.is_none() || self.clients.is_waiting(client) {
            self.schedule_next_operation(client);
        }
    }
}
