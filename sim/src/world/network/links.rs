//! Sets of links between nodes.

use crate::settings::Settings;
use crate::world::place::Place;

/// A set of links, each in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Links(u128);

impl Links {
    /// The largest number of nodes in a set of links.
    pub(crate) const NODES_MAX: usize = Settings::NODES_MAX as usize;

    /// Returns the link from one node to another.
    pub(crate) fn one(from: Place, to: Place) -> Links {
        Links(1 << (from.0 as usize * Self::NODES_MAX + to.0 as usize))
    }

    /// Returns every link from one node of `places` to another that `joined` selects.
    pub(crate) fn between(
        places: impl Iterator<Item = Place> + Clone,
        joined: impl Fn(Place, Place) -> bool,
    ) -> Links {
        let mut links = Links::default();
        for from in places.clone() {
            for to in places.clone() {
                if from != to && joined(from, to) {
                    links = links.union(Links::one(from, to));
                }
            }
        }
        links
    }

    /// Returns the union of both sets.
    pub(crate) fn union(self, other: Links) -> Links {
        Links(self.0 | other.0)
    }

    /// Returns true if the link is in the set.
    pub(crate) fn has(self, from: Place, to: Place) -> bool {
        self.0 & Links::one(from, to).0 != 0
    }
}
