//! Receives a snapshot: first the manifest, which the root verifies, then the chunks, which the
//! manifest verifies. Nothing is written before it is verified.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use crate::storage::disk::{DiskError, FileAction, FileName};
use crate::storage::operations::Operations;
use crate::storage::snapshots::common::{AbandonReason, Common, NextStep, Purpose};
use crate::storage::snapshots::format::{HEADER_BYTES, Manifest, Prefix};
use crate::types::{SnapshotMeta, SnapshotPart};

/// The snapshot that is being received.
#[derive(Clone, Debug)]
pub(crate) struct Receiving {
    meta: SnapshotMeta,
    stage: Stage,
}

/// The outcome of a received part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartOutcome {
    /// The part was missing and is valid. The pieces of a manifest are verified together, when the
    /// last one arrives.
    Accepted,
    /// The part is not accepted now: it is present or being written, it is not among the parts to
    /// request, or its snapshot is not being received.
    NotNeeded,
    /// The part was missing, and its bytes do not match: the sender's file or the network corrupted
    /// them.
    Corrupt,
    /// The manifest that the part announces is larger than `manifest_bytes_max` of this node. The
    /// snapshot is abandoned.
    TooLarge,
}

#[derive(Clone, Debug)]
enum Stage {
    Manifest(Pieces),
    Chunks(Chunks),
}

/// The part of the manifest that has arrived; its pieces arrive in order.
#[derive(Clone, Debug, Default)]
struct Pieces {
    bytes: Vec<u8>,
    next: u32,
    /// The size of a piece and of the whole manifest in bytes, once the first piece states them.
    sizes: Option<(u64, u64)>,
}

/// The chunks that are in the partial file or still missing.
#[derive(Clone, Debug)]
struct Chunks {
    manifest: Arc<Manifest>,
    /// Whether the partial file exists: no chunk is written before.
    created: bool,
    /// For each chunk, whether it is in the file.
    present: Vec<bool>,
    /// The number of chunks that are not in the file.
    missing: u32,
    /// Every chunk before this one is in the file.
    first: u32,
    /// The chunks that arrived and are being written.
    writing: BTreeSet<u32>,
    /// The number of chunks written since the last sync was requested.
    unsynced: u32,
}

impl Receiving {
    /// Begins with no part of the snapshot.
    pub(crate) fn begin(meta: SnapshotMeta) -> Receiving {
        Receiving { meta, stage: Stage::Manifest(Pieces::default()) }
    }

    /// Continues with a partial file whose header and manifest are valid. Its chunks are verified
    /// first.
    pub(crate) fn resume(
        common: &mut Common,
        operations: &mut Operations,
        manifest: Arc<Manifest>,
    ) -> (Receiving, NextStep) {
        let mut chunks = Chunks::new(manifest, true);
        let meta = chunks.manifest.meta().clone();
        let next = chunks.check_from(common, operations, 0);
        (Receiving { meta, stage: Stage::Chunks(chunks) }, next)
    }

    pub(crate) fn meta(&self) -> &SnapshotMeta {
        &self.meta
    }

    /// Returns the missing parts that may be requested now.
    pub(crate) fn wanted(&self, common: &Common) -> Vec<SnapshotPart> {
        match &self.stage {
            Stage::Manifest(pieces) => vec![SnapshotPart::Manifest(pieces.next)],
            Stage::Chunks(chunks) => chunks.wanted(common),
        }
    }

    /// Handles a part that a peer has sent.
    pub(crate) fn part(
        &mut self,
        common: &mut Common,
        operations: &mut Operations,
        part: SnapshotPart,
        bytes: &[u8],
    ) -> (PartOutcome, NextStep) {
        let outcome = match (&mut self.stage, part) {
            (Stage::Manifest(pieces), SnapshotPart::Manifest(number)) if number == pieces.next => {
                let manifest_bytes_max = u64::from(common.config.manifest_bytes_max);
                if let Some(manifest_bytes) = pieces.manifest_bytes(&self.meta, bytes)
                    && manifest_bytes > manifest_bytes_max
                {
                    let reason = AbandonReason::TooLarge { manifest_bytes, manifest_bytes_max };
                    return (PartOutcome::TooLarge, NextStep::Abandon(reason));
                }
                let (outcome, whole) = pieces.take(&self.meta, bytes);
                if let Some(manifest) = whole {
                    let chunks = Chunks::new(Arc::new(manifest), false);
                    let create = FileAction::Create { file: chunks.file(), bytes: HEADER_BYTES };
                    common.request(operations, Purpose::Step, create);
                    self.stage = Stage::Chunks(chunks);
                }
                outcome
            }
            (Stage::Chunks(chunks), SnapshotPart::Chunk(number)) => {
                chunks.take(common, operations, number, bytes)
            }
            _ => PartOutcome::NotNeeded,
        };
        (outcome, self.next())
    }

