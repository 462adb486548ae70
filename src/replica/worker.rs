//! The worker of a node: it has the client sessions and the user's state machine. It shares nothing
//! with [`Node`](crate::replica::Node), so that a driver may run it on its own thread.

use crate::machine::{Digest, FrozenView, Machine, RestoreError, StateMachine};
use crate::replica::input::WorkResult;
use crate::replica::output::Work;
use crate::storage::{ClusterId, Disk, SnapshotReader, StorageError};
use crate::types::{Entries, Hash128, MachineVersion, SnapshotMeta, StateDigest};

/// The bytes of replies after which the worker returns the rest of a batch unapplied. A short
/// command may have a long reply, and a batch has thousands of commands.
const REPLIES_BYTES_MAX: usize = 4 << 20;

/// The worker of a node: the user's state machine with the sessions of its clients.
#[derive(Clone, Debug)]
pub struct Worker<M> {
    cluster: ClusterId,
    machine: Machine<M>,
    /// The index interval at whose multiples the state is hashed; `None` if it never is.
    digest_interval: Option<u64>,
}

impl<M: StateMachine> Worker<M> {
    pub(crate) fn new(
        cluster: ClusterId,
        machine: Machine<M>,
        digest_interval: Option<u64>,
    ) -> Worker<M> {
        assert!(digest_interval != Some(0), "a state is hashed after some entries");
        Worker { cluster, machine, digest_interval }
    }

    /// Returns the state machine with its sessions.
    #[must_use]
    pub fn machine(&self) -> &Machine<M> {
        &self.machine
    }

    /// Returns the index interval at whose multiples the state is hashed; `None` if it never is.
    #[cfg(feature = "tokio")]
    pub(crate) fn digest_interval(&self) -> Option<u64> {
        self.digest_interval
    }

    /// Executes the next piece of work. A restore reads its snapshot from `disk`, and blocks on it.
    pub fn execute(&mut self, work: Work, disk: &mut dyn Disk) -> WorkResult {
        match work {
            Work::Apply(entries) => self.apply(entries),
            Work::Query { tag, query } => {
                let applied = self.machine.applied().index;
                WorkResult::Answered { tag, applied, answer: self.machine.query(&query) }
            }
            Work::Restore(meta) => self.restore_from(&meta, disk),
            Work::Rebuild(meta) => {
                self.machine.discard_state();
                self.restore_from(&meta, disk)
            }
        }
    }

    /// Applies a batch, or the part of it before an entry that requires a newer build, or the part
    /// whose replies reach their bound.
    fn apply(&mut self, entries: Entries) -> WorkResult {
        assert!(!entries.is_empty(), "a batch is not empty");
        let mut outcomes = Vec::with_capacity(entries.len());
        let mut state_digests = Vec::with_capacity(entries.len());
        let (mut requires, mut replies_bytes) = (None, 0);
        for entry in &entries {
            requires = self.machine.requires(entry);
            if requires.is_some() || replies_bytes >= REPLIES_BYTES_MAX {
                break;
            }
            if let Some(outcome) = self.machine.apply_entry(entry) {
                replies_bytes += outcome.reply_bytes();
                outcomes.push((entry.id.index, outcome));
            }
            state_digests.push(self.state_digest());
        }
        let last = self.machine.applied().index;
        assert!(outcomes.len() <= state_digests.len(), "an entry has at most one outcome");
        let mut rest = entries;
        rest.drop_first(if requires.is_some() { rest.len() } else { state_digests.len() });
        let usage = self.machine.usage();
        WorkResult::Applied { last, outcomes, state_digests, usage, requires, rest }
    }

    fn restore_from(&mut self, meta: &SnapshotMeta, disk: &mut dyn Disk) -> WorkResult {
        match self.restore(meta, disk) {
            Ok(()) => {
                assert_eq!(self.machine.applied(), meta.last, "the state is that of the snapshot");
                let (last, usage) = (meta.last.index, self.machine.usage());
                WorkResult::Restored { last, state_digest: self.state_digest(), usage }
            }
            Err(WorkerError::TooOld(required)) => WorkResult::TooOld { required },
            Err(WorkerError::Failed(failure)) => WorkResult::Failed(failure),
        }
    }

