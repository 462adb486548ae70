//! The user's state machine, the client sessions around it, and the snapshot of both.
//!
//! A user implements a [`StateMachine`]. [`Machine`] applies each command of the log once, and
//! keeps the executed requests and replies of each session, so a client may resend a request
//! any number of times. All results depend on the log only.

mod client;
mod digest;
mod outcome;
mod proposer;
mod quota;
mod request;
mod session;
mod sessions;
mod snapshot;
mod state;

use std::io::{self, BufReader, Read};
use std::sync::Arc;

pub use client::{Call, ClientSession, SessionEvent};
pub use digest::Digest;
pub use outcome::Outcome;
pub use proposer::Proposer;
pub use quota::{Quota, QuotaCommand};
pub use request::{Nonce, Request, Sequence, SessionId, SessionLimits};
pub use snapshot::{FrozenView, RestoreError};
pub use state::{ConflictTest, StateMachine};

use crate::machine::request::encode_version;
use crate::machine::session::Admission;
use crate::machine::sessions::Sessions;
use crate::machine::snapshot::Header;
use crate::types::{
    Entry, EntryId, Index, MachineRejectReason, MachineUsage, MachineVersion, Payload,
};

/// The highest version of this library's own rules: those of the sessions, and of the requests
/// around the user's commands. A change in the effect of a command is a new version, and takes
/// effect only once `version.library` of the [`Machine`] has reached it.
const LIBRARY_VERSION_MAX: u32 = 1;

/// A user's state machine with the client sessions around it.
///
/// A state machine with durable state of its own is ahead of the sessions after a restart, until
/// the log is replayed up to its index. The replay records those commands as executed with an
/// unknown reply, and does not apply them again.
#[derive(Clone, Debug)]
pub struct Machine<M> {
    user: M,
    sessions: Sessions,
    /// The version of the rules by which the next command is applied.
    version: MachineVersion,
    /// The last applied entry.
    applied: EntryId,
    /// The last entry that the user's state machine executed: a command, an admin command or a
    /// raise of its version.
    executed: Index,
    /// The index that the user's state machine had applied at the start or the last restore. It has
    /// executed all commands through this index.
    user_start: Index,
    /// The rolling hash over all applied entries and their outcomes; `None` once an outcome is
    /// unknown.
    results: Option<Digest>,
    /// Whether the user's state is invalid, after a failed restore or [`Machine::discard_state`].
    is_invalid: bool,
}

impl<M: StateMachine> Machine<M> {
    /// Returns the machine before the first entry, around the user's state machine.
    pub fn new(user: M) -> Machine<M> {
        let user_start = user.applied().unwrap_or_default();
        Machine {
            user,
            sessions: Sessions::default(),
            version: MachineVersion::FIRST,
            applied: EntryId::ZERO,
            executed: Index::ZERO,
            user_start,
            results: Some(Digest::default()),
            is_invalid: false,
        }
    }

    /// Applies consecutive committed entries after the last applied one. Returns the outcome of
    /// each command. There is no outcome for an entry without a command, nor for an entry that the
    /// user's state machine had already applied at the start or the last restore.
    ///
    /// # Panics
    /// If the entries are not consecutive, or one of them [requires](Machine::requires) a newer
    /// build. Also after a failed [`Machine::restore`] or a [`Machine::discard_state`], until a
    /// restore succeeds.
    pub fn apply(&mut self, entries: &[Entry]) -> Vec<(Index, Outcome)> {
        let mut outcomes = Vec::with_capacity(entries.len());
        for entry in entries {
            outcomes.extend(self.apply_entry(entry).map(|outcome| (entry.id.index, outcome)));
        }
        outcomes
    }

    /// Returns the version of the rules from this entry on if this build does not have it. In that
    /// case neither this entry nor a later one may be applied.
    #[must_use]
    pub fn requires(&self, entry: &Entry) -> Option<MachineVersion> {
        let Payload::Command(command) = &entry.payload else { return None };
        let version = Request::raised_version(command)?.max(self.version);
        (!version.is_within(self.version_max())).then_some(version)
    }

    /// Returns the version of the rules by which the next command is applied.
    #[must_use]
    pub fn version(&self) -> MachineVersion {
        self.version
    }

    /// Returns the highest version of the rules that this build has.
    #[must_use]
    pub fn version_max(&self) -> MachineVersion {
        MachineVersion { user: self.user.version_max(), library: LIBRARY_VERSION_MAX }
    }

