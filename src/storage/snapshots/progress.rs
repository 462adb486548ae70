//! The work on the snapshots of a node, for the checks of its invariants.

use crate::storage::snapshots::Snapshots;
use crate::storage::snapshots::common::Purpose;
use crate::types::EntryId;

impl Snapshots {
    /// Returns the last entry of the snapshot that is being taken or received, and whether it is
    /// being received.
    pub(crate) fn in_progress(&self) -> Option<(EntryId, bool)> {
        self.work.as_ref().map(|work| (work.last(), work.is_received()))
    }

    /// Returns true if a piece of a kept snapshot is being read to find damage.
    pub(crate) fn reads_for_scrub(&self) -> bool {
        self.reads_for(|purpose| matches!(purpose, Purpose::Scrub))
    }

    /// Returns true if a part of a snapshot is being read for a peer.
    pub(crate) fn reads_for_peer(&self) -> bool {
        self.reads_for(|purpose| matches!(purpose, Purpose::Serve(..)))
    }

    fn reads_for(&self, is_wanted: fn(&Purpose) -> bool) -> bool {
        self.common.pending.values().any(|operation| is_wanted(&operation.purpose))
    }
}
