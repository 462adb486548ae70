//! What taking, receiving and serving share: bounds, operations under way, and what is reported.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::storage::disk::{FileAction, FileName, Lane, OperationId};
use crate::storage::failure::Failure;
use crate::storage::identity::ClusterId;
use crate::storage::operations::{Operations, Owner};
use crate::storage::snapshots::format::{
    CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, HEADER_BYTES, Header, MANIFEST_BYTES_MIN, Manifest, RUN_BYTES,
};
use crate::types::{EntryId, Part, Root, SnapshotMeta};

/// The bounds of a node's snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotConfig {
    /// The size of a chunk, from 512 bytes to 1 MiB. It goes into the root: nodes of one cluster
    /// that agree in it have equal roots for equal states.
    pub chunk_bytes: u32,
    /// How many parts of a received snapshot may be asked for or on their way to the disk.
    pub window: u32,
    /// After how many received chunks a sync lets them survive a crash. The work of a received
    /// snapshot that a power cut undoes is at most this.
    pub sync_chunks: u32,
    /// How many chunks may be read for peers at once; further requests are dropped, for a peer
    /// asks again.
    pub serving_max: u32,
    /// How large a manifest may be: 32 bytes a chunk. It is held in memory, and so bounds the size
    /// of a snapshot.
    pub manifest_bytes_max: u32,
}

/// What became of the snapshots' work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotEvent {
    /// The snapshot being taken has room for its next chunk, or its end.
    ChunkWanted,
    /// Taken, durable under its name and read back.
    Taken(SnapshotMeta),
    /// Received, durable under its name and read back.
    Received(SnapshotMeta),
    /// The snapshot being taken or received is given up, and its space given back.
    Abandoned {
        /// What it would have covered.
        last: EntryId,
        /// Why.
        reason: AbandonReason,
    },
    /// A part that was to be served.
    Part {
        /// The snapshot.
        root: Root,
        /// The part.
        part: Part,
        /// Its bytes, checked.
        bytes: Arc<[u8]>,
    },
    /// A part that was to be served is not here, or not any more.
    Gone {
        /// The snapshot.
        root: Root,
        /// The part.
        part: Part,
    },
    /// A kept snapshot is damaged. It is served no more, and not removed.
    Damaged(Failure),
}

/// Why a snapshot was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AbandonReason {
    /// The file system is full.
    Full,
    /// Its manifest would be larger than the bound.
    TooLarge,
    /// What was read back is not what was written.
    Damaged(Failure),
    /// A snapshot that is being received has taken its place.
    Superseded,
}

/// What an operation is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A step of the work under way.
    Step,
    /// A chunk of the work under way.
    Chunk(u32),
    /// Reading chunks of the work under way, to see whether they are right.
    Check(Range<u32>),
    /// A step of work that was given up since.
    Abandoned,
    /// Removing what is not needed any more.
    Removal,
    /// A chunk for a peer.
    Serve(Arc<Manifest>, u32),
}

/// An operation under way.
#[derive(Clone, Debug)]
pub(crate) struct UnderWay {
    pub(crate) purpose: Purpose,
    pub(crate) verb: Verb,
}

/// What kind of operation is under way: the answer to its failure depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Reads: what cannot be read is damaged.
    Read,
    /// Makes, writes, syncs or renames a file: it may find the file system full.
    Fill,
    /// Removes a file or syncs the directory: it has to succeed.
    Settle,
}

/// What follows in the work under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// It goes on.
    Stay,
    /// Every byte is written: it is to become durable under its name.
    Finish(Arc<Manifest>),
    /// It is to be given up.
    Abandon(AbandonReason),
    /// It is whole, durable and read back.
    Done(Arc<Manifest>),
}

/// What all snapshot work shares.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    pub(crate) cluster: ClusterId,
    pub(crate) config: SnapshotConfig,
    pub(crate) under_way: BTreeMap<OperationId, UnderWay>,
    pub(crate) events: Vec<SnapshotEvent>,
}

impl Common {
    /// # Panics
    /// If the bounds make no sense.
    pub(crate) fn new(cluster: ClusterId, config: SnapshotConfig) -> Common {
        assert_eq!(config.check(), Ok(()));
        Common { cluster, config, under_way: BTreeMap::new(), events: Vec::new() }
    }

