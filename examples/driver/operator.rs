//! What an operator does beside the clients.

use quorate::machine::Frozen;
use quorate::recovery::BackupHead;
use quorate::replica::{Input, Replica};
use quorate::storage::Disk;
use quorate::types::{Change, NodeId};

use crate::driver::{Cluster, config};

impl<D: Disk> Cluster<D> {
    /// Changes the membership, and waits until that is complete, and everyone has everything.
    pub(crate) fn change(&mut self, change: Change) {
        let tag = self.ask(|tag| Input::ChangeMembership { tag, change });
        self.settle(|cluster| cluster.ended.contains_key(&tag));
        self.agree();
    }

    /// A view of the node's state as it is now, and what a backup of it says first.
    pub(crate) fn freeze(&self, id: NodeId) -> (BackupHead, Frozen) {
        let Replica { node, worker } = &self.nodes[&id].0;
        let frozen = worker.freeze().expect("the machine keeps nothing by itself");
        let last = frozen.last();
        let membership = node.raft().log().membership_at(last.index);
        let membership = membership.expect("what is applied stands after the snapshot").clone();
        let chunk_bytes = config(id).storage.snapshots.chunk_bytes;
        (BackupHead { cluster: self.id, last, membership, chunk_bytes }, frozen)
    }
}
