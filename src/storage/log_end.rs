//! Evidence at the end of the log: whether the last flush was acknowledged, and whether later ones
//! are missing.

use crate::storage::block::FlushSeq;
use crate::storage::disk::Disk;
use crate::storage::error::{OpenError, StorageError};
use crate::storage::floor::Floor;
use crate::storage::identity::Identity;
use crate::storage::scan::{SegmentScan, StrayWrites};

/// Checks that no header block among the stray writes has a number above `seq` + 1, where `seq` is
/// the last known flush. A flush begins only when the flush before it is durable, so a higher
/// number means that flushes are missing. Flushes before the start of the log may be missing: `seq`
/// is at least the last of them.
pub(crate) fn check_no_missing_flush(seq: FlushSeq, stray: StrayWrites) -> Result<(), OpenError> {
    let next = seq.next();
    match stray.highest.filter(|(_, _, highest)| *highest > next) {
        Some((file, offset, highest)) => {
            let (next, highest) = (next.0, highest.0);
            let message = format!("flush {next} is damaged or missing before flush {highest}");
            Err(StorageError::damage(file, offset, message).into())
        }
        None => Ok(()),
    }
}

/// Returns true if flush `seq` was certainly reported durable: the floor says so, or a later flush
/// began, which happens only once this one is durable. In the segment of the flush, any valid
/// sector after it (`here`) proves that a later flush began. In a `later` segment, only a header
/// block with a higher number does, because a start may have rewritten flush `seq` there. A clean
/// shutdown proves nothing, because the start before it may have left a torn flush.
pub(crate) fn is_acknowledged(
    floor: Floor,
    seq: FlushSeq,
    here: StrayWrites,
    later: StrayWrites,
) -> bool {
    let another = later.highest.is_some_and(|(_, _, highest)| highest > seq);
    seq <= floor.seq || here.valid || another
}

/// Scans the segments after the last one with a flush: returns those that are empty and of the
/// configured size, and the stray writes. Segments are filled in order, so sectors after an empty
/// segment are ignored. Each of these segments has no flush, or only a torn one at its beginning;
/// so a header block further inside it means damage.
pub(crate) fn scan_trailing_segments(
    disk: &mut dyn Disk,
    identity: Identity,
    segments: &[(u64, u64)],
    segment_bytes: u64,
) -> Result<(Vec<u64>, StrayWrites), OpenError> {
    let mut spare = Vec::new();
    let mut stray = StrayWrites::default();
    for (number, bytes) in segments {
        let scan = SegmentScan::new(identity, *number, *bytes);
        let empty = if spare.is_empty() {
            let here = scan.stray_writes(disk, 0, *bytes)?;
            // This flush began only after the flush before it in the segment was durable, so no
            // crash explains the loss of that one.
            if let Some((_, _, highest)) = here.highest.filter(|(_, offset, _)| *offset > 0) {
                let message = format!("a flush before flush {} is damaged or missing", highest.0);
                return Err(StorageError::damage(scan.segment.file(), 0, message).into());
            }
            stray.join(here);
            !here.valid && !here.bad
        } else {
            scan.is_empty(disk)?
        };
        if empty && *bytes == segment_bytes {
            spare.push(*number);
        }
    }
    assert!(spare.is_sorted(), "segments are used in their order");
    Ok((spare, stray))
}

/// Returns true if a segment's first flush is its only one, is torn, and was not acknowledged.
pub(crate) fn is_single_torn_flush(
    disk: &mut dyn Disk,
    floor: Floor,
    scan: &mut SegmentScan,
    later: StrayWrites,
) -> Result<bool, OpenError> {
    let Some(found) = scan.block(disk, 0)? else { return Ok(false) };
    if scan.block(disk, found.end)?.is_some() {
        return Ok(false);
    }
    let (start, end) = scan.body_range(&found, None)?;
    let here = scan.stray_writes(disk, found.end, start)?;
    let acknowledged = is_acknowledged(floor, found.block.seq, here, later);
    Ok(!acknowledged && scan.check_bodies(disk, start, end)?.is_torn)
}

/// Returns true if a segment has one flush, and some of its bodies were never written.
pub(crate) fn is_single_unfinished_flush(
    disk: &mut dyn Disk,
    scan: &mut SegmentScan,
) -> Result<bool, OpenError> {
    let Some(found) = scan.block(disk, 0)? else { return Ok(false) };
    if scan.block(disk, found.end)?.is_some() {
        return Ok(false);
    }
    let (start, end) = scan.body_range(&found, None)?;
    Ok(scan.check_bodies(disk, start, end)?.is_torn)
}
