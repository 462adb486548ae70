//! The disk operations and the writes that a process has submitted and that are not finished.

use std::collections::{BTreeSet, VecDeque};

use quorate::storage::{Completion, FileAction, FileName, Lane, Operation};
use quorate::types::{Index, NodeId, Write, WriteId};

/// The disk operations of a process.
#[derive(Clone, Debug, Default)]
pub(super) struct Lanes {
    log: LaneQueue,
    bulk: LaneQueue,
    /// The files of which an operation has failed by a fault; `None` stands for the directory.
    pub(super) failed: BTreeSet<Option<FileName>>,
}

/// The operations of one lane.
#[derive(Clone, Debug, Default)]
pub(super) struct LaneQueue {
    /// The submitted operations; the disk executes the first one.
    pub(super) submitted: VecDeque<Operation>,
    /// The executed operations of which the node has not been notified.
    pub(super) reports: VecDeque<CompletionReport>,
}

/// The completion of a disk operation, before the node is notified of it.
#[derive(Clone, Debug)]
pub(crate) struct CompletionReport {
    pub(crate) completion: Completion,
    /// Whether the state of the disk is unknown after this operation.
    pub(crate) fatal: bool,
}

impl Lanes {
    pub(super) fn of(&mut self, lane: Lane) -> &mut LaneQueue {
        match lane {
            Lane::Log => &mut self.log,
            Lane::Bulk => &mut self.bulk,
        }
    }

    /// Returns both lanes, that of the log first.
    pub(super) fn all(&self) -> [&LaneQueue; 2] {
        [&self.log, &self.bulk]
    }

    /// Returns the current action of each lane.
    pub(super) fn current_actions(&self) -> [Option<&FileAction>; 2] {
        self.all().map(|lane| lane.submitted.front().map(|operation| &operation.action))
    }
}

/// The writes of a process that are not reported to it as durable yet.
#[derive(Clone, Debug)]
pub(super) struct PendingWrites {
    writes: VecDeque<Write>,
    /// The last entry written, durable or not.
    last_written: Index,
    /// Whether a write that replaces entries is on its way to the disk.
    truncates: bool,
}

impl PendingWrites {
    /// Returns no writes, of a process whose log ends at `last_written`.
    pub(super) fn new(last_written: Index) -> PendingWrites {
        PendingWrites { writes: VecDeque::new(), last_written, truncates: false }
    }

    /// Adds a write, and returns the number of entries that it replaces, if it replaces any.
    pub(super) fn submit(&mut self, write: Write) -> Option<u64> {
        let first = write.entries.first().map(|first| first.id.index);
        let replaced = first.filter(|first| *first <= self.last_written);
        let replaced = replaced.map(|first| self.last_written.0 - first.0 + 1);
        self.truncates |= replaced.is_some();
        let last = write.entries.last().map(|entry| entry.id.index);
        let installed = write.install.as_ref().map(|meta| meta.last.index);
        self.last_written = last.or(installed).unwrap_or(self.last_written);
        self.writes.push_back(write);
        replaced
    }

    /// Removes and returns the first write, if it is durable.
    pub(super) fn pop_durable(&mut self, through: WriteId) -> Option<Write> {
        self.writes.pop_front_if(|write| write.id <= through)
    }

    /// Returns the candidate of the first vote that is not durable yet.
    pub(super) fn vote(&self) -> Option<NodeId> {
        self.writes.iter().find_map(|write| write.hard_state?.vote)
    }

    /// Returns true if a snapshot that replaces the log is on its way to the disk.
    pub(super) fn installs(&self) -> bool {
        self.writes.iter().any(|write| write.install.is_some())
    }

    /// Returns true if a write that replaces entries has reached the disk's cache just now.
    pub(super) fn take_truncates(&mut self) -> bool {
        std::mem::take(&mut self.truncates)
    }
}
