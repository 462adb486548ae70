//! Comparison with other nodes' logs and state machines, and the rebuild of a diverged one.

use crate::raft;
use crate::replica::hash_chains::ChainMatch;
use crate::replica::node::{Node, Task};
use crate::replica::output::Output;
use crate::storage::StorageError;
use crate::types::{
    Body, Comparison, ComparisonBody, HashChain, Index, Message, NodeId, Packet, SnapshotMeta,
    StateVerification,
};

impl Node {
    /// Handles a leader's append with the hash chain of its `prev` entry. A mismatch stops the
    /// node.
    pub(super) fn on_chained(&mut self, message: Message, chain: HashChain) {
        if let Body::AppendEntries { prev, entries, .. } = &message.body {
            match self.hash_chains.compare(*prev, chain, entries) {
                ChainMatch::Same => self.validation.comparisons.chains += 1,
                ChainMatch::Unavailable => self.validation.comparisons.chains_unavailable += 1,
                ChainMatch::Broken(id) => {
                    return self.stop(StorageError::diverged_log(id, message.from));
                }
            }
        }
        self.enqueue(raft::Input::Message(message));
    }

    /// Sends a message. An append carries the hash chain of its `prev` entry, if that is known.
    pub(super) fn send(&mut self, message: Message) {
        let packet = if let Body::AppendEntries { prev, .. } = message.body
            && let Some(chain) = self.hash_chains.at(prev)
        {
            Packet::Chained(message, chain)
        } else {
            Packet::Message(message)
        };
        self.outputs.push(Output::Send(packet));
    }

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
    /// last snapshot if it ends there. Otherwise it requests a new snapshot of this node's state,
    /// or, if no later entry is applied, first appends a no-op for the snapshot to cover.
    fn on_snapshot_wanted(&mut self, from: NodeId, after: Index) {
        if self.validation.verification() != StateVerification::Consistent {
            return;
        }
        let meta = self.storage.snapshot();
        if meta.last.index > after {
            self.outputs.push(self.validation.offer(from, meta.clone()));
        } else if self.raft.status().applied > after {
            self.snapshots.demand();
        } else {
            self.enqueue(raft::Input::AppendNoop);
        }
    }

    /// Handles a peer's offer of a snapshot for a rebuild.
    fn on_offer(&mut self, from: NodeId, meta: SnapshotMeta) {
        let log = self.raft.log();
        let fits = log.membership_at(meta.last.index) == Some(&meta.membership);
        if fits && self.may_rebuild_from(&meta) {
            self.on_snapshot_offer(from, meta);
        }
    }

    /// Returns true if the state machine must be rebuilt, and this snapshot is fit for it.
    pub(super) fn may_rebuild_from(&self, meta: &SnapshotMeta) -> bool {
        let newer = meta.last.index > self.storage.snapshot().last.index;
        let log = self.raft.log();
        let has = meta.last.index <= log.durable() && log.has(meta.last);
        self.validation.verification() == StateVerification::Quarantined
            && self.validation.rebuild_snapshot().is_none()
            && newer
            && has
    }

    /// Compares digests with other nodes if it is due, and quarantines a diverged state machine.
    pub(super) fn validate(&mut self) {
        let (membership, snapshot) = (self.raft.membership(), self.storage.snapshot().last.index);
        let outputs = &mut self.outputs;
        let Some(result) = self.validation.advance(self.now, membership, snapshot, outputs) else {
            return;
        };
        self.outputs.push(Output::StateCompared(result));
        if !self.validation.is_usable() {
            let lost = self.requests.skipped(Index::MAX);
            self.outputs.extend(lost.map(|tag| Output::Unknown { tag }));
            self.snapshots.abandon_own(&mut self.storage, &mut self.events);
            self.enqueue(raft::Input::Quarantine(true));
        }
    }

    /// Starts the rebuild once its snapshot is recorded and the worker is idle.
    pub(super) fn start_rebuild(&mut self) {
        let is_idle = self.task == Task::Idle;
        let Some(meta) = self.validation.rebuild_snapshot().filter(|_| is_idle).cloned() else {
            return;
        };
        let current = self.storage.snapshot();
        if current.root == meta.root {
            let base = meta.last.index;
            self.step_raft(raft::Input::Rebuild { meta });
            self.storage.compact(base, &mut self.events);
        } else if current.last.index >= meta.last.index {
            // A snapshot that the node took before was recorded in between.
            self.validation.retry_rebuild(self.now);
        }
    }
}
