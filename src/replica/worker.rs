//! The half of a node that works: sessions and the user's state machine. It shares nothing with the
//! other half, so a driver may give it a thread of its own.

use crate::machine::{Frozen, Machine, StateMachine};
use crate::replica::input::Done;
use crate::replica::output::Work;
use crate::storage::{ClusterId, Disk, Failure, SnapshotReader};
use crate::types::{Index, SnapshotMeta};

/// A state machine, with the sessions of its clients.
#[derive(Clone, Debug)]
pub struct Worker<M> {
    cluster: ClusterId,
    machine: Machine<M>,
}

impl<M: StateMachine> Worker<M> {
    pub(crate) fn new(cluster: ClusterId, machine: Machine<M>) -> Worker<M> {
        Worker { cluster, machine }
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
                Done::Applied { last, outcomes: self.machine.apply(&entries) }
            }
            Work::Query { tag, query } => {
                let applied = self.machine.applied().index;
                Done::Answered { tag, applied, answer: self.machine.query(&query) }
            }
            Work::Restore(meta) => match self.restore(&meta, disk) {
                Ok(()) => Done::Restored(meta.last.index),
                Err(failure) => Done::Failed(failure),
            },
        }
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