    /// Returns the digest of the state machine: the results if they are known, and the state at
    /// indices at which the configuration requests it. A state that cannot be read is unknown.
    pub(crate) fn state_digest(&self) -> StateDigest {
        let hash = |digest: Digest| Hash128(digest.0);
        let index = self.machine.applied().index.0;
        let is_due = self.digest_interval.is_some_and(|each| index.is_multiple_of(each));
        let state = if is_due { self.machine.digest().ok().flatten() } else { None };
        StateDigest { results: self.machine.results().map(hash), state: state.map(hash) }
    }

    /// Marks the state as unusable until it is restored from a snapshot.
    pub(crate) fn discard_state(&mut self) {
        self.machine.discard_state();
    }

    /// Returns a frozen view of the current state, which later entries do not change. Returns
    /// `None` while a state machine with durable state of its own is ahead of the replayed log.
    ///
    /// # Panics
    ///
    /// After a failed restore, or a start that could not use its snapshot, until a restore
    /// succeeds.
    #[must_use]
    pub fn freeze(&self) -> Option<FrozenView> {
        self.machine.snapshot()
    }

    pub(crate) fn restore(
        &mut self,
        meta: &SnapshotMeta,
        disk: &mut dyn Disk,
    ) -> Result<(), WorkerError> {
        let mut reader = SnapshotReader::open(disk, self.cluster, meta)?;
        let Err(error) = self.machine.restore(meta.last, &mut reader) else { return Ok(()) };
        // The error of a read explains that of the state machine, whatever the latter says.
        Err(match (error, reader.take_obstacle()) {
            (_, Some(obstacle)) => obstacle.into(),
            (RestoreError::BuildTooOld { required, .. }, None) => WorkerError::TooOld(required),
            (error, None) => StorageError::state_machine(meta.last.index, &error).into(),
        })
    }
}

/// The reason why a snapshot could not be restored.
#[derive(Debug)]
pub(crate) enum WorkerError {
    /// It has a version of the rules that this build does not have.
    TooOld(MachineVersion),
    Failed(StorageError),
}

impl From<StorageError> for WorkerError {
    fn from(failure: StorageError) -> WorkerError {
        WorkerError::Failed(failure)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read};

    use super::*;
    use crate::machine::{Proposer, Request};
    use crate::types::{Entry, EntryId, Index, Payload, Term};

    const MIB: usize = 1 << 20;

    /// A state machine whose replies have 1 MiB.
    struct Verbose;

    impl StateMachine for Verbose {
        fn apply(&mut self, _: Index, _: &[u8]) -> Vec<u8> {
            vec![7; MIB]
        }

        fn query(&self, _: &[u8]) -> Vec<u8> {
            Vec::new()
        }

        fn snapshot(&self) -> Box<dyn Read + Send> {
            Box::new(io::empty())
        }

        fn restore(&mut self, _: &mut dyn Read) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_replies_of_one_piece_of_work_are_bounded() {
        let command = Request::Plain(b"7").encode_for(Proposer::Unnamed);
        let entry = |index| Entry {
            id: EntryId::new(Term(1), Index(index)),
            payload: Payload::Command(command.clone()),
        };
        let mut worker = Worker::new(ClusterId(1), Machine::new(Verbose), None);
        let (mut entries, mut results): (Entries, _) = ((1..=4096).map(entry).collect(), 0);
        while !entries.is_empty() {
            let (first, count) = (entries[0].id.index, entries.len());
            let WorkResult::Applied { last, outcomes, state_digests, requires, rest, .. } =
                worker.apply(entries)
            else {
                panic!("entries are applied");
            };
            let bytes: usize = outcomes.iter().map(|(_, outcome)| outcome.reply_bytes()).sum();
            assert!((MIB..REPLIES_BYTES_MAX + MIB).contains(&bytes), "{bytes} bytes");
            assert_eq!(outcomes[0].0, first, "no entry is left out");
            assert_eq!(outcomes.len(), state_digests.len());
            assert_eq!(outcomes.len() + rest.len(), count);
            assert_eq!((last, requires), (worker.machine().applied().index, None));
            (entries, results) = (rest, results + outcomes.len());
        }
        assert_eq!(results, 4096);
    }
}
