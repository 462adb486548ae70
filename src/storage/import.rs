//! Imports a snapshot and a log into an empty directory. The superblock is written last, so that a
//! partly filled directory cannot be opened.

use crate::storage::block::{FlushSeq, Link};
use crate::storage::config::StorageConfig;
use crate::storage::directory::list;
use crate::storage::disk::Disk;
use crate::storage::error::OpenError;
use crate::storage::identity::{Identity, Origin};
use crate::storage::index::LogIndex;
use crate::storage::log::LogStart;
use crate::storage::open::write_first_superblock;
use crate::storage::snapshots::{AbandonReason, SnapshotEvent, Snapshots};
use crate::storage::spare_segments::SpareSegments;
use crate::storage::store::{Event, Storage};
use crate::storage::superblock::Superblock;
use crate::storage::superblock_updater::SuperblockUpdater;
use crate::types::{
    Entry, EntryId, HardState, Index, Membership, Payload, SnapshotMeta, Term, Write, WriteId,
};

/// An empty directory that is being filled: first with the snapshot, chunk by chunk, then with the
/// entries after it; [`StorageImport::finish`] makes it the directory of a node. After an import
/// that failed, or was interrupted by a crash, the directory must be emptied before another
/// attempt. It cannot be opened ([`OpenError::NoSuperblock`]), unless everything in it was durable
/// already.
#[derive(Clone, Debug)]
pub struct StorageImport {
    superblock: Superblock,
    storage: Storage,
    command_bytes_max: usize,
    writes: u64,
}

impl StorageImport {
    /// Begins in an empty directory: the node's first membership is `membership`, and its log
    /// continues after `last`. Unless `last` is zero, the snapshot of the state at `last` must
    /// follow.
    ///
    /// # Errors
    /// An [`OpenError`] if the directory is not empty, the configuration is out of its bounds, the
    /// file system is full, or the disk failed.
    pub fn begin(
        disk: &mut dyn Disk,
        identity: Identity,
        origin: Origin,
        last: EntryId,
        membership: &Membership,
        config: &StorageConfig,
    ) -> Result<StorageImport, OpenError> {
        config.check().map_err(|error| OpenError::Config(error.to_string()))?;
        if let Some((file, _)) = list(disk)?.first() {
            return Err(OpenError::NotEmpty(*file));
        }
        let mut superblock = Superblock::new(identity, membership);
        superblock.origin = Some(origin);
        let updater = SuperblockUpdater::new(superblock.clone(), &[]);
        let (cluster, empty) = (identity.cluster, &superblock.snapshot);
        let found = Snapshots::open(disk, cluster, empty, Index::ZERO, config.snapshots)?;
        let start = LogStart {
            index: LogIndex::new(Link::anchor(last)),
            next_seq: FlushSeq(1),
            acknowledged: FlushSeq(0),
            spare_segments: SpareSegments::new(Vec::new(), 1, config.segment_bytes),
        };
        let storage = Storage::assemble(config.clone(), updater, found.snapshots, start);
        let command_bytes_max = config.command_bytes_max;
        let mut import = StorageImport { superblock, storage, command_bytes_max, writes: 0 };
        if last.index > Index::ZERO {
            import.run(disk, |storage, events| {
                let begun = storage.take_snapshot(last, membership.clone(), events);
                assert!(begun, "an empty directory has no snapshot");
            })?;
        }
        Ok(import)
    }

    /// Writes the next chunk of the snapshot: exactly `chunk_bytes` long, except the last.
    ///
    /// # Errors
    /// An [`OpenError`] if the file system is full, the snapshot is larger than the configuration
    /// allows, or the disk failed.
    ///
    /// # Panics
    /// If the chunk has the wrong size, or no snapshot is expected.
    pub fn chunk(&mut self, disk: &mut dyn Disk, bytes: Vec<u8>) -> Result<(), OpenError> {
        self.run(disk, |storage, events| storage.write_snapshot(bytes, events))
    }

