//! The load: clients ask the node they take for the leader, or any other. Some have a session and
//! repeat what is not answered until it is; the others never repeat anything, and give up.

use std::time::Duration;

use quorate::machine::{Answer, Call, ClientSession, Digest, Nonce, Outcome};
use quorate::raft::RejectReason;
use quorate::replica::Input;
use quorate::types::{
    Acknowledge, Command, EntryId, Freshness, Index, NodeId, Proposal, ReadLevel, Tag,
};

use crate::choice::{Draw, Key, Kind};
use crate::coverage::Spot;
use crate::observe::{OpId, Seen};
use crate::request;
use crate::settings::Settings;
use crate::witness::Witness;
use crate::workload::Workload;
use crate::world::client::{Ask, Asked, Request, Try};
use crate::world::node::Place;
use crate::world::queue::Event;
use crate::world::{EventKind, World};

impl World {
    pub(super) fn schedule_clients(&mut self) {
        for client in 0..self.settings.clients {
            self.nap(client);
        }
    }

    /// The storm is over: whoever waits asks again soon.
    pub(super) fn wake_clients(&mut self) {
        for client in 0..self.settings.clients {
            if self.clients.is_waiting(client) {
                self.clients.get(client).disappointed = 0;
                self.nap(client);
            }
        }
    }

    /// The client waits a while before its next operation.
    fn nap(&mut self, client: u16) {
        let nap = self.clients.nap(client);
        let key = Key { peer: client, counter: nap.turn, ..Kind::Think.key() };
        let think = self.choices.within(key, self.settings.think);
        let longest = self.settings.config.election_timeout_max * 4;
        let at = self.now.after((think * self.slowness(client, 10)).min(longest.max(think)));
        self.queue.push(at, Event::Client { client, nap: nap.number });
    }

    /// How many times longer than usual a client waits: a crowd that asks again and again, faster
    /// than it is served, would be served ever more slowly.
    fn slowness(&mut self, client: u16, doublings_max: u32) -> u32 {
        1 << self.clients.get(client).disappointed.min(doublings_max)
    }

    /// A client gives up waiting, repeats what is not answered, or invokes its next operation.
    pub(super) fn client_wakes(&mut self, client: u16, nap: u32, witness: &mut Witness) {
        if !self.clients.wakes(client, nap) {
            return;
        }
        if self.pursue(client, witness) {
            return;
        }
        let stormy = self.calm.is_none();
        let given_up = self.clients.give_up(client);
        if !given_up.is_empty() {
            self.clients.believes(client, None);
            witness.reach(Spot::UnknownByPatience);
            for op in given_up {
                witness.see(self.now, Seen::Unknown { op });
            }
            self.goes_on(client);
        } else if client == self.clients.crowd() {
            // It asks when the plan says so.
        } else if stormy && self.has_session(client) {
            self.in_session(client, witness);
        } else if stormy && self.may_begin() {
            self.invoke(client, Ask::Any, witness);
        } else if self.clients.is_waiting(client) {
            self.repeat(client, witness);
            self.patience(client);
        }
    }

    /// Whether a client works in sessions: every third does not.
    fn has_session(&self, client: u16) -> bool {
        client % 3 != 2 && client < self.clients.crowd()
    }

    /// A client with a session opens it, repeats what it has waited for long enough, or goes on.
    fn in_session(&mut self, client: u16, witness: &mut Witness) {
        let limits = self.settings.session_limits;
        let state = self.clients.get(client);
        if state.session.as_ref().is_none_or(ClientSession::is_over) {
            state.sessions += 1;
            let nonce = Nonce(u128::from(client) << 64 | u128::from(state.sessions));
            state.session = Some(ClientSession::new(nonce, limits));
        }
        let is_open = state.session.as_ref().is_some_and(|session| session.id().is_some());
        let turn = self.clients.nap(client).turn;
        let key = Key { peer: client, counter: turn << 3 | 1, ..Kind::Client.key() };
        let mut draw = self.choices.draw(key);
        let waiting = self.clients.get(client).sequences.len() as u64;
        let idle = waiting > 0 && !self.may_begin();
        if !is_open || idle || waiting > 0 && draw.chance(300 + 200 * waiting) {
            self.repeat(client, witness);
            self.patience(client);
        } else if self.may_begin() {
            self.invoke(client, Ask::Any, witness);
        }
    }

