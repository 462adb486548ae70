//! The regions of a disk that a fault can affect, and the common draw of the disk faults.

use crate::faults::fault_draw::FaultDraw;

/// A region of the durable data on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// A copy of the superblock.
    Superblock,
    /// The entry headers of a segment.
    Headers,
    /// The entry bodies of a segment.
    Bodies,
    /// The bytes of a snapshot file.
    Snapshot,
}

impl Region {
    /// Every disk region with its scenario word, in the order of declaration.
    pub const ALL: [(Region, &'static str); 4] = [
        (Region::Superblock, "superblock"),
        (Region::Headers, "headers"),
        (Region::Bodies, "bodies"),
        (Region::Snapshot, "snapshot"),
    ];

    /// Returns the scenario word of the region.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// The choices that every disk fault draws first, whether its kind uses them or not: a run then
/// makes the same choices afterwards for each kind.
pub(super) struct DiskDraw {
    /// The number of calls before the affected one.
    pub(super) after: u32,
    /// The number of sectors of a failed call that are done.
    pub(super) sectors: u32,
    /// The affected region.
    pub(super) region: Region,
}

impl DiskDraw {
    pub(super) fn of(draw: &mut FaultDraw<'_>) -> DiskDraw {
        let after = *draw.pick(&[0, 0, 1, 3, 10]);
        let sectors = *draw.pick(&[0, 1, 2, 7, 20]);
        let regions = [Region::Bodies, Region::Headers, Region::Superblock, Region::Snapshot];
        DiskDraw { after, sectors, region: *draw.pick(&regions) }
    }
}
