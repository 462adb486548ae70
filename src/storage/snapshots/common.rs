//! State shared by all work on snapshots: limits, pending operations and events.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::storage::config_error::StorageConfigError;
use crate::storage::disk::{FileAction, FileName, Lane, OperationId};
use crate::storage::error::StorageError;
use crate::storage::identity::ClusterId;
use crate::storage::operations::{Operations, Owner};
use crate::storage::snapshots::format::{
    CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, HEADER_BYTES, Header, MANIFEST_BYTES_MIN, Manifest, RUN_BYTES,
};
use crate::types::text::texts;
use crate::types::{EntryId, Root, SnapshotMeta, SnapshotPart};

/// The limits of a node's snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotConfig {
    /// The size of a chunk, from 512 bytes to 1 MiB. It is part of the root hash: nodes with the
    /// same chunk size have equal roots for equal states.
    pub chunk_bytes: u32,
    /// The maximum number of chunks of a received snapshot that may be requested or are being
    /// written at once. The pieces of its manifest are requested one after the other.
    pub window: u32,
    /// The number of received chunks after which a sync makes them durable. A crash loses at most
    /// `sync_chunks + window` chunks.
    pub sync_chunks: u32,
    /// The maximum number of chunks that are read for peers at once. Further requests are dropped,
    /// because a peer repeats them.
    pub serving_max: u32,
    /// The maximum size of a manifest, in bytes. A manifest has 32 bytes for each chunk and is held
    /// in memory, so this also limits the size of a snapshot.
    pub manifest_bytes_max: u32,
}

/// An event of a snapshot that is being taken, received or served, or of a kept one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnapshotEvent {
    /// The snapshot being taken is ready for its next chunk, or its end.
    ReadyForChunk,
    /// The snapshot was taken, is durable under its name, and was read back.
    Taken(SnapshotMeta),
    /// The snapshot was received, is durable under its name, and was read back.
    Received(SnapshotMeta),
    /// The snapshot being taken or received was abandoned, and the removal of its files was
    /// requested.
    Abandoned {
        /// The last entry that the snapshot would have covered.
        last: EntryId,
        /// The reason why it was abandoned.
        reason: AbandonReason,
    },
    /// A part that a peer requested was read.
    Part {
        /// The root hash of the snapshot.
        root: Root,
        /// The manifest piece or chunk that was requested.
        part: SnapshotPart,
        /// The verified bytes of the part.
        bytes: Arc<[u8]>,
    },
    /// A part that a peer requested cannot be read now. Nothing is known to be damaged: the peer
    /// repeats its request, and the part is read again.
    PartUnreadable {
        /// The root hash of the snapshot.
        root: Root,
        /// The chunk that was requested.
        part: SnapshotPart,
    },
    /// A part that a peer requested is not, or no longer, available on this node.
    PartUnavailable {
        /// The root hash of the snapshot.
        root: Root,
        /// The manifest piece or chunk that was requested.
        part: SnapshotPart,
    },
    /// A kept snapshot is damaged. It is no longer served, and its file is kept until the
    /// superblock names the second snapshot after it.
    Damaged(StorageError),
}

/// The reason why a snapshot was abandoned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AbandonReason {
    /// The file system is full.
    Full,
    /// The file could not be created, because the process or the machine lacks a resource such as
    /// open files or memory.
    Exhausted(StorageError),
    /// The manifest of the snapshot being taken or received is larger than `manifest_bytes_max` of
    /// this node.
    TooLarge {
        /// The size of the manifest in bytes; if it is not known yet, a lower bound that exceeds
        /// the limit.
        manifest_bytes: u64,
        /// The limit of this node, in bytes.
        manifest_bytes_max: u64,
    },
    /// The bytes read back differ from those that were written, or cannot be read.
    Damaged(StorageError),
    /// Another snapshot has replaced it: one that is being received, or one that a peer offered and
    /// that is complete here already.
    Superseded,
    /// The frozen state could not be read. Only the caller of the store gives this reason.
    Unreadable,
}

