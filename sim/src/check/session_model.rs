//! A model of the client sessions: a second, simpler implementation of their rules
//! (docs/FORMAT.md), which the checks compare with the sessions in snapshots.

use std::collections::{BTreeMap, BTreeSet};

use quorate::machine::{Nonce, Proposer, Request, Sequence, SessionId, SessionLimits};
use quorate::types::{Entry, Index, MachineVersion, Payload, SessionBounds};

use crate::values::digest::{mix, of_bytes};

/// The sessions and the versions that result from applying a log.
#[derive(Clone, Debug)]
pub(super) struct SessionModel {
    applied: Index,
    summary: Summary,
    bounds: SessionBounds,
    sessions: BTreeMap<SessionId, ModelSession>,
}

/// The contents of a snapshot except for the user's state and the replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Summary {
    /// The last entry that the user's state machine executed: a command, or a new version of its
    /// rules.
    pub(super) executed: Index,
    pub(super) version: MachineVersion,
    /// The sum of the hashes of all sessions.
    pub(super) sessions: u64,
}

/// One session, without the replies to its requests.
#[derive(Clone, Debug)]
pub(super) struct ModelSession {
    /// The proposer that registered the session, as the snapshot encodes it.
    pub(super) owner: Vec<u8>,
    pub(super) nonce: Nonce,
    pub(super) limits: SessionLimits,
    /// The last entry that used the session.
    pub(super) used: Index,
    /// The lowest sequence number without an acknowledgement.
    pub(super) floor: Sequence,
    pub(super) executed: BTreeSet<Sequence>,
}

impl ModelSession {
    /// A hash of everything in the session.
    pub(super) fn hash(&self, id: SessionId) -> u64 {
        let SessionLimits { window, replies_bytes_max } = self.limits;
        let nonce = of_bytes(&self.nonce.0.to_le_bytes());
        let limits = u64::from(window) << 32 | u64::from(replies_bytes_max);
        let parts = [nonce, limits, self.used.0, self.floor.0];
        let hash = parts.into_iter().fold(mix(id.0.0, of_bytes(&self.owner)), mix);
        self.executed.iter().fold(hash, |hash, sequence| mix(hash, sequence.0))
    }
}

impl SessionModel {
    /// The model before the first entry.
    pub(super) fn new() -> SessionModel {
        SessionModel {
            applied: Index::ZERO,
            summary: Summary { executed: Index::ZERO, version: MachineVersion::FIRST, sessions: 0 },
            bounds: SessionBounds::default(),
            sessions: BTreeMap::new(),
        }
    }

    /// Applies a committed entry and returns true. Returns false if the entry was applied before.
    pub(super) fn apply(&mut self, entry: &Entry) -> bool {
        if entry.id.index <= self.applied {
            return false;
        }
        self.applied = entry.id.index;
        if let Payload::Command(command) = &entry.payload
            && let Some((proposer, request)) = Request::in_log(command)
            && (!request.is_for_administrators() || proposer.is_administrator())
        {
            self.request(entry.id.index, proposer, request);
        }
        true
    }

    pub(super) fn summary(&self) -> Summary {
        self.summary
    }

    fn request(&mut self, at: Index, proposer: Proposer<'_>, request: Request<'_>) {
        match request {
            Request::Plain(_) | Request::Admin(_) => self.summary.executed = at,
            Request::SetBounds(bounds) => self.set_bounds(bounds),
            Request::RaiseVersion(version) => {
                let before = self.summary.version;
                self.summary.version = before.max(version);
                if version.user > before.user {
                    self.summary.executed = at;
                }
            }
            Request::Register { nonce, limits } => {
                self.register(at, owner_of(proposer), nonce, limits);
            }
            Request::InSession { session, sequence, acknowledged, .. } => {
                if self.executes(at, &owner_of(proposer), session, [sequence, acknowledged]) {
                    self.summary.executed = at;
                }
            }
        }
    }

