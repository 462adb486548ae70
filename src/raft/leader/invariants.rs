//! The invariants of a leader that hold between any two steps, and the requests that it owns.

use crate::quorum::is_quorum;
use crate::raft::common::Common;
use crate::raft::leader::{Leader, replication};
use crate::types::{Index, NodeId};

impl Leader {
    /// How many proposals and other requests, and how many of this node's own reads, wait for an
    /// answer.
    #[cfg(feature = "std")]
    pub(crate) fn pending_requests(&self) -> (usize, usize) {
        let proposed = self.proposals.len()
            + self.change.requests()
            + usize::from(self.transfers.has_request());
        (proposed, self.reads.own())
    }

    /// Panics unless a quorum, without any uncertain node, has the log up to `index` on its disks.
    /// Without debug assertions, it checks that only while entries are damaged on this leader's own
    /// disk, which then may not count (docs/REPAIR.md, R4). With `Config::survivor`, it checks
    /// nothing.
    pub(crate) fn assert_quorum_has(&self, common: &Common, index: Index) {
        let is_checked = cfg!(debug_assertions) || common.log().damaged_entries() > 0;
        if !is_checked || common.survival.is_on() {
            return;
        }
        let has_intact = |id: NodeId| match self.peers.get(id) {
            Some(peer) => peer.counts() && peer.matched() >= index,
            None => id == common.id() && common.log().intact() >= index,
        };
        let is_decided = is_quorum(common.log().membership(), has_intact);
        assert!(is_decided, "a committed entry is intact on the disks of a quorum");
    }

    pub(crate) fn assert_invariants(&self, common: &Common) {
        let (last, now) = (common.log().last(), common.now());
        assert!(last.term == common.term(), "a leader's log ends in its term");
        let term = common.log().term_at(self.term_start);
        assert!(term.is_none_or(|term| term == common.term()), "its first entry is of its term");
        self.peers.assert_invariants(common.id(), last);
        for (id, progress) in self.peers.iter() {
            replication::assert_within_window(common, progress);
            replication::assert_progress(common, id, progress);
            assert!(progress.acked_round() <= self.round, "only sent rounds are answered");
            assert!(progress.last_contact() <= now, "no peer was heard from in the future");
        }
        self.lease.assert_invariants(self.round, now);
        let covers = common.ballot.vote_lease() >= common.config().vote_lease_span();
        let has_granted_none = self.lease.read_leases_end().is_none();
        assert!(has_granted_none || covers, "the stored vote lease covers the read leases");
        self.change.assert_invariants(common, &self.peers);
        self.transfers.assert_invariants(common.id());
        self.unapplied.assert_invariants(common.log());
        let all_live_max = common.config().all_live_max;
        self.proposals.assert_invariants(common.log().committed(), last.index, all_live_max);
        self.reads.assert_invariants(self.round);
        common.assert_reads_are_committed();
        self.log_ends.assert_invariants(last.index);
    }
}
