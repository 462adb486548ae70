//! Faults of disks: which the plan may let happen, what they do, and who meets them.

use quorate::storage::{Disk, FileAction, FileName};

use crate::choice::{Draw, Key, Kind};
use crate::coverage::Spot;
use crate::disk::{self, SECTOR_BYTES};
use crate::fault::Fault;
use crate::plan::{Call, Region, Trigger, Verb};
use crate::witness::Witness;
use crate::world::World;
use crate::world::node::{Node, Place};
use crate::world::storm::Effect;

impl World {
    /// Lets a fault happen to the disk of a node, if it can be borne.
    pub(super) fn strike_disk(&mut self, place: Place, verb: &Verb, witness: &mut Witness) {
        let (now, storm_end) = (self.now, self.storm_end());
        let node = &mut self.nodes[place.0 as usize];
        if !node.formatted {
            return;
        }
        match *verb {
            Verb::Fail(_, call, after, sectors) => {
                node.disk.arm(failure(call, sectors), after.into());
            }
            Verb::Fill(_, room, lasting) => {
                let sizes = node.disk.list().expect("a simulated disk lists its files");
                let used: u64 = sizes.iter().map(|(_, bytes)| bytes).sum();
                node.disk.set_capacity(Some(used + u64::from(room)));
                node.fills += 1;
                witness.fault(Fault::FullDisk, node.role());
                self.take_effect(Effect::DiskFilled(place), Some(lasting));
            }
            Verb::Stall(_, lasting) => {
                // After the storm there are no faults to wait for.
                let until = now.after(lasting).min(storm_end);
                node.stalled_until = node.stalled_until.max(until);
                witness.fault(Fault::StalledDisk, node.role());
            }
            Verb::Wipe(_, down) => self.wipe(place, down, witness),
            Verb::Rollback(_, age, down) => {
                node.image = Some(node.disk.image());
                self.take_effect(Effect::Imaged(place, down), Some(age));
            }
            _ => self.damage(place, verb, witness),
        }
    }

    /// Lets a fault happen that may destroy what a disk has durably. Nodes whose disks are whole
    /// must be left, as many as elect a leader.
    fn damage(&mut self, place: Place, verb: &Verb, witness: &mut Witness) {
        if !self.may_damage(place) {
            return;
        }
        let node = &mut self.nodes[place.0 as usize];
        node.damages += 1;
        let key = Key { node: place.0 + 1, peer: node.damages, ..Kind::Damage.key() };
        let mut draw = self.choices.draw(key);
        match *verb {
            Verb::Rot(_, region) if rot(node, region, &mut draw) => {
                node.damaged = true;
                // A process sees it only where its host did not keep what it read or wrote.
                if draw.chance(500) {
                    node.disk.forget_cache();
                }
                witness.fault(Fault::Rot, node.role());
            }
            Verb::Misdirect(_, region, after) => {
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
        self.nodes[place.0 as usize].damaged || self.may_lose(place)
    }

    /// Takes note of the faults that have hit operations of a node's disk. True if there were any.
    pub(super) fn meet_disk_faults(&mut self, place: Place, witness: &mut Witness) -> bool {
        let node = &mut self.nodes[place.0 as usize];
        let hits = node.disk.take_hits();
        hits.iter().for_each(|(hit, _)| witness.fault(kind(*hit), node.role()));
        if let Some(running) = node.running.as_deref_mut() {
            let seen = hits.iter().filter(|(hit, _)| hit.is_seen());
            running.failed.extend(seen.map(|(_, file)| *file));
        }
        !hits.is_empty()
    }

    /// A node's disk has carried out `action`: what the plan waits for may happen. True if the node
    /// crashed over it.
    pub(super) fn after_operation(
        &mut self,
        place: Place,
        action: &FileAction,
        in_log: bool,
        witness: &mut Witness,
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
            FileAction::Sync { .. } if in_log => [Some(Trigger::Flushes), None],
            FileAction::Create { file: FileName::Segment(_), .. } => {
                [Some(Trigger::CreatesSegment), None]
            }
            FileAction::Rename { .. } => [Some(Trigger::NamesSnapshot), None],
            FileAction::Remove { .. } => [Some(Trigger::RemovesFile), None],
            _ => [None, None],
        };
        if let FileAction::Write { file, .. } = *action
            && in_log
            && self.wrote(place, file, witness)
        {
            return true;
        }
        triggers.into_iter().flatten().any(|trigger| self.pull(trigger, place, None, witness))
    }

    /// Whether a snapshot that takes the place of the log is on its way to the node's disk.
    fn installs(&self, place: Place) -> bool {
        let running = self.nodes[place.0 as usize].running.as_deref();
        running.is_some_and(|running| running.writes.iter().any(|write| write.install.is_some()))
    }

    /// What a loss of power took from the log and its names.
    pub(super) fn mark_loss(&self, crash: &disk::Crash, segment_bytes: u64, witness: &mut Witness) {
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
        witness.reach_if(torn, Spot::CrashTornFlush);
        witness.reach_if(torn && both, Spot::CrashBothZones);
        let name = crash.lost.iter().any(|lost| matches!(lost, disk::Pending::Change(_)));
        witness.reach_if(name, Spot::CrashLostName);
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

fn kind(hit: disk::Fault) -> Fault {
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

/// Flips some bits in up to three sectors of a region; false if there is nothing to flip.
fn rot(node: &mut Node, region: Region, draw: &mut Draw<'_>) -> bool {
    let mut rotten = false;
    for _ in 0..draw.between(1, 3) {
        if let Some((file, offset)) = target(node, region, true, draw) {
            let offset = offset + draw.below(SECTOR_BYTES as u64);
            rotten |= node.disk.rot(file, offset, 1 << draw.below(8));
        }
    }
    rotten
}

/// A sector of a region that the disk has; one at the log's end only if `at_head`.
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
    // Headers are written from the front of a segment on, bodies from its back.
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

/// Where in a list of `count` things a choice falls; 0 if it has none.
fn place(choice: u64, count: usize) -> usize {
    ((u128::from(choice) * count as u128) >> 64) as usize
}
