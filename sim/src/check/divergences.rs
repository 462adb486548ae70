//! State machines that a simulated fault made diverge, and the nodes' detection of it: S31.

use quorate::machine::Digest;
use quorate::replica::ComparisonResult as Found;
use quorate::types::{Index, NodeId};

use crate::check::finding::{CheckResult, S31};
use crate::check::known::Known;
use crate::check::rule::Rule;

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

    fn machine_started(&mut self, known: &Known, node: NodeId, _: Index) -> CheckResult {
        self.diverged_at[known.model.slot(node).0] = None;
        Ok(())
    }

    /// Records the first wrong state of a machine that may be wrong.
    fn reached(&mut self, known: &Known, id: NodeId, at: Index, is: Option<Digest>) -> CheckResult {
        if known.taint.has(id) && !known.expected.is_expected_at(at, is) {
            self.diverged_at[known.model.slot(id).0].get_or_insert(at);
        }
        Ok(())
    }

    /// Checks the result of a node's comparison of its own state with that of other nodes.
    fn state_compared(&mut self, known: &Known, id: NodeId, found: Found) -> CheckResult {
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

    /// Checks, at the end of the run, that each core node's state is correct, and that the node is
    /// not quarantined.
    fn ended(&mut self, known: &Known) -> CheckResult {
        for slot in known.members_at_rest().filter(|_| !known.taint.is_too_many()) {
            let id = known.model.node(slot).id;
            if let Some(index) = self.diverged_at[slot.0] {
                return S31.violated(format!(
                    "{id}'s state is wrong from index {index} until the end of the run"
                ));
            }
            if known.quarantined.contains(&id) {
                return S31.violated(format!("{id} is still quarantined at the end of the run"));
            }
        }
        Ok(())
    }
}
