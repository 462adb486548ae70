//! Events of disks on the stage: bootstrapped disks, lost disks, and snapshots that are sent.

use quorate::types::{
    Entry, EntryId, HardState, Incarnation, Index, Membership, NodeId, Root, SnapshotMeta,
    SnapshotPart, SnapshotTransfer, SnapshotTransferBody, Write,
};
use quorate_sim::observe::Observation;

use crate::echo::Echo;
use crate::stage::{Actor, Stage};

impl Stage {
    /// Node `to` requests a part of the snapshot with the root `root`, and node `from` sends it.
    pub(crate) fn sends_snapshot_part(&mut self, from: u64, to: u64, root: u8) {
        let (from, to, root) = (NodeId(from), NodeId(to), Root([root; 32]));
        let part = SnapshotPart::Chunk(0);
        let body = SnapshotTransferBody::Request(part);
        let request = SnapshotTransfer { from: to, to: from, root, body };
        self.observes(Observation::TransferSent { transfer: &request });
        let body = SnapshotTransferBody::Bytes(part, root.0.into());
        let transfer = SnapshotTransfer { from, to, root, body };
        self.observes(Observation::TransferSent { transfer: &transfer });
    }

    /// Three new nodes without a membership.
    pub(crate) fn not_bootstrapped() -> Stage {
        Stage::in_world(&[1, 2, 3].map(NodeId), Membership::default(), Echo::default(), |_| {})
    }

    /// The incarnation of the node's disk.
    pub(super) fn disk_of(&self, node: u64) -> Incarnation {
        self.disks.get(&node).copied().unwrap_or(Incarnation(node.into()))
    }

    /// The node loses its disk, and starts with an empty one.
    pub(crate) fn wipes(&mut self, node: u64) {
        let incarnation = Incarnation(100 + u128::from(node));
        self.crashes(node);
        self.disks.insert(node, incarnation);
        *self.actor(node) = Actor::new(NodeId(node));
        self.observes(Observation::Wiped { node: NodeId(node), incarnation });
        self.starts(node);
    }

    /// The world copies what is durable on the node's disk.
    pub(crate) fn copies_disk(&mut self, node: u64) {
        self.observes(Observation::DiskCopied { node: NodeId(node), copy: 1 });
    }

    /// The node crashes and starts, uncertain, from the last copy of its disk, which has this
    /// content.
    pub(crate) fn rolls_back_to(&mut self, node: u64, hard_state: HardState, log: &[Entry]) {
        self.crashes(node);
        self.observes(Observation::RolledBack { node: NodeId(node), copy: 1 });
        let hard_state = HardState { is_uncertain: true, ..hard_state };
        self.starts_from(node, hard_state, 0, log);
        self.steps(node);
    }

    /// The node starts from a damaged disk with this content.
    pub(crate) fn starts_damaged(&mut self, node: u64, hard_state: HardState, log: &[Entry]) {
        let empty = SnapshotMeta::empty(EntryId::ZERO, self.first_of(node));
        self.starts_from_disk((hard_state, Index::ZERO, empty, true), node, log);
        self.actor(node).disk = (hard_state, Index::ZERO, log.to_vec());
    }

    /// The node submits the first membership of the cluster to its disk.
    pub(crate) fn bootstraps(&mut self, node: u64, membership: &Membership) {
        let actor = self.actor(node);
        actor.write = actor.write.next();
        let meta = SnapshotMeta::empty(EntryId::ZERO, membership.clone());
        let install = Some(Box::new(meta));
        let (id, hard_state, entries) = (actor.write, None, Vec::new());
        let write =
            Write { id, hard_state, committed: Index::ZERO, install, entries: entries.into() };
        actor.pending.push(write.clone());
        self.observes(Observation::Submitted { node: NodeId(node), write: &write });
    }
}
