//! The user's state machine, the client sessions around it, and the snapshot of both.
//!
//! A user writes a [`StateMachine`]; [`Machine`] gives it the commands of the log, each once, and
//! keeps for every session what was carried out and replied, so that a client may repeat a request
//! as often as it likes. Everything here is a function of the log alone.

mod client;
mod digest;
mod outcome;
mod request;
mod sessions;
mod snapshot;
mod state;

use std::io::{self, BufReader, Read};
use std::sync::Arc;

pub use client::{Answer, Call, ClientSession};
pub use digest::Digest;
pub use outcome::Outcome;
pub use request::{Nonce, Request, Sequence, SessionId, SessionLimits};
pub use snapshot::{Frozen, RestoreError};
pub use state::{ConflictTest, StateMachine};

use crate::machine::sessions::{Admission, Sessions};
use crate::machine::snapshot::Header;
use crate::types::{Entry, EntryId, Index, Payload};

/// A user's state machine with the client sessions around it.
///
/// A machine whose state survives a restart by itself is ahead of the sessions until the log has
/// been replayed to where it was: until then its commands are noted as carried out with an unknown
/// reply, and it is not given them again.
#[derive(Clone, Debug)]
pub struct Machine<M> {
    user: M,
    sessions: Sessions,
    /// The last entry applied.
    applied: EntryId,
    /// The last entry whose command the user's machine carried out.
    executed: Index,
    /// How far the user's machine was when it was taken over: what stands in the log up to here
    /// it has carried out.
    user_start: Index,
    /// The rolling hash over all outcomes; none since one of them was not known.
    results: Option<Digest>,
    /// Whether the user's machine is in no state at all: after a restore that failed, or because
    /// its state is wrong.
    is_torn: bool,
}

impl<M: StateMachine> Machine<M> {
    /// The machine before the first entry.
    pub fn new(user: M) -> Machine<M> {
        let user_start = user.applied();
        Machine {
            user,
            sessions: Sessions::default(),
            applied: EntryId::ZERO,
            executed: Index::ZERO,
            user_start,
            results: Some(Digest::default()),
            is_torn: false,
        }
    }

    /// Applies committed entries that follow one another and the last one applied; returns what
    /// came of each command. Entries that carry none, and those that the user's machine had
    /// carried out before this start, have no outcome: nobody waits for it.
    ///
    /// # Panics
    /// If the entries do not follow, or after a failed [`Machine::restore`].
    pub fn apply(&mut self, entries: &[Entry]) -> Vec<(Index, Outcome)> {
        let mut outcomes = Vec::with_capacity(entries.len());
        for entry in entries {
            outcomes.extend(self.apply_one(entry).map(|outcome| (entry.id.index, outcome)));
        }
        outcomes
    }

    /// Answers a query from the user's state; one that survived a restart by itself may be ahead of
    /// [`Machine::applied`].
    ///
    /// # Panics
    /// After a failed [`Machine::restore`], as [`Machine::snapshot`] and [`Machine::digest`] do.
    pub fn query(&self, query: &[u8]) -> Vec<u8> {
        self.assert_restored();
        self.user.query(query)
    }

    /// The state at [`Machine::applied`], to be read later and elsewhere; none while the user's
    /// machine is ahead of the sessions.
    #[must_use]
    pub fn snapshot(&self) -> Option<Frozen> {
        self.assert_restored();
        let header = Header { last: self.applied, executed: self.executed, results: self.results };
        self.is_whole().then(|| Frozen::new(header, &self.sessions, self.user.snapshot()))
    }

    /// Starts over from a snapshot of the state at `last`. A user's machine that has the state by
    /// itself, or a later one, keeps it.
    ///
    /// # Errors
    /// A [`RestoreError`], which says what is left.
    pub fn restore(&mut self, last: EntryId, snapshot: &mut dyn Read) -> Result<(), RestoreError> {
        let mut reader = BufReader::new(snapshot);
        let (header, sessions) = snapshot::read_front(&mut reader)?;
        if header.last != last {
            return Err(RestoreError::OtherEntry { expected: last, found: header.last });
        }
        let user_applied = self.user.applied();
        if user_applied == Index::ZERO || user_applied < header.executed || self.is_torn {
            self.is_torn = true;
            self.user.restore(&mut reader).map_err(RestoreError::User)?;
            self.is_torn = false;
        }
        self.sessions = sessions;
        self.applied = header.last;
        self.executed = header.executed;
        self.results = header.results;
        self.user_start = self.user.applied();
        Ok(())
    }

