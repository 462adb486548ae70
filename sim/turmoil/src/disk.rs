//! The disk of a node, which outlives its crashes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate::storage::{Disk, DiskError, FileAction, FileName};
use quorate_sim::disk::{ChangeOrder, SimDisk};
use quorate_sim::faults::KeptWrites;

use crate::world::Draws;

/// A simulated disk. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct NodeDisk {
    disk: Arc<Mutex<SimDisk>>,
    /// The number of syncs after which every further one returns without effect; `None` on an
    /// honest disk.
    honest_syncs: Option<Arc<AtomicU64>>,
}

impl NodeDisk {
    /// Returns a disk on which only the first syncs have an effect.
    #[cfg(test)]
    pub(crate) fn lying_after(syncs: u64) -> NodeDisk {
        NodeDisk { honest_syncs: Some(Arc::new(AtomicU64::new(syncs))), ..NodeDisk::default() }
    }

    fn lock(&self) -> MutexGuard<'_, SimDisk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
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
        let crash = self.lock().crash(ChangeOrder::Prefix, |_| match keep {
            KeptWrites::None => false,
            KeptWrites::Part => draws.below(2) == 0,
            KeptWrites::All => true,
        });
        crash.to_string()
    }
}

impl Disk for NodeDisk {
    fn list(&mut self) -> Result<Vec<(FileName, u64)>, DiskError> {
        self.lock().list()
    }

    fn execute(&mut self, action: &FileAction) -> Result<Vec<u8>, DiskError> {
        if self.lies(action) {
            return Ok(Vec::new());
        }
        self.lock().execute(action)
    }
}
