//! Disk faults: failed calls, full, stalled and slow disks, and damage to durable data.

use std::time::Duration;

use quorate::storage::{Disk, FileName};

use crate::disk::{self, SECTOR_BYTES};
use crate::faults::Fault;
use crate::faults::{Call, Region};
use crate::values::choice::{Draw, Key, Kind};
use crate::world::cluster::node::Node;
use crate::world::cluster::node_disk::NodeDisk;
use crate::world::faults::effect::Effect;
use crate::world::run::Run;
use crate::world::setup::Setup;

/// Makes a disk call fail, after `after` others of the kind.
pub(super) fn fail_call(node: &mut Node, call: Call, after: u32, sectors: u32) {
    node.disk.device.arm(failure(call, sectors), after.into());
}

/// Leaves the disk only `room` more bytes.
pub(super) fn fill(node: &mut Node, room: u32) -> Effect {
    node.disk.fill(room);
    Effect::DiskFilled(node.place)
}

/// Makes the disk complete no call for the duration.
pub(super) fn stall(node: &mut Node, duration: Duration, run: &mut Run<'_>) {
    // The stabilization phase has no stalled disks.
    node.disk.stall(run.scheduler.now().after(duration).min(run.setup.fault_phase_end()));
    run.observer.fault(Fault::StalledDisk, node.role());
}

/// Makes each flush take longer.
pub(super) fn slow(node: &mut Node, by: Duration) -> Effect {
    node.disk.slow(by);
    Effect::DiskSlowed(node.place, by)
}

/// Makes each batch of the state machine take longer.
pub(super) fn slow_apply(node: &mut Node, by: Duration) -> Effect {
    node.slow_work(by);
    Effect::ApplySlowed(node.place, by)
}

/// Flips bits in a region of the disk.
pub(super) fn corrupt(node: &mut Node, region: Region, run: &mut Run<'_>) {
    let mut draw = draw_damage(node, run.setup);
    if !corrupt_region(&mut node.disk, region, &mut draw) {
        return;
    }
    node.disk.mark_damaged();
    // The process notices the damage only if it reads from the disk, not from the cache.
    if draw.chance(500) {
        node.disk.device.forget_cache();
    }
    run.observer.fault(Fault::BitRot, node.role());
}

/// Makes a write, after `after` others, go to a region of the disk instead.
pub(super) fn misdirect_write(node: &mut Node, region: Region, after: u32, setup: &Setup) {
    let mut draw = draw_damage(node, setup);
    if let Some((file, offset)) = target(&mut node.disk, region, false, &mut draw) {
        node.disk.mark_damaged();
        let fault = disk::Fault::WriteMisdirected { file, offset };
        node.disk.device.arm(fault, after.into());
    }
}

/// Makes the disk report a write, after `after` others, as done without storing it.
pub(super) fn lose_write(node: &mut Node, after: u32) {
    let disk = &mut node.disk;
    disk.count_damage_fault();
    disk.mark_damaged();
    disk.device.arm(disk::Fault::WriteLost, after.into());
}

/// Counts a fault that may destroy durable data, and returns the choices of its place.
fn draw_damage<'a>(node: &mut Node, setup: &'a Setup) -> Draw<'a> {
    let peer = node.disk.count_damage_fault();
    setup.choices.draw(Key { node: node.place.0 + 1, peer, ..Kind::Damage.key() })
}

fn failure(call: Call, sectors: u32) -> disk::Fault {
    match call {
        Call::Write => disk::Fault::WriteFails { sectors: sectors.into() },
        Call::Create => disk::Fault::CreateFails,
        Call::Rename => disk::Fault::RenameFails,
        Call::Remove => disk::Fault::RemoveFails,
        Call::Flush => disk::Fault::SyncFails { sectors: sectors as usize },
        Call::FlushDirectory => disk::Fault::SyncDirectoryFails,
        Call::Read => disk::Fault::ReadFails,
    }
}

/// Flips some bits in up to three sectors of a region; returns false if the region is empty.
fn corrupt_region(disk: &mut NodeDisk, region: Region, draw: &mut Draw<'_>) -> bool {
    let mut rotten = false;
    for _ in 0..draw.between(1, 3) {
        if let Some((file, offset)) = target(disk, region, true, draw) {
            let offset = offset + draw.below(SECTOR_BYTES as u64);
            rotten |= disk.device.flip_bits(file, offset, 1 << draw.below(8));
        }
    }
    rotten
}

/// Draws a sector of a region; one at the end of the log only if `at_head`.
fn target(
    disk: &mut NodeDisk,
    region: Region,
    at_head: bool,
    draw: &mut Draw<'_>,
) -> Option<(FileName, u64)> {
    let device = &mut disk.device;
    let files = device.list().expect("a simulated disk lists its files");
    let (file_of_all, sector_of_all) = (draw.below(u64::MAX), draw.below(u64::MAX));
    let newest = draw.chance(400);
    let sectors = |(file, bytes): (FileName, u64)| {
        let middle = bytes / 2 / SECTOR_BYTES as u64;
        let stored = match (region, file) {
            (Region::Superblock, FileName::Superblock)
            | (Region::Snapshot, FileName::Snapshot(_) | FileName::PartialSnapshot(_))
            | (Region::Headers | Region::Bodies, FileName::Segment(_)) => device.stored(file),
            _ => Vec::new(),
        };
        let within = |sector: &u64| match region {
            Region::Headers => *sector < middle,
            Region::Bodies => *sector >= middle,
            Region::Superblock | Region::Snapshot => true,
        };
        let struck = |sector: &u64| at_head || !device.is_at_head(file, *sector);
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
