//! The output of the nodes' state machines, compared with the reference machine: U1, S25, S26, and
//! the part of S19 about replies.

use std::collections::{BTreeMap, BTreeSet};

use quorate::machine::{Digest, Outcome};
use quorate::types::{
    Entry, EntryId, Index, NodeId, Root, SnapshotMeta, SnapshotTransfer, SnapshotTransferBody,
};

use crate::check::expected::violation_of;
use crate::check::finding::{CheckResult, S19, S25, S26};
use crate::check::known::Known;
use crate::check::rule::{Answer, Rule};
use crate::check::shadow::Shadow;
use crate::observe::{Executed, MachineView, OpId};
use crate::workload::ReferenceMismatch;

/// The snapshots of the run.
#[derive(Clone, Debug)]
pub(super) struct Machines {
    /// For each last index of a snapshot, the root of the first snapshot and the node that took it.
    roots: BTreeMap<Index, (Root, NodeId)>,
    /// The state machine restored from the last sampled snapshot, while it applies the log.
    shadow: Option<Shadow>,
    /// The number of snapshots so far that were frozen from a state not known to be wrong.
    frozen: u64,
    /// The snapshots without some replies, each by its node and its last index.
    without_replies: BTreeSet<(NodeId, Index)>,
    /// The last index and the root of every snapshot that a node had as its current one.
    recorded: BTreeSet<(Index, Root)>,
    /// The snapshots of which parts were sent, each by its receiver and its root.
    transfers: BTreeSet<(NodeId, Root)>,
}

/// The interval, in snapshots, at which a snapshot is restored into a shadow machine.
const SHADOW_INTERVAL: u64 = 4;

impl Rule for Machines {
    fn new(_: &Known) -> Machines {
        Machines {
            roots: BTreeMap::new(),
            shadow: None,
            frozen: 0,
            without_replies: BTreeSet::new(),
            recorded: BTreeSet::new(),
            transfers: BTreeSet::new(),
        }
    }

    fn before_read_served(&mut self, known: &Known, answer: Answer<'_>) -> CheckResult {
        let (reference, Answer { op, applied, bytes, .. }) = (&known.expected.reference, answer);
        // An answer can be checked only while the reference is in the state that it comes from.
        match known.operations.read(op) {
            Some(read) if applied == reference.applied().index => {
                reference.check_answer(&read.query, bytes).or_else(violation_of)
            }
            _ => Ok(()),
        }
    }

    /// Checks the outcome that a client received for an entry.
    fn replied(&mut self, known: &Known, op: OpId, id: EntryId, outcome: &Outcome) -> CheckResult {
        let (expected, OpId(op), index) = (&known.expected, op, id.index);
        let Some(right) = expected.outcome_at(index) else { return Ok(()) };
        if expected.outcomes_agree(Some(outcome), Some(right)) {
            return Ok(());
        }
        S19.violated(format!(
            "operation {op} receives the outcome {outcome:?} for index {index}, but the expected \
             outcome is {right:?}"
        ))
    }

    fn applied(&mut self, known: &Known, _: NodeId, entries: &[Entry]) -> CheckResult {
        if let Some(shadow) = &mut self.shadow
            && shadow.follow(known, entries)?
        {
            self.shadow = None;
        }
        Ok(())
    }

    /// Checks the reply of a node's state machine to a command.
    fn executed(&mut self, known: &Known, id: NodeId, executed: &Executed) -> CheckResult {
        let Executed { index, reply } = executed;
        match known.expected.outcome_at(*index) {
            Some(Outcome::Reply(expected)) if expected[..] == reply[..] => Ok(()),
            _ if known.taint.has(id) => Ok(()),
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

    /// Checks the state of a node's state machine after the entry at index `at`.
    fn reached(&mut self, known: &Known, id: NodeId, at: Index, is: Option<Digest>) -> CheckResult {
        if known.taint.has(id) {
            return Ok(());
        }
        let Some(expected) = known.expected.state_at(at) else {
            let reached = known.expected.reference.applied().index;
            return S25.violated(format!(
                "{id} has a state at index {at}, but no node has applied more than index \
                 {reached}"
            ));
        };
        if expected.is_none() || is.is_none() || expected == is {
            return Ok(());
        }
        S26.violated(format!(
            "{id}'s state after index {at} differs from the state of a machine without faults"
        ))
    }

    fn transfer_sent(&mut self, _: &Known, transfer: &SnapshotTransfer) -> CheckResult {
        if matches!(transfer.body, SnapshotTransferBody::Bytes(..)) {
            self.transfers.insert((transfer.to, transfer.root));
        }
        Ok(())
    }

    /// Checks a snapshot that a node took, or adopted from a peer because it covers damaged
    /// entries.
    fn snapshot_taken(&mut self, known: &Known, id: NodeId, meta: &SnapshotMeta) -> CheckResult {
        let last = meta.last;
        if known.taint.has(id) {
            return Ok(());
        }
        if !known.model.committed.has(last) {
            return S25.violated(format!(
                "{id} takes a snapshot that ends with {last}, which is not a committed entry"
            ));
        }
        let is_new = self.recorded.insert((last.index, meta.root));
        // A snapshot of a peer was checked when the peer took it.
        if !is_new && self.transfers.contains(&(id, meta.root)) {
            return Ok(());
        }
        // Equal states may have different snapshots if a state machine has forgotten replies.
        if known.is_forgetful(id) || self.without_replies.contains(&(id, last.index)) {
            return Ok(());
        }
        let (root, first) = *self.roots.entry(last.index).or_insert((meta.root, id));
        if root == meta.root {
            return Ok(());
        }
        S25.violated(format!(
            "{id} takes a snapshot up to {last} that differs from {first}'s snapshot up to the \
             same entry"
        ))
    }

    fn snapshot_frozen(
        &mut self,
        known: &Known,
        node: NodeId,
        last: EntryId,
        bytes: &[u8],
    ) -> CheckResult {
        if known.is_forgetful(node) {
            self.without_replies.insert((node, last.index));
        }
        let is_sound = !known.taint.has(node);
        self.frozen += u64::from(is_sound);
        // The last shadow machine may still be applying entries, or wait forever for one that no
        // node applies again.
        if is_sound && self.frozen % SHADOW_INTERVAL == 1 {
            self.shadow = Some(Shadow::restore(known, node, last, bytes)?);
        }
        Ok(())
    }

    /// Compares a node's state machine with the reference, if both have applied the same entries.
    fn machine_inspected(
        &mut self,
        known: &Known,
        id: NodeId,
        view: &MachineView<'_>,
    ) -> CheckResult {
        let reference = &known.expected.reference;
        if known.taint.has(id) || view.applied != reference.applied() {
            return Ok(());
        }
        let by = |mismatch: String| format!("{id}: {mismatch}");
        reference.compare(*view).or_else(|mismatch| {
            violation_of(match mismatch {
                ReferenceMismatch::Workload(mismatch) => ReferenceMismatch::Workload(by(mismatch)),
                ReferenceMismatch::Session(mismatch) => ReferenceMismatch::Session(by(mismatch)),
                ReferenceMismatch::Diverged(mismatch) => ReferenceMismatch::Diverged(by(mismatch)),
            })
        })
    }
}
