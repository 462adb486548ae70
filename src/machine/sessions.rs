//! Client sessions: the executed requests and their replies, which depend on the log only.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::machine::outcome::Outcome;
use crate::machine::request::{Nonce, Sequence, SessionId, SessionLimits};
use crate::types::Index;

/// All open sessions. A clone shares them, at the cost of one pointer each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sessions {
    /// The `sessions_max` of the last registration; 0 before the first.
    sessions_max: u32,
    open: BTreeMap<SessionId, Arc<Session>>,
    /// The same sessions by their nonces.
    by_nonce: BTreeMap<Nonce, SessionId>,
    /// The same sessions by the entry that last used them; each entry uses at most one.
    by_use: BTreeMap<Index, SessionId>,
}

/// The session of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) nonce: Nonce,
    pub(crate) window: u32,
    pub(crate) replies_bytes_max: u32,
    /// The index of the last entry that used the session.
    pub(crate) used: Index,
    /// The lowest sequence number that the client has not acknowledged. Lower ones are neither
    /// executed nor stored.
    pub(crate) floor: Sequence,
    /// The executed requests at or after `floor`, within the window, with the reply if it is known.
    pub(crate) executed: BTreeMap<Sequence, Option<Arc<[u8]>>>,
    /// The total size of the known replies in bytes.
    pub(crate) replies_bytes: u64,
}

/// The decision about a request in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The request is new: the machine executes it, and records it.
    Execute,
    /// The request is not executed, and has this outcome.
    Answer(Outcome),
}

impl Sessions {
    /// Registers a session, or returns the session that `nonce` has registered. The least recently
    /// used sessions beyond the limit expire.
    pub(crate) fn register(&mut self, at: Index, nonce: Nonce, limits: SessionLimits) -> SessionId {
        assert!(limits.is_valid(), "decoding rejects invalid limits");
        let id = match self.by_nonce.get(&nonce) {
            Some(id) => *id,
            None => self.open_new(at, nonce, limits),
        };
        self.touch(id, at);
        self.sessions_max = limits.sessions_max;
        while self.open.len() > self.sessions_max as usize {
            self.expire_oldest();
        }
        assert!(self.open.contains_key(&id), "the session used last expires last");
        id
    }

    /// Decides whether the request at index `at` is executed, and drops the records of the requests
    /// that the client has acknowledged.
    pub(crate) fn admit(
        &mut self,
        at: Index,
        id: SessionId,
        sequence: Sequence,
        acknowledged: Sequence,
    ) -> Admission {
        assert!(acknowledged <= sequence, "decoding rejects invalid requests");
        if !self.open.contains_key(&id) {
            return Admission::Answer(Outcome::SessionExpired);
        }
        let session = self.touch(id, at);
        session.acknowledge(acknowledged);
        if sequence < session.floor {
            return Admission::Answer(Outcome::SessionExpired);
        }
        if sequence >= session.end() {
            return Admission::Answer(Outcome::OutsideWindow);
        }
        match session.executed.get(&sequence) {
            None => Admission::Execute,
            Some(Some(reply)) => Admission::Answer(Outcome::Reply(Arc::clone(reply))),
            Some(None) => Admission::Answer(Outcome::SessionExpired),
        }
    }

    /// Records an executed request, and its reply if it is known.
    pub(crate) fn record(&mut self, id: SessionId, sequence: Sequence, reply: Option<Arc<[u8]>>) {
        let session = self.open.get_mut(&id).expect("the session has just admitted the request");
        Arc::make_mut(session).record(sequence, reply);
    }

    /// Returns the `sessions_max` of the last registration.
    pub(crate) fn sessions_max(&self) -> u32 {
        self.sessions_max
    }

    /// Returns every open session, in the order of registration.
    pub(crate) fn open(&self) -> &BTreeMap<SessionId, Arc<Session>> {
        &self.open
    }

    /// Returns an empty set with room for `sessions_max` sessions.
    pub(crate) fn with_capacity(sessions_max: u32) -> Sessions {
        Sessions { sessions_max, ..Sessions::default() }
    }

