//! The operations that clients start, and how requests are sent: to the presumed leader, or to any
//! other node.

use std::time::Duration;

use quorate::machine::Call;
use quorate::types::{Acknowledge, NodeId, ReadLevel, Tag};

use crate::observe::coverage::Spot;
use crate::observe::{Observation, OpId};
use crate::settings::Settings;
use crate::values::choice::{Draw, Key, Kind};
use crate::workload::{Workload, request};
use crate::world::load::clients::{NextOperation, Request, RequestKind};
use crate::world::load::{Load, Surroundings};
use crate::world::place::Place;
use crate::world::run::Setup;
use crate::world::scheduler::Event;

impl Load {
    /// Starts a client's next operation.
    pub(crate) fn invoke(&mut self, client: u16, ask: NextOperation, run: &mut Surroundings<'_>) {
        let op = self.clients.begin(client);
        let turn = self.clients[client].turn;
        let key = Key::of_turn(Kind::Client, client, turn);
        let setup = run.setup;
        let mut draw = setup.choices.draw(key);
        let (target, reads) = match ask {
            NextOperation::Any => (None, draw.chance(run.setup.settings.read_permille)),
            NextOperation::ProposeAt(place) => (Some(place), false),
            NextOperation::ReadAt(place) => (Some(place), true),
        };
        let believed = self.choose_node(client, &mut draw, run);
        // Every second client is close to one node, and reads there even if another node leads.
        let home = Place((client % u16::from(run.setup.settings.nodes())) as u8);
        let beside = reads && client.is_multiple_of(2);
        let to = target.unwrap_or(if beside { home } else { believed });
        let travels = draw.within(run.setup.settings.latency) / 2;
        let gives_up = travels + run.setup.settings.request_timeout;
        self.clients.set_timer(client, gives_up, run.scheduler);
        let route = Route { to, travels };
        if reads {
            let query = run.setup.workload.query(op, &mut draw);
            let level = match target {
                None => draw_read_level(client, turn, run.setup),
                Some(_) => ReadLevel::Linearizable,
            };
            self.clients.count_started(client);
            return self.read(client, op, route, level, query, run);
        }
        let in_session = target.is_none() && self.clients.has_session(client);
        let command = draw_command(op, in_session, &mut draw, run.setup);
        if in_session {
            return self.submit(client, op, &command, run);
        }
        self.clients.count_started(client);
        // The prober tests that the core makes progress without the nodes outside it.
        let fixed = target.is_some().then_some(Acknowledge::Quorum);
        self.propose(client, op, route, &command, fixed, run);
    }

    /// Sends `count` commands to a node at once. The load-spike client gives up all its pending
    /// requests together, one request timeout after the last of them.
    pub(crate) fn spike(&mut self, to: Place, count: u32, run: &mut Surroundings<'_>) {
        let client = self.clients.load_spike_client();
        for _ in 0..count {
            let op = self.clients.begin(client);
            let turn = self.clients[client].turn;
            let key = Key::of_turn(Kind::Client, client, turn);
            let command = draw_command(op, false, &mut run.setup.choices.draw(key), run.setup);
            self.propose(client, op, Route { to, travels: Duration::ZERO }, &command, None, run);
        }
        self.clients.set_timer(client, run.setup.settings.request_timeout, run.scheduler);
    }

    /// Sends one read of a `poll reads` operation, with the timeout of [`Load::spike`].
    pub(crate) fn read_at(&mut self, to: Place, run: &mut Surroundings<'_>) {
        let client = self.clients.load_spike_client();
        let op = self.clients.begin(client);
        let turn = self.clients[client].turn;
        let key = Key::of_turn(Kind::Client, client, turn);
        let query = run.setup.workload.query(op, &mut run.setup.choices.draw(key));
        let level = draw_read_level(client, turn, run.setup);
        let route = Route { to, travels: Duration::ZERO };
        self.read(client, op, route, level, query, run);
        self.clients.set_timer(client, run.setup.settings.request_timeout, run.scheduler);
    }
}

