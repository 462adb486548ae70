//! Durable data on a node's disk changes, or is not what the node wrote.

use quorate::storage::{Disk, FileName};

use crate::disk;
use crate::disk::{SECTOR_BYTES, SectorDamage, SimDisk};
use crate::faults::argument::{After, Node, after_word, named};
use crate::faults::fault_draw::FaultDraw;
use crate::faults::operation::operation;
use crate::faults::selector::NodeSelector;
use crate::faults::strike::{Damage, Simulated, Strike};
use crate::values::choice::Draw;

operation! {
    /// Flips bits in this region of the node's disk.
    struct BitRot "corrupt" {
        /// The region that changes.
        region: Region as Region,
        /// The node whose disk changes.
        node: NodeSelector as Node,
    }
    draw |draw, node, _| BitRot { node, region: DiskDraw::of(draw).region };
    strike |it| Strike::damage(it.node, |disk, draw| {
        if !corrupt_region(disk, it.region, draw) {
            return Damage::None;
        }
        // The process notices the damage only if it reads from the disk, not from the cache.
        if draw.chance(500) {
            disk.forget_cache();
        }
        Damage::Done
    });
}

operation! {
    /// Damages bodies of entries on the node's disk, which other nodes can repair: flips bits of
    /// sectors, zeroes them or makes them unreadable. The line does nothing unless each set of
    /// voters has three or more and each other voter has an intact disk.
    struct DamagedBody "damage entries" {
        /// The node whose disk changes.
        node: NodeSelector as Node,
    }
    draw |_, node, _| DamagedBody { node };
    strike |it| Strike::Simulated(it.node, Simulated::DamageEntries(Box::new(|disk, draw| {
        let damaged = damage_bodies(disk, draw);
        if draw.chance(500) {
            disk.forget_cache();
        }
        damaged
    })));
}

operation! {
    /// A write of the node, after N others, goes to this region of its disk instead.
    struct MisdirectedWrite "misdirect write" {
        /// The node that writes.
        node: NodeSelector as Node,
        /// The region that the write goes to.
        region: Region as Target,
        /// The number of writes before the affected one.
        after: u32 as After,
    }
    draw |draw, node, _| {
        let DiskDraw { region, after, .. } = DiskDraw::of(draw);
        MisdirectedWrite { node, region, after }
    };
    strike |it| Strike::damage(it.node, |disk, draw| {
        let Some((file, offset)) = target(disk, it.region, false, draw) else {
            return Damage::None;
        };
        disk.arm(disk::Fault::WriteMisdirected { file, offset }, it.after.into());
        Damage::Armed
    });
}

operation! {
    /// A write of the node, after N others, is reported as done but not stored.
    struct LostWrite "lose write" {
        /// The node that writes.
        node: NodeSelector as Node,
        /// The number of writes before the affected one.
        after: u32 as After,
    }
    draw |draw, node, _| LostWrite { node, after: DiskDraw::of(draw).after };
    strike |it| Strike::damage(it.node, |disk, _| {
        disk.arm(disk::Fault::WriteLost, it.after.into());
        Damage::Armed
    });
}

named! {
    /// A region of the durable data on a disk.
    Region "REGION" "disk region" {
        /// A copy of the superblock.
        Superblock "superblock",
        /// The entry headers of a segment.
        Headers "headers",
        /// The entry bodies of a segment.
        Bodies "bodies",
        /// The bytes of a snapshot file.
        Snapshot "snapshot",
    }
}

after_word! {
    /// The region that a misdirected write goes to.
    Target "to" Region "to REGION";
}

/// The choices that every disk fault except `damage entries` draws first, whether its kind uses
/// them or not: a run then makes the same choices afterwards for each of these kinds.
pub(super) struct DiskDraw {
    /// The number of calls before the affected one.
    pub(super) after: u32,
    /// The number of sectors that a failed call writes or flushes before it fails.
    pub(super) sectors: u32,
    /// The region of the disk that is damaged.
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

/// Flips some bits in up to three sectors of a region; returns false if the region is empty.
fn corrupt_region(disk: &mut SimDisk, region: Region, draw: &mut Draw<'_>) -> bool {
    let mut rotten = false;
    for _ in 0..draw.between(1, 3) {
        if let Some((file, offset)) = target(disk, region, true, draw) {
            let offset = offset + draw.below(SECTOR_BYTES as u64);
            rotten |= disk.flip_bits(file, offset, 1 << draw.below(8));
        }
    }
    rotten
}

/// Damages up to three sectors of bodies that were flushed before the end of the log; returns false
/// if there are none.
fn damage_bodies(disk: &mut SimDisk, draw: &mut Draw<'_>) -> bool {
    let mut damaged = false;
    for _ in 0..draw.between(1, 3) {
        let flipped = SectorDamage::BitFlip(draw.below(SECTOR_BYTES as u64) as usize);
        let how = *draw.pick(&[flipped, SectorDamage::Zeros, SectorDamage::Unreadable]);
        if let Some((file, offset)) = target(disk, Region::Bodies, false, draw) {
            damaged |= disk.damage_sector(file, offset / SECTOR_BYTES as u64, how);
        }
    }
    damaged
}

/// Draws a sector of a region. A sector at the end of the log may be drawn only if `at_head` is
/// true.
fn target(
    disk: &mut SimDisk,
    region: Region,
    at_head: bool,
    draw: &mut Draw<'_>,
) -> Option<(FileName, u64)> {
    let files = disk.list().expect("a simulated disk lists its files");
    let (file_of_all, sector_of_all) = (draw.below(u64::MAX), draw.below(u64::MAX));
    let newest = draw.chance(400);
    let sectors = |(file, bytes): (FileName, u64)| {
        let middle = bytes / 2 / SECTOR_BYTES as u64;
        let stored = match (region, file) {
            (Region::Superblock, FileName::Superblock)
            | (Region::Snapshot, FileName::Snapshot(_) | FileName::PartialSnapshot(_))
            | (Region::Headers | Region::Bodies, FileName::Segment(_)) => disk.stored(file),
            _ => Vec::new(),
        };
        let within = |sector: &u64| match region {
            Region::Headers => *sector < middle,
            Region::Bodies => *sector >= middle,
            Region::Superblock | Region::Snapshot => true,
        };
        let struck = |sector: &u64| at_head || !disk.is_at_head(file, *sector);
        let sectors: Vec<u64> = stored.into_iter().filter(within).filter(struck).collect();
        (file, sectors)
    };
    let mut files: Vec<(FileName, Vec<u64>)> = files.into_iter().map(sectors).collect();
    files.retain(|(_, sectors)| !sectors.is_empty());
    // Headers are written from the front of a segment, bodies from its end.
    let newest = newest.then(|| files.last()).flatten().and_then(|(file, sectors)| {
        let sector = match region {
            Region::Headers => sectors.last(),
            Region::Bodies => sectors.first(),
            Region::Superblock | Region::Snapshot => None,
        };
        Some((*file, *sector? * SECTOR_BYTES as u64))
    });
    if newest.is_some() {
        return newest;
    }
    let (file, sectors) = files.get(place(file_of_all, files.len()))?;
    Some((*file, sectors[place(sector_of_all, sectors.len())] * SECTOR_BYTES as u64))
}

/// Maps a random number to an index below `count`, or to 0 if `count` is 0.
fn place(choice: u64, count: usize) -> usize {
    ((u128::from(choice) * count as u128) >> 64) as usize
}