    /// Adds a session from a snapshot. Returns a description of the error if it contradicts an
    /// earlier one.
    pub(crate) fn insert(&mut self, id: SessionId, session: Session) -> Result<(), &'static str> {
        if self.open.len() >= self.sessions_max as usize {
            return Err("more sessions than sessions_max allows");
        }
        if self.open.last_key_value().is_some_and(|(last, _)| *last >= id) {
            return Err("sessions out of order");
        }
        if self.by_nonce.insert(session.nonce, id).is_some() {
            return Err("two sessions with one nonce");
        }
        if self.by_use.insert(session.used, id).is_some() {
            return Err("two sessions used by one entry");
        }
        self.open.insert(id, Arc::new(session));
        assert_eq!(self.open.len(), self.by_nonce.len(), "each session has a nonce");
        assert_eq!(self.open.len(), self.by_use.len(), "each session was used");
        Ok(())
    }

    fn open_new(&mut self, at: Index, nonce: Nonce, limits: SessionLimits) -> SessionId {
        let id = SessionId(at);
        let session = Session {
            nonce,
            window: limits.window,
            replies_bytes_max: limits.replies_bytes_max,
            used: at,
            floor: Sequence::FIRST,
            executed: BTreeMap::new(),
            replies_bytes: 0,
        };
        let earlier = self.open.insert(id, Arc::new(session));
        assert!(earlier.is_none(), "one entry opens one session");
        self.by_nonce.insert(nonce, id);
        self.by_use.insert(at, id);
        id
    }

    /// Records that the entry at `at` uses the session.
    fn touch(&mut self, id: SessionId, at: Index) -> &mut Session {
        let session = self.open.get_mut(&id).expect("only open sessions are used");
        let session = Arc::make_mut(session);
        assert!(session.used <= at, "indices increase");
        let before = self.by_use.remove(&session.used);
        assert_eq!(before, Some(id), "each use is of one session");
        session.used = at;
        let other = self.by_use.insert(at, id);
        assert_eq!(other, None, "each entry uses one session");
        session
    }

    fn expire_oldest(&mut self) {
        let (_, id) = self.by_use.pop_first().expect("every open session was used once");
        let session = self.open.remove(&id).expect("each session in `by_use` is open");
        self.by_nonce.remove(&session.nonce);
        assert_eq!(self.open.len(), self.by_nonce.len());
        assert_eq!(self.open.len(), self.by_use.len());
    }
}

impl Session {
    /// Returns the first sequence number beyond the window.
    pub(crate) fn end(&self) -> Sequence {
        Sequence(self.floor.0 + u64::from(self.window))
    }

    /// Drops the records of the requests that the client has acknowledged.
    fn acknowledge(&mut self, acknowledged: Sequence) {
        self.floor = self.floor.max(acknowledged);
        while let Some(entry) = self.executed.first_entry()
            && *entry.key() < self.floor
        {
            let reply = entry.remove();
            self.replies_bytes -= bytes_of(&reply);
        }
        assert!(!self.executed.is_empty() || self.replies_bytes == 0, "no reply is left to count");
    }

    fn record(&mut self, sequence: Sequence, reply: Option<Arc<[u8]>>) {
        assert!((self.floor..self.end()).contains(&sequence), "the request was admitted");
        let max = u64::from(self.replies_bytes_max);
        // A reply larger than the limit is dropped, instead of all others.
        let kept = reply.filter(|reply| reply.len() as u64 <= max);
        self.replies_bytes += bytes_of(&kept);
        let earlier = self.executed.insert(sequence, kept);
        assert_eq!(earlier, None, "a request is executed once");
        for reply in self.executed.values_mut() {
            if self.replies_bytes <= max {
                break;
            }
            self.replies_bytes -= bytes_of(reply);
            *reply = None;
        }
        assert!(self.replies_bytes <= max);
        assert!(self.executed.len() <= self.window as usize);
    }
}

/// Returns the size of a reply in bytes, 0 if it is unknown.
pub(crate) fn bytes_of(reply: &Option<Arc<[u8]>>) -> u64 {
    reply.as_ref().map_or(0, |reply| reply.len() as u64)
}
