//! The parts of a leader's state that the explorer normalizes.

use crate::raft::leader::Leader;
use crate::types::Instant;

impl Leader {
    /// Drops the recorded rounds. Without leases, they only matter to bounded reads.
    pub(crate) fn forget_rounds(&mut self) {
        self.lease.forget_rounds();
    }

    /// Drops the comparison of disks, which only matters if a write to the disk takes long.
    pub(crate) fn forget_disk_lag(&mut self) {
        self.transfers.forget_disk_lag();
    }

    /// Drops the read leases that have expired and no longer have any effect.
    pub(crate) fn drop_expired_leases(&mut self, now: Instant) {
        self.lease.has_read_leases(now);
    }

    /// Returns every instant in the leader's state.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        let contacts = self.peers.iter_mut().map(|(_, progress)| progress.instant());
        let own = [&mut self.heartbeat_due].into_iter().chain(&mut self.commit_due);
        let parts = self.lease.instants().chain(self.transfers.instants());
        contacts.chain(own).chain(parts).chain(self.change.instants())
    }
}
