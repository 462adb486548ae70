//! The model of the sessions: a list of all requests, which is searched for each outcome.

use std::collections::BTreeSet;
use std::sync::Arc;

use quorate::machine::{Nonce, Outcome, Proposer, Request, Sequence, SessionId, SessionLimits};
use quorate::types::{Entry, Index, MachineRejectReason, MachineVersion, Payload, SessionBounds};

/// Returns the reply to `command`, after `before` other commands, by the rules of `version`. From
/// version 1 on, the reply begins with the version.
pub(crate) fn reply_of(version: u32, before: usize, command: &[u8]) -> Vec<u8> {
    let version = if version == 0 { String::new() } else { format!("v{version}:") };
    [version.as_bytes(), before.to_string().as_bytes(), command].concat()
}

/// Returns the reply to an admin command, from the reply to a command with the same bytes.
pub(crate) fn reply_to_admin(reply: &[u8]) -> Vec<u8> {
    [b"admin:", reply].concat()
}

pub(crate) fn request_of(entry: &Entry) -> Option<Request<'_>> {
    match &entry.payload {
        Payload::Noop | Payload::Membership(_) => None,
        Payload::Command(command) => Request::in_log(command).map(|(_, request)| request),
    }
}

pub(crate) fn proposer_of(entry: &Entry) -> Option<Proposer<'_>> {
    let Payload::Command(command) = &entry.payload else { return None };
    Some(Proposer::split(command)?.0)
}

/// One executed command: its session and sequence number, if it has any, and its reply.
pub(crate) type Executed = (Option<(SessionId, Sequence)>, Vec<u8>);

/// The model: the outcome of every entry of the log, found by a scan of everything before it.
#[derive(Default)]
pub(crate) struct Model<'a> {
    pub(crate) outcomes: Vec<(Index, Outcome)>,
    /// Every executed command, in order.
    pub(crate) executed: Vec<Executed>,
    sessions: Vec<ModelSession<'a>>,
    bounds: SessionBounds,
    /// The highest version of the user's state machine that an administrator has set.
    version: u32,
    /// The requests whose replies are dropped.
    dropped: BTreeSet<(SessionId, Sequence)>,
}

struct ModelSession<'a> {
    id: SessionId,
    owner: Proposer<'a>,
    nonce: Nonce,
    limits: SessionLimits,
    /// The last entry that used the session.
    used: Index,
    floor: Sequence,
    is_open: bool,
}

