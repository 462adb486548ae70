//! The faults that the node's driver has reported, and the node's recoveries from damage and
//! uncertainty.

use crate::raft::repair::state::Repair;
use crate::raft::uncertain::state::LogEndRequest;

/// Two faults that the driver reports, a full disk and an unusable state machine, and the state of
/// two recoveries: the repair of damaged entries, and the completion of an uncertain log. The
/// fields have no accessors, because every combination of them is valid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Health {
    /// Whether the disk has no space for more entries (`Input::DiskFull`).
    pub(crate) disk_full: bool,
    /// Whether the state machine must not be used (`Input::Quarantine`).
    pub(crate) quarantined: bool,
    /// The repair of damaged entries of the log (`Input::Damaged`).
    pub(crate) repair: Repair,
    /// This node's request for the end of its leader's log, while it is uncertain (docs/REPAIR.md,
    /// R3).
    pub(crate) log_end: LogEndRequest,
}
