//! The half of a node that works: sessions and the user's state machine. It shares nothing with the
//! other half, so a driver may give it a thread of its own.

use crate::machine::{Digest, Frozen, Machine, StateMachine};
use crate::replica::input::Done;
use crate::replica::output::Work;
use crate::storage::{ClusterId, Disk, Failure, SnapshotReader};
use crate::types::{Hash128, Imprint, Index, SnapshotMeta};

/// A state machine, with the sessions of its clients.
#[derive(Clone, Debug)]
pub struct Worker<M> {
    cluster: ClusterId,
    machine: Machine<M>,
    /// At multiples of which index the state itself is hashed.
    states_each: Option<u64>,
}

impl<M: StateMachine> Worker<M> {
    pub(crate) fn new(
        cluster: ClusterId,
        machine: Machine<M>,
        states_each: Option<u64>,
    ) -> Worker<M> {
        Worker { cluster, machine, states_each }
    }

    /// The state machine with its sessions.
    #[must_use]
    pub fn machine(&self) -> &Machine<M> {
        &self.machine
    }

    /// Does the next piece of work. `disk` is where a snapshot to start over from is read.
    pub fn execute(&mut self, work: Work, disk: &mut impl Disk) -> Done {
        match work {
            Work::Apply(entries) => {
                let last = entries.last().map_or(Index::ZERO, |entry| entry.id.index);
                let (mut outcomes, mut imprints) = (Vec::new(), Vec::with_capacity(entries.len()));
                for entry in entries.chunks(1) {
                    outcomes.extend(self.machine.apply(entry));
                    imprints.push(self.imprint());
                }
                Done::Applied { last, outcomes, imprints }
            }
            Work::Query { tag, query } => {
                let applied = self.machine.applied().index;
                Done::Answered { tag, applied, answer: self.machine.query(&query) }
            }
            Work::Restore(meta) => self.start_over(&meta, disk),
            Work::Rebuild(meta) => {
                self.machine.disown();
                self.start_over(&meta, disk)
            }
        }
    }

    fn start_over(&mut self, meta: &SnapshotMeta, disk: &mut impl Disk) -> Done {
        match self.restore(meta, disk) {
            Ok(()) => Done::Restored { last: meta.last.index, imprint: self.imprint() },
            Err(failure) => Done::Failed(failure),
        }
    }

    /// What the state machine shows of itself: its results wherever they are known, its state where
    /// the configuration wants that to be compared. A state that cannot be read is not known.
    pub(crate) fn imprint(&self) -> Imprint {
        let hash = |digest: Digest| Hash128(digest.0);
        let index = self.machine.applied().index.0;
        let shows = self.states_each.is_some_and(|each| index.is_multiple_of(each));
        let state = if shows { self.machine.digest().ok().flatten() } else { None };
        Imprint { results: self.machine.results().map(hash), state: state.map(hash) }
    }

    /// A view of the state as it is now, whatever is applied later; none while a state machine that
    /// is durable by itself is ahead of what was replayed.
    #[must_use]
    pub fn freeze(&self) -> Option<Frozen> {
        self.machine.snapshot()
    }

    pub(crate) fn restore(
        &mut self,
        meta: &SnapshotMeta,
        disk: &mut impl Disk,
    ) -> Result<(), Failure> {
        let mut reader = SnapshotReader::open(disk, self.cluster, meta)?;
        let restored = self.machine.restore(meta.last, &mut reader);
        restored.map_err(|error| Failure::of_machine(meta.last.index, &error))
    }
}
