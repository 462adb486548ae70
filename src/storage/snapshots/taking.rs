//! Taking a snapshot: content comes in one chunk at a time, and is hashed on its way to the file.

use std::sync::Arc;

use crate::storage::disk::{FileAction, FileName};
use crate::storage::operations::Operations;
use crate::storage::snapshots::common::{AbandonReason, Common, Next, Purpose, SnapshotEvent};
use crate::storage::snapshots::format::{HASH_BYTES, HEADER_BYTES, Manifest};
use crate::types::{EntryId, Membership};

/// A snapshot that is being taken.
#[derive(Clone, Debug)]
pub(crate) struct Taking {
    last: EntryId,
    membership: Membership,
    /// Of the content so far.
    bytes: u64,
    hashes: Vec<u8>,
    /// The owner has been told to go on, and has not yet.
    wanted: bool,
}

impl Taking {
    pub(crate) fn begin(
        common: &mut Common,
        operations: &mut Operations,
        last: EntryId,
        membership: Membership,
    ) -> Taking {
        let file = FileName::PartialSnapshot(last.index);
        let create = FileAction::Create { file, bytes: HEADER_BYTES };
        common.ask(operations, Purpose::Step, create);
        Taking { last, membership, bytes: 0, hashes: Vec::new(), wanted: false }
    }

    pub(crate) fn last(&self) -> EntryId {
        self.last
    }

    /// The next chunk of the content.
    ///
    /// # Panics
    /// If it was not asked for, is empty, is too large, or follows one that was too short.
    pub(crate) fn chunk(
        &mut self,
        common: &mut Common,
        operations: &mut Operations,
        bytes: Vec<u8>,
    ) -> Next {
        let chunk_bytes = common.config.chunk_bytes;
        assert!(self.wanted, "contract: a chunk comes when it is asked for");
        assert!(!bytes.is_empty() && bytes.len() <= chunk_bytes as usize);
        assert!(self.bytes.is_multiple_of(u64::from(chunk_bytes)), "only the last may be short");
        let hashes_max = u64::from(common.config.manifest_bytes_max);
        if self.hashes.len() as u64 + HASH_BYTES > hashes_max {
            return Next::Abandon(AbandonReason::TooLarge);
        }
        self.wanted = false;
        self.hashes.extend(blake3::hash(&bytes).as_bytes());
        let offset = HEADER_BYTES + self.bytes;
        self.bytes += bytes.len() as u64;
        let file = FileName::PartialSnapshot(self.last.index);
        common.ask(operations, Purpose::Step, FileAction::Write { file, offset, bytes });
        Next::Stay
    }

    /// The content is complete.
    ///
    /// # Panics
    /// If neither a chunk nor the end was asked for.
    pub(crate) fn end(&self, common: &mut Common, operations: &mut Operations) -> Next {
        assert!(self.wanted, "contract: the end comes when a chunk is asked for");
        let (membership, chunk_bytes) = (self.membership.clone(), common.config.chunk_bytes);
        let manifest = Manifest::new(self.last, membership, self.bytes, chunk_bytes, &self.hashes);
        if manifest.encoded().len() as u64 > u64::from(common.config.manifest_bytes_max) {
            return Next::Abandon(AbandonReason::TooLarge);
        }
        common.write_frame(operations, &manifest);
        Next::Finish(Arc::new(manifest))
    }

    /// The file was made, or a chunk written.
    pub(crate) fn on_step(&mut self, common: &mut Common) -> Next {
        assert!(!self.wanted, "one step at a time");
        self.wanted = true;
        common.events.push(SnapshotEvent::ChunkWanted);
        Next::Stay
    }
}