texts! { AbandonReason:
    Self::Full => "the disk is full";
    Self::TooLarge { manifest_bytes, manifest_bytes_max } =>
        "its manifest of {manifest_bytes} bytes is larger than manifest_bytes_max \
         ({manifest_bytes_max} bytes): raise this limit, or chunk_bytes, to the same value on \
         every node";
    Self::Exhausted(error) => "{}", error.without_advice();
    Self::Damaged(damage) => "{damage}";
    Self::Superseded => "another snapshot has replaced it";
    Self::Unreadable => "the state machine could not read its frozen state";
}

/// The purpose of an operation. *Work* is the taking, receiving or finishing of one snapshot; at
/// most one is in progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A step of the work in progress.
    Step,
    /// The write of this chunk of a snapshot being received.
    Chunk(u32),
    /// A read that verifies these chunks of the work in progress.
    Check(Range<u32>),
    /// An operation of work that has been abandoned.
    Abandoned,
    /// The removal of obsolete files.
    Removal,
    /// A read of this chunk for a peer.
    Serve(Arc<Manifest>, u32),
    /// A read of a kept snapshot by the scrub.
    Scrub,
}

/// A snapshot operation that is not completed yet.
#[derive(Clone, Debug)]
pub(crate) struct PendingOperation {
    pub(crate) purpose: Purpose,
    pub(crate) kind: OperationKind,
}

/// The kind of an operation, which decides how its failure is handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperationKind {
    /// Reads a file: a failure does not stop the store, because the bytes count as damaged, as
    /// missing, or are read again.
    Read,
    /// Creates a file: the file system may be full, and a resource may be missing.
    Create,
    /// Writes, syncs or renames a file: the file system may be full.
    Write,
    /// Removes a file or syncs the directory: a failure stops the store.
    Remove,
}

/// The next step of the work in progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// The work waits for a pending operation, for the caller's next chunk, or for a peer's next
    /// part.
    Continue,
    /// Every byte is written: the file must become durable under its name.
    Finish(Arc<Manifest>),
    /// The work must be abandoned.
    Abandon(AbandonReason),
    /// The snapshot is complete, durable and read back.
    Done(Arc<Manifest>),
}

/// The state that all snapshot work shares.
#[derive(Clone, Debug)]
pub(crate) struct Common {
    pub(crate) cluster: ClusterId,
    pub(crate) config: SnapshotConfig,
    pub(crate) pending: BTreeMap<OperationId, PendingOperation>,
    pub(crate) events: Vec<SnapshotEvent>,
}

impl Common {
    /// Creates the shared state.
    ///
    /// # Panics
    /// If `config` is out of its bounds.
    pub(crate) fn new(cluster: ClusterId, config: SnapshotConfig) -> Common {
        assert_eq!(config.check(), Ok(()));
        Common { cluster, config, pending: BTreeMap::new(), events: Vec::new() }
    }

    /// Requests an operation, and records its purpose.
    pub(crate) fn request(
        &mut self,
        operations: &mut Operations,
        purpose: Purpose,
        action: FileAction,
    ) {
        let kind = match &action {
            FileAction::Read { .. } => OperationKind::Read,
            FileAction::Create { .. } => OperationKind::Create,
            FileAction::Remove { .. } | FileAction::SyncDirectory => OperationKind::Remove,
            _ => OperationKind::Write,
        };
        let id = operations.request(Owner::Snapshots, Lane::Bulk, action);
        let before = self.pending.insert(id, PendingOperation { purpose, kind });
        assert!(before.is_none(), "an operation has one purpose");
    }

