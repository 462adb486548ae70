//! Reads durable data again while the node runs, flush by flush, to find damage while other nodes
//! still have what is lost.

use crate::storage::body_damage::{BodyDamage, LogDamage};
use crate::storage::disk::{Disk, FileAction, FileName};
use crate::storage::flush_bodies::FlushBodies;
use crate::storage::identity::Identity;
use crate::storage::index::LogIndex;
use crate::storage::scan::SegmentScan;
use crate::storage::superblock::{COPIES, COPY_BYTES, COPY_STRIDE, SuperblockCopy};

/// The next thing to read in a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ScrubPlace {
    /// The copies of the superblock.
    #[default]
    Superblock,
    /// The flush whose header block is at this offset of the segment, or of the next one.
    Flush { segment: u64, offset: u64 },
}

/// The outcome of reading one thing.
#[derive(Clone, Debug)]
pub(crate) enum Scrubbed {
    /// The copies of the superblock: whether each is as it should be.
    Superblock([bool; COPIES]),
    /// A flush, its damage, the place after it, and the bytes that were read.
    Flush { damage: LogDamage, next: ScrubPlace, bytes: u64 },
    /// The header block in this segment is damaged.
    DamagedHeaders(u64),
    /// The last flush was read before.
    End,
}

/// Reads what is at `place`. `durable` is a copy of the superblock.
pub(crate) fn scrub(
    disk: &mut impl Disk,
    index: &LogIndex,
    identity: Identity,
    durable: &[u8],
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
    let mut scan = SegmentScan::new(identity, number, end);
    let Ok(Some(found)) = scan.block(disk, offset) else { return Scrubbed::DamagedHeaders(number) };
    let (start, until) = FlushBodies::new(&found.block, &found.records).range();
    let Ok(check) = scan.check_bodies(disk, start, until) else {
        return Scrubbed::DamagedHeaders(number);
    };
    let mut damage = BodyDamage::default();
    damage.note(&found, &scan.segment, &check.bad);
    let next = ScrubPlace::Flush { segment: number, offset: found.end };
    let bytes = found.end - found.offset + until - start;
    Scrubbed::Flush { damage: damage.of_log(index), next, bytes }
}

fn copies(disk: &mut impl Disk, durable: &[u8]) -> [bool; COPIES] {
    std::array::from_fn(|copy| {
        let offset = copy as u64 * COPY_STRIDE;
        let file = FileName::Superblock;
        let read = disk.execute(&FileAction::Read { file, offset, bytes: COPY_BYTES });
        // Another version of the superblock is being written.
        read.is_ok_and(|bytes| {
            bytes == durable || matches!(SuperblockCopy::read(&bytes), SuperblockCopy::Valid(..))
        })
    })
}
