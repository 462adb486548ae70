//! Finishes a snapshot that was taken or received: syncs it, renames it and reads it back.

use std::ops::Range;
use std::sync::Arc;

use crate::storage::disk::{DiskError, FileAction, FileName};
use crate::storage::error::StorageError;
use crate::storage::operations::Operations;
use crate::storage::snapshots::common::{AbandonReason, Common, NextStep, Purpose};
use crate::storage::snapshots::format::{HEADER_BYTES, Header, Manifest, RUN_BYTES};
use crate::storage::snapshots::load::chunk_damage;

/// A snapshot of which every byte was written or requested to be written.
#[derive(Clone, Debug)]
pub(crate) struct Finishing {
    manifest: Arc<Manifest>,
    /// Whether the snapshot was received rather than taken.
    pub(crate) received: bool,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Writing,
    Syncing,
    Naming,
    ReadingHeader,
    ReadingContent,
    /// Reads the manifest, from this byte of it on.
    ReadingManifest(usize),
}

impl Finishing {
    pub(crate) fn begin(
        common: &mut Common,
        operations: &mut Operations,
        manifest: Arc<Manifest>,
        received: bool,
    ) -> Finishing {
        let mut finishing = Finishing { manifest, received, stage: Stage::Writing };
        if !common.is_busy() {
            finishing.sync(common, operations);
        }
        finishing
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns true if the file may already have its final name.
    pub(crate) fn is_named(&self) -> bool {
        !matches!(self.stage, Stage::Writing | Stage::Syncing)
    }

    /// Handles the completion of a step, except the read of a run of chunks.
    pub(crate) fn on_step(
        &mut self,
        common: &mut Common,
        operations: &mut Operations,
        result: Result<Vec<u8>, DiskError>,
    ) -> NextStep {
        match self.stage {
            Stage::Writing | Stage::Naming if common.is_busy() => {}
            Stage::Writing => self.sync(common, operations),
            Stage::Syncing => {
                self.stage = Stage::Naming;
                let from = FileName::PartialSnapshot(self.manifest.meta().last.index);
                let rename = FileAction::Rename { from, to: self.file() };
                common.request(operations, Purpose::Step, rename);
                common.request(operations, Purpose::Step, FileAction::SyncDirectory);
            }
            Stage::Naming => {
                self.stage = Stage::ReadingHeader;
                self.read(common, operations, 0, HEADER_BYTES as usize);
            }
            Stage::ReadingHeader => {
                let header = Header::of(common.cluster, &self.manifest).encode();
                return match self.compare(0, &header, result) {
                    Ok(()) => self.read_content(common, operations, 0),
                    Err(next) => next,
                };
            }
            Stage::ReadingContent => unreachable!("content is read by run"),
            Stage::ReadingManifest(from) => {
                let encoded = self.manifest.encoded();
                let to = encoded.len().min(from + RUN_BYTES as usize);
                let offset = self.manifest.file_offset() + from as u64;
                return match self.compare(offset, &encoded[from..to], result) {
                    Ok(()) => self.read_manifest(common, operations, to),
                    Err(next) => next,
                };
            }
        }
        NextStep::Continue
    }

    /// Handles a run of chunks that was read back.
    pub(crate) fn on_check(
        &mut self,
        common: &mut Common,
        operations: &mut Operations,
        run: Range<u32>,
        read: Result<Vec<u8>, DiskError>,
    ) -> NextStep {
        assert_eq!(self.stage, Stage::ReadingContent);
        let (file, end) = (self.file(), run.end);
        let offset = self.manifest.offset(run.start);
        let damage = match read {
            Err(error) => Some(StorageError::damage(file, offset, error.to_string())),
            Ok(bytes) => {
                let wrong = self.manifest.check_run(run, &bytes).find(|(_, right)| !right);
                wrong.map(|(chunk, _)| chunk_damage(file, &self.manifest, chunk))
            }
        };
        match damage {
            Some(damage) => NextStep::Abandon(AbandonReason::Damaged(damage)),
            None => self.read_content(common, operations, end),
        }
    }

    fn file(&self) -> FileName {
        FileName::Snapshot(self.manifest.meta().last.index)
    }

    fn sync(&mut self, common: &mut Common, operations: &mut Operations) {
        self.stage = Stage::Syncing;
        let file = FileName::PartialSnapshot(self.manifest.meta().last.index);
        common.request(operations, Purpose::Step, FileAction::Sync { file });
    }

    fn read_content(
        &mut self,
        common: &mut Common,
        operations: &mut Operations,
        at: u32,
    ) -> NextStep {
        if at == self.manifest.chunks() {
            return self.read_manifest(common, operations, 0);
        }
        self.stage = Stage::ReadingContent;
        common.request_run(operations, self.file(), &self.manifest, at);
        NextStep::Continue
    }

    fn read_manifest(
        &mut self,
        common: &mut Common,
        operations: &mut Operations,
        at: usize,
    ) -> NextStep {
        let left = self.manifest.encoded().len() - at;
        if left == 0 {
            return NextStep::Done(Arc::clone(&self.manifest));
        }
        self.stage = Stage::ReadingManifest(at);
        let offset = self.manifest.file_offset() + at as u64;
        self.read(common, operations, offset, left.min(RUN_BYTES as usize));
        NextStep::Continue
    }

    fn read(&self, common: &mut Common, operations: &mut Operations, offset: u64, bytes: usize) {
        let read = FileAction::Read { file: self.file(), offset, bytes };
        common.request(operations, Purpose::Step, read);
    }

    /// Compares the bytes that were read back at `offset` with those that were written.
    fn compare(
        &self,
        offset: u64,
        written: &[u8],
        read: Result<Vec<u8>, DiskError>,
    ) -> Result<(), NextStep> {
        let message = match read {
            Ok(read) if read == written => return Ok(()),
            Ok(_) => "the bytes read back differ from those written".to_owned(),
            Err(error) => error.to_string(),
        };
        let failure = StorageError::damage(self.file(), offset, message);
        Err(NextStep::Abandon(AbandonReason::Damaged(failure)))
    }
}
