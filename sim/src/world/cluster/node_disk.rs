//! The disk of a node: the contents of its directory, the faults that slow, fill or damage it, and
//! its replacement by an older copy or an empty disk.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate::storage::{Disk, Storage, StorageConfig};
use quorate::types::{Incarnation, NodeId};

use crate::disk::SimDisk;
use crate::machine::MachineCheckpoint;
use crate::settings::Settings;
use crate::values::time::SimTime;
use crate::world::place::CLUSTER;

/// The disk of a node, and its faults.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeDisk {
    pub(crate) device: SimDisk,
    /// The state that the state machine has made durable by itself.
    pub(crate) machine_checkpoint: Option<MachineCheckpoint>,
    /// Whether the node's directory is formatted.
    pub(crate) formatted: bool,
    /// The number of disks that the node has lost.
    pub(crate) disks_lost: u16,
    /// Older copies of the disk, each of which will replace it, by their numbers.
    rollback_copies: BTreeMap<u16, RollbackCopy>,
    /// The number of copies so far.
    copies_made: u16,
    /// The number of copies so far that replaced the disk or its log.
    copies_restored: u16,
    /// Whether a damage fault has changed durable data, or a rollback without a mark has. Lost
    /// writes and damage that other nodes can repair do not count.
    damaged: bool,
    /// Whether the disk or its log was replaced by an older copy that makes the node uncertain, and
    /// the node has not become certain since.
    pub(crate) rolled_back: bool,
    /// Whether only the log was replaced by an older one, and the node has not started since.
    pub(crate) lost_end: bool,
    /// Whether a damage fault has struck the node, on this disk or on one lost since. Rollbacks,
    /// damage that other nodes can repair and writes that this disk has lost do not count.
    was_damaged: bool,
    /// The number of damage faults so far, including those that found nothing to damage.
    pub(crate) damage_faults: u16,
    /// The number of faults so far that try to damage sectors which other nodes can repair; some
    /// find no such sector.
    pub(crate) entry_damage_faults: u16,
    /// The value of `entry_damage_faults` when the process last requested a repair.
    pub(crate) entry_damage_faults_at_repair: u16,
    /// The number of active faults that bound the free space of the disk, or of one lost since.
    pub(crate) full_disk_faults: u32,
    /// The earliest completion of the calls that begin now, except writes of the log and of the
    /// superblock. A call that began before the fault is not delayed.
    pub(crate) stalled_until: SimTime,
    /// The extra duration of a flush caused by faults.
    pub(crate) flush_delay: Duration,
}

/// A copy of a disk for a rollback.
#[derive(Clone, Debug)]
struct RollbackCopy {
    image: SimDisk,
    /// The value of `copies_restored` at the time of the copy.
    copies_restored: u16,
}

impl NodeDisk {
    /// Returns the incarnation of the disk of node `id`.
    pub(crate) fn incarnation(&self, id: NodeId) -> Incarnation {
        Settings::incarnation(id, self.disks_lost)
    }

    /// Counts a fault that may destroy durable data, and returns its number.
    pub(crate) fn count_damage_fault(&mut self) -> u16 {
        self.damage_faults += 1;
        self.damage_faults
    }

    /// Counts a fault that tries to damage sectors which other nodes can repair, and returns its
    /// number.
    pub(crate) fn count_entry_damage_fault(&mut self) -> u16 {
        self.entry_damage_faults += 1;
        self.entry_damage_faults
    }

    /// Records that a fault has changed durable data.
    pub(crate) fn note_damage(&mut self) {
        (self.damaged, self.was_damaged) = (true, true);
    }

    /// Returns true if a damage fault, or a rollback without a mark, may have destroyed durable
    /// data, so that the node may refuse to start. A fault that waits for a write of the node
    /// counts from that write on. Damage that other nodes can repair does not count.
    pub(crate) fn is_damaged(&self) -> bool {
        self.damaged || self.device.has_lost_write()
    }

