//! Positions of nodes in the checks' lists, and sets of such positions.

/// The position of a node in every list of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(pub(crate) usize);

/// A set of nodes with one bit for each position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Nodes(u64);

impl Nodes {
    /// The largest number of nodes in a set.
    pub(super) const MAX: usize = 64;

    pub(super) fn insert(&mut self, slot: Slot) {
        self.0 |= 1 << slot.0;
    }

    pub(super) fn contains(self, slot: Slot) -> bool {
        self.0 >> slot.0 & 1 == 1
    }

    /// The number of nodes in the set.
    pub(super) fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// The nodes that are in both sets.
    pub(super) fn intersection(self, other: Nodes) -> Nodes {
        Nodes(self.0 & other.0)
    }

    /// The nodes that are not in `other`.
    pub(super) fn difference(self, other: Nodes) -> Nodes {
        Nodes(self.0 & !other.0)
    }

    /// The nodes that are in either set.
    pub(super) fn union(self, other: Nodes) -> Nodes {
        Nodes(self.0 | other.0)
    }
}

impl FromIterator<Slot> for Nodes {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Nodes {
        let mut nodes = Nodes::default();
        slots.into_iter().for_each(|slot| nodes.insert(slot));
        nodes
    }
}
