//! The operations that clients start: those of the load, of load spikes, and of polled reads.

use std::time::Duration;

use quorate::types::{Acknowledge, ReadLevel};

use crate::observe::OpId;
use crate::settings::Settings;
use crate::values::choice::{Draw, Key, Kind};
use crate::workload::Workload;
use crate::workload::request;
use crate::world::load::Load;
use crate::world::load::Surroundings;
use crate::world::load::clients::NextOperation;
use crate::world::load::sending::Route;
use crate::world::place::Place;
use crate::world::run::Setup;

impl Load {
    /// Starts a client's next operation.
    pub(crate) fn invoke(&mut self, client: u16, ask: NextOperation, run: &mut Surroundings<'_>) {
        let op = self.clients.begin(client);
        let turn = self.clients[client].turn;
        let key = Key { peer: client, counter: turn << 3, ..Kind::Client.key() };
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
        // The prober tests what the core must do without the nodes outside.
        let fixed = target.is_some().then_some(Acknowledge::Quorum);
        self.propose(client, op, route, &command, fixed, run);
    }

    /// Sends `count` commands to a node at once, with the usual request timeout.
    pub(crate) fn spike(&mut self, to: Place, count: u32, run: &mut Surroundings<'_>) {
        let client = self.clients.load_spike_client();
        for _ in 0..count {
            let op = self.clients.begin(client);
            let turn = self.clients[client].turn;
            let key = Key { peer: client, counter: turn << 3, ..Kind::Client.key() };
            let command = draw_command(op, false, &mut run.setup.choices.draw(key), run.setup);
            self.propose(client, op, Route { to, travels: Duration::ZERO }, &command, None, run);
        }
        self.clients.set_timer(client, run.setup.settings.request_timeout, run.scheduler);
    }

    /// Sends one read of a `poll reads` operation, with the usual request timeout.
    pub(crate) fn read_at(&mut self, to: Place, run: &mut Surroundings<'_>) {
        let client = self.clients.load_spike_client();
        let op = self.clients.begin(client);
        let turn = self.clients[client].turn;
        let key = Key { peer: client, counter: turn << 3, ..Kind::Client.key() };
        let query = run.setup.workload.query(op, &mut run.setup.choices.draw(key));
        let level = draw_read_level(client, turn, run.setup);
        let route = Route { to, travels: Duration::ZERO };
        self.read(client, op, route, level, query, run);
        self.clients.set_timer(client, run.setup.settings.request_timeout, run.scheduler);
    }
}

/// Draws the read level of a client's read.
fn draw_read_level(client: u16, turn: u32, setup: &Setup) -> ReadLevel {
    let key = Key { peer: client, counter: turn << 2, ..Kind::ReadLevel.key() };
    let mut draw = setup.choices.draw(key);
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
fn draw_command(op: OpId, in_session: bool, draw: &mut Draw<'_>, setup: &Setup) -> Vec<u8> {
    let length = command_length(draw, &setup.settings);
    // A command that can never be executed would be resent in a session without end.
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
