//! The faults of the node's own disk and state machine that its driver has reported.

/// Whether the driver has reported a full disk or a diverged state machine. Every combination of
/// the two is valid, and the driver alone decides them, so that the fields need no guard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Health {
    /// The disk has no space for more entries (`Input::DiskFull`).
    pub(crate) disk_full: bool,
    /// The state machine is known to have diverged (`Input::Quarantine`).
    pub(crate) quarantined: bool,
}
