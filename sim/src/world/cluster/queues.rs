//! The queues of a process: those of its driver, its worker and its disk, its writes that are not
//! durable yet, and the requests that it has not answered.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use quorate::machine::Digest;
use quorate::replica::{Output, Work};
use quorate::storage::{Completion, FileAction, FileName, Lane, Operation};
use quorate::types::{Index, NodeId, Proposal, Tag, Write, WriteId};

use crate::observe::Observation;
use crate::observer::Observer;
use crate::values::time::SimTime;

/// The driver of a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct DriverQueue {
    /// The outputs that a lagging driver has not executed yet.
    pub(super) backlog: VecDeque<Output>,
    /// The earliest scheduled wake-up of the node.
    wake_at: Option<SimTime>,
    /// The proposals that the driver gathers into one batch.
    pub(super) gathered: Vec<Proposal>,
}

impl DriverQueue {
    /// Returns true if the driver lags.
    pub(crate) fn lags(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Schedules a wake-up; returns false if an earlier one is scheduled already.
    pub(super) fn wake_earlier(&mut self, at: SimTime) -> bool {
        let is_earlier = at < self.wake_at.unwrap_or(SimTime(u64::MAX));
        if is_earlier {
            self.wake_at = Some(at);
        }
        is_earlier
    }

    /// Ends the scheduled wake-up; returns false if it is not due.
    pub(super) fn take_wake(&mut self, now: SimTime) -> bool {
        self.wake_at.take_if(|wake_at| *wake_at <= now).is_some()
    }
}

/// The work of a process.
#[derive(Clone, Debug, Default)]
pub(super) struct WorkQueue {
    /// The work submitted to the worker, which executes the first one.
    pub(super) submitted: VecDeque<Work>,
    /// The states in which the worker answered queries, until the node outputs the answers.
    pub(super) answered_in: BTreeMap<Tag, Option<Digest>>,
    /// The unread bytes of the worker's frozen view.
    pub(super) view: VecDeque<u8>,
    /// The pending requests for the view.
    pub(super) view_requests: VecDeque<ViewRequest>,
}

/// A request of the node for its worker's frozen view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ViewRequest {
    /// Freezes the state machine.
    Freeze,
    /// Reads this many bytes of the view.
    Read(usize),
}

/// The requests without an outcome.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenRequests {
    pub(crate) unanswered: Vec<Tag>,
    /// The proposals that are answered only once every live voter has them.
    pub(crate) for_all_live: BTreeSet<Tag>,
}

impl OpenRequests {
    /// Records that the node has answered a request with `output`.
    ///
    /// # Panics
    /// If the request has no pending outcome, because each request has exactly one.
    pub(crate) fn answer(
        &mut self,
        tag: Tag,
        output: &Output,
        now: SimTime,
        observer: &mut Observer,
    ) {
        let place = self.unanswered.iter().position(|waiting| *waiting == tag);
        let Some(place) = place else { panic!("{tag} has more than one outcome") };
        self.unanswered.swap_remove(place);
        let rejected = match output {
            Output::Rejected { reason, .. } => Some(*reason),
            _ => None,
        };
        observer.observe(now, Observation::RequestAnswered { tag, rejected });
    }
}

/// The disk operations of a process.
#[derive(Clone, Debug, Default)]
pub(super) struct Lanes {
    log: LaneQueue,
    bulk: LaneQueue,
    /// The files on which a fault has made an operation fail; `None` stands for the directory.
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
    /// The last entry of the log in the disk's cache, as the headers of the flushes say.
    last_flushed: Index,
    /// The last entry of the last snapshot that replaces the log.
    installed: Option<Index>,
}

/// The first bytes of the header block of a flush (docs/FORMAT.md), and the offsets in it of the
/// number of entries and of the index before the first entry.
const FLUSH_MAGIC: &[u8] = b"QUORALOG";
const ENTRIES_AT: usize = 12;
const PREVIOUS_AT: usize = 88;

impl PendingWrites {
    /// Returns the empty queue of a process whose log ends at `last_written`.
    pub(super) fn new(last_written: Index) -> PendingWrites {
        let (writes, installed) = (VecDeque::new(), None);
        PendingWrites { writes, last_written, last_flushed: last_written, installed }
    }

    /// Adds a write, and returns the number of entries that it replaces, if it replaces any.
    pub(super) fn submit(&mut self, write: Write) -> Option<u64> {
        let first = write.entries.first().map(|first| first.id.index);
        let replaced = first.filter(|first| *first <= self.last_written);
        let replaced = replaced.map(|first| self.last_written.0 - first.0 + 1);
        let last = write.entries.last().map(|entry| entry.id.index);
        let installed = write.install.as_ref().map(|meta| meta.last.index);
        self.installed = installed.or(self.installed);
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

    /// Records bytes that are written to a segment, and returns true if they begin a flush that
    /// replaces entries of the log. A flush after a received snapshot replaces none.
    pub(super) fn flushes(&mut self, bytes: &[u8]) -> bool {
        let number = |at: usize, count: usize| {
            let mut number = [0; 8];
            number[..count].copy_from_slice(bytes.get(at..at + count)?);
            Some(u64::from_le_bytes(number))
        };
        let is_header = bytes.starts_with(FLUSH_MAGIC);
        let (Some(previous), Some(entries), true) =
            (number(PREVIOUS_AT, 8), number(ENTRIES_AT, 4), is_header)
        else {
            return false;
        };
        let previous = Index(previous);
        let replaces = previous < self.last_flushed && Some(previous) != self.installed;
        self.last_flushed = Index(previous.0 + entries);
        replaces
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_replaces_entries_if_it_follows_an_earlier_entry_than_the_last() {
        let header = |previous: u64, entries: u32| {
            let mut bytes = vec![0; 512];
            bytes[..8].copy_from_slice(FLUSH_MAGIC);
            bytes[ENTRIES_AT..ENTRIES_AT + 4].copy_from_slice(&entries.to_le_bytes());
            bytes[PREVIOUS_AT..PREVIOUS_AT + 8].copy_from_slice(&previous.to_le_bytes());
            bytes
        };
        let mut writes = PendingWrites::new(Index(5));
        assert!(!writes.flushes(&header(5, 3)), "it follows the last entry");
        assert!(!writes.flushes(&[7; 512]), "these are bodies");
        assert!(writes.flushes(&header(6, 1)), "it replaces entries 7 and 8");
        assert!(!writes.flushes(&header(7, 2)));
        writes.installed = Some(Index(4));
        assert!(!writes.flushes(&header(4, 1)), "a snapshot has replaced the log");
    }
}
