//! What is certain of a damaged log: what it was after its last whole flush before the damage.

use crate::storage::block::FlushSeq;
use crate::storage::disk::Disk;
use crate::storage::recovery::{Recovered, Replay, bodies};
use crate::storage::scan::{HeaderBlock, Scan};
use crate::storage::superblock::Superblock;

/// Reads flushes in their order until one is missing or not whole; the segments are given as
/// number and size in ascending order. What follows may have cut what is found, so that this is
/// an earlier state of the log, and none that was acknowledged last. Without a log that belongs to
/// the snapshot in force, the snapshot alone is certain.
pub(crate) fn salvage(
    disk: &mut impl Disk,
    superblock: &Superblock,
    segments: &[(u64, u64)],
) -> Recovered {
    let mut scans: Vec<(Scan, FlushSeq)> = Vec::new();
    for (number, bytes) in segments {
        let mut scan = Scan::new(superblock.identity, *number, *bytes);
        if let Ok(Some(first)) = scan.first_seq(disk) {
            scans.push((scan, first));
        }
    }
    let mut replay = Replay::new(superblock, 0);
    for place in 0..scans.len() {
        // A flush that stands at the front of the next segment too was written once more there.
        let until = scans.get(place + 1).map_or(FlushSeq::MAX, |(_, first)| *first);
        if !replay_whole(disk, &mut scans[place].0, until, &mut replay) {
            break;
        }
    }
    let certain = replay.salvaged().or_else(|| Replay::new(superblock, 0).salvaged());
    certain.expect("a log of no flush is the snapshot's")
}

/// Takes in the whole flushes of a segment before `until`; false if one does not follow the others.
fn replay_whole(
    disk: &mut impl Disk,
    scan: &mut Scan,
    until: FlushSeq,
    replay: &mut Replay,
) -> bool {
    let (mut offset, mut zone) = (0, None);
    while let Ok(Some(found)) = scan.block(disk, offset)
        && found.block.seq < until
        && let Some((start, end)) = whole_bodies(disk, scan, &found, zone)
    {
        if replay.take(&found, scan).is_err() {
            return false;
        }
        debug_assert!(start < end, "a flush has bodies");
        (offset, zone) = (found.end, Some(start));
    }
    true
}

/// Where the bodies of a flush are, if every sector of them is as it was written.
fn whole_bodies(
    disk: &mut impl Disk,
    scan: &Scan,
    found: &HeaderBlock,
    before: Option<u64>,
) -> Option<(u64, u64)> {
    let (start, end) = bodies(found, scan, before).ok()?;
    scan.bodies(disk, start, end).is_ok().then_some((start, end))
}
