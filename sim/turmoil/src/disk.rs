//! The disk of a node, which outlives its crashes, and its faults.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate::storage::{Disk, DiskError, FileAction, FileName};
use quorate_sim::disk::{ChangeOrder, SimDisk};
use quorate_sim::faults::{KeptWrites, Verb};

use crate::world::Draws;

/// A simulated disk. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct NodeDisk {
    device: Arc<Mutex<Device>>,
    /// The number of syncs after which every further one returns without effect; `None` on an
    /// honest disk.
    honest_syncs: Option<Arc<AtomicU64>>,
}

/// The state that the clones of a disk share.
#[derive(Default)]
struct Device {
    disk: SimDisk,
    /// Whether a fault has changed durable data that other nodes may be unable to replace.
    is_damaged: bool,
    /// Whether a fault has changed durable data or filled the disk.
    was_faulty: bool,
}

impl NodeDisk {
    /// Returns a disk on which only the first syncs have an effect.
    #[cfg(test)]
    pub(crate) fn lying_after(syncs: u64) -> NodeDisk {
        NodeDisk { honest_syncs: Some(Arc::new(AtomicU64::new(syncs))), ..NodeDisk::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Device> {
        self.device.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns true if the disk only claims to have done the action.
    fn lies(&self, action: &FileAction) -> bool {
        let is_sync = matches!(action, FileAction::Sync { .. } | FileAction::SyncDirectory);
        let Some(honest) = self.honest_syncs.as_ref().filter(|_| is_sync) else { return false };
        let less = |left: u64| left.checked_sub(1);
        honest.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err()
    }

    /// Keeps none, all, or a random part of the unsynced writes, and loses the others. Returns one
    /// line that names the kept and the lost writes.
    pub(crate) fn crash(&self, keep: KeptWrites, draws: &mut Draws) -> String {
        let crash = self.lock().disk.crash(ChangeOrder::Prefix, |_| match keep {
            KeptWrites::None => false,
            KeptWrites::Part => draws.below(2) == 0,
            KeptWrites::All => true,
        });
        crash.to_string()
    }

    /// Damages the disk as `corrupt` or `damage entries` does. Returns false if it has nothing to
    /// damage.
    pub(crate) fn damage(&self, verb: &Verb, seed: u64) -> bool {
        let mut device = self.lock();
        let has_struck = verb.damage(&mut device.disk, seed);
        device.is_damaged |= has_struck && !matches!(verb, Verb::DamagedBody(_));
        device.was_faulty |= has_struck;
        has_struck
    }

    /// Returns true if the disk has all data that the node has made durable.
    pub(crate) fn is_intact(&self) -> bool {
        let device = self.lock();
        !device.is_damaged && !device.disk.has_damaged_sectors()
    }

    /// Leaves the disk only `room` more bytes, or fewer if it has fewer already.
    pub(crate) fn fill(&self, room: u32) {
        let mut device = self.lock();
        let files = device.disk.list().expect("a simulated disk lists its files");
        let used: u64 = files.iter().map(|(_, bytes)| bytes).sum();
        let room = device.disk.free_bytes().min(room.into());
        device.disk.set_capacity(Some(used + room));
        device.was_faulty = true;
    }

    /// Removes the bound of the disk's space.
    pub(crate) fn empty(&self) {
        self.lock().disk.set_capacity(None);
    }

    /// Returns true if a fault of the disk may be the reason why its node fails.
    pub(crate) fn was_faulty(&self) -> bool {
        self.lock().was_faulty
    }
}

impl Disk for NodeDisk {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        self.lock().disk.list()
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        if self.lies(action) {
            return Ok(Vec::new());
        }
        self.lock().disk.execute(action)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_takes_no_write_until_it_is_emptied() {
        let mut disk = NodeDisk::default();
        let mut create =
            |bytes| disk.execute(&FileAction::Create { file: FileName::Superblock, bytes });
        create(4_096).expect("there is space");
        let clone = disk.clone();
        clone.fill(512);
        clone.fill(100_000);
        let mut write = |bytes: usize| {
            let bytes = vec![1; bytes];
            disk.execute(&FileAction::Write { file: FileName::Superblock, offset: 4_096, bytes })
        };
        assert_eq!(write(1_024), Err(DiskError::Full));
        clone.empty();
        assert_eq!(write(1_024), Ok(Vec::new()));
        assert!(clone.was_faulty() && clone.is_intact());
    }
}
