//! The times at which the directory of a running node is compared with its path.

use std::time::Duration;

use crate::runtime::environment::Environment;
use crate::types::Instant;

/// The pause between two checks. The disk itself checks at each flush, before the flush is
/// acknowledged. The checks at this interval notice the loss of a directory or file that the node
/// only reads, or does not use at present.
const INTERVAL: Duration = Duration::from_secs(1);

/// The times at which the bulk lane checks the directory.
pub(super) struct DirectoryCheck {
    due_at: Instant,
}

impl DirectoryCheck {
    /// Returns the checks of a node that starts now. Disks of a simulation have no paths.
    pub(super) fn new(environment: &Environment, now: Instant) -> DirectoryCheck {
        let due_at = match environment.simulation() {
            None => now.after(INTERVAL),
            Some(_) => Instant::NEVER,
        };
        DirectoryCheck { due_at }
    }

    /// Returns true if a check must start now. No other check starts until
    /// [`DirectoryCheck::ended`].
    pub(super) fn starts(&mut self, now: Instant) -> bool {
        let is_due = now >= self.due_at;
        if is_due {
            self.due_at = Instant::NEVER;
        }
        is_due
    }

    /// Records that the check has ended.
    pub(super) fn ended(&mut self, now: Instant) {
        self.due_at = now.after(INTERVAL);
    }
}
