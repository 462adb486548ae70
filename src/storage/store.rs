//! The store as a whole: its requests, its events, and the routing of completions to its parts.

use std::collections::VecDeque;

use crate::storage::config::StorageConfig;
use crate::storage::disk::{Completion, DiskError, FileName, Lane, Operation, OperationId};
use crate::storage::error::StorageError;
use crate::storage::identity::{Identity, Origin};
use crate::storage::log::{Log, LogStart};
use crate::storage::operations::{Operations, Owner};
use crate::storage::reader::{FetchId, Purpose, ReadOutcome};
use crate::storage::repair::RepairOutcome;
use crate::storage::snapshots::{SnapshotEvent, Snapshots};
use crate::storage::spare_segments::SpaceChange;
use crate::storage::superblock::{COPIES, COPY_BYTES, damaged_copy};
use crate::storage::superblock_updater::SuperblockUpdater;
use crate::types::{
    DamagedEntry, Entry, EntryId, HardState, Index, Payload, SnapshotMeta, Write, WriteId,
};

/// The log, hard state and snapshots of a node on disk, without I/O of its own: operations go out,
/// completions come in.
///
/// [`Storage::format`](crate::storage::Storage::format) formats a directory,
/// [`Storage::open`](crate::storage::Storage::open) recovers it; from [`Storage::start`] on no call
/// blocks. After an [`Event::Failed`] every call is accepted and has no effect.
#[derive(Clone, Debug)]
pub struct Storage {
    config: StorageConfig,
    pub(crate) identity: Identity,
    pub(crate) operations: Operations,
    pub(crate) updater: SuperblockUpdater,
    pub(crate) log: Log,
    pub(crate) snapshots: Snapshots,
    /// The last index of the snapshot that the superblock names, as far as `snapshots` knows it.
    pub(crate) recorded_index: Index,
    /// Whether [`Storage::start`] was called. Before that, the opening or the import records the
    /// floor.
    pub(crate) started: bool,
    /// The number of spare segments to keep now: 0 until the start, unless an opening or an import
    /// has to write a flush.
    pub(crate) spare_segments_target: usize,
    /// Whether the last [`Event::Full`] said that the file system is full.
    pub(crate) full: bool,
    /// Whether the last [`Event::Exhausted`] said that a resource is missing.
    pub(crate) exhausted: bool,
    /// Snapshots to report once the superblock names them, each with its superblock request.
    pub(crate) pending_snapshots: VecDeque<(u64, SnapshotMeta)>,
    pub(crate) closing: Closing,
    pub(crate) failed: bool,
    /// Segments found at the opening that hold no flush of the log.
    pub(crate) unused_segments: Vec<u64>,
    /// The bytes scrubbed since an update of the superblock was last requested only to store the
    /// place of the scrub.
    pub(crate) unsaved_scrub_bytes: u64,
    /// The damaged sectors of the log that the opening has written again.
    pub(crate) repaired_sectors: Option<StorageError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Closing {
    No,
    /// The close was requested; it waits until the log is idle.
    Requested,
    /// The close waits until the superblock durably records the clean shutdown.
    Recording(u64),
    Done,
}

/// An operation for the driver to execute, or a result for the owner of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The driver must execute this operation, in the order of its lane, and report its completion.
    /// A read that failed with [`DiskError::Exhausted`] is requested again under its number.
    Disk(Operation),
    /// This write, and every write before it, is durable.
    Persisted(WriteId),
    /// The result of a [`Storage::fetch`].
    Fetched {
        /// The id passed to [`Storage::fetch`].
        id: FetchId,
        /// The entries from the first requested one on, at least one; empty if the log does not
        /// have the first, or if an [`Event::Damaged`] before this event names it.
        entries: Vec<Entry>,
    },
    /// A read, a scrub or a repair has found that the disk cannot return the content of these
    /// entries. They are in ascending order, and keep their places in the log. [`Storage::repair`]
    /// writes their content again.
    Damaged(Vec<DamagedEntry>),
    /// A header block is damaged and cannot be rebuilt; the text names the entries that it may have
    /// held. Each block is reported once. A read of one of these entries stops the store, and a
    /// start may reject the directory.
    DamagedHeaders(StorageError),
    /// A copy of the superblock does not hold what was written to it. The other copies suffice, and
    /// the store writes this one again.
    DamagedSuperblock(StorageError),
    /// The end of a [`Storage::repair`]: these entries are intact and durable again. They may
    /// include entries of earlier repairs that shared a sector with others.
    Repaired(Vec<EntryId>),
    /// The end of a [`Storage::scrub`].
    Scrubbed {
        /// The number of bytes that were read, or that failed reads asked for.
        bytes: u64,
        /// Whether this was the last part of a pass through all durable data.
        pass_ended: bool,
    },
    /// The superblock durably names this snapshot as the current one; the entries that it covers
    /// may be compacted.
    SnapshotRecorded(SnapshotMeta),
    /// An event of a snapshot that is being taken, received or served, or of a kept one.
    Snapshot(SnapshotEvent),
    /// The file system has no room for spare segments (true), or has room again (false). Writes
    /// continue until the last spare segment is full.
    Full(bool),
    /// Reads, or the creation of a segment, wait, because the process or the machine lacks a
    /// resource such as open files or memory: the first error; or they wait no longer (`None`).
    /// [`Storage::retry`] tries them again. Nothing is damaged.
    Exhausted(Option<StorageError>),
    /// Every write is durable, and the superblock records the clean shutdown of the node. Writes
    /// that needed a new segment are lost if there was no room for it, or a resource was missing.
    Closed,
    /// The store has failed for good: no event follows, and every further call is ignored.
    Failed(StorageError),
}