    /// Returns true if the disk is damaged, or a fault that waits for a write will damage it.
    pub(crate) fn is_or_will_be_damaged(&self) -> bool {
        self.is_damaged() || self.device.will_lose_write()
    }

    /// Returns true if a damage fault has struck the node, on this disk or on one lost since.
    pub(crate) fn was_damaged(&self) -> bool {
        self.was_damaged || self.device.has_lost_write()
    }

    /// Returns true if no flushed data is missing from the disk and no waiting fault will remove
    /// any. The loss by a rollback does not count once the node is certain again
    /// (docs/REPAIR.md, R3).
    pub(crate) fn is_intact(&self) -> bool {
        !self.may_lack_data() && !self.rolled_back
    }

    /// Returns true if durable data is lost, or a fault that waits for a write will lose some,
    /// other than by a rollback that makes the node uncertain.
    pub(crate) fn may_lack_data(&self) -> bool {
        self.is_or_will_be_damaged() || self.device.has_damaged_sectors()
    }

    /// Leaves the disk only `room` more bytes.
    pub(super) fn fill(&mut self, room: u32) {
        let sizes = self.device.list().expect("a simulated disk lists its files");
        let used: u64 = sizes.iter().map(|(_, bytes)| bytes).sum();
        // An earlier fault may leave the disk less space.
        let room = self.device.free_bytes().min(room.into());
        self.device.set_capacity(Some(used + room));
        self.full_disk_faults += 1;
    }

    /// Ends one fault that bounds the free space, of this disk or of one lost since. The bound is
    /// removed with the last fault.
    pub(super) fn end_fill(&mut self) {
        self.full_disk_faults = self.full_disk_faults.saturating_sub(1);
        if self.full_disk_faults == 0 {
            self.device.set_capacity(None);
        }
    }

    /// Returns the remaining time in which the disk is stalled.
    pub(super) fn stalled_for(&self, now: SimTime) -> Duration {
        self.stalled_until.since(now.min(self.stalled_until))
    }

    /// Makes a copy of the durable contents for a rollback, and returns its number.
    pub(crate) fn copy_for_rollback(&mut self) -> u16 {
        self.copies_made += 1;
        let (image, copies_restored) = (self.device.durable_copy(), self.copies_restored);
        self.rollback_copies.insert(self.copies_made, RollbackCopy { image, copies_restored });
        self.copies_made
    }

    /// Returns true if a copy waits for its rollback: neither was the disk lost since, nor has the
    /// rollback struck.
    pub(crate) fn has_copy(&self, copy: u16) -> bool {
        self.rollback_copies.contains_key(&copy)
    }

    /// Removes and returns a copy for its rollback. Also returns whether no copy has replaced the
    /// disk or its log since this one was made: then the log of the disk continues the log of the
    /// copy.
    pub(crate) fn take_copy(&mut self, copy: u16) -> Option<(SimDisk, bool)> {
        let RollbackCopy { image, copies_restored } = self.rollback_copies.remove(&copy)?;
        Some((image, copies_restored == self.copies_restored))
    }

    /// Replaces the log with that of an older copy of the disk, if the store then finds that the
    /// end of the log is lost. Returns true if so.
    pub(super) fn lose_end(&mut self, image: &SimDisk, id: NodeId, config: &StorageConfig) -> bool {
        let mut device = self.device.clone();
        device.restore_log(image);
        let opened = Storage::open(&mut device.clone(), CLUSTER, id, config);
        let is_found = opened.is_ok_and(|(_, opened)| opened.lost_end.is_some());
        if is_found {
            self.device = device;
            (self.rolled_back, self.lost_end) = (true, true);
            self.copies_restored += 1;
        }
        is_found
    }

