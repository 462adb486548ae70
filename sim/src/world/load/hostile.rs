//! Hostile clients, which lie in every field of their requests that they control, and the
//! administrator, who sets the bounds that hold against them.
//!
//! A hostile client knows the sessions and the sequence numbers of the others. Its operations count
//! as operations with an unknown outcome, which may have been executed.

use quorate::machine::{
    Nonce, Outcome, Proposer, QuotaCommand, Request, Sequence, SessionId, SessionLimits,
};
use quorate::types::{Acknowledge, Index, SessionBounds};

use crate::observe::coverage::Spot;
use crate::observe::{Observation, OpId};
use crate::values::choice::{Draw, Key, Kind};
use crate::workload::request::unmark;
use crate::world::load::clients::RequestKind;
use crate::world::load::sending::{Route, draw_command};
use crate::world::load::{Load, Surroundings};
use crate::world::run::Setup;

impl Load {
    /// Continues a hostile client or the administrator; returns false if the client is neither.
    pub(super) fn continue_hostile_or_administrator(
        &mut self,
        client: u16,
        run: &mut Surroundings<'_>,
    ) -> bool {
        let is_hostile = self.clients.is_hostile(client);
        if !is_hostile && client != self.clients.administrator() {
            return false;
        }
        if !run.in_fault_phase() {
            return true;
        }
        let op = self.clients.begin(client);
        let key = Key::of_turn(Kind::Client, client, self.clients[client].turn);
        let mut draw = run.setup.choices.draw(key);
        let request = match is_hostile {
            true => Some(self.forge(client, op, &mut draw, run.setup)),
            false => self.admin_command(&mut draw, run.setup),
        };
        if let Some(request) = request {
            if is_hostile {
                announce(op, &request, run);
            }
            self.send_as(client, request, &mut draw, run);
        }
        true
    }

    /// Handles the outcome of a request of a hostile client or of the administrator; returns false
    /// if the client is neither.
    pub(super) fn hostile_or_administrator_replied(
        &mut self,
        client: u16,
        outcome: &Outcome,
        run: &mut Surroundings<'_>,
    ) -> bool {
        if client == self.clients.administrator() {
            self.clients.are_bounds_set = true;
            return true;
        }
        if !self.clients.is_hostile(client) {
            return false;
        }
        match outcome {
            Outcome::Registered(session) => self.clients[client].forged_session = Some(*session),
            Outcome::Rejected(_) => run.observer.reach(Spot::HostileRejected),
            Outcome::SessionExpired => run.observer.reach(Spot::HostileExpired),
            _ => {}
        }
        true
    }

    /// Returns the next order of the administrator: first the bounds of the run; then quotas and
    /// the end of alarms if clients are hostile, and admin commands without an effect if followers
    /// may hold read leases, because their reads wait for every admin command.
    fn admin_command(&mut self, draw: &mut Draw<'_>, setup: &Setup) -> Option<Vec<u8>> {
        if !self.clients.are_bounds_set {
            return Some(Request::SetBounds(setup.settings.session_bounds()).encode().to_vec());
        }
        let has_read_leases = setup.settings.config.lease.is_some_and(|lease| lease.read_leases);
        let is_hostile = setup.settings.hostile_clients > 0;
        if !(is_hostile || has_read_leases) || draw.chance(900) {
            return None;
        }
        let command = match draw.below(4) {
            _ if !is_hostile => QuotaCommand::ClearAlarm,
            0 => QuotaCommand::SetBytes(draw.between(100, 2_000)),
            1 => QuotaCommand::SetBytes(1 << 30),
            _ => QuotaCommand::ClearAlarm,
        };
        Some(Request::Admin(&command.encode()).encode().to_vec())
    }

