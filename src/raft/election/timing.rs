//! The node's waits that depend on its seed or on its earlier attempts: election timeouts, and the
//! pauses of a leader between suspensions.

use core::time::Duration;

use crate::raft::api::config::Config;
use crate::raft::election::jitter::Jitter;
use crate::types::{Instant, Membership};

/// The source of election timeouts, and when this node as leader acts by itself again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Timing {
    jitter: Jitter,
    /// Until this instant the node, if it leads, neither suspends nor readmits a voter by
    /// `Config::suspension`.
    suspension_not_before: Instant,
}

impl Timing {
    pub(crate) fn new(seed: u64, now: Instant) -> Timing {
        Timing { jitter: Jitter::new(seed), suspension_not_before: now }
    }

    /// Draws a random number that identifies a start of the node.
    pub(crate) fn draw_start_id(&mut self) -> u64 {
        self.jitter.next()
    }

    /// Draws an election timeout. Every voter of a higher priority makes it longer.
    pub(crate) fn election_timeout(
        &mut self,
        config: &Config,
        membership: &Membership,
    ) -> Duration {
        let (min, max) = (config.election_timeout_min, config.election_timeout_max);
        let wait = self.jitter.between(min, max);
        let own = membership.priority(config.id);
        if membership.members().iter().all(|member| member.priority <= own) {
            return wait;
        }
        let (mut voters, mut higher) = (0, 0);
        for voter in membership.voters() {
            voters += 1;
            higher += u32::from(membership.priority(voter) > own);
        }
        assert!(higher <= voters, "only voters delay an election");
        let handicap = (max - min).saturating_mul(higher) / voters.max(1);
        wait + handicap
    }

    /// Whether a leader may suspend or readmit a voter now.
    pub(crate) fn may_suspend(&self, now: Instant) -> bool {
        now >= self.suspension_not_before
    }

    /// Allows no suspension and no readmission before the given instant.
    pub(crate) fn delay_suspension(&mut self, until: Instant) {
        self.suspension_not_before = self.suspension_not_before.max(until);
    }
}

#[cfg(feature = "explore")]
impl Timing {
    /// Resets the jitter, and the wait for a suspension where no voter is ever suspended.
    pub(crate) fn normalize(&mut self, suspends: bool, now: Instant) {
        self.jitter = Jitter::new(0);
        if !suspends {
            self.suspension_not_before = now;
        }
    }

    /// The only instant in the state.
    pub(crate) fn instant(&mut self) -> &mut Instant {
        &mut self.suspension_not_before
    }
}
