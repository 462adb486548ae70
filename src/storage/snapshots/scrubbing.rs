//! Reads kept snapshots again, piece by piece, to find damage while the state exists elsewhere.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::storage::disk::DiskError;
use crate::storage::error::StorageError;
use crate::storage::identity::ClusterId;
use crate::storage::snapshots::format::Manifest;
use crate::storage::snapshots::verification::Verification;
use crate::types::Index;

/// The place at which a pass through the kept snapshots continues after a restart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SnapshotScrubPlace {
    /// The last index of a snapshot.
    pub(crate) last: Index,
    /// The next chunk of it to read; 0 if the pass continues with the snapshot after it.
    pub(crate) chunk: u32,
}

/// A pass through the snapshots that are kept when it begins, the oldest first. Later ones were
/// read back when they were written.
#[derive(Clone, Debug)]
pub(crate) struct Scrubbing {
    /// The last index of the snapshot that is being read, or was read last.
    last: Index,
    /// The last index of the snapshot that was read whole, or was found damaged, last. Not used
    /// while a pass that continues after a restart reads the rest of its first snapshot.
    through: Index,
    /// The last index of the newest snapshot of the pass.
    end: Index,
    under_way: Option<Verification>,
    /// The size of the piece that was read last, until the store reports it.
    pub(crate) read_bytes: Option<u64>,
}

impl Scrubbing {
    /// Begins or continues a pass at `place`. A snapshot that is no longer kept is skipped.
    pub(crate) fn new(
        place: SnapshotScrubPlace,
        files: &BTreeMap<Index, Option<Arc<Manifest>>>,
    ) -> Scrubbing {
        let end = files.last_key_value().map_or(Index::ZERO, |(last, _)| *last);
        let last = place.last.min(end);
        let begun = files.get(&place.last).and_then(Option::as_ref).filter(|_| place.chunk > 0);
        let under_way = begun.map(|manifest| Verification::at(Arc::clone(manifest), place.chunk));
        Scrubbing { last, through: last, end, under_way, read_bytes: None }
    }

    /// Returns the place at which the pass continues after a restart.
    pub(crate) fn restart_place(&self) -> SnapshotScrubPlace {
        match self.under_way.as_ref().map(Verification::next_chunk) {
            Some(chunk) if chunk > 0 => SnapshotScrubPlace { last: self.last, chunk },
            _ => SnapshotScrubPlace { last: self.through, chunk: 0 },
        }
    }

    /// Returns the verification whose next piece is to be read, or `None` at the end of the pass. A
    /// snapshot that is no longer kept is skipped.
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
        (self.under_way, self.through) = (None, self.last);
        Some((damaged, damage))
    }
}
