//! The last changes of the node's role, for operators who ask why the leader changed.

use std::collections::VecDeque;

use crate::types::{Instant, RoleChange};

/// The last changes with their times, the latest first.
#[derive(Debug, Default)]
pub(super) struct RoleHistory {
    changes: VecDeque<(Instant, RoleChange)>,
}

impl RoleHistory {
    /// Records a change at `now`; its `age` is ignored. Keeps the latest [`RoleChange::KEPT_MAX`]
    /// changes.
    pub(super) fn record(&mut self, now: Instant, change: RoleChange) {
        self.changes.truncate(RoleChange::KEPT_MAX - 1);
        self.changes.push_front((now, change));
    }

    /// Returns the changes with their ages at `now`.
    pub(super) fn at(&self, now: Instant) -> Vec<RoleChange> {
        let aged =
            |(at, change): &(Instant, RoleChange)| RoleChange { age: now.since(*at), ..*change };
        self.changes.iter().map(aged).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::types::{RoleCause, RoleName, Term};

    #[test]
    fn the_latest_changes_are_kept() {
        let mut history = RoleHistory::default();
        let seconds = |seconds| Instant::ZERO.after(Duration::from_secs(seconds));
        for term in 1..=20 {
            let (role, cause) = (RoleName::Follower, RoleCause::ElectionTimeout);
            let change =
                RoleChange { age: Duration::ZERO, role, term: Term(term), leader: None, cause };
            history.record(seconds(term), change);
        }
        let changes = history.at(seconds(21));
        assert_eq!(changes.len(), RoleChange::KEPT_MAX);
        let ages = changes.iter().map(|change| (change.term.0, change.age.as_secs()));
        assert!(ages.eq((5..=20).rev().map(|term| (term, 21 - term))));
    }
}
