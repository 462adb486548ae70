//! Salvages a damaged log: restores its state after the last complete flush before the damage that
//! the snapshot does not cover.

use crate::storage::block::{Block, FlushSeq};
use crate::storage::disk::Disk;
use crate::storage::floor::Floor;
use crate::storage::flush_bodies::FlushBodies;
use crate::storage::recovery::{RecoveredLog, Replay};
use crate::storage::scan::{HeaderBlock, SegmentScan};
use crate::storage::superblock::Superblock;
use crate::types::Index;

/// Reads the flushes in order until one is missing or incomplete; the segments are given as number
/// and size in ascending order. The snapshot to start from covers the entries through `covered`, so
/// their content may be damaged. Later flushes may have truncated the entries that are found, so
/// the result is an earlier state of the log and may lack acknowledged entries. If the log does not
/// contain the current snapshot, only the snapshot is certain.
pub(crate) fn salvage(
    disk: &mut dyn Disk,
    superblock: &Superblock,
    segments: &[(u64, u64)],
    covered: Index,
) -> RecoveredLog {
    let mut scans: Vec<(SegmentScan, Block)> = Vec::new();
    for (number, bytes) in segments {
        let mut scan = SegmentScan::new(superblock.identity, *number, *bytes);
        if let Ok(Some(first)) = scan.first_block(disk) {
            scans.push((scan, first));
        }
    }
    let floor = Floor::default();
    let mut replay = Replay::new(superblock, floor, 0);
    for place in 0..scans.len() {
        // If the next segment begins with this flush, the flush was written again there.
        let until = scans.get(place + 1).map_or(FlushSeq::MAX, |(_, first)| first.seq);
        replay.skip_covered_loss(&scans[place].1);
        if !replay_complete(disk, &mut scans[place].0, until, covered, &mut replay) {
            break;
        }
    }
    let certain = replay.salvaged().or_else(|| Replay::new(superblock, floor, 0).salvaged());
    certain.expect("an empty log follows the snapshot")
}

/// Applies the complete flushes of a segment before `until`; returns false if one of them does not
/// continue the log.
fn replay_complete(
    disk: &mut dyn Disk,
    scan: &mut SegmentScan,
    until: FlushSeq,
    covered: Index,
    replay: &mut Replay,
) -> bool {
    let (mut offset, mut zone) = (0, None);
    while let Ok(Some(found)) = scan.block(disk, offset)
        && found.block.seq < until
        && let Some((start, end, bad)) = complete_bodies(disk, scan, &found, zone, covered)
    {
        replay.damage.note(&found, &scan.segment, &bad);
        if replay.apply(&found, scan).is_err() {
            return false;
        }
        debug_assert!(start < end, "a flush has bodies");
        (offset, zone) = (found.end, Some(start));
    }
    true
}

/// Returns the file range of a flush's bodies, and their bad sectors, if no entry after `covered`
/// has lost its content.
fn complete_bodies(
    disk: &mut dyn Disk,
    scan: &SegmentScan,
    found: &HeaderBlock,
    before: Option<u64>,
    covered: Index,
) -> Option<(u64, u64, Vec<u64>)> {
    let (start, end) = scan.body_range(found, before).ok()?;
    let bad = scan.check_bodies(disk, start, end).ok()?.bad;
    let damaged = FlushBodies::new(&found.block, &found.records).damaged_by(&bad);
    damaged.iter().all(|entry| entry.id.index <= covered).then_some((start, end, bad))
}
