//! The log store as one piece: what it is asked for, and what it wants done.

use std::collections::VecDeque;

use crate::storage::ahead::Space;
use crate::storage::config::StorageConfig;
use crate::storage::disk::{Completion, DiskError, FileName, Operation, OperationId};
use crate::storage::failure::Failure;
use crate::storage::identity::{Identity, Origin};
use crate::storage::keeper::Keeper;
use crate::storage::log::{Log, LogStart};
use crate::storage::operations::{Operations, Owner};
use crate::storage::reader::{FetchId, Found, Purpose};
use crate::storage::snapshots::{SnapshotEvent, Snapshots};
use crate::types::{Entry, EntryId, HardState, Index, Payload, SnapshotMeta, Write, WriteId};

/// A node's log, hard state and snapshot on disk, sans-IO: operations out, completions in.
///
/// [`Storage::format`](crate::storage::Storage::format) makes a directory,
/// [`Storage::open`](crate::storage::Storage::open) recovers it; from [`Storage::start`] on
/// nothing waits. After an [`Event::Failed`] it takes everything and does nothing.
#[derive(Clone, Debug)]
pub struct Storage {
    config: StorageConfig,
    identity: Identity,
    pub(crate) operations: Operations,
    pub(crate) keeper: Keeper,
    pub(crate) log: Log,
    pub(crate) snapshots: Snapshots,
    /// The snapshot the superblock named when the part above last learnt of it.
    named: Index,
    /// How many empty segments are kept by now.
    pub(crate) segments_ahead: usize,
    /// Whether [`Event::Full`] said so last.
    full: bool,
    /// Snapshots to be reported once the superblock names them.
    recorded: VecDeque<(u64, SnapshotMeta)>,
    closing: Closing,
    pub(crate) failed: bool,
    /// Segments found at the opening that hold nothing.
    pub(crate) litter: Vec<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closing {
    No,
    /// Once nothing is on its way.
    Wanted,
    /// The superblock has been asked to say so.
    Asked(u64),
    Done,
}

/// What the store wants done, or has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Carry this out, in the order of its lane, and report its completion.
    Disk(Operation),
    /// The write, and every write before it, is durable.
    Persisted(WriteId),
    /// The entries asked for.
    Fetched {
        /// As asked for.
        id: FetchId,
        /// From the first one on, at least one; none if the log no longer has the first.
        entries: Vec<Entry>,
    },
    /// The snapshot is the one in force, durably; entries it covers may be forgotten.
    SnapshotRecorded(SnapshotMeta),
    /// Something became of a snapshot that is taken, received or served.
    Snapshot(SnapshotEvent),
    /// The file system has no room for segments to come (true), or has it again (false). Until the
    /// last segment is full everything goes on.
    Full(bool),
    /// Everything is durable, and the superblock says that the node stopped in good order.
    Closed,
    /// The end: nothing is reported after this, and nothing taken.
    Failed(Failure),
}

impl Storage {
    /// A store over what recovery found.
    pub(crate) fn assemble(
        config: StorageConfig,
        keeper: Keeper,
        snapshots: Snapshots,
        start: LogStart,
    ) -> Storage {
        let identity = keeper.durable().identity;
        Storage {
            log: Log::new(identity, &config, start),
            config,
            identity,
            operations: Operations::default(),
            named: keeper.durable().snapshot.last.index,
            keeper,
            snapshots,
            segments_ahead: 0,
            full: false,
            recorded: VecDeque::new(),
            closing: Closing::No,
            failed: false,
            litter: Vec::new(),
        }
    }

    /// Whose directory it is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// What the directory was made from, if it did not begin empty.
    #[must_use]
    pub fn origin(&self) -> Option<Origin> {
        self.keeper.durable().origin
    }

    /// The hard state that is durable.
    #[must_use]
    pub fn hard_state(&self) -> HardState {
        self.keeper.durable().hard_state
    }

    /// The snapshot in force.
    #[must_use]
    pub fn snapshot(&self) -> &SnapshotMeta {
        &self.keeper.durable().snapshot
    }

    /// The entry before the first that the disk has.
    #[must_use]
    pub fn base(&self) -> EntryId {
        self.log.index.base().id
    }

    /// The last entry that is durable, or the base.
    #[must_use]
    pub fn last(&self) -> EntryId {
        self.log.index.last().id
    }

    /// Begins: creates segments ahead, removes empty leftovers. Call it once, after opening.
    pub fn start(&mut self, events: &mut Vec<Event>) {
        self.segments_ahead = self.config.segments_ahead;
        // That the opening found no room, nobody has heard.
        self.full = false;
        self.log.ahead.retry();
        let litter = std::mem::take(&mut self.litter);
        self.log.remove(litter, &mut self.operations);
        self.advance(events);
    }

    /// Makes a write durable, together with whatever waits; [`Event::Persisted`] says when.
    ///
    /// # Panics
    /// If its entries leave a gap, change what is before the base, a command is larger than
    /// `command_bytes_max`, or a membership is none that a node may have.
    pub fn persist(&mut self, write: Write, events: &mut Vec<Event>) {
        if self.failed {
            return;
        }
        assert!(self.closing == Closing::No, "contract: nothing is written after the closing");
        for entry in &write.entries {
            match &entry.payload {
                Payload::Noop => {}
                Payload::Command(command) => {
                    let within = command.len() <= self.config.command_bytes_max;
                    assert!(within, "contract: command_bytes_max holds");
                }
                Payload::Membership(membership) => {
                    let flawless = membership.flaw().is_none();
                    assert!(flawless, "contract: a node may have the membership");
                }
            }
        }
        self.log.queue.push(write);
        self.advance(events);
    }

