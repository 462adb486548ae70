//! The state of one surviving data directory.

use crate::storage::{Inspection, OpenedStorage, StorageError};
use crate::types::{EntryId, Index, Membership};

/// The verified state in one data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryState {
    /// The state that a start would recover, except the tail. If the log is damaged, it is an
    /// earlier state of the log.
    pub opened: OpenedStorage,
    /// The damage of the log, if any, even if a start would accept it because peers can repair it.
    /// A damaged directory may be the recovery source, but it may lack entries that its node
    /// acknowledged. The recovery therefore does not count such a directory when it decides which
    /// committed entries may be lost.
    pub damage: Option<StorageError>,
    /// The highest commit index that the directory names, at least that of `opened`. If the log is
    /// damaged or lacks its end, the entry that is left at this index may never have been
    /// committed.
    pub named_committed: Index,
}

impl DirectoryState {
    /// Returns true if the directory has everything that its node acknowledged, as far as is known:
    /// it is undamaged, and its node is not uncertain.
    pub(crate) fn is_evidence(&self) -> bool {
        self.damage.is_none() && !self.opened.hard_state.is_uncertain
    }

    /// Returns the last membership of the log, committed or not.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        self.opened.membership()
    }

    /// Returns the last entry that is known to be committed, from the durable commit index and the
    /// memberships: a leader appends a membership only after the one before it is committed, unless
    /// it continues as a survivor and starts a new lineage.
    #[must_use]
    pub fn committed(&self) -> EntryId {
        let memberships = &self.opened.memberships;
        let lineage = |membership: &Membership| membership.lineages().last().copied();
        let waited = |pair: &&[(Index, Membership)]| lineage(&pair[0].1) == lineage(&pair[1].1);
        let followed = memberships.windows(2).rev().find(waited);
        let followed = followed.map_or(Index::ZERO, |pair| pair[0].0);
        let known = self.opened.committed.max(followed).min(self.opened.last.index);
        let known = known.max(self.opened.snapshot.last.index);
        self.id_at(known).expect("the log reaches back to its snapshot")
    }

    /// Returns true if the log has the entry, or a snapshot covers it.
    #[must_use]
    pub fn has(&self, id: EntryId) -> bool {
        let within = id.index <= self.opened.last.index;
        within && self.id_at(id.index).is_none_or(|own| own == id)
    }

    /// Returns the memberships that may be active, with their indices. The first is committed.
    pub(crate) fn memberships_from(&self, committed: Index) -> Vec<(Index, &Membership)> {
        let snapshot = &self.opened.snapshot;
        let first = (snapshot.last.index, &snapshot.membership);
        let listed = self.opened.memberships.iter().map(|(index, listed)| (*index, listed));
        let mut all: Vec<_> = [first].into_iter().chain(listed).collect();
        assert!(
            all.is_sorted_by_key(|(index, _)| *index),
            "memberships are in the order of the log"
        );
        let later = all.partition_point(|(index, _)| *index <= committed);
        let active = all.split_off(later.saturating_sub(1));
        assert!(!active.is_empty(), "a membership is active at each entry");
        let later = &active[1..];
        assert!(later.iter().all(|(index, _)| *index > committed), "only one is committed");
        active
    }

    /// Returns the id of the entry at `index`; `None` before the log's base and after its end.
    pub(crate) fn id_at(&self, index: Index) -> Option<EntryId> {
        let OpenedStorage { base, runs, last, .. } = &self.opened;
        if index < base.index || index > last.index {
            return None;
        }
        let before = runs.partition_point(|run| run.index <= index);
        let term = before.checked_sub(1).map_or(base.term, |place| runs[place].term);
        Some(EntryId::new(term, index))
    }
}

impl From<Inspection> for DirectoryState {
    fn from(inspection: Inspection) -> DirectoryState {
        let Inspection { opened, damage, named_committed, .. } = inspection;
        DirectoryState { opened, damage, named_committed }
    }
}
