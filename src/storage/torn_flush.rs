//! A last flush that is incomplete and not known to be acknowledged.

use crate::storage::disk::FileName;
use crate::storage::scan::{HeaderBlock, SegmentScan};
use crate::types::Index;

/// A flush with sectors of zeros, which were never written, or were lost. Nothing shows that the
/// flush was acknowledged, so a start drops it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TornFlush {
    /// The file that has its header block.
    pub file: FileName,
    /// The offset of the header block.
    pub offset: u64,
    /// The indices of its first and its last entry.
    pub entries: (Index, Index),
}

impl TornFlush {
    pub(crate) fn of(found: &HeaderBlock, scan: &SegmentScan) -> TornFlush {
        let first = found.block.prev.id.index.next();
        let last = found.records.last().map_or(first, |record| record.id.index);
        assert_eq!(last.0 - first.0 + 1, u64::from(found.block.entries), "a flush has no gap");
        TornFlush { file: scan.segment.file(), offset: found.offset, entries: (first, last) }
    }
}
