//! The output of the nodes' state machines, compared with the reference machine: U1, S25, S26, and
//! the part of S19 about replies.

use std::collections::BTreeMap;

use quorate::machine::Outcome;
use quorate::types::{Index, NodeId, Root, SnapshotMeta};

use crate::check::expected::{reached, violation_of};
use crate::check::finding::{CheckResult, S19, S25, S26};
use crate::check::known::Known;
use crate::check::rule::Rule;
use crate::check::shadow::Shadow;
use crate::observe::Observation::{
    self, Applied, MachineInspected, ReadServed, Replied, Restored, SnapshotFrozen, SnapshotTaken,
    Started,
};
use crate::observe::{Executed, MachineView, OpId};
use crate::workload::ReferenceMismatch;

/// The snapshots of the run.
#[derive(Clone, Debug)]
pub(super) struct Machines {
    /// For each last index of a snapshot, the root of the first snapshot and the node that took it.
    roots: BTreeMap<Index, (Root, NodeId)>,
    /// The state machine restored from the last sampled snapshot, while it applies the log.
    shadow: Option<Shadow>,
    /// The number of frozen snapshots so far.
    frozen: u64,
}

/// The interval, in snapshots, at which a snapshot is restored into a shadow machine.
const SHADOW_INTERVAL: u64 = 4;

impl Rule for Machines {
    fn new(_: &Known) -> Machines {
        Machines { roots: BTreeMap::new(), shadow: None, frozen: 0 }
    }

    fn before(&mut self, known: &Known, observation: &Observation<'_>) -> CheckResult {
        let ReadServed { op, applied, answer, .. } = *observation else { return Ok(()) };
        // An answer can be checked only while the reference is in the state that it comes from.
        match known.operations.read(op) {
            Some(read) if applied == known.expected.reference.applied().index => {
                known.expected.reference.check_answer(&read.query, answer).or_else(violation_of)
            }
            _ => Ok(()),
        }
    }

    fn after(&mut self, known: &Known, observation: &Observation<'_>) -> CheckResult {
        let sound = |node| !known.taint.has(node);
        match *observation {
            Replied { op, id, outcome, .. } => check_replied(known, op, id.index, outcome),
            Applied { node, entries, executed, .. } => {
                if let Some(shadow) = &mut self.shadow
                    && shadow.follow(known, entries)?
                {
                    self.shadow = None;
                }
                if !sound(node) {
                    return Ok(());
                }
                executed.iter().try_for_each(|done| check_executed(known, node, done))?;
                check_states(known, node, observation)
            }
            Started { node, .. } | Restored { node, .. } if sound(node) => {
                check_states(known, node, observation)
            }
            SnapshotTaken { node, meta } if sound(node) => self.check_snapshot(known, node, meta),
            SnapshotFrozen { node, last, bytes } if sound(node) => {
                self.frozen += 1;
                // The last shadow machine may still be applying entries.
                if self.shadow.is_none() && self.frozen % SHADOW_INTERVAL == 1 {
                    self.shadow = Some(Shadow::restore(known, node, last, bytes)?);
                }
                Ok(())
            }
            MachineInspected { node, view } if sound(node) => check_inspected(known, node, view),
            _ => Ok(()),
        }
    }
}

impl Machines {
    /// Checks a snapshot that a node took.
    fn check_snapshot(&mut self, known: &Known, id: NodeId, meta: &SnapshotMeta) -> CheckResult {
        let last = meta.last;
        if !known.model.committed.has(last) {
            return S25.violated(format!(
                "{id} takes a snapshot that ends with {last}, which is not a committed entry"
            ));
        }
        let (root, first) = *self.roots.entry(last.index).or_insert((meta.root, id));
        // If a state machine has forgotten replies, equal states may have different snapshots.
        if root == meta.root || known.expected.replies_forgotten {
            return Ok(());
        }
        S25.violated(format!(
            "{id} takes a snapshot up to {last} that differs from {first}'s snapshot up to the \
             same entry"
        ))
    }
}

/// Checks the states that a node's state machine reaches.
fn check_states(known: &Known, id: NodeId, observation: &Observation<'_>) -> CheckResult {
    for (index, state) in reached(observation) {
        let Some(expected) = known.expected.state_at(index) else {
            let reached = known.expected.reference.applied().index;
            return S25.violated(format!(
                "{id} has a state at index {index}, but no node has applied more than index \
                 {reached}"
            ));
        };
        if expected.is_some() && state.is_some() && expected != state {
            return S26.violated(format!(
                "{id}'s state after index {index} differs from the state of a machine without \
                 faults"
            ));
        }
    }
    Ok(())
}

/// Checks the reply of a node's state machine to a command.
fn check_executed(known: &Known, id: NodeId, executed: &Executed) -> CheckResult {
    let Executed { index, reply } = executed;
    match known.expected.outcome_at(*index) {
        Some(Outcome::Reply(expected)) if expected[..] == reply[..] => Ok(()),
        expected => {
            let expected = expected.map_or("nothing".to_owned(), |known| format!("{known:?}"));
            let found = reply.escape_ascii();
            S26.violated(format!(
                "{id} replies \"{found}\" to the command at index {index}, but the expected \
                 outcome is {expected}"
            ))
        }
    }
}

/// Checks the outcome that a client received for the entry at `index`.
fn check_replied(known: &Known, op: OpId, index: Index, outcome: &Outcome) -> CheckResult {
    let Some(expected) = known.expected.outcome_at(index) else { return Ok(()) };
    if known.expected.outcomes_agree(Some(outcome), Some(expected)) {
        return Ok(());
    }
    let op = op.0;
    S19.violated(format!(
        "operation {op} receives the outcome {outcome:?} for index {index}, but the expected \
         outcome is {expected:?}"
    ))
}

/// Compares a node's state machine with the reference, if both have applied the same entries.
fn check_inspected(known: &Known, id: NodeId, view: MachineView<'_>) -> CheckResult {
    let reference = &known.expected.reference;
    if view.applied != reference.applied() {
        return Ok(());
    }
    let by = |mismatch: String| format!("{id}: {mismatch}");
    reference.compare(view).or_else(|mismatch| {
        violation_of(match mismatch {
            ReferenceMismatch::Workload(mismatch) => ReferenceMismatch::Workload(by(mismatch)),
            ReferenceMismatch::Session(mismatch) => ReferenceMismatch::Session(by(mismatch)),
            ReferenceMismatch::Diverged(mismatch) => ReferenceMismatch::Diverged(by(mismatch)),
        })
    })
}
