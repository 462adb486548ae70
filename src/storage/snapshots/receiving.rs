//! Receiving a snapshot: the manifest, which the root names, then the chunks, which the manifest
//! names. Nothing is written that was not checked.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

use crate::storage::disk::{DiskError, FileAction, FileName};
use crate::storage::operations::Operations;
use crate::storage::snapshots::common::{Common, Next, Purpose};
use crate::storage::snapshots::format::{HEADER_BYTES, Manifest, Prefix};
use crate::types::{Part, SnapshotMeta};

/// A snapshot that is being received.
#[derive(Clone, Debug)]
pub(crate) struct Receiving {
    meta: SnapshotMeta,
    stage: Stage,
}

/// What became of a part that came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartOutcome {
    /// It was wanted and is right.
    Accepted,
    /// It is not wanted, or not any more.
    NotWanted,
    /// It was wanted, and is not what it should be: the sender's file, or the way, is at fault.
    Wrong,
}

#[derive(Clone, Debug)]
enum Stage {
    Manifest(Pieces),
    Chunks(Chunks),
}

/// The manifest as far as it has come: its pieces come in order.
#[derive(Clone, Debug, Default)]
struct Pieces {
    bytes: Vec<u8>,
    next: u32,
    /// The size of a piece and of the whole, once the first piece has said so.
    sizes: Option<(u64, u64)>,
}

/// The chunks, in the partial file or still to come.
#[derive(Clone, Debug)]
struct Chunks {
    manifest: Arc<Manifest>,
    /// Whether the partial file exists: nothing is written to one that may not come to be.
    made: bool,
    /// Which are in the file.
    had: Vec<bool>,
    missing: u32,
    /// Every chunk before this one is in the file or being written.
    first: u32,
    writing: BTreeSet<u32>,
    /// Written since the last sync was asked for.
    unsynced: u32,
}

impl Receiving {
    /// Begins with nothing.
    pub(crate) fn begin(meta: SnapshotMeta) -> Receiving {
        Receiving { meta, stage: Stage::Manifest(Pieces::default()) }
    }

    /// Goes on with a partial file whose header and manifest are right: first its chunks are
    /// looked at.
    pub(crate) fn resume(
        common: &mut Common,
        operations: &mut Operations,
        manifest: Arc<Manifest>,
    ) -> (Receiving, Next) {
        let mut chunks = Chunks::new(manifest, true);
        let meta = chunks.manifest.meta().clone();
        let next = chunks.look(common, operations, 0);
        (Receiving { meta, stage: Stage::Chunks(chunks) }, next)
    }

    pub(crate) fn meta(&self) -> &SnapshotMeta {
        &self.meta
    }

    /// The parts that are missing and may be asked for now.
    pub(crate) fn wanted(&self, common: &Common) -> Vec<Part> {
        match &self.stage {
            Stage::Manifest(pieces) => vec![Part::Manifest(pieces.next)],
            Stage::Chunks(chunks) => chunks.wanted(common),
        }
    }

    /// A part has come.
    pub(crate) fn part(
        &mut self,
        common: &mut Common,
        operations: &mut Operations,
        part: Part,
        bytes: &[u8],
    ) -> (PartOutcome, Next) {
        let outcome = match (&mut self.stage, part) {
            (Stage::Manifest(pieces), Part::Manifest(number)) if number == pieces.next => {
                let limit = u64::from(common.config.manifest_bytes_max);
                let (outcome, whole) = pieces.take(&self.meta, limit, bytes);
                if let Some(manifest) = whole {
                    let chunks = Chunks::new(Arc::new(manifest), false);
                    let create = FileAction::Create { file: chunks.file(), bytes: HEADER_BYTES };
                    common.ask(operations, Purpose::Step, create);
                    self.stage = Stage::Chunks(chunks);
                }
                outcome
            }
            (Stage::Chunks(chunks), Part::Chunk(number)) => {
                chunks.take(common, operations, number, bytes)
            }
            _ => PartOutcome::NotWanted,
        };
        (outcome, self.next())
    }

    /// The partial file was made, or a later step is done.
    pub(crate) fn on_step(&mut self, common: &mut Common, operations: &mut Operations) -> Next {
        if let Stage::Chunks(chunks) = &mut self.stage
            && !chunks.made
        {
            // With this, durable, a restart can go on with the file.
            chunks.made = true;
            let file = chunks.file();
            common.write_frame(operations, &chunks.manifest);
            common.ask(operations, Purpose::Step, FileAction::Sync { file });
            common.ask(operations, Purpose::Step, FileAction::SyncDirectory);
            return self.next();
        }
        Next::Stay
    }

    /// A chunk is written.
    pub(crate) fn on_chunk(
        &mut self,
        common: &mut Common,
        operations: &mut Operations,
        number: u32,
    ) -> Next {
        let Stage::Chunks(chunks) = &mut self.stage else {
            unreachable!("no chunk is written before the manifest is known")
        };
        let was_writing = chunks.writing.remove(&number);
        assert!(was_writing, "a chunk is written once");
        chunks.note(number);
        chunks.unsynced += 1;
        if chunks.unsynced >= common.config.sync_chunks && chunks.missing > 0 {
            chunks.unsynced = 0;
            common.ask(operations, Purpose::Step, FileAction::Sync { file: chunks.file() });
        }
        self.next()
    }

