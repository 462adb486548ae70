//! Nodes by their place in every list of the checks, and sets of them.

/// The place of a node in every list of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(pub(super) usize);

/// A set of nodes, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Nodes(u64);

impl Nodes {
    /// How many nodes a set can tell apart.
    pub(super) const MAX: usize = 64;

    pub(super) fn insert(&mut self, slot: Slot) {
        self.0 |= 1 << slot.0;
    }

    pub(super) fn contains(self, slot: Slot) -> bool {
        self.0 >> slot.0 & 1 == 1
    }

    /// How many there are.
    pub(super) fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// Those of both sets.
    pub(super) fn within(self, other: Nodes) -> Nodes {
        Nodes(self.0 & other.0)
    }

    /// Those that the other set has not.
    pub(super) fn without(self, other: Nodes) -> Nodes {
        Nodes(self.0 & !other.0)
    }

    /// The nodes of either set.
    pub(super) fn and(self, other: Nodes) -> Nodes {
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
