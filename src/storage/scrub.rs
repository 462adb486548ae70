//! Reads durable data again while the node runs, flush by flush, to find damage while other nodes
//! still have what is lost.

use crate::storage::body_damage::{BodyDamage, LogDamage};
use crate::storage::disk::{Disk, FileAction, FileName};
use crate::storage::error::{ErrorCause, OpenError, StorageError};
use crate::storage::flush_bodies::FlushBodies;
use crate::storage::identity::Identity;
use crate::storage::index::{LogIndex, SegmentFlushes};
use crate::storage::loss::entries;
use crate::storage::scan::SegmentScan;
use crate::storage::sector::SECTOR_BYTES;
use crate::storage::superblock::{COPIES, COPY_BYTES, COPY_STRIDE, Superblock, SuperblockCopy};

/// The next thing to read in a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ScrubPlace {
    /// The copies of the superblock.
    #[default]
    Superblock,
    /// The flush whose header block is at this offset of the segment; if the segment is gone or
    /// ends before it, the first flush of the next one.
    Flush { segment: u64, offset: u64 },
}

/// The outcome of reading one thing.
#[derive(Clone, Debug)]
pub(crate) enum Scrubbed {
    /// The copies of the superblock: whether each is intact.
    Superblock([bool; COPIES]),
    /// A flush, its damage, the place after it, and the bytes that were read.
    Flush { damage: LogDamage, next: ScrubPlace, bytes: u64 },
    /// A header block in this segment is damaged; the place of the next flush that can be found,
    /// and the bytes before it.
    DamagedHeaders { segment: u64, next: ScrubPlace, bytes: u64 },
    /// The last flush was read before.
    End,
}

/// Reads the copies or the flush at `place`. `durable` is the superblock that the copies should
/// hold.
pub(crate) fn scrub(
    disk: &mut dyn Disk,
    index: &LogIndex,
    identity: Identity,
    durable: &Superblock,
    place: ScrubPlace,
) -> Scrubbed {
    let ScrubPlace::Flush { segment, offset } = place else {
        return Scrubbed::Superblock(copies(disk, durable));
    };
    let at = |number: u64| if number == segment { offset } else { 0 };
    let next = index.segments().filter(|number| *number >= segment).find_map(|number| {
        let (end, _) = index.free_space(number)?;
        (at(number) < end).then(|| (number, at(number), end))
    });
    let Some((number, offset, end)) = next else { return Scrubbed::End };
    assert!(number >= segment, "a pass does not go back");
    let mut scan = SegmentScan::new(identity, number, end);
    let Ok(Some(found)) = scan.block(disk, offset) else {
        let next = scan.block_after(disk, offset).map_or(end, |found| found.offset);
        let bytes = next - offset;
        let next = ScrubPlace::Flush { segment: number, offset: next };
        return Scrubbed::DamagedHeaders { segment: number, next, bytes };
    };
    let (start, until) = FlushBodies::new(&found.block, &found.records).range();
    let bad = match scan.check_bodies(disk, start, until) {
        Ok(check) => check.bad,
        // The file was cut here: the bodies after its end are lost like damaged ones.
        Err(OpenError::Failed(StorageError { cause: ErrorCause::Damage, offset, .. })) => {
            let cut = (offset - offset % SECTOR_BYTES as u64).clamp(start, until);
            let mut bad = scan.check_bodies(disk, start, cut).unwrap_or_default().bad;
            bad.extend((cut..until).step_by(SECTOR_BYTES));
            bad
        }
        Err(_) => {
            let next = ScrubPlace::Flush { segment: number, offset: found.end };
            let bytes = found.end - found.offset + until - start;
            return Scrubbed::DamagedHeaders { segment: number, next, bytes };
        }
    };
    let mut damage = BodyDamage::default();
    damage.note(&found, &scan.segment, &bad);
    let next = ScrubPlace::Flush { segment: number, offset: found.end };
    assert!(found.end <= end, "a header block of the log ends before the headers of its segment");
    let bytes = found.end - found.offset + until - start;
    Scrubbed::Flush { damage: damage.of_log(index), next, bytes }
}

/// Returns the errors about the header blocks of these flushes that cannot be read, each with the
/// entries that the blocks there may have held.
pub(crate) fn damaged_headers(
    disk: &mut dyn Disk,
    identity: Identity,
    flushes: SegmentFlushes,
) -> Vec<StorageError> {
    let SegmentFlushes { segment, end: (end, _), entries: (mut after, last) } = flushes;
    let mut scan = SegmentScan::new(identity, segment, end);
    let (mut damage, mut offset) = (Vec::new(), 0);
    while offset < end {
        let found = match scan.block(disk, offset) {
            Ok(Some(found)) => found,
            Ok(None) | Err(_) => {
                let next = scan.block_after(disk, offset);
                let through = next.as_ref().map_or(last, |next| next.block.prev.id.index);
                let lost = entries(after, Some(through));
                let message =
                    format!("a header block cannot be read, and cannot be rebuilt; {lost}");
                damage.push(StorageError::damage(scan.segment.file(), offset, message));
                let Some(next) = next else { break };
                next
            }
        };
        after = found.records.last().map_or(after, |record| record.id.index);
        offset = found.end;
    }
    damage
}

/// Returns whether each copy is intact: it holds `durable`, or a newer superblock that is being
/// written.
fn copies(disk: &mut dyn Disk, durable: &Superblock) -> [bool; COPIES] {
    let expected = durable.encode().bytes;
    std::array::from_fn(|copy| {
        let offset = copy as u64 * COPY_STRIDE;
        let file = FileName::Superblock;
        let read = disk.execute(&FileAction::Read { file, offset, bytes: COPY_BYTES });
        read.is_ok_and(|bytes| match SuperblockCopy::read(&bytes) {
            SuperblockCopy::Valid(copy, _) => bytes == expected || copy.seq > durable.seq,
            _ => false,
        })
    })
}
