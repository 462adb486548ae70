//! A directory that does not begin empty: snapshot and log first, the superblock last, so that
//! nobody can open it before it is complete.

use crate::storage::ahead::Ahead;
use crate::storage::block::{FlushSeq, Link};
use crate::storage::config::StorageConfig;
use crate::storage::disk::Disk;
use crate::storage::failure::OpenError;
use crate::storage::identity::{Identity, Origin};
use crate::storage::index::LogIndex;
use crate::storage::keeper::Keeper;
use crate::storage::log::LogStart;
use crate::storage::open::{list, write_first};
use crate::storage::snapshots::{AbandonReason, SnapshotEvent, Snapshots};
use crate::storage::store::{Event, Storage};
use crate::storage::superblock::Superblock;
use crate::types::{
    Entry, EntryId, HardState, Index, Membership, Payload, SnapshotMeta, Term, Write, WriteId,
};

/// A directory that is being filled. First the snapshot, chunk by chunk; then the entries after
/// it; and [`Foundation::finish`] makes it a node's. One that was given up, or cut short by a
/// crash, is no node's, and has to be emptied before another attempt.
#[derive(Clone, Debug)]
pub struct Foundation {
    superblock: Superblock,
    storage: Storage,
    command_bytes_max: usize,
    writes: u64,
}

impl Foundation {
    /// Begins in an empty directory: the node's first membership is `membership`, and its log
    /// goes on after `last`. Unless that is zero, the snapshot of the state at `last` is to follow.
    ///
    /// # Errors
    /// There is something in the directory, the configuration is out of its bounds, or the disk
    /// failed.
    pub fn begin(
        disk: &mut impl Disk,
        identity: Identity,
        origin: Origin,
        last: EntryId,
        membership: &Membership,
        config: &StorageConfig,
    ) -> Result<Foundation, OpenError> {
        config.check().map_err(OpenError::Config)?;
        if let Some((file, _)) = list(disk)?.first() {
            return Err(OpenError::NotEmpty(*file));
        }
        let mut superblock = Superblock::new(identity, membership);
        superblock.origin = Some(origin);
        let keeper = Keeper::new(superblock.clone(), &[]);
        let (cluster, empty) = (identity.cluster, &superblock.snapshot);
        let found = Snapshots::open(disk, cluster, empty, config.snapshots)?;
        let start = LogStart {
            index: LogIndex::new(Link::anchor(last)),
            next_seq: FlushSeq(1),
            acknowledged: FlushSeq(0),
            ahead: Ahead::new(Vec::new(), 1, config.segment_bytes),
        };
        let storage = Storage::assemble(config.clone(), keeper, found.snapshots, start);
        let command_bytes_max = config.command_bytes_max;
        let mut foundation = Foundation { superblock, storage, command_bytes_max, writes: 0 };
        if last.index > Index::ZERO {
            foundation.act(disk, |storage, events| {
                let begun = storage.take_snapshot(last, membership.clone(), events);
                assert!(begun, "an empty directory has no snapshot");
            })?;
        }
        Ok(foundation)
    }

    /// The next chunk of the snapshot: of exactly the configured size, save the last.
    ///
    /// # Errors
    /// The file system is full, the snapshot larger than the configuration allows, or the disk
    /// failed.
    ///
    /// # Panics
    /// If it has the wrong size, or no snapshot was to follow.
    pub fn chunk(&mut self, disk: &mut impl Disk, bytes: Vec<u8>) -> Result<(), OpenError> {
        self.act(disk, |storage, events| storage.write_snapshot(bytes, events))
    }

    /// The snapshot has all its content: it is made durable, and read back.
    ///
    /// # Errors
    /// As [`Foundation::chunk`], or it was not read back as it was written.
    ///
    /// # Panics
    /// If no snapshot was to follow.
    pub fn end_snapshot(&mut self, disk: &mut impl Disk) -> Result<(), OpenError> {
        self.act(disk, Storage::end_snapshot)?;
        let taken = self.superblock.snapshot.last.index > Index::ZERO;
        assert!(taken, "what was ended is taken, or an error");
        Ok(())
    }

    /// Entries that follow those so far.
    ///
    /// # Errors
    /// A command is larger than the configuration allows, the file system is full, or the disk
    /// failed.
    ///
    /// # Panics
    /// If they do not follow.
    pub fn append(&mut self, disk: &mut impl Disk, entries: Vec<Entry>) -> Result<(), OpenError> {
        let too_large = |entry: &Entry| match &entry.payload {
            Payload::Command(command) => command.len() > self.command_bytes_max,
            Payload::Noop | Payload::Membership(_) => false,
        };
        if entries.iter().any(too_large) {
            let what = "command_bytes_max is less than the commands that the log has";
            return Err(OpenError::Config(what));
        }
        let Some(last) = entries.last().map(|entry| entry.id) else { return Ok(()) };
        self.writes += 1;
        let (id, committed) = (WriteId(self.writes), Index::ZERO);
        let write = Write { id, hard_state: None, committed, install: None, entries };
        self.storage.segments_ahead = 1;
        self.act(disk, |storage, events| storage.persist(write, events))?;
        // Without a segment the entries wait: there was no room for one.
        if self.storage.last() == last { Ok(()) } else { Err(OpenError::Full) }
    }

    /// The directory is the node's from now on, in `term` and without a vote, with everything in
    /// it committed.
    ///
    /// # Errors
    /// The disk failed.
    ///
    /// # Panics
    /// If the snapshot was not ended, or the term is before the log's last.
    pub fn finish(mut self, disk: &mut impl Disk, term: Term) -> Result<(), OpenError> {
        let last = self.storage.last();
        assert!(term >= last.term, "contract: no entry is of a later term");
        let base = self.storage.base();
        assert_eq!(self.superblock.snapshot.last, base, "contract: the snapshot is ended");
        self.superblock.hard_state = HardState::new(term, None);
        self.superblock.committed = last.index;
        self.superblock.ack_floor = self.storage.log.acknowledged();
        write_first(disk, &self.superblock)
    }

    /// Lets the store do something, and waits until it is done.
    fn act(
        &mut self,
        disk: &mut impl Disk,
        act: impl FnOnce(&mut Storage, &mut Vec<Event>),
    ) -> Result<(), OpenError> {
        let mut events = Vec::new();
        act(&mut self.storage, &mut events);
        for event in self.storage.carry_out(disk, events)? {
            match event {
                Event::Snapshot(SnapshotEvent::Taken(meta)) => self.taken(meta),
                Event::Snapshot(SnapshotEvent::Abandoned { reason, .. }) => {
                    return Err(given_up(reason));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn taken(&mut self, meta: SnapshotMeta) {
        self.superblock.snapshot = meta;
    }
}

fn given_up(reason: AbandonReason) -> OpenError {
    match reason {
        AbandonReason::Full => OpenError::Full,
        AbandonReason::TooLarge => {
            OpenError::Config("manifest_bytes_max is less than the snapshot needs")
        }
        AbandonReason::Damaged(failure) => OpenError::Failed(failure),
        AbandonReason::Superseded => {
            unreachable!("nobody else takes a snapshot of a store that is being made")
        }
    }
}