    /// Answers a query from the user's state, which may be ahead of [`Machine::applied`] if the
    /// state machine has durable state of its own.
    ///
    /// # Panics
    /// After a failed [`Machine::restore`] or a [`Machine::discard_state`], until a restore
    /// succeeds. [`Machine::snapshot`] panics then too.
    pub fn query(&self, query: &[u8]) -> Vec<u8> {
        self.assert_restored();
        self.user.query(query)
    }

    /// Returns a frozen view of the state at [`Machine::applied`], which may be read later and on
    /// another thread; `None` while the user's state machine is ahead of the sessions.
    #[must_use]
    pub fn snapshot(&self) -> Option<FrozenView> {
        self.assert_restored();
        let (last, version) = (self.applied, self.version);
        let header = Header { last, executed: self.executed, results: self.results, version };
        self.is_caught_up().then(|| FrozenView::new(header, &self.sessions, self.user.snapshot()))
    }

    /// Restores the machine from a snapshot of the state at `last`. A user's state machine with
    /// durable state that has executed every command of the snapshot keeps that state, unless
    /// [`Machine::discard_state`] marked it as invalid.
    ///
    /// # Errors
    /// A [`RestoreError`]; its variants document the state of the machine after it.
    ///
    /// # Panics
    /// If the user's state machine reports, after its restore, that it has executed commands after
    /// `last`. It would then not get them.
    pub fn restore(&mut self, last: EntryId, snapshot: &mut dyn Read) -> Result<(), RestoreError> {
        let mut reader = BufReader::new(snapshot);
        let max = self.version_max();
        let (header, sessions) = snapshot::read_header_and_sessions(&mut reader, max)?;
        if header.last != last {
            return Err(RestoreError::OtherEntry { expected: last, found: header.last });
        }
        let user_applied = self.user.applied().unwrap_or_default();
        let is_replaced =
            user_applied == Index::ZERO || user_applied < header.executed || self.is_invalid;
        if is_replaced {
            self.is_invalid = true;
            let restored = self.user.restore_version(header.version.user, &mut reader);
            restored.map_err(RestoreError::User)?;
            self.is_invalid = false;
        }
        self.sessions = sessions;
        self.version = header.version;
        self.applied = header.last;
        self.executed = header.executed;
        // Nothing shows which outcomes led to a state that the user's state machine kept.
        self.results = header.results.filter(|_| is_replaced);
        self.user_start = self.user.applied().unwrap_or_default();
        let is_ahead = is_replaced && !self.is_caught_up();
        assert!(!is_ahead, "contract: a state has executed no command after its snapshot");
        assert!(self.executed <= self.applied.index, "only applied commands are executed");
        assert!(!self.is_invalid, "a restored state is valid");
        Ok(())
    }

    /// Marks the user's state, including durable state, as invalid: it has diverged, or the node
    /// has no snapshot that it can read and whose rules this build has. The next
    /// [`Machine::restore`] replaces it; until then the machine can neither apply nor answer.
    pub fn discard_state(&mut self) {
        self.is_invalid = true;
    }

    /// Returns the last applied entry.
    #[must_use]
    pub fn applied(&self) -> EntryId {
        self.applied
    }

    /// Returns a digest of the state at [`Machine::applied`]: of that entry's id, of the version of
    /// the rules, of the sessions with their bounds but without their replies, and of the user's
    /// state. It is equal on all nodes. Returns `None` while the user's state machine is ahead of
    /// the sessions, or invalid.
    ///
    /// # Errors
    /// The error of reading the user's state.
    pub fn digest(&self) -> io::Result<Option<Digest>> {
        if self.is_invalid || !self.is_caught_up() {
            return Ok(None);
        }
        let user = self.user.digest()?;
        let sessions = snapshot::digest_of(&self.sessions);
        let (term, index) = (self.applied.term.0, self.applied.index.0);
        let (term, index) = (term.to_le_bytes(), index.to_le_bytes());
        let version = encode_version(self.version);
        Ok(Some(Digest::of_parts(&[&term, &index, &version, &sessions.0, &user.0])))
    }

    /// Returns a rolling hash over all applied entries and their outcomes, equal on all nodes that
    /// know it. Returns `None` after an unknown outcome, until a snapshot from a node that knows
    /// the hash is restored, and while the state is invalid.
    #[must_use]
    pub fn results(&self) -> Option<Digest> {
        self.results.filter(|_| !self.is_invalid)
    }

