//! The state machines that may be wrong after machine faults: those with a fault, and those that
//! restored a snapshot of a state that may be wrong.

use std::collections::BTreeSet;

use quorate::types::{Index, NodeId};

/// The state machines of a run that may be wrong.
#[derive(Clone, Debug, Default)]
pub(crate) struct Taint {
    /// The number of machine faults so far.
    faults: u32,
    nodes: BTreeSet<NodeId>,
    /// The last indices of snapshots of states that may be wrong.
    snapshots: BTreeSet<Index>,
    too_many: bool,
}

impl Taint {
    /// Returns the number of machine faults so far.
    pub(crate) fn fault_count(&self) -> u32 {
        self.faults
    }

    /// Returns true if the node's state machine may be wrong.
    pub(crate) fn has(&self, node: NodeId) -> bool {
        self.nodes.contains(&node)
    }

    /// Returns the number of other nodes' state machines that may be wrong.
    pub(crate) fn others(&self, node: NodeId) -> usize {
        self.nodes.iter().filter(|other| **other != node).count()
    }

    /// Returns true if a node has started from, or restored, a snapshot that may be of another
    /// node's wrong state: more state machines may then be wrong than the nodes can detect. A
    /// snapshot is known by its last index only, so this is also true for a correct snapshot that
    /// ends at the same index as a wrong one.
    pub(crate) fn is_too_many(&self) -> bool {
        self.too_many
    }

    /// Records that a node's state machine fails with a command.
    pub(crate) fn add_fault(&mut self, node: NodeId) {
        self.faults += 1;
        self.nodes.insert(node);
    }

    /// Records that a node freezes its state after `index` for a snapshot. The snapshot may be
    /// installed even if the node crashes before it can report it.
    pub(crate) fn note_snapshot(&mut self, node: NodeId, index: Index) {
        if self.has(node) {
            self.snapshots.insert(index);
        }
    }

    /// Records that a node starts with the state of a snapshot that ends at `index`: a snapshot of
    /// its own, or one of another node that it had received but not restored before it crashed.
    pub(crate) fn started(&mut self, node: NodeId, index: Index) {
        self.too_many |= self.snapshots.contains(&index) && !self.has(node);
        self.update(node, index);
    }

    /// Records that a node's state machine restores a snapshot of another node that ends at
    /// `index`.
    pub(crate) fn restored(&mut self, node: NodeId, index: Index) {
        self.too_many |= self.snapshots.contains(&index);
        self.update(node, index);
    }

    fn update(&mut self, node: NodeId, index: Index) {
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
    fn a_node_that_starts_from_a_wrong_snapshot_may_be_wrong() {
        let [one, two, three] = [1, 2, 3].map(NodeId);
        let mut taint = Taint::default();
        taint.add_fault(one);
        taint.note_snapshot(one, Index(7));
        taint.note_snapshot(two, Index(8));
        taint.started(one, Index(7));
        assert!(taint.has(one) && !taint.is_too_many(), "the snapshot is its own");
        taint.started(two, Index(8));
        assert!(!taint.has(two), "no failed machine has frozen it");
        taint.started(three, Index(7));
        assert!(taint.has(three) && taint.is_too_many(), "two of three may be wrong");
    }

    #[test]
    fn a_node_that_starts_from_a_correct_snapshot_is_correct() {
        let node = NodeId(1);
        let mut taint = Taint::default();
        taint.add_fault(node);
        taint.started(node, Index::ZERO);
        assert!(!taint.has(node) && taint.fault_count() == 1);
    }
}
