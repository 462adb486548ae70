//! The invariants of a node that hold between any two steps.

use crate::replica::node::{Node, Stage, Task};
use crate::types::RoleName;

impl Node {
    /// Checks the invariants of the node; for tests and the simulator.
    ///
    /// # Panics
    /// If an invariant is violated.
    pub fn assert_invariants(&self) {
        self.raft.assert_invariants();
        assert!(self.actions.is_empty(), "a step carries out all actions");
        assert!(self.events.is_empty(), "a step handles all events of the store");
        assert!(self.inputs.is_empty(), "a step passes all inputs to the algorithm");
        assert!(self.outputs.is_empty(), "a step returns all outputs");
        let last = self.fetches.last_key_value();
        assert!(last.is_none_or(|(id, _)| *id <= self.last_fetch), "fetches are numbered in order");
        self.requests.assert_invariants();
        self.validation.assert_invariants();
        if self.stage != Stage::Running {
            assert!(self.requests.len() == 0, "a node that stops has no request left");
            return;
        }
        self.assert_requests_are_pending();
        self.assert_store_is_busy();
        let leads = self.raft.status().role == RoleName::Leader;
        assert!(leads || !self.requests.has_proposed(), "only a leader has proposals to commit");
        let waits = |index| self.raft.waits_for_all_live(index);
        assert!(self.requests.early_indices().all(waits), "an early outcome is of a proposal");
        let is_recorded = self.storage.is_quarantined();
        assert!(!is_recorded || !self.validation.is_usable(), "only a quarantine is recorded");
        let log = self.raft.log();
        let applies = log.applying() > log.applied();
        assert!(self.task != Task::Applying || applies, "the worker has what the log passed on");
        self.hash_chains.assert_invariants(log.last());
    }

    /// Panics if the algorithm has lost a request of a client, or has one that has ended; or if a
    /// committed proposal waits for an entry that is applied.
    fn assert_requests_are_pending(&self) {
        let (proposed, reads) = self.raft.pending_requests();
        assert!(
            self.requests.proposed_count() == proposed,
            "each request is somewhere in the node"
        );
        assert!(self.requests.waiting_reads() == reads, "each read waits somewhere in the node");
        let (first, applied) = (self.requests.first_committed(), self.raft.log().applied());
        assert!(first.is_none_or(|first| first > applied), "an applied proposal has its outcome");
    }

    /// Panics if the node waits for the end of something that the store does not do, and would wait
    /// forever; or if the store does something whose end the node does not expect.
    fn assert_store_is_busy(&self) {
        let [is_repairing, scrubs_log] = self.storage.log.repairs.pending();
        assert!(self.raft.is_repairing() == is_repairing, "a repair ends once");
        let snapshots = &self.storage.snapshots;
        let is_scrubbing = scrubs_log || snapshots.reads_for_scrub();
        assert!(self.scrubber.is_reading() == is_scrubbing, "a read of the scrubber ends once");
        self.snapshots.assert_in_progress(snapshots.in_progress(), snapshots.reads_for_peer());
    }
}