    /// Returns the bytes of a forged request.
    fn forge(&self, client: u16, op: OpId, draw: &mut Draw<'_>, setup: &Setup) -> Vec<u8> {
        let victim = draw.below(u64::from(setup.settings.clients.max(1))) as u16;
        let command = &draw_command(op, true, draw, setup)[..];
        let limits = SessionLimits {
            window: *draw.pick(&[
                1,
                setup.settings.session_limits.window,
                SessionBounds::WINDOW_MAX,
            ]),
            replies_bytes_max: *draw.pick(&[0, 100, SessionBounds::REPLIES_BYTES_PER_SESSION_MAX]),
        };
        let request = match draw.below(10) {
            0 => {
                let nonce = u128::from(victim) << 64 | u128::from(self.clients[victim].sessions);
                Request::Register { nonce: Nonce(nonce), limits }
            }
            1 => {
                let nonce = Nonce(u128::from(client) << 64 | u128::from(op.0));
                Request::Register { nonce, limits }
            }
            2..5 => {
                let id = self.clients[victim].session.as_ref().and_then(|session| session.id());
                let id = id.unwrap_or(SessionId(Index(draw.between(1, 100))));
                self.forge_in_session(victim, id, command, draw)
            }
            5..7 => match self.clients[client].forged_session {
                Some(id) => self.forge_in_session(client, id, command, draw),
                None => Request::Plain(command),
            },
            7 => Request::SetBounds(SMALLEST),
            8 => return Request::Admin(&QuotaCommand::SetBytes(0).encode()).encode().to_vec(),
            _ => {
                let stamped = Request::Plain(command).encode_for(Proposer::Admin("a"));
                return stamped[..draw.between(1, stamped.len() as u64) as usize].to_vec();
            }
        };
        request.encode().to_vec()
    }

    /// Returns a request with the command in the session, with sequence numbers near those of the
    /// session's client, or far from all of them.
    fn forge_in_session<'a>(
        &self,
        owner: u16,
        session: SessionId,
        command: &'a [u8],
        draw: &mut Draw<'_>,
    ) -> Request<'a> {
        let pending = &self.clients[owner].sequences;
        let first = pending.first_key_value().map_or(1, |(sequence, _)| sequence.0);
        let last = pending.last_key_value().map_or(first, |(sequence, _)| sequence.0);
        let any = draw.between(1, 40);
        let sequence = *draw.pick(&[last + 1, first, any, last + 2, Sequence::MAX.0]);
        let any = draw.between(1, sequence);
        let acknowledged = *draw.pick(&[1, sequence, any]);
        let (sequence, acknowledged) = (Sequence(sequence), Sequence(acknowledged));
        Request::InSession { session, sequence, acknowledged, command }
    }

    fn send_as(
        &mut self,
        client: u16,
        request: Vec<u8>,
        draw: &mut Draw<'_>,
        run: &mut Surroundings<'_>,
    ) {
        let to = self.choose_node(client, draw, run);
        let travels = draw.within(run.setup.settings.latency) / 2;
        let tag = self.clients.begin_attempt(client, None, None);
        let kind = RequestKind::Propose(request.into(), Acknowledge::Quorum);
        self.send_request(Route { to, travels }, tag, kind, run);
    }
}

/// The smallest valid bounds, which a hostile client tries to set.
const SMALLEST: SessionBounds = SessionBounds {
    sessions_max: 1,
    sessions_per_principal_max: 1,
    window_max: 1,
    requests_per_principal_max: 1,
    requests_max: 1,
    replies_bytes_per_session_max: 0,
    replies_bytes_per_principal_max: 0,
    replies_bytes_max: 0,
};

/// Shows a hostile client's operation to the checks, if its command may be executed, and ends it
/// with an unknown outcome.
fn announce(op: OpId, request: &[u8], run: &mut Surroundings<'_>) {
    let (command, session) = match Request::decode(request) {
        Some(Request::Plain(command)) => (command, None),
        Some(Request::InSession { session, sequence, command, .. }) => {
            (command, Some((session, sequence)))
        }
        _ => return,
    };
    debug_assert!(unmark(command).is_some(), "a command is marked");
    run.observe(Observation::ProposeInvoked { op, command, session });
    run.observe(Observation::Unknown { op });
}