    /// The user's state is wrong: whatever it has, even by itself, the next [`Machine::restore`]
    /// replaces it, and before that there is none.
    pub fn disown(&mut self) {
        self.is_torn = true;
    }

    /// The last entry applied.
    #[must_use]
    pub fn applied(&self) -> EntryId {
        self.applied
    }

    /// Names the state at [`Machine::applied`], sessions and user's state, whatever is known of
    /// replies: equal on all nodes. None while the user's machine is ahead of the sessions.
    ///
    /// # Errors
    /// What reading the user's state failed with.
    pub fn digest(&self) -> io::Result<Option<Digest>> {
        self.assert_restored();
        if !self.is_whole() {
            return Ok(None);
        }
        let user = self.user.digest()?;
        let sessions = snapshot::digest_of(&self.sessions);
        let (term, index) = (self.applied.term.0, self.applied.index.0);
        let parts: [&[u8]; 4] = [&term.to_le_bytes(), &index.to_le_bytes(), &sessions.0, &user.0];
        Ok(Some(Digest::of_parts(&parts)))
    }

    /// A rolling hash over every entry applied and what came of it: equal on all nodes that know
    /// it. None once outcomes were not known, until the next snapshot of a node that knew.
    #[must_use]
    pub fn results(&self) -> Option<Digest> {
        self.results
    }

    /// The user's machine.
    #[must_use]
    pub fn user(&self) -> &M {
        &self.user
    }

    /// Whether the sessions and the user's machine stand at the same entry.
    fn is_whole(&self) -> bool {
        self.user_start <= self.applied.index
    }

    fn assert_restored(&self) {
        assert!(!self.is_torn, "a failed restore leaves no state");
    }

    fn apply_one(&mut self, entry: &Entry) -> Option<Outcome> {
        self.assert_restored();
        assert_eq!(entry.id.index, self.applied.index.next(), "entries follow one another");
        assert!(entry.id.term >= self.applied.term, "terms do not go back");
        self.applied = entry.id;
        let outcome = match &entry.payload {
            Payload::Noop | Payload::Membership(_) => None,
            Payload::Command(command) => self.carry_out(entry.id.index, command),
        };
        if entry.id.index <= self.user_start {
            self.results = None;
            return None;
        }
        self.results = self.results.map(|results| roll(results, entry, outcome.as_ref()));
        outcome
    }

    /// What comes of a command; none if only the reply of an earlier start would tell.
    fn carry_out(&mut self, index: Index, command: &[u8]) -> Option<Outcome> {
        match Request::decode(command) {
            None => Some(Outcome::Malformed),
            Some(Request::Plain(command)) => self.execute(index, command).map(Outcome::Reply),
            Some(Request::Register { nonce, limits }) => {
                Some(Outcome::Registered(self.sessions.register(index, nonce, limits)))
            }
            Some(Request::InSession { session, sequence, acknowledged, command }) => {
                match self.sessions.admit(index, session, sequence, acknowledged) {
                    Admission::Answer(outcome) => Some(outcome),
                    Admission::Execute => {
                        let reply = self.execute(index, command);
                        self.sessions.record(session, sequence, reply.clone());
                        reply.map(Outcome::Reply)
                    }
                }
            }
        }
    }

    /// Has the user's machine carry a command out; no reply if it did so before this start.
    fn execute(&mut self, index: Index, command: &[u8]) -> Option<Arc<[u8]>> {
        self.executed = index;
        (index > self.user_start).then(|| Arc::from(self.user.apply(index, command)))
    }
}

/// `results` after one more entry.
fn roll(results: Digest, entry: &Entry, outcome: Option<&Outcome>) -> Digest {
    let (kind, reply, number) = outcome.map_or((0, &[][..], [0; 8]), Outcome::hashed);
    let (term, index) = (entry.id.term.0.to_le_bytes(), entry.id.index.0.to_le_bytes());
    let membership;
    let (payload, carried): (u8, &[u8]) = match &entry.payload {
        Payload::Noop => (0, &[]),
        Payload::Command(command) => (1, command),
        Payload::Membership(carried) => {
            membership = carried.encode();
            (2, &membership)
        }
    };
    let length = (carried.len() as u64).to_le_bytes();
    Digest::of_parts(&[
        &results.0,
        &term,
        &index,
        &[payload],
        &length,
        carried,
        &[kind],
        &number,
        reply,
    ])
}

#[cfg(test)]
mod tests;
