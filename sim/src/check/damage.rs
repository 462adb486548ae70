//! Damaged entries of the nodes' logs: no node acknowledges them (S35), or regards them as repaired
//! too early (S36). The content of a repaired entry needs no check of its own: it is applied, or
//! sent to other nodes, like that of any other entry (S8, S11).

use quorate::types::{EntryId, Index, NodeId, Term};

use crate::check::finding::{CheckResult, S35, S36};
use crate::check::known::Known;
use crate::check::rule::Rule;

/// Checks acknowledgements and repairs.
#[derive(Clone, Debug)]
pub(super) struct Damage;

impl Rule for Damage {
    fn new(_: &Known) -> Damage {
        Damage
    }

    fn acknowledged(&mut self, known: &Known, id: NodeId, _: Term, matched: Index) -> CheckResult {
        let node = known.model.of(id);
        let after = node.status.map_or(Index::ZERO, |status| status.snapshot).next();
        let Some((first, _)) = node.damaged.range(after..).next() else { return Ok(()) };
        if *first > matched {
            return Ok(());
        }
        S35.violated(format!(
            "{id} acknowledges index {matched}, but knows that its disk has lost entry {first}"
        ))
    }

    fn entries_repaired(&mut self, _: &Known, id: NodeId, missing: &[EntryId]) -> CheckResult {
        let Some(missing) = missing.first() else { return Ok(()) };
        S36.violated(format!(
            "{id} regards its damaged entry {missing} as repaired, but its disk does not hold the \
             entry"
        ))
    }
}
