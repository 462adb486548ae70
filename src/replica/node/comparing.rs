//! What a node does about other nodes' logs and state machines: it holds its own against them, and
//! starts over where it is wrong.

use crate::raft;
use crate::replica::chains::Match;
use crate::replica::node::{Node, Task};
use crate::replica::output::Output;
use crate::storage::Failure;
use crate::types::{
    Body, Chain, Comparison, ComparisonBody, Index, Message, NodeId, Packet, SnapshotMeta, Standing,
};

impl Node {
    /// A leader's entries, and the chain that they follow in its log.
    pub(super) fn on_chained(&mut self, message: Message, chain: Chain) {
        if let Body::AppendEntries { prev, entries, .. } = &message.body {
            match self.chains.compare(*prev, chain, entries) {
                Match::Same => self.validation.comparisons.chains += 1,
                Match::Unavailable => self.validation.comparisons.chains_unavailable += 1,
                Match::Broken(id) => return self.stop(Failure::of_chain(id, message.from)),
            }
        }
        self.tell(raft::Input::Message(message));
    }

    /// The message goes out; entries with the chain that they follow, if that is known.
    pub(super) fn send(&mut self, message: Message) {
        let chain = match &message.body {
            Body::AppendEntries { prev, .. } => self.chains.at(*prev),
            _ => None,
        };
        self.outputs.push(Output::Send(match chain {
            Some(chain) => Packet::Chained(message, chain),
            None => Packet::Message(message),
        }));
    }

    /// A member asks something about the state machines, or answers.
    pub(super) fn on_comparison(&mut self, comparison: Comparison) {
        let Comparison { from, to, body } = comparison;
        if to != self.config.raft.id || !self.raft.membership().is_member(from) {
            return;
        }
        match body {
            ComparisonBody::Ask { round, index } => {
                self.validation.on_ask(from, round, index, &mut self.outputs);
            }
            ComparisonBody::Answer { round, index, imprint } => {
                self.validation.on_answer(from, round, index, imprint);
            }
            ComparisonBody::Want { after } => self.on_want(from, after),
            ComparisonBody::Offer { meta } => self.on_offer(from, meta),
        }
    }

    /// A peer in quarantine needs a snapshot that ends after `after`. It gets the last one, or else
    /// the next, for which there must be something to hold.
    fn on_want(&mut self, from: NodeId, after: Index) {
        if self.validation.standing() != Standing::Sound {
            return;
        }
        let meta = self.storage.snapshot();
        if meta.last.index > after {
            self.outputs.push(self.validation.offer(from, meta.clone()));
        } else if self.raft.status().applied > after {
            self.snapshots.demand();
        } else {
            self.tell(raft::Input::Append);
        }
    }

    /// A peer offers a snapshot to start over from.
    fn on_offer(&mut self, from: NodeId, meta: SnapshotMeta) {
        let log = self.raft.log();
        let fits = log.membership_at(meta.last.index) == Some(&meta.membership);
        if fits && self.may_rebuild_from(&meta) {
            self.on_snapshot_offer(from, meta);
        }
    }

    /// Whether the state machine has to start over, and may do so from this snapshot.
    pub(super) fn may_rebuild_from(&self, meta: &SnapshotMeta) -> bool {
        let newer = meta.last.index > self.storage.snapshot().last.index;
        let log = self.raft.log();
        let has = meta.last.index <= log.durable() && log.has(meta.last);
        self.validation.standing() == Standing::Quarantined
            && self.validation.rebuilds_from().is_none()
            && newer
            && has
    }

    /// Holds results against those of others, if it is time.
    pub(super) fn validate(&mut self) {
        let (membership, snapshot) = (self.raft.membership(), self.storage.snapshot().last.index);
        let outputs = &mut self.outputs;
        let Some(verdict) = self.validation.advance(self.now, membership, snapshot, outputs) else {
            return;
        };
        self.outputs.push(Output::Judged(verdict));
        if !self.validation.stands() {
            let lost = self.requests.skipped(Index::MAX);
            self.outputs.extend(lost.map(|tag| Output::Unknown { tag }));
            self.snapshots.disown(&mut self.storage, &mut self.events);
            self.tell(raft::Input::Quarantine(true));
        }
    }

    /// Starts over from the snapshot that is in force by now, as soon as the worker is done with
    /// what it has.
    pub(super) fn rebuild(&mut self) {
        let is_idle = self.task == Task::Idle;
        let Some(meta) = self.validation.rebuilds_from().filter(|_| is_idle).cloned() else {
            return;
        };
        let in_force = self.storage.snapshot();
        if in_force.root == meta.root {
            let base = meta.last.index;
            self.step_raft(raft::Input::Rebuild { meta });
            self.storage.forget(base, &mut self.events);
        } else if in_force.last.index >= meta.last.index {
            // One of the node's own, of before, came between.
            self.validation.rebuild_again(self.now);
        }
    }
}