    /// Whether clients begin anything more by themselves.
    fn may_begin(&self) -> bool {
        self.clients.asked() < self.settings.operations_max
    }

    /// The client waits as long as it is willing to.
    fn patience(&mut self, client: u16) {
        let nap = self.clients.nap(client).number;
        let patience = match self.calm {
            None => self.settings.patience * self.slowness(client, 1),
            // Who waits must have turned to every node before the core counts as standing still.
            Some(_) => self.settings.config.election_timeout_max * 2,
        };
        let at = self.now.after(patience);
        self.queue.push(at, Event::Client { client, nap });
    }

    /// A client sends everything again that its session has no answer to: to the next node, unless
    /// it was told whom to ask.
    fn repeat(&mut self, client: u16, witness: &mut Witness) {
        if !std::mem::take(&mut self.clients.get(client).redirected) {
            self.clients.believes(client, None);
            let state = self.clients.get(client);
            state.disappointed += 1;
            state.turned = state.turned.wrapping_add(1);
        }
        let Some(session) = &self.clients.get(client).session else { return };
        let calls: Vec<Call> = session.calls().collect();
        for call in calls {
            self.call(client, call, witness);
        }
    }

    /// A client sends one call of its session, for the first time or again.
    pub(super) fn call(&mut self, client: u16, call: Call, witness: &mut Witness) {
        let state = self.clients.get(client);
        let Some(command) = state.session.as_ref().and_then(|session| session.command(call)) else {
            return;
        };
        let op = match call {
            Call::Register(_) => None,
            Call::Request(_, sequence) => state.sequences.get(&sequence).copied(),
        };
        let tag = self.clients.tries(client, op, Some(call));
        let key = Key { peer: client, counter: tag.0 as u32, ..Kind::Retry.key() };
        let choices = self.choices.clone();
        let mut draw = choices.draw(key);
        let on_errand = self.is_on_errand(client);
        let to = if on_errand { self.next_place(client) } else { self.target(client, &mut draw) };
        let travels = draw.within(self.settings.latency) / 2;
        // What a voter outside the core holds back is asked for again as a quorum can answer it.
        let held_back = self.calm.as_ref().is_some_and(|calm| self.is_held_back(calm, to));
        let certain = held_back.then_some(Acknowledge::Quorum);
        let certain = certain.or(on_errand.then_some(Acknowledge::Default));
        let acknowledge = certain.unwrap_or_else(|| self.acknowledge(tag, true));
        let slot =
            self.clients.dispatch(Request { to, tag, ask: Asked::Propose(command, acknowledge) });
        self.queue.push(self.now.after(travels), Event::Request { slot });
        witness.reach(Spot::SessionCall);
    }

    /// The node a client turns to: whom it takes for the leader, mostly.
    fn target(&self, client: u16, draw: &mut Draw<'_>) -> Place {
        let any = NodeId(draw.between(1, u64::from(self.settings.nodes())));
        // Who waits after the storm has the time to try every node, and none to go astray.
        let astray = draw.chance(200) && self.calm.is_none();
        match self.clients.leader(client) {
            Some(leader) if !astray => self.place(leader).unwrap_or(Place(0)),
            None if self.calm.is_some() => {
                let members: Vec<NodeId> = self.in_force.membership.ids().collect();
                let turned = usize::from(self.clients.turned(client));
                self.place(members[turned % members.len()]).unwrap_or(Place(0))
            }
            _ => self.place(any).unwrap_or(Place(0)),
        }
    }

