//! Application of entries: S15, and the part of S11 about applied entries.

use quorate::types::{Entry, Index};

use crate::check::finding::{CheckResult, S11, S15};
use crate::check::model::Model;
use crate::check::nodes::Slot;

/// The last index that each node's state machine has applied.
#[derive(Clone, Debug)]
pub(super) struct Apply {
    applied: Vec<Index>,
}

impl Apply {
    pub(super) fn new(model: &Model) -> Apply {
        Apply { applied: vec![Index::ZERO; model.nodes.len()] }
    }

    /// Records that a node's state machine starts with the log applied up to `applied`: empty, from
    /// a snapshot, or from its own durable state.
    pub(super) fn starts_at(&mut self, slot: Slot, applied: Index) {
        self.applied[slot.0] = applied;
    }

    /// The last index that the node's state machine has applied, or that its state covered when it
    /// started.
    pub(super) fn applied(&self, slot: Slot) -> Index {
        self.applied[slot.0]
    }

    pub(super) fn applies(&mut self, model: &Model, slot: Slot, entries: &[Entry]) -> CheckResult {
        let node = model.node(slot);
        let id = node.id;
        let committed = node.status.map_or(Index::ZERO, |status| status.committed);
        for entry in entries {
            let (index, applied) = (entry.id.index, self.applied[slot.0]);
            if index != applied.next() {
                return S15.violated(format!(
                    "{id} applies index {index} directly after index {applied}"
                ));
            }
            if index > committed {
                return S15.violated(format!(
                    "{id} applies index {index}, but its commit index is {committed}"
                ));
            }
            let decided = model.committed.id_at(index);
            if decided != Some(entry.id) || !model.entries.has(entry) {
                let decided = decided.unwrap_or_default();
                let difference = if decided == entry.id { " with different content" } else { "" };
                let entry = entry.id;
                return S11.violated(format!(
                    "{id} applies entry {entry}, but the committed entry at that index is \
                         {decided}{difference}"
                ));
            }
            self.applied[slot.0] = index;
        }
        Ok(())
    }
}
