//! Disk faults: which ones the cluster survives, their effects, and their detection.

use quorate::storage::{Disk, FileAction, FileName};

use crate::choice::{Draw, Key, Kind};
use crate::coverage::Spot;
use crate::disk::{self, SECTOR_BYTES};
use crate::fault::Fault;
use crate::observer::Observer;
use crate::plan::{Call, Region, Trigger, Verb};
use crate::world::World;
use crate::world::active_plan::Effect;
use crate::world::node::Node;
use crate::world::place::Place;

impl World {
    /// Applies a disk fault of the plan to a node, if the cluster survives it.
    pub(super) fn apply_disk_fault(&mut self, place: Place, verb: &Verb, observer: &mut Observer) {
        let (now, phase_end) = (self.scheduler.now(), self.fault_phase_end());
        let node = &mut self.nodes[place.0 as usize];
        if !node.formatted {
            return;
        }
        match *verb {
            Verb::FailCall(_, call, after, sectors) => {
                node.disk.arm(failure(call, sectors), after.into());
            }
            Verb::FillDisk(_, room, duration) => {
                let sizes = node.disk.list().expect("a simulated disk lists its files");
                let used: u64 = sizes.iter().map(|(_, bytes)| bytes).sum();
                node.disk.set_capacity(Some(used + u64::from(room)));
                node.full_disk_faults += 1;
                observer.fault(Fault::FullDisk, node.role());
                self.begin_effect(Effect::DiskFilled(place), Some(duration));
            }
            Verb::StallDisk(_, duration) => {
                // The stabilization phase has no stalled disks.
                let until = now.after(duration).min(phase_end);
                node.stalled_until = node.stalled_until.max(until);
                observer.fault(Fault::StalledDisk, node.role());
            }
            Verb::Wipe(_, down) => self.wipe(place, down, observer),
            Verb::RollBack(_, age, down) => {
                node.rollback_image = Some(node.disk.durable_copy());
                self.begin_effect(Effect::RollbackPending(place, down), Some(age));
            }
            _ => self.damage(place, verb, observer),
        }
    }

    /// Applies a fault that may destroy durable data, if enough nodes with intact disks remain to
    /// elect a leader.
    fn damage(&mut self, place: Place, verb: &Verb, observer: &mut Observer) {
        if !self.may_damage(place) {
            return;
        }
        let node = &mut self.nodes[place.0 as usize];
        node.damage_faults += 1;
        let key = Key { node: place.0 + 1, peer: node.damage_faults, ..Kind::Damage.key() };
        let mut draw = self.choices.draw(key);
        match *verb {
            Verb::Corrupt(_, region) if corrupt_region(node, region, &mut draw) => {
                node.damaged = true;
                // The process notices the damage only if it reads from the disk, not from the
                // cache.
                if draw.chance(500) {
                    node.disk.forget_cache();
                }
                observer.fault(Fault::BitRot, node.role());
            }
            Verb::MisdirectWrite(_, region, after) => {
                if let Some((file, offset)) = target(node, region, false, &mut draw) {
                    node.damaged = true;
                    node.disk.arm(disk::Fault::WriteMisdirected { file, offset }, after.into());
                }
            }
            Verb::LoseWrite(_, after) => {
                node.damaged = true;
                node.disk.arm(disk::Fault::WriteLost, after.into());
            }
            _ => {}
        }
    }

    fn may_damage(&self, place: Place) -> bool {
        self.nodes[place.0 as usize].damaged || self.may_lose_disk(place)
    }

    /// Counts the disk faults that have hit operations of a node; returns true if there were any.
    pub(super) fn count_disk_faults(&mut self, place: Place, observer: &mut Observer) -> bool {
        let node = &mut self.nodes[place.0 as usize];
        let hits = node.disk.take_hits();
        hits.iter().for_each(|(hit, _)| observer.fault(fault_kind(*hit), node.role()));
        if let Some(running) = node.running.as_deref_mut() {
            let seen = hits.iter().filter(|(hit, _)| hit.is_reported());
            running.failed.extend(seen.map(|(_, file)| *file));
        }
        !hits.is_empty()
    }

