//! One client session: its window, and the executed requests with their replies.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::machine::outcome::Outcome;
use crate::machine::request::{Nonce, Sequence, SessionLimits};
use crate::types::Index;

/// The principal that owns a session, as its encoded proposer.
pub(crate) type Owner = Arc<[u8]>;

/// The session of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) owner: Owner,
    pub(crate) nonce: Nonce,
    pub(crate) limits: SessionLimits,
    /// The index of the last entry that used the session.
    pub(crate) used: Index,
    /// The lowest sequence number that the client has not acknowledged. Lower ones are neither
    /// executed nor stored.
    pub(crate) floor: Sequence,
    /// The executed requests at or after `floor`, within the window. The reply is `None` if it is
    /// unknown or was dropped.
    pub(crate) executed: BTreeMap<Sequence, Option<Arc<[u8]>>>,
    /// The total size of the stored replies in bytes.
    pub(crate) replies_bytes: u64,
}

/// The decision about a request in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The request is new: the machine executes and records it, if the bounds of all sessions leave
    /// room.
    Execute,
    /// The request is not executed, and has this outcome.
    Answer(Outcome),
}

impl Session {
    /// Returns a session that the entry at `at` registers.
    pub(crate) fn new(owner: Owner, nonce: Nonce, limits: SessionLimits, at: Index) -> Session {
        assert!(limits.is_valid(), "decoding rejects invalid limits");
        let (floor, executed) = (Sequence::FIRST, BTreeMap::new());
        Session { owner, nonce, limits, used: at, floor, executed, replies_bytes: 0 }
    }

    /// Returns the first sequence number beyond the window.
    pub(crate) fn end(&self) -> Sequence {
        Sequence(self.floor.0 + u64::from(self.limits.window))
    }

    /// Records that the entry at `at` uses the session.
    pub(super) fn touch(&mut self, at: Index) {
        assert!(self.used <= at, "indices increase");
        self.used = at;
    }

    /// Decides whether a request is executed, and drops the records of the requests that the client
    /// has acknowledged.
    pub(super) fn admit(&mut self, sequence: Sequence, acknowledged: Sequence) -> Admission {
        assert!(acknowledged <= sequence, "decoding rejects invalid requests");
        self.check();
        self.acknowledge(acknowledged);
        if sequence < self.floor {
            return Admission::Answer(Outcome::SessionExpired);
        }
        if sequence >= self.end() {
            return Admission::Answer(Outcome::OutsideWindow);
        }
        match self.executed.get(&sequence) {
            None => Admission::Execute,
            Some(Some(reply)) => Admission::Answer(Outcome::Reply(Arc::clone(reply))),
            Some(None) => Admission::Answer(Outcome::SessionExpired),
        }
    }

    /// Records an executed request, and its reply if it is known.
    pub(super) fn record(&mut self, sequence: Sequence, reply: Option<Arc<[u8]>>) {
        assert!((self.floor..self.end()).contains(&sequence), "the request was admitted");
        let max = u64::from(self.limits.replies_bytes_max);
        // A reply larger than the limit is dropped, instead of all others.
        let kept = reply.filter(|reply| reply.len() as u64 <= max);
        self.replies_bytes += bytes_of(&kept);
        let earlier = self.executed.insert(sequence, kept);
        assert_eq!(earlier, None, "a request is executed once");
        while self.replies_bytes > max {
            self.drop_first_reply();
        }
        self.check();
    }

    /// Panics if the parts contradict one another.
    fn check(&self) {
        let (first, last) = (self.executed.first_key_value(), self.executed.last_key_value());
        assert!(first.is_none_or(|(first, _)| *first >= self.floor), "acknowledged ones are gone");
        assert!(last.is_none_or(|(last, _)| *last < self.end()), "requests are within the window");
        assert!(self.executed.len() <= self.limits.window as usize, "the window bounds them");
        let max = u64::from(self.limits.replies_bytes_max);
        assert!(self.replies_bytes <= max, "the replies are within their limit");
        debug_assert_eq!(
            self.replies_bytes,
            self.executed.values().map(bytes_of).sum::<u64>(),
            "the bytes of the replies are counted"
        );
    }

    /// Drops the stored reply with the lowest sequence number. The request stays executed.
    ///
    /// # Panics
    /// If no reply with any bytes is stored.
    pub(super) fn drop_first_reply(&mut self) {
        let first = self.executed.values_mut().find(|reply| bytes_of(reply) > 0);
        let first = first.expect("only stored replies have bytes");
        self.replies_bytes -= bytes_of(first);
        *first = None;
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
}

/// Returns the size of a stored reply in bytes, 0 if it is not stored.
pub(crate) fn bytes_of(reply: &Option<Arc<[u8]>>) -> u64 {
    reply.as_ref().map_or(0, |reply| reply.len() as u64)
}
