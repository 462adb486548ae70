//! How far a change of the membership is, as only the leader that makes it knows.

use alloc::vec::Vec;
use core::time::Duration;

use crate::types::{Index, Instant, NodeId, Tag};

/// What only the leader that changes the membership knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Changing {
    /// Who waits for the change under way.
    pub(crate) tag: Option<Tag>,
    /// Who waited for the change that is being given up.
    pub(crate) given_up: Option<Tag>,
    /// How far those are that are to vote and do not yet.
    pub(crate) catching_up: Vec<(NodeId, CatchUp)>,
    /// Who is no member any more and is still told so, until then.
    pub(crate) parting: Vec<(NodeId, Instant)>,
}

/// Rounds of replication to a voter to come, each up to where the log ended when it began. One
/// that takes no longer than a leader may be silent shows that the node keeps up (thesis §4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct CatchUp {
    target: Index,
    since: Instant,
    pub(crate) keeps_up: bool,
}

impl Changing {
    /// Every instant a change knows.
    pub(crate) fn instants(&mut self) -> impl Iterator<Item = &mut Instant> {
        let since = self.catching_up.iter_mut().map(|(_, catch_up)| &mut catch_up.since);
        since.chain(self.parting.iter_mut().map(|(_, until)| until))
    }
}

impl CatchUp {
    /// The first round begins.
    pub(crate) fn new(last: Index, now: Instant) -> CatchUp {
        CatchUp { target: last, since: now, keeps_up: false }
    }

    /// The node has the log up to `matched`, of one that ends at `last`; a round may last as long
    /// as `bound`.
    pub(crate) fn observe(&mut self, matched: Index, last: Index, now: Instant, bound: Duration) {
        if matched >= self.target {
            self.keeps_up = now <= self.since.after(bound) || matched >= last;
            (self.target, self.since) = (last, now);
        } else if now > self.since.after(bound) {
            self.keeps_up = false;
        }
    }
}
