//! The leader's use of its lease: it answers reads and grants read leases.

use core::time::Duration;

use crate::raft::api::config::Lease;
use crate::raft::common::Common;
use crate::raft::leader::Leader;
use crate::raft::leader::lease::{shrunk, stretched};
use crate::types::{Freshness, Instant, ReadLevel};

impl Leader {
    /// The configured lease, unless this leader gave it up by asking another node to campaign.
    pub(crate) fn lease(&self, common: &Common) -> Option<Lease> {
        common.config.lease.filter(|_| !self.leader_lease.is_over())
    }

    /// Until this instant no other node can be elected, given that round `confirmed` is confirmed.
    fn lease_end(&self, common: &Common, confirmed: u64) -> Option<Instant> {
        let lease = self.lease(common)?;
        let since = self.leader_lease.round_start(confirmed)?;
        Some(since.after(shrunk(common.vote_lease_span(), lease.drift_ppm)))
    }

    /// The time from now on for which this leader may answer reads without a heartbeat round.
    pub(crate) fn lease_remaining(&self, common: &Common) -> Duration {
        if self.lease(common).is_none() {
            return Duration::ZERO;
        }
        let end = self.lease_end(common, self.confirmed_round(common));
        end.map_or(Duration::ZERO, |end| end.since(common.now))
    }

    /// The read lease that followers may get now: its length, counted from the holder's reply that
    /// the heartbeat echoes, and its latest end by this leader's clock. `None` without a leader
    /// lease, and during a leadership transfer.
    pub(crate) fn grantable_read_lease(
        &self,
        common: &Common,
        confirmed: u64,
    ) -> Option<(Duration, Instant)> {
        let lease = self.lease(common).filter(|lease| lease.read_leases)?;
        let end = self.lease_end(common, confirmed).filter(|_| self.transfer.is_none())?;
        let length = end.since(common.now);
        (!length.is_zero()).then(|| (length, common.now.after(stretched(length, lease.drift_ppm))))
    }

    /// The freshness of the state at the commit index, or `None` if the level requires a heartbeat
    /// round.
    pub(crate) fn freshness(&self, common: &Common, level: ReadLevel) -> Option<Freshness> {
        let confirmed = self.confirmed_round(common);
        match level {
            ReadLevel::Lease | ReadLevel::Replica => {
                let end = self.lease_end(common, confirmed)?;
                (common.now < end).then_some(Freshness::Linearizable)
            }
            ReadLevel::Bounded(staleness) => {
                let age = common.now.since(self.leader_lease.round_start(confirmed)?);
                (age <= staleness).then_some(Freshness::Within(age))
            }
            ReadLevel::Linearizable | ReadLevel::Local => None,
        }
    }
}
