//! State machines that err, by a fault's doing, and what the nodes make of it: S31.
//!
//! What a machine says that may be wrong is held against nothing, until its node has started over.

use quorate::replica::Verdict as Found;
use quorate::types::{Index, NodeId};

use crate::check::finding::{S31, Verdict};
use crate::check::model::Model;
use crate::check::nodes::Slot;
use crate::taint::Taint;

/// Which state machines may be wrong, and which nodes know.
#[derive(Clone, Debug, Default)]
pub(super) struct Suspects {
    pub(super) taint: Taint,
    nodes: Vec<Suspect>,
}

#[derive(Clone, Debug, Default)]
struct Suspect {
    /// The first index after which its results were seen to be wrong.
    wrong_from: Option<Index>,
    /// It knows: it must say nothing.
    quarantined: bool,
}

impl Suspects {
    pub(super) fn new(model: &Model) -> Suspects {
        Suspects { nodes: vec![Suspect::default(); model.nodes.len()], ..Suspects::default() }
    }

    /// A node that may be wrong was seen to be so after `index`.
    pub(super) fn is_wrong(&mut self, slot: Slot, index: Index) {
        self.nodes[slot.0].wrong_from.get_or_insert(index);
    }

    /// A node starts, with the state of a snapshot that ends at `index`.
    pub(super) fn started(&mut self, id: NodeId, slot: Slot, index: Index) {
        self.taint.started(id, index);
        self.nodes[slot.0] = Suspect::default();
    }

    /// A node's state machine starts over from another's snapshot that ends at `index`.
    pub(super) fn restored(&mut self, id: NodeId, slot: Slot, index: Index) {
        self.taint.restored(id, index);
        self.nodes[slot.0].wrong_from = None;
    }

    /// A node tells what it found comparing its state machine with others.
    pub(super) fn judged(&mut self, id: NodeId, slot: Slot, found: Found) -> Verdict {
        let suspect = &mut self.nodes[slot.0];
        match found {
            Found::Quarantined { .. } | Found::Divided { .. } => suspect.quarantined = true,
            Found::Rebuilt { .. } => suspect.quarantined = false,
            Found::Sound { .. } | Found::Unavailable { .. } | Found::Undecided { .. } => {}
        }
        if self.taint.is_beyond() {
            return Ok(());
        }
        match found {
            Found::Quarantined { index } if !self.taint.has(id) => {
                S31.broken(format!("{id} finds itself wrong after {index}, and is not"))
            }
            Found::Undecided { index } if self.taint.slips() == 0 => {
                S31.broken(format!("{id} finds a difference after {index} where there is none"))
            }
            Found::Divided { index } => {
                S31.broken(format!("{id} finds no majority after {index} where there is one"))
            }
            Found::Sound { index } if suspect.wrong_from.is_some_and(|from| from <= index) => {
                S31.broken(format!("{id} finds itself right after {index}, and is not"))
            }
            _ => Ok(()),
        }
    }

    /// A node's state machine has told a user something.
    pub(super) fn told(&self, id: NodeId, slot: Slot) -> Verdict {
        if self.nodes[slot.0].quarantined {
            return S31.broken(format!("{id} answers a user, and knows that it may be wrong"));
        }
        Ok(())
    }

    /// The run is over, and this node is among those that were made well.
    pub(super) fn ended(&self, id: NodeId, slot: Slot) -> Verdict {
        let Suspect { wrong_from, quarantined, .. } = &self.nodes[slot.0];
        match wrong_from {
            _ if self.taint.is_beyond() => Ok(()),
            Some(index) => S31.broken(format!("{id} is wrong since {index} to the end")),
            None if *quarantined => S31.broken(format!("{id} is in quarantine at the end")),
            None => Ok(()),
        }
    }
}
