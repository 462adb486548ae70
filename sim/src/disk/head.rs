//! The end of the log on a disk: the last flush that was completed, and what came after it.
//!
//! What is lost or written over there cannot be told from what was never written, so the faults
//! that a log is to survive or to name spare it. Bits that flip can be told anywhere.

use std::ops::Range;

use quorate::storage::FileName;

/// Writes to segments: those of the last completed flush, and those since.
#[derive(Clone, Debug, Default)]
pub(super) struct Head {
    flushed: Vec<Written>,
    pending: Vec<Written>,
}

#[derive(Clone, Debug)]
struct Written {
    file: FileName,
    sectors: Range<u64>,
    stored: bool,
}

impl Head {
    /// A write; of files that are not segments there is no head.
    pub(super) fn written(&mut self, file: FileName, sectors: Range<u64>, stored: bool) {
        if matches!(file, FileName::Segment(_)) {
            self.pending.push(Written { file, sectors, stored });
        }
    }

    /// A flush of a segment is completed.
    pub(super) fn synced(&mut self, file: FileName) {
        if self.pending.iter().any(|written| written.file == file) {
            self.flushed = self.pending.extract_if(.., |written| written.file == file).collect();
        }
    }

    /// The power fails: what was not flushed may be there nevertheless.
    pub(super) fn crashed(&mut self) {
        self.flushed.append(&mut self.pending);
        self.flushed.iter_mut().for_each(|written| written.stored = true);
    }

    /// Something durable says that the last completed flush was one.
    pub(super) fn acknowledged(&mut self) {
        self.flushed.clear();
    }

    pub(super) fn has(&self, file: FileName, sector: u64) -> bool {
        let mut writes = self.flushed.iter().chain(&self.pending);
        writes.any(|written| written.file == file && written.sectors.contains(&sector))
    }

    /// The writes of the last completed flush that the disk did not store.
    pub(super) fn take_lost(&mut self) -> Vec<(FileName, Range<u64>)> {
        let lost = self.flushed.iter_mut().filter(|written| !written.stored);
        lost.map(|written| {
            written.stored = true;
            (written.file, written.sectors.clone())
        })
        .collect()
    }
}
