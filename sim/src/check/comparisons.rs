//! The comparison of states between nodes: replies are true and offers come from a state that is
//! not known to be wrong (a part of S31), a diverged node asks one voter after another for a
//! snapshot (S77), and every core node compares its state in time (L8).

use std::sync::Arc;
use std::time::Duration;

use quorate::machine::Digest;
use quorate::raft::Status;
use quorate::replica::{ComparisonResult, ReplicaConfig};
use quorate::types::{Comparison, ComparisonBody, Hash128, Index, NodeId, SnapshotMeta};

use crate::check::electorate::Electorate;
use crate::check::finding::{CheckResult, L8, S31, S77};
use crate::check::known::Known;
use crate::check::nodes::Slot;
use crate::check::rule::Rule;
use crate::values::time::SimTime;

/// The digests that each node must know, and the comparisons that it made.
#[derive(Clone, Debug)]
pub(super) struct Comparisons {
    nodes: Vec<Machine>,
    /// For each node, the last index of the latest snapshot that it had at its start, or has
    /// recorded since.
    recorded: Vec<Index>,
    is_stable: bool,
}

/// The state machine of one node.
#[derive(Clone, Debug, Default)]
struct Machine {
    /// The index at which the state machine started, and the last one that it has applied.
    from: Index,
    applied: Index,
    /// Whether the node has computed a digest at every index that it has reached since its start.
    is_known: bool,
    /// The last index that was applied when the node last compared its state.
    compared: Index,
    /// The time since which the node has had something new to compare.
    due_since: Option<SimTime>,
    /// The voter from which a node that rebuilds its state last requested a snapshot, and the
    /// voters at that time.
    asked: Option<(NodeId, Arc<Electorate>)>,
}

/// The number of multiples of the interval whose digests a node keeps
/// (`ReplicaConfig::validation_entries`).
const MULTIPLES: u64 = 4096;

impl Rule for Comparisons {
    fn new(known: &Known) -> Comparisons {
        let nodes = known.model.nodes.len();
        let recorded = vec![Index::ZERO; nodes];
        Comparisons { nodes: vec![Machine::default(); nodes], recorded, is_stable: false }
    }

    fn started(&mut self, known: &Known, status: &Status) -> CheckResult {
        self.recorded[known.model.slot(status.id).0] = status.snapshot;
        Ok(())
    }

    fn snapshot_taken(&mut self, known: &Known, node: NodeId, meta: &SnapshotMeta) -> CheckResult {
        let recorded = &mut self.recorded[known.model.slot(node).0];
        *recorded = meta.last.index.max(*recorded);
        Ok(())
    }

    fn machine_started(&mut self, known: &Known, node: NodeId, index: Index) -> CheckResult {
        let (from, applied, due_since) = (index, index, Some(known.now));
        let started = Machine { from, applied, is_known: true, due_since, ..Machine::default() };
        self.nodes[known.model.slot(node).0] = started;
        Ok(())
    }

    fn reached(
        &mut self,
        known: &Known,
        node: NodeId,
        at: Index,
        is: Option<Digest>,
    ) -> CheckResult {
        let machine = &mut self.nodes[known.model.slot(node).0];
        machine.applied = at;
        machine.is_known &= is.is_some();
        machine.due_since.get_or_insert(known.now);
        Ok(())
    }

    fn state_compared(&mut self, known: &Known, node: NodeId, _: ComparisonResult) -> CheckResult {
        let machine = &mut self.nodes[known.model.slot(node).0];
        machine.compared = machine.applied;
        machine.due_since = None;
        machine.asked = None;
        Ok(())
    }

    fn stabilized(&mut self, known: &Known) -> CheckResult {
        self.is_stable = true;
        for machine in &mut self.nodes {
            machine.due_since = machine.due_since.map(|_| known.now);
        }
        Ok(())
    }

    /// Checks a reply: the digest in it is that of the state at the index. The node must know the
    /// digest if the index is a recent multiple of the interval, or less than one interval behind
    /// its applied index.
    fn comparison_sent(&mut self, known: &Known, comparison: &Comparison) -> CheckResult {
        let (index, state_digest) = match comparison.body {
            ComparisonBody::WantSnapshot { after } => {
                self.check_newer(known, comparison, after)?;
                return self.check_turn(known, comparison);
            }
            ComparisonBody::OfferSnapshot { .. } => return check_offer(known, comparison),
            ComparisonBody::Reply { index, state_digest, .. } => (index, state_digest),
            ComparisonBody::Request { .. } => return Ok(()),
        };
        let (id, interval) = (comparison.from, known.bounds.replica.validation_entries);
        let machine = &self.nodes[known.model.slot(id).0];
        let is_kept = index.0.is_multiple_of(interval)
            && index.0.saturating_add(MULTIPLES * interval) > machine.applied.0
            || index.0.saturating_add(interval) > machine.applied.0;
        let (found, expected) = (state_digest.results, known.expected.state_at(index).flatten());
        let Some(Digest(expected)) = expected else { return Ok(()) };
        let is_wrong = found.is_some_and(|found| found != Hash128(expected));
        let must_know = is_kept && machine.is_known && machine.from <= index;
        if known.taint.has(id) || !machine.is_known || !(is_wrong || must_know && found.is_none()) {
            return Ok(());
        }
        let (to, expected) = (comparison.to, Hash128(expected));
        S31.violated(format!(
            "{id} replies to {to} that it has {state_digest} at index {index}, but its state there \
             has results {expected}"
        ))
    }

