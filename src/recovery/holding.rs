//! What one surviving directory holds, and what follows from it by itself.

use crate::storage::{Failure, Inspection, Opened};
use crate::types::{EntryId, Index, Membership};

/// What one directory holds for certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holding {
    /// What a start would find, but for the tail. With damage, an earlier state of the log.
    pub opened: Opened,
    /// Why a start would refuse the log. Such a directory may be what is gone on from, but what it
    /// acknowledged last is not there: it does not vouch for what others might have.
    pub damage: Option<Failure>,
}

impl Holding {
    /// The last membership of the log, committed or not.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        self.opened.memberships.last().map_or(&self.opened.snapshot.membership, |(_, last)| last)
    }

    /// How far the log is known to be committed: as far as was written, and through the membership
    /// before the last one, for a leader appends none before that. Only survivors who go on
    /// without the dead do not wait: what begins a lineage says nothing about what it follows.
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

    /// Whether the log has the entry, or a snapshot covers it.
    #[must_use]
    pub fn has(&self, id: EntryId) -> bool {
        let within = id.index <= self.opened.last.index;
        within && self.id_at(id.index).is_none_or(|own| own == id)
    }

    /// The memberships that may be in force, of which the first is committed, each with where it
    /// stands.
    pub(crate) fn memberships_from(&self, committed: Index) -> Vec<(Index, &Membership)> {
        let snapshot = &self.opened.snapshot;
        let first = (snapshot.last.index, &snapshot.membership);
        let listed = self.opened.memberships.iter().map(|(index, listed)| (*index, listed));
        let mut all: Vec<_> = [first].into_iter().chain(listed).collect();
        let later = all.partition_point(|(index, _)| *index <= committed);
        all.split_off(later.saturating_sub(1))
    }

    /// The entry at `index`; None before the log's base and after its end.
    pub(crate) fn id_at(&self, index: Index) -> Option<EntryId> {
        let Opened { base, runs, last, .. } = &self.opened;
        if index < base.index || index > last.index {
            return None;
        }
        let before = runs.partition_point(|run| run.index <= index);
        let term = before.checked_sub(1).map_or(base.term, |place| runs[place].term);
        Some(EntryId::new(term, index))
    }
}

impl From<Inspection> for Holding {
    fn from(inspection: Inspection) -> Holding {
        Holding { opened: inspection.opened, damage: inspection.damage }
    }
}