    /// Handles the completion of a step: the partial file was created, or a later write or sync is
    /// done.
    pub(crate) fn on_step(&mut self, common: &mut Common, operations: &mut Operations) -> NextStep {
        if let Stage::Chunks(chunks) = &mut self.stage
            && !chunks.created
        {
            // Once header and manifest are durable, a restart can continue with the file.
            chunks.created = true;
            let file = chunks.file();
            common.write_frame(operations, &chunks.manifest);
            common.request(operations, Purpose::Step, FileAction::Sync { file });
            common.request(operations, Purpose::Step, FileAction::SyncDirectory);
            return self.next();
        }
        NextStep::Continue
    }

    /// Handles the completion of a chunk's write.
    pub(crate) fn on_chunk(
        &mut self,
        common: &mut Common,
        operations: &mut Operations,
        number: u32,
    ) -> NextStep {
        let Stage::Chunks(chunks) = &mut self.stage else {
            unreachable!("no chunk is written before the manifest is known")
        };
        assert!(chunks.created, "no chunk is written before the file exists");
        let was_writing = chunks.writing.remove(&number);
        assert!(was_writing, "a chunk is written once");
        chunks.mark_present(number);
        chunks.unsynced += 1;
        if chunks.unsynced >= common.config.sync_chunks && chunks.missing > 0 {
            chunks.unsynced = 0;
            common.request(operations, Purpose::Step, FileAction::Sync { file: chunks.file() });
        }
        self.next()
    }

    /// Handles chunks that were read from a partial file; those that cannot be read are missing.
    pub(crate) fn on_check(
        &mut self,
        common: &mut Common,
        operations: &mut Operations,
        run: Range<u32>,
        read: Result<Vec<u8>, DiskError>,
    ) -> NextStep {
        let Stage::Chunks(chunks) = &mut self.stage else {
            unreachable!("chunks are verified once the manifest is known")
        };
        let manifest = Arc::clone(&chunks.manifest);
        for (number, is_match) in manifest.check_run(run.clone(), &read.unwrap_or_default()) {
            if is_match {
                chunks.mark_present(number);
            }
        }
        chunks.check_from(common, operations, run.end)
    }

    fn next(&self) -> NextStep {
        match &self.stage {
            Stage::Chunks(chunks) if chunks.created && chunks.missing == 0 => {
                NextStep::Finish(Arc::clone(&chunks.manifest))
            }
            _ => NextStep::Continue,
        }
    }
}

impl Pieces {
    /// Returns the size of the pieces and of the whole manifest, which the first piece states;
    /// `None` if that contradicts `meta`.
    fn sizes(&self, meta: &SnapshotMeta, bytes: &[u8]) -> Option<(u64, u64)> {
        self.sizes.or_else(|| {
            let prefix = Prefix::decode(bytes).ok().filter(|prefix| prefix.matches(meta))?;
            Some((u64::from(prefix.chunk_bytes), prefix.manifest_bytes()))
        })
    }

    /// Returns the size of the whole manifest that the next piece, or an earlier one, states;
    /// `None` if the size of the piece contradicts that.
    fn manifest_bytes(&self, meta: &SnapshotMeta, bytes: &[u8]) -> Option<u64> {
        let (piece, whole) = self.sizes(meta, bytes)?;
        let left = whole - self.bytes.len() as u64;
        (bytes.len() as u64 == piece.min(left)).then_some(whole)
    }