    /// Checks that a core node compares its state in time.
    fn stepped(&mut self, known: &Known, status: &Status) -> CheckResult {
        if !self.is_stable {
            return Ok(());
        }
        let slot = known.model.slot(status.id);
        let machine = &mut self.nodes[slot.0];
        let Some(since) = machine.due_since else { return Ok(()) };
        // A node whose applied index is 0 has nothing to compare, not even if its state machine is
        // ahead.
        if status.applied == Index::ZERO || !compares(known, slot) {
            machine.due_since = Some(known.now);
            return Ok(());
        }
        let bound = comparison_time_max(&known.bounds.replica);
        if known.now.since(since) <= bound {
            return Ok(());
        }
        let (id, applied, compared) = (status.id, machine.applied, machine.compared);
        L8.violated(format!(
            "{id} has not compared its state within {bound:?} after {since} s: it has applied \
             index {applied}, and had applied index {compared} at its last comparison"
        ))
    }
}

impl Comparisons {
    /// Checks that the node requests a snapshot that is newer than its own, because no other one
    /// can replace it (`Validation::may_rebuild_from`).
    fn check_newer(&self, known: &Known, comparison: &Comparison, after: Index) -> CheckResult {
        let (id, to) = (comparison.from, comparison.to);
        let own = self.recorded[known.model.slot(id).0];
        if known.is_late || after >= own {
            return Ok(());
        }
        S77.violated(format!(
            "{id} asks {to} for a snapshot that ends after index {after}, to rebuild its state, \
             but its own snapshot ends at index {own}"
        ))
    }

    /// Checks the receiver of a request for a snapshot to rebuild from. A voter may have none to
    /// offer, or may be down or diverged itself, so each request goes to the next of the other
    /// voters (`Validation::want_snapshot`): two successive requests go to different voters, if
    /// there are two.
    fn check_turn(&mut self, known: &Known, comparison: &Comparison) -> CheckResult {
        let (id, to) = (comparison.from, comparison.to);
        let slot = known.model.slot(id);
        let machine = &mut self.nodes[slot.0];
        if known.is_late {
            machine.asked = None;
            return Ok(());
        }
        let voters = known.model.electorate(slot);
        let before = machine.asked.replace((to, Arc::clone(voters)));
        let is_same =
            |(other, by): (NodeId, Arc<Electorate>)| other == to && Arc::ptr_eq(&by, voters);
        let others = voters.membership.voters().filter(|voter| *voter != id).count();
        if others < 2 || !before.is_some_and(is_same) {
            return Ok(());
        }
        S77.violated(format!(
            "{id} asks {to} twice in a row for a snapshot to rebuild its state, although {} has \
             other voters",
            voters.membership
        ))
    }
}

/// Checks the offer of a snapshot to a node that rebuilds its state: the state of the offering node
/// is not known to be wrong, and the node has found it consistent, or has waited long enough for a
/// comparison.
fn check_offer(known: &Known, comparison: &Comparison) -> CheckResult {
    let (id, to) = (comparison.from, comparison.to);
    if known.is_late {
        return Ok(());
    }
    if known.quarantined.contains(&id) {
        return S31.violated(format!(
            "{id} offers its state to {to} for a rebuild, although it is quarantined"
        ));
    }
    known.check_verified(id, &format!("offers its state to {to} for a rebuild"))
}

/// Whether the node must compare its state: it is a member in the core, it is not quarantined, and
/// the membership has other voters.
fn compares(known: &Known, slot: Slot) -> bool {
    let id = known.model.node(slot).id;
    let membership = &known.model.electorate(slot).membership;
    known.is_in_core(slot)
        && known.is_member(slot)
        && !known.quarantined.contains(&id)
        && membership.voters().any(|voter| voter != id)
}

/// The longest time until a node that applies entries has compared its state: two periods, because
/// the first may end just before the node applies an entry, plus the time of the comparison itself.
/// Clocks run at least half as fast as real time.
fn comparison_time_max(config: &ReplicaConfig) -> Duration {
    (config.validation_period * 2 + config.validation_timeout * 2) * 2
}
