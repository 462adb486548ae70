//! The end of the log on a disk: the last completed flush, and the writes after it.
//!
//! A loss or an overwrite at the end cannot be distinguished from data that was never written, so
//! faults that a log must survive or report leave the end intact. Flipped bits are detectable
//! everywhere.

use std::ops::Range;

use quorate::storage::FileName;

/// The segment writes of the last completed flush, and the writes since then.
#[derive(Clone, Debug, Default)]
pub(super) struct LogHead {
    flushed: Vec<SegmentWrite>,
    pending: Vec<SegmentWrite>,
}

#[derive(Clone, Debug)]
struct SegmentWrite {
    file: FileName,
    sectors: Range<u64>,
    stored: bool,
}

impl LogHead {
    /// Records a write; only segments have a log end. A write that only overwrites earlier ones is
    /// a repair, which does not change where the log ends.
    pub(super) fn written(
        &mut self,
        file: FileName,
        sectors: Range<u64>,
        overwrites: bool,
        stored: bool,
    ) {
        if matches!(file, FileName::Segment(_)) && !overwrites {
            self.pending.push(SegmentWrite { file, sectors, stored });
        }
    }

    /// Records a completed flush of a segment.
    pub(super) fn synced(&mut self, file: FileName) {
        if self.pending.iter().any(|written| written.file == file) {
            self.flushed = self.pending.extract_if(.., |written| written.file == file).collect();
        }
    }

    /// Records a power failure: unflushed writes may be stored nevertheless.
    pub(super) fn crashed(&mut self) {
        self.flushed.append(&mut self.pending);
        self.flushed.iter_mut().for_each(|written| written.stored = true);
    }

    /// Records that durable data proves the completion of the last flush.
    pub(super) fn acknowledged(&mut self) {
        self.flushed.clear();
    }

    pub(super) fn has(&self, file: FileName, sector: u64) -> bool {
        let mut writes = self.flushed.iter().chain(&self.pending);
        writes.any(|written| written.file == file && written.sectors.contains(&sector))
    }

    /// Returns the writes of the last completed flush that the disk did not store.
    pub(super) fn take_lost(&mut self) -> Vec<(FileName, Range<u64>)> {
        let lost = self.flushed.iter_mut().filter(|written| !written.stored);
        lost.map(|written| {
            written.stored = true;
            (written.file, written.sectors.clone())
        })
        .collect()
    }
}