impl Storage {
    /// Combines the parts of a store that recovery found.
    pub(crate) fn assemble(
        config: StorageConfig,
        updater: SuperblockUpdater,
        snapshots: Snapshots,
        start: LogStart,
    ) -> Storage {
        let identity = updater.durable().identity;
        Storage {
            log: Log::new(identity, &config, start),
            config,
            identity,
            operations: Operations::default(),
            recorded_index: updater.durable().snapshot.last.index,
            updater,
            snapshots,
            started: false,
            spare_segments_target: 0,
            full: false,
            exhausted: false,
            pending_snapshots: VecDeque::new(),
            closing: Closing::No,
            failed: false,
            unused_segments: Vec::new(),
            unsaved_scrub_bytes: 0,
            repaired_sectors: None,
        }
    }

    /// Returns the identity of the directory: cluster, node and incarnation.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Returns the log that the directory was made from, if it did not begin empty.
    #[must_use]
    pub fn origin(&self) -> Option<Origin> {
        self.updater.durable().origin
    }

    /// Returns the durable hard state.
    #[must_use]
    pub fn hard_state(&self) -> HardState {
        self.updater.durable().hard_state
    }

    /// Returns the current snapshot.
    #[must_use]
    pub fn snapshot(&self) -> &SnapshotMeta {
        &self.updater.durable().snapshot
    }

    /// Returns the entry before the first one on disk.
    #[must_use]
    pub fn base(&self) -> EntryId {
        self.log.index.base().id
    }

    /// Returns the last durable entry, or the base if the log is empty.
    #[must_use]
    pub fn last(&self) -> EntryId {
        self.log.index.last().id
    }

    /// Starts creating spare segments, and removes segments that hold no flush of the log. Must be
    /// called once, after opening.
    pub fn start(&mut self, events: &mut Vec<Event>) {
        self.started = true;
        self.spare_segments_target = self.config.spare_segments;
        // No event of the opening reached the caller, not even one about a full file system.
        self.full = false;
        self.log.spare_segments.retry();
        let unused = std::mem::take(&mut self.unused_segments);
        self.log.remove(unused, &mut self.operations);
        self.advance(events);
    }