impl<'a> Model<'a> {
    pub(crate) fn of(log: &'a [Entry]) -> Model<'a> {
        let mut model = Model::default();
        for entry in log {
            let index = entry.id.index;
            let by = proposer_of(entry).unwrap_or(Proposer::Unnamed);
            let outcome = match request_of(entry) {
                None if entry.payload == Payload::Noop => continue,
                None => Outcome::Malformed,
                Some(Request::SetBounds(_) | Request::Admin(_) | Request::RaiseVersion(_))
                    if !by.is_administrator() =>
                {
                    Outcome::Rejected(MachineRejectReason::NotAdministrator)
                }
                Some(Request::RaiseVersion(version)) => model.raise_version(version),
                Some(Request::SetBounds(bounds)) => model.set_bounds(bounds),
                Some(Request::Admin(command)) => model.admin(command),
                Some(Request::Plain(command)) => model.execute(None, command),
                Some(Request::Register { nonce, limits }) => {
                    model.register(index, by, nonce, limits)
                }
                Some(Request::InSession { session, sequence, acknowledged, command }) => {
                    match model.find(by, session) {
                        Some(session) => {
                            model.sessions[session].used = index;
                            model.request(session, sequence, acknowledged, command)
                        }
                        None => Outcome::SessionExpired,
                    }
                }
            };
            model.outcomes.push((index, outcome));
        }
        model
    }

    fn execute(&mut self, request: Option<(SessionId, Sequence)>, command: &[u8]) -> Outcome {
        let reply = reply_of(self.version, self.executed.len(), command);
        self.executed.push((request, reply.clone()));
        Outcome::Reply(Arc::from(reply))
    }

    fn admin(&mut self, command: &[u8]) -> Outcome {
        let reply = reply_to_admin(&reply_of(self.version, self.executed.len(), command));
        self.executed.push((None, reply.clone()));
        Outcome::Reply(Arc::from(reply))
    }

    fn find(&self, by: Proposer<'_>, id: SessionId) -> Option<usize> {
        self.sessions.iter().position(|it| it.is_open && it.owner == by && it.id == id)
    }

    /// The open sessions of one proposer, or of all, the least recently used ones first.
    fn open(&self, by: Option<Proposer<'_>>) -> Vec<usize> {
        let is_of = |it: &ModelSession<'_>| by.is_none_or(|by| it.owner == by);
        let mut open: Vec<usize> = (0..self.sessions.len())
            .filter(|place| self.sessions[*place].is_open && is_of(&self.sessions[*place]))
            .collect();
        open.sort_by_key(|place| self.sessions[*place].used);
        open
    }

    /// The requests that the sessions store, with the sizes of their replies.
    fn stored(&self, sessions: &[usize]) -> Vec<((SessionId, Sequence), usize)> {
        let is_stored = |(id, sequence): (SessionId, Sequence)| {
            sessions
                .iter()
                .map(|place| &self.sessions[*place])
                .any(|it| it.id == id && sequence >= it.floor)
        };
        let stored = self.executed.iter().filter_map(|(request, reply)| {
            let request = request.filter(|request| is_stored(*request))?;
            Some((request, if self.dropped.contains(&request) { 0 } else { reply.len() }))
        });
        stored.collect()
    }

    fn bytes(&self, sessions: &[usize]) -> u64 {
        self.stored(sessions).iter().map(|(_, bytes)| *bytes as u64).sum()
    }

    fn raise_version(&mut self, version: MachineVersion) -> Outcome {
        if version.user <= self.version {
            let current = MachineVersion { user: self.version, library: 1 };
            return Outcome::Rejected(MachineRejectReason::VersionNotHigher { current });
        }
        self.version = version.user;
        Outcome::Reply(Arc::default())
    }

    fn set_bounds(&mut self, bounds: SessionBounds) -> Outcome {
        self.bounds = bounds;
        for place in self.open(None) {
            let ModelSession { owner, limits, .. } = self.sessions[place];
            let of_owner = self.open(Some(owner));
            if limits.window > bounds.window_max
                || limits.replies_bytes_max > bounds.replies_bytes_per_session_max
                || of_owner.len() > bounds.sessions_per_principal_max as usize
                || self.stored(&of_owner).len() > bounds.requests_per_principal_max as usize
            {
                self.sessions[place].is_open = false;
            }
        }
        for place in self.open(None) {
            let all = self.open(None);
            if all.len() > bounds.sessions_max as usize
                || self.stored(&all).len() > bounds.requests_max as usize
            {
                self.sessions[place].is_open = false;
            }
        }
        for place in self.open(None) {
            self.drop_replies(self.sessions[place].owner);
        }
        Outcome::Reply(Arc::default())
    }

    fn register(
        &mut self,
        index: Index,
        by: Proposer<'a>,
        nonce: Nonce,
        limits: SessionLimits,
    ) -> Outcome {
        let own = self.open(Some(by));
        if let Some(place) = own.iter().find(|place| self.sessions[**place].nonce == nonce) {
            self.sessions[*place].used = index;
            return Outcome::Registered(self.sessions[*place].id);
        }
        let bounds = self.bounds;
        if limits.window > bounds.window_max {
            return Outcome::Rejected(MachineRejectReason::Window { max: bounds.window_max });
        }
        if limits.replies_bytes_max > bounds.replies_bytes_per_session_max {
            let max = bounds.replies_bytes_per_session_max;
            return Outcome::Rejected(MachineRejectReason::RepliesBytesPerSession { max });
        }
        let is_full = self.open(None).len() == bounds.sessions_max as usize;
        if is_full || own.len() == bounds.sessions_per_principal_max as usize {
            let Some(oldest) = own.first() else {
                let max = bounds.sessions_max;
                return Outcome::Rejected(MachineRejectReason::Sessions { max });
            };
            self.sessions[*oldest].is_open = false;
        }
        let (id, floor) = (SessionId(index), Sequence::FIRST);
        let session =
            ModelSession { id, owner: by, nonce, limits, used: index, floor, is_open: true };
        self.sessions.push(session);
        Outcome::Registered(id)
    }

    fn request(
        &mut self,
        place: usize,
        sequence: Sequence,
        acknowledged: Sequence,
        command: &[u8],
    ) -> Outcome {
        let session = &mut self.sessions[place];
        session.floor = session.floor.max(acknowledged);
        let ModelSession { id, owner, limits, floor, .. } = *session;
        if sequence < floor {
            return Outcome::SessionExpired;
        }
        if sequence.0 >= floor.0 + u64::from(limits.window) {
            return Outcome::OutsideWindow;
        }
        let request = (id, sequence);
        let before = self.executed.iter().find(|(other, _)| *other == Some(request));
        match before {
            Some(_) if self.dropped.contains(&request) => return Outcome::SessionExpired,
            Some((_, reply)) => return Outcome::Reply(Arc::from(reply.clone())),
            None => {}
        }
        loop {
            let own = self.open(Some(owner));
            if self.stored(&own).len() < self.bounds.requests_per_principal_max as usize {
                break;
            }
            self.sessions[own[0]].is_open = false;
        }
        if self.stored(&self.open(None)).len() >= self.bounds.requests_max as usize {
            let max = self.bounds.requests_max;
            return Outcome::Rejected(MachineRejectReason::Requests { max });
        }
        let outcome = self.execute(Some(request), command);
        let max = limits.replies_bytes_max as usize;
        if matches!(&outcome, Outcome::Reply(reply) if reply.len() > max) {
            self.dropped.insert(request);
        }
        while self.bytes(&[place]) > max as u64 {
            self.drop_first(place);
        }
        self.drop_replies(owner);
        outcome
    }

    /// Drops replies of the owner's least recently used sessions until the bounds hold.
    fn drop_replies(&mut self, owner: Proposer<'_>) {
        loop {
            let own = self.open(Some(owner));
            let fits = self.bytes(&own) <= self.bounds.replies_bytes_per_principal_max
                && self.bytes(&self.open(None)) <= self.bounds.replies_bytes_max;
            let first = own.iter().find(|place| self.bytes(&[**place]) > 0);
            match first {
                Some(place) if !fits => self.drop_first(*place),
                _ => return,
            }
        }
    }

    /// Drops the session's reply with the lowest sequence number.
    fn drop_first(&mut self, place: usize) {
        let stored = self.stored(&[place]);
        let first = stored.iter().filter(|(_, bytes)| *bytes > 0).min();
        self.dropped.insert(first.expect("a reply is stored").0);
    }
}
