//! The snapshot that a node is taking, receiving or finishing.

use crate::storage::snapshots::finishing::Finishing;
use crate::storage::snapshots::receiving::Receiving;
use crate::storage::snapshots::taking::Taking;
use crate::types::EntryId;

/// The step that the work on a snapshot has reached.
#[derive(Clone, Debug)]
pub(super) enum Work {
    /// The state machine provides the chunks.
    Taking(Taking),
    /// A peer sends the parts.
    Receiving(Receiving),
    /// All chunks are in the file, which is read back and gets its name.
    Finishing(Finishing),
}

impl Work {
    /// The last entry of the snapshot.
    pub(super) fn last(&self) -> EntryId {
        match self {
            Work::Taking(taking) => taking.last(),
            Work::Receiving(receiving) => receiving.meta().last,
            Work::Finishing(finishing) => finishing.manifest().meta().last,
        }
    }

    /// Whether the snapshot comes from a peer.
    pub(super) fn is_received(&self) -> bool {
        match self {
            Work::Taking(_) => false,
            Work::Receiving(_) => true,
            Work::Finishing(finishing) => finishing.received,
        }
    }
}