    /// A client begins its next operation.
    pub(super) fn invoke(&mut self, client: u16, ask: Ask, witness: &mut Witness) {
        let op = self.clients.begin(client);
        let nap = self.clients.nap(client);
        let key = Key { peer: client, counter: nap.turn << 3, ..Kind::Client.key() };
        let choices = self.choices.clone();
        let mut draw = choices.draw(key);
        let (target, reads) = match ask {
            Ask::Any => (None, draw.chance(self.settings.read_permille)),
            Ask::ProposeAt(place) => (Some(place), false),
            Ask::ReadAt(place) => (Some(place), true),
        };
        let believed = self.target(client, &mut draw);
        // Every second client lives beside one node, and reads there whoever leads.
        let home = Place((client % u16::from(self.settings.nodes())) as u8);
        let beside = reads && client.is_multiple_of(2);
        let to = target.unwrap_or(if beside { home } else { believed });
        let travels = draw.within(self.settings.latency) / 2;
        let gives_up = self.now.after(travels + self.settings.patience);
        self.queue.push(gives_up, Event::Client { client, nap: nap.number });
        if reads {
            let query = self.workload.query(op, &mut draw);
            let level = match target {
                None => self.level(client, nap.turn),
                Some(_) => ReadLevel::Linearizable,
            };
            witness.see(self.now, Seen::ReadInvoked { op, level, query: &query });
            self.clients.asks(client);
            return self.ask(client, op, (to, travels), Asked::Read(level, query));
        }
        let in_session = target.is_none() && self.has_session(client);
        let command = self.command(op, in_session, &mut draw);
        if in_session {
            return self.submit(client, op, &command, witness);
        }
        let session = None;
        self.clients.asks(client);
        witness.see(self.now, Seen::ProposeInvoked { op, command: &command, session });
        let command = quorate::machine::Request::Plain(&command).encode();
        // Who asks for progress asks for what the core owes whatever is outside it.
        let certain = target.is_some().then_some(Acknowledge::Quorum);
        self.propose(client, op, (to, travels), command, certain);
    }