/// Draws the read level of a client's read.
fn draw_read_level(client: u16, turn: u32, setup: &Setup) -> ReadLevel {
    let mut draw = setup.choices.draw(Key::of_turn(Kind::ReadLevel, client, turn));
    match draw.below(10) {
        0..4 => ReadLevel::Linearizable,
        4..6 => ReadLevel::Lease,
        6..8 => ReadLevel::Replica,
        8 => {
            let longest = setup.settings.config.election_timeout_max;
            ReadLevel::Bounded(longest * draw.below(9) as u32 / 4)
        }
        _ => ReadLevel::Local,
    }
}

/// Draws a unique command: the workload's, marked with the operation's number.
pub(super) fn draw_command(
    op: OpId,
    in_session: bool,
    draw: &mut Draw<'_>,
    setup: &Setup,
) -> Vec<u8> {
    let length = command_length(draw, &setup.settings);
    // In a session, a command that can never be executed would be sent again forever.
    let length = if in_session { length.min(setup.settings.command_bytes_max()) } else { length };
    request::mark(setup.workload.command(op, draw), op, length as usize)
}

/// Draws the length of a command: mostly the usual one, sometimes up to the largest, or too large.
fn command_length(draw: &mut Draw<'_>, settings: &Settings) -> u64 {
    let largest = settings.command_bytes_max();
    match draw.below(50) {
        0..38 => settings.command_bytes,
        38..46 => draw.between(16, largest),
        46..49 => largest,
        _ => settings.config.command_bytes_max as u64 + 1,
    }
}

/// The destination of a request, and its travel time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    pub(super) to: Place,
    pub(super) travels: Duration,
}

impl Load {
    /// Sends one call of a client's session, for the first time or again.
    pub(super) fn call(&mut self, client: u16, call: Call, run: &mut Surroundings<'_>) {
        let state = &mut self.clients[client];
        let Some(command) = state.session.as_ref().and_then(|session| session.command(call)) else {
            return;
        };
        let op = match call {
            Call::Register(_) => None,
            Call::Request(_, sequence) => state.sequences.get(&sequence).copied(),
        };
        let tag = self.clients.begin_attempt(client, op, Some(call));
        let key = Key { peer: client, counter: tag.0 as u32, ..Kind::Retry.key() };
        let mut draw = run.setup.choices.draw(key);
        let is_scripted = self.clients.is_scripted(client);
        let to = match is_scripted {
            true => self.next_place(client, run),
            false => self.choose_node(client, &mut draw, run),
        };
        let travels = draw.within(run.setup.settings.latency) / 2;
        // A request that a voter outside the core holds back is resent so that a quorum can answer
        // it.
        let held_back = run.stabilization.is_some_and(|stabilization| {
            let now = run.scheduler.now();
            stabilization.waits_for_outside_voter(&run.cluster[to], run.setup, now)
        });
        let fixed = held_back.then_some(Acknowledge::Quorum);
        let fixed = fixed.or(is_scripted.then_some(Acknowledge::Default));
        let acknowledge = fixed.unwrap_or_else(|| draw_acknowledge(tag, true, run.setup));
        let kind = RequestKind::Propose(command, acknowledge);
        self.send_request(Route { to, travels }, tag, kind, run);
        run.observer.reach(Spot::SessionCall);
    }

    /// Chooses the node for a client's request: mostly the node that it takes for the leader.
    pub(super) fn choose_node(
        &self,
        client: u16,
        draw: &mut Draw<'_>,
        run: &Surroundings<'_>,
    ) -> Place {
        let any = NodeId(draw.between(1, u64::from(run.setup.settings.nodes())));
        // In the stabilization phase a waiting client without a known leader tries every member in
        // turn.
        let astray = draw.chance(200) && run.in_fault_phase();
        match self.clients[client].leader {
            Some(leader) if !astray => run.cluster.place(leader).unwrap_or(Place(0)),
            None if !run.in_fault_phase() => {
                let members: Vec<NodeId> = run.cluster.committed_membership().ids().collect();
                let switches = usize::from(self.clients[client].switches);
                run.cluster.place(members[switches % members.len()]).unwrap_or(Place(0))
            }
            _ => run.cluster.place(any).unwrap_or(Place(0)),
        }
    }

