//! Comparison with other nodes' state machines, and the rebuild of a state in quarantine.

use crate::raft;
use crate::replica::node::{Compaction, Node, Task};
use crate::replica::output::{ComparisonResult, Output};
use crate::types::{
    Comparison, ComparisonBody, Index, NodeId, SnapshotMeta, StateDigest, StateVerification,
};

impl Node {
    /// Handles a comparison message; it is ignored unless a member sent it to this node.
    pub(super) fn on_comparison(&mut self, comparison: Comparison) {
        let Comparison { from, to, body } = comparison;
        if to != self.config.raft.id || !self.raft.membership().is_member(from) {
            return;
        }
        match body {
            ComparisonBody::Request { round, index } => {
                self.validation.on_request(from, round, index, &mut self.outputs);
            }
            ComparisonBody::Reply { round, index, state_digest } => {
                self.validation.on_reply(from, round, index, state_digest);
            }
            ComparisonBody::WantSnapshot { after } => self.on_snapshot_wanted(from, after),
            ComparisonBody::OfferSnapshot { meta } => self.on_offer(from, meta),
        }
    }

    /// Handles the request of a quarantined peer for a snapshot that ends after `after`. Offers the
    /// last snapshot if that ends after `after`. Otherwise it requests a new snapshot of this
    /// node's state. If no later entry is applied, it appends a no-op instead, so that a repeated
    /// request finds a later entry. A node that may not serve reads offers none, because its state
    /// may be wrong.
    fn on_snapshot_wanted(&mut self, from: NodeId, after: Index) {
        if !self.validation.may_serve_reads(self.now, self.raft.membership()) {
            return;
        }
        let meta = self.storage.snapshot();
        if meta.last.index > after {
            self.outputs.push(self.validation.offer(from, meta.clone()));
        } else if self.raft.status().applied > after {
            self.snapshots.demand();
        } else {
            self.inputs.push_back(raft::Input::AppendNoop);
        }
    }

    /// Handles a peer's offer of a snapshot for a rebuild. A node that joined the cluster by its
    /// log does not know the membership of a snapshot that ends before the entry that added it.
    fn on_offer(&mut self, from: NodeId, meta: SnapshotMeta) {
        let log = self.raft.log();
        let known = log.membership_at(meta.last.index);
        let fits =
            log.has_unknown_membership() || known.is_none_or(|known| *known == meta.membership);
        if fits && self.validation.may_rebuild_from(&meta, self.storage.snapshot(), log) {
            self.on_snapshot_offer(from, meta);
        }
    }

    /// Compares digests with other nodes if a comparison is due, and quarantines a diverged state
    /// machine.
    pub(super) fn validate(&mut self) {
        let (membership, snapshot) = (self.raft.membership(), self.storage.snapshot().last.index);
        let outputs = &mut self.outputs;
        let Some(result) = self.validation.advance(self.now, membership, snapshot, outputs) else {
            return;
        };
        self.outputs.push(Output::StateCompared(result));
        if !self.validation.is_usable() {
            if self.validation.verification() == StateVerification::Quarantined {
                self.storage.set_quarantined(true, &mut self.events);
            }
            self.quarantine();
            assert!(!self.may_serve_reads(), "a diverged state machine answers no reads");
        }
    }

    /// Starts the rebuild once its snapshot is recorded and the worker is idle. Returns the
    /// compaction of the log that the snapshot covers.
    pub(super) fn start_rebuild(&mut self) -> Option<Compaction> {
        let is_idle = self.task == Task::Idle;
        let meta = self.validation.rebuild_snapshot().filter(|_| is_idle).cloned()?;
        let current = self.storage.snapshot();
        if current.root == meta.root {
            let base = meta.last.index;
            return Some(Compaction { input: raft::Input::Rebuild { meta }, base });
        }
        if current.last.index >= meta.last.index {
            // Instead, the store has recorded a snapshot that the node had taken of its own state.
            self.validation.retry_rebuild(self.now);
        }
        None
    }

    /// Handles the end of a restore from a snapshot, which ends a quarantine if it was a rebuild.
    pub(super) fn on_restored(&mut self, last: Index, state_digest: StateDigest) {
        let restores = matches!(self.task, Task::Restoring | Task::Rebuilding);
        assert!(restores, "contract: only a requested restore ends");
        assert!(last <= self.raft.log().snapshot().index, "a snapshot of the log was restored");
        let rebuilt = core::mem::replace(&mut self.task, Task::Idle) == Task::Rebuilding;
        if rebuilt {
            self.outputs.push(Output::StateCompared(ComparisonResult::Rebuilt { index: last }));
            self.inputs.push_back(raft::Input::Quarantine(false));
            self.storage.set_quarantined(false, &mut self.events);
        }
        // If the state was found diverged during an ordinary restore, it is still diverged, because
        // the user's state machine may have kept its durable state.
        if rebuilt || self.validation.is_usable() {
            self.validation.restarted(last, state_digest, self.now);
        }
        self.inputs.push_back(raft::Input::Applied(last));
    }
}
