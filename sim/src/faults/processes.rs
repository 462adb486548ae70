//! The reasons why several kinds of operations do not exist on real processes.

/// The reason of the disk faults.
pub(crate) const DISK: &str = "disk faults at a call or a byte cannot be injected into a process";
/// The reason of the clock faults.
pub(crate) const CLOCK: &str = "all processes share the clock of this machine";
/// The reason of the faults of a state machine.
pub(super) const MACHINE: &str = "the state machine of `quorate` is correct";
/// The reason of messages that no correct node would send.
pub(super) const FORGED: &str = "real processes cannot send forged or misrouted messages";