    /// Reads durable entries from `first` to `last`, as many as `bytes_max` and the store's own
    /// bounds allow, but at least one.
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
        assert!(first <= last, "contract: a fetch asks for something");
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

    /// Entries through `through` are no longer needed: whole segments are removed, and never what
    /// the snapshot in force does not cover.
    pub fn forget(&mut self, through: Index, events: &mut Vec<Event>) {
        if self.failed {
            return;
        }
        let through = through.min(self.keeper.durable().snapshot.last.index);
        self.log.forget(through, &mut self.operations);
        self.advance(events);
    }

    /// A snapshot that is taken, verified and durable as a file becomes the one in force;
    /// [`Event::SnapshotRecorded`] says when. One that is no newer is let go without a word.
    pub fn set_snapshot(&mut self, meta: SnapshotMeta, events: &mut Vec<Event>) {
        if self.failed || meta.last.index <= self.keeper.wanted().snapshot.last.index {
            return;
        }
        let request = self.keeper.ask(|superblock| superblock.snapshot = meta.clone());
        self.recorded.push_back((request, meta));
        self.advance(events);
    }

    /// There may be room again: segments are created that could not be.
    pub fn retry_space(&mut self, events: &mut Vec<Event>) {
        if self.failed {
            return;
        }
        self.log.ahead.retry();
        self.advance(events);
    }

    /// Stops in good order: what waits becomes durable, then [`Event::Closed`].
    pub fn close(&mut self, events: &mut Vec<Event>) {
        if self.failed || self.closing != Closing::No {
            return;
        }
        self.closing = Closing::Wanted;
        self.advance(events);
    }

    /// An operation is done, or has failed.
    ///
    /// # Panics
    /// If it was not asked for, or is reported twice.
    pub fn completed(&mut self, completion: Completion, events: &mut Vec<Event>) {
        if self.failed {
            return;
        }
        let Completion { id, result } = completion;
        let (owner, file, offset) = self.operations.done(id);
        let taken = match owner {
            Owner::Superblock => match result {
                Ok(bytes) => self.keeper.completed(id, &bytes, &mut self.operations),
                Err(error) => Err(Failure::disk(file, offset, &error)),
            },
            Owner::Log => self.on_log(id, (file, offset), result, events),
            Owner::Snapshots => {
                self.snapshots.complete(&mut self.operations, id, (file, offset), result)
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

    /// An operation of the segments is done.
    fn on_log(
        &mut self,
        id: OperationId,
        (file, offset): (Option<FileName>, u64),
        result: Result<Vec<u8>, DiskError>,
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        if self.log.ahead.has(id) {
            let space = self.log.ahead.completed(id, result, &mut self.operations)?;
            if space == Space::Full && !self.full {
                self.full = true;
                events.push(Event::Full(true));
            }
            return Ok(());
        }
        let bytes = result.map_err(|error| Failure::disk(file, offset, &error))?;
        if self.log.reads.has(id) {
            match self.log.reads.completed(id, &bytes, &mut self.operations)? {
                Found::Entries(id, entries) => events.push(Event::Fetched { id, entries }),
                Found::Link(link) => self.log.on_link(link),
                Found::Nothing => {}
            }
            self.log.remove_forgotten(&mut self.operations);
        } else if self.log.has(id) {
            let mut persisted = Vec::new();
            self.log.flushed(id, &mut persisted);
            events.extend(persisted.into_iter().map(Event::Persisted));
        } else if self.log.removed(id, &mut self.operations) {
            // A segment is gone: there may be room for another.
            self.log.ahead.retry();
        }
        Ok(())
    }

    /// Takes every step that waits for nothing.
    pub(crate) fn advance(&mut self, events: &mut Vec<Event>) {
        if self.failed {
            return;
        }
        let mut persisted = Vec::new();
        let had_segments = self.log.index.base();
        self.log.advance(&mut self.keeper, &mut self.operations, &mut persisted);
        events.extend(persisted.into_iter().map(Event::Persisted));
        let recorded = |(request, _): &mut (u64, SnapshotMeta)| self.keeper.has(*request);
        while let Some((_, meta)) = self.recorded.pop_front_if(recorded) {
            events.push(Event::SnapshotRecorded(meta));
        }
        let in_force = &self.keeper.durable().snapshot;
        if in_force.last.index > self.named {
            self.named = in_force.last.index;
            self.snapshots.put_in_force(&mut self.operations, in_force);
        }
        events.extend(self.snapshots.take_events().map(Event::Snapshot));
        self.advance_closing(events);
        self.keeper.advance(self.log.acknowledged(), &mut self.operations);
        if had_segments != self.log.index.base() {
            // A snapshot took the log's place: the segments before hold nothing.
            self.log.forget(self.log.index.base().id.index, &mut self.operations);
        }
        if self.closing == Closing::No {
            self.log.ahead.advance(self.segments_ahead, &mut self.operations);
        }
        if self.full && self.log.ahead.len() >= self.segments_ahead {
            self.full = false;
            events.push(Event::Full(false));
        }
        events.extend(self.operations.take().map(Event::Disk));
    }

    fn advance_closing(&mut self, events: &mut Vec<Event>) {
        match self.closing {
            Closing::Wanted if self.log.is_idle() => {
                let request = self.keeper.ask(|superblock| superblock.clean = true);
                self.closing = Closing::Asked(request);
            }
            Closing::Asked(request) if self.keeper.has(request) => {
                self.closing = Closing::Done;
                events.push(Event::Closed);
            }
            _ => {}
        }
    }
}