    /// Handles the next piece. It is corrupt if its size or its fields do not match `meta`. Returns
    /// the manifest after the last piece.
    fn take(&mut self, meta: &SnapshotMeta, bytes: &[u8]) -> (PartOutcome, Option<Manifest>) {
        let wrong = (PartOutcome::Corrupt, None);
        let sizes = self.sizes(meta, bytes);
        let Some((piece, whole)) = sizes else { return wrong };
        let here = self.bytes.len() as u64;
        assert_eq!(
            here,
            u64::from(self.next) * piece,
            "every piece but the last has the same size"
        );
        assert!(here < whole, "the manifest is incomplete");
        let left = whole - here;
        if bytes.len() as u64 != piece.min(left) {
            return wrong;
        }
        self.bytes.extend_from_slice(bytes);
        (self.next, self.sizes) = (self.next + 1, sizes);
        if bytes.len() as u64 != left {
            return (PartOutcome::Accepted, None);
        }
        // It is unknown which piece is wrong, so all of them are requested again.
        let encoded = std::mem::take(self).bytes;
        match Manifest::decode(encoded) {
            Ok(manifest) if manifest.meta() == meta => (PartOutcome::Accepted, Some(manifest)),
            _ => wrong,
        }
    }
}

impl Chunks {
    fn new(manifest: Arc<Manifest>, created: bool) -> Chunks {
        let missing = manifest.chunks();
        let present = vec![false; missing as usize];
        Chunks {
            manifest,
            created,
            present,
            missing,
            first: 0,
            writing: BTreeSet::new(),
            unsynced: 0,
        }
    }

    fn file(&self) -> FileName {
        FileName::PartialSnapshot(self.manifest.meta().last.index)
    }

    /// Verifies the chunks in the file, from `from` on.
    fn check_from(
        &mut self,
        common: &mut Common,
        operations: &mut Operations,
        from: u32,
    ) -> NextStep {
        if from < self.manifest.chunks() {
            common.request_run(operations, self.file(), &self.manifest, from);
            return NextStep::Continue;
        }
        if self.missing == 0 {
            NextStep::Finish(Arc::clone(&self.manifest))
        } else {
            NextStep::Continue
        }
    }

    /// Panics if the parts contradict one another.
    fn check(&self, common: &Common) {
        let (count, writing) = (self.manifest.chunks(), self.writing.len());
        assert_eq!(self.present.len(), count as usize, "each chunk is present or not");
        assert!(self.missing <= count, "only chunks of the snapshot are missing");
        assert!(self.first <= count, "the first missing chunk is one of the snapshot");
        assert!(writing <= self.missing as usize, "only missing chunks are being written");
        assert!(writing <= common.config.window as usize, "the window bounds what is in memory");
        assert!(writing == 0 || self.created, "chunks are written to an existing file");
        debug_assert!(
            self.writing.iter().all(|number| !self.present[*number as usize]),
            "a chunk that is present is not written again"
        );
        debug_assert_eq!(
            self.present.iter().filter(|is_present| !**is_present).count(),
            self.missing as usize,
            "the missing chunks are counted"
        );
    }

    fn wanted(&self, common: &Common) -> Vec<SnapshotPart> {
        self.check(common);
        let verifying =
            common.pending.values().any(|operation| matches!(operation.purpose, Purpose::Check(_)));
        let room = common.config.window.saturating_sub(self.writing.len() as u32);
        let room = if verifying || !self.created { 0 } else { room as usize };
        let missing = (self.first..self.manifest.chunks())
            .filter(|number| !self.present[*number as usize] && !self.writing.contains(number));
        missing.take(room).map(SnapshotPart::Chunk).collect()
    }

    fn take(
        &mut self,
        common: &mut Common,
        operations: &mut Operations,
        number: u32,
        bytes: &[u8],
    ) -> PartOutcome {
        if !self.wanted(common).contains(&SnapshotPart::Chunk(number)) {
            return PartOutcome::NotNeeded;
        }
        if !self.manifest.chunk_matches(number, bytes) {
            return PartOutcome::Corrupt;
        }
        let is_new = self.writing.insert(number);
        assert!(is_new, "a chunk that is being written is not wanted");
        let (file, offset) = (self.file(), self.manifest.offset(number));
        let write = FileAction::Write { file, offset, bytes: bytes.to_vec() };
        common.request(operations, Purpose::Chunk(number), write);
        PartOutcome::Accepted
    }

    /// Marks a chunk as present in the file.
    fn mark_present(&mut self, number: u32) {
        let was_present = std::mem::replace(&mut self.present[number as usize], true);
        assert!(!was_present, "a chunk that is in the file is not written again");
        assert!(self.missing > 0, "a chunk that was not present was missing");
        self.missing -= 1;
        while self.present.get(self.first as usize).is_some_and(|is_present| *is_present) {
            self.first += 1;
        }
    }
}