    /// Replaces the contents of the disk with an older copy, which may be marked as uncertain.
    pub(super) fn roll_back(&mut self, image: SimDisk, is_marked: bool) {
        self.was_damaged = self.was_damaged();
        let capacity = self.device.capacity();
        self.device = image;
        self.device.set_capacity(capacity);
        (self.rolled_back, self.lost_end) = (is_marked, false);
        self.damaged |= !is_marked;
        self.copies_restored += 1;
    }

    /// Replaces the disk with an empty one.
    pub(super) fn wipe(&mut self) {
        self.was_damaged = self.was_damaged();
        self.device.wipe();
        self.device.disarm();
        self.device.set_capacity(None);
        self.machine_checkpoint = None;
        self.rollback_copies.clear();
        self.disks_lost += 1;
        (self.formatted, self.damaged) = (false, false);
        (self.rolled_back, self.lost_end) = (false, false);
    }

    /// Ends all faults of the disk; its damage stays.
    pub(super) fn repair(&mut self, now: SimTime) {
        self.device.set_capacity(None);
        self.device.disarm();
        self.full_disk_faults = 0;
        self.stalled_until = now;
        self.flush_delay = Duration::ZERO;
    }
}

#[cfg(test)]
mod tests {
    use quorate::storage::{FileAction, FileName};

    use super::*;
    use crate::disk::Fault;

    #[test]
    fn a_fault_that_waits_for_a_write_damages_the_disk_only_then() {
        let file = FileName::Superblock;
        let mut disk = NodeDisk::default();
        disk.device.apply(&FileAction::Create { file, bytes: 4096 }).expect("there is space");
        disk.device.arm(Fault::WriteLost, 1);
        let write = FileAction::Write { file, offset: 0, bytes: vec![1; 512] };
        for is_hit in [false, true] {
            assert!(!disk.is_damaged() && !disk.was_damaged());
            assert!(disk.is_or_will_be_damaged() && !disk.is_intact());
            disk.device.apply(&write).expect("the loss is not reported");
            assert_eq!(disk.is_damaged(), is_hit);
        }
        disk.wipe();
        assert!(!disk.is_or_will_be_damaged() && disk.was_damaged());
    }

    #[test]
    fn the_smallest_bound_of_the_free_space_counts_until_the_last_fault_ends() {
        let mut disk = NodeDisk::default();
        disk.fill(100);
        disk.fill(4_096);
        assert_eq!(disk.device.free_bytes(), 100);
        disk.end_fill();
        assert_eq!(disk.device.free_bytes(), 100);
        disk.wipe();
        assert_eq!(disk.device.free_bytes(), u64::MAX);
        disk.fill(100);
        disk.end_fill();
        assert_eq!(disk.device.free_bytes(), 100, "the end of a fault of the lost disk");
        disk.end_fill();
        assert_eq!(disk.device.free_bytes(), u64::MAX);
    }

    #[test]
    fn every_rollback_has_its_own_copy_until_the_disk_is_lost() {
        let mut disk = NodeDisk::default();
        let copies = [(); 4].map(|()| disk.copy_for_rollback());
        let (image, is_of_this_disk) = disk.take_copy(copies[1]).expect("it was made");
        assert!(is_of_this_disk && disk.take_copy(copies[1]).is_none());
        disk.roll_back(image, true);
        assert_eq!(
            disk.take_copy(copies[0]).map(|(_, is_of_this_disk)| is_of_this_disk),
            Some(false)
        );
        assert!(disk.has_copy(copies[2]));
        disk.wipe();
        assert!(!disk.has_copy(copies[2]) && disk.take_copy(copies[3]).is_none());
    }

    #[test]
    fn a_rollback_keeps_the_bound_of_the_free_space() {
        let mut disk = NodeDisk::default();
        disk.fill(100);
        let full = disk.device.durable_copy();
        disk.end_fill();
        disk.roll_back(full, true);
        assert_eq!(disk.device.free_bytes(), u64::MAX);
        let empty = disk.device.durable_copy();
        disk.fill(100);
        disk.roll_back(empty, true);
        assert_eq!(disk.device.free_bytes(), 100);
    }
}