    /// Makes a write durable, together with other pending writes; [`Event::Persisted`] reports it.
    ///
    /// # Panics
    /// If a command is larger than `command_bytes_max`, if a membership is invalid, or after
    /// [`Storage::close`]. If the entries leave a gap, or replace one at or before the base, this
    /// call or a later one panics.
    pub fn persist(&mut self, write: Write, events: &mut Vec<Event>) {
        if self.failed {
            return;
        }
        assert!(self.closing == Closing::No, "contract: no write follows a close");
        for entry in &write.entries {
            match &entry.payload {
                Payload::Noop => {}
                Payload::Command(command) => {
                    let within = command.len() <= self.config.command_bytes_max;
                    assert!(within, "contract: a command has at most command_bytes_max bytes");
                }
                Payload::Membership(membership) => {
                    let is_valid = membership.violation().is_none();
                    assert!(is_valid, "contract: the membership is valid");
                }
            }
        }
        self.log.queue.push(write);
        self.advance(events);
    }

    /// Reads durable entries from `first` through `last`, at most `bytes_max` bytes and within the
    /// limits of the configuration, but at least one entry.
    ///
    /// # Panics
    /// If `first` is after `last`.
    pub fn fetch(
        &mut self,
        id: FetchId,
        first: Index,
        last: Index,
        bytes_max: usize,
        events: &mut Vec<Event>,
    ) {
        assert!(first <= last, "contract: a fetch names at least one entry");
        if self.failed {
            return;
        }
        let Some(position) = self.log.index.locate(first) else {
            events.push(Event::Fetched { id, entries: Vec::new() });
            return;
        };
        let purpose = Purpose::Fetch { id, bytes_max };
        self.log.reads.begin(purpose, position, first, last, &mut self.operations);
        self.advance(events);
    }

    /// Writes again the content of damaged entries, as a peer has provided it: in place, and only
    /// into sectors that are damaged. [`Event::Repaired`] names the entries that are intact then.
    /// An entry is ignored if the log no longer has it, or if its content is not what was written.
    /// If a damaged sector has bytes of other damaged entries, it is written once all of them were
    /// provided, in this call or in others; [`Event::Damaged`] names them before.
    pub fn repair(&mut self, entries: Vec<Entry>, events: &mut Vec<Event>) {
        if self.failed {
            return;
        }
        // A sector that is written again loses the bytes of compacted entries, so the superblock
        // has to record first that no start needs them.
        let compacted = self.updater.target().compacted;
        if compacted > self.updater.durable().compacted {
            self.updater.request(|_| {});
        }
        self.log.repairs.push(entries, compacted);
        self.advance(events);
    }

    /// Reads durable data again, from the place at which the last scrub ended, even after a
    /// restart: each update of the superblock stores the place. A pass reads the copies of the
    /// superblock, then the log, then the kept snapshots. In the log a call reads flush by flush
    /// until it has read `bytes_max` bytes or more; of a snapshot it reads one piece of at most 1
    /// MiB. It reports [`Event::Damaged`] for the damage that only peers can repair,
    /// [`Event::DamagedHeaders`] for header blocks that nothing can rebuild, and
    /// [`SnapshotEvent::Damaged`] for a snapshot, repairs the rest, and ends with
    /// [`Event::Scrubbed`]. The caller waits for that before the next scrub. The reads return the
    /// content of the disk rather than of a cache.
    pub fn scrub(&mut self, bytes_max: u64, events: &mut Vec<Event>) {
        if self.failed {
            return;
        }
        if !self.snapshots.is_scrubbing() {
            self.log.repairs.push_scrub(bytes_max);
        } else if !self.snapshots.scrub(&mut self.operations) {
            events.push(Event::Scrubbed { bytes: 0, pass_ended: true });
        }
        self.advance(events);
    }

