//! State machines that a simulated fault made diverge, and the nodes' detection of it: S31.

use quorate::replica::ComparisonResult as Found;
use quorate::types::{Index, NodeId};

use crate::check::expected::reached;
use crate::check::finding::{CheckResult, S31};
use crate::check::known::Known;
use crate::check::nodes::Slot;
use crate::check::rule::Rule;
use crate::observe::Observation::{self, Applied, Ended, Restored, Started, StateCompared};

/// The state machines that are wrong.
#[derive(Clone, Debug)]
pub(super) struct Divergences {
    /// For each node, the first index at which its state was seen to be wrong.
    diverged_at: Vec<Option<Index>>,
}

impl Rule for Divergences {
    fn new(known: &Known) -> Divergences {
        Divergences { diverged_at: vec![None; known.model.nodes.len()] }
    }

    fn after(&mut self, known: &Known, observation: &Observation<'_>) -> CheckResult {
        match *observation {
            Started { node, .. } | Restored { node, .. } => {
                self.diverged_at[known.model.slot(node).0] = None;
                self.record(known, node, observation)
            }
            Applied { node, .. } => self.record(known, node, observation),
            StateCompared { node, result } => self.compared(known, node, result),
            Ended if !known.taint.is_too_many() => {
                known.members_at_rest().try_for_each(|slot| self.ended(known, slot))
            }
            _ => Ok(()),
        }
    }
}

impl Divergences {
    /// Records the first wrong state of a machine that may be wrong.
    fn record(&mut self, known: &Known, id: NodeId, observation: &Observation<'_>) -> CheckResult {
        if known.taint.has(id) {
            let mut states = reached(observation);
            let wrong =
                states.find(|(index, state)| !known.expected.is_expected_at(*index, *state));
            let diverged_at = &mut self.diverged_at[known.model.slot(id).0];
            *diverged_at = diverged_at.or(wrong.map(|(index, _)| index));
        }
        Ok(())
    }

    /// Checks a node's result of comparing its state machine with other nodes.
    fn compared(&self, known: &Known, id: NodeId, found: Found) -> CheckResult {
        let taint = &known.taint;
        if taint.is_too_many() {
            return Ok(());
        }
        let diverged_at = self.diverged_at[known.model.slot(id).0];
        match found {
            Found::Diverged { index } if !taint.has(id) => S31.violated(format!(
                "{id} reports that its state diverged at index {index}, but its state is \
                     correct"
            )),
            Found::Inconclusive { index } if taint.fault_count() == 0 => S31.violated(format!(
                "{id} reports an unresolved difference at index {index}, but all states are \
                     equal"
            )),
            Found::NoMajority { index } => S31.violated(format!(
                "{id} reports that no state has a majority at index {index}, but a majority \
                     of the voters agree"
            )),
            Found::Consistent { index } if diverged_at.is_some_and(|from| from <= index) => S31
                .violated(format!(
                    "{id} reports that its state at index {index} is consistent, but its state is \
                     wrong"
                )),
            _ => Ok(()),
        }
    }

    /// Checks, at the end of the run, that a core node's state is correct and not quarantined.
    fn ended(&self, known: &Known, slot: Slot) -> CheckResult {
        let id = known.model.node(slot).id;
        match self.diverged_at[slot.0] {
            Some(index) => S31.violated(format!(
                "{id}'s state is wrong from index {index} until the end of the run"
            )),
            None if known.quarantined.contains(&id) => {
                S31.violated(format!("{id} is still quarantined at the end of the run"))
            }
            None => Ok(()),
        }
    }
}