    /// Requests the removal of `files`.
    pub(crate) fn remove(&mut self, operations: &mut Operations, files: &[FileName]) {
        for file in files {
            self.request(operations, Purpose::Removal, FileAction::Remove { file: *file });
        }
        if !files.is_empty() {
            self.request(operations, Purpose::Removal, FileAction::SyncDirectory);
        }
    }

    /// Requests the writes of the header and the manifest, each at its offset in the partial file.
    pub(crate) fn write_frame(&mut self, operations: &mut Operations, manifest: &Manifest) {
        let file = FileName::PartialSnapshot(manifest.meta().last.index);
        let mut offset = manifest.file_offset();
        let limit = u64::from(self.config.manifest_bytes_max);
        assert!(
            manifest.encoded().len() as u64 <= limit,
            "a manifest in a file is within its limit"
        );
        for piece in manifest.encoded().chunks(RUN_BYTES as usize) {
            let write = FileAction::Write { file, offset, bytes: piece.to_vec() };
            self.request(operations, Purpose::Step, write);
            offset += piece.len() as u64;
        }
        assert_eq!(offset, manifest.file_bytes(), "the pieces of the manifest end the file");
        let bytes = Header::of(self.cluster, manifest).encode();
        assert_eq!(bytes.len() as u64, HEADER_BYTES);
        self.request(operations, Purpose::Step, FileAction::Write { file, offset: 0, bytes });
    }

    /// Requests a read of a run of chunks from `first` on, to verify them.
    pub(crate) fn request_run(
        &mut self,
        operations: &mut Operations,
        file: FileName,
        manifest: &Manifest,
        first: u32,
    ) {
        assert!(first < manifest.chunks(), "the snapshot has the chunk that is verified");
        let run = manifest.run(first);
        let bytes = usize::try_from(manifest.bytes(&run)).expect("a run fits in memory");
        let read = FileAction::Read { file, offset: manifest.offset(first), bytes };
        self.request(operations, Purpose::Check(run), read);
    }

    /// Returns true if an operation of the work in progress is pending.
    pub(crate) fn is_busy(&self) -> bool {
        self.pending.values().any(|operation| operation.purpose.is_work())
    }

    /// Marks the pending operations of the work in progress as abandoned.
    pub(crate) fn abandon_work(&mut self) {
        for operation in self.pending.values_mut().filter(|operation| operation.purpose.is_work()) {
            operation.purpose = Purpose::Abandoned;
        }
        debug_assert!(!self.is_busy(), "abandoned work waits for no operation");
    }
}

impl Purpose {
    pub(crate) fn is_work(&self) -> bool {
        matches!(self, Purpose::Step | Purpose::Chunk(_) | Purpose::Check(_))
    }
}

impl SnapshotConfig {
    /// Checks every limit.
    ///
    /// # Errors
    /// A [`StorageConfigError`] that names the field that is out of its bounds.
    pub fn check(&self) -> Result<(), StorageConfigError> {
        let check = |field, value: u32, min: u32, max, reason| {
            StorageConfigError::check(field, value.into(), min.into()..=max, reason)
        };
        let chunk_max = CHUNK_BYTES_MAX.into();
        check("snapshots.chunk_bytes", self.chunk_bytes, CHUNK_BYTES_MIN, chunk_max, "")?;
        let (bytes, min) = (self.manifest_bytes_max, self.chunk_bytes.max(MANIFEST_BYTES_MIN));
        let reason = "and at least the size of one chunk";
        check("snapshots.manifest_bytes_max", bytes, min, u64::MAX, reason)?;
        for (field, value) in [
            ("snapshots.window", self.window),
            ("snapshots.sync_chunks", self.sync_chunks),
            ("snapshots.serving_max", self.serving_max),
        ] {
            check(field, value, 1, u64::MAX, "")?;
        }
        Ok(())
    }
}

impl Default for SnapshotConfig {
    /// Chunks of 1 MiB, four of them requested at once, a sync every 64 chunks, eight reads for
    /// peers at once, and snapshots of up to 2 TiB.
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