    /// Ends the snapshot after its last chunk: makes it durable, and reads it back.
    ///
    /// # Errors
    /// The errors of [`StorageImport::chunk`], and an error if the bytes read back differ from
    /// those written.
    ///
    /// # Panics
    /// If no snapshot is expected.
    pub fn end_snapshot(&mut self, disk: &mut dyn Disk) -> Result<(), OpenError> {
        self.run(disk, Storage::end_snapshot)?;
        let taken = self.superblock.snapshot.last.index > Index::ZERO;
        assert!(taken, "the end completes the snapshot, or returns an error");
        Ok(())
    }

    /// Appends entries that follow the ones appended so far.
    ///
    /// # Errors
    /// An [`OpenError`] if a command is larger than the configuration allows, the file system is
    /// full, or the disk failed.
    ///
    /// # Panics
    /// If the entries do not follow the last one, or a membership among them is invalid.
    pub fn append(&mut self, disk: &mut dyn Disk, entries: Vec<Entry>) -> Result<(), OpenError> {
        let too_large = |entry: &Entry| match &entry.payload {
            Payload::Command(command) => command.len() > self.command_bytes_max,
            Payload::Noop | Payload::Membership(_) => false,
        };
        if entries.iter().any(too_large) {
            let message = format!(
                "command_bytes_max is {}, smaller than a command of the log: raise it",
                self.command_bytes_max
            );
            return Err(OpenError::Config(message));
        }
        let Some(last) = entries.last().map(|entry| entry.id) else { return Ok(()) };
        self.writes += 1;
        let (id, committed) = (WriteId(self.writes), Index::ZERO);
        let write =
            Write { id, hard_state: None, committed, install: None, entries: entries.into() };
        self.storage.spare_segments_target = 1;
        self.run(disk, |storage, events| storage.persist(write, events))?;
        // Without room for a segment the entries stay queued.
        if self.storage.last() == last { Ok(()) } else { Err(OpenError::Full) }
    }

    /// Completes the import: a node can then start on the directory, in `term`, without a vote, and
    /// with every entry committed.
    ///
    /// # Errors
    /// An [`OpenError`] if the file system is full, or the disk failed.
    ///
    /// # Panics
    /// If the snapshot was not ended, an append failed, or `term` is before the term of the last
    /// entry.
    pub fn finish(mut self, disk: &mut dyn Disk, term: Term) -> Result<(), OpenError> {
        let last = self.storage.last();
        assert!(term >= last.term, "contract: no entry is of a later term");
        let base = self.storage.base();
        assert_eq!(self.superblock.snapshot.last, base, "contract: the snapshot was ended");
        assert!(self.storage.log.is_idle(), "contract: every entry was appended");
        self.superblock.hard_state = HardState::new(term, None);
        self.superblock.committed = last.index;
        self.superblock.ack_floor = self.storage.log.acknowledged();
        write_first_superblock(disk, &self.superblock)
    }

    /// Calls the store, and executes its operations until none is left.
    fn run(
        &mut self,
        disk: &mut dyn Disk,
        call: impl FnOnce(&mut Storage, &mut Vec<Event>),
    ) -> Result<(), OpenError> {
        let mut events = Vec::new();
        call(&mut self.storage, &mut events);
        for event in self.storage.carry_out(disk, events)? {
            match event {
                Event::Snapshot(SnapshotEvent::Taken(meta)) => self.taken(meta),
                Event::Snapshot(SnapshotEvent::Abandoned { reason, .. }) => {
                    return Err(abandoned(reason));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn taken(&mut self, meta: SnapshotMeta) {
        assert_eq!(meta.last, self.storage.base(), "the log continues after the snapshot");
        self.superblock.snapshot = meta;
    }
}

fn abandoned(reason: AbandonReason) -> OpenError {
    match reason {
        AbandonReason::Full => OpenError::Full,
        AbandonReason::TooLarge { .. } => OpenError::Config(reason.to_string()),
        AbandonReason::Exhausted(failure) | AbandonReason::Damaged(failure) => {
            OpenError::Failed(failure)
        }
        AbandonReason::Superseded | AbandonReason::Unreadable => {
            unreachable!("an import receives no snapshot from a peer, and freezes no state")
        }
    }
}
