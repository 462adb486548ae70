//! All client sessions, by their owners, within the replicated bounds. They depend on the log only.
//!
//! A principal that reaches a bound of its own loses its own least recently used sessions and
//! replies. A principal that reaches a bound on all principals together replaces a session or
//! replies of its own, or is rejected. It never displaces those of another principal.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::machine::outcome::Outcome;
use crate::machine::request::{Nonce, Sequence, SessionId, SessionLimits};
use crate::machine::session::{Admission, Owner, Session};
use crate::types::{Index, MachineRejectReason, MachineUsage, MachineVersion, SessionBounds};

/// All open sessions. A clone shares them, at the cost of a few pointers each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sessions {
    bounds: SessionBounds,
    open: BTreeMap<SessionId, Arc<Session>>,
    /// The same sessions by their owners; an owner without a session has no share.
    shares: BTreeMap<Owner, Share>,
    total: Stored,
}

/// The sessions of one principal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Share {
    by_nonce: BTreeMap<Nonce, SessionId>,
    /// The same sessions by the entry that last used them; each entry uses at most one.
    by_use: BTreeMap<Index, SessionId>,
    /// The sessions that store replies with any bytes, by the entry that last used them.
    with_replies: BTreeMap<Index, SessionId>,
    stored: Stored,
}

/// The requests that sessions store, and the bytes of their replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stored {
    requests: u64,
    replies_bytes: u64,
}

/// The parts of a session that its share counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counted {
    used: Index,
    stored: Stored,
}

impl Sessions {
    /// Registers a session, or returns the session that `nonce` of the owner has registered.
    ///
    /// # Errors
    /// The bound that the registration exceeds.
    pub(crate) fn register(
        &mut self,
        at: Index,
        owner: &[u8],
        nonce: Nonce,
        limits: SessionLimits,
    ) -> Result<SessionId, MachineRejectReason> {
        let share = self.shares.get(owner);
        if let Some(id) = share.and_then(|share| share.by_nonce.get(&nonce).copied()) {
            self.change(id, |session| session.touch(at));
            return Ok(id);
        }
        let bounds = self.bounds;
        if limits.window > bounds.window_max {
            return Err(MachineRejectReason::Window { max: bounds.window_max });
        }
        if limits.replies_bytes_max > bounds.replies_bytes_per_session_max {
            let max = bounds.replies_bytes_per_session_max;
            return Err(MachineRejectReason::RepliesBytesPerSession { max });
        }
        let (held, oldest) = share.map_or((0, None), |share| (share.by_use.len(), share.oldest()));
        let is_full = self.open.len() >= bounds.sessions_max as usize;
        if held >= bounds.sessions_per_principal_max as usize || is_full {
            self.expire(oldest.ok_or(MachineRejectReason::Sessions { max: bounds.sessions_max })?);
        }
        let id = SessionId(at);
        self.add(id, Session::new(Owner::from(owner), nonce, limits, at));
        self.assert_bounded(owner);
        Ok(id)
    }

    /// Decides whether the request at index `at` is executed, and drops the records of the requests
    /// that the client has acknowledged. A request in a session of another owner changes nothing.
    pub(crate) fn admit(
        &mut self,
        at: Index,
        owner: &[u8],
        id: SessionId,
        sequence: Sequence,
        acknowledged: Sequence,
    ) -> Admission {
        let session = self.open.get(&id);
        if session.is_none_or(|session| *session.owner != *owner) {
            return Admission::Answer(Outcome::SessionExpired);
        }
        let admission = self.change(id, |session| {
            session.touch(at);
            session.admit(sequence, acknowledged)
        });
        if admission != Admission::Execute {
            return admission;
        }
        match self.make_room(owner, id) {
            Ok(()) => Admission::Execute,
            Err(reason) => Admission::Answer(Outcome::Rejected(reason)),
        }
    }

    /// Records an executed request, and its reply if it is known.
    pub(crate) fn record(&mut self, id: SessionId, sequence: Sequence, reply: Option<Arc<[u8]>>) {
        self.change(id, |session| session.record(sequence, reply));
        let owner = Arc::clone(&self.open[&id].owner);
        self.drop_replies(&owner);
        self.assert_bounded(&owner);
    }