    /// Chunks of a partial file were read; what cannot be read is missing.
    pub(crate) fn on_check(
        &mut self,
        common: &mut Common,
        operations: &mut Operations,
        run: Range<u32>,
        read: Result<Vec<u8>, DiskError>,
    ) -> Next {
        let Stage::Chunks(chunks) = &mut self.stage else {
            unreachable!("chunks are looked at once the manifest is known")
        };
        let manifest = Arc::clone(&chunks.manifest);
        for (number, right) in manifest.check(run.clone(), &read.unwrap_or_default()) {
            if right {
                chunks.note(number);
            }
        }
        chunks.look(common, operations, run.end)
    }

    fn next(&self) -> Next {
        match &self.stage {
            Stage::Chunks(chunks) if chunks.made && chunks.missing == 0 => {
                Next::Finish(Arc::clone(&chunks.manifest))
            }
            _ => Next::Stay,
        }
    }
}

impl Pieces {
    /// Takes the next piece, unless its size or what it says does not fit `meta`. The last one
    /// gives the manifest.
    fn take(
        &mut self,
        meta: &SnapshotMeta,
        limit: u64,
        bytes: &[u8],
    ) -> (PartOutcome, Option<Manifest>) {
        let wrong = (PartOutcome::Wrong, None);
        let sizes = self.sizes.or_else(|| {
            let prefix = Prefix::decode(bytes).ok()?;
            let whole = prefix.manifest_bytes();
            let fits = (prefix.last, prefix.bytes) == (meta.last, meta.bytes) && whole <= limit;
            fits.then_some((u64::from(prefix.chunk_bytes), whole))
        });
        let Some((piece, whole)) = sizes else { return wrong };
        let left = whole - self.bytes.len() as u64;
        if bytes.len() as u64 != piece.min(left) {
            return wrong;
        }
        self.bytes.extend_from_slice(bytes);
        (self.next, self.sizes) = (self.next + 1, sizes);
        if bytes.len() as u64 != left {
            return (PartOutcome::Accepted, None);
        }
        // Which piece is wrong, if one is, cannot be told: all of them are asked for again.
        let encoded = std::mem::take(self).bytes;
        match Manifest::decode(encoded) {
            Ok(manifest) if manifest.meta() == meta => (PartOutcome::Accepted, Some(manifest)),
            _ => wrong,
        }
    }
}

impl Chunks {
    fn new(manifest: Arc<Manifest>, made: bool) -> Chunks {
        let missing = manifest.chunks();
        let had = vec![false; missing as usize];
        Chunks { manifest, made, had, missing, first: 0, writing: BTreeSet::new(), unsynced: 0 }
    }

    fn file(&self) -> FileName {
        FileName::PartialSnapshot(self.manifest.meta().last.index)
    }

    /// Looks at the chunks in the file, from `from` on.
    fn look(&mut self, common: &mut Common, operations: &mut Operations, from: u32) -> Next {
        if from < self.manifest.chunks() {
            common.ask_run(operations, self.file(), &self.manifest, from);
            return Next::Stay;
        }
        if self.missing == 0 { Next::Finish(Arc::clone(&self.manifest)) } else { Next::Stay }
    }

    fn wanted(&self, common: &Common) -> Vec<Part> {
        let looking =
            common.under_way.values().any(|asked| matches!(asked.purpose, Purpose::Check(_)));
        let room = common.config.window.saturating_sub(self.writing.len() as u32);
        let room = if looking || !self.made { 0 } else { room as usize };
        let missing = (self.first..self.manifest.chunks())
            .filter(|number| !self.had[*number as usize] && !self.writing.contains(number));
        missing.take(room).map(Part::Chunk).collect()
    }

    fn take(
        &mut self,
        common: &mut Common,
        operations: &mut Operations,
        number: u32,
        bytes: &[u8],
    ) -> PartOutcome {
        if !self.wanted(common).contains(&Part::Chunk(number)) {
            return PartOutcome::NotWanted;
        }
        if !self.manifest.has(number, bytes) {
            return PartOutcome::Wrong;
        }
        self.writing.insert(number);
        let (file, offset) = (self.file(), self.manifest.offset(number));
        let write = FileAction::Write { file, offset, bytes: bytes.to_vec() };
        common.ask(operations, Purpose::Chunk(number), write);
        PartOutcome::Accepted
    }

    /// A chunk is in the file.
    fn note(&mut self, number: u32) {
        let had = std::mem::replace(&mut self.had[number as usize], true);
        assert!(!had, "a chunk that is in the file is not written again");
        assert!(self.missing > 0, "and was counted as missing");
        self.missing -= 1;
        while self.had.get(self.first as usize).is_some_and(|had| *had) {
            self.first += 1;
        }
    }
}