    /// Returns true if one flush has room for the entries.
    pub(crate) fn is_one_flush(&self, entries: &[Entry]) -> bool {
        let sizes = entries.iter().map(|entry| entry.payload.bytes());
        self.config.entries_per_flush(sizes) >= entries.len()
    }

    /// Returns an upper bound of the bytes that all [`Event::Scrubbed`] of one pass report
    /// together, if no read fails.
    #[must_use]
    pub fn durable_bytes(&self) -> u64 {
        let segments = self.log.index.segments();
        let log: u64 = segments.map(|number| self.log.segment_bytes(number)).sum();
        COPIES as u64 * COPY_BYTES as u64 + log + self.snapshots.bytes()
    }

    /// Removes the segments whose entries are all at or before `through` and covered by the current
    /// snapshot, except for the last segment.
    pub fn compact(&mut self, through: Index, events: &mut Vec<Event>) {
        if self.failed {
            return;
        }
        let through = through.min(self.updater.durable().snapshot.last.index);
        self.updater.note(|superblock| superblock.compacted = superblock.compacted.max(through));
        self.log.compact(through, &mut self.operations);
        self.advance(events);
    }

    /// Makes `meta`, a snapshot that is verified and durable as a file, the current one;
    /// [`Event::SnapshotRecorded`] reports it. A snapshot that is older than the current one is
    /// ignored; one that ends at the same index has replaced its damaged file.
    pub fn set_snapshot(&mut self, meta: SnapshotMeta, events: &mut Vec<Event>) {
        if self.failed || meta.last.index < self.updater.target().snapshot.last.index {
            return;
        }
        let request = self.updater.request(|superblock| superblock.snapshot = meta.clone());
        if let Some((before, older)) = self.pending_snapshots.back() {
            assert!(*before < request, "snapshots are recorded in the order of their requests");
            assert!(older.last.index <= meta.last.index, "the recorded snapshots ascend");
        }
        self.pending_snapshots.push_back((request, meta));
        self.advance(events);
    }

    /// Returns true if the state machine was found to have diverged, and was not rebuilt since.
    #[must_use]
    pub fn is_quarantined(&self) -> bool {
        self.updater.target().is_quarantined
    }

    /// Records whether the state machine is known to have diverged, so that a restart does not use
    /// it.
    pub(crate) fn set_quarantined(&mut self, quarantined: bool, events: &mut Vec<Event>) {
        let is_closing = self.closing != Closing::No;
        if self.failed || is_closing || quarantined == self.is_quarantined() {
            return;
        }
        self.updater.request(|superblock| superblock.is_quarantined = quarantined);
        self.advance(events);
    }

    /// Closes the store: makes the pending writes durable, then reports [`Event::Closed`].
    /// Writes that need a new segment are lost, as in a crash, while the file system has no room or
    /// a resource is missing.
    pub fn close(&mut self, events: &mut Vec<Event>) {
        if self.failed || self.closing != Closing::No {
            return;
        }
        self.closing = Closing::Requested;
        self.advance(events);
    }

    /// Handles the result of an operation.
    ///
    /// # Panics
    /// If the operation was not requested, or its completion was reported before.
    pub fn completed(&mut self, completion: Completion, events: &mut Vec<Event>) {
        if self.failed {
            return;
        }
        let Completion { id, result } = completion;
        if result.as_ref().is_err_and(|error| self.defer(id, error, events)) {
            return self.advance(events);
        }
        let (owner, file, offset) = self.operations.complete(id);
        let taken = match owner {
            owner
                if owner != Owner::Cache
                    && result.as_ref().is_err_and(DiskError::is_lasting_obstacle) =>
            {
                result.map(drop).map_err(|error| StorageError::disk(file, offset, &error))
            }
            Owner::Superblock => match result {
                Ok(bytes) => self.updater.completed(id, &bytes, &mut self.operations),
                // A copy that cannot be read back counts as not intact.
                Err(_) if self.updater.is_reading_back() => {
                    self.updater.completed(id, &[], &mut self.operations)
                }
                Err(error) => Err(StorageError::disk(file, offset, &error)),
            },
            Owner::Floor => {
                result.map(drop).map_err(|error| StorageError::disk(file, offset, &error))
            }
            Owner::Cache => Ok(()),
            Owner::Log => self.on_log(id, file, offset, result, events),
            Owner::Snapshots => {
                self.snapshots.complete(&mut self.operations, id, file, offset, result)
            }
        };
        match taken {
            Ok(()) => self.advance(events),
            Err(failure) => {
                self.failed = true;
                events.push(Event::Failed(failure));
            }
        }
    }

