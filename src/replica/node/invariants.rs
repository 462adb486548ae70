//! The invariants of a node that hold between any two steps.

use crate::replica::node::{Node, Stage, Task};
use crate::types::{RoleName, Status};

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
        let status = self.raft.status();
        self.assert_requests_are_pending();
        self.assert_store_is_busy(&status);
        self.assert_disk_has(&status);
        let leads = status.role == RoleName::Leader;
        assert!(leads || !self.requests.has_proposed(), "only a leader has proposals to commit");
        let waits = |index| self.raft.waits_for_all_live(index);
        assert!(
            self.requests.early_indices().all(waits),
            "an outcome that is known early is that of a proposal that waits for every live voter"
        );
        let is_recorded = self.storage.is_quarantined();
        assert!(!is_recorded || !self.validation.is_usable(), "only a quarantine is recorded");
        let log = self.raft.log();
        let applies = log.applying() > log.applied();
        assert!(self.task != Task::Applying || applies, "the worker has what the log passed on");
        assert!(self.deadline() <= self.scrubber.deadline(), "the scrubber reads when it is due");
        let is_busy = self.task != Task::Idle || !self.validation.is_usable();
        assert!(is_busy || !applies, "what the log passed on ends once");
        self.hash_chains.assert_invariants(log.last());
    }

    /// Panics if the algorithm has lost a request of a client, or has one that has ended; or if a
    /// committed proposal waits for an entry that is applied.
    fn assert_requests_are_pending(&self) {
        let (proposed, reads) = self.raft.pending_requests();
        assert!(
            self.requests.proposed_count() == proposed,
            "the node and its core wait for the same number of requests"
        );
        assert!(self.requests.waiting_reads() == reads, "each read waits somewhere in the node");
        let (first, applied) = (self.requests.first_committed(), self.raft.log().applied());
        assert!(first.is_none_or(|first| first > applied), "an applied proposal has its outcome");
    }

    /// Panics if the node waits for the end of something that the store does not do, and would wait
    /// forever; or if the store does something whose end the node does not expect.
    fn assert_store_is_busy(&self, status: &Status) {
        let (log, storage) = (self.raft.log(), &self.storage);
        assert!(self.raft.is_writing() == storage.is_writing(), "a write ends once");
        assert!(self.raft.fetches() == self.fetches.len(), "the algorithm waits for each fetch");
        assert!(self.fetches.len() == storage.fetches(), "a fetch ends once");
        let (retries, waits) =
            (self.retry_at.is_some(), storage.is_full() || storage.is_exhausted());
        assert!(retries == waits, "what waits for space or a resource is tried again");
        assert!(status.disk_full == storage.is_full(), "the algorithm knows whether it is full");
        let is_awaited = storage.is_recording() || log.applied() < log.snapshot().index;
        assert!(is_awaited || !self.snapshots.is_recording(), "a snapshot is recorded once");
        let is_begun = is_awaited || self.task != Task::Idle;
        let rebuild = self.validation.rebuild_snapshot();
        assert!(is_begun || rebuild.is_none(), "a rebuild begins once its snapshot is recorded");
        let [is_repairing, scrubs_log] = self.storage.log.repairs.pending();
        assert!(self.raft.is_repairing() == is_repairing, "a repair ends once");
        let snapshots = &self.storage.snapshots;
        let is_scrubbing = scrubs_log || snapshots.reads_for_scrub();
        assert!(self.scrubber.is_reading() == is_scrubbing, "a read of the scrubber ends once");
        self.snapshots.assert_in_progress(snapshots.in_progress(), snapshots.reads_for_peer());
    }

    /// Panics if the disk lacks what the algorithm regards as durable, or if a store without work
    /// has another log or hard state than the algorithm.
    fn assert_disk_has(&self, status: &Status) {
        let (log, storage) = (self.raft.log(), &self.storage);
        assert!(log.durable() <= storage.last().index, "durable entries are on the disk");
        assert!(
            storage.base().index <= log.base().index,
            "the disk has the first entry of the log"
        );
        let is_installed = log.snapshot().index <= log.durable();
        let recorded = storage.snapshot().last.index;
        assert!(!is_installed || log.snapshot().index <= recorded, "the snapshot is recorded");
        let stored = storage.hard_state();
        assert!(stored.term <= status.term, "the algorithm has entered each term on the disk");
        if !storage.is_writing() {
            assert!(stored == status.hard_state(), "the hard state was written");
            assert!(storage.last() == log.last(), "the whole log was written");
            assert!(log.durable() == log.last().index, "what was written is durable");
        }
    }
}
