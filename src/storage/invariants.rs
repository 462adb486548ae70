//! Invariants of the store, which it checks after each step.

use crate::storage::store::{Closing, Storage};

impl Storage {
    /// Panics if the parts of the store contradict one another.
    pub(crate) fn check(&self) {
        let (durable, target) = (self.updater.durable(), self.updater.target());
        assert_eq!(durable.identity, self.identity, "the superblock is that of the node");
        assert!(durable.hard_state.term <= target.hard_state.term, "the term never decreases");
        assert!(target.compacted <= target.snapshot.last.index, "the snapshot covers what is gone");
        assert!(!self.updater.is_stuck(), "a requested update of the superblock is under way");
        self.log.assert_progress();
        if self.closing == Closing::Done {
            assert!(self.log.is_idle(), "a closed store has written everything");
            assert!(durable.clean, "a closed store has recorded its clean shutdown");
        }
        if self.started {
            let snapshot = durable.snapshot.last.index;
            let (base, last) = (self.log.index.base().id, self.log.index.last().id);
            assert!(base.index <= snapshot, "the snapshot covers what the log lacks");
            assert!(last.index >= snapshot, "the log has the last entry of the snapshot");
            assert!(self.recorded_index >= snapshot, "the snapshots know the current one");
            assert!(target.snapshot.last.index >= snapshot, "no older snapshot replaces one");
            assert!(target.committed >= durable.committed, "the commit index never decreases");
            let acknowledged = self.log.acknowledged();
            assert!(durable.ack_floor <= acknowledged, "the floor is a durable flush");
        }
    }
}
