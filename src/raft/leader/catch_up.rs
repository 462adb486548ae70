//! The catch-up rounds of a new voter.

use core::time::Duration;

use crate::types::{Index, Instant};

/// Rounds of replication to a new voter, each up to the end of the log at the round's start. A
/// round that takes at most `election_timeout_min`, or after which the node has the whole log,
/// shows that the node keeps up (thesis §4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct CatchUp {
    target: Index,
    since: Instant,
    keeps_up: bool,
}

impl CatchUp {
    /// Starts the first round, up to `last`.
    pub(crate) fn new(last: Index, now: Instant) -> CatchUp {
        CatchUp { target: last, since: now, keeps_up: false }
    }

    /// Whether the node keeps up, as far as its last round shows.
    pub(crate) fn keeps_up(&self) -> bool {
        self.keeps_up
    }

    /// Updates the round: the peer's log matches up to `matched`, the leader's log ends at `last`,
    /// and a round may take at most `bound`.
    pub(crate) fn observe(&mut self, matched: Index, last: Index, now: Instant, bound: Duration) {
        assert!(now >= self.since, "a round began before its end");
        assert!(matched <= last && self.target <= last, "a round covers entries of the log");
        if matched >= self.target {
            self.keeps_up = now <= self.since.after(bound) || matched >= last;
            (self.target, self.since) = (last, now);
        } else if now > self.since.after(bound) {
            self.keeps_up = false;
        }
    }
}

#[cfg(feature = "explore")]
impl CatchUp {
    /// The only instant in the state.
    pub(crate) fn instant(&mut self) -> &mut Instant {
        &mut self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_round_shows_that_the_node_keeps_up_if_the_log_did_not_grow() {
        let bound = Duration::from_secs(1);
        let keeps_up = |last, seconds| {
            let mut catch_up = CatchUp::new(Index(9), Instant::ZERO);
            let now = Instant::ZERO.after(Duration::from_secs(seconds));
            catch_up.observe(Index(8), Index(last), now, bound);
            assert!(!catch_up.keeps_up(), "the round is not over");
            catch_up.observe(Index(9), Index(last), now, bound);
            catch_up.keeps_up()
        };
        assert_eq!(
            [(9, 1), (10, 1), (9, 2), (10, 2)].map(|(last, at)| keeps_up(last, at)),
            [true, true, true, false]
        );
    }
}