    /// Proposes a command outside a session; the acknowledgement is drawn, unless it is `fixed`.
    pub(super) fn propose(
        &mut self,
        client: u16,
        op: OpId,
        route: Route,
        command: &[u8],
        fixed: Option<Acknowledge>,
        run: &mut Surroundings<'_>,
    ) {
        let invoked = Observation::ProposeInvoked { op, command, session: None };
        run.observe(invoked);
        let tag = self.clients.begin_attempt(client, Some(op), None);
        let acknowledge = fixed.unwrap_or_else(|| draw_acknowledge(tag, false, run.setup));
        self.clients[client].pending.insert(op);
        let command = quorate::machine::Request::Plain(command).encode();
        self.send_request(route, tag, RequestKind::Propose(command, acknowledge), run);
    }

    /// Sends a read, which is outside a session.
    pub(super) fn read(
        &mut self,
        client: u16,
        op: OpId,
        route: Route,
        level: ReadLevel,
        query: Vec<u8>,
        run: &mut Surroundings<'_>,
    ) {
        let invoked = Observation::ReadInvoked { op, level, query: &query };
        run.observe(invoked);
        self.clients[client].pending.insert(op);
        let tag = self.clients.begin_attempt(client, Some(op), None);
        self.send_request(route, tag, RequestKind::Read(level, query), run);
    }

    pub(super) fn send_request(
        &mut self,
        route: Route,
        tag: Tag,
        kind: RequestKind,
        run: &mut Surroundings<'_>,
    ) {
        let slot = self.clients.requests.store(Request { to: route.to, tag, kind });
        run.scheduler.after(route.travels, Event::Request { slot });
    }

    /// Submits a command in the client's session, if the session has room.
    pub(super) fn submit(
        &mut self,
        client: u16,
        op: OpId,
        command: &[u8],
        run: &mut Surroundings<'_>,
    ) {
        let state = &mut self.clients[client];
        let Some(session) = &mut state.session else { return };
        let Some(id) = session.id() else { return };
        let Some(call @ Call::Request(_, sequence)) = session.submit(command) else { return };
        state.sequences.insert(sequence, op);
        let session = Some((id, sequence));
        self.clients.count_started(client);
        let invoked = Observation::ProposeInvoked { op, command, session };
        run.observe(invoked);
        self.call(client, call, run);
    }

    /// Returns the node that a scripted client sends to: the leader that it knows, or else one node
    /// after the other.
    pub(super) fn next_place(&mut self, client: u16, run: &Surroundings<'_>) -> Place {
        let believed = self.clients[client].leader.and_then(|leader| run.cluster.place(leader));
        believed.unwrap_or_else(|| {
            let state = &mut self.clients[client];
            state.switches = state.switches.wrapping_add(1);
            let switches = u64::from(state.switches) + u64::from(client);
            let node = NodeId(switches % u64::from(run.setup.settings.nodes()) + 1);
            run.cluster.place(node).unwrap_or(Place(0))
        })
    }
}

/// Draws the acknowledgement level. A session cannot use a level that may lose commands silently.
fn draw_acknowledge(tag: Tag, in_session: bool, setup: &Setup) -> Acknowledge {
    let key = Key { peer: tag.0 as u16, counter: (tag.0 >> 16) as u32, ..Kind::Acknowledge.key() };
    match setup.choices.choose(key, 16) {
        0..=9 => Acknowledge::Default,
        10 | 11 => Acknowledge::Quorum,
        15 if !in_session => Acknowledge::LeaderOnly,
        _ => Acknowledge::AllLive,
    }
}
