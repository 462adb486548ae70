//! The operator's part of the driver: membership changes and backups.

use quorate::machine::FrozenView;
use quorate::recovery::BackupHeader;
use quorate::replica::{Input, Replica};
use quorate::storage::Disk;
use quorate::types::{Change, NodeId};

use super::driver::{Cluster, config};

impl<D: Disk> Cluster<D> {
    /// Changes the membership, and waits until the change is complete and all nodes are equal.
    pub(crate) fn change(&mut self, change: Change) {
        let tag = self.input_to_leader(|tag| Input::ChangeMembership { tag, change });
        self.settle(|cluster| cluster.ended.contains_key(&tag));
        self.agree();
    }

    /// Freezes the node's state machine, and returns the view with the header of a backup of it.
    pub(crate) fn freeze(&self, id: NodeId) -> (BackupHeader, FrozenView) {
        let Replica { node, worker } = &self.nodes[&id].0;
        let frozen = worker.freeze().expect("the state machine is in memory");
        let last = frozen.last();
        let membership = node.raft().log().membership_at(last.index);
        let membership = membership.expect("applied entries are at or after the snapshot").clone();
        let chunk_bytes = config(id).storage.snapshots.chunk_bytes;
        (BackupHeader { cluster: self.id, last, membership, chunk_bytes }, frozen)
    }
}
