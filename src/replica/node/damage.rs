//! Damage that no other node can repair.

use crate::quorum::is_quorum;
use crate::replica::node::Node;
use crate::storage::{ErrorCause, StorageError};
use crate::types::Index;

impl Node {
    /// Returns the error about the first entry after the snapshot that this node has neither on its
    /// disk nor in memory, nor passed to the state machine, if it alone is a quorum: no other node
    /// has to have the entry. A snapshot replaces an entry that it has applied.
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