    /// Sets the bounds. Sessions beyond them expire, and replies are dropped, the least recently
    /// used ones first.
    pub(crate) fn set_bounds(&mut self, bounds: SessionBounds) {
        assert_eq!(bounds.error(), None, "decoding rejects invalid bounds");
        self.bounds = bounds;
        let mut by_use: Vec<_> =
            self.open.iter().map(|(id, session)| (session.used, *id)).collect();
        by_use.sort_unstable();
        for (_, id) in &by_use {
            let session = &self.open[id];
            let share = &self.shares[&session.owner];
            if session.limits.window > bounds.window_max
                || session.limits.replies_bytes_max > bounds.replies_bytes_per_session_max
                || share.by_use.len() > bounds.sessions_per_principal_max as usize
                || share.stored.requests > u64::from(bounds.requests_per_principal_max)
            {
                self.expire(*id);
            }
        }
        let mut oldest = by_use.iter().map(|(_, id)| *id);
        while self.open.len() > bounds.sessions_max as usize
            || self.total.requests > u64::from(bounds.requests_max)
        {
            let id = oldest.next().expect("without sessions all bounds hold");
            if self.open.contains_key(&id) {
                self.expire(id);
            }
        }
        for (_, id) in &by_use {
            if let Some(session) = self.open.get(id) {
                let owner = Arc::clone(&session.owner);
                self.drop_replies(&owner);
            }
        }
        self.shares.keys().for_each(|owner| self.assert_bounded(owner));
    }

    /// Returns the bounds and the memory within them.
    pub(crate) fn usage(&self) -> MachineUsage {
        MachineUsage {
            bounds: self.bounds,
            sessions: self.open.len() as u64,
            requests: self.total.requests,
            replies_bytes: self.total.replies_bytes,
            quota: None,
            version: MachineVersion::FIRST,
        }
    }

    /// Returns the bounds of all sessions.
    pub(crate) fn bounds(&self) -> &SessionBounds {
        &self.bounds
    }

    /// Returns every open session, in the order of registration.
    pub(crate) fn open(&self) -> &BTreeMap<SessionId, Arc<Session>> {
        &self.open
    }

    /// Returns an empty set with these bounds.
    pub(crate) fn within(bounds: SessionBounds) -> Sessions {
        Sessions { bounds, ..Sessions::default() }
    }

    /// Adds a session from a snapshot. Returns a description of the error if the session
    /// contradicts an earlier one, or exceeds a bound. The caller checks that no entry used two.
    pub(crate) fn insert(&mut self, id: SessionId, session: Session) -> Result<(), &'static str> {
        let bounds = self.bounds;
        if self.open.last_key_value().is_some_and(|(last, _)| *last >= id) {
            return Err("sessions out of order");
        }
        if session.limits.window > bounds.window_max
            || session.limits.replies_bytes_max > bounds.replies_bytes_per_session_max
        {
            return Err("a session with more than its bounds allow");
        }
        let owner = Arc::clone(&session.owner);
        let share = self.shares.get(&owner);
        if share.is_some_and(|share| share.by_nonce.contains_key(&session.nonce)) {
            return Err("two sessions with one nonce");
        }
        self.add(id, session);
        if self.is_bounded(&owner) { Ok(()) } else { Err("more sessions than the bounds allow") }
    }

    /// Makes room for one more stored request in the session, which was used last: expires other
    /// sessions of the owner while the owner stores the maximum number of requests.
    ///
    /// # Errors
    /// The bound, if all principals together store the maximum number of requests.
    fn make_room(&mut self, owner: &[u8], id: SessionId) -> Result<(), MachineRejectReason> {
        let max = u64::from(self.bounds.requests_per_principal_max);
        while let share = &self.shares[owner]
            && share.stored.requests >= max
        {
            let oldest = share.oldest().expect("the owner has sessions");
            assert_ne!(oldest, id, "a window fits into the share of a principal");
            self.expire(oldest);
        }
        match u64::from(self.bounds.requests_max) <= self.total.requests {
            true => Err(MachineRejectReason::Requests { max: self.bounds.requests_max }),
            false => Ok(()),
        }
    }

    /// Drops replies of the owner until the bounds of bytes hold, first the replies of its least
    /// recently used sessions. Dropped replies must not decide which requests are executed, because
    /// a node whose state machine has durable state may not know all replies.
    fn drop_replies(&mut self, owner: &[u8]) {
        loop {
            let stored = &self.shares[owner].stored;
            let fits = stored.replies_bytes <= self.bounds.replies_bytes_per_principal_max
                && self.total.replies_bytes <= self.bounds.replies_bytes_max;
            let first = self.shares[owner].with_replies.first_key_value();
            match first.map(|(_, id)| *id) {
                Some(id) if !fits => self.change(id, Session::drop_first_reply),
                _ => return,
            }
        }
    }

    /// Changes an open session, and updates the counts.
    fn change<T>(&mut self, id: SessionId, change: impl FnOnce(&mut Session) -> T) -> T {
        let session = self.open.get_mut(&id).expect("only open sessions are used");
        let share = self.shares.get_mut(&session.owner).expect("each session has an owner");
        let session = Arc::make_mut(session);
        let before = Counted::of(session);
        let result = change(session);
        share.recount(id, before, Counted::of(session), &mut self.total);
        result
    }

    fn add(&mut self, id: SessionId, session: Session) {
        let share = self.shares.entry(Arc::clone(&session.owner)).or_default();
        share.add(id, &session, &mut self.total);
        let earlier = self.open.insert(id, Arc::new(session));
        assert!(earlier.is_none(), "one entry opens one session");
    }

    fn expire(&mut self, id: SessionId) {
        let session = self.open.remove(&id).expect("only open sessions expire");
        let share = self.shares.get_mut(&session.owner).expect("each session has an owner");
        share.remove(id, &session, &mut self.total);
        if share.by_use.is_empty() {
            self.shares.remove(&session.owner);
        }
    }

    fn assert_bounded(&self, owner: &[u8]) {
        assert!(self.is_bounded(owner), "the bounds of the sessions hold after each entry");
        assert!(self.shares.len() <= self.open.len(), "an owner has a session");
        if let Some(share) = self.shares.get(owner) {
            let (listed, stored) = (share.with_replies.len(), share.stored);
            assert!(!share.by_use.is_empty(), "an owner without a session has no share");
            assert_eq!(listed == 0, stored.replies_bytes == 0, "sessions with replies are listed");
            assert!(listed <= share.by_use.len(), "a session is listed once");
            assert!(stored.requests <= self.total.requests, "a share is a part of the total");
            assert!(stored.replies_bytes <= self.total.replies_bytes, "also of the replies");
        }
    }

    /// Returns true if the bounds of all principals hold, and those of this one.
    fn is_bounded(&self, owner: &[u8]) -> bool {
        let (bounds, total) = (&self.bounds, &self.total);
        let share = self.shares.get(owner);
        self.open.len() <= bounds.sessions_max as usize
            && total.requests <= u64::from(bounds.requests_max)
            && total.replies_bytes <= bounds.replies_bytes_max
            && share.is_none_or(|share| {
                let (sessions, stored) = (share.by_use.len(), share.stored);
                sessions == share.by_nonce.len()
                    && sessions <= bounds.sessions_per_principal_max as usize
                    && stored.requests <= u64::from(bounds.requests_per_principal_max)
                    && stored.replies_bytes <= bounds.replies_bytes_per_principal_max
            })
    }
}

