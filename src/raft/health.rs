//! The faults of the node's own disk and state machine that its driver has reported.

/// Whether the driver has reported a full disk or a diverged state machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Health {
    disk_full: bool,
    quarantined: bool,
}

impl Health {
    /// Records whether the disk has no space for more entries (`Input::DiskFull`).
    pub(crate) fn set_disk_full(&mut self, full: bool) {
        self.disk_full = full;
    }

    /// Records whether the state machine is known to have diverged (`Input::Quarantine`).
    pub(crate) fn set_quarantined(&mut self, quarantined: bool) {
        self.quarantined = quarantined;
    }

    /// Whether the disk has no space for more entries.
    pub(crate) fn disk_full(self) -> bool {
        self.disk_full
    }

    /// Whether the state machine is known to have diverged.
    pub(crate) fn quarantined(self) -> bool {
        self.quarantined
    }
}