    /// Fires the triggers of a disk operation that has been executed. Returns true if the node
    /// crashed because of it.
    pub(super) fn after_operation(
        &mut self,
        place: Place,
        action: &FileAction,
        in_log: bool,
        observer: &mut Observer,
    ) -> bool {
        let triggers: [Option<Trigger>; 2] = match *action {
            FileAction::Write { file: FileName::Superblock, .. } => {
                let installs = self.installs(place).then_some(Trigger::InstallsSnapshot);
                [Some(Trigger::UpdatesSuperblock), installs]
            }
            FileAction::Write { file: FileName::Segment(_), offset: 0, .. } => {
                [Some(Trigger::BeginsSegment), None]
            }
            FileAction::Write { file: FileName::PartialSnapshot(_), .. } => {
                [Some(Trigger::WritesSnapshot), None]
            }
            FileAction::Sync { .. } if in_log => [Some(Trigger::CompletesFlush), None],
            FileAction::Create { file: FileName::Segment(_), .. } => {
                [Some(Trigger::CreatesSegment), None]
            }
            FileAction::Rename { .. } => [Some(Trigger::RenamesSnapshot), None],
            FileAction::Remove { .. } => [Some(Trigger::RemovesFile), None],
            _ => [None, None],
        };
        if let FileAction::Write { file, .. } = *action
            && in_log
            && self.after_cached_write(place, file, observer)
        {
            return true;
        }
        triggers
            .into_iter()
            .flatten()
            .any(|trigger| self.fire_trigger(trigger, place, None, observer))
    }

    /// Returns true if a snapshot that replaces the log is on its way to the node's disk.
    fn installs(&self, place: Place) -> bool {
        let running = self.nodes[place.0 as usize].running.as_deref();
        running.is_some_and(|running| running.writes.iter().any(|write| write.install.is_some()))
    }

    /// Marks what a power loss took from the log and its file names.
    pub(super) fn mark_loss(
        &self,
        crash: &disk::Crash,
        segment_bytes: u64,
        observer: &mut Observer,
    ) {
        let middle = segment_bytes / 2 / SECTOR_BYTES as u64;
        let zone = |pending: &disk::Pending| match pending {
            disk::Pending::Sector { file: FileName::Segment(number), sector, .. } => {
                Some((*number, *sector >= middle))
            }
            _ => None,
        };
        let lost: Vec<(u64, bool)> = crash.lost.iter().filter_map(zone).collect();
        let torn = crash
            .kept
            .iter()
            .filter_map(zone)
            .any(|(kept, _)| lost.iter().any(|(number, _)| *number == kept));
        let both = [false, true].iter().all(|bodies| lost.iter().any(|(_, zone)| zone == bodies));
        observer.reach_if(torn, Spot::CrashTornFlush);
        observer.reach_if(torn && both, Spot::CrashBothZones);
        let name = crash.lost.iter().any(|lost| matches!(lost, disk::Pending::Change(_)));
        observer.reach_if(name, Spot::CrashLostName);
    }
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

fn fault_kind(hit: disk::Fault) -> Fault {
    match hit {
        disk::Fault::SyncFails { .. } | disk::Fault::SyncDirectoryFails => Fault::FailedFlush,
        disk::Fault::ReadFails => Fault::FailedRead,
        disk::Fault::WriteLost => Fault::LostWrite,
        disk::Fault::WriteMisdirected { .. } => Fault::MisdirectedWrite,
        disk::Fault::CreateFails
        | disk::Fault::WriteFails { .. }
        | disk::Fault::RenameFails
        | disk::Fault::RemoveFails => Fault::FailedWrite,
    }
}

/// Flips some bits in up to three sectors of a region; returns false if the region is empty.
fn corrupt_region(node: &mut Node, region: Region, draw: &mut Draw<'_>) -> bool {
    let mut rotten = false;
    for _ in 0..draw.between(1, 3) {
        if let Some((file, offset)) = target(node, region, true, draw) {
            let offset = offset + draw.below(SECTOR_BYTES as u64);
            rotten |= node.disk.flip_bits(file, offset, 1 << draw.below(8));
        }
    }
    rotten
}

/// Draws a sector of a region; one at the end of the log only if `at_head`.
fn target(
    node: &mut Node,
    region: Region,
    at_head: bool,
    draw: &mut Draw<'_>,
) -> Option<(FileName, u64)> {
    let files = node.disk.list().expect("a simulated disk lists its files");
    let (file_of_all, sector_of_all) = (draw.below(u64::MAX), draw.below(u64::MAX));
    let newest = draw.chance(400);
    let sectors = |(file, bytes): (FileName, u64)| {
        let middle = bytes / 2 / SECTOR_BYTES as u64;
        let stored = match (region, file) {
            (Region::Superblock, FileName::Superblock)
            | (Region::Snapshot, FileName::Snapshot(_) | FileName::PartialSnapshot(_))
            | (Region::Headers | Region::Bodies, FileName::Segment(_)) => node.disk.stored(file),
            _ => Vec::new(),
        };
        let within = |sector: &u64| match region {
            Region::Headers => *sector < middle,
            Region::Bodies => *sector >= middle,
            Region::Superblock | Region::Snapshot => true,
        };
        let struck = |sector: &u64| at_head || !node.disk.is_at_head(file, *sector);
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