    /// How fresh the answer to a client's read has to be.
    fn level(&self, client: u16, turn: u32) -> ReadLevel {
        let key = Key { peer: client, counter: turn << 2, ..Kind::Level.key() };
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

    /// So many commands reach a node at once. Nobody waits for them longer than for others.
    pub(super) fn surge(&mut self, to: Place, count: u32, witness: &mut Witness) {
        let client = self.clients.crowd();
        for _ in 0..count {
            let op = self.clients.begin(client);
            let turn = self.clients.nap(client).turn;
            let choices = self.choices.clone();
            let key = Key { peer: client, counter: turn << 3, ..Kind::Client.key() };
            let command = self.command(op, false, &mut choices.draw(key));
            witness.see(self.now, Seen::ProposeInvoked { op, command: &command, session: None });
            let command = quorate::machine::Request::Plain(&command).encode();
            self.propose(client, op, (to, Duration::ZERO), command, None);
        }
        let nap = self.clients.nap(client).number;
        let gives_up = self.now.after(self.settings.patience);
        self.queue.push(gives_up, Event::Client { client, nap });
    }

    /// One of many readers reaches a node. It waits no longer than others do.
    pub(super) fn read_at(&mut self, to: Place, witness: &mut Witness) {
        let client = self.clients.crowd();
        let op = self.clients.begin(client);
        let nap = self.clients.nap(client);
        let choices = self.choices.clone();
        let key = Key { peer: client, counter: nap.turn << 3, ..Kind::Client.key() };
        let query = self.workload.query(op, &mut choices.draw(key));
        let level = self.level(client, nap.turn);
        witness.see(self.now, Seen::ReadInvoked { op, level, query: &query });
        self.ask(client, op, (to, Duration::ZERO), Asked::Read(level, query));
        let gives_up = self.now.after(self.settings.patience);
        self.queue.push(gives_up, Event::Client { client, nap: nap.number });
    }

    /// A client proposes outside a session: what is to be answered as drawn, if not as `certain`.
    fn propose(
        &mut self,
        client: u16,
        op: OpId,
        way: (Place, Duration),
        command: Command,
        certain: Option<Acknowledge>,
    ) {
        let tag = self.clients.tries(client, Some(op), None);
        let acknowledge = certain.unwrap_or_else(|| self.acknowledge(tag, false));
        self.clients.get(client).waits_for.insert(op);
        self.sends(way, tag, Asked::Propose(command, acknowledge));
    }

    /// When a try counts as done. What may be lost without a word has no place in a session.
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

    /// A client asks outside a session.
    pub(super) fn ask(&mut self, client: u16, op: OpId, way: (Place, Duration), ask: Asked) {
        self.clients.get(client).waits_for.insert(op);
        let tag = self.clients.tries(client, Some(op), None);
        self.sends(way, tag, ask);
    }

    fn sends(&mut self, (to, travels): (Place, Duration), tag: Tag, ask: Asked) {
        let slot = self.clients.dispatch(Request { to, tag, ask });
        self.queue.push(self.now.after(travels), Event::Request { slot });
    }

    /// A client asks in its session, if that has room.
    pub(super) fn submit(&mut self, client: u16, op: OpId, command: &[u8], witness: &mut Witness) {
        let state = self.clients.get(client);
        let Some(session) = &mut state.session else { return };
        let Some(id) = session.id() else { return };
        let Some(call @ Call::Request(_, sequence)) = session.submit(command) else { return };
        state.sequences.insert(sequence, op);
        let session = Some((id, sequence));
        self.clients.asks(client);
        witness.see(self.now, Seen::ProposeInvoked { op, command, session });
        self.call(client, call, witness);
    }

    /// A command that no other operation has: the workload's, and the operation's number.
    fn command(&self, op: OpId, in_session: bool, draw: &mut Draw<'_>) -> Vec<u8> {
        let length = command_length(draw, &self.settings);
        // What can never be carried out would be repeated in a session for ever.
        let length =
            if in_session { length.min(self.settings.command_bytes_max()) } else { length };
        request::mark(self.workload.command(op, draw), op, length as usize)
    }

    /// A request reaches its node.
    pub(super) fn request(&mut self, slot: u32, witness: &mut Witness) {
        let Some(Request { to, tag, ask }) = self.clients.collect(slot) else { return };
        let host = &mut self.nodes[to.0 as usize];
        let incarnation = host.incarnation;
        let Some(running) = host.running.as_deref_mut() else {
            self.count_event(EventKind::Vain, tag.0);
            witness.reach(Spot::RejectedByDownNode);
            self.client_is_rejected(tag, RejectReason::NotLeader { leader: None }, witness);
            return;
        };
        running.unanswered.push(tag);
        if let Some((client, op)) = self.clients.whose(tag) {
            witness.asked(self.now, client, op, (tag, to.id()));
        }
        witness.see(self.now, Seen::Asked { node: to.id(), tag });
        match ask {
            Asked::Propose(command, acknowledge) => {
                running.gathered.push(Proposal { tag, acknowledge, command });
                if self.settings.gather.is_zero() {
                    self.gathered(to, incarnation, witness);
                } else if running.gathered.len() == 1 {
                    let at = self.now.after(self.settings.gather);
                    self.queue.push(at, Event::Gathered { node: to.0, incarnation });
                }
            }
            Asked::Read(level, query) => {
                witness.reads_at(&running.status, running.led_from, (tag, level));
                self.step(to, Input::Read { tag, level, query }, witness);
                witness.read_is_asked();
            }
        }
    }

    /// A driver hands over what it has gathered.
    pub(super) fn gathered(&mut self, place: Place, incarnation: u16, witness: &mut Witness) {
        let Some(running) = self.nodes[place.0 as usize].started_as(incarnation) else { return };
        let proposals = core::mem::take(&mut running.gathered);
        let membership = running.node.raft().membership();
        for Proposal { tag, acknowledge, .. } in &proposals {
            if acknowledge.resolved(membership) == Acknowledge::AllLive {
                running.for_all_live.insert(*tag);
                witness.see(self.now, Seen::ForAllLive { tag: *tag });
            }
        }
        if proposals.len() > 1 {
            witness.reach(Spot::ProposedTogether);
        }
        self.step(place, Input::Propose(proposals), witness);
    }

    /// The log has a client's command, and this came of it.
    pub(super) fn client_commits(
        &mut self,
        tag: Tag,
        at: Place,
        id: EntryId,
        outcome: &Outcome,
        witness: &mut Witness,
    ) {
        let Some(Try { client, op, call }) = self.clients.ends(tag) else {
            witness.reach(Spot::OutcomeTooLate);
            return;
        };
        self.clients.believes(client, Some(at.id()));
        let waited = call.is_some() || op.is_some_and(|op| self.clients.get(client).ends(op));
        if let Some(op) = op.filter(|_| waited) {
            witness.see(self.now, Seen::Replied { op, node: at.id(), id, outcome });
        }
        if let Some(call) = call {
            return self.session_answers(client, call, outcome, witness);
        }
        if !waited {
            return witness.reach(Spot::OutcomeTooLate);
        }
        self.clients.get(client).disappointed = 0;
        if client == self.clients.prober() {
            self.probe_committed();
        } else if client != self.clients.crowd() {
            self.nap(client);
        }
    }

    /// Something came of one call of a client's session.
    fn session_answers(
        &mut self,
        client: u16,
        call: Call,
        outcome: &Outcome,
        witness: &mut Witness,
    ) {
        let state = self.clients.get(client);
        let Some(session) = &mut state.session else { return };
        match session.answer(call, outcome) {
            Answer::Reply(sequence, reply) => {
                state.disappointed = 0;
                state.sequences.remove(&sequence);
                self.is_told(client, &reply);
                witness.reach(Spot::SessionReply);
            }
            Answer::Over(_) => {
                witness.reach(Spot::SessionOver);
                for op in std::mem::take(&mut state.sequences).into_values() {
                    witness.see(self.now, Seen::Unknown { op });
                }
            }
            Answer::Opened(_) => {}
            Answer::Nothing => return witness.reach(Spot::SessionRepeated),
        }
        if self.calm.is_none() {
            self.nap(client);
        }
    }

    pub(super) fn client_reads(
        &mut self,
        tag: Tag,
        at: Place,
        freshness: Freshness,
        (index, applied): (Index, Index),
        (state, answer): (Option<Digest>, &[u8]),
        witness: &mut Witness,
    ) {
        let Some(Try { client, op: Some(op), .. }) = self.clients.ends(tag) else {
            witness.reach(Spot::OutcomeTooLate);
            return;
        };
        if !self.clients.get(client).ends(op) {
            witness.reach(Spot::OutcomeTooLate);
            return;
        }
        self.clients.get(client).disappointed = 0;
        let node = at.id();
        let served = Seen::ReadServed { op, node, freshness, index, applied, state, answer };
        witness.see(self.now, served);
        self.is_told(client, answer);
        if client == self.clients.prober() {
            self.probe_served();
        } else if client != self.clients.crowd() {
            self.nap(client);
        }
    }

    /// A leader took a client's command, and promises nothing: the client asks no more.
    pub(super) fn client_may_lose(&mut self, tag: Tag, at: Place, witness: &mut Witness) {
        let Some(Try { client, op: Some(op), .. }) = self.clients.ends(tag) else { return };
        witness.reach(Spot::AnsweredByLeaderOnly);
        if !self.clients.get(client).ends(op) {
            return witness.reach(Spot::OutcomeTooLate);
        }
        self.clients.believes(client, Some(at.id()));
        self.clients.get(client).disappointed = 0;
        witness.see(self.now, Seen::Unknown { op });
        if client != self.clients.crowd() {
            self.nap(client);
        }
    }

    /// Nothing came of a try.
    pub(super) fn client_is_rejected(
        &mut self,
        tag: Tag,
        reason: RejectReason,
        witness: &mut Witness,
    ) {
        let Some(Try { client, op, call }) = self.clients.ends(tag) else { return };
        match reason {
            RejectReason::NotLeader { leader } => {
                self.clients.believes(client, leader);
                self.clients.get(client).redirected = leader.is_some();
            }
            RejectReason::NoLeader | RejectReason::Stopped => self.clients.believes(client, None),
            _ => {}
        }
        if call.is_none() {
            match op {
                Some(op) if self.clients.get(client).ends(op) => {
                    self.clients.is_refused(client);
                    witness.see(self.now, Seen::Rejected { op, reason });
                }
                _ => return,
            }
        }
        self.goes_on(client);
    }

    /// The client does not know what became of a try.
    pub(super) fn client_loses(&mut self, tag: Tag, witness: &mut Witness) {
        let Some(Try { client, op, call }) = self.clients.ends(tag) else { return };
        self.clients.believes(client, None);
        if call.is_none() {
            match op {
                Some(op) if self.clients.get(client).ends(op) => {
                    witness.see(self.now, Seen::Unknown { op });
                }
                _ => return,
            }
        }
        self.goes_on(client);
    }

    /// A client goes on after a disappointment: while the storm lasts, or as long as it waits.
    fn goes_on(&mut self, client: u16) {
        let state = self.clients.get(client);
        state.disappointed += u32::from(!state.redirected);
        if client == self.clients.crowd() {
            return;
        }
        if self.calm.is_none() || self.clients.is_waiting(client) {
            self.nap(client);
        }
    }
}

/// Mostly the run's usual length; sometimes up to the largest that is allowed, or too large.
fn command_length(draw: &mut Draw<'_>, settings: &Settings) -> u64 {
    let largest = settings.command_bytes_max();
    match draw.below(50) {
        0..38 => settings.command_bytes,
        38..46 => draw.between(16, largest),
        46..49 => largest,
        _ => settings.config.command_bytes_max as u64 + 1,
    }
}
