//! The disk of a node, which outlives its crashes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate::storage::{Disk, DiskError, FileAction, FileName};
use quorate_sim::disk::{ChangeOrder, SimDisk};
use quorate_sim::faults::KeptWrites;

use crate::world::Draws;

/// A simulated disk. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct NodeDisk(Arc<Mutex<SimDisk>>);

impl NodeDisk {
    fn lock(&self) -> MutexGuard<'_, SimDisk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Loses the unsynced writes, except those that are kept; part of them by chance. Returns the
    /// kept and the lost ones in one line.
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
        self.lock().execute(action)
    }
}
