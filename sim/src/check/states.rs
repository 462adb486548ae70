//! The expected states of the state machines: S26, and the states used by S20 and S25.

use std::collections::BTreeMap;

use quorate::machine::{Digest, Outcome};
use quorate::types::{Index, NodeId, Root, SnapshotMeta};

use crate::check::finding::{CheckResult, S25, S26};
use crate::check::model::Model;

/// The expected state after every index, as a digest of all entries and outcomes up to it, computed
/// by a state machine without faults.
#[derive(Clone, Debug, Default)]
pub(super) struct States {
    /// The digest after each index, starting with that of the empty state at index 0.
    after: Vec<Option<Digest>>,
    /// For each last index of a snapshot, the root of the first snapshot and the node that took it.
    snapshots: BTreeMap<Index, (Root, NodeId)>,
    /// Whether some state machine no longer knew the replies to all commands it had applied.
    replies_forgotten: bool,
}

impl States {
    /// Records the expected state after `index`.
    pub(super) fn record(&mut self, index: Index, state: Option<Digest>) {
        let place = usize::try_from(index.0).expect("a log fits into memory");
        assert_eq!(place, self.after.len(), "states are recorded in index order");
        self.after.push(state);
    }

    /// Checks the state of a node's state machine that has applied the log up to `index`.
    pub(super) fn check_reached(
        &mut self,
        id: NodeId,
        index: Index,
        state: Option<Digest>,
    ) -> CheckResult {
        let Some(known) = self.known(index) else {
            let reached = self.after.len() - 1;
            return S25.violated(format!(
                "{id} has a state at index {index}, but no node has applied more than index \
                 {reached}"
            ));
        };
        self.replies_forgotten |= state.is_none();
        if known.is_some() && state.is_some() && known != state {
            return S26.violated(format!(
                "{id}'s state after index {index} differs from the state of a machine without \
                     faults"
            ));
        }
        Ok(())
    }

    /// Whether an entry's result equals the expected one. A state machine that makes its own state
    /// durable may have lost a reply, and the session with it.
    pub(super) fn outcomes_agree(
        &self,
        found: Option<&Outcome>,
        expected: Option<&Outcome>,
    ) -> bool {
        let reply = matches!(expected, Some(Outcome::Reply(_)));
        let expired = matches!(found, Some(Outcome::SessionExpired));
        found == expected || self.replies_forgotten && expired && reply
    }

    /// Whether `state` is the expected state after `index`; true if the machine has no digest.
    pub(super) fn is_expected_at(&self, index: Index, state: Option<Digest>) -> bool {
        state.is_none() || self.known(index) == Some(state)
    }

    fn known(&self, index: Index) -> Option<Option<Digest>> {
        self.after.get(usize::try_from(index.0).ok()?).copied()
    }

    /// Checks a snapshot that a node took.
    pub(super) fn snapshot_taken(
        &mut self,
        model: &Model,
        id: NodeId,
        meta: &SnapshotMeta,
    ) -> CheckResult {
        let last = meta.last;
        if !model.committed.has(last) {
            return S25.violated(format!(
                "{id} takes a snapshot that ends with {last}, which is not a committed entry"
            ));
        }
        let (root, first) = *self.snapshots.entry(last.index).or_insert((meta.root, id));
        // If a state machine has forgotten replies, equal states may have different snapshots.
        if root != meta.root && !self.replies_forgotten {
            return S25.violated(format!(
                "{id} takes a snapshot up to {last} that differs from {first}'s snapshot up \
                     to the same entry"
            ));
        }
        Ok(())
    }
}