    /// Returns the memory that the sessions and the user's state take, and the version of the
    /// rules.
    #[must_use]
    pub fn usage(&self) -> MachineUsage {
        let (quota, version) = (self.user.quota(), self.version);
        MachineUsage { quota, version, ..self.sessions.usage() }
    }

    /// Returns the user's state machine.
    #[must_use]
    pub fn user(&self) -> &M {
        &self.user
    }

    /// Returns true unless the user's state machine is ahead of the sessions.
    fn is_caught_up(&self) -> bool {
        self.user_start <= self.applied.index
    }

    fn assert_restored(&self) {
        assert!(!self.is_invalid, "contract: the state is invalid until a restore succeeds");
    }

    /// Applies one entry, as [`Machine::apply`] does, and returns its outcome if there is one.
    pub(crate) fn apply_entry(&mut self, entry: &Entry) -> Option<Outcome> {
        self.assert_restored();
        assert_eq!(self.requires(entry), None, "contract: this build has the rules");
        assert_eq!(entry.id.index, self.applied.index.next(), "entries are consecutive");
        assert!(entry.id.term >= self.applied.term, "terms do not decrease");
        self.applied = entry.id;
        let outcome = match &entry.payload {
            Payload::Noop | Payload::Membership(_) => None,
            Payload::Command(command) => self.apply_command(entry.id.index, command),
        };
        if entry.id.index <= self.user_start {
            self.results = None;
            return None;
        }
        assert!(self.executed <= self.applied.index, "only applied commands are executed");
        self.results = self.results.map(|results| extend_results(results, entry, outcome.as_ref()));
        outcome
    }

    /// Applies a command and returns its outcome; `None` if the user's state machine executed it
    /// before this start, so its reply is unknown.
    fn apply_command(&mut self, index: Index, command: &[u8]) -> Option<Outcome> {
        let Some((proposer, request)) = Request::in_log(command) else {
            return Some(Outcome::Malformed);
        };
        if request.is_for_administrators() && !proposer.is_administrator() {
            return Some(Outcome::Rejected(MachineRejectReason::NotAdministrator));
        }
        match request {
            Request::Plain(command) => self.execute(index, command, M::apply).map(Outcome::Reply),
            Request::Admin(command) => {
                self.execute(index, command, M::administer).map(Outcome::Reply)
            }
            Request::SetBounds(bounds) => {
                self.sessions.set_bounds(bounds);
                Some(Outcome::Reply(Arc::default()))
            }
            Request::RaiseVersion(version) => Some(self.raise_version(index, version)),
            Request::Register { nonce, limits } => {
                let session = self.sessions.register(index, &proposer.encode(), nonce, limits);
                Some(session.map_or_else(Outcome::Rejected, Outcome::Registered))
            }
            Request::InSession { session, sequence, acknowledged, command } => {
                let owner = proposer.encode();
                match self.sessions.admit(index, &owner, session, sequence, acknowledged) {
                    Admission::Answer(outcome) => Some(outcome),
                    Admission::Execute => {
                        let reply = self.execute(index, command, M::apply);
                        self.sessions.record(session, sequence, reply.clone());
                        reply.map(Outcome::Reply)
                    }
                }
            }
        }
    }

    /// Raises the version of the rules, from the next command on.
    fn raise_version(&mut self, index: Index, version: MachineVersion) -> Outcome {
        let (before, after) = (self.version, self.version.max(version));
        if after == before {
            let current = before;
            return Outcome::Rejected(MachineRejectReason::VersionNotHigher { current });
        }
        assert!(after.is_within(self.version_max()), "an entry beyond the build is not applied");
        self.version = after;
        if after.user > before.user {
            assert!(index > self.executed, "each command is executed once, in order");
            self.executed = index;
            // A state machine that is ahead has already raised its version.
            if index > self.user_start {
                self.user.set_version(index, after.user);
            }
        }
        Outcome::Reply(Arc::default())
    }

    /// Lets the user's state machine execute a command or an admin command. Returns `None` if it
    /// did so before this start.
    fn execute(
        &mut self,
        index: Index,
        command: &[u8],
        execute: fn(&mut M, Index, &[u8]) -> Vec<u8>,
    ) -> Option<Arc<[u8]>> {
        assert!(index > self.executed, "each command is executed once, in order");
        self.executed = index;
        (index > self.user_start).then(|| Arc::from(execute(&mut self.user, index, command)))
    }
}

/// Returns `results` extended by one entry and its outcome.
fn extend_results(results: Digest, entry: &Entry, outcome: Option<&Outcome>) -> Digest {
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
