//! State machines that err, by a fault's doing, and what the nodes make of it: S31.
//!
//! What a machine says that may be wrong is held against nothing, until its node has started over.

use std::collections::BTreeSet;

use quorate::replica::Verdict as Found;
use quorate::types::{Index, NodeId};

use crate::check::finding::{S31, Verdict};
use crate::check::model::Model;
use crate::check::nodes::Slot;

/// Which state machines may be wrong, and which nodes know.
#[derive(Clone, Debug, Default)]
pub(super) struct Suspects {
    nodes: Vec<Suspect>,
    /// Where snapshots end that were taken of a state that may be wrong.
    tainted: BTreeSet<Index>,
    /// Whether any machine has ever erred.
    any: bool,
    /// A node has started from a tainted snapshot: more may be wrong than nodes can tell.
    beyond: bool,
}

#[derive(Clone, Debug, Default)]
struct Suspect {
    /// It has erred, or its state comes from one that has.
    may_be_wrong: bool,
    /// The first index after which its results were seen to be wrong.
    wrong_from: Option<Index>,
    /// It knows: it must say nothing.
    quarantined: bool,
}

impl Suspects {
    pub(super) fn new(model: &Model) -> Suspects {
        Suspects { nodes: vec![Suspect::default(); model.nodes.len()], ..Suspects::default() }
    }

    /// A node's state machine errs with its next command.
    pub(super) fn slipped(&mut self, slot: Slot) {
        self.any = true;
        self.nodes[slot.0].may_be_wrong = true;
    }

    /// Whether what the node's state machine says may be wrong.
    pub(super) fn has(&self, slot: Slot) -> bool {
        self.nodes[slot.0].may_be_wrong
    }

    /// A node that may be wrong was seen to be so after `index`.
    pub(super) fn is_wrong(&mut self, slot: Slot, index: Index) {
        self.nodes[slot.0].wrong_from.get_or_insert(index);
    }

    /// A node that may be wrong freezes its state after `index` for a snapshot, which may come into
    /// force although the node falls before it can say so.
    pub(super) fn frozen(&mut self, index: Index) {
        self.tainted.insert(index);
    }

    /// A node starts, with the state of a snapshot that ends at `index`: its own, or another's that
    /// it had not started over from when it fell.
    pub(super) fn started(&mut self, slot: Slot, index: Index) {
        let may_be_wrong = self.tainted.contains(&index);
        self.beyond |= may_be_wrong && !self.has(slot);
        self.nodes[slot.0] = Suspect { may_be_wrong, ..Suspect::default() };
    }

    /// A node's state machine starts over from another's snapshot that ends at `index`.
    pub(super) fn restored(&mut self, slot: Slot, index: Index) {
        let may_be_wrong = self.tainted.contains(&index);
        self.beyond |= may_be_wrong;
        let quarantined = self.nodes[slot.0].quarantined;
        self.nodes[slot.0] = Suspect { may_be_wrong, wrong_from: None, quarantined };
    }

    /// A node tells what it found comparing its state machine with others.
    pub(super) fn judged(&mut self, id: NodeId, slot: Slot, found: Found) -> Verdict {
        let suspect = &mut self.nodes[slot.0];
        match found {
            Found::Quarantined { .. } | Found::Divided { .. } => suspect.quarantined = true,
            Found::Rebuilt { .. } => suspect.quarantined = false,
            Found::Sound { .. } | Found::Unavailable { .. } | Found::Undecided { .. } => {}
        }
        if self.beyond {
            return Ok(());
        }
        match found {
            Found::Quarantined { index } if !suspect.may_be_wrong => {
                S31.broken(format!("{id} finds itself wrong after {index}, and is not"))
            }
            Found::Undecided { index } if !self.any => {
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
            _ if self.beyond => Ok(()),
            Some(index) => S31.broken(format!("{id} is wrong since {index} to the end")),
            None if *quarantined => S31.broken(format!("{id} is in quarantine at the end")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_starts_from_what_another_has_frozen_may_be_as_wrong() {
        let nodes = vec![Suspect::default(); 3];
        let mut suspects = Suspects { nodes, ..Suspects::default() };
        suspects.slipped(Slot(0));
        suspects.frozen(Index(7));
        suspects.started(Slot(0), Index(7));
        assert!(suspects.has(Slot(0)) && !suspects.beyond, "its own");
        suspects.started(Slot(1), Index(8));
        assert!(!suspects.has(Slot(1)), "nobody that erred has frozen that");
        suspects.started(Slot(2), Index(7));
        assert!(suspects.has(Slot(2)) && suspects.beyond, "two of three may be wrong");
    }
}
