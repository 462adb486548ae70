//! Damage to entries of the log.

use crate::raft;
use crate::replica::node::Node;
use crate::storage::{ErrorCause, StorageError};
use crate::types::{DamagedEntry, Index};

impl Node {
    /// Handles damage that the store has found. Some of these entries may already be compacted,
    /// while the repair of a later entry needs sectors that also hold their bytes. The node asks no
    /// peer for compacted entries, so it compacts the store, which then does not need their
    /// contents.
    pub(super) fn on_damaged(&mut self, entries: Vec<DamagedEntry>) {
        assert!(!entries.is_empty(), "damage names entries");
        let base = self.raft.log().base().index;
        if entries.iter().any(|damaged| damaged.id.index <= base) {
            self.storage.compact(base, &mut self.events);
        }
        self.inputs.push_back(raft::Input::Damaged(entries));
    }

    /// Returns an error if an entry after the snapshot is lost: it is neither on this node's disk,
    /// nor in memory, nor passed to the state machine, and the node is the only member, so no other
    /// node has it. A node without a membership got the entry from a leader. An entry that the node
    /// has applied is not lost, because a snapshot can replace it.
    pub(super) fn lost_entry(&self) -> Option<StorageError> {
        let log = self.raft.log();
        let after = |index: &Index| log.first_damaged_after(*index);
        let mut damaged =
            core::iter::successors(after(&log.snapshot().index.max(log.applying())), after);
        let (active, own) = (log.membership(), self.config.raft.id);
        let is_alone = !active.is_empty() && !active.has_other_member(own);
        let is_lost = |index: &Index| log.in_memory(*index).is_none();
        let lost = damaged.find(is_lost).filter(|_| is_alone && !log.has_unknown_membership())?;
        let message = format!(
            "entry {lost} is damaged, and there is no other member that may have it; a start names \
             the file and the offset"
        );
        Some(StorageError { file: None, offset: 0, message, cause: ErrorCause::Damage })
    }
}
