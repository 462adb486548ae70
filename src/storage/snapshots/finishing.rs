//! Finishes a snapshot that was taken or received: syncs it, renames it and reads it back.

use std::sync::Arc;

use crate::storage::disk::{DiskError, FileAction, FileName};
use crate::storage::operations::Operations;
use crate::storage::snapshots::common::{AbandonReason, Common, NextStep, Purpose};
use crate::storage::snapshots::format::Manifest;
use crate::storage::snapshots::verification::Verification;

/// A snapshot whose writes are all complete or requested.
#[derive(Clone, Debug)]
pub(crate) struct Finishing {
    manifest: Arc<Manifest>,
    /// Whether the snapshot was received rather than taken.
    pub(crate) received: bool,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Waits for the writes that were requested before.
    Writing,
    Syncing,
    /// Waits for the rename and the sync of the directory.
    Naming,
    ReadingBack(Verification),
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
        matches!(self.stage, Stage::Naming | Stage::ReadingBack(_))
    }

    /// Handles the completion of a step.
    pub(crate) fn on_step(
        &mut self,
        common: &mut Common,
        operations: &mut Operations,
        result: Result<Vec<u8>, DiskError>,
    ) -> NextStep {
        match &mut self.stage {
            Stage::Writing | Stage::Naming if common.is_busy() => return NextStep::Continue,
            Stage::Writing => {
                self.sync(common, operations);
                return NextStep::Continue;
            }
            Stage::Syncing => {
                assert!(!common.is_busy(), "the sync is the only operation under way");
                self.stage = Stage::Naming;
                let index = self.manifest.meta().last.index;
                let (from, to) = (FileName::PartialSnapshot(index), FileName::Snapshot(index));
                common.request(operations, Purpose::Step, FileAction::Rename { from, to });
                common.request(operations, Purpose::Step, FileAction::SyncDirectory);
                return NextStep::Continue;
            }
            Stage::Naming => {
                self.stage = Stage::ReadingBack(Verification::new(Arc::clone(&self.manifest)));
            }
            Stage::ReadingBack(verification) => {
                if let Err(damage) = verification.on_read(common.cluster, result) {
                    return NextStep::Abandon(AbandonReason::Damaged(damage));
                }
            }
        }
        match &self.stage {
            Stage::ReadingBack(verification) if !verification.is_done() => {
                let (file, offset, bytes) = verification.piece();
                let read = FileAction::Read { file, offset, bytes };
                common.request(operations, Purpose::Step, read);
                NextStep::Continue
            }
            Stage::ReadingBack(verification) => {
                let read = verification.manifest();
                assert!(Arc::ptr_eq(read, &self.manifest), "the finished snapshot was read back");
                NextStep::Done(Arc::clone(&self.manifest))
            }
            stage => unreachable!("{stage:?} returns before the file is read back"),
        }
    }

    fn sync(&mut self, common: &mut Common, operations: &mut Operations) {
        assert!(matches!(self.stage, Stage::Writing), "a snapshot is synced once");
        assert!(!common.is_busy(), "a file is synced once all its writes are complete");
        self.stage = Stage::Syncing;
        let file = FileName::PartialSnapshot(self.manifest.meta().last.index);
        common.request(operations, Purpose::Step, FileAction::Sync { file });
    }
}
