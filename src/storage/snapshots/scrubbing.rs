//! Reads kept snapshots again, piece by piece, to find damage while the state exists elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::storage::disk::DiskError;
use crate::storage::error::StorageError;
use crate::storage::identity::ClusterId;
use crate::storage::snapshots::format::Manifest;
use crate::storage::snapshots::verification::Verification;
use crate::types::Index;

/// A pass through the snapshots that are kept when it begins, the oldest first. Later ones were
/// read back when they were written.
#[derive(Clone, Debug)]
pub(crate) struct Scrubbing {
    /// The last index of the snapshot that is being read, or was read last.
    last: Index,
    /// The last index of the snapshot that was read whole, or was found damaged, last.
    through: Index,
    /// The last index of the newest snapshot of the pass.
    end: Index,
    under_way: Option<Verification>,
    /// The size of the piece that was read last, until the store reports it.
    pub(crate) read_bytes: Option<u64>,
}

impl Scrubbing {
    /// Begins a pass through the snapshots after `through`, up to the one that ends at `end`.
    pub(crate) fn new(through: Index, end: Index) -> Scrubbing {
        Scrubbing { last: through, through, end, under_way: None, read_bytes: None }
    }

    /// Returns the last index of the snapshot after which the pass continues after a restart.
    pub(crate) fn through(&self) -> Index {
        self.through
    }

    /// Returns the verification whose next piece is to be read, or `None` at the end of the pass. A
    /// snapshot that is not kept any more is skipped.
    pub(crate) fn next(
        &mut self,
        files: &BTreeMap<Index, Option<Arc<Manifest>>>,
    ) -> Option<&Verification> {
        let is_over = |verification: &mut Verification| {
            let kept = files.get(&self.last).and_then(Option::as_ref);
            verification.is_done() || kept != Some(verification.manifest())
        };
        self.under_way.take_if(is_over);
        if self.under_way.is_none() {
            self.through = self.last;
            let later =
                files.iter().filter(|(last, _)| (self.last.next()..=self.end).contains(last));
            let mut kept = later.filter_map(|(last, manifest)| Some((*last, manifest.clone()?)));
            let (last, manifest) = kept.next()?;
            self.last = last;
            self.under_way = Some(Verification::new(manifest));
        }
        self.under_way.as_ref()
    }

    /// Returns the last index of the snapshot that is being read, and the offset of the piece that
    /// was requested.
    pub(crate) fn place(&self) -> Option<(Index, u64)> {
        let (_, offset, _) = self.under_way.as_ref()?.piece();
        Some((self.last, offset))
    }

    /// Records that the read of the piece failed and is repeated. It counts like one that
    /// succeeded, so that the repetitions are spread over time.
    pub(crate) fn on_failed(&mut self) {
        self.read_bytes = self.under_way.as_ref().map(|reading| reading.piece().2 as u64);
    }

    /// Verifies the piece that was read. Returns the snapshot and its damage, if it is damaged.
    pub(crate) fn on_read(
        &mut self,
        cluster: ClusterId,
        read: Result<Vec<u8>, DiskError>,
    ) -> Option<(Arc<Manifest>, StorageError)> {
        let verification = self.under_way.as_mut().expect("a snapshot is being read");
        self.read_bytes = Some(verification.piece().2 as u64);
        let damage = verification.on_read(cluster, read).err()?;
        let damaged = Arc::clone(verification.manifest());
        self.under_way = None;
        Some((damaged, damage))
    }
}
