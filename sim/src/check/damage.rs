//! Damaged entries of the nodes' logs: no node acknowledges them, no leader counts its own copies
//! of them for a commit (S35), and no node regards them as repaired too early (S36). The content of
//! a repaired entry needs no check of its own, because other checks compare it once a node applies
//! it or sends it (S8, S11).

use std::sync::Arc;

use quorate::raft::{RoleName, Status};
use quorate::types::{EntryId, Index, NodeId, Term};

use crate::check::electorate::{Decision, Electorate};
use crate::check::finding::{CheckResult, S35, S36};
use crate::check::known::Known;
use crate::check::nodes::Slot;
use crate::check::rule::Rule;

/// Checks acknowledgements, commits and repairs.
#[derive(Clone, Debug)]
pub(super) struct Damage {
    /// For each node, the voters under the membership that it used after its last step.
    used: Vec<Arc<Electorate>>,
}

impl Rule for Damage {
    fn new(known: &Known) -> Damage {
        let used = |slot| Arc::clone(known.model.electorate(slot));
        Damage { used: known.model.slots().map(used).collect() }
    }

    /// Checks that a leader commits a damaged entry, and entries after it, only if a quorum of
    /// other disks has them: a leader may count its own disk only up to `Log::intact`. A disk that
    /// was lost or rolled back counts too, because it had acknowledged its entries before.
    fn status_changed(&mut self, known: &Known, status: &Status) -> CheckResult {
        let Status { id, role, term, committed, .. } = *status;
        let led = |before: Status| before.role == RoleName::Leader && before.term == term;
        let before = known.before.filter(|before| led(*before) && before.committed < committed);
        let is_exempt = status.damaged_entries == 0 || known.model.last_survivor_enabled;
        if before.is_none() || role != RoleName::Leader || is_exempt {
            return Ok(());
        }
        let (model, slot) = (&known.model, known.model.slot(id));
        let node = model.node(slot);
        let damaged = node.damaged.range(status.snapshot.next()..).next().map(|(first, _)| *first);
        let Some(first) = damaged.filter(|first| *first <= committed) else { return Ok(()) };
        let Some(entry) = model.committed.id_at(committed) else { return Ok(()) };
        let has = |other: &Slot| *other != slot && model.node(*other).has_or_had(entry);
        let holders = model.slots().filter(has).collect();
        let decides = |by: &Arc<Electorate>| by.decision(holders) == Decision::Quorum;
        if decides(&self.used[slot.0]) || decides(model.electorate(slot)) {
            return Ok(());
        }
        S35.violated(format!(
            "{id} leads term {term} and commits index {committed}, but knows that its disk has \
             lost entry {first}, and no quorum of {} without {id} has entry {entry}",
            model.electorate(slot).membership
        ))
    }

    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        let slot = known.model.slot(status.id);
        let (used, now) = (&mut self.used[slot.0], known.model.electorate(slot));
        if !Arc::ptr_eq(used, now) {
            *used = Arc::clone(now);
        }
        Ok(())
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
