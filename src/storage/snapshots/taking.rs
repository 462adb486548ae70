//! Takes a snapshot: its content arrives chunk by chunk, and is hashed and written.

use std::sync::Arc;

use crate::storage::disk::{FileAction, FileName};
use crate::storage::operations::Operations;
use crate::storage::snapshots::common::{AbandonReason, Common, NextStep, Purpose, SnapshotEvent};
use crate::storage::snapshots::format::{HASH_BYTES, HEADER_BYTES, Manifest};
use crate::types::{EntryId, Membership};

/// The snapshot that is being taken.
#[derive(Clone, Debug)]
pub(crate) struct Taking {
    last: EntryId,
    membership: Membership,
    /// The size of the content so far, in bytes.
    bytes: u64,
    /// The hash of each chunk so far.
    hashes: Vec<u8>,
    /// Whether a chunk was requested and has not arrived.
    ready: bool,
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
        common.request(operations, Purpose::Step, create);
        Taking { last, membership, bytes: 0, hashes: Vec::new(), ready: false }
    }

    pub(crate) fn last(&self) -> EntryId {
        self.last
    }

    /// Writes the next chunk of the content.
    ///
    /// # Panics
    /// If no chunk was requested, or the chunk is empty, too large, or follows one that was too
    /// short.
    pub(crate) fn chunk(
        &mut self,
        common: &mut Common,
        operations: &mut Operations,
        bytes: Vec<u8>,
    ) -> NextStep {
        let chunk_bytes = common.config.chunk_bytes;
        assert!(self.ready, "contract: a chunk was requested");
        assert!(!bytes.is_empty(), "contract: a chunk has bytes");
        assert!(bytes.len() <= chunk_bytes as usize, "contract: a chunk is not too long");
        assert!(
            self.bytes.is_multiple_of(u64::from(chunk_bytes)),
            "contract: only the last chunk is short"
        );
        let hashed = self.hashes.len() as u64 / HASH_BYTES * u64::from(chunk_bytes);
        assert_eq!(hashed, self.bytes, "each byte so far is in a chunk with a hash");
        let manifest_bytes_max = u64::from(common.config.manifest_bytes_max);
        let manifest_bytes = self.hashes.len() as u64 + HASH_BYTES;
        if manifest_bytes > manifest_bytes_max {
            let reason = AbandonReason::TooLarge { manifest_bytes, manifest_bytes_max };
            return NextStep::Abandon(reason);
        }
        self.ready = false;
        self.hashes.extend(blake3::hash(&bytes).as_bytes());
        let offset = HEADER_BYTES + self.bytes;
        self.bytes += bytes.len() as u64;
        let file = FileName::PartialSnapshot(self.last.index);
        common.request(operations, Purpose::Step, FileAction::Write { file, offset, bytes });
        NextStep::Continue
    }

    /// Ends the content, and writes header and manifest.
    ///
    /// # Panics
    /// If no chunk was requested.
    pub(crate) fn end(&self, common: &mut Common, operations: &mut Operations) -> NextStep {
        assert!(self.ready, "contract: the end replaces a requested chunk");
        let (membership, chunk_bytes) = (self.membership.clone(), common.config.chunk_bytes);
        let manifest = Manifest::new(self.last, membership, self.bytes, chunk_bytes, &self.hashes);
        let manifest_bytes_max = u64::from(common.config.manifest_bytes_max);
        let manifest_bytes = manifest.encoded().len() as u64;
        if manifest_bytes > manifest_bytes_max {
            let reason = AbandonReason::TooLarge { manifest_bytes, manifest_bytes_max };
            return NextStep::Abandon(reason);
        }
        common.write_frame(operations, &manifest);
        NextStep::Finish(Arc::new(manifest))
    }

    /// Requests the next chunk after the file was created or a chunk was written.
    pub(crate) fn on_step(&mut self, common: &mut Common) -> NextStep {
        assert!(!self.ready, "one step at a time");
        self.ready = true;
        common.events.push(SnapshotEvent::ReadyForChunk);
        NextStep::Continue
    }
}
