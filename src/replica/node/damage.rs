//! Damage to entries of the log.

use crate::quorum::is_quorum;
use crate::raft;
use crate::replica::node::Node;
use crate::storage::{ErrorCause, StorageError};
use crate::types::{DamagedEntry, Index};

impl Node {
    /// Handles damage that the store has found. Some of the entries may be compacted, while a
    /// repair of later entries needs sectors that hold bytes of both. The store must then record
    /// that the content of the compacted ones is not needed, because no peer is asked for it.
    pub(super) fn on_damaged(&mut self, entries: Vec<DamagedEntry>) {
        assert!(!entries.is_empty(), "damage names entries");
        let base = self.raft.log().base().index;
        if entries.iter().any(|damaged| damaged.id.index <= base) {
            self.storage.compact(base, &mut self.events);
        }
        self.inputs.push_back(raft::Input::Damaged(entries));
    }

    /// Returns the error about the first entry after the snapshot that this node has neither on its
    /// disk nor in memory, nor passed to the state machine, if it alone is a quorum: then no other
    /// node is sure to have the entry. A snapshot replaces an entry that the node has applied.
    pub(super) fn lost_entry(&self) -> Option<StorageError> {
        let log = self.raft.log();
        let after = |index: &Index| log.first_damaged_after(*index);
        let mut damaged =
            core::iter::successors(after(&log.snapshot().index.max(log.applying())), after);
        let is_alone = is_quorum(log.membership(), |member| member == self.config.raft.id);
        let is_lost = |index: &Index| log.in_memory(*index).is_none();
        let lost = damaged.find(is_lost).filter(|_| is_alone && !log.has_unknown_membership())?;
        let message = format!(
            "entry {lost} is damaged, and no other voter has it; a start names the file and the \
             offset"
        );
        Some(StorageError { file: None, offset: 0, message, cause: ErrorCause::Damage })
    }
}