    /// Handles the result of an operation on the segments.
    fn on_log(
        &mut self,
        id: OperationId,
        file: Option<FileName>,
        offset: u64,
        result: Result<Vec<u8>, DiskError>,
        events: &mut Vec<Event>,
    ) -> Result<(), StorageError> {
        if self.log.spare_segments.has(id) {
            match self.log.spare_segments.completed(id, result, &mut self.operations)? {
                SpaceChange::Full if !self.full => {
                    self.full = true;
                    events.push(Event::Full(true));
                }
                SpaceChange::Exhausted(error) => self.report_exhausted(error, events),
                SpaceChange::Full | SpaceChange::Unchanged => {}
            }
            return Ok(());
        }
        if self.log.reads.has(id) {
            let Log { reads, index, .. } = &mut self.log;
            let compacted = self.updater.durable().compacted;
            match reads.completed(id, result, index, compacted, &mut self.operations)? {
                ReadOutcome::Entries(id, entries, damaged) => {
                    events.extend((!damaged.is_empty()).then_some(Event::Damaged(damaged)));
                    events.push(Event::Fetched { id, entries });
                }
                ReadOutcome::Link(link) => self.log.on_link(link),
                ReadOutcome::Gone(purpose) => self.end_reads(vec![purpose], events),
                ReadOutcome::DamagedHeaders(segment) => self.log.repairs.push_headers(segment),
                ReadOutcome::Pending => {}
            }
            self.log.remove_obsolete(&mut self.operations);
            return Ok(());
        }
        if self.log.repairs.is_reading(id) {
            self.log.repairs.completed(id, result.ok());
            return Ok(());
        }
        result.map_err(|error| StorageError::disk(file, offset, &error))?;
        if self.log.repairs.is_writing(id) {
            self.log.repairs.completed(id, None);
        } else if self.log.has(id) {
            let mut persisted = Vec::new();
            let flush = self.log.flushed(id, &mut persisted);
            events.extend(persisted.into_iter().map(Event::Persisted));
            if let Some(flush) = flush.filter(|_| self.started) {
                let term = self.updater.durable().hard_state.term;
                assert!(flush.last.id.term <= term, "the term of an entry is durable before it");
                self.mark_floor();
                if flush.header.0 == 0 || flush.seq == self.updater.durable().log_start {
                    // If the segment is lost later, the superblock shows that it held a flush that
                    // is not obsolete.
                    self.updater.request(|_| {});
                }
            }
        } else if self.log.removed(id, &mut self.operations) {
            // A removed segment may have freed room for a spare one.
            self.log.spare_segments.retry();
        }
        Ok(())
    }

    /// Marks the last durable flush as acknowledged, unless the log has no segment.
    pub(crate) fn mark_floor(&mut self) {
        if let Some(floor) = self.log.floor() {
            let mark = floor.mark(&self.identity);
            self.operations.request(Owner::Floor, Lane::Log, mark);
        }
    }

    /// Resumes creating spare segments after the file system was full, and repeats what waits for
    /// a resource. The owner calls it from time to time after [`Event::Full`] or
    /// [`Event::Exhausted`] until these report the end.
    pub fn retry(&mut self, events: &mut Vec<Event>) {
        if self.failed {
            return;
        }
        self.log.spare_segments.retry();
        self.operations.repeat_deferred();
        self.advance(events);
    }