    fn register(&mut self, at: Index, owner: Vec<u8>, nonce: Nonce, limits: SessionLimits) {
        let is_same = |session: &ModelSession| session.owner == owner && session.nonce == nonce;
        let known = self.sessions.iter().find(|(_, session)| is_same(session));
        if let Some(id) = known.map(|(id, _)| *id) {
            return self.change(id, |session| session.used = at);
        }
        let bounds = self.bounds;
        if limits.window > bounds.window_max
            || limits.replies_bytes_max > bounds.replies_bytes_per_session_max
        {
            return;
        }
        let is_full = self.sessions.len() >= bounds.sessions_max as usize;
        if is_full || self.of(&owner).count() >= bounds.sessions_per_principal_max as usize {
            let Some(oldest) = self.oldest_of(&owner) else { return };
            self.remove(oldest);
        }
        let (floor, executed) = (Sequence::FIRST, BTreeSet::new());
        let session = ModelSession { owner, nonce, limits, used: at, floor, executed };
        let id = SessionId(at);
        self.summary.sessions = self.summary.sessions.wrapping_add(session.hash(id));
        self.sessions.insert(id, session);
    }

    /// Records a request in a session, and returns whether its command is executed.
    fn executes(
        &mut self,
        at: Index,
        owner: &[u8],
        id: SessionId,
        [sequence, acknowledged]: [Sequence; 2],
    ) -> bool {
        if self.sessions.get(&id).is_none_or(|session| session.owner != owner) {
            return false;
        }
        self.change(id, |session| {
            session.used = at;
            session.floor = session.floor.max(acknowledged);
            session.executed.retain(|executed| *executed >= session.floor);
        });
        let session = &self.sessions[&id];
        let end = session.floor.0 + u64::from(session.limits.window);
        let is_new = sequence >= session.floor && sequence.0 < end;
        if !is_new || session.executed.contains(&sequence) {
            return false;
        }
        while self.requests_of(owner) >= u64::from(self.bounds.requests_per_principal_max) {
            let oldest = self.oldest_of(owner).expect("the session is its owner's");
            self.remove(oldest);
        }
        let requests: usize = self.sessions.values().map(|session| session.executed.len()).sum();
        if requests as u64 >= u64::from(self.bounds.requests_max) {
            return false;
        }
        self.change(id, |session| _ = session.executed.insert(sequence));
        true
    }

    fn set_bounds(&mut self, bounds: SessionBounds) {
        self.bounds = bounds;
        let mut by_use: Vec<_> =
            self.sessions.iter().map(|(id, session)| (session.used, *id)).collect();
        by_use.sort_unstable();
        for (_, id) in &by_use {
            let ModelSession { owner, limits, .. } = &self.sessions[id];
            if limits.window > bounds.window_max
                || limits.replies_bytes_max > bounds.replies_bytes_per_session_max
                || self.of(owner).count() > bounds.sessions_per_principal_max as usize
                || self.requests_of(owner) > u64::from(bounds.requests_per_principal_max)
            {
                self.remove(*id);
            }
        }
        for (_, id) in by_use {
            let requests = self.sessions.values().map(|session| session.executed.len() as u64);
            let is_over = requests.sum::<u64>() > u64::from(bounds.requests_max);
            if is_over || self.sessions.len() > bounds.sessions_max as usize {
                self.remove(id);
            }
        }
    }

    /// The sessions of one owner.
    fn of(&self, owner: &[u8]) -> impl Iterator<Item = (&SessionId, &ModelSession)> {
        self.sessions.iter().filter(move |(_, session)| session.owner == owner)
    }

    fn requests_of(&self, owner: &[u8]) -> u64 {
        self.of(owner).map(|(_, session)| session.executed.len() as u64).sum()
    }

    /// The owner's session that was used least recently.
    fn oldest_of(&self, owner: &[u8]) -> Option<SessionId> {
        self.of(owner).min_by_key(|(_, session)| session.used).map(|(id, _)| *id)
    }

    fn change(&mut self, id: SessionId, change: impl FnOnce(&mut ModelSession)) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let before = session.hash(id);
        change(session);
        let sum = self.summary.sessions.wrapping_sub(before);
        self.summary.sessions = sum.wrapping_add(session.hash(id));
    }

    fn remove(&mut self, id: SessionId) {
        if let Some(session) = self.sessions.remove(&id) {
            self.summary.sessions = self.summary.sessions.wrapping_sub(session.hash(id));
        }
    }
}

/// The bytes that identify a proposer as the owner of sessions.
fn owner_of(proposer: Proposer<'_>) -> Vec<u8> {
    proposer.stamp(&[]).to_vec()
}
