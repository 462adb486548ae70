//! Which state machines may be wrong once some have erred: those, and whoever starts from a
//! snapshot of theirs.

use std::collections::BTreeSet;

use quorate::types::{Index, NodeId};

/// The state machines of a run that may be wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taint {
    /// How often one has erred.
    slips: u32,
    nodes: BTreeSet<NodeId>,
    /// Where snapshots end that were taken of a state that may be wrong.
    snapshots: BTreeSet<Index>,
    beyond: bool,
}

impl Taint {
    /// How often a state machine has erred.
    pub(crate) fn slips(&self) -> u32 {
        self.slips
    }

    /// Whether what the node's state machine says may be wrong.
    pub(crate) fn has(&self, node: NodeId) -> bool {
        self.nodes.contains(&node)
    }

    /// How many others than the node's may be wrong.
    pub(crate) fn others(&self, node: NodeId) -> usize {
        self.nodes.iter().filter(|other| **other != node).count()
    }

    /// Whether a node has started from what another had got wrong: more may be wrong than nodes
    /// can tell.
    pub(crate) fn is_beyond(&self) -> bool {
        self.beyond
    }

    /// A node's state machine errs with its next command.
    pub(crate) fn slipped(&mut self, node: NodeId) {
        self.slips += 1;
        self.nodes.insert(node);
    }

    /// A node freezes its state after `index` for a snapshot, which may come into force although
    /// the node falls before it can say so.
    pub(crate) fn frozen(&mut self, node: NodeId, index: Index) {
        if self.has(node) {
            self.snapshots.insert(index);
        }
    }

    /// A node starts, with the state of a snapshot that ends at `index`: its own, or another's that
    /// it had not started over from when it fell.
    pub(crate) fn started(&mut self, node: NodeId, index: Index) {
        self.beyond |= self.snapshots.contains(&index) && !self.has(node);
        self.goes_on(node, index);
    }

    /// A node's state machine starts over from another's snapshot that ends at `index`.
    pub(crate) fn restored(&mut self, node: NodeId, index: Index) {
        self.beyond |= self.snapshots.contains(&index);
        self.goes_on(node, index);
    }

    fn goes_on(&mut self, node: NodeId, index: Index) {
        match self.snapshots.contains(&index) {
            true => self.nodes.insert(node),
            false => self.nodes.remove(&node),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_starts_from_what_another_has_frozen_may_be_as_wrong() {
        let [one, two, three] = [1, 2, 3].map(NodeId);
        let mut taint = Taint::default();
        taint.slipped(one);
        taint.frozen(one, Index(7));
        taint.frozen(two, Index(8));
        taint.started(one, Index(7));
        assert!(taint.has(one) && !taint.is_beyond(), "its own");
        taint.started(two, Index(8));
        assert!(!taint.has(two), "nobody that erred has frozen that");
        taint.started(three, Index(7));
        assert!(taint.has(three) && taint.is_beyond(), "two of three may be wrong");
    }

    #[test]
    fn who_starts_from_a_sound_snapshot_is_sound_again() {
        let node = NodeId(1);
        let mut taint = Taint::default();
        taint.slipped(node);
        taint.started(node, Index::ZERO);
        assert!(!taint.has(node) && taint.slips() == 1);
    }
}
