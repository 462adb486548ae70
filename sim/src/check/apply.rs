//! The state machines: S15, and the part of S11 about what is applied.

use quorate::types::{Entry, Index};

use crate::check::finding::{S11, S15, Verdict};
use crate::check::model::Model;
use crate::check::nodes::Slot;

/// How far each node's state machine is.
#[derive(Clone, Debug)]
pub(super) struct Apply {
    applied: Vec<Index>,
}

impl Apply {
    pub(super) fn new(model: &Model) -> Apply {
        Apply { applied: vec![Index::ZERO; model.nodes.len()] }
    }

    /// A node's state machine starts, empty or from a snapshot, or starts over from one.
    pub(super) fn starts_at(&mut self, slot: Slot, applied: Index) {
        self.applied[slot.0] = applied;
    }

    /// How far the node's state machine has come since its start.
    pub(super) fn applied(&self, slot: Slot) -> Index {
        self.applied[slot.0]
    }

    pub(super) fn applies(&mut self, model: &Model, slot: Slot, entries: &[Entry]) -> Verdict {
        let node = model.node(slot);
        let id = node.id;
        let committed = node.status.map_or(Index::ZERO, |status| status.committed);
        for entry in entries {
            let (index, applied) = (entry.id.index, self.applied[slot.0]);
            if index != applied.next() {
                return S15.broken(format!("{id} applies {index} after {applied}"));
            }
            if index > committed {
                return S15.broken(format!("{id} applies {index} with commit index {committed}"));
            }
            let decided = model.committed.id_at(index);
            if decided != Some(entry.id) || !model.entries.has(entry) {
                let decided = decided.unwrap_or_default();
                let what = if decided == entry.id { " with other content" } else { "" };
                let entry = entry.id;
                return S11
                    .broken(format!("{id} applies {entry} where {decided}{what} is committed"));
            }
            self.applied[slot.0] = index;
        }
        Ok(())
    }
}
