//! The leader's volatile state of a membership change, and the catch-up rounds of new voters.

use alloc::vec::Vec;
use core::time::Duration;

use crate::types::{Index, Instant, NodeId, Tag};

/// The state of a membership change that is not in the log: a new leader does not have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct ChangeInProgress {
    /// The tag of the request that waits for the change under way.
    pub(crate) tag: Option<Tag>,
    /// The tag of the request whose change is being cancelled.
    pub(crate) cancelled_tag: Option<Tag>,
    /// The catch-up of every node that is to become a voter.
    pub(crate) catching_up: Vec<(NodeId, CatchUp)>,
    /// Removed members that are still sent the log, each until the given instant.
    pub(crate) departing: Vec<(NodeId, Instant)>,
}

/// Rounds of replication to a new voter, each up to where the log ended when the round began. A
/// round that takes at most `election_timeout_min`, or after which the node has the whole log,
/// shows that the node keeps up (thesis §4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CatchUp {
    target: Index,
    since: Instant,
    pub(crate) keeps_up: bool,
}

impl ChangeInProgress {
    /// Returns every instant in the change's state.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        let since = self.catching_up.iter_mut().map(|(_, catch_up)| &mut catch_up.since);
        since.chain(self.departing.iter_mut().map(|(_, until)| until))
    }
}

impl CatchUp {
    /// Starts the first round, up to `last`.
    pub(crate) fn new(last: Index, now: Instant) -> CatchUp {
        CatchUp { target: last, since: now, keeps_up: false }
    }

    /// Updates the round: the peer's log matches up to `matched`, the leader's log ends at `last`,
    /// and a round may take at most `bound`.
    pub(crate) fn observe(&mut self, matched: Index, last: Index, now: Instant, bound: Duration) {
        if matched >= self.target {
            self.keeps_up = now <= self.since.after(bound) || matched >= last;
            (self.target, self.since) = (last, now);
        } else if now > self.since.after(bound) {
            self.keeps_up = false;
        }
    }
}
