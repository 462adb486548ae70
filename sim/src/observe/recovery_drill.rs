//! The result of a disaster recovery that the world performs as a drill.

use quorate::recovery::RecoverySource;
use quorate::storage::OpenedStorage;
use quorate::types::{Entry, Membership};

/// A new cluster that was recovered from copies of some nodes' disks.
#[derive(Clone, Debug)]
pub struct RecoveryDrill {
    /// The disk from which the new cluster continues, and the possible data loss.
    pub source: RecoverySource,
    /// Whether the recovery is rejected without consent, because the nodes with the copied disks
    /// are a quorum and could be started instead.
    pub is_quorum_available: bool,
    /// The membership of the new cluster.
    pub membership: Membership,
    /// The content of the directory of the new cluster's only member.
    pub directory: OpenedStorage,
    /// The entries of that directory, after its snapshot.
    pub entries: Vec<Entry>,
}
