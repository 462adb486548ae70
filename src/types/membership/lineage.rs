//! Lineages: the records of survivors that continued without the other voters (`Config::survivor`).

use alloc::sync::Arc;

use crate::types::membership::member::Lineage;
use crate::types::membership::state::Membership;

impl Membership {
    /// The maximum number of lineages in a membership. A node accepts no snapshot whose membership
    /// lacks the last lineage that the node knows to be committed. An operator may therefore have
    /// to wipe a node that was away while more than this number of lineages began, and add it
    /// again.
    pub const LINEAGES_MAX: usize = 16;

    /// Returns the last lineages of this membership, the oldest first.
    #[must_use]
    pub fn lineages(&self) -> &[Lineage] {
        &self.0.lineages
    }

    /// Returns the same membership with a new lineage. The oldest lineages are dropped if there are
    /// more than [`Membership::LINEAGES_MAX`], or if they have no room.
    #[must_use]
    pub fn with_lineage(self, lineage: Lineage) -> Membership {
        let mut parts = Arc::unwrap_or_clone(self.0);
        if parts.lineages.len() == Membership::LINEAGES_MAX {
            parts.lineages.remove(0);
        }
        parts.lineages.push(lineage);
        parts.fit_lineages();
        let kept = parts.lineages.last();
        assert!(kept.is_none_or(|last| *last == lineage), "the oldest lineages are dropped first");
        Membership::from_parts(parts)
    }

    /// Returns true if this membership follows from `earlier`: it contains the last lineage of
    /// `earlier`. If neither of two memberships follows from the other, their survivors continued
    /// independently.
    #[must_use]
    pub fn descends_from(&self, earlier: &Membership) -> bool {
        earlier.lineages().last().is_none_or(|last| self.lineages().contains(last))
    }
}
