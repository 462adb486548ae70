//! The memberships of the log, by the index from which each is active.

use alloc::vec::Vec;

use crate::types::{Index, Membership};

/// The membership of the snapshot, and the memberships in the log after it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "std", derive(serde::Serialize, serde::Deserialize))]
pub(crate) struct Memberships {
    /// Each membership with the index from which it is active, in ascending order; never empty. The
    /// first index is at most the snapshot's.
    list: Vec<(Index, Membership)>,
}

impl Memberships {
    /// Returns a list with only the membership of the snapshot that ends at `index`.
    pub(crate) fn new(index: Index, membership: Membership) -> Memberships {
        Memberships { list: Vec::from([(index, membership)]) }
    }

    /// The active membership: the last one in the log, committed or not (Raft §6).
    pub(crate) fn last(&self) -> &(Index, Membership) {
        self.list.last().expect("the list is never empty")
    }

    /// The membership that was active when the log ended at `index`; `None` if it is older than the
    /// snapshot's membership and was compacted.
    pub(crate) fn at(&self, index: Index) -> Option<&Membership> {
        let after = self.list.partition_point(|(first, _)| *first <= index);
        after.checked_sub(1).map(|place| &self.list[place].1)
    }

    /// Adds the membership that the log has at `index`.
    pub(crate) fn push(&mut self, index: Index, membership: Membership) {
        assert!(index > self.last().0, "memberships are added in log order");
        self.list.push((index, membership));
    }

    /// Adds the membership that the log has at `index`, before later ones that are known already. A
    /// membership that the snapshot's membership replaces is ignored.
    pub(crate) fn insert(&mut self, index: Index, membership: Membership) {
        let place = self.list.partition_point(|(first, _)| *first < index);
        if place > 0 && self.list.get(place).is_none_or(|(next, _)| *next != index) {
            self.list.insert(place, (index, membership));
        }
    }

    /// Drops the memberships after `last`, except the snapshot's.
    pub(crate) fn truncate(&mut self, last: Index) {
        let kept = self.list.partition_point(|(index, _)| *index <= last).max(1);
        self.list.truncate(kept);
    }

    /// Replaces the memberships up to `index` with the one of a snapshot that ends there.
    pub(crate) fn replace_through(&mut self, index: Index, membership: Membership) {
        let replaced = self.list.partition_point(|(first, _)| *first <= index);
        self.list.splice(..replaced, [(index, membership)]);
    }

    /// Drops the memberships before the one active at `index`, where a snapshot ends.
    pub(crate) fn compact(&mut self, index: Index) {
        let before = self.list.partition_point(|(first, _)| *first <= index);
        self.list.drain(..before.saturating_sub(1));
    }

    /// Panics unless the membership at the snapshot is known, because a truncation may return to
    /// it, and no membership is after `last`.
    pub(crate) fn assert_invariants(&self, snapshot: Index, last: Index) {
        assert!(self.list[0].0 <= snapshot, "the membership at the snapshot is known");
        assert!(self.last().0 <= last, "the memberships are those of the log");
        debug_assert!(self.list.is_sorted_by_key(|(index, _)| *index), "they are in log order");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeId;

    fn of(id: u64) -> Membership {
        Membership::new([NodeId(id)])
    }

    #[test]
    fn truncation_restores_the_previous_membership_and_keeps_the_oldest_one() {
        let mut memberships = Memberships::new(Index(5), of(1));
        memberships.push(Index(7), of(2));
        memberships.push(Index(9), of(3));
        assert_eq!(memberships.last(), &(Index(9), of(3)));
        assert_eq!([5, 6, 7, 8, 9, 10].map(|at| memberships.at(Index(at)).cloned()), {
            [of(1), of(1), of(2), of(2), of(3), of(3)].map(Some)
        });
        assert_eq!(memberships.at(Index(4)), None);
        memberships.truncate(Index(9));
        assert_eq!(memberships.last(), &(Index(9), of(3)), "it is the last entry");
        memberships.truncate(Index(8));
        assert_eq!(memberships.last(), &(Index(7), of(2)));
        memberships.truncate(Index(7));
        assert_eq!(memberships.last(), &(Index(7), of(2)), "it is the last entry");
        memberships.compact(Index(8));
        assert_eq!(memberships.at(Index(8)), Some(&of(2)));
        memberships.truncate(Index(8));
        assert_eq!(memberships.last(), &(Index(7), of(2)));
    }
}
