//! What a leader does with its lease: answers reads by it, and lends it.

use core::time::Duration;

use crate::raft::common::Common;
use crate::raft::config::Lease;
use crate::raft::leader::Leader;
use crate::raft::lease::{shrunk, stretched};
use crate::types::{Freshness, Instant, ReadLevel};

impl Leader {
    /// What this leader's leases rest on, as long as it may use them: not any more once it asked
    /// somebody to take over.
    pub(crate) fn lease(&self, common: &Common) -> Option<Lease> {
        common.config.lease.filter(|_| !self.tenure.is_over())
    }

    /// Until when nobody else can be elected, as far as `confirmed` tells.
    fn lease_end(&self, common: &Common, confirmed: u64) -> Option<Instant> {
        let lease = self.lease(common)?;
        let since = self.tenure.since(confirmed)?;
        Some(since.after(shrunk(common.lease_promise(), lease.drift_ppm)))
    }

    /// For how long this leader may answer reads without asking anybody.
    pub(crate) fn lease_left(&self, common: &Common) -> Duration {
        if self.lease(common).is_none() {
            return Duration::ZERO;
        }
        let end = self.lease_end(common, self.confirmed_round(common));
        end.map_or(Duration::ZERO, |end| end.since(common.now))
    }

    /// For how long a borrower may answer reads from its last answer on, and until when it may have
    /// done so by this leader's clock; none while the leadership is on its way to another node.
    pub(crate) fn loan(&self, common: &Common, confirmed: u64) -> Option<(Duration, Instant)> {
        let lease = self.lease(common).filter(|lease| lease.replicas)?;
        let end = self.lease_end(common, confirmed).filter(|_| self.handover.is_none())?;
        let length = end.since(common.now);
        (!length.is_zero()).then(|| (length, common.now.after(stretched(length, lease.drift_ppm))))
    }

    /// How fresh the state at the commit index is, if that is enough for the level and nobody has
    /// to be asked.
    pub(crate) fn freshness(&self, common: &Common, level: ReadLevel) -> Option<Freshness> {
        let confirmed = self.confirmed_round(common);
        match level {
            ReadLevel::Lease | ReadLevel::Replica => {
                let end = self.lease_end(common, confirmed)?;
                (common.now < end).then_some(Freshness::Linearizable)
            }
            ReadLevel::Bounded(staleness) => {
                let age = common.now.since(self.tenure.since(confirmed)?);
                (age <= staleness).then_some(Freshness::Within(age))
            }
            ReadLevel::Linearizable | ReadLevel::Local => None,
        }
    }
}
