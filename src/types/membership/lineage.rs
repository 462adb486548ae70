//! How a membership came to be what it is without asking everybody (`Config::survivor`).

use alloc::sync::Arc;

use crate::types::membership::member::Lineage;
use crate::types::membership::state::Membership;

impl Membership {
    /// The most lineages that a membership remembers. Who was away while more began is refused
    /// until it is wiped and added again.
    pub const LINEAGES_MAX: usize = 16;

    /// The last lineages it came by, the oldest first.
    #[must_use]
    pub fn lineages(&self) -> &[Lineage] {
        &self.0.lineages
    }

    /// The same membership, with which a lineage begins. The oldest are forgotten, where there are
    /// too many or no room for them.
    #[must_use]
    pub fn begins(mut self, lineage: Lineage) -> Membership {
        let parts = Arc::make_mut(&mut self.0);
        if parts.lineages.len() == Membership::LINEAGES_MAX {
            parts.lineages.remove(0);
        }
        parts.lineages.push(lineage);
        parts.fit_lineages();
        self
    }

    /// Whether all that came to be before `earlier` is in the past of this membership too: no
    /// survivors went on towards the one who do not lead to the other.
    #[must_use]
    pub fn descends_from(&self, earlier: &Membership) -> bool {
        earlier.lineages().last().is_none_or(|last| self.lineages().contains(last))
    }
}