    /// Asks for an operation, and remembers what for.
    pub(crate) fn ask(
        &mut self,
        operations: &mut Operations,
        purpose: Purpose,
        action: FileAction,
    ) {
        let verb = match &action {
            FileAction::Read { .. } => Verb::Read,
            FileAction::Remove { .. } | FileAction::SyncDirectory => Verb::Settle,
            _ => Verb::Fill,
        };
        let id = operations.ask(Owner::Snapshots, Lane::Bulk, action);
        self.under_way.insert(id, UnderWay { purpose, verb });
    }

    /// Asks for the removal of `files`.
    pub(crate) fn remove(&mut self, operations: &mut Operations, files: &[FileName]) {
        for file in files {
            self.ask(operations, Purpose::Removal, FileAction::Remove { file: *file });
        }
        if !files.is_empty() {
            self.ask(operations, Purpose::Removal, FileAction::SyncDirectory);
        }
    }

    /// Asks for header and manifest to be written where they belong.
    pub(crate) fn write_frame(&mut self, operations: &mut Operations, manifest: &Manifest) {
        let file = FileName::PartialSnapshot(manifest.meta().last.index);
        let mut offset = manifest.own_offset();
        for piece in manifest.encoded().chunks(RUN_BYTES as usize) {
            let write = FileAction::Write { file, offset, bytes: piece.to_vec() };
            self.ask(operations, Purpose::Step, write);
            offset += piece.len() as u64;
        }
        let bytes = Header::of(self.cluster, manifest).encode();
        assert_eq!(bytes.len() as u64, HEADER_BYTES);
        self.ask(operations, Purpose::Step, FileAction::Write { file, offset: 0, bytes });
    }

    /// Asks for a run of chunks, to see whether they are right.
    pub(crate) fn ask_run(
        &mut self,
        operations: &mut Operations,
        file: FileName,
        manifest: &Manifest,
        first: u32,
    ) {
        let run = manifest.run(first);
        let bytes = usize::try_from(manifest.bytes(&run)).expect("a run fits in memory");
        let read = FileAction::Read { file, offset: manifest.offset(first), bytes };
        self.ask(operations, Purpose::Check(run), read);
    }

    /// Whether an operation of the work under way is not done yet.
    pub(crate) fn is_busy(&self) -> bool {
        self.under_way.values().any(|asked| asked.purpose.is_work())
    }

    /// The work under way is given up: its operations mean nothing any more.
    pub(crate) fn forget_work(&mut self) {
        for asked in self.under_way.values_mut().filter(|asked| asked.purpose.is_work()) {
            asked.purpose = Purpose::Abandoned;
        }
    }
}

impl Purpose {
    pub(crate) fn is_work(&self) -> bool {
        matches!(self, Purpose::Step | Purpose::Chunk(_) | Purpose::Check(_))
    }
}

impl SnapshotConfig {
    /// Checks the bounds.
    ///
    /// # Errors
    /// A sentence that names the field that is out of its bounds.
    pub fn check(&self) -> Result<(), &'static str> {
        if !(CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX).contains(&self.chunk_bytes) {
            return Err("chunk_bytes must be from 512 to 1048576");
        }
        if self.manifest_bytes_max < self.chunk_bytes.max(MANIFEST_BYTES_MIN) {
            return Err("manifest_bytes_max must be at least 4096 and at least chunk_bytes");
        }
        if self.window == 0 || self.sync_chunks == 0 || self.serving_max == 0 {
            return Err("window, sync_chunks and serving_max must be at least 1");
        }
        Ok(())
    }
}

impl Default for SnapshotConfig {
    /// Chunks of 1 MiB, four of them asked for at once, a sync every 64, eight read for peers at
    /// once, snapshots up to 2 TiB.
    fn default() -> SnapshotConfig {
        SnapshotConfig {
            chunk_bytes: 1 << 20,
            window: 4,
            sync_chunks: 64,
            serving_max: 8,
            manifest_bytes_max: 64 << 20,
        }
    }
}
