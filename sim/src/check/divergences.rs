//! State machines that a simulated fault made diverge, and the nodes' detection of it: S31.
//!
//! The output of a state machine that may be wrong is not checked until its node is rebuilt.

use quorate::replica::ComparisonResult as Found;
use quorate::types::{Index, NodeId};

use crate::check::finding::{CheckResult, S31};
use crate::check::model::Model;
use crate::check::nodes::Slot;
use crate::machine::taint::Taint;

/// The state machines that may be wrong, and the nodes that are quarantined.
#[derive(Clone, Debug, Default)]
pub(super) struct Divergences {
    pub(super) taint: Taint,
    nodes: Vec<Divergence>,
}

#[derive(Clone, Debug, Default)]
struct Divergence {
    /// The first index at which its state was seen to be wrong.
    diverged_at: Option<Index>,
    /// Whether the node has quarantined its state and must not answer clients.
    quarantined: bool,
}

impl Divergences {
    pub(super) fn new(model: &Model) -> Divergences {
        Divergences {
            nodes: vec![Divergence::default(); model.nodes.len()],
            ..Divergences::default()
        }
    }

    /// Records that the state of a node was wrong after `index`.
    pub(super) fn record_divergence(&mut self, slot: Slot, index: Index) {
        self.nodes[slot.0].diverged_at.get_or_insert(index);
    }

    /// Resets a node that starts from a snapshot that ends at `index`.
    pub(super) fn started(&mut self, id: NodeId, slot: Slot, index: Index) {
        self.taint.started(id, index);
        self.nodes[slot.0] = Divergence::default();
    }

    /// Records that a peer's snapshot that ends at `index` replaced the node's state machine. A
    /// quarantine lasts until the node reports that it rebuilt its state.
    pub(super) fn restored(&mut self, id: NodeId, slot: Slot, index: Index) {
        self.taint.restored(id, index);
        self.nodes[slot.0].diverged_at = None;
    }

    /// Checks a node's result of comparing its state machine with other nodes.
    pub(super) fn compared(&mut self, id: NodeId, slot: Slot, found: Found) -> CheckResult {
        let divergence = &mut self.nodes[slot.0];
        match found {
            Found::Diverged { .. } | Found::NoMajority { .. } => divergence.quarantined = true,
            Found::Rebuilt { .. } => divergence.quarantined = false,
            Found::Consistent { .. } | Found::Unavailable { .. } | Found::Inconclusive { .. } => {}
        }
        if self.taint.is_too_many() {
            return Ok(());
        }
        match found {
            Found::Diverged { index } if !self.taint.has(id) => S31.violated(format!(
                "{id} reports that its state diverged at index {index}, but its state is \
                     correct"
            )),
            Found::Inconclusive { index } if self.taint.fault_count() == 0 => {
                S31.violated(format!(
                    "{id} reports an unresolved difference at index {index}, but all states are \
                     equal"
                ))
            }
            Found::NoMajority { index } => S31.violated(format!(
                "{id} reports that no state has a majority at index {index}, but a majority \
                     of the voters agree"
            )),
            Found::Consistent { index }
                if divergence.diverged_at.is_some_and(|from| from <= index) =>
            {
                S31.violated(format!(
                    "{id} reports that its state at index {index} is consistent, but its state is \
                     wrong"
                ))
            }
            _ => Ok(()),
        }
    }

    /// Checks that a node that answers a client is not quarantined.
    pub(super) fn answered_client(&self, id: NodeId, slot: Slot) -> CheckResult {
        if self.nodes[slot.0].quarantined {
            return S31
                .violated(format!("{id} answers a client although its state is quarantined"));
        }
        Ok(())
    }

    /// Checks, at the end of the run, that a core node's state is correct and not quarantined.
    pub(super) fn ended(&self, id: NodeId, slot: Slot) -> CheckResult {
        let Divergence { diverged_at, quarantined, .. } = &self.nodes[slot.0];
        match diverged_at {
            _ if self.taint.is_too_many() => Ok(()),
            Some(index) => S31.violated(format!(
                "{id}'s state is wrong from index {index} until the end of the run"
            )),
            None if *quarantined => {
                S31.violated(format!("{id} is still quarantined at the end of the run"))
            }
            None => Ok(()),
        }
    }
}