impl Share {
    /// Returns the session that was used least recently.
    fn oldest(&self) -> Option<SessionId> {
        self.by_use.first_key_value().map(|(_, id)| *id)
    }

    fn add(&mut self, id: SessionId, session: &Session, total: &mut Stored) {
        let other = self.by_nonce.insert(session.nonce, id);
        assert_eq!(other, None, "a nonce opens one session");
        let counted = Counted::of(session);
        let other = self.by_use.insert(counted.used, id);
        assert_eq!(other, None, "each entry uses one session");
        if let Some(used) = counted.with_replies() {
            self.with_replies.insert(used, id);
        }
        for stored in [&mut self.stored, total] {
            stored.replace(Stored::default(), counted.stored);
        }
    }

    fn remove(&mut self, id: SessionId, session: &Session, total: &mut Stored) {
        let counted = Counted::of(session);
        let by_nonce = self.by_nonce.remove(&session.nonce);
        let by_use = self.by_use.remove(&counted.used);
        assert_eq!((by_nonce, by_use), (Some(id), Some(id)), "each session is counted once");
        if let Some(used) = counted.with_replies() {
            self.with_replies.remove(&used);
        }
        for stored in [&mut self.stored, total] {
            stored.replace(counted.stored, Stored::default());
        }
    }

    /// Counts a session as it is `after` a change, instead of as it was `before`.
    fn recount(&mut self, id: SessionId, before: Counted, after: Counted, total: &mut Stored) {
        if before.used != after.used {
            let counted = self.by_use.remove(&before.used);
            assert_eq!(counted, Some(id), "each session is counted once");
            let other = self.by_use.insert(after.used, id);
            assert_eq!(other, None, "each entry uses one session");
        }
        let (listed, lists) = (before.with_replies(), after.with_replies());
        if listed != lists {
            if let Some(used) = listed {
                self.with_replies.remove(&used);
            }
            if let Some(used) = lists {
                self.with_replies.insert(used, id);
            }
        }
        for stored in [&mut self.stored, total] {
            stored.replace(before.stored, after.stored);
        }
    }
}

impl Stored {
    fn replace(&mut self, before: Stored, after: Stored) {
        self.requests = self.requests - before.requests + after.requests;
        self.replies_bytes = self.replies_bytes - before.replies_bytes + after.replies_bytes;
    }
}

impl Counted {
    fn of(session: &Session) -> Counted {
        let (requests, replies_bytes) = (session.executed.len() as u64, session.replies_bytes);
        Counted { used: session.used, stored: Stored { requests, replies_bytes } }
    }

    /// Returns the entry that last used the session, if the session stores replies with any bytes.
    fn with_replies(&self) -> Option<Index> {
        (self.stored.replies_bytes > 0).then_some(self.used)
    }
}