    /// Takes every step that is possible without a further completion.
    pub(crate) fn advance(&mut self, events: &mut Vec<Event>) {
        if self.failed {
            return;
        }
        let mut persisted = Vec::new();
        let base = self.log.index.base();
        self.log.advance(&mut self.updater, &mut self.operations, &mut persisted);
        events.extend(persisted.into_iter().map(Event::Persisted));
        let mut ended_reads = Vec::new();
        let durable = self.updater.durable();
        let repaired = self.log.advance_repairs(durable, &mut self.operations, &mut ended_reads);
        self.end_reads(ended_reads, events);
        for outcome in repaired {
            match outcome {
                RepairOutcome::Entries { repaired, lacking } => {
                    events.extend((!lacking.is_empty()).then_some(Event::Damaged(lacking)));
                    events.push(Event::Repaired(repaired));
                }
                RepairOutcome::Headers(_, lost) => {
                    events.extend(lost.into_iter().map(Event::DamagedHeaders));
                }
                RepairOutcome::Scrub(outcome) => self.on_scrubbed(outcome, events),
            }
        }
        let damaged = self.updater.take_damaged().map(damaged_copy);
        events.extend(damaged.map(Event::DamagedSuperblock));
        let recorded = |(request, _): &mut (u64, SnapshotMeta)| self.updater.is_durable(*request);
        while let Some((_, meta)) = self.pending_snapshots.pop_front_if(recorded) {
            events.push(Event::SnapshotRecorded(meta));
        }
        let current = &self.updater.durable().snapshot;
        if current.last.index > self.recorded_index {
            self.recorded_index = current.last.index;
            self.snapshots.set_current(&mut self.operations, current);
        }
        events.extend(self.snapshots.take_events().map(Event::Snapshot));
        if let Some(bytes) = self.snapshots.take_scrubbed() {
            self.report_scrubbed(bytes, events);
        }
        self.save_scrub_place();
        self.report_end_of_lack(events);
        self.advance_closing(events);
        self.updater.advance(self.log.acknowledged(), &mut self.operations);
        if base != self.log.index.base() {
            // An installed snapshot replaced the log, so the segments before it hold nothing.
            self.log.compact(self.log.index.base().id.index, &mut self.operations);
        }
        match self.closing {
            Closing::No => {
                self.log.spare_segments.advance(self.spare_segments_target, &mut self.operations);
            }
            Closing::Requested if self.log.waits_for_segment() => {
                self.log.spare_segments.advance(1, &mut self.operations);
            }
            _ => {}
        }
        if self.full && self.log.spare_segments.len() >= self.spare_segments_target {
            self.full = false;
            events.push(Event::Full(false));
        }
        events.extend(self.operations.take().map(Event::Disk));
        self.check();
    }

    /// Ends reads of segments that were compacted meanwhile.
    fn end_reads(&mut self, ended: Vec<Purpose>, events: &mut Vec<Event>) {
        for purpose in ended {
            match purpose {
                Purpose::Fetch { id, .. } => {
                    events.push(Event::Fetched { id, entries: Vec::new() });
                }
                Purpose::Link => {
                    self.log.on_link_compacted();
                    let mut persisted = Vec::new();
                    self.log.advance(&mut self.updater, &mut self.operations, &mut persisted);
                    events.extend(persisted.into_iter().map(Event::Persisted));
                }
            }
        }
    }

    fn advance_closing(&mut self, events: &mut Vec<Event>) {
        if self.closing == Closing::Requested && self.log.spare_segments.is_stopped() {
            self.log.drop_unwritable();
        }
        match self.closing {
            Closing::Requested if self.log.is_idle() => {
                let request = self.updater.request(|superblock| superblock.clean = true);
                self.closing = Closing::Recording(request);
            }
            Closing::Recording(request) if self.updater.is_durable(request) => {
                self.closing = Closing::Done;
                events.push(Event::Closed);
            }
            _ => {}
        }
    }
}
