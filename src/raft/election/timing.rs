//! The node's election timeouts, which depend on its seed, and the pauses of a leader between
//! suspensions and readmissions of voters.

use core::time::Duration;

use crate::raft::api::config::Config;
use crate::raft::election::jitter::Jitter;
use crate::types::{Instant, Membership};

/// The source of election timeouts, and the time before which this node, as leader, neither
/// suspends nor readmits a voter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Timing {
    jitter: Jitter,
    /// Until this instant the node, if it leads, neither suspends nor readmits a voter by
    /// `Config::suspension`. The last such change was made by this node or by an earlier leader.
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

    /// Draws an election timeout that begins at `now`, and returns its end. Every voter with a
    /// higher priority than this node's makes the timeout longer.
    #[inline]
    pub(crate) fn election_deadline(
        &mut self,
        config: &Config,
        membership: &Membership,
        now: Instant,
    ) -> Instant {
        let (min, max) = (config.election_timeout_min, config.election_timeout_max);
        let (shortest, drawn) = (now.after(min), self.jitter.nanos_up_to(max - min));
        let deadline = Instant(shortest.0.saturating_add(drawn));
        assert!(deadline >= shortest, "a timeout is not too short");
        if membership.has_highest_priority(config.id) {
            return deadline;
        }
        deadline.after(handicap(config, membership))
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

/// Returns how much longer this node's timeout is because of the voters with a higher priority.
fn handicap(config: &Config, membership: &Membership) -> Duration {
    let own = membership.priority(config.id);
    let (mut voters, mut higher) = (0, 0);
    for voter in membership.voters() {
        voters += 1;
        higher += u32::from(membership.priority(voter) > own);
    }
    assert!(higher <= voters, "only voters delay an election");
    let span = config.election_timeout_max - config.election_timeout_min;
    span.saturating_mul(higher) / voters.max(1)
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
