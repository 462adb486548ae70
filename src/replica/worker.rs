//! The worker of a node: it has the client sessions and the user's state machine. It shares nothing
//! with [`Node`](crate::replica::Node), so that a driver may run it on its own thread.

use crate::machine::{Digest, FrozenView, Machine, StateMachine};
use crate::replica::input::WorkResult;
use crate::replica::output::Work;
use crate::storage::{ClusterId, Disk, SnapshotReader, StorageError};
use crate::types::{Hash128, SnapshotMeta, StateDigest};

/// The state machine of a node, with the sessions of its clients.
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

    /// Executes the next piece of work. Restores read their snapshots from `disk`.
    pub fn execute(&mut self, work: Work, disk: &mut impl Disk) -> WorkResult {
        match work {
            Work::Apply(entries) => {
                let last = entries.last().expect("a batch is not empty").id.index;
                let (mut outcomes, mut state_digests) =
                    (Vec::new(), Vec::with_capacity(entries.len()));
                for entry in entries.chunks(1) {
                    outcomes.extend(self.machine.apply(entry));
                    state_digests.push(self.state_digest());
                }
                assert_eq!(self.machine.applied().index, last, "a batch is applied whole");
                assert!(outcomes.len() <= entries.len(), "an entry has at most one outcome");
                assert_eq!(state_digests.len(), entries.len(), "each entry has a digest");
                let usage = self.machine.usage();
                WorkResult::Applied { last, outcomes, state_digests, usage }
            }
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

    fn restore_from(&mut self, meta: &SnapshotMeta, disk: &mut impl Disk) -> WorkResult {
        match self.restore(meta, disk) {
            Ok(()) => {
                assert_eq!(self.machine.applied(), meta.last, "the state is that of the snapshot");
                let (last, usage) = (meta.last.index, self.machine.usage());
                WorkResult::Restored { last, state_digest: self.state_digest(), usage }
            }
            Err(failure) => WorkResult::Failed(failure),
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
    #[must_use]
    pub fn freeze(&self) -> Option<FrozenView> {
        self.machine.snapshot()
    }

    pub(crate) fn restore(
        &mut self,
        meta: &SnapshotMeta,
        disk: &mut impl Disk,
    ) -> Result<(), StorageError> {
        let mut reader = SnapshotReader::open(disk, self.cluster, meta)?;
        let restored = self.machine.restore(meta.last, &mut reader);
        restored.map_err(|error| StorageError::state_machine(meta.last.index, &error))
    }
}
